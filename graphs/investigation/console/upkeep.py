"""What keeps it going: finder runs in, labels out, and for admins people, their keys and the rule of four eyes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from graphs.errors import ConfigError, NotFoundError
from graphs.investigation import access, feedback, keys
from graphs.investigation.console.actions import Sent
from graphs.investigation.console.rendering import render
from graphs.investigation.console.urls import with_query
from graphs.investigation.console.visits import Here, as_file
from graphs.investigation.problems import must_be
from graphs.investigation.uploads import take_in
from graphs.stores import people
from graphs.stores.actors import ROLES, Actor
from graphs.stores.errors import ForbiddenError

router = APIRouter(include_in_schema=False)

RUNS = "/runs"
"""Where the form with a finder run goes."""


# -------------------------------------------------------------------------------------------- runs in, labels out


@router.post(RUNS)
async def take_in_run(request: Request, actor: Annotated[Actor, Depends(access.current_actor)]) -> Response:
    """Take in the zip of a finder run, and say what came of it. Who may not is refused before it is read."""
    actor.must("import_run")
    must_be(request, "multipart/form-data", "a form with a file is expected, as browsers send them")
    async with request.form(max_files=1, max_fields=2) as sent:
        access.check_csrf(request, str(sent.get("csrf", "")))
        file = sent.get("run")
        if not isinstance(file, UploadFile) or not file.size:
            raise ConfigError("run: choose the zip of what `ringtrace find` wrote")
        most = request.app.state.settings.most_unpacked_bytes
        workspace = request.app.state.workspace
        taken = await run_in_threadpool(take_in, workspace, actor, file.file, most_bytes=most)
    return render(request, actor, "taken_in.html", {"taken": taken}, status=200 if taken.already else 201)


@router.get(RUNS)
def runs(here: Here) -> Response:
    """Where the runs are listed: who comes back to the answer of the form by its address sees them."""
    return RedirectResponse("/models#runs", 303)


@router.get("/labels.zip")
def labels(here: Here) -> Response:
    """Verdicts as labels for training, and hints for the finder."""
    return as_file(feedback.labels_zip(here.workspace, here.actor), "labels.zip", "application/zip")


# ------------------------------------------------------------------------------------------ people, keys, rules


@router.get("/people")
def all_people(here: Here) -> Response:
    """Who may act, for those who look after it."""
    if not here.actor.may("set_person"):
        raise ForbiddenError("people: this takes an admin")
    everybody = people.all_people(here.workspace.store)
    return here.page("people.html", people=everybody, roles=ROLES, four_eyes=here.workspace.store.setting("four_eyes"))


@router.post("/people")
def person(form: Sent) -> Response:
    """Add a person or change what they may do."""
    role: Any = form.text("role")
    active = not form.text("inactive")
    people.set_person(form.workspace.store, form.actor, form.text("name"), role, active=active)
    return form.back("person", "/people")


@router.post("/settings")
def setting(form: Sent) -> Response:
    """Whether closing takes a second person."""
    people.set_setting(form.workspace.store, form.actor, "four_eyes", form.text("four_eyes") == "1")
    return RedirectResponse(with_query("/people", done="setting"), 303)


@router.get("/people/keys")
def keys_of(here: Here) -> Response:
    """The keys of a person, without what would prove them."""
    name, store = _of(here.request), here.workspace.store
    kept, owner = people.keys_of(store, here.actor, name), people.find_person(store, name)
    if owner is None:
        raise NotFoundError(f"{name}: no such person")
    now = datetime.now(UTC)
    return here.page("keys.html", person=owner, rows=[(one, _state(one, now)) for one in kept])


def _of(request: Request) -> str:
    # A name may begin or end with spaces, so it is taken as it came.
    return request.query_params.get("of", "")


def _state(key: people.KnownKey, now: datetime) -> str:
    if key.revoked:
        return "revoked"
    return "valid" if key.expires_at is None or key.expires_at > now else "expired"


@router.post("/people/keys")
def add_key(form: Sent) -> Response:
    """Make a key and show it once, in the answer to this form and under no address."""
    name = _of(form.request)
    key, kept = keys.make_key(form.workspace.store, form.actor, name, expires_at=form.expires_at)
    return render(form.request, form.actor, "new_key.html", {"key": key, "kept": kept}, status=201)


@router.post("/people/keys/revoke")
def revoke_key(form: Sent) -> Response:
    """End a key at once, and the sessions made from it."""
    people.revoke_key(form.workspace.store, form.actor, form.text("prefix"))
    return form.back("revoked", "/people")
