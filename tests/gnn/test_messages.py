"""What an edge tells of its two events, against the same said event by event in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from gnn.messages import EdgeData, edge_names
from graphs.errors import ConfigError
from graphs.events import EventLog, Role
from graphs.temporal_graph import TemporalGraph

K = 4
DAY = 86_400


def spelt_out(log: EventLog, past: int, role_there: int, slot: int, time: int, query: int | None) -> Iterator[float]:
    """The columns of `edge_names`, in their order."""
    seconds = (time - int(log.event_time[past])) / 1e6
    yield math.log1p(seconds) / 16
    yield from (scale / (scale + seconds) for scale in (3600, DAY, 7 * DAY, 30 * DAY))
    change = 0.0 if query is None else log_amount(log, query) - log_amount(log, past)
    known = not math.isnan(change)
    yield from (change, abs(change)) if known else (0.0, 0.0)
    settled = log.label_known_time[past] <= time
    yield float(settled and log.label[past] == 1)
    yield float(settled and log.label[past] == 0)
    yield float(query is not None and known and change == 0)
    ours = [-1] * len(log.roles) if query is None else log.entities[query].tolist()
    theirs = log.entities[past].tolist()
    yield from (float(r != slot and ours[r] >= 0 and ours[r] == theirs[r]) for r in range(len(ours)))
    if len({role.entity_type for role in log.roles}) < len(log.roles):
        crossed = role_there != slot and theirs[slot] >= 0 and theirs[slot] == ours[role_there]
        yield float(crossed)
        yield from (float(r == role_there) for r in range(len(ours)))
    if len(log.event_types) > 1:
        yield float(query is not None and log.event_type[past] == log.event_type[query])


def log_amount(log: EventLog, event: int) -> float:
    amount = float(log.amount[event])
    return math.copysign(math.log1p(abs(amount)), amount)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("events_ask", [True, False])
def test_every_column_is_what_it_says(random_log: Callable[..., EventLog], seed: int, events_ask: bool) -> None:
    log = random_log(seed)
    windows = TemporalGraph.build(log).windows(K)
    queries = np.arange(len(log)) if events_ask else None
    found = EdgeData.of(log).edges(windows.events, windows.roles, log.event_time, queries)
    dense = found.dense(len(edge_names(log.roles, log.event_types))).numpy()
    seen = 0
    for place in np.ndindex(windows.events.shape):
        past, query = int(windows.events[place]), place[0] if events_ask else None
        expected = np.zeros(dense.shape[-1])
        if past >= 0:
            time, role = int(log.event_time[place[0]]), int(windows.roles[place])
            expected = np.array(list(spelt_out(log, past, role, place[1], time, query)))
            seen += 1
        np.testing.assert_allclose(dense[place], expected, rtol=1e-5, atol=1e-6)
    assert seen > 100


def test_amounts_that_differ_by_a_cent_are_not_equal(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [
        {"id": f"p{day}", "type": "payment", "time": day * DAY, "user": "u", "amount": amount}
        for day, amount in enumerate((100_000.00, 100_000.05, 100_000.05))
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment",))
    windows = TemporalGraph.build(log).windows(1)
    found = EdgeData.of(log).edges(windows.events, windows.roles, log.event_time, np.arange(3))
    equal = edge_names(log.roles, log.event_types).index("amount_equal")
    assert found.dense(equal + 1)[:, 0, 0, equal].tolist() == [0.0, 0.0, 1.0]


def test_hidden_labels_are_not_told(random_log: Callable[..., EventLog]) -> None:
    log = random_log(1)
    windows, instant = TemporalGraph.build(log).windows(K), int(np.median(log.event_time))
    hidden = EdgeData.of(log).hide_labels_after(instant)
    found = hidden.edges(windows.events, windows.roles, log.event_time, None)
    late = log.label_known_time > instant
    unknown = replace(log, label=np.where(late, -1, log.label).astype(log.label.dtype))
    expected = EdgeData.of(unknown).edges(windows.events, windows.roles, log.event_time, None)
    assert (found.marks == expected.marks).all()
    assert (found.marks & 3).any()


def test_more_roles_than_an_edge_can_tell_of_are_refused() -> None:
    with pytest.raises(ConfigError, match="roles: got 40"):
        edge_names([Role(f"role{number}", "user") for number in range(40)], ["payment"])
