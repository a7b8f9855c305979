"""The sparse projection: from accounts and what they share to weighted links between accounts.

An identifier says the more the fewer share it and the more suspicious those are, so kiosks, families and networks
fade by themselves: type weight × suspicion / log2(1 + degree). Hubs say nothing; the cap keeps the pairs linear in
the ties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numba import njit

from graphs.events import MICROSECONDS_PER_DAY
from graphs.rings.hubs import Hubs
from graphs.rings.suspicion import PRIOR, Suspicion
from graphs.rings.ties import Parties, Ties

_SHRINK = 1.0
"""How many accounts of PRIOR suspicion an identifier's own accounts are weighed against."""


@dataclass(frozen=True)
class Pairs:
    """Undirected links between accounts, not yet summed: `left`, `right` (pairs,) int64, `weight` (pairs,) > 0."""

    left: np.ndarray
    right: np.ndarray
    weight: np.ndarray

    def where(self, kept: np.ndarray) -> Pairs:
        """The links for which `kept` (pairs,) bool holds."""
        return Pairs(self.left[kept], self.right[kept], self.weight[kept])


def identifier_weights(
    parties: Parties, ties: Ties, hubs: Hubs, suspicion: Suspicion, type_weights: Mapping[str, float]
) -> np.ndarray:
    """Weight of each identifier as a link: (identifiers,) float64, 0 for hubs and for types without a weight.

    Suspicion is the mean over the ties of √(tie × account), shrunk towards PRIOR, so that one bad customer does not
    make a shop suspicious. Without scores all are alike and the degree alone decides.
    """
    count = len(hubs.degree)
    per_type = np.array([type_weights.get(kind, 0.0) for kind in parties.identifiers])
    weight = np.repeat(per_type, np.diff(parties.offsets))
    each = np.sqrt(ties.score * suspicion.actor[ties.actor])
    total = np.bincount(ties.identifier, weights=each, minlength=count)
    shrunk = (total + _SHRINK * PRIOR) / (hubs.degree + _SHRINK) if suspicion.scored else np.ones(count)
    linking = ~hubs.hub & (hubs.degree > 1)
    return np.where(linking, weight * shrunk / np.log2(1 + np.maximum(hubs.degree, 1)), 0.0)


def shared_pairs(ties: Ties, weights: np.ndarray, suspicion: Suspicion, *, gap_days: float) -> Pairs:
    """Link the accounts of every identifier with a weight.

    A pair gets the identifier's weight × √(s_u s_v), s being the account's own suspicion or that of its tie, times
    how close in time the two used it: 1 while their spans of use overlap, fading over `gap_days` where one had it
    after the other, as with a phone sold second-hand.
    """
    used = np.flatnonzero(weights[ties.identifier] > 0)
    identifier = ties.identifier[used]
    starts = np.flatnonzero(np.diff(identifier, prepend=-1))
    sizes = np.diff(starts, append=len(identifier))
    count = int((sizes * (sizes - 1) // 2).sum())
    strength = np.sqrt(np.maximum(suspicion.actor[ties.actor[used]], ties.score[used])) if suspicion.scored else (
        np.ones(len(used))
    )  # fmt: skip
    left, right = np.empty(count, np.int64), np.empty(count, np.int64)
    weight = np.empty(count)
    _emit(
        starts, sizes, ties.actor[used], strength, ties.mass[used], ties.first[used], ties.last[used],
        weights[identifier], gap_days * MICROSECONDS_PER_DAY, left, right, weight,
    )  # fmt: skip
    return Pairs(left, right, weight)


def link_matrix(pairs: list[Pairs], actors: int, *, least: float) -> sp.csr_matrix:
    """Sum pairs into a symmetric (actors, actors) matrix without links weaker than `least`.

    Rows and columns are in order, so the same pairs in any order give the same matrix up to rounding; sums are
    rounded to 12 digits so that not even that is left.
    """
    left = np.concatenate([part.left for part in pairs])
    right = np.concatenate([part.right for part in pairs])
    weight = np.concatenate([part.weight for part in pairs])
    low, high = np.minimum(left, right), np.maximum(left, right)
    half = sp.coo_matrix((weight, (low, high)), shape=(actors, actors)).tocsr()
    half.sum_duplicates()
    half.data = np.round(half.data, 12)
    half.data[half.data < least] = 0
    half.eliminate_zeros()
    return (half + half.T).tocsr()


@njit(cache=True)
def _emit(starts, sizes, actor, strength, mass, first, last, weights, fade, left, right, weight):  # type: ignore[no-untyped-def]
    at = 0
    for group in range(len(starts)):
        start, stop = starts[group], starts[group] + sizes[group]
        for i in range(start, stop):
            for j in range(i + 1, stop):
                gap = max(first[i], first[j]) - min(last[i], last[j])
                near = np.exp(-gap / fade) if gap > 0 else 1.0
                seen = np.sqrt(min(mass[i], 1.0) * min(mass[j], 1.0))
                left[at], right[at] = actor[i], actor[j]
                weight[at] = weights[i] * strength[i] * strength[j] * near * seen
                at += 1
