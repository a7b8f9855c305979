"""The chain detector: money that comes in and leaves again soon, nearly whole, marks a mule.

Chains share few devices, so the projection misses them; what ties a chain together is time order and amounts. The
first sender of a chain passes nothing on: that is the victim, and it is never linked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from graphs.rings.projection import Pairs
from graphs.rings.suspicion import Suspicion
from graphs.rings.ties import Flows
from graphs.rings.window import Window

_HOUR = 3_600_000_000


@dataclass(frozen=True)
class Passes:
    """Money passed on: `incoming`, `outgoing` (passes,) positions in the flows; the account between is the mule."""

    incoming: np.ndarray
    outgoing: np.ndarray


def passes_of(window: Window, flows: Flows, *, hours: float, least: float, most: float = 1.02) -> Passes:
    """For every flow the first one that its receiver sends on, within `hours`, of `least` to `most` of the amount.

    Each flow is passed on once and continues one flow at most; money that goes straight back is no pass.
    """
    amount, time = window.amount[flows.event], window.time[flows.event]
    order = np.lexsort((np.arange(len(flows.event)), time, flows.source))
    offsets = np.searchsorted(flows.source[order], np.arange(flows.source.max(initial=-1) + 2))
    match = _match(
        flows.source, flows.target, time, amount, order, offsets, round(hours * _HOUR), least, most
    )  # fmt: skip
    incoming = np.flatnonzero(match >= 0)
    return Passes(incoming, match[incoming])


def chain_pairs(flows: Flows, passes: Passes, suspicion: Suspicion, *, weight: float) -> Pairs:
    """Link a mule to whom it passes money on to: weight × (1 - 2^-times) × √(s_u s_v)."""
    on = passes.outgoing
    left, right = flows.source[on], flows.target[on]
    low, high = np.minimum(left, right), np.maximum(left, right)
    pairs, times = np.unique(np.stack([low, high]), axis=1, return_counts=True)
    low, high = pairs.astype(np.int64)
    both = np.sqrt(suspicion.actor[low] * suspicion.actor[high]) if suspicion.scored else np.ones(len(low))
    return Pairs(low, high, weight * (1 - 0.5**times) * both)


def count_passes(flows: Flows, passes: Passes, actors: int) -> np.ndarray:
    """How often each account passed money on: (actors,) int64."""
    return np.bincount(flows.source[passes.outgoing], minlength=actors)


@njit(cache=True)
def _match(source, target, time, amount, order, offsets, within, least, most):  # type: ignore[no-untyped-def]
    taken = np.zeros(len(source), np.bool_)
    match = np.full(len(source), -1, np.int64)
    for i in range(len(source)):
        mule = target[i]
        if amount[i] <= 0 or mule + 1 >= len(offsets):
            continue
        low, high = offsets[mule], offsets[mule + 1]
        stop = high
        while low < stop:  # the mule's first flow after this one
            middle = (low + stop) // 2
            if time[order[middle]] <= time[i]:
                low = middle + 1
            else:
                stop = middle
        for place in range(low, high):
            j = order[place]
            if time[j] - time[i] > within:
                break
            if not taken[j] and target[j] != source[i] and least * amount[i] <= amount[j] <= most * amount[i]:
                taken[j] = True
                match[i] = j
                break
    return match
