"""Instants of snapshots."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gnn.embedding_schedule import Schedule
from gnn.splits import instant
from graphs.errors import ConfigError
from graphs.events import EventLog

Logs = Callable[..., EventLog]


@pytest.fixture
def log(log_from_rows: Logs) -> EventLog:
    """Two events: on Thursday 2025-03-06 at noon and on the 13th at midnight."""
    times = [instant("2025-03-06T12:00:00Z"), instant("2025-03-13")]
    return log_from_rows([{"id": str(t), "type": "login", "time": t, "sender": "u1"} for t in times])


def days(moments: np.ndarray) -> list[str]:
    return [str(np.datetime64(int(t), "us"))[:16] for t in moments]


def test_once_is_just_after_the_last_event(log: EventLog) -> None:
    assert Schedule().moments(log).tolist() == [log.event_time[-1] + 1]
    assert days(Schedule(stop="2025-04-01").moments(log)) == ["2025-04-01T00:00"]


def test_daily_is_every_midnight_from_the_first_event_to_past_the_last(log: EventLog) -> None:
    found = days(Schedule("day").moments(log))
    assert (found[0], found[-1], len(found)) == ("2025-03-07T00:00", "2025-03-14T00:00", 8)


def test_weekly_is_every_monday(log: EventLog) -> None:
    assert days(Schedule("week").moments(log)) == ["2025-03-10T00:00", "2025-03-17T00:00"]
    backfill = Schedule("week", start="2025-02-03", stop="2025-02-17")
    assert days(backfill.moments(log)) == ["2025-02-03T00:00", "2025-02-10T00:00", "2025-02-17T00:00"]


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ConfigError, match="lies after stop"):
        Schedule("day", start="2025-02-01", stop="2025-01-01")
    with pytest.raises(ConfigError, match="belong to every=day or week"):
        Schedule(only_changed=True)
