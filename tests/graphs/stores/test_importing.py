"""An import is whole or not there, once or often, in order or not; cases open and names live on as they should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from finder_runs import day, ring, write_run
from sqlalchemy import func, select

from graphs.errors import DataError, NotFoundError
from graphs.stores import cases as flow
from graphs.stores import importing
from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore
from graphs.stores.errors import ForbiddenError
from graphs.stores.importing import import_run
from graphs.stores.lists import tag_benign
from graphs.stores.models import cases, finder_runs, metadata, ring_aliases, ring_lineage, ring_payments, rings
from graphs.stores.people import set_setting

LEAD, ROOT = Actor("lea", "lead"), Actor("root", "admin")
U1, U2, U3, D1 = ("user", "u1"), ("user", "u2"), ("user", "u3"), ("device", "d1")
TESTS = Path(__file__).parents[2]


def counts(store):
    with store.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
            if name not in ("audit", "people", "settings")
        }


def one(store, wanted):
    with store.read() as connection:
        return connection.execute(wanted).one()


def run(tmp_path, name, number, rings_, **more):
    return write_run(tmp_path / name, day(number), rings_, **more)


def closed(store, name):
    set_setting(store, ROOT, "four_eyes", False)
    flow.claim(store, LEAD, name)
    return flow.close(store, LEAD, name, "unsure", reason="x")


def test_a_fault_on_the_way_leaves_nothing(store, tmp_path, monkeypatch):
    folder = run(tmp_path, "run", 6, [ring("R-A", [U1, U2], [D1], payments=[("p1", 9.0)])])
    before = counts(store)
    monkeypatch.setattr(importing, "_open_cases", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        import_run(store, LEAD, folder)
    assert counts(store) == before
    monkeypatch.undo()
    assert import_run(store, LEAD, folder).opened_cases == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from graphs.stores import importing
from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

importing._open_cases = die
importing.import_run(CaseStore.open(sys.argv[1]), Actor("lea", "lead"), Path(sys.argv[2]))
"""


def test_killed_half_way_nothing_is_lost_or_doubled(store, store_url, tmp_path):
    first = run(tmp_path, "first", 6, [ring("R-A", [U1], payments=[("p1", 9.0)])])
    second = run(tmp_path, "second", 7, [ring("R-A", [U1, U2], payments=[("p1", 9.0), ("p2", 1.0)]), ring("R-B", [U3])])
    import_run(store, LEAD, first)
    before = counts(store)
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    killed = subprocess.run([sys.executable, "-c", KILLED, store_url, str(second)], env=environment, check=False)
    assert killed.returncode == -9 and counts(store) == before
    assert not import_run(store, LEAD, second).already and import_run(store, LEAD, second).already
    assert (counts(store)["rings"], counts(store)["ring_payments"], counts(store)["cases"]) == (2, 2, 2)


