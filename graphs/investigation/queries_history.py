"""What changed since, and which rings of the past are like this one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from graphs.investigation.answers import (
    Changes,
    RingChange,
    SimilarRing,
)
from graphs.investigation.rows import (
    briefs_of,
    check_limit,
    chunks,
    resolve_ring,
    ring_row,
    ring_rows,
)
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.models import (
    finder_runs,
    ring_lineage,
    ring_members,
    ring_versions,
    rings,
    verdicts,
)


def changes(workspace: Workspace, actor: Actor, since: datetime, *, until: datetime | None = None) -> Changes:
    """How rings differ now (or at `until`) from what the last run at or before `since` said of them.

    born, grown (members joined), shrunk (members only left), merged, split, dormant, revived, or moved (the same
    members, other figures).
    """
    actor.must("view")
    end = until or datetime.now(UTC)
    masker = workspace.masker(actor)
    with workspace.store.read() as connection:
        told = _told(connection, since, end)
        spoken_of = sorted(_spoken_of(connection, since, end) | told.keys())
        before, now = (_standing(connection, moment, spoken_of) for moment in (since, end))
        names = [ring for ring in spoken_of if ring in now]
        rows = {ring: row for part in chunks(names) for ring, row in _ring_rows_of(connection, part)}
        members_now = _member_sets(connection, {ring: now[ring].run_id for ring in names})
        members_before = _member_sets(connection, {ring: before[ring].run_id for ring in names if ring in before})
    # A ring that came and went into another in between is told of with that other.
    absorbed = {other for word, other in told.values() if word == "merged"} - before.keys()
    found = []
    for ring in names:
        if ring in absorbed:
            continue
        change = _change(ring, told.get(ring), before.get(ring), now[ring], members_before.get(ring), members_now[ring])
        if change is not None:
            word, joined, left, other = change
            value = before[ring].preventable_value if ring in before else None
            row = ring_row(rows[ring], masker)
            found.append(RingChange(row, word, joined, left, value, now[ring].preventable_value, other))
    found.sort(key=lambda one: (-one.ring.score, one.ring.ring_id))
    counts: dict[str, int] = {}
    for one in found:
        counts[one.change] = counts.get(one.change, 0) + 1
    workspace.store.saw(actor, "view", "changes", {"since": since.isoformat(), "rings": len(found)})
    return Changes(since, end, tuple(found), counts)


def _spoken_of(connection: Connection, since: datetime, until: datetime) -> set[str]:
    """The rings of the runs in (since, until]."""
    wanted = select(ring_versions.c.ring_id).join(finder_runs, finder_runs.c.run_id == ring_versions.c.run_id)
    wanted = wanted.where(finder_runs.c.as_of > since, finder_runs.c.as_of <= until).distinct()
    return set(connection.execute(wanted).scalars())


def _standing(connection: Connection, moment: datetime, names: Sequence[str]) -> dict[str, Any]:
    """The newest version as of `moment` of each ring named, where there is one.

    Most stand in the last run before it; only for the others is the whole past asked.
    """
    past = finder_runs.c.as_of <= moment
    order = (finder_runs.c.as_of, finder_runs.c.run_id)
    last = select(finder_runs.c.run_id).where(past).order_by(*(column.desc() for column in order)).limit(1)
    columns = (
        ring_versions.c.ring_id,
        ring_versions.c.run_id,
        ring_versions.c.status,
        ring_versions.c.preventable_value,
    )
    versions = select(*columns).join(finder_runs, finder_runs.c.run_id == ring_versions.c.run_id)
    found: dict[str, Any] = {}
    for narrower in (
        versions.where(ring_versions.c.run_id == last.scalar_subquery()),
        versions.where(past).order_by(*order),
    ):
        for part in chunks([name for name in names if name not in found]):
            rows = connection.execute(narrower.where(ring_versions.c.ring_id.in_(part))).all()
            found |= {row.ring_id: row for row in rows}
    return found


def _told(connection: Connection, since: datetime, until: datetime) -> dict[str, tuple[str, str | None]]:
    """The last word of the lineage on each ring in (since, until]: (change, other ring)."""
    wanted = select(ring_lineage).where(ring_lineage.c.as_of > since, ring_lineage.c.as_of <= until)
    wanted = wanted.order_by(ring_lineage.c.as_of, ring_lineage.c.lineage_id)
    return {row.ring_id: (row.change, row.other_ring_id) for row in connection.execute(wanted)}


def _change(
    ring: str,
    told: tuple[str, str | None] | None,
    before: Row[Any] | None,
    now: Row[Any],
    was: set[tuple[str, str]] | None,
    members: set[tuple[str, str]],
) -> tuple[str, int, int, str | None] | None:
    joined, left = len(members - (was or set())), len((was or set()) - members)
    word, other = told or (now.status, None)
    if before is not None and word == before.status == "dormant":
        return None
    if word in ("merged", "split", "dormant", "revived"):
        return word, joined, left, other
    if before is None:
        return "born", joined, left, other
    if joined or left:
        return "grown" if joined else "shrunk", joined, left, other
    return None if before.preventable_value == now.preventable_value else ("moved", 0, 0, None)


def _ring_rows_of(connection: Connection, names: Sequence[str]) -> list[tuple[str, Row[Any]]]:
    return [(row.ring_id, row) for row in connection.execute(ring_rows().where(rings.c.ring_id.in_(names)))]


def _member_sets(connection: Connection, runs: Mapping[str, int]) -> dict[str, set[tuple[str, str]]]:
    """Of each ring in the run given for it, who was a member (not an identifier)."""
    found: dict[str, set[tuple[str, str]]] = {ring: set() for ring in runs}
    for run_id in sorted(set(runs.values())):
        for part in chunks([ring for ring, of in runs.items() if of == run_id]):
            wanted = select(ring_members.c.ring_id, ring_members.c.entity_type, ring_members.c.entity_id).where(
                ring_members.c.run_id == run_id, ring_members.c.part == "member", ring_members.c.ring_id.in_(part)
            )
            for ring, kind, key in connection.execute(wanted):
                found[ring].add((kind, key))
    return found


def similar_rings(workspace: Workspace, actor: Actor, ring_id: str, *, limit: int = 5) -> tuple[SimilarRing, ...]:
    """Rings of the past most like this one, the decided before the undecided of equal likeness.

    Likeness is half kind and figures (size, payments, value, length; each the closeness of logarithms), half entities
    in common: what the same people do next looks alike, or uses the same things.
    """
    actor.must("view")
    check_limit(limit)
    masker = workspace.masker(actor)
    with workspace.store.read() as connection:
        name = resolve_ring(connection, ring_id)
        rows = {row.ring_id: row for row in connection.execute(ring_rows())}
        shared = _shared(connection, name)
        mine = rows.pop(name)
        ranked = sorted(
            ((*_likeness(mine, row, shared.get(ring, 0)), ring) for ring, row in rows.items()),
            key=lambda one: (-one[0], rows[one[2]].outcome is None, one[2]),
        )[:limit]
        found = tuple(
            SimilarRing(ring_row(rows[ring], masker), likeness, because, _tally(connection, ring))
            for likeness, because, ring in ranked
        )
    workspace.store.saw(actor, "view", f"ring:{name}", {"similar": len(found)})
    return found


def _shared(connection: Connection, ring_id: str) -> dict[str, int]:
    """How many members and identifiers each other ring has in common with this one, in their newest versions."""
    newest = and_(rings.c.ring_id == ring_members.c.ring_id, rings.c.run_id == ring_members.c.run_id)
    mine = select(ring_members.c.entity_type, ring_members.c.entity_id).join(rings, newest)
    mine = mine.where(ring_members.c.ring_id == ring_id, ring_members.c.part != "peripheral")
    keys = [(row.entity_type, row.entity_id) for row in connection.execute(mine)]
    shared: dict[str, int] = {}
    for briefs in briefs_of(connection, keys).values():
        for brief in briefs:
            if brief.ring_id != ring_id and brief.part != "peripheral":
                shared[brief.ring_id] = shared.get(brief.ring_id, 0) + 1
    return shared


def _likeness(mine: Row[Any], other: Row[Any], shared: int) -> tuple[float, tuple[str, ...]]:
    because = []
    close = []
    for name, words in (("users", "size"), ("payments", "number of payments"), ("value_total", "value")):
        left, right = max(getattr(mine, name), 0), max(getattr(other, name), 0)
        close.append(math.exp(-abs(math.log1p(left) - math.log1p(right))))
        if close[-1] > 0.8:
            because.append(f"similar {words}")
    close.append(math.exp(-abs(math.log1p(_length(mine)) - math.log1p(_length(other)))))
    same_kind = mine.kind == other.kind
    if same_kind:
        because.insert(0, f"same kind ({mine.kind.replace('_', ' ')})")
    if shared:
        because.insert(0, f"{shared} {'entity' if shared == 1 else 'entities'} in common")
    figures = 0.5 * same_kind + 0.5 * sum(close) / len(close)
    return 0.5 * figures + 0.5 * (1 - 0.5**shared), tuple(because)


def _length(ring: Row[Any]) -> float:
    """Days from the first event to the last."""
    if ring.first_event_time is None or ring.last_event_time is None:
        return 0.0
    return float((ring.last_event_time - ring.first_event_time).total_seconds() / 86_400)


def _tally(connection: Connection, ring_id: str) -> dict[str, int]:
    wanted = select(verdicts.c.verdict, func.count()).where(verdicts.c.ring_id == ring_id, verdicts.c.latest)
    return {word: count for word, count in connection.execute(wanted.group_by(verdicts.c.verdict))}
