"""Last-k lookups: worked by hand, then against a naive twin on random logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphs.events import MISSING, EventLog
from graphs.temporal_graph import TemporalGraph
from graphs.windows import order_by_time

_DAY = 86_400_000_000


def _payment(number: int, day: int, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "payment", "time": day * _DAY, **more}


def _naive(log: EventLog, entity_type: str, entity: int, time: int, k: int) -> list[tuple[int, int]]:
    seen = [
        (int(log.visible_time[event]), event, role)
        for event in range(len(log))
        for role, known in enumerate(log.roles)
        if known.entity_type == entity_type and log.entities[event, role] == entity
    ]
    past = sorted((one for one in seen if one[0] < time and entity != MISSING), reverse=True)[:k]
    return [(event, role) for _, event, role in past] + [(MISSING, MISSING)] * (k - len(past))


def test_last_events_are_newest_first_and_strictly_before(log_from_rows: Callable[..., EventLog]) -> None:
    log = log_from_rows([_payment(i, day, card="c") for i, day in enumerate([1, 2, 2, 3])])
    graph = TemporalGraph.build(log)
    events, roles = graph.last_events("card", np.array([0, 0, MISSING]), np.array([3, 2, 9]) * _DAY, 3)
    assert events.tolist() == [[2, 1, 0], [0, -1, -1], [-1, -1, -1]]
    assert roles.tolist() == [[2, 2, 2], [2, -1, -1], [-1, -1, -1]]


def test_events_of_one_instant_never_see_each_other(log_from_rows: Callable[..., EventLog]) -> None:
    log = log_from_rows([_payment(i, 1, card="c") for i in range(3)])
    assert (TemporalGraph.build(log).windows(2).events == MISSING).all()


def test_an_event_known_late_is_seen_late(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [_payment(0, 1, card="c", known=3 * _DAY), *(_payment(day, day, card="c") for day in (2, 3, 4))]
    windows = TemporalGraph.build(log_from_rows(rows)).windows(3)
    assert windows.events[:, 2].tolist() == [[-1, -1, -1], [-1, -1, -1], [1, -1, -1], [2, 0, 1]]


def test_one_entity_in_two_roles_stands_twice(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [
        {"id": "e0", "type": "transfer", "time": 1, "sender": "u", "receiver": "u"},
        {"id": "e1", "type": "transfer", "time": 2, "sender": "u"},
    ]
    windows = TemporalGraph.build(log_from_rows(rows)).windows(3)
    assert windows.events[1, 0].tolist() == [0, 0, -1]
    assert windows.roles[1, 0].tolist() == [1, 0, -1]


@pytest.mark.parametrize("seed", range(8))
def test_windows_equal_a_naive_twin(seed: int, random_log: Callable[..., EventLog]) -> None:
    log = random_log(seed)
    windows = TemporalGraph.build(log).windows(4, 5, 50)
    for event in range(5, 50):
        for place, role in enumerate(log.roles):
            mine = zip(windows.events[event - 5, place], windows.roles[event - 5, place], strict=True)
            twin = _naive(log, role.entity_type, log.entities[event, place], log.event_time[event], 4)
            assert list(mine) == twin


@pytest.mark.parametrize("low, high", [(0, 5), (-9, 3000), (-(1 << 40), 1 << 45), (-(1 << 63), (1 << 63) - 1)])
def test_order_by_time_is_the_stable_sort(low: int, high: int) -> None:
    times = np.random.default_rng(0).integers(low, high, 500, endpoint=True)
    times[::7] = times[3]
    np.testing.assert_array_equal(order_by_time(times), np.argsort(times, kind="stable"))
    assert len(order_by_time(np.sort(times))) == 0
