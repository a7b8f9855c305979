"""Cases of the API: C31 bad bodies, C37 formulas in exports, C39 paths and queries from request text, C08 leaks."""

import csv
import io
import json
import time
import tracemalloc

import pytest
from fastapi.testclient import TestClient
from finder_runs import day, ring, write_run

from graphs.investigation.app import create_app
from graphs.investigation.keys import make_key
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.importing import import_run
from graphs.stores.models import metadata
from graphs.stores.people import set_person
from graphs.temporal_graph import TemporalGraph

ROOT = Actor("root", "admin")
# The users and merchants of the case's table; the last three are as harmless as they look.
FORMULAS = ['=HYPERLINK("http://x.invalid/?"&A1)', "-2+3", "\t=1+1", "+1+1", "@SUM(A1:A9)", "\r\n=1+1", "＝1+1"]
HARMLESS = ["u-4", "m=4", "x;=1+1", "O'Neil-77", "a/b%c_d"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, log_from_rows):
    folder = tmp_path_factory.mktemp("cases")
    users = [*FORMULAS, *HARMLESS, "abbXcYd"]
    rows = [
        {"id": f"t{place}", "type": "payment", "time": place, "sender": user, "device": "d1", "amount": -45.0}
        for place, user in enumerate(users)
    ]
    TemporalGraph.build(log_from_rows(rows)).save(folder / "graph")
    made = Workspace.make(folder / "made", graph=folder / "graph")
    members = [("user", user) for user in users]
    found = ring("R-A", members, [("device", "d1")], payments=[("t1", -45.0)], headline="=1+1")
    set_person(made.store, ROOT, "root", "admin")
    import_run(made.store, ROOT, write_run(folder / "run", day(6), [found]))
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(workspace):
    key, _ = make_key(workspace.store, ROOT, "root")
    return TestClient(create_app(workspace), headers={"Authorization": f"Bearer {key}"})


def strict(answer):
    """The body as strict JSON: no NaN, no Infinity."""
    return json.loads(answer.text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


WATCH = "/api/v1/watch/device/d1"


@pytest.mark.parametrize(
    ("amount", "status"),
    [("12.5", 200), ("NaN", 422), ("-Infinity", 422), ("1e400", 422), ('"twelve"', 422), ("true", 422), ("-3", 422)],
)
def test_c31_a_number_that_is_none_is_told_with_its_field(client, amount, status):
    body = f'{{"reason": "sold on", "days": {amount}}}'
    answer = client.put(WATCH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    if status == 422:
        assert strict(answer)["errors"][0]["where"] == "body.days" and amount.strip('"') not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b'{"reason": "sold on", ', 422, "body.22"),
        (b'{"reason": "\xff\xfe"}', 400, "could not be read"),
        (b"[1, 2, 3]", 422, "body"),
        (b"[" * 100_000, 400, "could not be read"),
        (b'{"a":' * 100_000, 400, "could not be read"),
        (b"", 422, "body"),
        (b'{"reason": "\\ud800"}', 422, "body.reason"),
        (b'{"reason": null}', 422, "body.reason"),
    ],
)
def test_c31_a_body_that_is_none_is_told(client, body, status, told):
    answer = client.put(WATCH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status and told in strict(answer)["detail"]
    assert answer.headers["content-type"] == "application/problem+json" and "Traceback" not in answer.text
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_c31_64_megabytes_are_turned_away_at_once_and_not_held(client, chunked):
    part = b'{"reason":"' + b"x" * 1_000_000
    body = (part for _ in range(64)) if chunked else b"x" * 64_000_000
    tracemalloc.start()
    began = time.perf_counter()
    answer = client.put(WATCH, content=body, headers={"Content-Type": "application/json"})
    took, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 413 and "1,000,000 bytes" in strict(answer)["detail"]
    assert took < 5 and (chunked is False or peak < 200_000_000)


def test_c31_a_batch_above_the_limit_is_told_and_a_bad_row_has_its_index(client):
    many = {"entities": [{"type": "user", "id": "u-4"}] * 501, "reason": "x"}
    one_bad = {"entities": [{"type": "user", "id": "u-4"}, {"type": "user"}], "reason": "x"}
    assert "500" in strict(client.post("/api/v1/blocks", json=many))["detail"]
    assert strict(client.post("/api/v1/blocks", json=one_bad))["errors"][0]["where"] == "body.entities.1.id"


def test_c08_a_refused_row_repeats_neither_card_nor_address(client, caplog):
    caplog.set_level("DEBUG", logger="graphs")
    body = {"entity_type": "card", "entity_id": ["4111111111111111"], "verdict": "ana@example.org", "reason": "x"}
    answer = client.post("/api/v1/cases/C-1/verdicts", json=body, headers={"If-Match": "*"})
    lines = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("graphs"))
    assert answer.status_code == 422 and "body.entity_id" in answer.text
    for told in (answer.text, lines):
        assert "4111111111111111" not in told and "ana@example.org" not in told


