"""From a finder run to a closed case, by the hands of two people."""

import pytest
from finder_runs import day, ring, write_run
from sqlalchemy import func, select

from graphs.errors import ConfigError, NotFoundError
from graphs.stores import cases as flow
from graphs.stores.actors import Actor
from graphs.stores.errors import ConflictError, ForbiddenError, StaleError
from graphs.stores.importing import import_run
from graphs.stores.models import audit, cases, rings
from graphs.stores.people import set_setting

ANA, BEN = Actor("ana", "investigator"), Actor("ben", "investigator")
LEAD, ROOT = Actor("lea", "lead"), Actor("root", "admin")
U1, U2, D1 = ("user", "u1"), ("user", "u2"), ("device", "d1")


@pytest.fixture
def ready(store, tmp_path):
    import_run(store, LEAD, write_run(tmp_path / "run", day(6), [ring("R-A", [U1, U2], [D1], payments=[("p1", 9.0)])]))
    return store


def count(store, table):
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_new_ring_has_an_open_case(ready):
    with ready.read() as connection:
        case = flow.find_case(connection, "R-A")
    assert (case.case_id, case.status, case.owner, case.version) == ("C-1", "open", None, 1)


def test_the_first_to_claim_wins_and_the_second_is_told_who(ready):
    assert flow.claim(ready, ANA, "R-A").owner == "ana"
    with pytest.raises(ConflictError, match="C-1: ana has it since"):
        flow.claim(ready, BEN, "C-1")
    assert flow.claim(ready, ANA, "C-1").version == 2


def test_a_verdict_needs_the_case_and_keeps_the_one_before(ready):
    with pytest.raises(ConflictError, match="claim it first"):
        flow.give_verdict(ready, ANA, "C-1", U1, "fraud", reason="x")
    flow.claim(ready, ANA, "C-1")
    flow.give_verdict(ready, ANA, "C-1", U1, "unsure", reason="young account")
    flow.give_verdict(ready, ANA, "C-1", U1, "mule", reason="passes money on")
    with ready.read() as connection:
        given = flow.verdicts_of(connection, case_id="C-1")
    assert [(one.verdict, one.latest) for one in given] == [("unsure", False), ("mule", True)]
    assert given[0].evidence == given[1].evidence


def test_who_saw_an_older_version_is_told_who_changed_it(ready):
    flow.claim(ready, ANA, "C-1", version=1)
    with pytest.raises(StaleError, match=r"ana changed it .* \(version 2, you saw 1\)"):
        flow.set_status(ready, ANA, "C-1", "waiting", waiting_for="the bank", version=1)


def test_closing_takes_two_people(ready):
    flow.claim(ready, ANA, "C-1")
    flow.give_verdict(ready, ANA, "C-1", U1, "fraud", reason="stolen cards")
    case = flow.close(ready, ANA, "C-1", "fraud", reason="see verdicts")
    assert (case.status, case.close_requested_by) == ("in_progress", "ana")
    with pytest.raises(ForbiddenError, match="approve close"):
        flow.approve_close(ready, BEN, "C-1")
    assert flow.approve_close(ready, LEAD, "C-1").status == "closed"
    with pytest.raises(ConflictError, match="closed by lea"):
        flow.claim(ready, BEN, "C-1")


def test_a_lead_cannot_approve_what_they_asked_for(ready):
    flow.close(ready, LEAD, "C-1", "unsure", reason="nothing to see")
    with pytest.raises(ForbiddenError, match="second person"):
        flow.approve_close(ready, LEAD, "C-1")


def test_without_four_eyes_one_person_closes(ready):
    set_setting(ready, ROOT, "four_eyes", False)
    flow.claim(ready, ANA, "C-1")
    closed = flow.close(ready, ANA, "C-1", "not_fraud", reason="a family")
    assert (closed.status, closed.closed_by, closed.outcome) == ("closed", "ana", "not_fraud")


def test_an_outcome_must_agree_with_the_verdicts(ready):
    flow.claim(ready, ANA, "C-1")
    with pytest.raises(ConflictError, match="takes a member judged"):
        flow.close(ready, ANA, "C-1", "fraud", reason="x")
    flow.give_verdict(ready, ANA, "C-1", U2, "mule", reason="x")
    with pytest.raises(ConflictError, match="1 judged fraud or mule"):
        flow.close(ready, ANA, "C-1", "not_fraud", reason="x")


def test_a_rejected_close_goes_back_with_a_note(ready):
    flow.claim(ready, ANA, "C-1")
    flow.close(ready, ANA, "C-1", "unsure", reason="x")
    case = flow.reject_close(ready, LEAD, "C-1", reason="ask the merchant")
    with ready.read() as connection:
        notes = flow.notes_of(connection, "C-1")
    assert (case.outcome, case.close_requested_by) == (None, None)
    assert [note.text for note in notes] == ["Closing rejected: ask the merchant"]


def test_words_and_members_that_do_not_exist_are_told(ready):
    flow.claim(ready, ANA, "C-1")
    with pytest.raises(ConfigError, match="verdict: got 'frod'; did you mean fraud"):
        flow.give_verdict(ready, ANA, "C-1", U1, "frod", reason="x")
    with pytest.raises(NotFoundError, match="R-A: no such user"):
        flow.give_verdict(ready, ANA, "C-1", ("user", "u9"), "fraud", reason="x")
    with pytest.raises(NotFoundError, match="no case or ring"):
        flow.claim(ready, ANA, "x' OR '1'='1")


def test_what_fails_leaves_neither_change_nor_audit(ready):
    before = count(ready, audit)
    with pytest.raises(ConflictError):
        flow.give_verdict(ready, ANA, "C-1", U1, "fraud", reason="x")
    with pytest.raises(ForbiddenError, match="assign: ana is investigator, this takes lead"):
        flow.assign(ready, ANA, "C-1", "ben")
    assert count(ready, audit) == before


def test_a_lead_assigns_to_people_who_may_work(ready):
    assert flow.assign(ready, LEAD, "C-1", "ben").owner == "ben"
    with pytest.raises(NotFoundError, match="zoe: no active investigator"):
        flow.assign(ready, LEAD, "C-1", "zoe")
    assert flow.release(ready, BEN, "C-1").status == "open"


def test_frozen_evidence_outlives_what_the_finder_says_next(ready, tmp_path):
    flow.claim(ready, ANA, "C-1")
    given = flow.give_verdict(ready, ANA, "C-1", U1, "fraud", reason="x")
    import_run(ready, LEAD, write_run(tmp_path / "next", day(7), [ring("R-A", [U1], score=1.0)]))
    frozen = flow.evidence_at(ready, ANA, given.evidence)
    assert frozen["ring"]["score"] == 100.0
    assert [row["entity_id"] for row in frozen["members"]] == ["u1", "u2", "d1"]


def test_importing_twice_is_importing_once(ready, tmp_path):
    again = import_run(ready, LEAD, tmp_path / "run")
    assert again.already and (count(ready, rings), count(ready, cases)) == (1, 1)
