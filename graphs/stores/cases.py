"""Cases and verdicts: who works on a ring, how far they are, and what they found about each member.

A case's status says where the work stands, a verdict what is true of one entity; neither follows from the other.
Every change raises the case's version. Who names the version they saw is told when it is no longer the present one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, insert, select, update

from graphs.errors import ConfigError, NotFoundError
from graphs.signatures import nearest
from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore, Write, new_row, setting
from graphs.stores.errors import ConflictError, ForbiddenError, StaleError
from graphs.stores.models import (
    cases,
    frozen_evidence,
    notes,
    people,
    ring_aliases,
    ring_evidence,
    ring_links,
    ring_members,
    ring_payments,
    rings,
    verdicts,
)

Status = Literal["open", "in_progress", "waiting", "closed"]
Verdict = Literal["fraud", "mule", "victim", "legitimate", "unsure"]
Outcome = Literal["fraud", "not_fraud", "unsure"]
STATUSES: tuple[Status, ...] = get_args(Status)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

LONGEST_TEXT = 10_000


@dataclass(frozen=True)
class Case:
    """One case as it stands. `version` counts its changes; `evidence` is the digest of what was frozen at closing."""

    case_id: str
    ring_id: str
    previous_case_id: str | None
    status: Status
    owner: str | None
    waiting_for: str | None
    opened_at: datetime
    opened_because: str
    changed_at: datetime
    changed_by: str
    close_requested_by: str | None
    close_requested_at: datetime | None
    outcome: Outcome | None
    outcome_reason: str | None
    closed_by: str | None
    closed_at: datetime | None
    evidence: str | None
    version: int


@dataclass(frozen=True)
class GivenVerdict:
    """One verdict on one entity, with the digest of the evidence that stood when it was given."""

    verdict_id: int
    case_id: str
    ring_id: str
    entity_type: str
    entity_id: str
    verdict: Verdict
    reason: str
    note: str | None
    decided_at: datetime
    decided_by: str
    evidence: str
    latest: bool


@dataclass(frozen=True)
class Note:
    """What somebody wrote on a case."""

    note_id: int
    case_id: str
    written_at: datetime
    written_by: str
    text: str


def find_case(connection: Connection, name: str) -> Case:
    """The case named `C-12`, or the newest one of the ring named. Raises NotFoundError."""
    return _case(_row(connection, name))


def cases_of(connection: Connection, ring_id: str) -> tuple[Case, ...]:
    """All cases of a ring, newest first."""
    found = select(cases).where(cases.c.ring_id == ring_id).order_by(cases.c.case_id.desc())
    return tuple(_case(row) for row in connection.execute(found))


def claim(store: CaseStore, actor: Actor, name: str, *, version: int | None = None) -> Case:
    """Make `actor` the owner and the case in progress. Of several who claim at once one wins; the others get a
    ConflictError that says who. Claiming one's own case changes nothing."""
    with store.write(actor, "claim", f"case:{name}") as door:
        case = _locked(door.connection, name, version)
        if case.owner == actor.name:
            return case
        if case.owner is not None:
            raise ConflictError(f"{case.case_id}: {case.owner} has it since {_clock(case.changed_at)}; ask them")
        return _change(door, case, owner=actor.name, status="in_progress")


def release(store: CaseStore, actor: Actor, name: str, *, version: int | None = None) -> Case:
    """Give one's case back to the queue; a lead may give back anybody's."""
    with store.write(actor, "release", f"case:{name}") as door:
        case = _mine(door, name, version)
        return _change(door, case, owner=None, status="open", waiting_for=None)


def assign(store: CaseStore, actor: Actor, name: str, to: str, *, version: int | None = None) -> Case:
    """Make `to`, an active investigator or more, the owner."""
    with store.write(actor, "assign", f"case:{name}") as door:
        case = _locked(door.connection, name, version)
        person = door.connection.execute(select(people).where(people.c.name == to)).one_or_none()
        if person is None or not person.active or not Actor(to, person.role).may("claim"):
            raise NotFoundError(f"{to}: no active investigator of that name; an admin adds people")
        door.detail["to"] = to
        return _change(door, case, owner=to, status="in_progress" if case.status == "open" else case.status)


