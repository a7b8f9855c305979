"""Every route, in the order of a day's work: who may and who may not; a route left out here fails."""

import json
import zipfile
from io import BytesIO

import jsonschema_rs
import pytest

from graphs.stores.actors import ROLES

WHY = {"reason": "told by the bank"}
USER2 = {"entity_type": "user", "entity_id": "user2", "verdict": "mule"} | WHY
D1 = {"entities": [{"type": "device", "id": "d1"}]}
NEW = {"role": "viewer", "active": True}

# Method, route, least role, the address asked for where the route has parameters, body.
DAY = [
    ("GET", "/rings", "viewer", "/rings?limit=1&sort=value&kind=device_farm", None),
    ("GET", "/rings/{ring}", "viewer", "/rings/R-A", None),
    ("GET", "/rings/{ring}/evidence", "viewer", "/rings/R-A/evidence", None),
    ("GET", "/rings/{ring}/payments", "viewer", "/rings/R-A/payments", None),
    ("GET", "/rings/{ring}/timeline", "viewer", "/rings/R-A/timeline?since=2025-03-01T00:00:00Z", None),
    ("GET", "/rings/{ring}/similar", "viewer", "/rings/R-A/similar", None),
    ("GET", "/changes", "viewer", "/changes?since=2025-03-01T00:00:00%2B01:00", None),
    ("GET", "/open-rings", "viewer", "/open-rings", None),
    ("GET", "/models", "viewer", "/models", None),
    ("GET", "/lookup", "viewer", "/lookup?id=user1", None),
    ("GET", "/entities/{entity_type}/{key:path}", "viewer", "/entities/user/user1", None),
    ("GET", "/neighbours/{entity_type}/{key:path}", "viewer", "/neighbours/user/user1?type=device", None),
    ("GET", "/sharing/{entity_type}/{key:path}", "viewer", "/sharing/device/d1", None),
    ("GET", "/timelines/{entity_type}/{key:path}", "viewer", "/timelines/user/user1", None),
    ("GET", "/paths", "viewer", "/paths?from=user:user1&to=user:user3&hubs=true", None),
    ("POST", "/cases/{case}/claim", "investigator", "/cases/C-1/claim", None),
    ("POST", "/cases/{case}/release", "investigator", "/cases/C-1/release", None),
    ("POST", "/cases/{case}/assign", "lead", "/cases/C-1/assign", {"to": "ana"}),
    ("POST", "/cases/{case}/status", "investigator", "/cases/C-1/status", {"status": "waiting", "waiting_for": "mail"}),
    ("POST", "/cases/{case}/verdicts", "investigator", "/cases/R-A/verdicts", USER2),
    ("POST", "/cases/{case}/notes", "investigator", "/cases/C-1/notes", {"text": "called"}),
    ("GET", "/cases/{case}", "viewer", "/cases/R-A", None),
    ("GET", "/cases/{case}/narrative", "viewer", "/cases/C-1/narrative", None),
    ("GET", "/near-fraud", "viewer", "/near-fraud?type=user&limit=5", None),
    ("POST", "/cases/{case}/close", "investigator", "/cases/C-1/close", {"outcome": "fraud"} | WHY),
    ("POST", "/cases/{case}/reject", "lead", "/cases/C-1/reject", WHY),
    ("POST", "/cases/{case}/close", "investigator", "/cases/C-1/close", {"outcome": "fraud"} | WHY),
    ("POST", "/cases/{case}/approve", "lead", "/cases/C-1/approve", None),
    ("POST", "/cases/{case}/reopen", "lead", "/cases/C-1/reopen", WHY),
    ("PUT", "/watch/{entity_type}/{key:path}", "investigator", "/watch/device/d1", WHY | {"days": 30}),
    ("POST", "/unwatch/{entity_type}/{key:path}", "investigator", "/unwatch/device/d1", WHY),
    ("PUT", "/benign/{entity_type}/{key:path}", "investigator", "/benign/device/d9", WHY),
    ("POST", "/unbenign/{entity_type}/{key:path}", "investigator", "/unbenign/device/d9", WHY),
    ("POST", "/blocks/plan", "viewer", "/blocks/plan", D1),
    ("POST", "/blocks", "lead", "/blocks", D1 | WHY),
    ("POST", "/blocks/{batch}/undo", "lead", "/blocks/{batch}/undo", WHY),
    ("GET", "/lists", "viewer", "/lists?list=block", None),
    ("POST", "/unmask/{entity_type}/{key:path}", "investigator", "/unmask/user/user1", WHY),
    ("GET", "/exports/rings.csv", "investigator", "/exports/rings.csv", None),
    ("GET", "/exports/rings/{ring}", "investigator", "/exports/rings/R-A", None),
    ("GET", "/exports/rings/{ring}/{table}.csv", "investigator", "/exports/rings/R-A/members.csv", None),
    ("GET", "/exports/cases/{case}.pdf", "investigator", "/exports/cases/C-1.pdf", None),
    ("POST", "/runs", "lead", "/runs", None),
    ("GET", "/labels", "lead", "/labels", None),
    ("GET", "/audit", "lead", "/audit?action=claim&who=ana", None),
    ("GET", "/people", "viewer", "/people", None),
    ("PUT", "/people/{name}", "admin", "/people/zoe", NEW),
    ("POST", "/people/{name}/keys", "admin", "/people/zoe/keys", {"days": 1}),
    ("GET", "/people/{name}/keys", "admin", "/people/zoe/keys", None),
    ("DELETE", "/keys/{prefix}", "admin", "/keys/{prefix}", None),
    ("GET", "/settings", "viewer", "/settings", None),
    ("PUT", "/settings/{name}", "admin", "/settings/four_eyes", {"value": False}),
]


