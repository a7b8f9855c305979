"""Bursts: accounts that act on the same thing within minutes of each other, where that is no coincidence.

Two customers within half an hour are nothing at a supermarket and a surprise at a shop with three sales a week. The
weight of such a pair is the chance that nobody would have come by so soon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphs.events import MICROSECONDS_PER_DAY
from graphs.rings.ties import Uses
from graphs.rings.window import Window

_MINUTE = 60_000_000


@dataclass(frozen=True)
class Bursts:
    """Pairs of accounts next to each other in time on one identifier: `left`, `right`, `identifier` (pairs,) int64;
    `surprise` (pairs,) in [0, 1]; `event` (pairs,): the later event's position in the window."""

    left: np.ndarray
    right: np.ndarray
    identifier: np.ndarray
    surprise: np.ndarray
    event: np.ndarray


def bursts_of(window: Window, uses: Uses, *, days: float, minutes: float) -> Bursts:
    """Every two successive events on an identifier by different accounts at most `minutes` apart.

    With events coming at an identifier's own rate (Poisson, over `days`), nobody comes within a gap with probability
    exp(-rate × gap): that is the pair's surprise. Linear: only neighbours in time make a pair.
    """
    # Events stand in time order, so their positions sort as their times do.
    order = np.argsort(uses.identifier * len(window.events) + uses.event, kind="stable")
    identifier, actor, time = uses.identifier[order], uses.actor[order], window.time[uses.event[order]]
    gap = np.diff(time)
    near = (np.diff(identifier) == 0) & (np.diff(actor) != 0) & (gap <= minutes * _MINUTE)
    at = np.flatnonzero(near)
    events = np.bincount(uses.identifier, minlength=1)
    rate = events[identifier[at]] / (days * MICROSECONDS_PER_DAY)
    surprise = np.exp(-rate * np.maximum(gap[at], _MINUTE))
    return Bursts(actor[at], actor[at + 1], identifier[at], surprise, uses.event[order][at + 1])
