"""Promise 4: keys are text from the caller's table to the answer, whatever they look like; a missing key makes no node;
every row of the answer carries the keys of exactly one row of the table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.embed import Embedder
from gnn.scoring import score_tables
from graphs.ingest import ingest
from graphs.schema import NULL_WORDS, DataSchema

ROLES = ("user", "card", "device")
NUMBERLIKE = (
    "7",
    "007",
    "07",
    "7.0",
    "+7",
    "1e3",
    "1000",
    "4.1E+9",
    "0x1F",
    "1_000",
    "9007199254740993",
    "TRUE",
    "1/2",
)
ODD = ("a,b", 'say "x"', "ä", "ａ", "x y", "-", "'", "2025-03-01", "null-7", "٣", "💳", "=1+1", "#7")
_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
_keys = (st.sampled_from((*NUMBERLIKE, *ODD)) | _texts).filter(
    lambda key: key == key.strip() and key.lower() not in NULL_WORDS
)
_missing = st.sampled_from((None, "", "  ", "nan", "NULL", "None", "N/A"))
_tables = st.lists(
    st.tuples(_keys, st.integers(0, 50), *([_keys | _missing] * len(ROLES))),
    min_size=2,
    max_size=8,
    unique_by=lambda r: r[0],
)
PROPERTY = settings(max_examples=25, derandomize=True)


def there(key: str | None) -> str | None:
    """The key, None if it is a word for nothing."""
    return None if key is None or key.strip().lower() in NULL_WORDS else key


def read(folder: Path, rows: list[tuple[Any, ...]], ending: str) -> Any:
    """Write the rows as one table and ingest it."""
    columns = dict(zip(("id", "hour", *ROLES), map(list, zip(*rows, strict=True)), strict=True))
    columns["t"] = [f"2025-03-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z" for hour in columns.pop("hour")]
    table = pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
    path = folder / f"t.{ending}"
    if ending == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    payment = {"path": str(path), "id": "id", "time": "t", "roles": {role: role for role in ROLES}}
    return ingest(DataSchema.from_config({"events": {"payment": payment}}))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@given(rows=_tables)
@PROPERTY
def test_every_row_comes_back_once_with_its_own_keys(
    tmp_path: Path, drawn_bundle: Any, ending: str, rows: list[tuple[Any, ...]]
) -> None:
    ingested = read(tmp_path, rows, ending)

    answer = score_tables(drawn_bundle(ingested.log), ingested, None, entity_types=["user"]).tables

    came_back = [tuple(row[name] for name in ("event_id", *ROLES)) for row in answer["events"].to_pylist()]
    assert sorted(came_back, key=str) == sorted(((row[0], *map(there, row[2:])) for row in rows), key=str)
    for place, role in enumerate(ROLES):
        held = Counter(ingested.log.entity_ids[role].to_pylist())
        assert held == Counter({there(row[2 + place]) for row in rows} - {None})
    assert Counter(answer["user"]["user"].to_pylist()) == Counter({there(row[2]) for row in rows} - {None})


@given(rows=_tables, strangers=st.lists(_keys, max_size=4))
@PROPERTY
def test_vectors_come_with_the_keys_that_were_asked_for_in_the_order_asked(
    tmp_path: Path, drawn_bundle: Any, rows: list[tuple[Any, ...]], strangers: list[str]
) -> None:
    log = read(tmp_path, rows, "parquet").log
    known = log.entity_ids["user"].to_pylist()
    asked = [*strangers, *known[::-1], *strangers]
    table = Embedder.of(drawn_bundle(log), log).embed("user", asked, int(log.event_time[-1]) + 1)
    assert table["user"].to_pylist() == asked
    assert table["is_new"].to_pylist() == [key not in known for key in asked]


@pytest.mark.parametrize("name", ["sffsd", "fdh", "p2p"])
def test_every_row_of_a_real_set_comes_back_once_with_its_own_keys(
    real_tables: Any, drawn_bundle: Any, tmp_path: Path, name: str
) -> None:
    """The set's own keys with zeros before them, and one in ten cells of the last role left out."""
    real = real_tables(name)
    drop = np.random.default_rng(5)
    tables = {file: table.copy() for file, table in real.tables.items()}
    for file, table in tables.items():
        for column in [real.keys[file], *real.roles(file)] if file in real.times else ["id"]:
            table[column] = "00" + table[column]
        if file in real.times:
            partner = real.roles(file)[-1]
            table[partner] = table[partner].mask(drop.random(len(table)) < 0.1, None)
    ingested = real.having(tables).read(tmp_path)

    answer = score_tables(drawn_bundle(ingested.log, real.who), ingested, None, entity_types=[real.who]).tables

    events = answer["events"].to_pandas().astype(object)
    assert len(events) == sum(len(tables[file]) for file in real.times)
    for kind, mapped in real.data["events"].items():
        file = Path(mapped["path"]).name
        own = events[events["event_type"] == kind].set_index("event_id")[list(mapped["roles"])]
        given_rows = tables[file].set_index(real.keys[file])[real.roles(file)]
        assert own.index.is_unique and set(own.index) == set(given_rows.index)
        given_rows = given_rows.loc[own.index]
        assert (own.isna().to_numpy() == given_rows.isna().to_numpy()).all()
        assert (own.fillna("").to_numpy() == given_rows.fillna("").to_numpy()).all()
    people = answer[real.who][real.who].to_pylist()
    assert len(people) == len(set(people)) and all(key.startswith("00") for key in people)
