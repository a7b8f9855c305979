"""The queue of rings to work on, and the sheet of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, and_, func, or_, select, type_coerce

from graphs.investigation.answers import (
    Day,
    Evidence,
    Lineage,
    Link,
    Member,
    Page,
    QueueFilter,
    RingPayment,
    RingRow,
    RingSheet,
    Version,
)
from graphs.investigation.masking import Masker
from graphs.investigation.rows import (
    DAY,
    NEWEST_CASE,
    as_answer,
    briefs_of,
    check_limit,
    check_words,
    make_cursor,
    marks_on,
    masked,
    read_cursor,
    resolve_ring,
    ring_row,
    ring_rows,
)
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.cases import cases_of, verdicts_of
from graphs.stores.finder_folder import STATUSES as RING_STATUSES
from graphs.stores.models import (
    cases,
    finder_runs,
    instant,
    ring_aliases,
    ring_evidence,
    ring_lineage,
    ring_links,
    ring_members,
    ring_payments,
    ring_versions,
    rings,
)

SORTS = {
    "score": rings.c.score,
    "value": rings.c.preventable_value,
    "p_ring": rings.c.p_ring,
    "users": rings.c.users,
    "newest": func.coalesce(type_coerce(rings.c.first_seen, BigInteger), 0),
    "active": func.coalesce(type_coerce(rings.c.last_event_time, BigInteger), 0),
}
"""What the queue can be ordered by; all highest first."""


def ring_queue(
    workspace: Workspace,
    actor: Actor,
    *,
    where: QueueFilter | None = None,
    sort: str = "score",
    limit: int = 25,
    cursor: str | None = None,
) -> Page[RingRow]:
    """The rings to work on, best first. `cursor` is `next` of the page before; no row is missed or shown twice on
    the way, whatever is imported meanwhile in places already passed."""
    actor.must("view")
    where = where or QueueFilter()
    check_words("sort", (sort,), SORTS)
    check_limit(limit)
    wanted = ring_rows().where(*_conditions(where))
    column = SORTS[sort]
    page = wanted.add_columns(column.label("sorted_by")).order_by(column.desc(), rings.c.ring_id).limit(limit + 1)
    if cursor is not None:
        value, ring_id = read_cursor(cursor, sort)
        page = page.where(or_(column < value, and_(column == value, rings.c.ring_id > ring_id)))
    with workspace.store.read() as connection:
        total = connection.execute(select(func.count()).select_from(wanted.subquery())).scalar_one()
        found = connection.execute(page).all()
    rows = tuple(ring_row(row, workspace.masker(actor)) for row in found[:limit])
    last = found[limit - 1] if len(found) > limit else None
    workspace.store.saw(actor, "view", "queue", {"rows": len(rows), "sort": sort})
    return Page(rows, total, None if last is None else make_cursor(sort, last.sorted_by, last.ring_id))


def open_rings(workspace: Workspace, actor: Actor) -> tuple[str, ...]:
    """The rings whose newest case is not closed, by id: the finder keeps their names first (`open_rings` there)."""
    actor.must("view")
    wanted = select(rings.c.ring_id).join(cases, cases.c.case_id == NEWEST_CASE).where(cases.c.status != "closed")
    with workspace.store.read() as connection:
        return tuple(connection.execute(wanted.order_by(rings.c.ring_id)).scalars())


def _conditions(where: QueueFilter) -> list[Any]:
    check_words("case_status", where.case_status, ("open", "in_progress", "waiting", "closed"))
    check_words("status", where.statuses or (), RING_STATUSES)
    found: list[Any] = [cases.c.status.in_(where.case_status)]
    if where.statuses is None:
        found += [rings.c.status != "dormant", rings.c.merged_into.is_(None)]
    else:
        found.append(rings.c.status.in_(where.statuses))
    if where.owner is not None:
        found.append(cases.c.owner == where.owner)
    if where.unowned:
        found.append(cases.c.owner.is_(None))
    if where.kinds:
        found.append(rings.c.kind.in_(where.kinds))
    if where.min_value is not None:
        found.append(rings.c.preventable_value >= where.min_value)
    if where.min_p is not None:
        found.append(rings.c.p_ring >= where.min_p)
    if where.active_since is not None:
        found.append(rings.c.last_event_time >= where.active_since)
    return found


def ring_sheet(workspace: Workspace, actor: Actor, ring_id: str) -> RingSheet:
    """All there is on one ring; an alias leads to the ring it has become. Raises NotFoundError."""
    actor.must("view")
    masker = workspace.masker(actor)
    with workspace.store.read() as connection:
        name = resolve_ring(connection, ring_id)
        row = connection.execute(
            ring_rows().add_columns(rings.c.run_id, rings.c.picture).where(rings.c.ring_id == name)
        )
        ring = row.one()
        members = _rows(connection, ring_members, ring)
        ids = [(one.entity_type, one.entity_id) for one in members]
        aliases = connection.execute(
            select(ring_aliases.c.alias).where(ring_aliases.c.ring_id == name).order_by(ring_aliases.c.alias)
        ).scalars()
        sheet = RingSheet(
            ring=ring_row(ring, masker),
            aliases=tuple(aliases),
            evidence=tuple(_evidence(one, masker, ids) for one in _rows(connection, ring_evidence, ring)),
            members=_members(connection, members, name, ring.case_id, masker),
            links=tuple(_link(one, masker) for one in _rows(connection, ring_links, ring)),
            days=_days(connection, name),
            versions=_versions(connection, name),
            lineage=_lineage(connection, name),
            cases=masked(connection, masker, cases_of(connection, name)),
            picture=None if ring.picture is None else masker.prose(ring.picture, ids),
        )
    workspace.store.saw(actor, "view", f"ring:{name}")
    return sheet


def ring_money(
    workspace: Workspace, actor: Actor, ring_id: str, *, limit: int = 100, cursor: str | None = None
) -> Page[RingPayment]:
    """The payments inside a ring, newest first."""
    actor.must("view")
    check_limit(limit)
    with workspace.store.read() as connection:
        name = resolve_ring(connection, ring_id)
        mine = ring_payments.c.ring_id == name
        total = connection.execute(select(func.count()).select_from(ring_payments).where(mine)).scalar_one()
        place = type_coerce(ring_payments.c.event_time, BigInteger)
        page = select(ring_payments, place.label("place")).where(mine).order_by(place.desc(), ring_payments.c.event_id)
        if cursor is not None:
            time, event_id = read_cursor(cursor, name)
            page = page.where(or_(place < time, and_(place == time, ring_payments.c.event_id > event_id)))
        found = connection.execute(page.limit(limit + 1)).all()
    workspace.store.saw(actor, "view", f"ring:{name}", {"payments": len(found[:limit])})
    last = found[limit - 1] if len(found) > limit else None
    following = None if last is None else make_cursor(name, last.place, last.event_id)
    return Page(tuple(as_answer(RingPayment, row) for row in found[:limit]), total, following)


def _rows(connection: Connection, table: Any, ring: Row[Any]) -> Sequence[Row[Any]]:
    """The rows of a part of the ring, in the order the finder gave them, of its newest version."""
    here = (table.c.ring_id == ring.ring_id) & (table.c.run_id == ring.run_id)
    return connection.execute(select(table).where(here).order_by(table.c.row_id)).all()


def _evidence(row: Row[Any], masker: Masker, ids: Sequence[tuple[str, str]]) -> Evidence:
    entity = None if row.entity_id is None else masker.entity(row.entity_type, row.entity_id)
    return as_answer(Evidence, row, entity=entity, text=masker.prose(row.text, ids))


def _link(row: Row[Any], masker: Masker) -> Link:
    source, target = masker.entity(row.source_type, row.source_id), masker.entity(row.target_type, row.target_id)
    return as_answer(Link, row, source=source, target=target)


def _members(
    connection: Connection, rows: Sequence[Row[Any]], ring_id: str, case_id: int, masker: Masker
) -> tuple[Member, ...]:
    """Members first, then identifiers, the firmly attached before the others."""
    judged = {
        (one.entity_type, one.entity_id): one.verdict
        for one in verdicts_of(connection, case_id=f"C-{case_id}")
        if one.latest
    }
    keys = [(row.entity_type, row.entity_id) for row in rows]
    elsewhere: dict[tuple[str, str], list[str]] = {}
    for key, briefs in briefs_of(connection, keys).items():
        elsewhere[key] = [one.ring_id for one in briefs if one.ring_id != ring_id and one.part != "peripheral"]
    lists: dict[tuple[str, str], list[str]] = {}
    for mark in marks_on(connection, keys):
        lists.setdefault((mark.entity_type, mark.entity_id), []).append(mark.list)
    ordered = sorted(rows, key=lambda row: (_PARTS[row.part], -(row.attachment or 0), row.entity_type, row.entity_id))
    return tuple(
        as_answer(
            Member,
            row,
            entity=masker.entity(row.entity_type, row.entity_id),
            verdict=judged.get((row.entity_type, row.entity_id)),
            lists=tuple(lists.get((row.entity_type, row.entity_id), ())),
            other_rings=tuple(elsewhere.get((row.entity_type, row.entity_id), ())),
        )
        for row in ordered
    )


_PARTS = {"member": 0, "identifier": 1, "peripheral": 2}


def _days(connection: Connection, ring_id: str) -> tuple[Day, ...]:
    day = type_coerce(ring_payments.c.event_time, BigInteger) // DAY
    # As in a ring's value: what came back was moved, too.
    moved = func.coalesce(func.sum(func.abs(ring_payments.c.amount)), 0.0)
    wanted = (
        select(day.label("day"), func.count().label("payments"), moved)
        .where(ring_payments.c.ring_id == ring_id)
        .group_by(day)
        .order_by(day)
    )
    return tuple(Day(instant(int(row[0]) * DAY), int(row[1]), float(row[2])) for row in connection.execute(wanted))


def _versions(connection: Connection, ring_id: str) -> tuple[Version, ...]:
    wanted = select(ring_versions, finder_runs.c.as_of).join(
        finder_runs, finder_runs.c.run_id == ring_versions.c.run_id
    )
    wanted = wanted.where(ring_versions.c.ring_id == ring_id).order_by(finder_runs.c.as_of, finder_runs.c.run_id)
    return tuple(as_answer(Version, row) for row in connection.execute(wanted))


def _lineage(connection: Connection, ring_id: str) -> tuple[Lineage, ...]:
    mine = or_(ring_lineage.c.ring_id == ring_id, ring_lineage.c.other_ring_id == ring_id)
    wanted = select(ring_lineage).where(mine).order_by(ring_lineage.c.as_of, ring_lineage.c.lineage_id)
    return tuple(
        as_answer(Lineage, row, other_ring_id=row.other_ring_id if row.ring_id == ring_id else row.ring_id)
        for row in connection.execute(wanted)
    )
