"""Lineage: the same ring keeps its id from run to run, whoever joins or leaves.

An investigator's case hangs on the id. Rings of this run are matched to those of the last by their members, rings
with an open case first; what merged keeps the oldest name and carries the other as an alias, what split points back.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

JACCARD = 0.3
CONTAINED = 0.6
"""A ring goes on in one of this run if they overlap by this Jaccard index, or this share of the smaller is in both."""


@dataclass(frozen=True)
class Earlier:
    """A ring as the last run left it; `first_seen` µs UTC. `rank` breaks ties: the better ring keeps its name."""

    ring_id: str
    members: frozenset[str]
    first_seen: int
    aliases: tuple[str, ...] = ()
    rank: int = 0


@dataclass(frozen=True)
class Descent:
    """What became of a group: its id, and how it relates to the last run. `jaccard` with what it continues, else 0."""

    ring_id: str
    status: str
    first_seen: int
    parents: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    jaccard: float = 0.0


@dataclass(frozen=True)
class Lineage:
    """`descents` in the order of the groups; `dormant`: earlier rings that nothing of this run goes on from;
    `changes`: rows (ring_id, change, other ring or None, jaccard)."""

    descents: tuple[Descent, ...]
    dormant: tuple[Earlier, ...]
    changes: tuple[tuple[str, str, str | None, float], ...] = field(default=())


def trace(
    groups: Sequence[frozenset[str]],
    earlier: Sequence[Earlier],
    *,
    as_of: int,
    open_rings: Collection[str] = (),
    dormant_before: Collection[str] = (),
) -> Lineage:
    """Give every group an id. `groups` are members' keys, best ring first.

    Pairs are matched one to one from the best: open cases first, then by Jaccard, then by rank. An earlier ring whose
    members went into a group that continues another one has *merged* into it: its id becomes an alias. A group left
    over that shares enough with a matched earlier ring has *split* off: a new id, the parent named. `dormant_before`
    names earlier rings that were dormant already: continuing one *revives* it.
    """
    overlaps = _overlaps(groups, earlier)
    is_open = {ring.ring_id for ring in earlier if {ring.ring_id, *ring.aliases} & set(open_rings)}
    best_first = sorted(
        overlaps,
        key=lambda pair: (earlier[pair[1]].ring_id not in is_open, -overlaps[pair], earlier[pair[1]].rank, pair),
    )
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for group, old in best_first:
        if group not in matched and old not in taken:
            matched[group] = old
            taken.add(old)
    absorbed: dict[int, list[int]] = {}
    for group, old in best_first:
        if old not in taken and group in matched and _mostly_in(earlier[old].members, groups[group]):
            absorbed.setdefault(group, []).append(old)
            taken.add(old)
    descents, changes = [], []
    used = {name for ring in earlier for name in (ring.ring_id, *ring.aliases)}
    for group, members in enumerate(groups):
        if group in matched:
            descent, rows = _continued(
                members, earlier[matched[group]], [earlier[old] for old in absorbed.get(group, [])],
                overlaps[group, matched[group]], dormant_before,
            )  # fmt: skip
        else:
            descent, rows = _born(members, group, earlier, overlaps, as_of, used)
            used.add(descent.ring_id)
        descents.append(descent)
        changes += rows
    dormant = tuple(ring for old, ring in enumerate(earlier) if old not in taken)
    newly = [(ring.ring_id, "dormant", None, 0.0) for ring in dormant if ring.ring_id not in dormant_before]
    return Lineage(tuple(descents), dormant, (*changes, *newly))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    both = len(left & right)
    return both / (len(left) + len(right) - both) if both else 0.0


def _overlaps(groups: Sequence[frozenset[str]], earlier: Sequence[Earlier]) -> dict[tuple[int, int], float]:
    """Jaccard of every pair that is close enough to be the same ring; linear in memberships."""
    at: dict[str, list[int]] = {}
    for old, ring in enumerate(earlier):
        for member in ring.members:
            at.setdefault(member, []).append(old)
    found: dict[tuple[int, int], float] = {}
    for group, members in enumerate(groups):
        for old in sorted({old for member in members for old in at.get(member, [])}):
            both = len(members & earlier[old].members)
            index = jaccard(members, earlier[old].members)
            smaller = min(len(members), len(earlier[old].members))
            if index >= JACCARD or (both >= 2 and both >= CONTAINED * smaller):
                found[group, old] = index
    return found


def _mostly_in(old: frozenset[str], new: frozenset[str]) -> bool:
    return len(old & new) >= CONTAINED * len(old)


def _continued(
    members: frozenset[str],
    ring: Earlier,
    absorbed: list[Earlier],
    index: float,
    dormant_before: Collection[str],
) -> tuple[Descent, list[tuple[str, str, str | None, float]]]:
    aliases = [*ring.aliases]
    for other in absorbed:
        aliases += [other.ring_id, *other.aliases]
    rows: list[tuple[str, str, str | None, float]] = [
        (ring.ring_id, "merged", other.ring_id, jaccard(members, other.members)) for other in absorbed
    ]
    new, gone = members - ring.members, ring.members - members
    status = "merged" if absorbed else "grown" if len(new) > len(gone) else "shrunk" if gone else "unchanged"
    if ring.ring_id in dormant_before:
        rows.append((ring.ring_id, "revived", None, index))
    elif status in ("grown", "shrunk"):
        rows.append((ring.ring_id, status, None, index))
    first_seen = min([ring.first_seen, *(other.first_seen for other in absorbed)])
    parents = tuple(other.ring_id for other in absorbed)
    return Descent(ring.ring_id, status, first_seen, parents, tuple(dict.fromkeys(aliases)), index), rows


def _born(
    members: frozenset[str],
    group: int,
    earlier: Sequence[Earlier],
    overlaps: Mapping[tuple[int, int], float],
    as_of: int,
    used: Collection[str],
) -> tuple[Descent, list[tuple[str, str, str | None, float]]]:
    name = new_id(members, as_of, used)
    near = [old for other, old in overlaps if other == group]
    parents = sorted(earlier[old].ring_id for old in near if _mostly_in(members, earlier[old].members))
    if parents:
        index = max(overlaps[pair] for pair in overlaps if pair[0] == group)
        return Descent(name, "split", as_of, tuple(parents)), [(name, "split", parents[0], index)]
    return Descent(name, "born", as_of), [(name, "born", None, 0.0)]


def new_id(members: Collection[str], as_of: int, used: Collection[str]) -> str:
    """`R-` and six letters or digits from the members and the instant of birth, unlike any id in `used`."""
    for attempt in range(1000):
        text = "\x1f".join([str(as_of), str(attempt), *sorted(members)])
        name = "R-" + base64.b32encode(hashlib.sha256(text.encode()).digest()[:4]).decode()[:6]
        if name not in used:
            return name
    raise AssertionError("a thousand ids in use")
