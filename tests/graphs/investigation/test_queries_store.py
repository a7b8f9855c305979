"""Questions to the case store: queue, sheet, lookup, changes, likeness, and who may see what."""

import pytest
from finder_runs import day, ring, write_run
from hypothesis import given
from hypothesis import strategies as st

from graphs.errors import ConfigError, NotFoundError
from graphs.investigation import queries
from graphs.investigation.answers import QueueFilter
from graphs.investigation.masking import Masker
from graphs.investigation.workspace import Workspace
from graphs.stores import cases
from graphs.stores.actors import Actor
from graphs.stores.errors import ForbiddenError
from graphs.stores.importing import import_run
from graphs.stores.lists import watch

ANA, LEAD, VIC = Actor("ana", "investigator"), Actor("lea", "lead"), Actor("vic", "viewer")
PAN = "4111111111111111"
U1, U2, U3 = ("user", "user1"), ("user", "user2"), ("user", "user3")


@pytest.fixture
def bare(tmp_path):
    made = Workspace.make(tmp_path / "bare")
    yield made
    made.close()


def take_in(workspace, tmp_path, number, rings, **more):
    import_run(workspace.store, LEAD, write_run(tmp_path / f"run{number}", day(number), rings, **more))


def ids(page):
    return [row.ring_id for row in page.rows]


def test_the_queue_is_ranked_and_filtered(workspace):
    assert ids(queries.ring_queue(workspace, ANA)) == ["R-A", "R-B"]
    assert ids(queries.ring_queue(workspace, ANA, where=QueueFilter(kinds=("mule_chain",)))) == ["R-B"]
    cases.claim(workspace.store, ANA, "R-A")
    assert ids(queries.ring_queue(workspace, ANA, where=QueueFilter(owner="ana"))) == ["R-A"]
    assert ids(queries.ring_queue(workspace, ANA, where=QueueFilter(unowned=True))) == ["R-B"]
    assert ids(queries.ring_queue(workspace, ANA, where=QueueFilter(min_value=101.0))) == []


