"""Text that would be code: in every place an id, a note or a reason can stand it comes out as text."""

import csv
import io
import json
import string
from urllib.parse import urlsplit

import pytest
from console_browser import SETTINGS, Parsed, browser
from finder_runs import day, ring, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.errors import ConfigError
from graphs.investigation.app import create_app
from graphs.investigation.console.urls import entity_url, local
from graphs.investigation.masking import Entity
from graphs.stores import cases, lists
from graphs.stores.actors import Actor
from graphs.stores.importing import import_run

LEAD = Actor("lea", "lead")
MARK = "x5ss"
SPIKES = (
    f"<script>{MARK}()</script>", f'"><img src=x onerror={MARK}()>', f"' onmouseover='{MARK}()", f"{{{{ {MARK} }}}}",
    f"</textarea><svg onload={MARK}()>", f"javascript:{MARK}()", f"]]><a href=//{MARK}>", f"&lt;{MARK}&gt;",
    f"\u2028{MARK}", f"=HYPERLINK({MARK})", f"../../{MARK}", f"a/b%c_d?{MARK}#{MARK}", f"{MARK}'--; DROP TABLE rings",
    "..", ".", "~~~", " ",
)  # fmt: skip
hostile = st.one_of(
    st.sampled_from(SPIKES),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30),
    st.lists(st.sampled_from([*SPIKES, *string.punctuation]), min_size=1, max_size=3).map("".join),
)


@pytest.fixture(scope="module")
def world(workspace_of, log_from_rows, tmp_path_factory):
    """(workspace, browser of a lead, ring ids) where all ids are hostile, and what people wrote, too."""
    rows = [
        {"id": f"e{place}{key}", "type": "payment", "time": place, "sender": key, "device": f"d{key}", "amount": 1.0}
        for place, key in enumerate(SPIKES)
    ]
    made = workspace_of(log_from_rows(rows))
    found = ring(
        "R-X", [("user", spike) for spike in SPIKES], [("device", f"d{spike}") for spike in SPIKES],
        payments=[(f"e{place}{spike}", 1.0) for place, spike in enumerate(SPIKES)], headline=" ".join(SPIKES),
        kind=f"<b>{MARK}</b>",
    )  # fmt: skip
    import_run(made.store, LEAD, write_run(tmp_path_factory.mktemp("run") / "finder", day(6), [found]))
    cases.claim(made.store, LEAD, "C-1")
    for spike in SPIKES:
        cases.give_verdict(made.store, LEAD, "C-1", ("user", spike), "fraud", reason=f"{spike}.", note=f"{spike}.")
        cases.add_note(made.store, LEAD, "C-1", f"{spike}.")
        lists.watch(made.store, LEAD, ("user", spike), reason=f"{spike}.")
    cases.set_status(made.store, LEAD, "C-1", "waiting", waiting_for=SPIKES[0])
    yield made, browser(create_app(made, SETTINGS), made.store, "lea")
    made.close()


def check(text):
    """Nothing of a page came from data: every tag and attribute is one of ours, no address leads elsewhere."""
    page = Parsed(text)
    for tag, attributes in page.tags:
        assert tag != "script" or attributes["src"].startswith("/static/")
        assert tag not in ("iframe", "object", "embed", "base", "style") and "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "action"):
            target = urlsplit(attributes.get(name, "/"))
            assert not target.scheme and not target.netloc, (tag, attributes)
        if tag == "img":
            assert attributes["src"].startswith("/static/ring.svg")
    return page


@pytest.mark.parametrize(
    "path", ["/", "/rings/R-X?hubs=1", "/cases/C-1", "/changes?since=2025-01-01", "/lists", "/audit"]
)
def test_hostile_data_is_text_on_every_page(world, path):
    _, lea = world
    answer = lea.get(path)
    assert answer.status_code == 200 and MARK in check(answer.text).text


@pytest.mark.parametrize("spike", SPIKES)
def test_every_id_has_a_page_of_its_own(world, spike):
    _, lea = world
    answer = lea.get(entity_url(Entity("user", spike, spike, False)))
    assert answer.status_code == 200, answer.text[:300]
    heading = answer.text.partition("<h1>")[2].partition("</h1>")[0]
    assert spike.strip() in "".join(Parsed(heading).text.split("\n"))
    check(answer.text)


@settings(max_examples=15)
@given(hostile)
def test_whatever_is_asked_for_comes_back_as_text(world, text):
    _, lea = world
    for path, query in (("/search", {"q": text}), ("/path", {"from": text, "to": text}), ("/", {"owner": text}),
                        ("/audit", {"subject": text, "who": text}), ("/changes", {"since": text}),
                        ("/near-fraud", {"type": text}), ("/sign-in", {"back": text}),
                        ("/", {"done": text})):  # fmt: skip
        answer = lea.get(path, params=query)
        assert answer.status_code < 500, (path, query)
        check(answer.text)


@settings(max_examples=8)
@given(hostile)
def test_whatever_is_written_comes_back_as_text_and_no_formula(world, text):
    _, lea = world
    answer = lea.fill_in("/cases/C-1/notes", "/cases/C-1", text=text)
    assert answer.status_code in (200, 400)
    check(answer.text)
    rows = list(csv.reader(io.StringIO(lea.get("/cases/C-1/export.csv?table=notes").text)))
    assert not [
        cell for row in rows[1:] for cell in row if cell.lstrip(" \u00a0\u3000")[:1] in tuple("=+-@＝＋－＠\t\r\n")
    ]


def test_exports_of_hostile_data_are_safe_and_whole(world):
    _, lea = world
    members = lea.get("/cases/C-1/export.csv?table=members").text
    assert "'=HYPERLINK" in members and ',"=HYPERLINK' not in members
    keys = {one["entity"]["key"] for one in json.loads(lea.get("/cases/C-1/export.json").text)["members"]}
    assert set(SPIKES) <= keys
    assert lea.get("/cases/C-1/export.pdf").content.startswith(b"%PDF-")


@settings(max_examples=300)
@given(hostile)
def test_an_address_of_an_entity_never_leaves_the_console(key):
    address = entity_url(Entity("user", key, key, False))
    target = urlsplit(address)
    assert not target.netloc and target.path.startswith("/entity/user/") and address.isascii()


@settings(max_examples=300)
@given(hostile)
def test_a_way_back_never_leaves_the_console(target):
    found = local(target)
    assert found == "/" or (found == target and found.startswith("/") and not found.startswith(("//", "/\\")))


def test_errors_of_forms_are_text(world):
    _, lea = world
    answer = lea.fill_in("/cases/C-1/assign", to=SPIKES[0])
    assert answer.status_code == 404
    check(answer.text)
    with pytest.raises(ConfigError):
        cases.add_note(world[0].store, LEAD, "C-1", " ")
