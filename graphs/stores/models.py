"""The tables of the case store, for SQLite and PostgreSQL alike.

A ring has a version for each finder run that spoke of it; cases, verdicts and lists are what people added. Times are
microseconds since 1970 in UTC in the database and aware datetimes in Python. Rows of `audit` and `frozen_evidence`
are never changed or deleted; triggers in the first migration see to that.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
)
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as int64 µs since 1970: exact, sorted and the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else instant(value)


def micros(moment: datetime) -> int:
    """µs since 1970 of an aware datetime, exactly."""
    assert moment.tzinfo is not None, "times carry their zone"
    return (moment - EPOCH) // timedelta(microseconds=1)


def instant(us: int) -> datetime:
    """The aware datetime of µs since 1970."""
    return EPOCH + timedelta(microseconds=us)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the key is INTEGER.
Number = BigInteger().with_variant(Integer, "sqlite")


def _entity() -> list[Column[Any]]:
    return [Column("entity_type", Text, nullable=False), Column("entity_id", Text, nullable=False)]


def _run_and_ring(*, key: bool = False) -> list[Column[Any]]:
    return [
        Column("run_id", Number, ForeignKey("finder_runs.run_id"), nullable=False, primary_key=key),
        Column("ring_id", Text, ForeignKey("rings.ring_id"), nullable=False, primary_key=key),
    ]


def _figures() -> list[Column[Any]]:
    """What a finder run says of a ring as a whole."""
    return [
        Column("rank", Integer, nullable=False),
        Column("status", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("headline", Text, nullable=False),
        Column("p_ring", Double, nullable=False),
        Column("score", Double, nullable=False),
        Column("preventable_value", Double, nullable=False),
        Column("value_total", Double, nullable=False),
        Column("value_fraud", Double, nullable=False),
        Column("payments", BigInteger, nullable=False),
        Column("users", Integer, nullable=False),
        Column("first_event_time", Instant),
        Column("last_event_time", Instant),
        Column("first_seen", Instant),
    ]


FIGURES = tuple(column.name for column in _figures())

finder_runs = Table(
    "finder_runs",
    metadata,
    Column("run_id", Number, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("as_of", Instant, nullable=False, index=True),
    Column("previous_as_of", Instant),
    Column("facts", JSON, nullable=False),
    Column("rings", Integer, nullable=False),
    Column("imported_at", Instant, nullable=False),
    Column("imported_by", Text, nullable=False),
)

rings = Table(
    "rings",
    metadata,
    Column("ring_id", Text, primary_key=True),
    Column("run_id", Number, ForeignKey("finder_runs.run_id"), nullable=False),
    Column("as_of", Instant, nullable=False),
    *_figures(),
    Column("merged_into", Text),
    Column("picture", Text),
    Index("ix_rings_score", "score", "ring_id"),
    Index("ix_rings_last_event_time", "last_event_time", "ring_id"),
)
"""The newest version of each ring, so that the queue reads one table."""

ring_versions = Table("ring_versions", metadata, *_run_and_ring(key=True), *_figures(), Index(None, "ring_id"))

ring_aliases = Table(
    "ring_aliases",
    metadata,
    Column("alias", Text, primary_key=True),
    Column("ring_id", Text, ForeignKey("rings.ring_id"), nullable=False, index=True),
)
"""Ids by which a ring was known before: of rings that merged into it."""

ring_lineage = Table(
    "ring_lineage",
    metadata,
    Column("lineage_id", Number, primary_key=True),
    *_run_and_ring(),
    Column("change", Text, nullable=False),
    Column("other_ring_id", Text),
    Column("as_of", Instant, nullable=False),
    Column("jaccard", Double),
    Index(None, "ring_id", "as_of"),
    Index(None, "as_of"),
)

ring_members = Table(
    "ring_members",
    metadata,
    Column("row_id", Number, primary_key=True),
    *_run_and_ring(),
    *_entity(),
    Column("part", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("score", Double),
    Column("attachment", Double),
    Column("first_seen", Instant),
    Column("last_seen", Instant),
    Column("payments", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("x", Double),
    Column("y", Double),
    Index(None, "ring_id", "run_id"),
    Index(None, "entity_id", "entity_type"),
)

ring_evidence = Table(
    "ring_evidence",
    metadata,
    Column("row_id", Number, primary_key=True),
    *_run_and_ring(),
    Column("place", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("entity_type", Text),
    Column("entity_id", Text),
    Column("value", Double),
    Column("others", BigInteger),
    Column("since", Instant),
    Index(None, "ring_id", "run_id"),
)

ring_links = Table(
    "ring_links",
    metadata,
    Column("row_id", Number, primary_key=True),
    *_run_and_ring(),
    Column("source_type", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("target_type", Text, nullable=False),
    Column("target_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("value", Double),
    Column("first_time", Instant),
    Column("last_time", Instant),
    Index(None, "ring_id", "run_id"),
)
"""Of the newest version only."""

ring_payments = Table(
    "ring_payments",
    metadata,
    Column("row_id", Number, primary_key=True),
    *_run_and_ring(),
    Column("event_type", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_time", Instant, nullable=False),
    Column("amount", Double),
    Column("score", Double),
    Index(None, "ring_id", "event_time"),
    Index(None, "event_id"),
)
"""Of the newest version only."""

cases = Table(
    "cases",
    metadata,
    Column("case_id", Number, primary_key=True),
    Column("ring_id", Text, ForeignKey("rings.ring_id"), nullable=False),
    Column("previous_case_id", Number, ForeignKey("cases.case_id")),
    Column("status", Text, nullable=False),
    Column("owner", Text),
    Column("waiting_for", Text),
    Column("opened_at", Instant, nullable=False),
    Column("opened_because", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("close_requested_by", Text),
    Column("close_requested_at", Instant),
    Column("outcome", Text),
    Column("outcome_reason", Text),
    Column("closed_by", Text),
    Column("closed_at", Instant),
    Column("evidence", Text, ForeignKey("frozen_evidence.digest")),
    Column("version", Integer, nullable=False),
    CheckConstraint("status IN ('open', 'in_progress', 'waiting', 'closed')", name="status"),
    Index(None, "ring_id"),
    Index(None, "owner", "status"),
    Index(
        "one_open_case_per_ring",
        "ring_id",
        unique=True,
        sqlite_where=Column("status", Text) != "closed",
        postgresql_where=Column("status", Text) != "closed",
    ),
)

frozen_evidence = Table(
    "frozen_evidence",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("ring_id", Text, ForeignKey("rings.ring_id"), nullable=False, index=True),
    Column("run_id", Number, ForeignKey("finder_runs.run_id"), nullable=False),
    Column("frozen_at", Instant, nullable=False),
    Column("content", JSON, nullable=False),
)
"""What stood on the ring's sheet when somebody decided, by the SHA-256 of its content."""

