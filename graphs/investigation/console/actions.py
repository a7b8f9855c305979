"""The forms: each is one write through the audited door, and then the page it came from.

A form carries the session's token and, where two people might be at the same case, the version its sender saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from graphs.errors import ConfigError
from graphs.investigation import access, queries
from graphs.investigation.console import state
from graphs.investigation.console.rendering import THEMES, render
from graphs.investigation.console.urls import case_url, local, told
from graphs.investigation.moments import in_days
from graphs.investigation.problems import UnauthorizedError, must_be
from graphs.investigation.workspace import Workspace
from graphs.stores import cases
from graphs.stores import lists as store_lists
from graphs.stores.actors import Actor

router = APIRouter(include_in_schema=False)

_MOST_FIELDS = 1000
_YEAR = 365 * 24 * 3600


async def _fields(request: Request) -> list[tuple[str, str]]:
    """The fields of a form as a browser sends them."""
    must_be(request, "application/x-www-form-urlencoded", "a form is expected, as browsers send them")
    try:
        text = (await request.body()).decode("ascii")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise ConfigError("the form can't be read") from error


Fields = Annotated[list[tuple[str, str]], Depends(_fields)]


@dataclass(frozen=True)
class Form:
    """What somebody who is signed in sent from a page of ours."""

    request: Request
    workspace: Workspace
    actor: Actor
    fields: Sequence[tuple[str, str]]

    def text(self, name: str, otherwise: str = "") -> str:
        """The last value of a field."""
        return dict(self.fields).get(name, otherwise).strip()

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for field, value in self.fields if field == name]

    @property
    def version(self) -> int | None:
        """The case's version that the sender saw."""
        text = self.text("version")
        return state.whole("version", text) if text else None

    @property
    def entity(self) -> tuple[str, str]:
        """The entity the form is about, by its id."""
        # An id may begin or end with spaces, so it is taken as it came.
        key = dict(self.fields).get("key", "")
        return self.text("type"), self.workspace.masker(self.actor).open(key)

    @property
    def expires_at(self) -> datetime | None:
        """The end of as many days as the form says, or None where it says none."""
        days = state.number("days", self.text("days"))
        if days is not None and not 0 < days <= 36_500:
            raise ConfigError("days: expected more than 0 and at most 36,500")
        return in_days(days)

    def back(self, done: str, otherwise: str = "/") -> Response:
        """Back to the page, which tells what was done."""
        return RedirectResponse(told(local(self.text("back"), otherwise), done), 303)


def _form(request: Request, fields: Fields, actor: Annotated[Actor, Depends(access.current_actor)]) -> Form:
    form = Form(request, request.app.state.workspace, actor, fields)
    access.check_csrf(request, form.text("csrf"))
    return form


Sent = Annotated[Form, Depends(_form)]


# ------------------------------------------------------------------------------------------- in, out, the look


@router.post("/sign-in")
def sign_in(request: Request, fields: Fields) -> Response:
    """Turn a key into a session."""
    given: Mapping[str, str] = dict(fields)
    back = local(given.get("back"))
    try:
        session = access.sign_in(request, given.get("key", ""))
    except UnauthorizedError as error:
        return render(request, None, "sign_in.html", {"back": back, "refused": str(error)}, status=401)
    response = RedirectResponse(back, 303)
    session.put(response)
    return response


@router.post("/sign-out")
def sign_out(form: Sent) -> Response:
    """End the session."""
    response = RedirectResponse("/sign-in", 303)
    access.sign_out(form.request, response)
    return response


@router.post("/theme")
def theme(form: Sent) -> Response:
    """Light, dark, or as the system has it: kept in this browser."""
    name = form.text("theme")
    if name not in THEMES:
        raise ConfigError(f"theme: there are: {', '.join(THEMES)}")
    response = RedirectResponse(local(form.text("back")), 303)
    https = form.request.app.state.settings.https
    response.set_cookie("theme", name, max_age=_YEAR, httponly=True, samesite="lax", secure=https)
    return response


# ------------------------------------------------------------------------------------------------------- cases


@router.post("/cases/{name}/claim")
def claim(form: Sent, name: str) -> Response:
    """Take the case."""
    cases.claim(form.workspace.store, form.actor, name, version=form.version)
    return form.back("claimed", case_url(name))


@router.post("/cases/{name}/release")
def release(form: Sent, name: str) -> Response:
    """Give the case back."""
    cases.release(form.workspace.store, form.actor, name, version=form.version)
    return form.back("released", case_url(name))


@router.post("/cases/{name}/assign")
def assign(form: Sent, name: str) -> Response:
    """Give the case to somebody."""
    cases.assign(form.workspace.store, form.actor, name, form.text("to"), version=form.version)
    return form.back("assigned", case_url(name))


