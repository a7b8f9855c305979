"""Victims before clustering: accounts that bad money leaves and never reaches.

A taken-over account sends money from the ring's device and looks like the heart of the ring; so does whoever was
talked into a transfer. What tells them from mules is direction: a mule receives, or receives and passes on. Their
links are cut, so that they neither join a ring nor glue two together.
"""

from __future__ import annotations

import numpy as np

from graphs.events import MICROSECONDS_PER_DAY
from graphs.rings.ground import Ground
from graphs.rings.ties import Uses

_STRANGE = 0.3
"""Suspicion of a transfer sent from a device that others use and that the sender has only just met."""

_LEAST_OUT = 0.25
_MOST_BACK = 0.5


def likely_victims(ground: Ground, passed: np.ndarray) -> np.ndarray:
    """(actors,) bool: sent suspicious transfers worth `_LEAST_OUT` in all, received less than half as much suspicion
    back, and passed nothing on. `passed` (actors,): how often each passed money on."""
    bad = flow_suspicion(ground)
    out = np.bincount(ground.flows.source, weights=bad, minlength=ground.actor_count)
    back = np.bincount(ground.flows.target, weights=bad, minlength=ground.actor_count)
    return (out >= _LEAST_OUT) & (back < _MOST_BACK * out) & (passed == 0)


def flow_suspicion(ground: Ground) -> np.ndarray:
    """How suspicious each flow is, (flows,): its event's score, at least `_STRANGE` from a strange shared device."""
    uses, ties = _in_flows(ground), ground.ties
    tie = np.searchsorted(ties.identifier << 31 | ties.actor, uses.identifier << 31 | uses.actor)
    fresh = ground.window.time[uses.event] - ties.first[tie] <= MICROSECONDS_PER_DAY
    brief = ties.last[tie] - ties.first[tie] <= 3 * MICROSECONDS_PER_DAY
    shared = (ground.hubs.degree[uses.identifier] >= 3) & ~ground.hubs.hub[uses.identifier]
    strange = np.zeros(len(ground.window.events), bool)
    strange[uses.event[fresh & brief & shared]] = True
    score = ground.suspicion.grouping[ground.flows.event]
    return np.maximum(score, np.where(strange[ground.flows.event], _STRANGE, 0.0))


def payees(ground: Ground) -> Uses:
    """Uses of identifiers at one remove: whoever is paid from a device that several accounts act on is of its circle.

    Mules of takeovers share little else. A device of one account says nothing of whom it pays: victims pay from
    their own phones.
    """
    uses, flows = _in_flows(ground), ground.flows
    order = np.argsort(uses.event, kind="stable")
    low = np.searchsorted(uses.event[order], flows.event)
    high = np.searchsorted(uses.event[order], flows.event, side="right")
    flow = np.repeat(np.arange(len(flows.event)), high - low)
    at = order[low[flow] + np.arange(len(flow)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)]
    several = ground.hubs.degree[uses.identifier[at]] >= 2
    return Uses(flows.event[flow][several], flows.target[flow][several], uses.identifier[at][several])


def _in_flows(ground: Ground) -> Uses:
    """The uses in events that move money between accounts."""
    moves = np.zeros(len(ground.window.events), bool)
    moves[ground.flows.event] = True
    uses = ground.uses
    kept = moves[uses.event]
    return Uses(uses.event[kept], uses.actor[kept], uses.identifier[kept])
