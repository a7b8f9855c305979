"""The finders: from the ground to groups of accounts.

`Communities` is the finder, `Transfers` the one for books of transfers alone, `Components` what both must beat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import scipy.sparse as sp

from graphs.errors import ConfigError
from graphs.rings.bursts import bursts_of
from graphs.rings.chains import chain_pairs, count_passes, passes_of
from graphs.rings.communities import communities
from graphs.rings.components import components
from graphs.rings.ground import Ground
from graphs.rings.projection import Pairs, identifier_weights, link_matrix, shared_pairs
from graphs.rings.refine import Groups, refine
from graphs.rings.regulars import regular_pairs
from graphs.rings.ties import Parties, Ties, Uses, degrees, tie
from graphs.rings.transfers import groups_of_flows, joined_by_accounts, near_in_time, suspicious_flows
from graphs.rings.victims import likely_victims, payees


@dataclass(frozen=True, kw_only=True)
class Finder(ABC):
    """What all finders are told.

    `actor`: entity type of suspects (null: users or accounts); `window_days`, `half_life_days`: how far back, and
    after how long an event counts half; `hub_cap`: an identifier of more accounts never links, `hub_caps`: lower caps
    by type; `burst_minutes`, `chain_hours`, `chain_keeps`: how close in time makes a burst, how soon money is passed
    on and how much of it at least; `min_size`: accounts of the smallest ring; `least_p`: rings below
    this probability are not told; `max_rings`: at most so many are.
    """

    actor: str | None
    window_days: float
    half_life_days: float
    hub_cap: int
    hub_caps: Mapping[str, int]
    min_size: int
    least_p: float
    max_rings: int
    burst_minutes: float
    chain_hours: float
    chain_keeps: float

    def __post_init__(self) -> None:
        faults = [f"{name}: got {getattr(self, name)}, expected {what}" for name, what in self._faults()]
        if faults:
            raise ConfigError("\n".join(faults))

    def _faults(self) -> list[tuple[str, str]]:
        """Names of settings out of range, with what was expected."""
        above_zero = [name for name in ("window_days", "half_life_days", "max_rings") if not getattr(self, name) > 0]
        found = [(name, "more than 0") for name in above_zero]
        found += [(name, "at least 2") for name in ("hub_cap", "min_size") if getattr(self, name) < 2]
        return found + ([("least_p", "0 to 1")] if not 0 <= self.least_p <= 1 else [])

    @abstractmethod
    def type_weight(self, kind: str) -> float:
        """How much sharing an identifier of this type weighs; 0: it never links."""

    def linking(self, parties: Parties) -> np.ndarray:
        """(identifiers,) bool: of a type that can link."""
        links = np.array([self.type_weight(kind) > 0 for kind in parties.identifiers], bool)
        return np.repeat(links, np.diff(parties.offsets))

    @abstractmethod
    def groups(self, ground: Ground, *, seed: int) -> tuple[Groups, sp.csr_matrix]:
        """Groups of accounts, and the links (actors, actors) that hold them together."""


@dataclass(frozen=True, kw_only=True)
class Communities(Finder):
    """Weighted links, Leiden, refinement; docs/rings.md tells what each setting does."""

    type_weights: Mapping[str, float]
    other_weight: float
    gap_days: float
    burst_weight: float
    regulars_weight: float
    chain_weight: float
    least_link: float
    resolution: float
    weak: float
    second_home: float

    def type_weight(self, kind: str) -> float:
        return self.type_weights.get(kind, self.other_weight)

    def groups(self, ground: Ground, *, seed: int) -> tuple[Groups, sp.csr_matrix]:
        links = self.links(ground)
        found = communities(links, resolution=self.resolution, seed=seed)
        refined = refine(
            found, links, ground.suspicion.actor,
            weak=self.weak, second_home=self.second_home, min_size=self.min_size,
        )  # fmt: skip
        return refined, links

    def links(self, ground: Ground) -> sp.csr_matrix:
        """Shared identifiers, bursts, bad regulars and money passed on, as one symmetric matrix over the accounts."""
        parties, suspicion = ground.parties, ground.suspicion
        per_type = {kind: self.type_weight(kind) for kind in parties.identifiers}
        weights = identifier_weights(parties, ground.ties, ground.hubs, suspicion, per_type)
        circle = self._circle(ground)
        wide = degrees(circle, len(weights)) > ground.hubs.cap
        shared = shared_pairs(circle, np.where(wide, 0.0, weights), suspicion, gap_days=self.gap_days)
        passes = passes_of(ground.window, ground.flows, hours=self.chain_hours, least=self.chain_keeps)
        chained = chain_pairs(ground.flows, passes, suspicion, weight=self.chain_weight)
        regulars = regular_pairs(
            ground, self.linking(parties), weight=self.regulars_weight, gap_days=self.gap_days
        )  # fmt: skip
        pairs = [shared, self._burst_pairs(ground), chained, regulars]
        apart = likely_victims(ground, count_passes(ground.flows, passes, ground.actor_count))
        apart[ground.hints.alone] = True
        return link_matrix([_without(apart, part) for part in pairs], ground.actor_count, least=self.least_link)

    def _circle(self, ground: Ground) -> Ties:
        """The ties, and those of whoever is paid from a device as if they had used it."""
        paid = payees(ground)
        if not len(paid.event):
            return ground.ties
        return tie(ground.window, _joined(ground.uses, paid), ground.suspicion.grouping)

    def _burst_pairs(self, ground: Ground) -> Pairs:
        """Bursts at what doesn't link by itself (merchants), as far as both accounts are suspicious."""
        bursts = bursts_of(ground.window, ground.uses, days=self.window_days, minutes=self.burst_minutes)
        rare = ~ground.hubs.hub[bursts.identifier]
        actor = ground.suspicion.actor
        both = np.sqrt(actor[bursts.left] * actor[bursts.right]) if ground.suspicion.scored else 0.1
        weight = self.burst_weight * bursts.surprise * both * rare
        return Pairs(bursts.left, bursts.right, weight).where(weight > 0)


