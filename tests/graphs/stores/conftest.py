"""A fresh case store per test, on SQLite and on PostgreSQL: the same battery runs on both."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import postgres_server
from sqlalchemy import create_engine, text

from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore
from graphs.stores.people import set_person


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case store with its tables and nothing in them, to copy: to migrate takes longer than most tests."""
    file = tmp_path_factory.mktemp("empty") / "cases.db"
    CaseStore.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where no store is yet: a file, or a schema of its own in the one PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'cases.db'}"
    server = request.getfixturevalue("postgres")
    schema = f"t{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    engine.dispose()
    return f"{server}?options=-csearch_path%3D{schema}"


@pytest.fixture
def store_url(new_url: str, empty_sqlite: Path, tmp_path: Path) -> str:
    if new_url.startswith("sqlite"):
        shutil.copy(empty_sqlite, tmp_path / "cases.db")
    return new_url


@pytest.fixture
def store(store_url: str) -> Iterator[CaseStore]:
    opened = CaseStore.open(store_url)
    for name in ("ana", "ben"):
        set_person(opened, Actor("root", "admin"), name, "investigator")
    yield opened
    opened.close()
