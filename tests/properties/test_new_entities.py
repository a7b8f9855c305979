"""Promise 6: a user, card, device or category that training never saw is scored like any other, is told apart in the
answer, and changes nothing for those beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.scoring import score_tables
from graphs.events import EventLog
from graphs.history import known_at
from graphs.ingest import Ingested
from graphs.report import ValidationReport

HOUR = 3_600_000_000
LATER = 400 * HOUR
"""After everything that the random logs hold."""

ROLES = ("sender", "receiver", "card", "device")
_few = settings(max_examples=15, derandomize=True)
_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)

Row = dict[str, Any]


def new_row(number: int, **more: Any) -> Row:
    return {
        "id": f"new{number}",
        "type": "payment",
        "time": LATER + number * HOUR,
        "amount": 9.0,
        "channel": "web",
    } | more


def scored(bundle: Any, log: EventLog) -> dict[str, pa.Table]:
    """Events, and users as of an instant after all of them."""
    ingested = Ingested(log, ValidationReport((), {}))
    return dict(score_tables(bundle, ingested, None, as_of="1970-02-01", entity_types=["user"]).tables)


def by_key(table: pa.Table, key: str = "event_id") -> dict[str, Row]:
    return {row[key]: row for row in table.to_pylist()}


@st.composite
def later_rows(draw: st.DrawFn) -> list[Row]:
    """Payments after training: entities known, new or missing, and channels known, new or missing."""
    rows = []
    for number in range(draw(st.integers(1, 6))):
        row = new_row(number, time=LATER + draw(st.integers(0, 3)) * HOUR, channel=draw(st.none() | _texts))
        for role in ("sender", "card", "device"):
            initial = {"sender": "u"}.get(role, role[0])
            row[role] = draw(st.none() | st.integers(0, 4).map(lambda n, i=initial: f"{i}{n}") | _texts)
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows


@_few
@given(seed=st.integers(0, 10_000), rows=later_rows())
def test_whoever_and_whatever_is_new_is_scored_and_told(
    random_rows: Any, log_from_rows: Any, drawn_bundle: Any, seed: int, rows: list[Row]
) -> None:
    past, entities = random_rows(seed, 40)
    bundle = drawn_bundle(log_from_rows(past, entities))
    tables = scored(bundle, log_from_rows([*past, *rows], entities))
    found = by_key(tables["events"])
    assert np.isfinite(tables["events"]["score"]).all() and np.isfinite(tables["user"]["logit"]).all()
    for row in rows:
        told = found[row["id"]]
        assert told["new_entities"] == [role for role in ROLES if role in row and not seen(row, role, [*past, *rows])]
        assert ("channel" in told["unseen_categories"]) == (row.get("channel", "web") not in ("web", "app"))
        assert ("channel" in told["missing_categories"]) == ("channel" not in row)


def seen(row: Row, role: str, rows: list[Row]) -> bool:
    """Whether the entity had part in any event known before the row's time, users in either of their roles."""
    others = ("sender", "receiver") if role in ("sender", "receiver") else (role,)
    before = (other for other in rows if max(other["time"], other.get("known", other["time"])) < row["time"])
    return any(other.get(name) == row[role] for other in before for name in others)


@_few
@given(seed=st.integers(0, 10_000), names=st.lists(_texts.map("n{}".format), min_size=4, max_size=4, unique=True))
def test_newcomers_before_and_beside_a_row_do_not_touch_its_score(
    random_rows: Any, log_from_rows: Any, drawn_bundle: Any, seed: int, names: list[str]
) -> None:
    past, entities = random_rows(seed, 40)
    bundle = drawn_bundle(log_from_rows(past, entities))
    own = new_row(3, sender="u1", card="c1", device="d1")
    who = dict(zip(("sender", "card", "device", "channel"), names, strict=True))
    strangers = [new_row(0, **who), new_row(1, **who, time=own["time"]), new_row(2, **who, time=own["time"] + HOUR)]
    alone, among = (
        scored(bundle, log_from_rows([*past, own, *others], [*entities, *versions]))
        for others, versions in (([], []), (strangers, [new_version(who["sender"]), new_version("nobody")]))
    )
    assert by_key(alone["events"])["new3"] == by_key(among["events"])["new3"]
    one, two = by_key(alone["user"], "user"), by_key(among["user"], "user")
    assert {key: row["logit"] for key, row in one.items()} == {key: two[key]["logit"] for key in one}


def new_version(user: str) -> Row:
    return {"type": "user", "id": user, "known": LATER, "tier": "platinum", "limit": 5.0}


@_few
@given(seed=st.integers(0, 10_000), names=st.lists(_texts.map("n{}".format), min_size=8, max_size=8, unique=True))
def test_what_a_newcomer_is_called_does_not_matter(
    random_rows: Any, log_from_rows: Any, drawn_bundle: Any, seed: int, names: list[str]
) -> None:
    past, entities = random_rows(seed, 40)
    bundle, parts = drawn_bundle(log_from_rows(past, entities)), ("sender", "card", "device", "channel")
    said = []
    for own in (names[:4], names[4:]):
        who = dict(zip(parts, own, strict=True))
        rows = by_key(scored(bundle, log_from_rows([*past, new_row(0, **who), new_row(1, **who)], entities))["events"])
        said.append([rows["new0"]["logit"], rows["new1"]["logit"]])
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["sffsd", "fdh", "p2p"])
def test_those_who_come_later_in_a_real_set_are_scored_and_told(
    real_tables: Any, drawn_bundle: Any, tmp_path: Path, name: str
) -> None:
    real = real_tables(name)
    if name == "p2p":
        devices = real.tables["Device.parquet"]
        real = real.having(
            {"Device.parquet": devices.assign(os=devices["os"].where(devices.index % 2 == 0, "TempleOS"))}
        )
    ingested = real.read(tmp_path)
    bundle = drawn_bundle(known_at(real_tables(name).read(tmp_path / "was").log, real.now), real.who)

    answer = score_tables(bundle, ingested, None, entity_types=[real.who])

    events = answer.tables["events"]
    assert len(events) == len(ingested.log) and np.isfinite(events["logit"]).all()
    assert np.isfinite(answer.tables[real.who]["logit"]).all()
    assert events["new_entities"].to_pylist() == first_times(ingested.log)
    late = events["event_timestamp"].to_numpy().astype(np.int64) >= real.now
    assert sum(map(bool, events["new_entities"].filter(pa.array(late)).to_pylist())) > 100
    if name == "p2p":
        assert answer.summary["events"]["unseen_categories"]["device.os"] > 1_000


def first_times(log: EventLog) -> list[list[str]]:
    """Per event, the roles whose entity was in no event that could be seen before, by way of a data frame."""
    entities = pd.concat(
        pd.DataFrame({"type": role.entity_type, "entity": log.entities[:, slot], "visible": log.visible_time})
        for slot, role in enumerate(log.roles)
    )
    first = entities[entities["entity"] >= 0].groupby(["type", "entity"])["visible"].min()
    new = []
    for slot, role in enumerate(log.roles):
        there = log.entities[:, slot] >= 0
        since = first[role.entity_type].reindex(log.entities[:, slot]).to_numpy()
        new.append(there & ~(since < log.event_time))
    return [[role.name for role, flags in zip(log.roles, new, strict=True) if flags[i]] for i in range(len(log))]
