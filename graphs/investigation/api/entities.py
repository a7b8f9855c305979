"""Entities: what an id means, who has events with whom, how two hang together, who is near to fraud.

An entity's id ends the address, for it may hold anything, slashes too (`%2F`). Either an id or a handle is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query

from graphs.investigation import queries
from graphs.investigation.answers import EntitySheet, Found, NearFraud, Neighbour, Page, Paths, TimelineEvent
from graphs.investigation.api.parts import (
    Asking,
    Cursor,
    EntityText,
    Limit,
    Name,
    Reason,
    Served,
    Since,
    Types,
    Until,
    entity_of,
)
from graphs.investigation.queries_graph import MOST_HOPS, MOST_PATHS

router = APIRouter(tags=["entities"])


@dataclass(frozen=True)
class Unmasked:
    """The whole id."""

    entity_type: str
    entity_id: str


@router.get("/lookup")
def lookup(
    workspace: Served, actor: Asking, asked: Annotated[Name, Query(alias="id", description="An id of any kind.")]
) -> Found:
    """What an id means: which entity, which ring, which case, who has it. Nothing found is an empty answer."""
    return queries.lookup(workspace, actor, asked)


@router.get("/entities/{entity_type}/{key:path}")
def entity_sheet(workspace: Served, actor: Asking, entity_type: Name, key: Name) -> EntitySheet:
    """What is known of one entity."""
    return queries.entity_sheet(workspace, actor, entity_type, key)


@router.get("/neighbours/{entity_type}/{key:path}")
def neighbours(
    workspace: Served, actor: Asking, entity_type: Name, key: Name, types: Types = (), since: Since = None,
    until: Until = None, limit: Limit = 25, cursor: Cursor = None,
) -> Page[Neighbour]:  # fmt: skip
    """What an entity has events with, rarest first."""
    return queries.neighbours(
        workspace, actor, (entity_type, key), types=types, since=since, until=until, limit=limit, cursor=cursor
    )


@router.get("/sharing/{entity_type}/{key:path}")
def sharing(
    workspace: Served, actor: Asking, entity_type: Name, key: Name, since: Since = None, until: Until = None,
    limit: Limit = 25, cursor: Cursor = None,
) -> Page[Neighbour]:  # fmt: skip
    """Who shares a device, a card or any other identifier, those who use little else first."""
    return queries.shared_by(workspace, actor, (entity_type, key), since=since, until=until, limit=limit, cursor=cursor)


@router.get("/timelines/{entity_type}/{key:path}")
def timeline(
    workspace: Served, actor: Asking, entity_type: Name, key: Name, since: Since = None, until: Until = None,
    limit: Limit = 100, cursor: Cursor = None,
) -> Page[TimelineEvent]:  # fmt: skip
    """The events of an entity, newest first."""
    return queries.timeline(workspace, actor, (entity_type, key), since=since, until=until, limit=limit, cursor=cursor)


@router.get("/paths")
def paths(
    workspace: Served,
    actor: Asking,
    source: Annotated[EntityText, Query(alias="from", description="TYPE:ID")],
    target: Annotated[EntityText, Query(alias="to", description="TYPE:ID")],
    k: Annotated[int, Query(ge=1, le=MOST_PATHS, description="How many.")] = 3,
    hops: Annotated[int, Query(ge=1, le=MOST_HOPS, description="At most so long.")] = 6,
    hubs: Annotated[bool, Query(description="Lead over identifiers of many persons, too.")] = False,
    since: Since = None,
    until: Until = None,
) -> Paths:
    """How two entities hang together, over what few share."""
    return queries.paths(
        workspace, actor, entity_of(source), entity_of(target), k=k, max_hops=hops, hubs=hubs, since=since, until=until
    )


@router.get("/near-fraud")
def near_fraud(
    workspace: Served, actor: Asking, types: Types = (), since: Since = None, until: Until = None, limit: Limit = 25
) -> tuple[NearFraud, ...]:
    """Who is nearest to confirmed fraud and not judged yet."""
    return queries.near_fraud(workspace, actor, types=types, since=since, until=until, limit=limit)


@router.post("/unmask/{entity_type}/{key:path}")
def unmask(workspace: Served, actor: Asking, entity_type: Name, key: Name, body: Reason) -> Unmasked:
    """The whole id of an entity, for a reason that is kept."""
    return Unmasked(entity_type, queries.unmask(workspace, actor, entity_type, key, reason=body.reason))
