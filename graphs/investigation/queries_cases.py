"""One case with all that was decided and written on it, and the audit."""

from __future__ import annotations

from sqlalchemy import func, select

from graphs.investigation.answers import (
    AuditLine,
    CaseSheet,
    Page,
)
from graphs.investigation.rows import (
    audit_line,
    check_limit,
    make_cursor,
    masked,
    read_cursor,
    ring_row,
    ring_rows,
)
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.cases import find_case, notes_of, verdicts_of
from graphs.stores.models import (
    audit,
    rings,
)


def case_sheet(workspace: Workspace, actor: Actor, name: str) -> CaseSheet:
    """One case by its name, or the newest of a ring. Raises NotFoundError."""
    actor.must("view")
    masker = workspace.masker(actor)
    with workspace.store.read() as connection:
        case = find_case(connection, name)
        row = connection.execute(ring_rows().where(rings.c.ring_id == case.ring_id)).one()
        given = verdicts_of(connection, case_id=case.case_id)
        shown = masked(connection, masker, given)
        lines = select(audit).where(audit.c.subject == f"case:{case.case_id}").order_by(audit.c.audit_id)
        sheet = CaseSheet(
            case=masked(connection, masker, [case])[0],
            ring=ring_row(row, masker),
            verdicts=tuple(
                (masker.entity(one.entity_type, one.entity_id), as_shown)
                for one, as_shown in zip(given, shown, strict=True)
            ),
            notes=masked(connection, masker, notes_of(connection, case.case_id)),
            audit=tuple(audit_line(line, masker) for line in connection.execute(lines)),
        )
    workspace.store.saw(actor, "view", f"case:{case.case_id}")
    return sheet


def audit_trail(
    workspace: Workspace,
    actor: Actor,
    *,
    subject: str | None = None,
    who: str | None = None,
    action: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[AuditLine]:
    """Who did and saw what, newest first; of one subject (`ring:…`, `case:…`, `card:…`), person or action."""
    actor.must("read_audit")
    check_limit(limit)
    masker = workspace.masker(actor)
    chosen = []
    if subject is not None:
        kind, _, key = subject.partition(":")
        chosen.append(audit.c.subject == f"{kind}:{masker.open(key)}")
    if who is not None:
        chosen.append(audit.c.actor == who)
    if action is not None:
        chosen.append(audit.c.action == action)
    page = select(audit).where(*chosen).order_by(audit.c.audit_id.desc()).limit(limit + 1)
    if cursor is not None:
        page = page.where(audit.c.audit_id < read_cursor(cursor, "audit")[0])
    with workspace.store.read() as connection:
        total = connection.execute(select(func.count()).select_from(audit).where(*chosen)).scalar_one()
        found = connection.execute(page).all()
    last = found[limit - 1] if len(found) > limit else None
    workspace.store.saw(actor, "read_audit", subject or "audit", {"who": who})
    following = None if last is None else make_cursor("audit", last.audit_id, "")
    return Page(tuple(audit_line(row, masker) for row in found[:limit]), total, following)
