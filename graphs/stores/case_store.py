"""`CaseStore`: one database, opened at the newest schema, read by anyone and written through one audited door.

Every write is one transaction that ends with its line in the audit, so there is no change without a name beside it
and no name without a change. Views go through the same table.
"""

from __future__ import annotations

import importlib.resources
import logging
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from graphs.errors import ConfigError, NotFoundError
from graphs.stores.actors import Actor
from graphs.stores.models import audit, settings

log = logging.getLogger(__name__)

HEAD = "0001"
"""The newest migration; a database at it is used as it stands."""

_LOCK_KEY = 0x52494E47  # any number, the same in every process: serialises migrations and imports on PostgreSQL
_PATIENCE_S = 30  # how long a connection waits for a lock that another holds on a SQLite file

DEFAULTS: dict[str, Any] = {"four_eyes": True}
"""Settings that hold until an admin sets others. four_eyes: closing a case takes a second person."""


@dataclass
class Write:
    """One open transaction of one actor; `subject` and `detail` go into the audit's line as they stand at the end."""

    connection: Connection
    actor: Actor
    subject: str
    now: datetime
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseStore:
    """The open store. Thread-safe: each call takes a connection of the engine's pool.

    >>> store = CaseStore.open("sqlite:///cases.db")
    >>> with store.read() as connection:
    ...     connection.execute(select(rings.c.ring_id))
    """

    engine: Engine

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> CaseStore:
        """Open the database at `url` (sqlite:///file or postgresql+psycopg://…) and bring it to the newest schema.

        Raises ConfigError for a URL that is none, and for a database that can't be reached or is newer than this
        version; NotFoundError for a SQLite file that is not there if not `create`.
        """
        engine = _engine(url, create=create)
        try:
            _upgrade(engine)
        except Exception as error:
            engine.dispose()
            if not isinstance(error, OperationalError):
                raise
            raise ConfigError(f"store {engine.url!r}: {error.orig}; is the database there and running?") from error
        return cls(engine)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection inside a transaction that reads: all it sees is of one instant on SQLite."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, actor: Actor, action: str, subject: str, *, alone: bool = False) -> Iterator[Write]:
        """The one door for writes: checks the permission, gives a transaction, and ends it with a line in the audit.

        `subject` is what is acted on, as "ring:R-7F3K2Q", "case:12" or "card:…". `alone` keeps other such writers
        out on PostgreSQL, as any write does on SQLite. What the block raises undoes all of it.
        """
        actor.must(action)
        with _writing(self.engine) as connection:
            if alone:
                _keep_others_out(connection)
            door = Write(connection, actor, subject, datetime.now(UTC))
            yield door
            connection.execute(audit.insert(), _line(door, action))

    def saw(self, actor: Actor, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """Record that `actor` looked at `subject`, exported or unmasked it; `action` is a key of PERMISSIONS."""
        with self.write(actor, action, subject) as door:
            door.detail.update(detail or {})

    def setting(self, name: str) -> Any:
        """The value of a setting, from DEFAULTS where no admin set one."""
        with self.read() as connection:
            return setting(connection, name)

    def secret(self) -> bytes:
        """32 bytes of this store alone, drawn when it was made: the key of the handles that stand for masked ids."""
        return bytes.fromhex(self.setting("secret"))


def setting(connection: Connection, name: str) -> Any:
    """As CaseStore.setting, inside a transaction."""
    found = connection.execute(select(settings.c.value).where(settings.c.name == name)).scalar_one_or_none()
    return DEFAULTS[name] if found is None else found


def new_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """Insert one row; returns the number the database gave it."""
    key = connection.execute(insert(table).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _line(door: Write, action: str) -> dict[str, Any]:
    return {
        "at": door.now,
        "actor": door.actor.name,
        "role": door.actor.role,
        "channel": door.actor.channel,
        "action": action,
        "subject": door.subject,
        "detail": dict(door.detail),
    }


def _engine(url: str, *, create: bool) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise ConfigError(
                f"store: {parsed.get_backend_name()} is not supported; use sqlite:/// or postgresql+psycopg://"
            )
        if parsed.get_backend_name() == "postgresql":
            return create_engine(parsed, pool_size=20, max_overflow=40, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError("store: not a database URL; write sqlite:///cases.db or postgresql+psycopg://…") from error
    except ModuleNotFoundError as error:
        raise ConfigError(f"store: {error.name} is not installed; pip install 'ringtrace[postgres]'") from error
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError("store: a case store is a file, threads share it; write sqlite:///cases.db")
    file = Path(parsed.database)
    if not create and not file.exists():
        raise NotFoundError(f"{file} holds no case store; `ringtrace rings init` makes one")
    file.parent.mkdir(parents=True, exist_ok=True)
    if create:
        file.touch(mode=0o600)  # names and card numbers: for the owner's eyes
    engine = create_engine(parsed, pool_size=20, max_overflow=40, connect_args={"timeout": _PATIENCE_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # We begin transactions ourselves: Python's module would leave reads and DDL outside of them.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "cache_size=-65536",
        "mmap_size=268435456",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # A file changes its journal only while nobody else reads it, and for that SQLite itself doesn't wait.
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once; one that read first and then wanted to write could only be turned away.
    writes = connection.get_execution_options().get("ringtrace_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as plain:
        connection = plain.execution_options(ringtrace_writes=True)
        with connection.begin():
            yield connection


def _keep_others_out(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})


def _upgrade(engine: Engine) -> None:
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    with _writing(engine) as connection:
        _keep_others_out(connection)
        before = _revision(connection)
        if before == HEAD:
            return
        config = Config()
        config.set_main_option("script_location", str(importlib.resources.files("graphs.stores") / "migrations"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigError(f"store: made by another version of Ringtrace ({error}); use that version") from error
        if before is None:
            connection.execute(settings.insert(), {"name": "secret", "value": secrets.token_hex(32)})
        log.info("case store at schema %s", HEAD)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
