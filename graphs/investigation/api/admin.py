"""What keeps it going: finder runs in, labels out, the audit, and for admins people, keys and settings."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from graphs.investigation import feedback, keys, queries
from graphs.investigation.answers import AuditLine, Page
from graphs.investigation.api.parts import Asking, Body, Cursor, Days, Limit, Name, Served, Zip
from graphs.investigation.moments import in_days
from graphs.investigation.problems import must_be
from graphs.investigation.uploads import take_in
from graphs.stores import people
from graphs.stores.actors import RoleName
from graphs.stores.importing import Imported
from graphs.stores.people import KnownKey, Person

router = APIRouter(tags=["administration"])


class Standing(Body):
    """What they may do, and whether they may act at all."""

    role: RoleName
    active: bool = True


class Lifetime(Body):
    """For how long a key is good; for ever unless said."""

    days: Days | None = None


class Value(Body):
    """The value of a setting."""

    value: bool


@dataclass(frozen=True)
class NewKey:
    """A key, told this once; the store keeps its hash."""

    api_key: str
    prefix: str
    person: str
    expires_at: datetime | None


@router.post(
    "/runs",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def take_in_run(request: Request, workspace: Served, actor: Asking, response: Response) -> Imported:
    """Take in what `ringtrace find` wrote: a zip of its folder. Doing it twice changes nothing."""
    actor.must("import_run")
    must_be(request, "application/zip", "send the zip of a finder run as application/zip")
    with tempfile.TemporaryFile() as file:
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)
        most = request.app.state.settings.most_unpacked_bytes
        taken = await run_in_threadpool(take_in, workspace, actor, file, most_bytes=most)
    response.status_code = 200 if taken.already else 201
    return taken


@router.get("/labels", response_class=Zip)
def export_labels(workspace: Served, actor: Asking) -> Zip:
    """Verdicts as labels for training, and hints for the finder: a zip of what `ringtrace rings labels` writes."""
    return Zip(feedback.labels_zip(workspace, actor), name="labels")


@router.get("/audit")
def audit_trail(
    workspace: Served,
    actor: Asking,
    subject: Annotated[Name | None, Query(description="As ring:R-7F3K2Q, case:C-12, card:…")] = None,
    who: Annotated[Name | None, Query(description="Of this person.")] = None,
    action: Annotated[Name | None, Query(description="As claim, view, unmask.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AuditLine]:
    """Who did and saw what, newest first."""
    return queries.audit_trail(workspace, actor, subject=subject, who=who, action=action, limit=limit, cursor=cursor)


@router.get("/people")
def all_people(workspace: Served, actor: Asking) -> tuple[Person, ...]:
    """Who may act."""
    actor.must("view")
    return people.all_people(workspace.store)


@router.put("/people/{name}")
def set_person(workspace: Served, actor: Asking, name: Name, body: Standing) -> Person:
    """Add somebody, or change what they may do."""
    return people.set_person(workspace.store, actor, name, body.role, active=body.active)


@router.get("/people/{name}/keys")
def keys_of(workspace: Served, actor: Asking, name: Name) -> tuple[KnownKey, ...]:
    """The API keys of a person, without what would prove them."""
    return people.keys_of(workspace.store, actor, name)


@router.post("/people/{name}/keys", status_code=201)
def add_key(workspace: Served, actor: Asking, name: Name, body: Lifetime) -> NewKey:
    """A new API key of a person, told this once."""
    key, kept = keys.make_key(workspace.store, actor, name, expires_at=in_days(body.days))
    return NewKey(key, kept.prefix, kept.person, kept.expires_at)


@router.delete("/keys/{prefix}", status_code=204)
def revoke_key(workspace: Served, actor: Asking, prefix: Name) -> None:
    """End a key at once, and the sessions made from it."""
    people.revoke_key(workspace.store, actor, prefix)


@router.get("/settings")
def all_settings(workspace: Served, actor: Asking) -> dict[str, bool]:
    """The settings that hold for everybody."""
    actor.must("view")
    return people.all_settings(workspace.store)


@router.put("/settings/{name}")
def set_setting(workspace: Served, actor: Asking, name: Name, body: Value) -> dict[str, bool]:
    """Change a setting, for everybody from now on; answers with all of them."""
    people.set_setting(workspace.store, actor, name, body.value)
    return people.all_settings(workspace.store)
