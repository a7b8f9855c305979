"""Watch list, benign tags and block list. Putting an entity on a list again says the newest reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from graphs.investigation import queries
from graphs.investigation.answers import BlockPlan, Marked
from graphs.investigation.api.parts import Asking, Body, Days, Name, Prose, Reason, Served, as_seen
from graphs.investigation.moments import in_days
from graphs.investigation.workspace import Workspace
from graphs.stores import lists
from graphs.stores.actors import Actor
from graphs.stores.lists import List, Mark

router = APIRouter(tags=["lists"])

MOST_BLOCKED = 500


class Watching(Body):
    """Why, and for how long; for ever unless said."""

    reason: Prose
    days: Days | None = None


class Benign(Body):
    """Why, and for how long; never for ever."""

    reason: Prose
    days: Days = 90


class Named(Body):
    """One entity, by its id or handle."""

    type: Name
    id: Name


class Blocking(Body):
    """Whom it is about."""

    entities: Annotated[list[Named], Field(min_length=1, max_length=MOST_BLOCKED)]

    def chosen(self) -> list[tuple[str, str]]:
        """The entities as the queries take them."""
        return [(one.type, one.id) for one in self.entities]


class Block(Blocking):
    """Whom to block, why, and for how long; for ever unless said."""

    reason: Prose
    days: Days | None = None


@dataclass(frozen=True)
class Removed:
    """How many entities came off a list."""

    removed: int


@router.get("/lists")
def marked(
    workspace: Served, actor: Asking, name: Annotated[List | None, Query(alias="list", description="Only this.")] = None
) -> tuple[Marked, ...]:
    """Who is watched, tagged benign or blocked, newest first."""
    return queries.marked(workspace, actor, name)


@router.put("/watch/{entity_type}/{key:path}")
def watch(workspace: Served, actor: Asking, entity_type: Name, key: Name, body: Watching) -> Marked:
    """Put an entity on the watch list."""
    entity = _known(workspace, actor, entity_type, key)
    until = in_days(body.days)
    return _shown(workspace, actor, lists.watch(workspace.store, actor, entity, reason=body.reason, expires_at=until))


@router.post("/unwatch/{entity_type}/{key:path}")
def unwatch(workspace: Served, actor: Asking, entity_type: Name, key: Name, body: Reason) -> Removed:
    """Take an entity off the watch list."""
    lists.unwatch(workspace.store, actor, _known(workspace, actor, entity_type, key), reason=body.reason)
    return Removed(1)


@router.put("/benign/{entity_type}/{key:path}")
def tag_benign(workspace: Served, actor: Asking, entity_type: Name, key: Name, body: Benign) -> Marked:
    """Say that an entity is innocently shared, for a time."""
    entity, until = _known(workspace, actor, entity_type, key), in_days(body.days)
    assert until is not None
    mark = lists.tag_benign(workspace.store, actor, entity, reason=body.reason, expires_at=until)
    return _shown(workspace, actor, mark)


@router.post("/unbenign/{entity_type}/{key:path}")
def untag_benign(workspace: Served, actor: Asking, entity_type: Name, key: Name, body: Reason) -> Removed:
    """Take a benign tag off before it expires."""
    lists.untag_benign(workspace.store, actor, _known(workspace, actor, entity_type, key), reason=body.reason)
    return Removed(1)


@router.post("/blocks/plan")
def block_dry_run(workspace: Served, actor: Asking, body: Blocking) -> BlockPlan:
    """Whom blocking entities would touch. Changes nothing."""
    return queries.block_dry_run(workspace, actor, body.chosen())


@router.post("/blocks", status_code=201)
def block(workspace: Served, actor: Asking, body: Block) -> tuple[Marked, ...]:
    """Block entities as one batch (`mark.batch`), which can be undone as one."""
    chosen = [_known(workspace, actor, *key) for key in body.chosen()]
    made = lists.block(workspace.store, actor, chosen, reason=body.reason, expires_at=in_days(body.days))
    return tuple(_shown(workspace, actor, mark) for mark in made)


@router.post("/blocks/{batch}/undo")
def unblock(workspace: Served, actor: Asking, batch: Name, body: Reason) -> Removed:
    """Undo one block."""
    return Removed(lists.unblock(workspace.store, actor, batch, reason=body.reason))


def _known(workspace: Workspace, actor: Actor, entity_type: str, key: str) -> tuple[str, str]:
    """The entity's type and id, if there is such an entity. Raises NotFoundError."""
    queries.entity_sheet(workspace, actor, entity_type, key)
    return entity_type, workspace.masker(actor).open(key)


def _shown(workspace: Workspace, actor: Actor, mark: Mark) -> Marked:
    entity = workspace.masker(actor).entity(mark.entity_type, mark.entity_id)
    return Marked(entity, as_seen(workspace, actor, mark))
