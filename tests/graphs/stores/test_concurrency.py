"""Many at once: one claim wins and the rest are told who; no write is lost."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from finder_runs import day, ring, write_run
from sqlalchemy import func, select

from graphs.stores import cases as flow
from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore
from graphs.stores.errors import ConflictError, StaleError
from graphs.stores.importing import import_run
from graphs.stores.models import audit, notes

LEAD = Actor("lea", "lead")
CROWD = [Actor(f"p{number}", "investigator") for number in range(12)]
U1 = ("user", "u1")


@pytest.fixture
def ready(store, tmp_path):
    import_run(store, LEAD, write_run(tmp_path / "run", day(6), [ring("R-A", [U1])]))
    return store


def at_once(act, actors):
    def outcome(actor):
        try:
            return act(actor)
        except ConflictError as error:
            return error

    with ThreadPoolExecutor(len(actors)) as pool:
        return list(pool.map(outcome, actors))


def test_one_claim_wins_and_everybody_else_is_told_who(ready):
    outcomes = at_once(lambda actor: flow.claim(ready, actor, "R-A"), CROWD)
    (winner,) = [case.owner for case in outcomes if not isinstance(case, Exception)]
    told = [str(error) for error in outcomes if isinstance(error, Exception)]
    assert len(told) == len(CROWD) - 1 and all(f"{winner} has it since" in words for words in told)


def test_of_writes_on_one_version_one_wins(ready):
    act = lambda actor: flow.assign(ready, LEAD, "R-A", "ana", version=1)  # noqa: E731
    outcomes = at_once(act, CROWD)
    assert sum(isinstance(one, StaleError) for one in outcomes) == len(CROWD) - 1
    assert [one.version for one in outcomes if not isinstance(one, Exception)] == [2]


def test_no_write_is_lost(ready):
    def write(actor):
        for number in range(5):
            flow.add_note(ready, actor, "R-A", f"note {number}")
            flow.set_status(ready, LEAD, "R-A", "in_progress")

    before = len(CROWD) * 5
    at_once(write, CROWD)
    with ready.read() as connection:
        version = flow.find_case(connection, "R-A").version
        kept = connection.execute(select(func.count()).select_from(notes)).scalar_one()
        told = connection.execute(select(func.count()).select_from(audit).where(audit.c.action == "note")).scalar_one()
    assert (kept, told, version) == (before, before, 1 + before)


def test_many_may_open_a_new_store_at_once(new_url):
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(CaseStore.open, [new_url] * 6))
    assert len({store.secret() for store in opened}) == 1
    for store in opened:
        store.close()


def test_opening_a_new_file_waits_for_who_writes_it(tmp_path):
    file = tmp_path / "cases.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        opening = pool.submit(CaseStore.open, f"sqlite:///{file}")
        time.sleep(0.2)
        other.execute("ROLLBACK")
        opening.result().close()
