"""`Window`: the events a finder run may look at, and how much each still counts.

Everything known at `as_of` is cut out of the log first, codes included, so nothing later can reach a ring, not even
through the number of an entity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graphs.events import MICROSECONDS_PER_DAY, MISSING, EventLog
from graphs.history import known_at


@dataclass(frozen=True)
class Window:
    """`log`: all that was known at `as_of` (µs UTC). `events` (n,) int64: those of the last days, positions in `log`;
    `decay` (n,) float64 in (0, 1]: what an event of this age counts; `label` (n,) int8 as known at `as_of`."""

    log: EventLog
    as_of: int
    events: np.ndarray
    decay: np.ndarray

    @cached_property
    def time(self) -> np.ndarray:
        return self.log.event_time[self.events]

    @cached_property
    def amount(self) -> np.ndarray:
        """(n,) float64, 0 where an event moves no money; a refund counts as what it gives back, below 0."""
        return np.nan_to_num(self.log.amount[self.events])

    @cached_property
    def label(self) -> np.ndarray:
        return self.log.label[self.events]

    def of_role(self, slot: int) -> np.ndarray:
        """Entity codes (n,) int32 in one role, MISSING where there is none."""
        return self.log.entities[self.events, slot]


def look_back(log: EventLog, as_of: int, *, days: float, half_life_days: float) -> Window:
    """Return the events visible before `as_of` (µs UTC) that happened in the `days` before it.

    An event counts one half after `half_life_days`, a quarter after twice that.
    """
    known = log if _all_known(log, as_of) else known_at(log, as_of)
    start = as_of - round(days * MICROSECONDS_PER_DAY)
    events = np.flatnonzero((known.event_time >= start) & (known.entities != MISSING).any(axis=1))
    age_days = (as_of - known.event_time[events]) / MICROSECONDS_PER_DAY
    return Window(known, as_of, events, 0.5 ** (age_days / half_life_days))


def _all_known(log: EventLog, as_of: int) -> bool:
    """Whether cutting would leave everything: then the log itself is what was known."""
    late_labels = [log.label_known_time[log.label >= 0]]
    late_labels += [held.known_time[held.label >= 0] for held in log.entity_labels.values()]
    versions = [held.known_time for held in log.attributes.values()]
    visible = not len(log) or int(log.visible_time.max()) < as_of
    return visible and all(not len(times) or int(times.max()) <= as_of for times in [*late_labels, *versions])
