"""A fresh case store per test, on SQLite and on PostgreSQL: the same battery runs on both."""

from __future__ import annotations

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


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'cases.db'}"
    server = request.getfixturevalue("postgres")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"t{abs(hash(request.node.nodeid)):x}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def store(store_url: str) -> Iterator[CaseStore]:
    opened = CaseStore.open(store_url)
    for name in ("ana", "ben"):
        set_person(opened, Actor("root", "admin"), name, "investigator")
    yield opened
    opened.close()