def test_every_order_pages_without_a_gap_or_a_double(bare, tmp_path):
    rings = [ring(f"R-{n:02}", [("user", f"u{n}")], score=n // 3, p_ring=(n % 4) / 4) for n in range(17)]
    take_in(bare, tmp_path, 6, rings)
    for sort in queries.SORTS:
        seen, cursor = [], None
        while not seen or cursor:
            page = queries.ring_queue(bare, ANA, sort=sort, limit=4, cursor=cursor)
            seen, cursor = seen + ids(page), page.next
        assert sorted(seen) == [f"R-{n:02}" for n in range(17)] and page.total == 17


def test_dormant_rings_leave_the_queue_unless_asked_for(bare, tmp_path):
    take_in(bare, tmp_path, 6, [ring("R-A", [U1]), ring("R-B", [U2], status="dormant")])
    assert ids(queries.ring_queue(bare, ANA)) == ["R-A"]
    assert ids(queries.ring_queue(bare, ANA, where=QueueFilter(statuses=("dormant",)))) == ["R-B"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sort": "amount; DROP TABLE rings"}, "there are: score, value, p_ring, users, newest, active"),
        ({"cursor": "x' OR 1=1"}, "cursor: not one of this list"),
        ({"limit": 501}, "expected 1 to 500"),
        ({"where": QueueFilter(case_status=("opne",))}, "did you mean open"),
    ],
)
def test_what_the_queue_cannot_do_is_told(workspace, options, words):
    with pytest.raises(ConfigError, match=words):
        queries.ring_queue(workspace, ANA, **options)


def test_a_sheet_reads_from_reasons_to_members(workspace):
    watch(workspace.store, ANA, U2, reason="sold on?")
    sheet = queries.ring_sheet(workspace, ANA, "R-A")
    assert [one.text for one in sheet.evidence] == ["2 users share device d1."]
    assert [(one.entity.text, one.part, one.lists) for one in sheet.members] == [
        ("user1", "member", ()),
        ("user2", "member", ("watch",)),
        ("d1", "identifier", ()),
    ]
    assert [(one.day, one.payments, one.value) for one in sheet.days] == [(day(0), 1, 10.0), (day(1), 1, 20.0)]


def test_a_viewer_sees_shortened_ids_and_may_follow_them(workspace):
    sheet = queries.ring_sheet(workspace, VIC, "R-B")
    member, card = (one.entity for one in sheet.members)
    assert (member.text, card.text, card.masked) == ("u…3", "411111******1111", True)
    assert PAN not in repr(sheet) and "user3" not in repr(sheet)
    followed = queries.entity_sheet(workspace, VIC, "card", card.key)
    assert followed.entity == card and followed.events == 2


def test_nobody_sees_a_whole_card_number_unless_they_say_why(workspace):
    assert PAN not in repr(queries.ring_sheet(workspace, LEAD, "R-B"))
    assert PAN not in repr(queries.neighbours(workspace, LEAD, U3))
    handle = workspace.masker(LEAD).seal(PAN)
    assert queries.unmask(workspace, ANA, "card", handle, reason="call the bank") == PAN
    line = queries.audit_trail(workspace, LEAD, action="unmask").rows[0]
    assert (line.actor, line.subject, line.detail) == ("ana", "card:411111******1111", {"reason": "call the bank"})
    with pytest.raises(ForbiddenError):
        queries.unmask(workspace, VIC, "card", handle, reason="curious")
    with pytest.raises(ConfigError, match="say why"):
        queries.unmask(workspace, ANA, "card", handle, reason=" ")


@given(st.text(min_size=1))
def test_handles_open_to_the_id_they_stand_for(entity_id):
    masker = Masker(VIC, b"0" * 32)
    assert masker.open(masker.seal(entity_id)) == entity_id
    assert Masker(VIC, b"1" * 32).open(masker.seal(entity_id)) == masker.seal(entity_id)


@given(st.text(min_size=1))
def test_what_is_no_handle_is_an_id(text):
    assert Masker(ANA, b"0" * 32).open(text) == text


@pytest.mark.parametrize("asked", ["user2", "d1", "R-A", "C-1", "p1"])
def test_any_id_leads_to_the_ring(workspace, asked):
    found = queries.lookup(workspace, ANA, asked)
    rings = {brief.ring_id for _, briefs in found.entities for brief in briefs}
    rings |= {row.ring_id for row in found.rings} | {ring_id for ring_id, _ in found.payments}
    assert rings == {"R-A"}


@pytest.mark.parametrize(
    "asked", ["x' OR '1'='1", "'; DROP TABLE rings--", "user%", "user_", "", "C-", "C-99999999999999999999"]
)
def test_what_is_nobodys_id_finds_nothing(workspace, asked):
    assert not queries.lookup(workspace, ANA, asked)
    with pytest.raises(NotFoundError):
        queries.entity_sheet(workspace, ANA, "user", asked)


def test_ids_with_quotes_and_wildcards_match_only_themselves(bare, tmp_path):
    odd = [("user", "O'Neil-77"), ("user", "a/b%c_d"), ("user", "a/bXcYd")]
    take_in(bare, tmp_path, 6, [ring(f"R-{place}", [one]) for place, one in enumerate(odd)])
    for place, (kind, key) in enumerate(odd):
        (brief,) = queries.entity_sheet(bare, ANA, kind, key).rings
        assert brief.ring_id == f"R-{place}"


def test_changes_tell_who_came_and_went_and_what_moved(bare, tmp_path):
    take_in(bare, tmp_path, 1, [ring("R-A", [U1, U2]), ring("R-B", [U3], score=9.0), ring("R-C", [("user", "c")])])
    grown = ring("R-A", [U1, U3], preventable_value=250.0)
    told = [{"ring_id": "R-A", "change": "merged", "other_ring_id": "R-B"}]
    rings = [grown, ring("R-C", [("user", "c")]), ring("R-D", [("user", "d")], score=1.0)]
    take_in(bare, tmp_path, 2, rings, lineage=told)
    found = queries.changes(bare, ANA, day(1), until=day(3))
    assert [(one.ring.ring_id, one.change, one.joined, one.left) for one in found.changes] == [
        ("R-A", "merged", 1, 1),
        ("R-D", "born", 1, 0),
    ]
    assert (found.changes[0].value_before, found.changes[0].value_now) == (100.0, 250.0)
    assert queries.changes(bare, ANA, day(2), until=day(3)).counts == {}


def test_a_ring_that_came_and_went_into_another_is_told_of_once(bare, tmp_path):
    take_in(bare, tmp_path, 1, [ring("R-A", [U1])])
    take_in(bare, tmp_path, 2, [ring("R-A", [U1]), ring("R-B", [U2])])
    told = [{"ring_id": "R-A", "change": "merged", "other_ring_id": "R-B"}]
    take_in(bare, tmp_path, 3, [ring("R-A", [U1, U2], status="merged", aliases=["R-B"])], lineage=told)
    (change,) = queries.changes(bare, ANA, day(1), until=day(3)).changes
    assert (change.ring.ring_id, change.change, change.other_ring_id) == ("R-A", "merged", "R-B")


def test_a_ring_that_stays_dormant_is_no_news(bare, tmp_path):
    for number, status in ((1, "born"), (2, "dormant"), (3, "dormant")):
        take_in(bare, tmp_path, number, [ring("R-A", [U1], status=status, score=float(number))])
    assert queries.changes(bare, ANA, day(1), until=day(2)).counts == {"dormant": 1}
    assert queries.changes(bare, ANA, day(2), until=day(3)).counts == {}


def test_a_ring_left_out_of_the_last_run_is_compared_with_the_one_before(bare, tmp_path):
    take_in(bare, tmp_path, 1, [ring("R-A", [U1])])
    take_in(bare, tmp_path, 2, [ring("R-B", [U2])])
    take_in(bare, tmp_path, 3, [ring("R-A", [U1, U3])])
    assert queries.changes(bare, ANA, day(2), until=day(3)).counts == {"grown": 1}


def test_changes_compare_ends_not_steps(bare, tmp_path):
    for number, members in ((1, [U1]), (2, [U1, U2]), (3, [U1])):
        take_in(bare, tmp_path, number, [ring("R-A", members, score=float(number))])
    assert queries.changes(bare, ANA, day(1), until=day(4)).counts == {}
    assert queries.changes(bare, ANA, day(1), until=day(2)).counts == {"grown": 1}
    assert queries.changes(bare, ANA, day(2), until=day(4)).counts == {"shrunk": 1}


def test_the_likest_ring_shares_members_then_kind_and_size(bare, tmp_path):
    same = [ring("R-A", [U1, U2]), ring("R-B", [U1, U3], kind="refund"), ring("R-C", [("user", "c"), ("user", "d")])]
    take_in(bare, tmp_path, 6, [*same, ring("R-D", [("user", str(n)) for n in range(40)], kind="refund")])
    found = queries.similar_rings(bare, ANA, "R-A")
    assert [one.ring.ring_id for one in found] == ["R-B", "R-C", "R-D"]
    alike = ("similar size", "similar number of payments", "similar value")
    assert found[0].because == ("1 entity in common", *alike)
    assert found[1].because == ("same kind (device farm)", *alike)


def test_the_case_sheet_tells_who_did_what(workspace):
    cases.claim(workspace.store, ANA, "R-B")
    cases.give_verdict(workspace.store, ANA, "R-B", U3, "mule", reason=f"used {PAN}")
    cases.add_note(workspace.store, ANA, "R-B", "called ana@example.org")
    sheet = queries.case_sheet(workspace, VIC, "R-B")
    assert [(one.text, verdict.reason) for one, verdict in sheet.verdicts] == [("u…3", "used 411111******1111")]
    assert [note.text for note in sheet.notes] == ["called ***@***"]
    assert [line.action for line in sheet.audit] == ["claim", "verdict", "note"]
    assert "user3" not in repr(sheet)


def test_looking_leaves_a_line_that_nobody_but_a_lead_reads(workspace):
    queries.ring_sheet(workspace, VIC, "R-A")
    (line,) = queries.audit_trail(workspace, LEAD, who="vic").rows
    assert (line.action, line.subject) == ("view", "ring:R-A")
    with pytest.raises(ForbiddenError):
        queries.audit_trail(workspace, ANA)


def test_the_audit_pages_backwards(workspace):
    for _ in range(5):
        queries.ring_sheet(workspace, VIC, "R-A")
    first = queries.audit_trail(workspace, LEAD, subject="ring:R-A", limit=3)
    rest = queries.audit_trail(workspace, LEAD, subject="ring:R-A", limit=3, cursor=first.next)
    numbers = [line.audit_id for line in (*first.rows, *rest.rows)]
    assert len(numbers) >= 5 and numbers == sorted(numbers, reverse=True)


def test_a_workspace_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFoundError, match="holds no workspace"):
        Workspace.open(tmp_path)
    with pytest.raises(NotFoundError, match="holds no graph or event log"):
        Workspace.make(tmp_path / "made", graph=tmp_path)


def test_without_a_graph_only_events_cannot_be_asked_about(bare, tmp_path):
    take_in(bare, tmp_path, 6, [ring("R-A", [U1])])
    assert not queries.entity_sheet(bare, ANA, *U1).in_graph
    with pytest.raises(NotFoundError, match="the workspace has no graph"):
        queries.timeline(bare, ANA, U1)


def test_a_workspace_may_move_with_its_graph(workspace, tmp_path):
    home = workspace.graph_folder.parent
    workspace.close()
    moved = home.rename(tmp_path / "moved")
    opened = Workspace.open(moved / "made")
    assert queries.ring_queue(opened, ANA).total == 2 and opened.code("user", "user1") is not None
    opened.close()
