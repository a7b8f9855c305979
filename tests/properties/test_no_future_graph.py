"""No future: whatever happens at or after t, all that graph and features say as of t stays the same, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.attributes import attributes_as_of
from graphs.behaviour import ASKED_FOR, FAMILIES, BehaviourSpec, behaviour_features, entity_features
from graphs.events import MISSING, EventLog
from graphs.temporal_graph import TemporalGraph

_HOUR = 3_600_000_000
_SPEC = BehaviourSpec(families=(*FAMILIES, *ASKED_FOR))
_Rows = list[dict[str, Any]]

_seeds = st.integers(0, 10_000)
_instants = st.integers(0, 40).map(lambda slot: slot * 9 * _HOUR)
_few = settings(max_examples=40, derandomize=True)


def _visible(row: dict[str, Any]) -> int:
    return max(row["time"], row.get("known", row["time"]))


def _rewrite_future(rows: _Rows, entities: _Rows, now: int, seed: int) -> tuple[_Rows, _Rows]:
    """The same past as of `now`, with another future: events lost, changed and invented, labels and versions too."""
    rng = np.random.default_rng(seed)
    past = [row | _other_label(row, now, rng) for row in rows if _visible(row) < now]
    future = [row | {"amount": 1e6, "card": "c9", "label": 1} for row in rows if _visible(row) >= now]
    kept = [row for row in future if rng.random() < 0.5]
    invented = [
        {"id": f"new{i}", "type": "payment", "time": now - 5, "known": now + i, "sender": "u1", "card": f"c{i}"}
        | {"amount": 7.0, "label": 1, "label_known": now - 1}
        for i in range(6)
    ]
    known = [row for row in entities if row.get("known", row.get("label_known")) <= now]
    later = {"type": "user", "id": "u0", "known": now + 1, "tier": "new", "limit": -1.0}
    return past + kept + invented, [*known, later]


def _other_label(row: dict[str, Any], now: int, rng: np.random.Generator) -> dict[str, Any]:
    if row.get("label_known", now + 1) <= now:
        return {}
    return {"label": int(rng.integers(2)), "label_known": now + int(rng.integers(1, 9)) * _HOUR}


def _as_of(log: EventLog, now: int) -> dict[Any, Any]:
    """All that can be asked as of `now` about entities and earlier events, by the caller's keys."""
    graph, answers = TemporalGraph.build(log), {}
    for kind, ids in log.entity_ids.items():
        entities, times = np.arange(len(ids)), np.full(len(ids), now)
        features = entity_features(graph, _SPEC, kind, entities, times).values
        events, roles = graph.last_events(kind, entities, times, 5)
        numeric, texts = attributes_as_of(log, kind, entities, times)
        for entity, key in enumerate(ids.to_pylist()):
            past = [log.event_ids[event].as_py() for event in events[entity] if event != MISSING]
            told = [column[entity] for column in numeric.values() if not np.isnan(column[entity])]
            told += [c.values[c.codes[entity]].as_py() for c in texts.values() if c.codes[entity] != MISSING]
            answers[kind, key] = (features[entity].tobytes(), past, roles[entity].tolist(), str(told))
    features, windows = behaviour_features(graph, _SPEC).values, graph.windows(4)
    keys = np.array([*log.event_ids.to_pylist(), None], object)
    for event in np.flatnonzero(log.visible_time < now):
        seen = keys[windows.events[event]].tolist(), windows.roles[event].tolist()
        answers["event", keys[event]] = (features[event].tobytes(), *seen)
    return answers


@_few
@given(seed=_seeds, now=_instants)
def test_another_future_changes_nothing(
    seed: int, now: int, random_rows: Callable[..., Any], log_from_rows: Callable[..., EventLog]
) -> None:
    rows, entities = random_rows(seed, 40)
    before = _as_of(log_from_rows(rows, entities), now)
    after = _as_of(log_from_rows(*_rewrite_future(rows, entities, now, seed)), now)
    shared = before.keys() & after.keys()
    assert shared >= {("event", row["id"]) for row in rows if _visible(row) < now}
    assert {key: before[key] for key in shared} == {key: after[key] for key in shared}


@_few
@given(seed=_seeds, now=_instants)
def test_the_graph_as_of_t_says_the_same(
    seed: int, now: int, random_rows: Callable[..., Any], log_from_rows: Callable[..., EventLog]
) -> None:
    log = log_from_rows(*random_rows(seed, 40))
    whole, cut = _as_of(log, now), _as_of(TemporalGraph.build(log).as_of(now).log, now)
    assert {key: whole[key] for key in cut} == cut


@_few
@given(seed=_seeds, now=_instants)
def test_an_event_sees_what_its_entities_show_at_its_time(
    seed: int, now: int, random_rows: Callable[..., Any], log_from_rows: Callable[..., EventLog]
) -> None:
    rows, entities = random_rows(seed, 40)
    probe = {"id": "probe", "type": "payment", "time": now, "sender": "u1", "card": "c1", "device": "d1"}
    graph = TemporalGraph.build(log_from_rows([*rows, probe], entities))
    event = graph.log.event_ids.to_pylist().index("probe")
    windows = graph.windows(5, event, event + 1).events[0]
    for place, role in enumerate(graph.log.roles):
        entity = graph.log.entities[event, [place]]
        np.testing.assert_array_equal(
            windows[place], graph.last_events(role.entity_type, entity, np.array([now]), 5)[0][0]
        )


@pytest.mark.parametrize("seed", range(4))
def test_events_of_one_instant_are_blind_to_each_other(
    seed: int, random_rows: Callable[..., Any], log_from_rows: Callable[..., EventLog]
) -> None:
    rows, entities = random_rows(seed, 40)
    twins = [
        {"id": f"{name}twin", "type": "transfer", "time": 90 * _HOUR, "sender": "u1", "receiver": "u2"}
        | {"amount": 3.0, "label": 1, "label_known": 90 * _HOUR}
        for name in "az"
    ]
    first = _features_of("atwin", log_from_rows([*rows, *twins], entities))
    alone = _features_of("atwin", log_from_rows([*rows, twins[0]], entities))
    last = _features_of("ztwin", log_from_rows([*rows, *twins], entities))
    assert first == alone == last


def _features_of(key: str, log: EventLog) -> bytes:
    table = behaviour_features(TemporalGraph.build(log), _SPEC)
    return table.values[log.event_ids.to_pylist().index(key)].tobytes()
