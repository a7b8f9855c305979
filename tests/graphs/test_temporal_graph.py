"""The graph as a value: its timelines, cut at an instant, appended to, looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.behaviour import BehaviourSpec, entity_features
from graphs.errors import ConfigError, DataError, NotFoundError
from graphs.events import ALWAYS, NEVER, UNLABELLED, EventLog, Role
from graphs.history import known_at
from graphs.store import fingerprint
from graphs.temporal_graph import TemporalGraph

_HOUR = 3_600_000_000


def _known(rows: list[dict[str, Any]], time: int) -> list[dict[str, Any]]:
    """Event rows as they stood at `time`."""
    past = [row for row in rows if max(row["time"], row.get("known", row["time"])) < time]
    return [_without_label(row) if row.get("label_known", time) > time else row for row in past]


def _known_entities(rows: list[dict[str, Any]], time: int) -> list[dict[str, Any]]:
    return [row for row in rows if row.get("known", row.get("label_known")) <= time]


def _without_label(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("label", "label_known")}


def test_timelines_are_sorted_by_when_events_were_known(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [
        {"id": "a", "type": "payment", "time": 1, "card": "c", "known": 9},
        {"id": "b", "type": "payment", "time": 2, "card": "d"},
        {"id": "c", "type": "payment", "time": 3, "card": "c"},
    ]
    graph = TemporalGraph.build(log_from_rows(rows))
    line = graph.timelines["card"]
    assert line.offsets.tolist() == [0, 2, 3]
    assert line.events.tolist() == [2, 0, 1]
    assert graph.visible_times[line.ranks].tolist() == [3, 9, 2]


@pytest.mark.parametrize("seed", range(6))
def test_as_of_equals_building_from_what_was_known(
    seed: int,
    log_from_rows: Callable[..., EventLog],
    random_rows: Callable[..., Any],
    spelt_out: Callable[[EventLog], dict[str, Any]],
) -> None:
    rows, entities = random_rows(seed)
    for time in (-1, 90 * _HOUR, 181 * _HOUR, 10_000 * _HOUR):
        cut = TemporalGraph.build(log_from_rows(rows, entities)).as_of(time)
        twin = TemporalGraph.build(log_from_rows(_known(rows, time), _known_entities(entities, time)))
        _assert_same(cut, twin, spelt_out)


@pytest.mark.parametrize("seed", range(6))
def test_append_equals_building_from_all(
    seed: int,
    log_from_rows: Callable[..., EventLog],
    random_rows: Callable[..., Any],
    spelt_out: Callable[[EventLog], dict[str, Any]],
) -> None:
    rows, entities = random_rows(seed)
    part = np.random.default_rng(seed).random(len(rows)) < 0.5
    first = [row for row, mine in zip(rows, part, strict=True) if mine]
    second = [row for row, mine in zip(rows, part, strict=True) if not mine]
    graph = TemporalGraph.build(log_from_rows(first, entities[:14]))
    appended = graph.append(log_from_rows(second, entities[14:]))
    _assert_same(appended, TemporalGraph.build(log_from_rows(rows, entities)), spelt_out)


@pytest.mark.parametrize(
    "users",
    [
        pytest.param([], id="categories are numbered by their text"),
        pytest.param([{"label": 1, "label_known": NEVER}], id="a verdict that nobody will know"),
        pytest.param([{"label": UNLABELLED, "label_known": NEVER}], id="somebody of whom nothing is said"),
        pytest.param([{"known": 5, "tier": "gold", "limit": 2.0}], id="a version that both bring"),
    ],
)
def test_append_makes_the_very_log_of_all_rows(
    users: list[dict[str, Any]], log_from_rows: Callable[..., EventLog]
) -> None:
    one = {"id": "a", "type": "payment", "time": 1, "sender": "u", "channel": "web"}
    other = {"id": "b", "type": "payment", "time": 2, "sender": "v", "channel": "app"}
    users = [{"type": "user", "id": "x"} | row for row in users]
    for before in ([], users):
        appended = TemporalGraph.build(log_from_rows([one], before)).append(log_from_rows([other], users)).log
        assert fingerprint(appended) == fingerprint(log_from_rows([one, other], users))


def _assert_same(graph: TemporalGraph, twin: TemporalGraph, spelt_out: Callable[[EventLog], dict[str, Any]]) -> None:
    mine, theirs = spelt_out(graph.log), spelt_out(twin.log)
    assert _filled(mine) == _filled(theirs)
    for kind, line in graph.timelines.items():
        for name in ("offsets", "events", "roles", "ranks"):
            np.testing.assert_array_equal(getattr(line, name), getattr(twin.timelines[kind], name))


def _filled(log: dict[str, Any]) -> dict[str, Any]:
    """Without entity tables of which nothing was known: a cut log still knows that they will come."""
    attributes = {kind: found for kind, found in log["attributes"].items() if found[0]}
    labels = {kind: found for kind, found in log["labels"].items() if set(found[0]) - {-1}}
    return log | {"attributes": attributes, "labels": labels}


@pytest.mark.parametrize("late", [True, False])
def test_a_saved_graph_is_mapped_back(
    late: bool, tmp_path: Path, random_rows: Callable[..., Any], log_from_rows: Callable[..., EventLog]
) -> None:
    rows, entities = random_rows(1)
    rows = [row if late else {k: v for k, v in row.items() if k != "known"} for row in rows]
    graph = TemporalGraph.build(log_from_rows(rows, entities))
    for _ in range(2):  # the second replaces the first
        graph.save(tmp_path / "graph")
    loaded = TemporalGraph.load(tmp_path / "graph")
    assert isinstance(loaded.timelines["user"].events, np.memmap)
    assert fingerprint(loaded.log) == fingerprint(graph.log)
    np.testing.assert_array_equal(loaded.windows(3).events, graph.windows(3).events)
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


def test_an_empty_graph_is_saved_too(tmp_path: Path, log_from_rows: Callable[..., EventLog]) -> None:
    TemporalGraph.build(log_from_rows([])).save(tmp_path)
    assert TemporalGraph.load(tmp_path).windows(3).events.shape == (0, 4, 3)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, random_log: Callable[..., EventLog]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="something else"):
        TemporalGraph.build(random_log(0)).save(tmp_path)
    with pytest.raises(NotFoundError, match="no graph"):
        TemporalGraph.load(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("graph.json", b"{"),
        ("graph.json", b'{"nodes": []}'),
        ("visible_times.npy", b""),
        ("log/event_ids.arrow", b"no arrow"),
        ("timeline.0.events.npy", None),
    ],
)
def test_a_damaged_graph_is_told(
    file: str, content: bytes | None, tmp_path: Path, random_log: Callable[..., EventLog]
) -> None:
    TemporalGraph.build(random_log(0)).save(tmp_path)
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot be read: .*Copy it whole, or make it anew"):
        TemporalGraph.load(tmp_path)


def test_timelines_of_another_log_are_refused(tmp_path: Path, random_log: Callable[..., EventLog]) -> None:
    for seed, count in ((0, 60), (1, 90)):
        TemporalGraph.build(random_log(seed, count)).save(tmp_path / str(count))
    (tmp_path / "90" / "timeline.0.offsets.npy").replace(tmp_path / "60" / "timeline.0.offsets.npy")
    with pytest.raises(ConfigError, match="timeline of 'user' is not of this event log"):
        TemporalGraph.load(tmp_path / "60")


def test_appending_the_same_event_again_is_refused(random_log: Callable[..., EventLog]) -> None:
    graph = TemporalGraph.build(random_log(0))
    with pytest.raises(DataError, match="already has an event"):
        graph.append(random_log(0))


def test_appending_other_roles_is_refused(
    random_log: Callable[..., EventLog], log_from_rows: Callable[..., EventLog]
) -> None:
    other = log_from_rows([], roles=(Role("payer", "user"),))
    with pytest.raises(ConfigError, match=r"roles: the graph has .*payer"):
        TemporalGraph.build(random_log(0)).append(other)


def test_appending_entities_without_a_column_that_the_graph_has_is_refused(random_log: Callable[..., EventLog]) -> None:
    log = random_log(4)
    more = known_at(log, ALWAYS)
    bare = {kind: replace(found, numeric={}) for kind, found in more.attributes.items()}
    with pytest.raises(ConfigError, match=r"columns of the user table: .*limit.*, the new events have \['tier'\]"):
        TemporalGraph.build(log).append(replace(more, attributes=bare))


def test_the_surroundings_hold_the_past_and_nothing_else(log_from_rows: Callable[..., EventLog]) -> None:
    label = {"label": 1, "label_known": 8}
    rows = [
        {"id": "a", "type": "payment", "time": 1, "sender": "u", "device": "d", **label},
        {"id": "b", "type": "payment", "time": 2, "sender": "v", "device": "d"},
        {"id": "c", "type": "payment", "time": 5, "sender": "w", "device": "d"},
    ]
    around = TemporalGraph.build(log_from_rows(rows)).to_networkx("user", "u", hops=2, as_of=5)
    events = [("event", "payment", "a"), ("event", "payment", "b")]
    assert set(around) == {("user", "u"), ("user", "v"), ("device", "d"), *events}
    assert around.nodes[events[0]]["label"] is None
    assert [data["role"] for *_, data in around.edges(("user", "v"), data=True)] == ["sender"]


def test_the_surroundings_tell_no_label_that_nobody_will_know(log_from_rows: Callable[..., EventLog]) -> None:
    row = {"id": "a", "type": "payment", "time": 1, "sender": "u", "label": 1, "label_known": NEVER}
    around = TemporalGraph.build(log_from_rows([row])).to_networkx("user", "u")
    assert around.nodes["event", "payment", "a"]["label"] is None


def test_an_event_with_oneself_counts_once(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [{"id": str(n), "type": "transfer", "time": n, "sender": "u", "receiver": "u"} for n in range(5)]
    around = TemporalGraph.build(log_from_rows(rows)).to_networkx("user", "u", last=3)
    assert {node[-1] for node in around if node[0] == "event"} == {"2", "3", "4"}


def test_one_hop_ends_at_the_neighbours(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [
        {"id": "a", "type": "payment", "time": 1, "sender": "u", "device": "d"},
        {"id": "b", "type": "payment", "time": 2, "sender": "v", "device": "d"},
    ]
    around = TemporalGraph.build(log_from_rows(rows)).to_networkx("user", "u", hops=1)
    assert set(around) == {("user", "u"), ("device", "d"), ("event", "payment", "a")}


def test_codes_of_another_graph_are_refused(random_log: Callable[..., EventLog]) -> None:
    graph = TemporalGraph.build(random_log(0))
    cut, everybody = graph.as_of(_HOUR), np.arange(len(graph.log.entity_ids["user"]))
    times = np.zeros(len(everybody), np.int64)
    with pytest.raises(AssertionError, match="of type 'user' in this graph"):
        cut.last_events("user", everybody, times, 3)
    with pytest.raises(AssertionError, match="of type 'user' in this graph"):
        entity_features(cut, BehaviourSpec(), "user", everybody, times)


def test_an_unknown_entity_is_not_found(random_log: Callable[..., EventLog]) -> None:
    with pytest.raises(NotFoundError, match="no user"):
        TemporalGraph.build(random_log(0)).to_networkx("user", "nobody")
