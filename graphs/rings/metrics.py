"""How good found rings are, beside the truth: the ring metrics of docs/rings.md, each with one exact definition.

A ring is a set of users here. Predicted rings come in order of rank; nothing is assumed to be disjoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from graphs.rings.lineage import jaccard

Ring = frozenset[str]

SAME = 0.5
"""From this Jaccard index on, a predicted ring is the true one."""


def ring_recall(predicted: Sequence[Ring], true: Sequence[Ring], *, same: float = SAME) -> float:
    """Share of true rings with a predicted ring of Jaccard ≥ `same`; NaN without true rings.

    >>> ring_recall([frozenset("abc")], [frozenset("abcd"), frozenset("xy")])
    0.5
    """
    found = _best(true, predicted)
    return _share([index >= same for _, index in found])


def recall_by_kind(
    predicted: Sequence[Ring], true: Sequence[Ring], kinds: Sequence[str], *, same: float = SAME
) -> dict[str, float]:
    """`ring_recall` of the true rings of each kind; the worst archetype is the least of them."""
    return {
        kind: ring_recall(predicted, [ring for ring, its in zip(true, kinds, strict=True) if its == kind], same=same)
        for kind in sorted(set(kinds))
    }


def precision_at(predicted: Sequence[Ring], true: Sequence[Ring], k: int, *, same: float = SAME) -> float:
    """Share of the first k predicted rings that are a true ring, one to one: who finds a ring again has a miss.

    Each predicted ring, in order of rank, takes the closest true ring that is left. Of fewer than k predicted rings
    all count and no more (recall tells what is missing); NaN without any.
    """
    left = set(range(len(true)))
    hits = []
    near = _neighbours(predicted[:k], true)
    for place in range(len(predicted[:k])):
        close = [(index, -ring) for ring, index in near[place].items() if ring in left and index >= same]
        if close:
            left.discard(-max(close)[1])
        hits.append(bool(close))
    return _share(hits)


@dataclass(frozen=True)
class Agreement:
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def b_cubed(predicted: Sequence[Ring], true: Sequence[Ring]) -> Agreement:
    """Extended B³ (Amigó et al. 2009, section 5) over all users of a predicted or true ring.

    For a user, precision is the mean over everybody sharing a predicted ring with them (themselves, too) of
    min(predicted rings shared, true rings shared) / predicted rings shared; recall swaps the two. A user in no
    predicted ring is alone, as is one in no true ring.
    """
    users = sorted(set().union(*predicted, *true))
    guessed, told = _with_singles(predicted, users), _with_singles(true, users)
    return Agreement(_b_cubed_side(users, guessed, told), _b_cubed_side(users, told, guessed))


def pairwise(predicted: Sequence[Ring], true: Sequence[Ring]) -> Agreement:
    """Of the pairs of users in one predicted ring, the share in one true ring; and the other way round."""
    guessed, told = _pairs(predicted), _pairs(true)
    both = len(guessed & told)
    return Agreement(both / len(guessed) if guessed else 0.0, both / len(told) if told else 0.0)


def over_merge(predicted: Sequence[Ring], true: Sequence[Ring]) -> float:
    """Share of predicted rings that hold two or more users each of two or more true rings; NaN without any."""
    return _share([len(_held(ring, true)) >= 2 for ring in predicted])


def fragmentation(predicted: Sequence[Ring], true: Sequence[Ring]) -> float:
    """Mean number of predicted rings that hold two or more users of a true ring, over true rings with at least one.

    1 means that no ring came in pieces; NaN where none was touched.
    """
    pieces = [len(_held(ring, predicted)) for ring in true]
    touched = [count for count in pieces if count]
    return sum(touched) / len(touched) if touched else float("nan")


def innocents_per_100(predicted: Sequence[Ring], guilty: Collection[str], k: int) -> float:
    """Users of the first k predicted rings who are in no true ring (victims, too), per 100 who are."""
    users = set().union(*predicted[:k]) if predicted else set()
    bad = len(users & set(guilty))
    return 100 * (len(users) - bad) / bad if bad else float("nan") if not users else float("inf")


def hard_negative_rates(
    predicted: Sequence[Ring],
    true: Sequence[Ring],
    groups: Mapping[str, Sequence[Ring]],
    k: int,
    *,
    same: float = SAME,
) -> dict[str, float]:
    """Per class of innocent groups, the share of the first k predicted rings that are one of its groups.

    A predicted ring is such a group if it is no true ring (Jaccard < `same` with all) and at least half of its users
    are members of that one group.
    """
    top = predicted[:k]
    wrong = [ring for ring, (_, index) in zip(top, _best(top, true), strict=True) if index < same]
    rates = {}
    for name, members in groups.items():
        at = _places(members)
        hits = [ring for ring in wrong if _most_in_one(ring, at) * 2 >= len(ring)]
        rates[name] = len(hits) / len(top) if top else 0.0
    return rates


@dataclass(frozen=True)
class Alert:
    """What a run told: rings in order of rank with their ids, as of an instant (µs UTC)."""

    as_of: int
    rings: Sequence[Ring]
    ids: Sequence[str] = ()
    aliases: Sequence[Collection[str]] = ()


@dataclass(frozen=True)
class Loss:
    """A fraudulent event of a true ring: when, how much, and the ring's users in it."""

    time: int
    value: float
    users: Ring


