"""A viewer learns no whole id by any route, and nobody a whole card number."""

import re

import pytest

from graphs.investigation import exports, queries
from graphs.stores.actors import Actor

WHY = {"reason": "user1 and 4111111111111111 told ana@example.org"}
IDS = ("user1", "user2", "user3", "user4", "guest00")
PAN = "4111111111111111"


@pytest.fixture(scope="module")
def worked_on(clients):
    """Investigators wrote ids, a card number and an address wherever one can write."""
    lead = clients["lead"]
    lead.call("POST", "/cases/C-1/claim")
    lead.call("POST", "/cases/C-1/status", {"status": "waiting", "waiting_for": WHY["reason"]})
    lead.call("POST", "/cases/C-1/notes", {"text": WHY["reason"]})
    judged = {"entity_type": "user", "entity_id": "user1", "verdict": "fraud", "note": WHY["reason"]} | WHY
    lead.call("POST", "/cases/C-1/verdicts", judged)
    lead.call("PUT", "/watch/user/user1", WHY)
    lead.call("PUT", f"/benign/card/{PAN}", WHY)
    lead.call("POST", "/blocks", {"entities": [{"type": "user", "id": "user1"}]} | WHY)
    lead.call("POST", "/cases/C-1/close", {"outcome": "fraud"} | WHY)
    return clients


def handles(client):
    """The handle of each member of a ring, by what it is shown as."""
    members = [one for ring in ("R-A", "R-B") for one in client.call("GET", f"/rings/{ring}").json()["members"]]
    return {one["entity"]["text"]: one["entity"]["key"] for one in members}


def questions(user, card):
    """Every address a viewer may ask, with handles in the place of ids."""
    return [
        "/rings", "/rings/R-A", "/rings/R-B", "/rings/R-A/evidence", "/rings/R-B/evidence", "/rings/R-A/payments",
        "/rings/R-A/timeline", "/rings/R-B/timeline", "/rings/R-A/similar", "/changes?since=2025-01-01T00:00:00Z",
        "/open-rings", "/models", f"/lookup?id={user}", "/lookup?id=C-1", f"/entities/user/{user}",
        f"/entities/card/{card}", f"/neighbours/user/{user}", f"/sharing/card/{card}", f"/timelines/user/{user}",
        f"/paths?from=user:{user}&to=card:{card}&hubs=true", "/near-fraud", "/cases/C-1", "/cases/C-1/narrative",
        "/lists", "/people", "/settings",
    ]  # fmt: skip


def test_a_viewer_learns_no_whole_id(worked_on):
    viewer = worked_on["viewer"]
    shown = handles(viewer)
    user, card = shown["u…1"], shown["411111******1111"]
    for path in questions(user, card):
        answer = viewer.call("GET", path)
        assert answer.status_code == 200, (path, answer.text)
        # An event goes by the caller's own key, whatever that is like (k-user1 here).
        found = re.findall(r"(?<!k-)\b(?:user\d|guest\d\d|4111111111111111|ana@example\.org)\b", answer.text)
        assert not found, (path, found)


def test_the_dry_run_of_a_block_shows_a_viewer_no_whole_id(worked_on):
    viewer = worked_on["viewer"]
    entities = [{"type": "device", "id": handles(viewer)["…"]}]
    answer = viewer.call("POST", "/blocks/plan", {"entities": entities})
    assert answer.json()["innocents"] == 1 and not re.search(r"user\d", answer.text)


@pytest.mark.parametrize("role", ["investigator", "lead", "admin"])
def test_nobody_is_shown_a_whole_card_number(worked_on, role):
    client = worked_on[role]
    card = handles(client)["411111******1111"]
    paths = [*questions("user1", card), "/exports/rings/R-B", "/exports/rings/R-B/members.csv"]
    for path in [*paths, *(["/audit?limit=500"] if role != "investigator" else [])]:
        answer = client.call("GET", path)
        assert answer.status_code == 200 and PAN not in answer.text, path


def test_the_whole_id_takes_a_reason_which_is_kept(worked_on):
    ana, lead = worked_on["investigator"], worked_on["lead"]
    card = handles(ana)["411111******1111"]
    refused = ana.call("POST", f"/unmask/card/{card}", {"reason": "  "})
    found = ana.call("POST", f"/unmask/card/{card}", {"reason": "to call the bank"})
    (line,) = lead.call("GET", "/audit?action=unmask").json()["rows"]
    assert refused.status_code == 422 and found.json()["entity_id"] == PAN
    assert line["detail"] == {"reason": "to call the bank"} and line["actor"] == "ana" and line["channel"] == "api"


def test_an_answer_over_http_is_that_of_the_query(worked_on, shared):
    here = exports.plain(queries.ring_sheet(shared, Actor("vic", "viewer"), "R-A"))
    assert worked_on["viewer"].call("GET", "/rings/R-A").json() == here


def test_every_look_is_in_the_audit_with_who_and_by_which_door(worked_on):
    worked_on["viewer"].call("GET", "/entities/user/user4")
    newest = worked_on["lead"].call("GET", "/audit?who=vic&limit=1").json()["rows"][0]
    assert newest | {"audit_id": 0, "at": ""} == {
        "audit_id": 0, "at": "", "actor": "vic", "role": "viewer", "channel": "api", "action": "view",
        "subject": "user:user4", "detail": {},
    }  # fmt: skip
