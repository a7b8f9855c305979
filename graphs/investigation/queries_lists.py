"""Who is on the watch list, tagged benign or blocked."""

from __future__ import annotations

from datetime import UTC, datetime

from graphs.investigation.answers import Marked
from graphs.investigation.rows import check_words, masked
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.lists import LISTS, marks_of


def marked(workspace: Workspace, actor: Actor, name: str | None = None) -> tuple[Marked, ...]:
    """The marks that hold now, of one list or all, newest first."""
    actor.must("view")
    check_words("list", () if name is None else (name,), LISTS)
    masker = workspace.masker(actor)
    with workspace.store.read() as connection:
        held = [mark for mark in marks_of(connection, datetime.now(UTC)) if name in (None, mark.list)]
        shown = masked(connection, masker, held)
    workspace.store.saw(actor, "view", "lists", {"list": name, "rows": len(held)})
    return tuple(
        Marked(masker.entity(mark.entity_type, mark.entity_id), as_shown)
        for mark, as_shown in zip(held, shown, strict=True)
    )