def _joined(uses: Uses, more: Uses) -> Uses:
    parts = [np.concatenate([getattr(each, column.name) for each in (uses, more)]) for column in fields(Uses)]
    return Uses(*parts)


def _without(apart: np.ndarray, pairs: Pairs) -> Pairs:
    return pairs.where(~(apart[pairs.left] | apart[pairs.right]))


@dataclass(frozen=True, kw_only=True)
class Transfers(Finder):
    """Leiden over the suspicious transfers: for accounts that share no device or card with each other.

    `times_usual`: how many times as suspicious as the mean a transfer must be; `fade_days`: how soon two transfers of
    an account stop hanging together; `resolution`: the link weight that holds a ring together; `same_accounts`:
    communities of transfers with this share of the smaller's accounts in common are one ring.
    """

    times_usual: float
    fade_days: float
    resolution: float
    same_accounts: float

    def type_weight(self, kind: str) -> float:
        return 0.0

    def groups(self, ground: Ground, *, seed: int) -> tuple[Groups, sp.csr_matrix]:
        flows = suspicious_flows(ground, times_usual=self.times_usual)
        near = near_in_time(ground, flows, fade_days=self.fade_days)
        community = communities(near, resolution=self.resolution, seed=seed)
        community = joined_by_accounts(ground, flows, community, same=self.same_accounts)
        groups = groups_of_flows(ground, flows, community, min_size=self.min_size)
        source, target = ground.flows.source[flows], ground.flows.target[flows]
        moved = Pairs(source, target, ground.suspicion.event[ground.flows.event[flows]])
        return groups, link_matrix([moved], ground.actor_count, least=0.0)


@dataclass(frozen=True, kw_only=True)
class Components(Finder):
    """Connected components over shared identifiers of the types `link_types` below the hub cap: the baseline."""

    link_types: tuple[str, ...]

    def type_weight(self, kind: str) -> float:
        return float(kind in self.link_types)

    def groups(self, ground: Ground, *, seed: int) -> tuple[Groups, sp.csr_matrix]:
        parties, ties = ground.parties, ground.ties
        used = self.linking(parties)[ties.identifier] & ~ground.hubs.hub[ties.identifier]
        identifier, actor = ties.identifier[used], ties.actor[used]
        same = np.diff(identifier) == 0
        left, right = actor[:-1][same], actor[1:][same]
        pairs = Pairs(left, right, np.ones(len(left)))
        found = components(ground.actor_count, left, right)
        size = np.bincount(found)
        members = np.flatnonzero(size[found] >= self.min_size)
        members = members[np.argsort(found[members], kind="stable")]
        _, number = np.unique(found[members], return_inverse=True)
        groups = Groups(number.astype(np.int64), members, np.ones(len(members)))
        return groups, link_matrix([pairs], ground.actor_count, least=0.0)
