"""The draft of a report, the lists and what stands behind the rings."""

import json

import pytest
from finder_runs import day

from graphs.errors import ConfigError
from graphs.investigation import queries
from graphs.investigation.narrative import plain_text
from graphs.investigation.workspace import Workspace
from graphs.stores import cases, lists
from graphs.stores.actors import Actor

ANA, LEA, VIC = Actor("ana", "investigator"), Actor("lea", "lead"), Actor("vic", "viewer")
PAN = "4111111111111111"


def facts(narrative, question):
    return next(part.facts for part in narrative.parts if part.question == question)


def test_a_narrative_answers_each_question_with_facts(workspace):
    found = queries.case_narrative(workspace, ANA, "R-A")
    assert [part.question for part in found.parts] == [
        "Who", "What", "When", "Where", "Why they are taken together", "How", "What speaks against it",
        "What was decided",
    ]  # fmt: skip
    assert facts(found, "Who")[0] == "2 users act together in ring R-A by the finder's account."
    assert facts(found, "What")[0] == "2 payments over 30.00 in all belong to the ring."
    assert facts(found, "Where") == ("1 device used by members: d1.",)
    assert facts(found, "How") == ("Nothing is known.",)


def test_a_narrative_tells_what_clears_and_what_convicts(workspace):
    cases.claim(workspace.store, ANA, "R-A")
    cases.give_verdict(workspace.store, ANA, "R-A", ("user", "user1"), "fraud", reason="stolen cards")
    cases.give_verdict(workspace.store, ANA, "R-A", ("user", "user2"), "victim", reason="called them")
    found = queries.case_narrative(workspace, ANA, "R-A")
    assert facts(found, "What speaks against it") == ("user user2 was judged victim: Called them.",)
    assert facts(found, "What was decided")[0].startswith("ana judged user user1 fraud on ")


def test_a_narrative_has_no_score_and_no_whole_card(workspace):
    for actor in (ANA, VIC):
        text = plain_text(queries.case_narrative(workspace, actor, "R-B"))
        assert PAN not in text and "411111******1111" in text and "score" not in text.lower()
    assert "user3" not in text


def test_lists_are_masked_and_of_one_list_or_all(workspace):
    lists.watch(workspace.store, ANA, ("user", "user1"), reason=f"used {PAN}")
    lists.tag_benign(workspace.store, ANA, ("device", "d9"), reason="a kiosk", expires_at=day(99999))
    assert [one.entity.text for one in queries.marked(workspace, ANA)] == ["d9", "user1"]
    (watched,) = queries.marked(workspace, VIC, "watch")
    assert watched.entity.text == watched.mark.entity_id == "u…1" and PAN not in watched.mark.reason
    with pytest.raises(ConfigError, match="list: got 'watsch'"):
        queries.marked(workspace, ANA, "watsch")


def test_models_tell_the_runs_and_the_figures_of_the_workspaces_model(workspace, tmp_path):
    row = {"title": "ours", "is_floor": False, "auc": 0.9, "ap": 0.5, "value_recall": {"reason": "no amounts"}}
    judged = {"verdict": "adds", "outcome": "adds", "rows": 5, "frauds": 1, "first_time": 0, "last_time": None}
    metrics = {"model_version": "v1", "evaluation": {"events": judged | {"table": [row]}}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    known = Workspace(workspace.store, workspace.graph_folder, model_folder=tmp_path)
    found = queries.models(known, VIC)
    assert [run.as_of for run in found.runs] == [day(6)] and found.model_version == "v1"
    assert found.boards[0].rows[0].auc == 0.9 and found.boards[0].rows[0].value_recall is None


def test_models_without_a_model_or_hubs(workspace):
    found = queries.models(workspace, ANA)
    assert found.boards == () and found.hubs == () and found.model_version is None


def test_a_workspace_remembers_its_model_wherever_both_move(tmp_path):
    Workspace.make(tmp_path / "a" / "ws", model=tmp_path / "a" / "train").close()
    (tmp_path / "a").rename(tmp_path / "b")
    moved = Workspace.open(tmp_path / "b" / "ws")
    assert moved.model_folder == tmp_path / "b" / "train"
    moved.close()