@router.post("/cases/{name}/status")
def status(form: Sent, name: str) -> Response:
    """Say where the work stands."""
    waiting_for, word = form.text("waiting_for") or None, form.text("status")
    cases.set_status(
        form.workspace.store, form.actor, name, word, waiting_for=waiting_for, version=form.version  # type: ignore[arg-type]
    )  # fmt: skip
    return form.back("status", case_url(name))


@router.post("/cases/{name}/verdicts")
def verdict(form: Sent, name: str) -> Response:
    """Judge one entity of the ring."""
    cases.give_verdict(
        form.workspace.store, form.actor, name, form.entity, form.text("verdict"),  # type: ignore[arg-type]
        reason=form.text("reason"), note=form.text("note") or None, version=form.version,
    )  # fmt: skip
    return form.back("verdict", case_url(name))


@router.post("/cases/{name}/notes")
def note(form: Sent, name: str) -> Response:
    """Write a note on the case."""
    cases.add_note(form.workspace.store, form.actor, name, form.text("text"))
    return form.back("noted", case_url(name))


@router.post("/cases/{name}/close")
def close(form: Sent, name: str) -> Response:
    """Close the case, or ask a second person to."""
    outcome: Any = form.text("outcome")
    closed = cases.close(
        form.workspace.store, form.actor, name, outcome, reason=form.text("reason"), version=form.version
    )
    return form.back("closed" if closed.status == "closed" else "close_requested", case_url(name))


@router.post("/cases/{name}/approve")
def approve(form: Sent, name: str) -> Response:
    """Close the case as the second person."""
    cases.approve_close(form.workspace.store, form.actor, name, version=form.version)
    return form.back("closed", case_url(name))


@router.post("/cases/{name}/reject")
def reject(form: Sent, name: str) -> Response:
    """Send the case back as the second person."""
    cases.reject_close(form.workspace.store, form.actor, name, reason=form.text("reason"), version=form.version)
    return form.back("rejected", case_url(name))


@router.post("/cases/{name}/reopen")
def reopen(form: Sent, name: str) -> Response:
    """Open a new case on the ring of a closed one."""
    opened = cases.reopen(form.workspace.store, form.actor, name, reason=form.text("reason"))
    return RedirectResponse(case_url(opened.case_id, done="reopened"), 303)


# ------------------------------------------------------------------------------------------------------- lists


@router.post("/lists/watch")
def watch(form: Sent) -> Response:
    """Put an entity on the watch list, or take it off."""
    if form.text("remove"):
        store_lists.unwatch(form.workspace.store, form.actor, form.entity, reason=form.text("reason"))
        return form.back("unlisted")
    _known(form)
    store_lists.watch(
        form.workspace.store, form.actor, form.entity, reason=form.text("reason"), expires_at=form.expires_at
    )
    return form.back("listed")


@router.post("/lists/benign")
def benign(form: Sent) -> Response:
    """Say that an entity is innocently shared for a time, or take that back."""
    if form.text("remove"):
        store_lists.untag_benign(form.workspace.store, form.actor, form.entity, reason=form.text("reason"))
        return form.back("unlisted")
    _known(form)
    expires_at = form.expires_at
    if expires_at is None:
        raise ConfigError("days: say for how many days; a benign tag always ends")
    store_lists.tag_benign(
        form.workspace.store, form.actor, form.entity, reason=form.text("reason"), expires_at=expires_at
    )
    return form.back("listed")


@router.post("/lists/block")
def block(form: Sent) -> Response:
    """Block entities as one batch; the page before said whom it touches."""
    masker = form.workspace.masker(form.actor)
    named = [state.entity(text) for text in form.all("entity")]
    queries.block_dry_run(form.workspace, form.actor, named)  # only what exists is blocked
    chosen = [(kind, masker.open(key)) for kind, key in named]
    reason = form.text("reason")
    store_lists.block(form.workspace.store, form.actor, chosen, reason=reason, expires_at=form.expires_at)
    return form.back("blocked", "/lists?list=block")


@router.post("/lists/unblock")
def unblock(form: Sent) -> Response:
    """Undo one batch of blocks."""
    store_lists.unblock(form.workspace.store, form.actor, form.text("batch"), reason=form.text("reason"))
    return form.back("unblocked", "/lists?list=block")


def _known(form: Form) -> None:
    """Raise NotFoundError for an entity nobody knows: lists are of what exists."""
    queries.entity_sheet(form.workspace, form.actor, *form.entity)


# --------------------------------------------------------------------------------------------------------- ids


@router.post("/unmask")
def unmask(form: Sent) -> Response:
    """Show a whole id once, in the answer to this form and under no address."""
    kind, key = form.entity
    reason = form.text("reason")
    whole = queries.unmask(form.workspace, form.actor, kind, key, reason=reason)
    values = {"kind": kind, "whole": whole, "reason": reason, "back": local(form.text("back"))}
    return render(form.request, form.actor, "unmasked.html", values)
