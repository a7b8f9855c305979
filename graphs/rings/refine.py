"""Refinement: from communities to groups without hangers-on, where one account may belong to two.

Leiden puts every linked account somewhere. A friend who lent a phone once hangs on a ring by one thread and looks
innocent otherwise: out. A mule who serves two rings is in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class Groups:
    """Members of groups, sorted by (group, actor); `attachment` (rows,) in [0, 1]: how firmly a member hangs in."""

    group: np.ndarray
    actor: np.ndarray
    attachment: np.ndarray

    @property
    def count(self) -> int:
        return int(self.group.max(initial=-1)) + 1

    @cached_property
    def offsets(self) -> np.ndarray:
        """Rows of group g stand at offsets[g]:offsets[g + 1]."""
        return np.searchsorted(self.group, np.arange(self.count + 1))

    def members(self, group: int) -> np.ndarray:
        return self.actor[self.offsets[group] : self.offsets[group + 1]]

    def where(self, kept: np.ndarray) -> Groups:
        """The rows for which `kept` (rows,) bool holds."""
        return Groups(self.group[kept], self.actor[kept], self.attachment[kept])

    @property
    def sizes(self) -> np.ndarray:
        return np.bincount(self.group, minlength=self.count)


def refine(
    found: np.ndarray,
    links: sp.csr_matrix,
    suspicion: np.ndarray,
    *,
    weak: float,
    second_home: float,
    min_size: int,
    rounds: int = 3,
) -> Groups:
    """Drop weak members, add second homes, forget groups below `min_size`.

    `found` (actors,) community of each account, -1 for none. Attachment is the weight of a member's links inside over
    the mean of its group, at most 1. A member below `weak` goes if it is also less suspicious than half the group's
    mean. An account whose links into another group weigh `second_home` × that group's mean is in that one, too.
    """
    home = found.copy()
    # scipy's int32 would overflow in joint keys of account and group.
    rows, columns = (place.astype(np.int64) for place in links.nonzero())
    weight = np.asarray(links[rows, columns]).ravel() if len(rows) else np.empty(0)
    for _ in range(rounds):
        inside, mean, mean_suspicion = _means(home, rows, columns, weight, suspicion)
        in_group = home >= 0
        firm = np.divide(inside, mean[home], out=np.zeros(len(home)), where=in_group & (mean[home] > 0))
        goes = in_group & (firm < weak) & (suspicion <= 0.5 * mean_suspicion[home])
        goes |= in_group & (inside == 0)
        if not goes.any():
            break
        home = np.where(goes, -1, home)
    inside, mean, _ = _means(home, rows, columns, weight, suspicion)
    members = np.flatnonzero(home >= 0)
    own = Groups(home[members], members, np.minimum(1.0, inside[members] / np.maximum(mean[home[members]], 1e-300)))
    return renumbered(joined(own, _guests(home, mean, rows, columns, weight, second_home)), min_size)


def _means(
    home: np.ndarray, rows: np.ndarray, columns: np.ndarray, weight: np.ndarray, suspicion: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight inside the own group per account, and per group its mean and the mean suspicion (one dummy at the end)."""
    groups = int(home.max(initial=-1)) + 1
    same = (home[rows] == home[columns]) & (home[rows] >= 0)
    inside = np.bincount(rows[same], weights=weight[same], minlength=len(home))
    member = np.flatnonzero(home >= 0)
    size = np.maximum(np.bincount(home[member], minlength=groups + 1), 1)
    mean = np.bincount(home[member], weights=inside[member], minlength=groups + 1) / size
    return inside, mean, np.bincount(home[member], weights=suspicion[member], minlength=groups + 1) / size


def _guests(
    home: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, weight: np.ndarray, least: float
) -> Groups:
    """Accounts with strong links into a group that is not their home."""
    across = (home[columns] >= 0) & (home[rows] >= 0) & (home[rows] != home[columns])
    groups = len(mean)
    key = rows[across] * groups + home[columns[across]]
    pairs, inverse = np.unique(key, return_inverse=True)
    total = np.bincount(inverse, weights=weight[across], minlength=len(pairs))
    actor, group = pairs // groups, pairs % groups
    firm = total / np.maximum(mean[group], 1e-300)
    kept = firm >= least
    return Groups(group[kept], actor[kept], np.minimum(1.0, firm[kept]))


def joined(left: Groups, right: Groups) -> Groups:
    """The rows of both, in order."""
    group = np.concatenate([left.group, right.group])
    actor = np.concatenate([left.actor, right.actor])
    order = np.lexsort((actor, group))
    return Groups(group[order], actor[order], np.concatenate([left.attachment, right.attachment])[order])


def renumbered(groups: Groups, min_size: int) -> Groups:
    """Groups of at least `min_size`, numbered anew without gaps."""
    size = np.bincount(groups.group, minlength=1)
    kept = size[groups.group] >= min_size
    _, number = np.unique(groups.group[kept], return_inverse=True)
    return Groups(number.astype(np.int64), groups.actor[kept], groups.attachment[kept])