def test_c37_no_cell_of_an_export_is_a_formula(client):
    text = client.get("/api/v1/exports/rings/R-A/members.csv").text
    rows = list(csv.reader(io.StringIO(text, newline="")))
    shown = {row[rows[0].index("entity_id")] for row in rows[1:]}
    assert {f"'{one}" for one in FORMULAS} | set(HARMLESS) <= shown
    starts = tuple("=+-@\t\r\n＝＋－＠")
    queue = list(csv.reader(io.StringIO(client.get("/api/v1/exports/rings.csv").text, newline="")))
    assert not [cell for row in rows + queue for cell in row if cell.startswith(starts) and not _is_number(cell)]


def test_c37_numbers_stay_numbers_and_json_holds_the_ids_as_they_are(client):
    payments = list(csv.DictReader(io.StringIO(client.get("/api/v1/exports/rings/R-A/payments.csv").text)))
    members = client.get("/api/v1/exports/rings/R-A").json()["members"]
    assert payments[0]["amount"] == "-45.0"
    assert {one["entity"]["key"] for one in members} >= {*FORMULAS, *HARMLESS}


def _is_number(cell):
    try:
        return float(cell) <= 0
    except ValueError:
        return False


@pytest.mark.parametrize(
    "path",
    ["/exports/..%2f..%2f..%2fetc%2fpasswd", "/exports/%2e%2e/%2e%2e/config.yaml", "/exports//etc/hostname",
     "/exports/rings/..%2f..%2fcases.db/members.csv", "/exports/rings/R-A/..%2f..%2f..%2fetc%2fpasswd.csv",
     "/models/..%2f..%2fsecret/metadata", "/static/..%2f..%2fapi%2fparts.py", "/static/%2e%2e/%2e%2e/cases.db"],
)  # fmt: skip
def test_c39_no_path_leads_out(client, path):
    bodies = []
    for prefix in ("/api/v1", ""):
        answer = client.get(prefix + path)
        assert answer.status_code in (400, 404, 422), (prefix + path, answer.text)
        assert "root:" not in answer.text and "def " not in answer.text
        bodies.append(answer.text)
    assert all("passwd" not in body and "cases.db" not in body for body in bodies if "no ring" not in body)


@pytest.mark.parametrize(
    "key", ["x'%20OR%20'1'%3D'1", "x'%3B%20DROP%20TABLE%20scores%3B--", "a%2Fb%25%25", "a%2Fb%25_d", "%25"]
)
def test_c39_text_in_a_query_is_an_id_that_nobody_has(client, workspace, key):
    before = counts(workspace)
    answer = client.get(f"/api/v1/entities/user/{key}")
    assert answer.status_code == 404 and strict(answer)["detail"] == "no user has the id given"
    assert {name: count for name, count in counts(workspace).items() if before[name] != count} == {}


@pytest.mark.parametrize(("asked", "known"), [("O'Neil-77", "O'Neil-77"), ("a%2Fb%25c_d", "a/b%c_d")])
def test_c39_an_id_with_quotes_slashes_and_wildcards_is_found_and_matches_only_itself(client, asked, known):
    sheet = client.get(f"/api/v1/entities/user/{asked}").json()
    assert sheet["entity"]["key"] == known and sheet["events"] == 1
    for question in ("neighbours", "sharing", "timelines"):
        assert client.get(f"/api/v1/{question}/user/{asked}").status_code == 200


def test_c39_a_sort_that_is_none_is_answered_with_those_there_are(client):
    asked = "/api/v1/rings?sort=amount;DROP%20TABLE%20scores"
    answer, more = client.get(asked), client.get(f"{asked}&order=asc")
    assert answer.status_code == 400 and "score, value, p_ring, users, newest, active" in strict(answer)["detail"]
    assert more.status_code == 400 and "order: no such parameter" in strict(more)["detail"]


def counts(workspace):
    with workspace.store.read() as connection:
        return {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in metadata.tables
        }
