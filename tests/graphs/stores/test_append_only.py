"""The audit and the frozen evidence cannot be changed, and every write leaves its line."""

import pytest
from finder_runs import day, ring, write_run
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from graphs.errors import ConfigError, NotFoundError
from graphs.stores import cases as flow
from graphs.stores import lists, people
from graphs.stores.actors import PERMISSIONS, ROLES, Actor
from graphs.stores.case_store import CaseStore
from graphs.stores.errors import ForbiddenError
from graphs.stores.importing import import_run
from graphs.stores.models import audit

ANA, LEAD, ROOT = Actor("ana", "investigator"), Actor("lea", "lead"), Actor("root", "admin")
U1, D1 = ("user", "u1"), ("device", "d1")
LATER = day(0).replace(year=2100)


def lines(store):
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(select(audit.c.actor, audit.c.action, audit.c.subject))]


@pytest.fixture
def ready(store, tmp_path):
    import_run(store, LEAD, write_run(tmp_path / "run", day(6), [ring("R-A", [U1], [D1])]))
    flow.claim(store, ANA, "R-A")
    flow.give_verdict(store, ANA, "R-A", U1, "fraud", reason="x")
    return store


@pytest.mark.parametrize("table", ["audit", "frozen_evidence"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET {}"])
def test_lines_can_be_neither_changed_nor_deleted(ready, table, change):
    column = "action = 'nothing'" if table == "audit" else "run_id = 7"
    with pytest.raises(DBAPIError, match=f"{table} is append-only"), ready.engine.begin() as connection:
        connection.execute(text(change.format(table, column)))


def test_a_table_cannot_be_emptied_at_once(ready):
    if ready.engine.dialect.name == "postgresql":
        with pytest.raises(DBAPIError, match="append-only"), ready.engine.begin() as connection:
            connection.execute(text("TRUNCATE audit"))


def test_each_write_has_its_line(ready):
    assert [line for line in lines(ready) if line[0] in ("ana", "lea")][-3:] == [
        ("lea", "import_run", lines(ready)[2][2]),
        ("ana", "claim", "case:C-1"),
        ("ana", "verdict", "case:C-1"),
    ]


def test_marks_come_and_go_and_blocks_are_undone_whole(ready):
    lists.watch(ready, ANA, U1, reason="sold on?")
    lists.tag_benign(ready, ANA, D1, reason="library", expires_at=LATER)
    marks = lists.block(ready, LEAD, [U1, D1, U1], reason="C-1")
    assert [(mark.entity_id, mark.batch) for mark in marks] == [("u1", marks[0].batch), ("d1", marks[0].batch)]
    assert lists.unblock(ready, LEAD, marks[0].batch, reason="wrong") == 2
    with pytest.raises(NotFoundError, match="no block of batch"):
        lists.unblock(ready, LEAD, marks[0].batch, reason="again")
    lists.unwatch(ready, ANA, U1, reason="done")
    with ready.read() as connection:
        assert [mark.list for mark in lists.marks_of(connection, day(0))] == ["benign"]
        assert lists.marks_of(connection, LATER) == ()


def test_marking_again_renews_the_mark(ready):
    lists.watch(ready, ANA, U1, reason="first", expires_at=LATER)
    lists.watch(ready, ANA, U1, reason="second")
    with ready.read() as connection:
        (mark,) = lists.marks_of(connection, day(0), entity=U1)
    assert (mark.reason, mark.expires_at) == ("second", None)


def test_a_benign_tag_ends_in_the_future(ready):
    with pytest.raises(ConfigError, match="lies in the past"):
        lists.tag_benign(ready, ANA, D1, reason="x", expires_at=day(0))


def test_people_keys_and_settings(ready):
    people.add_key(ready, ROOT, "ana", prefix="rt_1", hash="argon2")
    people.revoke_key(ready, ROOT, "rt_1")
    key = people.find_key(ready, "rt_1")
    assert (key.person, key.hash, key.revoked) == ("ana", "argon2", True)
    people.set_person(ready, ROOT, "ana", "lead", active=False)
    assert people.find_person(ready, "ana") == people.Person("ana", "lead", False)
    with pytest.raises(ConfigError, match="four_eye: no such setting; did you mean four_eyes"):
        people.set_setting(ready, ROOT, "four_eye", False)


@pytest.mark.parametrize("action", sorted(PERMISSIONS))
def test_less_than_the_least_role_may_not(action):
    least = ROLES.index(PERMISSIONS[action])
    assert [Actor("x", role).may(action) for role in ROLES] == [place >= least for place in range(len(ROLES))]


def test_a_refusal_says_whom_to_ask(ready):
    with pytest.raises(ForbiddenError, match="block: ana is investigator, this takes lead or more; ask a lead"):
        lists.block(ready, ANA, [U1], reason="x")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x/y", "mysql is not supported"),
        ("no url", "not a database URL"),
        ("sqlite://", "a case store is a file"),
        ("postgresql+psycopg://x@127.0.0.1:1/none", "is the database there and running"),
    ],
)
def test_a_store_that_cannot_be_is_told(url, words):
    with pytest.raises(ConfigError, match=words):
        CaseStore.open(url)


def test_a_store_of_a_newer_version_is_left_alone(store_url):
    CaseStore.open(store_url).close()
    opened = CaseStore.open(store_url)
    with opened.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    opened.close()
    with pytest.raises(ConfigError, match="another version of Ringtrace"):
        CaseStore.open(store_url)


def test_counting_lines_is_counting_writes(ready):
    before = len(lines(ready))
    flow.add_note(ready, ANA, "C-1", "called them")
    with ready.read() as connection:
        assert connection.execute(select(func.count()).select_from(audit)).scalar_one() == before + 1
