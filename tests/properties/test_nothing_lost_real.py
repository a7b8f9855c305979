"""Promise 8 on the real data sets: every row read is kept, or is told and put aside as it was; nothing in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.errors import DataError
from graphs.ingest import ingest
from graphs.schema import DataSchema

SETS = ("sffsd", "fdh", "p2p")
PROPERTY = settings(max_examples=5, derandomize=True)

Tables = Any
"""`RealTables` of conftest.py."""


def balanced(table: Any) -> bool:
    return table.rows == table.kept + table.exact_duplicates + table.replaced + table.dropped + table.rejected


@pytest.mark.parametrize("name", SETS)
def test_all_rows_of_a_set_are_read_and_kept(real_data: Callable[[str], dict[str, Any]], name: str) -> None:
    data = real_data(name)
    ingested = ingest(DataSchema.from_config(data))
    paths = {
        kind: Path(table["path"]) for group in ("events", "entities") for kind, table in data.get(group, {}).items()
    }
    held = {kind: rows_in(path) for kind, path in paths.items()}
    assert {table.name: table.rows for table in ingested.report.tables} == held
    assert all(balanced(table) and table.kept == table.rows for table in ingested.report.tables)
    assert len(ingested.log) == sum(held[kind] for kind in data["events"])


def rows_in(path: Path) -> int:
    if path.suffix == ".csv":
        return len(path.read_bytes().splitlines()) - 1
    return pq.read_metadata(path).num_rows


def damaged(real: Tables, seed: int, count: int) -> tuple[Tables, dict[str, set[int]], dict[str, int]]:
    """The tables with `count` cells of each event table spoilt and some rows written twice; where the spoilt rows are
    (1-based), and how many of the copies are good."""
    rng = np.random.default_rng(seed)
    tables, spoilt, copies = {}, {}, {}
    for file in real.times:
        table = real.tables[file].head(3_000)
        table = table.assign(**{real.times[file]: table[real.times[file]].astype(str)})
        bad = rng.choice(len(table), count, replace=False)
        amounts = table.filter(regex="(?i)amount").columns
        table[list(amounts)] = table[list(amounts)].astype(str)
        for row in bad:
            column, word = [(real.times[file], "soon"), (real.keys[file], ""), *((name, "much") for name in amounts)][
                rng.integers(2 + len(amounts))
            ]
            table.iloc[row, table.columns.get_loc(column)] = word
        good = np.setdiff1d(np.arange(len(table)), bad)
        twice = rng.choice(good, int(rng.integers(1, 20)), replace=False)
        tables[file] = pd.concat([table, table.iloc[twice]], ignore_index=True)
        spoilt[file], copies[file] = {int(row) + 1 for row in bad}, len(twice)
    return real.having(tables), spoilt, copies


@pytest.mark.parametrize("name", SETS)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
@PROPERTY
def test_spoilt_rows_of_a_set_go_to_quarantine_and_all_others_are_kept(
    real_tables: Callable[[str], Tables], tmp_path_factory: pytest.TempPathFactory, name: str, seed: int, count: int
) -> None:
    folder = tmp_path_factory.mktemp(name)
    real, spoilt, copies = damaged(real_tables(name), seed, count)
    data = real.write(folder) | {"quarantine": str(folder / "aside")}

    ingested = ingest(DataSchema.from_config(data))

    told = {table.name: table for table in ingested.report.tables}
    for kind, mapped in data["events"].items():
        file, table = Path(mapped["path"]).name, told[kind]
        assert balanced(table) and table.rows == len(real.tables[file])
        assert (table.rejected, table.exact_duplicates) == (count, copies[file])
        aside = pq.read_table(folder / "aside" / f"events.{kind}.parquet").to_pandas()
        assert set(aside["rejected_row"]) == spoilt[file] and aside["rejected_for"].str.len().min() > 0
        was = real.tables[file].iloc[aside["rejected_row"] - 1]
        assert (aside[real.keys[file]].fillna("").to_numpy() == was[real.keys[file]].to_numpy()).all()
        code = ingested.log.event_types.index(kind)
        kept = ingested.log.event_ids.to_pandas()[ingested.log.event_type == code]
        good = real.tables[file].drop(index=[row - 1 for row in spoilt[file]])
        assert set(kept) == set(good[real.keys[file]]) and len(kept) == good[real.keys[file]].nunique()


@pytest.mark.parametrize("name", SETS)
def test_without_a_quarantine_all_is_told_at_once_and_nothing_is_written(
    real_tables: Callable[[str], Tables], tmp_path: Path, name: str
) -> None:
    real, spoilt, _ = damaged(real_tables(name), 3, 25)
    data = real.write(tmp_path)
    there = sorted(tmp_path.iterdir())
    with pytest.raises(DataError) as raised:
        ingest(DataSchema.from_config(data))
    told = {file: sum(fault.count for fault in raised.value.faults if Path(fault.file).name == file) for file in spoilt}
    assert told == {file: len(rows) for file, rows in spoilt.items()}
    assert sorted(tmp_path.iterdir()) == there
