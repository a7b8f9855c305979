"""Every page for every role: what it shows, what it offers, where its links lead, and that nothing in it is inline."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from console_browser import PEOPLE, ROOT, SETTINGS, Parsed, browser, links

from graphs.investigation.app import create_app
from graphs.investigation.console.rendering import STATIC
from graphs.investigation.workspace import Workspace
from graphs.stores.people import set_person

PAGES = (
    "/", "/?work=all&sort=value&min_value=1,000&active_since=2025-03-01&owner=me&kind=mule_chain&change=born",
    "/changes", "/changes?since=2025-01-01&change=born", "/rings/R-A", "/rings/R-B?hubs=1&nodes=all", "/cases/C-1",
    "/entity/user/user1", "/entity/device/d9?type=user&since=2025-03-01&until=2025-04-01", "/path",
    "/path?from=user:user1&to=user:user2&k=2&hops=4&hubs=1", "/near-fraud", "/lists", "/lists?list=watch",
    "/lists/block?entity=device:d1&entity=device:d9", "/models", "/search?q=nobody", "/search?q=R-A",
)  # fmt: skip
READERS = ("viewer", "investigator", "lead", "admin")


@pytest.mark.parametrize("role", READERS)
@pytest.mark.parametrize("path", PAGES)
def test_pages_are_there_for_every_role(browsers, role, path):
    page = browsers[role].page(path)
    assert "Ringtrace" in page.text and len(page.all("h1")) == 1 and len(page.all("main")) == 1


@pytest.mark.parametrize("path", ["/audit", "/audit?subject=ring:R-A&who=ana&action=view"])
def test_the_audit_is_for_leads(browsers, path):
    assert "Audit" in browsers["lead"].page(path).text
    refused = browsers["investigator"].get(path)
    assert refused.status_code == 403 and "Not allowed" in refused.text


def test_people_are_for_admins(browsers):
    assert "ana" in browsers["admin"].page("/people").text
    for path in ("/people", "/people/keys?of=ana"):
        assert browsers["lead"].get(path).status_code == 403


@pytest.mark.parametrize("path", [*PAGES, "/audit", "/people", "/people/keys?of=ana"])
def test_nothing_is_inline(browsers, path):
    page = browsers["admin"].page(path)
    assert all("src" in script for script in page.all("script")) and not page.all("style")
    for _, attributes in page.tags:
        assert "style" not in attributes and not any(name.startswith("on") for name in attributes)
    loaded = [one["href"] for one in page.all("link")] + [one["src"] for one in page.all("script") + page.all("img")]
    assert loaded and all(address.startswith("/static/") for address in loaded)


def test_policy_and_caching_travel_with_every_page(browsers):
    answer = browsers["viewer"].get("/")
    assert "'unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    kept = browsers["nobody"].get(re.search(r"/static/console\.css\?v=[0-9a-f]+", answer.text).group())
    assert "immutable" in kept.headers["cache-control"]


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_every_link_from_the_queue_on_leads_somewhere(browsers, role):
    visitor, seen, waiting = browsers[role], set(), {"/"}
    while waiting and len(seen) < 250:
        path = waiting.pop()
        answer = visitor.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        seen.add(path)
        if answer.headers["content-type"].startswith("text/html"):
            waiting |= links(Parsed(answer.text)) - seen
    assert {"/rings/R-A", "/cases/C-2", "/models"} <= seen and any(path.startswith("/entity/device/") for path in seen)


@pytest.mark.parametrize("path", [path for path in PAGES if path != "/"])
def test_who_is_not_signed_in_signs_in_and_comes_back(browsers, path):
    answer = browsers["nobody"].get(path, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?back=")
    page = browsers["nobody"].page(answer.headers["location"])
    assert next(one["value"] for one in page.all("input") if one["name"] == "back") == path


def test_a_wrong_key_is_told_and_not_repeated(browsers):
    answer = browsers["nobody"].post("/sign-in", data={"key": "rt_0123456789_wrong"})
    assert answer.status_code == 401 and "not valid" in answer.text and "_wrong" not in answer.text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/rings/R-NONE", 404, "no ring is called"),
        ("/cases/C-99", 404, "no case or ring"),
        ("/entity/user/nobody", 404, "no user has the id given"),
        ("/nowhere", 404, "There is nothing at this address"),
        ("/?sort=amount;DROP TABLE", 400, "sort: got"),
        ("/?min_value=lots", 400, "min_value: expected a number"),
        ("/?cursor=x", 400, "start again without it"),
        ("/changes?since=soon", 400, "since: "),
        ("/path?from=user1&to=user:user2", 400, "name an entity as type:id"),
        ("/path?from=user:user1&to=user:user2&k=-1", 400, "k: expected a whole number"),
        ("/lists?list=nice", 400, "list: got"),
        ("/lists/block", 400, "name at least one"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_page(browsers, path, status, words):
    answer = browsers["investigator"].get(path)
    assert answer.status_code == status and words in answer.text and 'href="/"' in answer.text


def test_an_empty_workspace_says_what_to_do(tmp_path):
    workspace = Workspace.make(tmp_path / "made")
    set_person(workspace.store, ROOT, "root", "admin")
    visitor = browser(create_app(workspace, SETTINGS), workspace.store, "root")
    told = {"/": "rings import", "/models": "rings import", "/lists": "Nothing on it", "/changes": "Nothing changed"}
    for path, words in told.items():
        assert words in visitor.page(path).text
    assert visitor.get("/near-fraud").status_code == 404
    workspace.close()


def test_evidence_comes_first_and_the_score_last(browsers):
    page = browsers["investigator"].page("/rings/R-A")
    order = [
        one["id"] for one in page.all("h2") if one.get("id") in ("why", "who", "money", "graph", "score", "similar")
    ]
    assert order == ["why", "who", "money", "graph", "score", "similar"]
    assert page.text.index("users share device d1") < page.text.index("probability of being a ring")


def test_each_figure_says_in_words_what_it_shows(browsers):
    page = browsers["investigator"].page("/rings/R-A")
    named = {one["id"] for one in page.all("title") + page.all("desc") if "id" in one}
    figures = [one for one in page.all("svg") if "role" in one]
    assert figures and all({one["aria-labelledby"], one["aria-describedby"]} <= named for one in figures)


def test_only_who_may_is_offered_to_act(browsers):
    offered = {
        role: {form["action"] for form in browsers[role].page("/cases/C-1").all("form") if form.get("method") == "post"}
        for role in READERS
    }
    assert offered["viewer"] == {"/theme", "/sign-out"}
    assert "/cases/C-1/claim" in offered["investigator"] and "/cases/C-1/assign" not in offered["investigator"]
    assert {"/cases/C-1/assign", "/cases/C-1/verdicts", "/cases/C-1/close"} <= offered["lead"]


def test_viewers_see_ids_shortened_and_cards_are_whole_for_nobody(browsers):
    assert ">user1<" not in browsers["viewer"].get("/rings/R-A").text
    assert ">user1<" in browsers["investigator"].get("/rings/R-A").text
    for role in READERS:
        text = browsers[role].get("/rings/R-B").text + browsers[role].get("/entity/user/user3").text
        assert "4111111111111111" not in text and "411111******1111" in text


def test_the_graph_is_told_to_the_explorer_as_it_is_drawn(browsers):
    page = browsers["investigator"].page("/rings/R-A")
    data = json.loads(next(one["data-graph"] for one in page.all("div") if "data-graph" in one))
    assert {node["id"] for node in data["nodes"]} == {"user:user1", "user:user2", "device:d1"}
    assert len(data["edges"]) == 2


@pytest.mark.parametrize(("asked", "led_to"), [
    ("R-A", "/rings/R-A"), ("C-2", "/cases/C-2"), ("c-2", "/cases/C-2"), ("user1", "/entity/user/user1"),
    ("p4", "/rings/R-B"), ("d9", "/entity/device/d9"),
])  # fmt: skip
def test_an_id_that_means_one_thing_leads_there(browsers, asked, led_to):
    answer = browsers["investigator"].get("/search", params={"q": asked}, follow_redirects=False)
    assert answer.headers["location"] == led_to


def test_a_card_is_found_by_its_number_under_an_address_without_it(browsers):
    answer = browsers["investigator"].get("/search", params={"q": "4111111111111111"}, follow_redirects=False)
    assert answer.headers["location"].startswith("/entity/card/~")
    assert "R-B" in browsers["investigator"].page(answer.headers["location"]).text


@pytest.mark.parametrize("name", list(PEOPLE.values()))
def test_everybody_reads_their_own_name_and_role(browsers, name):
    role = next(role for role, one in PEOPLE.items() if one == name)
    assert re.search(rf"{name}\s+{role}", browsers[role].page("/").text)


def test_what_is_vendored_is_what_its_readme_says():
    tests = Path(__file__).parent / "vendor"
    for folder in (STATIC / "vendor", tests):
        rows = re.findall(r"\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|", (folder / "README.md").read_text())
        assert rows
        for name, digest in rows:
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_icons_and_words_are_all_drawn(browsers):
    page = browsers["admin"].page("/rings/R-A")
    there = {one["id"] for one in page.all("symbol")}
    assert {one["href"][1:] for one in page.all("use")} <= there