def set_status(
    store: CaseStore,
    actor: Actor,
    name: str,
    status: Literal["in_progress", "waiting"],
    *,
    waiting_for: str | None = None,
    version: int | None = None,
) -> Case:
    """Say where the work stands; `waiting` says for what. Closing is `close`, giving back is `release`."""
    _word("status", status, ("in_progress", "waiting"))
    if (status == "waiting") != bool(waiting_for):
        raise ConfigError("waiting_for: say what a waiting case waits for, and only then")
    with store.write(actor, "set_status", f"case:{name}") as door:
        case = _mine(door, name, version)
        return _change(door, case, status=status, waiting_for=waiting_for)


def give_verdict(
    store: CaseStore,
    actor: Actor,
    name: str,
    entity: tuple[str, str],
    verdict: Verdict,
    *,
    reason: str,
    note: str | None = None,
    version: int | None = None,
) -> GivenVerdict:
    """Judge one entity (type, id) of the ring. It takes effect as a label from now on; an earlier one is kept.

    The ring's evidence is frozen as it stands, so that the decision can be followed whatever the finder says later.
    """
    _word("verdict", verdict, VERDICTS)
    with store.write(actor, "verdict", f"case:{name}") as door:
        case = _mine(door, name, version)
        _must_be_in(door.connection, case.ring_id, entity)
        here = (verdicts.c.case_id == _number(case.case_id)) & (verdicts.c.entity_type == entity[0])
        here &= verdicts.c.entity_id == entity[1]
        door.connection.execute(update(verdicts).where(here).values(latest=False))
        given: dict[str, Any] = {
            "case_id": _number(case.case_id),
            "ring_id": case.ring_id,
            "entity_type": entity[0],
            "entity_id": entity[1],
            "verdict": verdict,
            "reason": _text("reason", reason),
            "note": _text("note", note) if note else None,
            "decided_at": door.now,
            "decided_by": actor.name,
            "evidence": _freeze(door, case.ring_id),
            "latest": True,
        }
        verdict_id = new_row(door.connection, verdicts, given)
        door.detail.update(verdict=verdict, verdict_id=verdict_id, entity=f"{entity[0]}:{entity[1]}")
        _change(door, case)
        return GivenVerdict(**{"verdict_id": verdict_id} | given | {"case_id": case.case_id})


def add_note(store: CaseStore, actor: Actor, name: str, text: str) -> Note:
    """Write a note on a case; anybody who investigates may, and nobody can change it."""
    with store.write(actor, "note", f"case:{name}") as door:
        case = find_case(door.connection, name)
        note: dict[str, Any] = {"case_id": _number(case.case_id), "written_at": door.now, "written_by": actor.name}
        note["text"] = _text("note", text)
        note_id = new_row(door.connection, notes, note)
        door.subject = f"case:{case.case_id}"
        return Note(**{"note_id": note_id} | note | {"case_id": case.case_id})


def close(
    store: CaseStore, actor: Actor, name: str, outcome: Outcome, *, reason: str, version: int | None = None
) -> Case:
    """Close a case with its outcome; under the setting four_eyes ask for it, and a second person approves.

    `fraud` takes at least one member judged fraud or mule, `not_fraud` none.
    """
    _word("outcome", outcome, OUTCOMES)
    with store.write(actor, "request_close", f"case:{name}") as door:
        case = _mine(door, name, version)
        _must_agree(door.connection, case, outcome)
        found = {"outcome": outcome, "outcome_reason": _text("reason", reason)}
        door.detail["outcome"] = outcome
        if setting(door.connection, "four_eyes"):
            return _change(door, case, **found, close_requested_by=actor.name, close_requested_at=door.now)
        return _closed(door, case, **found)


def approve_close(store: CaseStore, actor: Actor, name: str, *, version: int | None = None) -> Case:
    """Close a case that another person asked to close."""
    with store.write(actor, "approve_close", f"case:{name}") as door:
        case = _requested(door.connection, name, version)
        if case.close_requested_by == actor.name:
            raise ForbiddenError(f"{case.case_id}: closing takes a second person, and {actor.name} asked for it")
        assert case.outcome is not None
        _must_agree(door.connection, case, case.outcome)
        return _closed(door, case)


def reject_close(store: CaseStore, actor: Actor, name: str, *, reason: str, version: int | None = None) -> Case:
    """Send a case that was to be closed back to its owner, with the reason as a note."""
    with store.write(actor, "reject_close", f"case:{name}") as door:
        case = _requested(door.connection, name, version)
        text = f"Closing rejected: {_text('reason', reason)}"
        note = {"case_id": _number(case.case_id), "written_at": door.now, "written_by": actor.name, "text": text}
        door.connection.execute(insert(notes).values(**note))
        nothing = dict.fromkeys(("outcome", "outcome_reason", "close_requested_by", "close_requested_at"))
        return _change(door, case, **nothing)


