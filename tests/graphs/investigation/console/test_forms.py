"""What can be done from a page: each form is one audited write, and is refused where it should be."""

import pytest
from console_browser import Parsed
from finder_runs import day, ring, write_run

from graphs.investigation import queries
from graphs.stores.actors import Actor
from graphs.stores.importing import import_run

LEAD = Actor("lea", "lead")


def case(workspace, name="C-1"):
    return queries.case_sheet(workspace, LEAD, name).case


def judge(browser, key="user1", verdict="fraud", **fields):
    sent = {"type": "user", "key": key, "verdict": verdict, "reason": "stolen cards"} | fields
    return browser.fill_in("/cases/C-1/verdicts", "/cases/C-1", **sent)


def test_claiming_goes_back_and_says_so(as_, workspace):
    answer = as_("ana").fill_in("/cases/C-1/claim", "/rings/R-A", version="1")
    assert answer.url.path == "/rings/R-A" and "You have the case now." in answer.text
    assert case(workspace).owner == "ana"
    (line,) = [one for one in queries.audit_trail(workspace, LEAD).rows if one.action == "claim"]
    assert (line.actor, line.channel, line.subject) == ("ana", "console", "case:C-1")


def test_the_second_to_claim_is_told_who_was_first(as_):
    as_("ana").fill_in("/cases/C-1/claim")
    answer = as_("lea").fill_in("/cases/C-1/claim")
    assert answer.status_code == 409 and "ana has it since" in answer.text


def test_what_changed_meanwhile_is_not_overwritten(as_):
    as_("ana").fill_in("/cases/C-1/claim", version="1")
    answer = as_("lea").fill_in("/cases/C-1/release", version="1")
    assert answer.status_code == 412 and "It changed meanwhile" in answer.text


def test_a_verdict_shows_on_the_ring_and_on_the_member(as_):
    ana = as_("ana")
    assert judge(ana).status_code == 409
    ana.fill_in("/cases/C-1/claim")
    assert "is a label from now on" in judge(ana, back="/rings/R-A#m2").text
    for path in ("/rings/R-A", "/cases/C-1", "/entity/user/user1"):
        page = ana.page(path)
        assert "fraud" in page.text
    assert "stolen cards" in ana.page("/cases/C-1").text
    judge(ana, verdict="victim", reason="called them")
    assert "1 superseded verdict" in ana.page("/cases/C-1").text


def test_a_case_keeps_its_verdicts_whatever_becomes_of_the_ring(as_, workspace, tmp_path):
    ana, lea = as_("ana"), as_("lea")
    ana.fill_in("/cases/C-1/claim")
    judge(ana)
    ana.fill_in("/cases/C-1/close", outcome="fraud", reason="see verdicts")
    lea.fill_in("/cases/C-1/approve")
    grown = ring("R-A", [("user", "user2"), ("user", "user9")], [("device", "d1")], status="grown")
    import_run(workspace.store, LEAD, write_run(tmp_path / "later", day(9), [grown]))
    page = ana.page("/cases/C-1")
    assert "user1" in page.text and "stolen cards" in page.text
    fresh = ana.page("/cases/C-3").text
    assert "user9" in fresh and "stolen cards" not in fresh and "gained 1 member since it was closed" in fresh


def test_closing_takes_a_second_person(as_, workspace):
    ana, lea = as_("ana"), as_("lea")
    ana.fill_in("/cases/C-1/claim")
    judge(ana)
    asked = ana.fill_in("/cases/C-1/close", "/cases/C-1", outcome="fraud", reason="see verdicts")
    assert "a second person approves" in asked.text and case(workspace).status == "in_progress"
    assert ana.fill_in("/cases/C-1/approve").status_code == 403
    assert "/cases/C-1/approve" in {form.get("action") for form in lea.page("/cases/C-1").all("form")}
    assert "The case is closed." in lea.fill_in("/cases/C-1/approve", "/cases/C-1").text
    assert case(workspace).closed_by == "lea"
    reopened = lea.fill_in("/cases/C-1/reopen", "/cases/C-1", reason="new chargebacks")
    assert reopened.url.path == "/cases/C-3" and "A new case is open" in reopened.text


def test_a_case_may_be_sent_back_wait_be_assigned_and_noted(as_, workspace):
    ana, lea = as_("ana"), as_("lea")
    lea.fill_in("/cases/C-2/assign", to="ana")
    assert case(workspace, "C-2").owner == "ana"
    ana.fill_in("/cases/C-2/status", status="waiting", waiting_for="the bank")
    assert "for the bank" in ana.page("/cases/C-2").text
    ana.fill_in("/cases/C-2/close", outcome="unsure", reason="no more to find")
    lea.fill_in("/cases/C-2/reject", reason="ask again")
    ana.fill_in("/cases/C-2/notes", text="asked")
    page = ana.page("/cases/C-2")
    assert "Closing rejected: ask again" in page.text and "asked" in page.text


def test_entities_go_on_and_off_lists(as_):
    ana = as_("ana")
    device = {"type": "device", "key": "d9", "reason": "a kiosk"}
    ana.fill_in("/lists/watch", **device)
    ana.fill_in("/lists/benign", days="90", **device)
    assert all(word in ana.page("/lists").text for word in ("d9", "watched", "benign", "a kiosk"))
    for name in ("watch", "benign"):
        assert "off the list" in ana.fill_in(f"/lists/{name}", remove="1", **device).text
    assert "Nothing on it" in ana.page("/lists").text
    assert ana.fill_in("/lists/watch", type="device", key="none", reason="x").status_code == 404
    assert ana.fill_in("/lists/benign", days="", **device).status_code == 400