verdicts = Table(
    "verdicts",
    metadata,
    Column("verdict_id", Number, primary_key=True),
    Column("case_id", Number, ForeignKey("cases.case_id"), nullable=False, index=True),
    Column("ring_id", Text, ForeignKey("rings.ring_id"), nullable=False, index=True),
    *_entity(),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text),
    Column("decided_at", Instant, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("evidence", Text, ForeignKey("frozen_evidence.digest"), nullable=False),
    Column("latest", Boolean, nullable=False),
    CheckConstraint("verdict IN ('fraud', 'mule', 'victim', 'legitimate', 'unsure')", name="verdict"),
    Index(None, "entity_id", "entity_type"),
)
"""Every verdict ever given; `latest` marks the one that holds for an entity in a case."""

notes = Table(
    "notes",
    metadata,
    Column("note_id", Number, primary_key=True),
    Column("case_id", Number, ForeignKey("cases.case_id"), nullable=False, index=True),
    Column("written_at", Instant, nullable=False),
    Column("written_by", Text, nullable=False),
    Column("text", Text, nullable=False),
)

marks = Table(
    "marks",
    metadata,
    Column("mark_id", Number, primary_key=True),
    Column("list", Text, nullable=False),
    *_entity(),
    Column("batch", Text),
    Column("reason", Text, nullable=False),
    Column("set_at", Instant, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("expires_at", Instant),
    Column("removed_at", Instant),
    Column("removed_by", Text),
    Column("removed_because", Text),
    CheckConstraint("list IN ('watch', 'benign', 'block')", name="list"),
    Index(None, "entity_id", "entity_type"),
    Index(
        "one_mark_per_list",
        "list",
        "entity_type",
        "entity_id",
        unique=True,
        sqlite_where=Column("removed_at", BigInteger).is_(None),
        postgresql_where=Column("removed_at", BigInteger).is_(None),
    ),
)
"""Watch list, benign tags and block list; removing an entry keeps its row."""

people = Table(
    "people",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    CheckConstraint("role IN ('viewer', 'investigator', 'lead', 'admin')", name="role"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("prefix", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("person", Text, ForeignKey("people.name"), nullable=False, index=True),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked", Boolean, nullable=False, server_default=false()),
)

settings = Table("settings", metadata, Column("name", Text, primary_key=True), Column("value", JSON, nullable=False))

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Number, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    Column("actor", Text, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("detail", JSON, nullable=False),
)