def reopen(store: CaseStore, actor: Actor, name: str, *, reason: str) -> Case:
    """Open a new case on the ring of a closed one; the closed one stays as it was decided."""
    with store.write(actor, "reopen", f"case:{name}") as door:
        case = find_case(door.connection, name)
        if case.status != "closed" or find_case(door.connection, case.ring_id).case_id != case.case_id:
            raise ConflictError(f"{case.case_id}: only the newest case of a ring, once closed, can be opened again")
        values = {
            "ring_id": case.ring_id,
            "previous_case_id": _number(case.case_id),
            "status": "open",
            "opened_at": door.now,
            "opened_because": _text("reason", reason),
            "changed_at": door.now,
            "changed_by": actor.name,
            "version": 1,
        }
        number = new_row(door.connection, cases, values)
        return find_case(door.connection, f"C-{number}")


def verdicts_of(
    connection: Connection,
    *,
    case_id: str | None = None,
    ring_id: str | None = None,
    entity: tuple[str, str] | None = None,
) -> list[GivenVerdict]:
    """Verdicts of a case, of a ring, on an entity (type, id), or all there are, oldest first; superseded ones too."""
    found = select(verdicts).order_by(verdicts.c.verdict_id)
    if case_id is not None:
        found = found.where(verdicts.c.case_id == _number(case_id))
    if ring_id is not None:
        found = found.where(verdicts.c.ring_id == ring_id)
    if entity is not None:
        found = found.where(verdicts.c.entity_type == entity[0], verdicts.c.entity_id == entity[1])
    return [
        GivenVerdict(**dict(row) | {"case_id": f"C-{row['case_id']}"}) for row in connection.execute(found).mappings()
    ]


def notes_of(connection: Connection, case_id: str) -> list[Note]:
    """The notes on a case, oldest first."""
    found = select(notes).where(notes.c.case_id == _number(case_id)).order_by(notes.c.note_id)
    return [Note(**dict(row) | {"case_id": case_id}) for row in connection.execute(found).mappings()]


def evidence_at(store: CaseStore, actor: Actor, digest: str) -> dict[str, Any]:
    """The frozen content behind a decision, as plain JSON values. Raises NotFoundError."""
    with store.read() as connection:
        wanted = select(frozen_evidence.c.ring_id, frozen_evidence.c.content).where(frozen_evidence.c.digest == digest)
        found = connection.execute(wanted).one_or_none()
    if found is None:
        raise NotFoundError(f"no evidence is frozen under {digest[:12]}")
    store.saw(actor, "view", f"ring:{found.ring_id}", {"evidence": digest})
    return dict(found.content)


# --------------------------------------------------------------------------------------------- one case, locked


def _row(connection: Connection, name: str, *, lock: bool = False) -> Any:
    wanted = select(cases)
    if name.upper().startswith("C-") and name[2:].isdecimal() and len(name) < 20:
        wanted = wanted.where(cases.c.case_id == int(name[2:]))
    else:
        alias = select(ring_aliases.c.ring_id).where(ring_aliases.c.alias == name)
        ring = connection.execute(alias).scalar_one_or_none() or name
        wanted = wanted.where(cases.c.ring_id == ring).order_by(cases.c.case_id.desc()).limit(1)
    found = connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()
    if found is None:
        raise NotFoundError(f"no case or ring is called {name!r}; cases are named like C-12, rings like R-7F3K2Q")
    return found


def _case(row: Any) -> Case:
    values = dict(row._mapping)
    previous = values["previous_case_id"]
    names = {"case_id": f"C-{row.case_id}", "previous_case_id": None if previous is None else f"C-{previous}"}
    return Case(**values | names)


def _locked(connection: Connection, name: str, version: int | None) -> Case:
    """The case, with other writers kept out until the transaction ends; it must be open and of that version."""
    case = _case(_row(connection, name, lock=True))
    if version is not None and case.version != version:
        raise StaleError(
            f"{case.case_id}: {case.changed_by} changed it at {_clock(case.changed_at)} (version {case.version}, "
            f"you saw {version}); look again, then decide"
        )
    if case.status == "closed":
        raise ConflictError(f"{case.case_id}: closed by {case.closed_by}; a lead can reopen it")
    return case


