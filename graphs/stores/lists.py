"""Watch list, benign tags and block list: marks on entities that outlive any one case.

Taking a mark off keeps its row with who did it and why. Blocking goes in batches, so that one batch can be undone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from graphs.errors import ConfigError, NotFoundError
from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore, Write
from graphs.stores.cases import LONGEST_TEXT
from graphs.stores.models import marks

List = Literal["watch", "benign", "block"]
LISTS: tuple[List, ...] = get_args(List)

EntityKey = tuple[str, str]
"""(entity type, entity id)"""


@dataclass(frozen=True)
class Mark:
    """One entity on one list, and until when."""

    list: List
    entity_type: str
    entity_id: str
    reason: str
    set_at: datetime
    set_by: str
    expires_at: datetime | None
    batch: str | None


def watch(
    store: CaseStore, actor: Actor, entity: EntityKey, *, reason: str, expires_at: datetime | None = None
) -> Mark:
    """Put an entity on the watch list."""
    with store.write(actor, "watch", f"{entity[0]}:{entity[1]}") as door:
        return _set(door, "watch", entity, reason, expires_at)


def unwatch(store: CaseStore, actor: Actor, entity: EntityKey, *, reason: str) -> None:
    """Take an entity off the watch list. Raises NotFoundError if it is not on it."""
    with store.write(actor, "unwatch", f"{entity[0]}:{entity[1]}") as door:
        _remove(door, _is(entity, "watch"), reason, f"the {entity[0]} is not on the watch list")


def tag_benign(store: CaseStore, actor: Actor, entity: EntityKey, *, reason: str, expires_at: datetime) -> Mark:
    """Say that an entity is innocently shared (a kiosk, a family's phone), until `expires_at`; never for ever."""
    with store.write(actor, "tag_benign", f"{entity[0]}:{entity[1]}") as door:
        if expires_at <= door.now:
            raise ConfigError("expires_at: lies in the past")
        return _set(door, "benign", entity, reason, expires_at)


def untag_benign(store: CaseStore, actor: Actor, entity: EntityKey, *, reason: str) -> None:
    """Take a benign tag off before it expires."""
    with store.write(actor, "untag_benign", f"{entity[0]}:{entity[1]}") as door:
        _remove(door, _is(entity, "benign"), reason, f"the {entity[0]} has no benign tag")


def block(
    store: CaseStore, actor: Actor, entities: Iterable[EntityKey], *, reason: str, expires_at: datetime | None = None
) -> tuple[Mark, ...]:
    """Put entities on the block list as one batch (`marks[0].batch`). `queries_graph.block_dry_run` says before
    whom it would touch."""
    chosen = list(dict.fromkeys(entities))
    if not chosen:
        raise ConfigError("block: name at least one entity")
    batch = f"B-{secrets.token_hex(4).upper()}"
    with store.write(actor, "block", f"batch:{batch}") as door:
        door.detail["entities"] = [f"{kind}:{key}" for kind, key in chosen]
        return tuple(_set(door, "block", entity, reason, expires_at, batch) for entity in chosen)


def unblock(store: CaseStore, actor: Actor, batch: str, *, reason: str) -> int:
    """Undo a batch of blocks; returns how many entities came off. Raises NotFoundError if none is left of it."""
    with store.write(actor, "unblock", f"batch:{batch}") as door:
        held = (marks.c.list == "block") & (marks.c.batch == batch)
        return _remove(door, held, reason, f"no block of batch {batch!r} holds")


def marks_of(connection: Connection, now: datetime, *, entity: EntityKey | None = None) -> tuple[Mark, ...]:
    """The marks that hold at `now`, of one entity or all, newest first."""
    wanted = select(marks).where(_holds(now)).order_by(marks.c.mark_id.desc())
    if entity is not None:
        wanted = wanted.where(marks.c.entity_type == entity[0], marks.c.entity_id == entity[1])
    return tuple(
        Mark(**{name: row[name] for name in Mark.__dataclass_fields__}) for row in connection.execute(wanted).mappings()
    )


def _holds(now: datetime) -> ColumnElement[bool]:
    return marks.c.removed_at.is_(None) & or_(marks.c.expires_at.is_(None), marks.c.expires_at > now)


def _is(entity: EntityKey, name: List) -> ColumnElement[bool]:
    return (marks.c.list == name) & (marks.c.entity_type == entity[0]) & (marks.c.entity_id == entity[1])


def _set(
    door: Write, name: List, entity: EntityKey, reason: str, expires_at: datetime | None, batch: str | None = None
) -> Mark:
    """A mark in place of one that is there: the newest reason and expiry hold."""
    _end(door, _is(entity, name), "set anew")
    mark = Mark(name, *entity, _reason(reason), door.now, door.actor.name, expires_at, batch)
    door.connection.execute(insert(marks).values(**mark.__dict__))
    door.detail.update(reason=mark.reason, expires_at=expires_at and expires_at.isoformat())
    return mark


def _remove(door: Write, which: ColumnElement[bool], reason: str, otherwise: str) -> int:
    removed = _end(door, which, _reason(reason))
    if not removed:
        raise NotFoundError(otherwise)
    door.detail.update(reason=reason.strip(), removed=removed)
    return removed


def _end(door: Write, which: ColumnElement[bool], why: str) -> int:
    ended = {"removed_at": door.now, "removed_by": door.actor.name, "removed_because": why}
    return door.connection.execute(update(marks).where(which, marks.c.removed_at.is_(None)).values(**ended)).rowcount


def _reason(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise ConfigError(f"reason: expected 1 to {LONGEST_TEXT:,} characters, got {len(text.strip()):,}")
    return text.strip()
