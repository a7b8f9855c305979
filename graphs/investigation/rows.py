"""What the queries share: rows of rings with their cases, cursors, limits, and where entities stand."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, and_, func, or_, select, tuple_

from graphs.errors import ConfigError, NotFoundError
from graphs.investigation.answers import (
    AuditLine,
    Brief,
    RingRow,
)
from graphs.investigation.masking import Masker
from graphs.signatures import nearest
from graphs.stores.cases import Case, GivenVerdict, Note
from graphs.stores.lists import Mark
from graphs.stores.models import (
    cases,
    marks,
    ring_aliases,
    ring_members,
    rings,
)

T = TypeVar("T")

MOST_ROWS = 500
"""No page is longer."""

DAY = 86_400_000_000

NEWEST_CASE = (
    select(func.max(cases.c.case_id)).where(cases.c.ring_id == rings.c.ring_id).correlate(rings).scalar_subquery()
)

CASE_COLUMNS = (
    cases.c.case_id,
    cases.c.status.label("case_status"),
    cases.c.owner,
    cases.c.outcome,
    cases.c.version,
)

_RING_COLUMNS = tuple(column for column in rings.c if column.name not in ("run_id", "picture"))


def ring_rows() -> Select[Any]:
    """Rings, newest version, with their newest cases; queries narrow it."""
    return select(*_RING_COLUMNS, *CASE_COLUMNS).join(cases, cases.c.case_id == NEWEST_CASE)


def ring_row(row: Row[Any], masker: Masker) -> RingRow:
    """A row of `ring_rows` as its reader may see it."""
    values = {name: getattr(row, name) for name in RingRow.__dataclass_fields__}
    return RingRow(**values | {"case_id": f"C-{row.case_id}", "headline": masker.prose(row.headline)})


def make_cursor(sort: str, value: Any, ring_id: str) -> str:
    """Where a page ended: the list it is of, the value sorted by, and the key that breaks ties."""
    return base64.urlsafe_b64encode(json.dumps([sort, value, ring_id]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, sort: str) -> tuple[Any, str]:
    """What `make_cursor` wrote for this list. Raises ConfigError for anything else."""
    try:
        of, value, ring_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if of == sort and type(value) in (int, float) and abs(value) < 2**63 and _is_key(ring_id):
            return value, ring_id
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise ConfigError("cursor: not one of this list; start again without it")


def _is_key(text: Any) -> bool:
    # What no database keeps, no cursor of ours holds.
    return isinstance(text, str) and "\x00" not in text and bool(text == text.encode(errors="replace").decode())


def check_words(key: str, words: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError at the first word that is not known."""
    for word in words:
        if word not in known:
            raise ConfigError(f"{key}: got {word!r}{nearest(word, known)}; there are: {', '.join(known)}")


def check_limit(limit: int) -> None:
    """Raise ConfigError for a page that is empty or too long."""
    if not 1 <= limit <= MOST_ROWS:
        raise ConfigError(f"limit: got {limit}, expected 1 to {MOST_ROWS}")


def resolve_ring(connection: Connection, ring_id: str) -> str:
    """The ring that is, or once was, called `ring_id`. Raises NotFoundError."""
    alias = select(ring_aliases.c.ring_id).where(ring_aliases.c.alias == ring_id)
    name = connection.execute(alias).scalar_one_or_none() or ring_id
    found = connection.execute(select(rings.c.ring_id).where(rings.c.ring_id == name)).scalar_one_or_none()
    if found is None:
        raise NotFoundError(f"no ring is called {ring_id!r}")
    return str(found)


def as_answer(kind: Any, row: Row[Any], **others: Any) -> Any:
    """A value of `kind` whose fields are the columns of the same name, but for `others`."""
    names = [name for name in kind.__dataclass_fields__ if name not in others]
    return kind(**{name: getattr(row, name) for name in names} | others)


