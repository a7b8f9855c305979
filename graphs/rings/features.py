"""What a group looks like, in numbers: the columns that P(ring) is made of, for all groups at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from graphs.rings.bursts import Bursts
from graphs.rings.chains import Passes
from graphs.rings.ground import Ground
from graphs.rings.refine import Groups

FEATURES = (
    "log_users",
    "suspicion_mean",
    "suspicion_max",
    "suspects_share",
    "log_link",
    "separation",
    "shared_per_user",
    "exclusivity",
    "bursts_per_user",
    "passes_per_user",
    "known_fraud_per_user",
    "identifiers_per_user",
)
"""log_users: ln of the members. suspicion_mean, suspicion_max, suspects_share (share above .3): of the members.
log_link: ln of the mean weight between two members. separation: weight inside over weight of all links of the members.
shared_per_user: identifiers that two or more members use. exclusivity: share of the use of these that is the members'.
bursts_per_user: pairs of members within minutes on one thing that is no hub. passes_per_user: money passed on by
members. known_fraud_per_user: confirmed frauds of members. identifiers_per_user: of types that can link. The last five
and shared_per_user as ln(1 + x)."""


@dataclass(frozen=True)
class Shared:
    """Which identifiers tie which group: `group`, `identifier`, `members` (how many members used it), all (n,)."""

    group: np.ndarray
    identifier: np.ndarray
    members: np.ndarray


def membership(groups: Groups, actors: int) -> sp.csr_matrix:
    """(groups, actors) matrix of ones."""
    ones = np.ones(len(groups.actor))
    return sp.csr_matrix((ones, groups.actor, groups.offsets), shape=(groups.count, actors))


def shared_identifiers(ground: Ground, groups: Groups) -> Shared:
    """Every identifier, hubs too, that two or more members of a group used, sorted by (group, identifier)."""
    group, tie = ties_of_members(ground, groups)
    identifiers = int(ground.parties.offsets[-1])
    key, members = np.unique(group * identifiers + ground.ties.identifier[tie], return_counts=True)
    kept = members >= 2
    return Shared(key[kept] // identifiers, key[kept] % identifiers, members[kept])


def ties_of_members(ground: Ground, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """(group, position in the ties) of every tie of every member, linear in these."""
    order = np.argsort(ground.ties.actor, kind="stable")
    offsets = np.searchsorted(ground.ties.actor[order], np.arange(ground.actor_count + 1))
    start, stop = offsets[groups.actor], offsets[groups.actor + 1]
    row = np.repeat(np.arange(len(groups.actor)), stop - start)
    inside = np.arange(len(row)) - np.repeat(np.cumsum(stop - start) - (stop - start), stop - start)
    return groups.group[row], order[start[row] + inside]


def features_of(
    ground: Ground,
    groups: Groups,
    links: sp.csr_matrix,
    shared: Shared,
    bursts: Bursts,
    passes: Passes,
    linking: np.ndarray,
) -> np.ndarray:
    """(groups, features) float64, columns as in FEATURES; `linking` (identifiers,) bool: of a type that can link."""
    if not groups.count:
        return np.empty((0, len(FEATURES)))
    suspicion, count = ground.suspicion.actor, groups.count
    member = membership(groups, ground.actor_count)
    users = groups.sizes.astype(float)

    def per_group(values: np.ndarray) -> np.ndarray:
        return np.bincount(groups.group, weights=values[groups.actor], minlength=count)

    touching = member @ links
    inside = np.asarray(touching.multiply(member).sum(axis=1)).ravel()
    every = np.asarray(touching.sum(axis=1)).ravel()
    worst = np.maximum.reduceat(suspicion[groups.actor], groups.offsets[:-1])
    fraud_events = np.flatnonzero((ground.window.label == 1) & (ground.actors >= 0))
    frauds = np.bincount(ground.actors[fraud_events], minlength=ground.actor_count)
    passed = np.bincount(ground.flows.source[passes.outgoing], minlength=ground.actor_count)
    mine = linking[ground.ties.identifier] & ~ground.hubs.hub[ground.ties.identifier]
    held = np.bincount(ground.ties.actor[mine], minlength=ground.actor_count)
    tying = linking[shared.identifier] & ~ground.hubs.hub[shared.identifier]
    shared_count = np.bincount(shared.group[tying], minlength=count)
    return np.column_stack([
        np.log(users),
        per_group(suspicion) / users,
        worst,
        per_group((suspicion > 0.3).astype(float)) / users,
        np.log(np.maximum(inside / np.maximum(users * (users - 1), 1), 1e-9)),
        inside / np.maximum(every, 1e-300),
        np.log1p(shared_count / users),
        _exclusivity(ground, groups, shared, tying),
        np.log1p(_bursts_inside(ground, member, bursts) / users),
        np.log1p(per_group(passed) / users),
        np.log1p(per_group(frauds) / users),
        np.log1p(per_group(held) / users),
    ])  # fmt: skip


def _exclusivity(ground: Ground, groups: Groups, shared: Shared, tying: np.ndarray) -> np.ndarray:
    """Mass of members' ties to the shared identifiers over the mass of everybody's: (groups,)."""
    identifiers = int(ground.parties.offsets[-1])
    group, tie = ties_of_members(ground, groups)
    chosen = shared.group[tying] * identifiers + shared.identifier[tying]
    counts = np.isin(group * identifiers + ground.ties.identifier[tie], chosen)
    mine = np.bincount(group[counts], weights=ground.ties.mass[tie[counts]], minlength=groups.count)
    total = np.bincount(ground.ties.identifier, weights=ground.ties.mass, minlength=identifiers)
    every = np.bincount(shared.group[tying], weights=total[shared.identifier[tying]], minlength=groups.count)
    return mine / np.maximum(every, 1e-300)


def _bursts_inside(ground: Ground, member: sp.csr_matrix, bursts: Bursts) -> np.ndarray:
    """Surprising bursts between two members, at what is no hub: (groups,)."""
    rare = np.flatnonzero(~ground.hubs.hub[bursts.identifier] & (bursts.surprise > 0.5))
    left, right = member.T.tocsr()[bursts.left[rare]], member.T.tocsr()[bursts.right[rare]]
    return np.asarray(left.multiply(right).multiply(bursts.surprise[rare][:, None]).sum(axis=0)).ravel()
