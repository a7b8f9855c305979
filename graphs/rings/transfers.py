"""Communities of transfers: where money is the only tie, a ring is bad transfers that hang together in time.

Accounts serve one ring after another, so that cutting accounts into groups glues rings together or tears them. What is
cut here are the suspicious transfers: two are linked if they share an account, the more the closer in time (link
communities; Ahn, Bagrow, Lehmann 2010). An account is in every ring that has a transfer of it.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numba import njit

from graphs.events import MICROSECONDS_PER_DAY
from graphs.rings.components import components
from graphs.rings.ground import Ground
from graphs.rings.refine import Groups, renumbered

_REACH = 5.0
"""Transfers more than so many fades apart are not linked: e^-5 is below any resolution that makes sense."""

_NEXT = 50
"""How many later transfers of an account one transfer is linked to at most: it keeps the pairs linear."""

_FEW, _GATHERED = 3, 3
"""A mule is paid by at most `_FEW` accounts, a collector by at least `_GATHERED`."""


def suspicious_flows(ground: Ground, *, times_usual: float) -> np.ndarray:
    """Positions in the flows, in time order, of those `times_usual` as suspicious as the mean, or by one half anyway.

    Fraud is a share of transfers that differs by a hundred between books, and calibrated scores with it. Without
    scores and known fraud all are alike, and none is suspicious.
    """
    score = ground.suspicion.event[ground.flows.event]
    return np.flatnonzero(score >= min(0.5, times_usual * float(score.mean() if len(score) else 1.0)))


def near_in_time(ground: Ground, flows: np.ndarray, *, fade_days: float) -> sp.csr_matrix:
    """Symmetric (flows, flows): per shared account e^(-days between / fade_days)."""
    count = len(flows)
    account = np.concatenate([ground.flows.source[flows], ground.flows.target[flows]])
    place = np.tile(np.arange(count), 2)
    order = np.lexsort((place, account))
    days = ground.window.time[ground.flows.event[flows]] / MICROSECONDS_PER_DAY
    left, right, weight = _near(account[order], place[order], days, fade_days, _REACH * fade_days, _NEXT)
    half = sp.coo_matrix((weight, (left, right)), shape=(count, count)).tocsr()
    return (half + half.T).tocsr()


def joined_by_accounts(ground: Ground, flows: np.ndarray, community: np.ndarray, *, same: float) -> np.ndarray:
    """Communities (flows,) with those made one that the same accounts come back in after a pause.

    Two are one if they have two or more accounts in common, and these are a share `same` of the smaller's.
    """
    kept = np.flatnonzero(community >= 0)
    if not len(kept):
        return community
    ends = np.concatenate([ground.flows.source[flows[kept]], ground.flows.target[flows[kept]]])
    pairs = np.unique(np.stack([np.tile(community[kept], 2), ends]), axis=1)
    count = int(pairs[0].max()) + 1
    member = sp.csr_matrix((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(count, ground.actor_count))
    size = np.bincount(pairs[0], minlength=count)
    common = sp.triu(member @ member.T, k=1).tocoo()
    one = (common.data >= 2) & (common.data >= same * np.minimum(size[common.row], size[common.col]))
    joined = components(count, common.row[one].astype(np.int64), common.col[one].astype(np.int64))
    return np.where(community >= 0, joined[community], -1)


def groups_of_flows(ground: Ground, flows: np.ndarray, community: np.ndarray, *, min_size: int) -> Groups:
    """Accounts of each community of flows ((flows,), -1 for none) but the robbed, in groups of at least `min_size`.

    Attachment is an account's share of its group's transfers over the mean share, at most 1.
    """
    kept = np.flatnonzero(community >= 0)
    source, target = ground.flows.source[flows[kept]], ground.flows.target[flows[kept]]
    # Joint keys of community and account are 64 bits.
    base = community[kept].astype(np.int64) * ground.actor_count
    ends = np.concatenate([base + source, base + target])
    key, transfers = np.unique(ends, return_counts=True)
    mean = np.bincount(key // ground.actor_count, weights=transfers) / np.bincount(key // ground.actor_count).clip(1)
    stays = ~np.isin(key, robbed(base + source, base + target))
    group, actor = key[stays] // ground.actor_count, key[stays] % ground.actor_count
    attachment = np.minimum(1.0, transfers[stays] / mean[group])
    return renumbered(Groups(group, actor, attachment), min_size)


def robbed(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The accounts, of transfers from `source` to `target`, whose one payment is the money that others launder.

    Such an account is sent nothing and pays one mule: an account that few pay, and that pays a collector whom several
    do. Whoever pays a collector, or several accounts, is of the ring.
    """
    pairs = np.unique(np.stack([source, target]), axis=1)
    accounts, ends = np.unique(pairs, return_inverse=True)
    payer, payee = ends.reshape(2, -1)
    payers, payees = (np.bincount(side, minlength=len(accounts)) for side in (payee, payer))
    feeds = np.bincount(payer, weights=payers[payee] >= _GATHERED, minlength=len(accounts)) > 0
    mule = feeds & (payers <= _FEW)
    pays_mule = np.bincount(payer, weights=mule[payee], minlength=len(accounts)) > 0
    return accounts[(payers == 0) & (payees == 1) & pays_mule]


@njit(cache=True)
def _near(account, place, days, fade, reach, most):  # type: ignore[no-untyped-def]
    left, right, weight = [0][:0], [0][:0], [0.0][:0]
    for i in range(len(account)):
        for j in range(i + 1, min(i + 1 + most, len(account))):
            gap = days[place[j]] - days[place[i]]
            if account[j] != account[i] or gap > reach:
                break
            left.append(place[i])
            right.append(place[j])
            weight.append(np.exp(-gap / fade))
    return np.array(left), np.array(right), np.array(weight)