def briefs_of(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[Brief, ...]]:
    """In which rings, as they now stand, each of the entities is, the highest score first."""
    found: dict[tuple[str, str], list[Brief]] = {}
    for part in chunks(keys):
        wanted = (
            select(ring_members, *CASE_COLUMNS)
            .join(rings, and_(rings.c.ring_id == ring_members.c.ring_id, rings.c.run_id == ring_members.c.run_id))
            .join(cases, cases.c.case_id == NEWEST_CASE)
            .where(
                tuple_(ring_members.c.entity_id, ring_members.c.entity_type).in_([(key, kind) for kind, key in part])
            )
            .where(rings.c.merged_into.is_(None))
            .order_by(rings.c.score.desc(), rings.c.ring_id)
        )
        for row in connection.execute(wanted):
            brief = as_answer(Brief, row, case_id=f"C-{row.case_id}")
            found.setdefault((row.entity_type, row.entity_id), []).append(brief)
    return {key: tuple(briefs) for key, briefs in found.items()}


def marks_on(connection: Connection, keys: Sequence[tuple[str, str]]) -> list[Any]:
    """The marks that hold now on any of the entities: (list, entity_type, entity_id)."""
    found: list[Any] = []
    now = datetime.now(UTC)
    for part in chunks(keys):
        wanted = select(marks.c.list, marks.c.entity_type, marks.c.entity_id).where(
            marks.c.removed_at.is_(None),
            or_(marks.c.expires_at.is_(None), marks.c.expires_at > now),
            tuple_(marks.c.entity_id, marks.c.entity_type).in_([(key, kind) for kind, key in part]),
        )
        found.extend(connection.execute(wanted))
    return found


def chunks(keys: Sequence[T], size: int = 400) -> Iterable[Sequence[T]]:
    """`keys` in parts of at most `size`."""
    # SQLite takes a bounded number of bound values.
    return (keys[start : start + size] for start in range(0, len(keys), size))


W = TypeVar("W", Case, GivenVerdict, Note, Mark)

_WRITTEN: dict[type, tuple[str, ...]] = {
    Case: ("waiting_for", "opened_because", "outcome_reason"),
    GivenVerdict: ("reason", "note"),
    Note: ("text",),
    Mark: ("reason",),
}
"""Which of their fields people wrote, and may have written ids into."""


def masked(connection: Connection, masker: Masker, values: Iterable[W]) -> tuple[W, ...]:
    """Cases, verdicts, notes or marks as their reader may see them, whomever of a ring their texts name."""
    values = tuple(values)
    named = _named(connection, [getattr(one, name) for one in values for name in _WRITTEN[type(one)]])
    return tuple(_masked(one, masker, named) for one in values)


def _masked(value: W, masker: Masker, named: Sequence[tuple[str, str]]) -> W:
    shown: dict[str, Any] = {}
    if isinstance(value, GivenVerdict | Mark):
        own = (value.entity_type, value.entity_id)
        named = (*named, own)
        shown["entity_id"] = masker.entity(*own).text
    for name in _WRITTEN[type(value)]:
        text = getattr(value, name)
        shown[name] = None if text is None else masker.prose(text, named)
    return replace(value, **shown)


def _named(connection: Connection, texts: Iterable[str | None]) -> tuple[tuple[str, str], ...]:
    """The entities of rings, of any ring, that texts name by their id."""
    parts = {part for text in texts if text for part in text.split()}
    found: list[tuple[str, str]] = []
    for words in chunks(sorted(parts | {part.strip(_AROUND_WORDS) for part in parts})):
        wanted = select(ring_members.c.entity_type, ring_members.c.entity_id).where(ring_members.c.entity_id.in_(words))
        found += [(kind, key) for kind, key in connection.execute(wanted.distinct())]
    return tuple(found)


_AROUND_WORDS = ".,;:!?()[]\"'“”‘’<>"


def audit_line(row: Row[Any], masker: Masker) -> AuditLine:
    """Subjects and details name entities as type:id; they come out as the reader may see them."""
    return as_answer(AuditLine, row, subject=_shown(row.subject, masker), detail=_shown(row.detail, masker))


_NO_ENTITY = ("ring", "case", "run", "batch", "person", "key", "setting")


def _shown(value: Any, masker: Masker) -> Any:
    if isinstance(value, Mapping):
        return {name: _shown(item, masker) for name, item in value.items()}
    if isinstance(value, list):
        return [_shown(item, masker) for item in value]
    if not isinstance(value, str):
        return value
    kind, mark, key = value.partition(":")
    if mark and " " not in kind and kind not in _NO_ENTITY and key:
        return f"{kind}:{masker.entity(kind, key).text}"
    return masker.prose(value)
