"""`Dossier`: everything about one ring that an investigator asks first: who, with what, since when, how much.

A ring's payments are those of its members that touch what ties the ring together, or look bad by themselves: a mule
still buys bread, and the bread is not the ring's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from graphs.events import MISSING
from graphs.rings.bursts import Bursts
from graphs.rings.chains import Passes
from graphs.rings.features import Shared
from graphs.rings.ground import Ground
from graphs.rings.refine import Groups

_BAD = 0.5
"""An event this suspicious belongs to the ring whatever it touches."""


@dataclass(frozen=True)
class Dossier:
    """One group. Arrays are codes or positions as in `Ground`.

    `members` (m,) sorted accounts with `attachment`; `identifiers` (i,) what ties them, hubs left out, with `users`
    (i,) members on each; `hubs` (h,) what they share and is too common to tie; `events` (e,) positions in the window
    of the ring's events, in time order; `flows` (f,) positions in the ground's flows with a member on either side;
    `passes` (p,) positions in the passes of members; `bursts` (b,) positions in the bursts between members; `ties`
    (t,) positions in the ground's ties between members and what they share.
    """

    members: np.ndarray
    attachment: np.ndarray
    identifiers: np.ndarray
    users: np.ndarray
    hubs: np.ndarray
    events: np.ndarray
    flows: np.ndarray
    passes: np.ndarray
    bursts: np.ndarray
    ties: np.ndarray


class Archive:
    """Finds what belongs to a group without looking through everything each time."""

    def __init__(
        self, ground: Ground, groups: Groups, shared: Shared, bursts: Bursts, passes: Passes, linking: np.ndarray
    ) -> None:
        self._ground, self._groups, self._shared = ground, groups, shared
        self._bursts, self._passes, self._linking = bursts, passes, linking
        count = ground.actor_count
        self._events = _Index(ground.actors, count)
        self._sent = _Index(ground.flows.source, count)
        self._received = _Index(ground.flows.target, count)
        self._ties = _Index(ground.ties.actor, count)
        self._uses = _Index(ground.uses.event, len(ground.window.events))
        self._passed = _Index(ground.flows.source[passes.outgoing], count)
        self._burst = _Index(bursts.left, count)
        self._shared_at = np.searchsorted(shared.group, np.arange(groups.count + 1))

    def dossiers(self, chosen: np.ndarray) -> Iterator[Dossier]:
        for group in chosen.tolist():
            yield self._dossier(group)

    def _dossier(self, group: int) -> Dossier:
        ground = self._ground
        rows = slice(self._groups.offsets[group], self._groups.offsets[group + 1])
        members = self._groups.members(group)
        shared = slice(self._shared_at[group], self._shared_at[group + 1])
        identifiers, users = self._shared.identifier[shared], self._shared.members[shared]
        tying = self._linking[identifiers] & ~ground.hubs.hub[identifiers]
        rare = ~ground.hubs.hub[identifiers] & ~tying
        flows = np.union1d(self._sent.of(members), self._received.of(members))
        bursts = self._burst.of(members)
        bursts = bursts[np.isin(self._bursts.right[bursts], members) & (self._bursts.surprise[bursts] > 0.5)]
        bursts = bursts[~ground.hubs.hub[self._bursts.identifier[bursts]]]
        # A merchant is the ring's if its members met there in bursts.
        tying |= rare & np.isin(identifiers, self._bursts.identifier[bursts])
        ties = self._ties.of(members)
        ties = ties[np.isin(ground.ties.identifier[ties], identifiers)]
        return Dossier(
            members=members,
            attachment=self._groups.attachment[rows],
            identifiers=identifiers[tying],
            users=users[tying],
            hubs=identifiers[~tying],
            events=self._events_of(members, identifiers[tying], flows),
            flows=flows,
            passes=self._passed.of(members),
            bursts=bursts,
            ties=ties,
        )

    def _events_of(self, members: np.ndarray, identifiers: np.ndarray, flows: np.ndarray) -> np.ndarray:
        ground = self._ground
        own = self._events.of(members)
        at, uses = self._uses.rows(own)
        touches = np.zeros(len(own), bool)
        np.logical_or.at(touches, at, np.isin(ground.uses.identifier[uses], identifiers))
        inside = np.isin(ground.flows.source[flows], members) & np.isin(ground.flows.target[flows], members)
        bad = ground.suspicion.event[ground.flows.event[flows]] >= _BAD
        kept = own[touches | (ground.suspicion.event[own] >= _BAD)]
        events = np.union1d(kept, ground.flows.event[flows[inside | bad]])
        return events[np.lexsort((events, ground.window.time[events]))]


class _Index:
    """Rows by code: `of(codes)` gives the sorted rows that have one of the codes."""

    def __init__(self, codes: np.ndarray, count: int) -> None:
        there = np.flatnonzero(codes != MISSING)
        self._order = there[np.argsort(codes[there], kind="stable")]
        self._offsets = np.searchsorted(codes[self._order], np.arange(count + 1))

    def of(self, codes: np.ndarray) -> np.ndarray:
        return np.sort(self.rows(codes)[1])

    def rows(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(place in `codes`, row) for every row of every code."""
        start, stop = self._offsets[codes], self._offsets[codes + 1]
        at = np.repeat(np.arange(len(codes)), stop - start)
        inside = np.arange(len(at)) - np.repeat(np.cumsum(stop - start) - (stop - start), stop - start)
        return at, self._order[start[at] + inside]