def value_recall_at(alerts: Sequence[Alert], losses: Sequence[Loss], k: int) -> float:
    """Share of the fraudulent money that moves through a user after that user was first in one of the top k rings.

    A loss is caught if any of its users was in a top-k ring of an alert with as_of ≤ its time: the money an
    investigator who works k rings a run could have stopped. NaN without losses.
    """
    known: dict[str, int] = {}
    for alert in sorted(alerts, key=lambda alert: alert.as_of):
        for ring in alert.rings[:k]:
            for user in ring:
                known.setdefault(user, alert.as_of)
    total = sum(loss.value for loss in losses)
    caught = sum(
        loss.value for loss in losses if any(known.get(user, loss.time + 1) <= loss.time for user in loss.users)
    )
    return caught / total if total else float("nan")


def detection_days(
    alerts: Sequence[Alert], true: Sequence[Ring], begun: Sequence[int], k: int, *, same: float = SAME
) -> list[float]:
    """Days from each true ring's first fraud (`begun`, µs UTC) to the first alert with it in the top k; infinite if
    none has."""
    found = [float("inf")] * len(true)
    for alert in sorted(alerts, key=lambda alert: alert.as_of):
        for place, (_, index) in enumerate(_best(true, alert.rings[:k])):
            if index >= same and found[place] == float("inf"):
                found[place] = max(0.0, (alert.as_of - begun[place]) / 86_400_000_000)
    return found


def kept_share(before: Sequence[Ring], after: Sequence[Ring], *, same: float = SAME) -> float:
    """Share of the rings of one run that another run has, too (Jaccard ≥ `same`): stability, 1 under a rerun."""
    return ring_recall(after, before, same=same)


def id_switches_per_100(alerts: Sequence[Alert], true: Sequence[Ring], *, same: float = SAME) -> float:
    """How often a true ring changes its id from one run to the next, per 100 ring-runs in which it was found.

    In each run a true ring has the id of the closest predicted ring (Jaccard ≥ `same`). Another id than in the last
    run that found it is a switch, unless the new ring bears the old id as an alias. With daily runs these are
    ring-days. NaN if nothing was found.
    """
    last: dict[int, str] = {}
    switches = seen = 0
    for alert in sorted(alerts, key=lambda alert: alert.as_of):
        for place, (other, index) in enumerate(_best(true, alert.rings)):
            if index < same:
                continue
            seen += 1
            aliases = alert.aliases[other] if alert.aliases else ()
            switches += place in last and last[place] != alert.ids[other] and last[place] not in aliases
            last[place] = alert.ids[other]
    return 100 * switches / seen if seen else float("nan")


def _best(rings: Sequence[Ring], others: Sequence[Ring]) -> list[tuple[int, float]]:
    """For each ring the (position, Jaccard) of the closest other, the first of equals; (-1, 0) if none touches it."""
    closest = []
    for found in _neighbours(rings, others):
        place = max(found, key=lambda place: (found[place], -place), default=-1)
        closest.append((place, found.get(place, 0.0)))
    return closest


def _neighbours(rings: Sequence[Ring], others: Sequence[Ring]) -> list[dict[int, float]]:
    at = _places(others)
    return [
        {place: jaccard(ring, others[place]) for place in sorted({p for user in ring for p in at.get(user, ())})}
        for ring in rings
    ]


def _places(rings: Sequence[Ring]) -> dict[str, list[int]]:
    at: dict[str, list[int]] = {}
    for place, ring in enumerate(rings):
        for user in ring:
            at.setdefault(user, []).append(place)
    return at


def _most_in_one(ring: Ring, at: Mapping[str, Sequence[int]]) -> int:
    """How many of the ring's users the group with most of them has; `at`: groups by user."""
    return max(Counter(group for user in ring for group in at.get(user, ())).values(), default=0)


def _held(ring: Ring, others: Sequence[Ring]) -> list[int]:
    """Positions of the others that share two or more users with the ring."""
    return [place for place, other in enumerate(others) if len(ring & other) >= 2]


def _with_singles(rings: Sequence[Ring], users: Sequence[str]) -> list[Ring]:
    covered = set().union(*rings) if rings else set()
    return [*rings, *(frozenset({user}) for user in users if user not in covered)]


def _b_cubed_side(users: Sequence[str], rings: Sequence[Ring], other: Sequence[Ring]) -> float:
    mine, theirs = _places(rings), _places(other)
    total = 0.0
    for user in users:
        together = Counter(mate for place in mine[user] for mate in rings[place])
        there = Counter(mate for place in theirs[user] for mate in other[place])
        total += sum(min(count, there[mate]) / count for mate, count in together.items()) / len(together)
    return total / len(users) if users else float("nan")


def _pairs(rings: Sequence[Ring]) -> set[tuple[str, str]]:
    return {pair for ring in rings for pair in combinations(sorted(ring), 2)}


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else float("nan")
