"""Whatever goes wrong is told in one form, repeats nothing that was sent, and changes nothing."""

import json
import threading
from urllib.parse import quote

import pytest
from fastapi.responses import HTMLResponse
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.investigation.app import create_app
from graphs.investigation.rows import make_cursor
from graphs.investigation.settings import ServeSettings
from graphs.stores.models import metadata

WHY = {"reason": "told by the bank"}


def told(answer, status):
    """The problem in an answer, which must have this status and be whole."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = json.loads(answer.text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert found["status"] == status and found["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail", "errors"} < found.keys()
    return found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/rings/R-NONE", 404),
        ("PATCH", "/rings", 405),
        ("GET", "/rings?limit=0", 422),
        ("GET", "/rings?sort=amount;DROP TABLE rings", 400),
        ("GET", "/rings?ring_status=fine", 400),
        ("GET", "/rings?cursor=nonsense", 400),
        ("GET", "/rings?statsu=open", 400),
        ("POST", "/cases/C-1/notes?x=1", 400),
        ("GET", "/changes?since=yesterday", 422),
        ("GET", "/changes?since=0001-01-01T00:00:00%2B12:00", 422),
        ("GET", "/entities/rocket/x", 404),
        ("GET", "/neighbours/rocket/x", 400),
        ("GET", "/paths?from=user1&to=user:user2", 422),
        ("GET", "/exports/rings/R-A/secrets.csv", 422),
        ("POST", "/cases/C-99/claim", 404),
    ],
)
def test_each_refusal_is_a_problem(clients, method, path, status):
    told(clients["admin"].call(method, path), status)


def test_a_method_that_is_not_there_says_which_are(clients):
    answer = clients["admin"].call("DELETE", "/rings/R-A")
    assert told(answer, 405) and answer.headers["allow"] == "GET"


def test_nobody_is_told_how_to_come_in(clients):
    answer = clients["nobody"].call("GET", "/rings")
    assert told(answer, 401)["title"] == "Unauthorized" and answer.headers["www-authenticate"] == "Bearer"


def test_a_bad_sort_is_answered_with_those_there_are(clients):
    assert "value, p_ring, users" in told(clients["viewer"].call("GET", "/rings?sort=valu"), 400)["detail"]


def test_what_was_sent_is_not_repeated(clients):
    body = {"reason": 7, "4111111111111111": "ana@example.org", "days": "4111111111111111"}
    answer = clients["admin"].call("PUT", "/watch/device/d1", body)
    found = told(answer, 422)
    assert {"body.reason", "body.days"} <= {one["where"] for one in found["errors"]}
    assert "4111111111111111" not in answer.text and "ana@example.org" not in answer.text


def test_a_case_is_changed_only_by_who_says_what_they_saw(client_of):
    ana = client_of("ana")
    missing = ana.post("/api/v1/cases/C-1/claim")
    seen = ana.call("GET", "/cases/C-1").headers["etag"]
    claimed = ana.call("POST", "/cases/C-1/claim", If_Match=seen)
    stale = ana.call("POST", "/cases/C-1/release", If_Match=seen)
    assert told(missing, 428) and told(stale, 412)["type"] == "urn:ringtrace:stale"
    assert claimed.headers["etag"] == '"2"' and ana.call("GET", "/rings/R-A").headers["etag"] == '"2"'


@pytest.mark.parametrize("version", ["3", 'W/"1"', '"1", "2"', '"x"', '"99999999999999999999"', '""'])
def test_a_version_that_is_none_is_refused(clients, version):
    told(clients["investigator"].call("POST", "/cases/C-1/claim", If_Match=version), 422)


def test_a_verdict_says_the_version_it_made(client_of):
    ana = client_of("ana")
    first = ana.call("POST", "/cases/C-1/claim", If_Match='"1"').headers["etag"]
    judgement = {"entity_type": "user", "entity_id": "user1", "verdict": "fraud"} | WHY
    judged = ana.call("POST", "/cases/C-1/verdicts", judgement, If_Match=first)
    assert judged.headers["etag"] == ana.call("GET", "/cases/C-1").headers["etag"] == '"3"'


def test_of_many_who_claim_at_once_one_wins_and_the_others_are_told_who(client_of, workspace):
    clients = [client_of(name) for name in ("ana", "lea", "root") for _ in range(4)]
    answers = []
    claims = [
        threading.Thread(target=lambda one=one: answers.append(one.call("POST", "/cases/C-1/claim"))) for one in clients
    ]
    for claim in claims:
        claim.start()
    for claim in claims:
        claim.join()
    owner = clients[0].call("GET", "/cases/C-1").json()["case"]["owner"]
    lost = [answer for answer in answers if answer.status_code != 200]
    assert len(lost) == 8 and all(f"{owner} has it" in told(answer, 409)["detail"] for answer in lost)


@pytest.mark.parametrize(
    "cursor",
    [
        make_cursor("value", 1.0, "R-A"),
        make_cursor("score", float("inf"), "R-A"),
        make_cursor("score", 10**30, "R-A"),
        make_cursor("score", True, "R-A"),
        make_cursor("score", "1", "R-A"),
        make_cursor("score", 1.0, "\ud800"),
        make_cursor("score", 1.0, "a\x00b"),
        "W1tbW1tbW1tb",
        "ß",
        "~" * 500,
    ],
)
def test_a_cursor_that_was_tampered_with_is_refused(clients, cursor):
    told(clients["viewer"].call("GET", f"/rings?cursor={cursor}"), 400)


def test_pages_follow_each_other_without_a_gap(clients):
    first = clients["viewer"].call("GET", "/rings?limit=1").json()
    second = clients["viewer"].call("GET", f"/rings?limit=1&cursor={first['next']}").json()
    assert [row["ring_id"] for row in first["rows"] + second["rows"]] == ["R-A", "R-B"]
    assert first["total"] == 2 and second["next"] is None


def test_our_own_fault_is_told_by_its_number_only(workspace, key_of, caplog, monkeypatch):
    app = create_app(workspace)
    monkeypatch.setattr("graphs.investigation.queries.open_rings", lambda *_: 1 / 0)
    answer = TestClient(app).get("/api/v1/open-rings", headers={"Authorization": f"Bearer {key_of('vic')}"})
    assert "division" not in answer.text and told(answer, 500)["request_id"] in caplog.text


def test_the_log_has_routes_and_not_what_was_asked_for(clients, caplog):
    caplog.set_level("INFO")
    clients["viewer"].call("GET", "/entities/user/user1?since=4111111111111111")
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("graphs.")]
    assert line.startswith("GET /entities/{entity_type}/{key:path} 400") and "user1" not in line and "4111" not in line


def test_a_browser_is_shown_the_page_that_the_console_has_for_it(workspace):
    app = create_app(workspace)
    app.state.error_page = lambda request, status, title, detail: HTMLResponse(f"<h1>{title}</h1>", status)
    browser = TestClient(app, headers={"Accept": "text/html"})
    assert browser.get("/nowhere").text == "<h1>Not Found</h1>"
    told(browser.get("/api/v1/nowhere"), 404)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.sampled_from(
        ["x' OR '1'='1", "x'; DROP TABLE rings;--", '"', "\\", "%", "_", "R-A' --", "../../etc/passwd", "\x00",
         "\r\nX: y", "${jndi:x}", "{{7*7}}", "<script>alert(1)</script>", "\u202eevil", "\U0001d518nicode", "a/b%c_d",
         "~aGFsbG8", "C-0", "C-" + "9" * 18]
    ),
)  # fmt: skip
QUESTIONS = [
    ("/rings/{}", None), ("/rings/{}/payments", None), ("/rings/{}/timeline", None), ("/cases/{}", None),
    ("/cases/{}/narrative", None), ("/entities/user/{}", None), ("/entities/{}/user1", None),
    ("/neighbours/user/{}", None), ("/neighbours/{}/user1", None), ("/sharing/device/{}", None),
    ("/timelines/card/{}", None), ("/people/{}/keys", None), ("/exports/rings/{}", None),
    ("/exports/rings/{}/members.csv", None), ("/lookup", "id"), ("/rings", "sort"), ("/rings", "owner"),
    ("/rings", "kind"), ("/rings", "ring_status"), ("/rings", "case_status"), ("/rings", "cursor"),
    ("/rings", "active_since"), ("/neighbours/user/user1", "cursor"), ("/neighbours/user/user1", "type"),
    ("/audit", "subject"), ("/audit", "who"), ("/audit", "action"), ("/audit", "cursor"), ("/changes", "since"),
    ("/near-fraud", "type"), ("/timelines/user/user1", "cursor"), ("/rings/R-A/payments", "cursor"), ("/lists", "list"),
    ("/paths?to=user:user1", "from"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "parameter"), QUESTIONS)
@settings(max_examples=15)
@given(text=TEXTS)
def test_no_text_is_taken_for_anything_but_text(clients, path, parameter, text):
    quoted = quote(text, safe="")
    url = f"{path}{'&' if '?' in path else '?'}{parameter}={quoted}" if parameter else path.format(quoted)
    answer = clients["admin"].call("GET", url)
    assert answer.status_code in (200, 400, 404, 405, 422), answer.text
    if answer.status_code != 200:
        told(answer, answer.status_code)


@settings(max_examples=60)
@given(text=TEXTS)
def test_what_is_written_comes_back_as_it_was(clients, shared, text):
    answer = clients["admin"].call("POST", "/cases/C-2/notes", {"text": text})
    if not text.strip() or "\x00" in text:
        assert answer.status_code in (400, 422)
        return
    with shared.store.read() as connection:
        kept = connection.exec_driver_sql("SELECT text FROM notes ORDER BY note_id DESC LIMIT 1").scalar_one()
    assert answer.status_code == 201 and kept == text.strip()


def test_after_all_that_every_table_is_there(shared):
    with shared.store.read() as connection:
        for table in metadata.tables:
            connection.exec_driver_sql(f"SELECT count(*) FROM {table}")
        assert connection.exec_driver_sql("SELECT count(*) FROM rings").scalar_one() == 2


def test_who_asks_too_often_is_told_when_to_come_back(workspace, key_of):
    client = TestClient(create_app(workspace, ServeSettings(per_minute=3)))
    headers = {"Authorization": f"Bearer {key_of('vic')}"}
    answers = [client.get("/api/v1/settings", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert told(answers[-1], 429) and 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert client.get("/api/v1/settings", headers={"Authorization": f"Bearer {key_of('ana')}"}).status_code == 200