def _mine(door: Write, name: str, version: int | None) -> Case:
    """The locked case, of which the actor is the owner or may act for them."""
    case = _locked(door.connection, name, version)
    if case.owner is None and not door.actor.may("assign"):
        raise ConflictError(f"{case.case_id}: nobody has it; claim it first")
    if case.owner not in (None, door.actor.name) and not door.actor.may("assign"):
        raise ConflictError(f"{case.case_id}: {case.owner} has it; ask them, or a lead to assign it to you")
    return case


def _requested(connection: Connection, name: str, version: int | None) -> Case:
    case = _locked(connection, name, version)
    if case.close_requested_by is None:
        raise ConflictError(f"{case.case_id}: nobody asked to close it")
    return case


def _change(door: Write, case: Case, **values: Any) -> Case:
    values |= {"changed_at": door.now, "changed_by": door.actor.name, "version": case.version + 1}
    here = (cases.c.case_id == _number(case.case_id)) & (cases.c.version == case.version)
    changed = door.connection.execute(update(cases).where(here).values(**values)).rowcount
    assert changed == 1, "the row is locked since it was read"
    door.subject = f"case:{case.case_id}"
    door.detail.update(ring_id=case.ring_id, version=case.version + 1)
    return find_case(door.connection, case.case_id)


def _closed(door: Write, case: Case, **values: Any) -> Case:
    evidence = _freeze(door, case.ring_id)
    return _change(
        door, case, **values, status="closed", waiting_for=None, closed_by=door.actor.name, closed_at=door.now,
        evidence=evidence,
    )  # fmt: skip


def _must_agree(connection: Connection, case: Case, outcome: Outcome) -> None:
    held = [one.verdict for one in verdicts_of(connection, case_id=case.case_id) if one.latest]
    guilty = sum(verdict in ("fraud", "mule") for verdict in held)
    if outcome == "fraud" and not guilty:
        raise ConflictError(f"{case.case_id}: fraud takes a member judged fraud or mule; there is none")
    if outcome == "not_fraud" and guilty:
        raise ConflictError(
            f"{case.case_id}: not fraud, but {guilty} judged fraud or mule; change these verdicts first"
        )


def _must_be_in(connection: Connection, ring_id: str, entity: tuple[str, str]) -> None:
    here = (ring_members.c.ring_id == ring_id) & (ring_members.c.entity_type == entity[0])
    here &= ring_members.c.entity_id == entity[1]
    if connection.execute(select(ring_members.c.row_id).where(here).limit(1)).one_or_none() is None:
        raise NotFoundError(f"{ring_id}: no such {entity[0]} is or was in the ring")


# --------------------------------------------------------------------------------------------- evidence, texts


def _freeze(door: Write, ring_id: str) -> str:
    """Keep the ring's sheet as it stands; the same content is kept once. Returns its SHA-256."""
    connection = door.connection
    ring = connection.execute(select(rings).where(rings.c.ring_id == ring_id)).mappings().one()
    content: dict[str, Any] = {"ring": {name: value for name, value in ring.items() if name != "picture"}}
    for name, table in (
        ("members", ring_members), ("evidence", ring_evidence), ("links", ring_links), ("payments", ring_payments),
    ):  # fmt: skip
        here = (table.c.ring_id == ring_id) & (table.c.run_id == ring["run_id"])
        rows = connection.execute(select(table).where(here).order_by(table.c.row_id)).mappings()
        content[name] = [{key: row[key] for key in row if key not in ("row_id", "run_id", "ring_id")} for row in rows]
    text = json.dumps(content, sort_keys=True, default=datetime.isoformat)
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = select(frozen_evidence.c.digest).where(frozen_evidence.c.digest == digest)
    if connection.execute(known).one_or_none() is None:
        row = {"digest": digest, "ring_id": ring_id, "run_id": ring["run_id"], "frozen_at": door.now}
        connection.execute(insert(frozen_evidence).values(**row, content=json.loads(text)))
    return digest


def _number(case_id: str) -> int:
    return int(case_id[2:])


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _word(key: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ConfigError(f"{key}: got {value!r}{nearest(str(value), words)}; there are: {', '.join(words)}")


def _text(key: str, value: str) -> str:
    """What a person wrote, fit to keep. An empty reason is none."""
    text = value.strip().replace("\x00", "")
    if not text or len(text) > LONGEST_TEXT:
        raise ConfigError(f"{key}: expected 1 to {LONGEST_TEXT:,} characters, got {len(text):,}")
    return text
