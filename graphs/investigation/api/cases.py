"""Cases, from claim to close. What changes a case says which version it is about (If-Match); a note changes none,
and reopening leaves the closed case as it was decided, so these two do not.

In the place of a case's name that of a ring is taken for its newest case.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from graphs.investigation import queries
from graphs.investigation.answers import CaseSheet, Narrative
from graphs.investigation.api.parts import Asking, Body, Name, Prose, Reason, SeenVersion, Served, as_seen, set_etag
from graphs.investigation.workspace import Workspace
from graphs.stores import cases
from graphs.stores.actors import Actor
from graphs.stores.cases import Case, GivenVerdict, Note, Outcome, Verdict

router = APIRouter(tags=["cases"])


class Assignment(Body):
    """Who is to work on it."""

    to: Name


class Work(Body):
    """Where the work stands; `waiting` says for what."""

    status: Literal["in_progress", "waiting"]
    waiting_for: Prose | None = None


class Judgement(Body):
    """What is true of one entity of the ring. Either an id or a handle is taken."""

    entity_type: Name
    entity_id: Name
    verdict: Verdict
    reason: Prose
    note: Prose | None = None


class Remark(Body):
    """What to write on the case."""

    text: Prose


class Closing(Body):
    """How it ended, and why."""

    outcome: Outcome
    reason: Prose


@router.get("/cases/{case}")
def case_sheet(workspace: Served, actor: Asking, case: Name, response: Response) -> CaseSheet:
    """One case: verdicts, notes, who did what."""
    sheet = queries.case_sheet(workspace, actor, case)
    set_etag(response, sheet.case.version)
    return sheet


@router.get("/cases/{case}/narrative")
def case_narrative(workspace: Served, actor: Asking, case: Name) -> Narrative:
    """The draft of a report: who, what, when, where, why, how."""
    return queries.case_narrative(workspace, actor, case)


@router.post("/cases/{case}/claim")
def claim(workspace: Served, actor: Asking, case: Name, version: SeenVersion, response: Response) -> Case:
    """Take a case; if somebody has it you are told who."""
    return _changed(workspace, actor, cases.claim(workspace.store, actor, case, version=version), response)


@router.post("/cases/{case}/release")
def release(workspace: Served, actor: Asking, case: Name, version: SeenVersion, response: Response) -> Case:
    """Give a case back."""
    return _changed(workspace, actor, cases.release(workspace.store, actor, case, version=version), response)


@router.post("/cases/{case}/assign")
def assign(
    workspace: Served, actor: Asking, case: Name, body: Assignment, version: SeenVersion, response: Response
) -> Case:
    """Give a case to somebody."""
    changed = cases.assign(workspace.store, actor, case, body.to, version=version)
    return _changed(workspace, actor, changed, response)


@router.post("/cases/{case}/status")
def set_status(
    workspace: Served, actor: Asking, case: Name, body: Work, version: SeenVersion, response: Response
) -> Case:
    """Say where the work stands."""
    changed = cases.set_status(workspace.store, actor, case, body.status, waiting_for=body.waiting_for, version=version)
    return _changed(workspace, actor, changed, response)


@router.post("/cases/{case}/verdicts", status_code=201)
def give_verdict(
    workspace: Served, actor: Asking, case: Name, body: Judgement, version: SeenVersion, response: Response
) -> GivenVerdict:
    """Judge one member; it becomes a label."""
    key = workspace.masker(actor).open(body.entity_id)
    given = cases.give_verdict(
        workspace.store, actor, case, (body.entity_type, key), body.verdict,
        reason=body.reason, note=body.note, version=version,
    )  # fmt: skip
    if version is not None:
        set_etag(response, version + 1)
    return as_seen(workspace, actor, given)


@router.post("/cases/{case}/notes", status_code=201)
def add_note(workspace: Served, actor: Asking, case: Name, body: Remark) -> Note:
    """Write a note on a case; nobody can change it."""
    return as_seen(workspace, actor, cases.add_note(workspace.store, actor, case, body.text))


@router.post("/cases/{case}/close")
def close(
    workspace: Served, actor: Asking, case: Name, body: Closing, version: SeenVersion, response: Response
) -> Case:
    """Close a case, or ask to: under four_eyes a second person approves."""
    changed = cases.close(workspace.store, actor, case, body.outcome, reason=body.reason, version=version)
    return _changed(workspace, actor, changed, response)


@router.post("/cases/{case}/approve")
def approve_close(workspace: Served, actor: Asking, case: Name, version: SeenVersion, response: Response) -> Case:
    """Close a case that another person asked to close."""
    return _changed(workspace, actor, cases.approve_close(workspace.store, actor, case, version=version), response)


@router.post("/cases/{case}/reject")
def reject_close(
    workspace: Served, actor: Asking, case: Name, body: Reason, version: SeenVersion, response: Response
) -> Case:
    """Send a case that was to be closed back to its owner."""
    changed = cases.reject_close(workspace.store, actor, case, reason=body.reason, version=version)
    return _changed(workspace, actor, changed, response)


@router.post("/cases/{case}/reopen", status_code=201)
def reopen(workspace: Served, actor: Asking, case: Name, body: Reason, response: Response) -> Case:
    """Open a closed ring's case again, as a new one."""
    return _changed(workspace, actor, cases.reopen(workspace.store, actor, case, reason=body.reason), response)


def _changed(workspace: Workspace, actor: Actor, case: Case, response: Response) -> Case:
    set_etag(response, case.version)
    return as_seen(workspace, actor, case)