def test_a_block_says_whom_it_touches_and_is_undone_as_one(as_):
    lea = as_("lea")
    plan = lea.page("/lists/block?entity=device:d9&entity=device:d1")
    assert "is a hub: 27 persons use it" in plan.text and "Nothing is blocked yet" in plan.text
    chosen = {one["value"] for one in plan.all("input") if one.get("name") == "entity"}
    assert chosen == {"device:d9", "device:d1"}
    lea.fill_in("/lists/block", entity="device:d1", reason="C-1")
    page = lea.page("/lists?list=block")
    batch = next(one["value"] for one in page.all("option") if one["value"].startswith("B-"))
    assert "no longer blocked" in lea.fill_in("/lists/unblock", batch=batch, reason="wrong").text
    assert as_("ana").fill_in("/lists/block", entity="device:d1", reason="C-1").status_code == 403


def test_a_whole_id_is_shown_once_for_a_reason_that_is_kept(as_, workspace):
    ana = as_("ana")
    card = next(one for one in ana.page("/rings/R-B").all("a") if one.get("href", "").startswith("/entity/card/~"))
    key = card["href"].rpartition("/")[2]
    asked = {"type": "card", "key": key}
    assert ana.fill_in("/unmask", card["href"], reason=" ", **asked).status_code == 400
    answer = ana.fill_in("/unmask", card["href"], reason="to call the bank", **asked)
    assert "4111111111111111" in answer.text and "4111111111111111" not in str(answer.url)
    assert answer.headers["cache-control"] == "no-store"
    (line,) = [one for one in queries.audit_trail(workspace, LEAD).rows if one.action == "unmask"]
    assert line.detail["reason"] == "to call the bank"
    assert as_("vic").fill_in("/unmask", reason="curious", **asked).status_code == 403


def test_signing_out_ends_the_session_for_good(as_):
    vic = as_("vic")
    cookies = dict(vic.cookies)
    assert vic.fill_in("/sign-out").url.path == "/sign-in"
    vic.cookies.update(cookies)
    assert vic.get("/", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("name", ["light", "dark", "auto"])
def test_the_look_is_kept_in_the_browser(browsers, name):
    vic = browsers["viewer"]
    answer = vic.fill_in("/theme", "/models", theme=name)
    assert answer.url.path == "/models" and Parsed(answer.text).all("html")[0]["data-theme"] == name
    assert vic.page("/").all("html")[0]["data-theme"] == name


@pytest.mark.parametrize("fields", [{"version": "1"}, {"csrf": ""}, {"csrf": "0" * 64}])
def test_a_form_without_the_sessions_token_changes_nothing(browsers, shared, fields):
    assert browsers["investigator"].post("/cases/C-1/claim", data=fields).status_code == 403
    assert case(shared).owner is None


def test_another_sites_form_changes_nothing(browsers, shared):
    ana = browsers["investigator"]
    token = next(one["value"] for one in ana.page("/").all("input") if one.get("name") == "csrf")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.invalid"}):
        assert ana.post("/cases/C-1/claim", data={"csrf": token}, headers=headers).status_code == 403
    assert case(shared).owner is None


def test_what_is_no_form_is_no_form(browsers):
    ana = browsers["investigator"]
    assert ana.post("/cases/C-1/claim", json={}).status_code == 415
    raw = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"\xff", b"text=%ff", b"a=&" * 2000):
        assert ana.post("/cases/C-1/claim", content=body, headers=raw).status_code == 400


@pytest.mark.parametrize("where", ["https://evil.invalid/", "//evil.invalid", "/\\evil.invalid", "javascript:x"])
def test_nobody_is_sent_elsewhere(browsers, where):
    ana = browsers["investigator"]
    token = next(one["value"] for one in ana.page("/").all("input") if one.get("name") == "csrf")
    answer = ana.post("/theme", data={"csrf": token, "back": where, "theme": "dark"}, follow_redirects=False)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(("path", "kind"), [
    ("/cases/C-1/export.json", "application/json"), ("/cases/C-1/export.csv?table=links", "text/csv; charset=utf-8"),
    ("/cases/C-1/export.pdf", "application/pdf"), ("/queue.csv?work=all", "text/csv; charset=utf-8"),
])  # fmt: skip
def test_exports_are_files_for_those_who_may(browsers, path, kind):
    answer = browsers["investigator"].get(path)
    assert answer.headers["content-type"] == kind and answer.content
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert browsers["viewer"].get(path).status_code == 403


@pytest.mark.parametrize("path", ["/cases/..%2f..%2fetc%2fpasswd/export.json", "/static/..%2f..%2fpages.py",
                                  "/static/%2e%2e/pages.py", "/cases/C-1/export.csv?table=../notes"])  # fmt: skip
def test_no_path_leads_out(browsers, path):
    answer = browsers["investigator"].get(path)
    assert answer.status_code in (400, 404) and "root:" not in answer.text and "APIRouter" not in answer.text
