"""At which instants entities are looked at, and which of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gnn.splits import instant
from graphs.errors import ConfigError
from graphs.events import MICROSECONDS_PER_DAY, EventLog

DAYS = {"day": 1, "week": 7}
MONDAY = 4 * MICROSECONDS_PER_DAY
"""1970-01-05, in µs."""


@dataclass(frozen=True)
class Schedule:
    """Snapshots of entities at midnights (UTC) in [start, stop], every "day" or every "week" (Mondays).

    `start` and `stop` are ISO dates or times; null: the first midnight after the first event, and the first after the
    last. `only_changed`: after the first snapshot only entities with an event since the one before, which loses
    nothing, since a vector changes with the entity's events and not with the clock. With `every` "once" there is one
    snapshot at `stop`, by default just after the last event.
    """

    every: Literal["once", "day", "week"] = "once"
    start: str | None = None
    stop: str | None = None
    only_changed: bool = False

    def __post_init__(self) -> None:
        if self.start and self.stop and instant(self.start) > instant(self.stop):
            raise ConfigError(f"schedule: start {self.start} lies after stop {self.stop}")
        if self.every == "once" and (self.start or self.only_changed):
            raise ConfigError("schedule: start and only_changed belong to every=day or week")

    def moments(self, events: EventLog) -> np.ndarray:
        """The instants (snapshots,) int64 µs UTC, ascending."""
        times = events.visible_time if len(events) else np.zeros(1, np.int64)
        if self.every == "once":
            return np.array([instant(self.stop) if self.stop else int(times.max()) + 1])
        step = DAYS[self.every] * MICROSECONDS_PER_DAY
        # A midnight is the first at which all of an earlier instant's events are in the past.
        first = instant(self.start) if self.start else int(times.min()) + 1
        last = instant(self.stop) if self.stop else _at_or_after(int(times.max()) + 1, step)
        return np.arange(_at_or_after(first, step), last + 1, step, dtype=np.int64)


def _at_or_after(moment: int, step: int) -> int:
    """The first midnight (for a week: of a Monday) at or after `moment`."""
    return moment + (MONDAY - moment) % step