def send(client, method, path, body, known=None):
    path = path.format(**(known or {"batch": "B-1", "prefix": "0123456789"}))
    if path == "/runs":
        return client.post("/api/v1/runs", content=b"no zip", headers={"Content-Type": "application/zip"})
    return client.call(method, path, body)


def test_the_day_has_every_route_of_the_api(clients):
    document = clients["nobody"].get("/api/v1/openapi.json").json()
    routes = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, operations in document["paths"].items()
        if path.startswith("/api/")
        for method in operations
    }
    assert routes == {(method, route.replace(":path", "")) for method, route, *_ in DAY} and len(routes) > 45


@pytest.mark.parametrize(("method", "route", "least", "path", "body"), DAY)
def test_nobody_comes_in_and_who_may_not_is_told(clients, method, route, least, path, body):
    assert send(clients["nobody"], method, path, body).status_code == 401
    for role in ROLES[: ROLES.index(least)]:
        refused = send(clients[role], method, path, body)
        assert refused.status_code == 403 and least in refused.json()["detail"]


def test_a_day_of_work_by_the_least_roles_that_may(clients, shared, tmp_path_factory):
    known = {}
    for method, route, least, path, body in DAY:
        answer = send(clients[least], method, path, body, known)
        if route == "/runs":
            assert answer.status_code == 400
            continue
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        if route == "/blocks":
            known["batch"] = answer.json()[0]["mark"]["batch"]
        if route == "/people/{name}/keys" and method == "POST":
            known["prefix"] = answer.json()["prefix"]


def test_every_answer_fits_its_document_and_every_example_too(clients):
    document = clients["nobody"].get("/api/v1/openapi.json").json()
    told = 0
    for path, operations in document["paths"].items():
        for operation in operations.values():
            parts = [*operation["responses"].values(), operation.get("requestBody", {})]
            for content in (part.get("content", {}) for part in parts):
                for kind in content.values():
                    if "example" in kind:
                        told += 1
                        schema = json.loads(json.dumps(kind["schema"]).replace("#/components", "#/$defs/components"))
                        schema["$defs"] = json.loads(
                            json.dumps({"components": document["components"]}).replace("#/comp", "#/$defs/comp")
                        )
                        assert jsonschema_rs.is_valid(schema, kind["example"]), (path, kind["example"])
    assert told > 300


def test_every_json_route_has_an_example(clients):
    document = clients["nobody"].get("/api/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for part in [*operation["responses"].values(), operation.get("requestBody", {})]:
                assert all("example" in kind for name, kind in part.get("content", {}).items() if "json" in name), path
            assert operation.get("summary") and (operation.get("description") or path == "/healthz"), (method, path)


def test_labels_come_as_a_zip_of_parquet(client_of):
    ana, lea = client_of("ana"), client_of("lea")
    ana.call("POST", "/cases/C-1/claim")
    ana.call("POST", "/cases/C-1/verdicts", USER2)
    answer = lea.call("GET", "/labels")
    names = zipfile.ZipFile(BytesIO(answer.content)).namelist()
    assert {"labels.json", "entities/user.parquet", "hints.parquet"} <= set(names)
    assert answer.headers["content-disposition"] == 'attachment; filename="labels.zip"'