def test_two_processes_importing_one_run_store_it_once(store, store_url, tmp_path):
    folder = run(tmp_path, "run", 6, [ring(f"R-{number}", [U1, U2]) for number in range(30)])
    words = "import sys; from pathlib import Path; from graphs.stores.importing import import_run as go; "
    words += "from graphs.stores.actors import Actor; from graphs.stores.case_store import CaseStore; "
    words += "go(CaseStore.open(sys.argv[1]), Actor('lea', 'lead'), Path(sys.argv[2]))"
    command = [sys.executable, "-c", words, store_url, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    both = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert (counts(store)["finder_runs"], counts(store)["rings"], counts(store)["cases"]) == (1, 30, 30)


def test_a_later_import_of_an_earlier_run_does_not_turn_back_time(store, tmp_path):
    import_run(store, LEAD, run(tmp_path, "new", 8, [ring("R-A", [U1, U2], score=8.0, payments=[("p2", 1.0)])]))
    import_run(store, LEAD, run(tmp_path, "old", 7, [ring("R-A", [U1], score=7.0, payments=[("p1", 1.0)])]))
    assert one(store, select(rings.c.score)).score == 8.0
    assert one(store, select(ring_payments.c.event_id)).event_id == "p2"
    assert counts(store)["ring_versions"] == 2


def test_what_merged_is_found_by_its_old_name(store, tmp_path):
    import_run(store, LEAD, run(tmp_path, "one", 6, [ring("R-A", [U1]), ring("R-B", [U2])]))
    both = ring("R-A", [U1, U2], status="merged", aliases=["R-B"])
    told = [{"ring_id": "R-A", "change": "merged", "other_ring_id": "R-B", "jaccard": 0.5}]
    import_run(store, LEAD, run(tmp_path, "two", 7, [both], lineage=told))
    assert one(store, select(ring_aliases.c.alias, ring_aliases.c.ring_id)) == ("R-B", "R-A")
    assert one(store, select(rings.c.merged_into).where(rings.c.ring_id == "R-B")).merged_into == "R-A"
    assert one(store, select(rings.c.status).where(rings.c.ring_id == "R-A")).status == "merged"
    with store.read() as connection:
        assert flow.find_case(connection, "R-B").ring_id == "R-A"
    assert counts(store)["ring_lineage"] == 1 and counts(store)["cases"] == 2


def test_a_ring_gone_from_the_run_is_dormant_when_the_lineage_says_so(store, tmp_path):
    import_run(store, LEAD, run(tmp_path, "one", 6, [ring("R-A", [U1])]))
    import_run(store, LEAD, run(tmp_path, "two", 7, [], lineage=[{"ring_id": "R-A", "change": "dormant"}]))
    assert one(store, select(rings.c.status)).status == "dormant"


def test_a_closed_ring_that_gains_a_member_gets_a_new_case(store, tmp_path):
    import_run(store, LEAD, run(tmp_path, "one", 6, [ring("R-A", [U1, U2])]))
    closed(store, "R-A")
    assert import_run(store, LEAD, run(tmp_path, "two", 7, [ring("R-A", [U1], score=3.0)])).opened_cases == 0
    assert import_run(store, LEAD, run(tmp_path, "three", 8, [ring("R-A", [U1, U3])])).opened_cases == 1
    with store.read() as connection:
        case = flow.find_case(connection, "R-A")
    assert (case.case_id, case.previous_case_id, case.status) == ("C-2", "C-1", "open")
    assert case.opened_because == "gained 1 member since it was closed"


def test_a_member_tagged_benign_does_not_open_a_case(store, tmp_path):
    import_run(store, LEAD, run(tmp_path, "one", 6, [ring("R-A", [U1])]))
    case = closed(store, "R-A")
    tag_benign(store, LEAD, U3, reason="a friend", expires_at=case.changed_at.replace(year=2100))
    assert import_run(store, LEAD, run(tmp_path, "two", 7, [ring("R-A", [U1, U3])])).opened_cases == 0


def test_every_fault_of_a_folder_is_told_at_once(store, tmp_path):
    folder = run(tmp_path, "run", 6, [ring("R-A", [U1], status="bron"), ring("R-A", [U2])])
    with pytest.raises(DataError) as told:
        import_run(store, LEAD, folder)
    assert [(fault.column, fault.message) for fault in told.value.faults] == [
        ("ring_id", "given twice"),
        ("status", "unknown word"),
    ]
    (folder / "links.parquet").unlink()
    with pytest.raises(DataError, match=r"links.parquet: is not there"):
        import_run(store, LEAD, folder)
    assert counts(store)["finder_runs"] == 0


def test_only_a_lead_imports_and_only_from_a_run(store, tmp_path):
    with pytest.raises(NotFoundError, match="holds no finder run"):
        import_run(store, LEAD, tmp_path)
    folder = run(tmp_path, "run", 6, [ring("R-A", [U1])])
    with pytest.raises(ForbiddenError, match="import run"):
        import_run(store, Actor("ana", "investigator"), folder)


def test_the_models_are_what_the_migrations_make(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_opening_again_finds_the_same_store(store, store_url):
    again = CaseStore.open(store_url)
    assert again.secret() == store.secret()
    again.close()
    assert {finder_runs.name, cases.name, ring_lineage.name} <= set(metadata.tables)
