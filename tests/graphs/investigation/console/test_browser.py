"""The console in headless Chromium: the journeys of an investigator, keys, no scripts, and axe on every page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from console_browser import CHROMIUM_FLAGS, ROOT, chromium, served
from playwright.sync_api import Browser, Page, expect, sync_playwright

from graphs.config import run
from graphs.events import UNLABELLED
from graphs.ingest import ingest
from graphs.investigation import queries
from graphs.investigation.answers import QueueFilter
from graphs.investigation.feedback import export_labels
from graphs.investigation.keys import make_key
from graphs.investigation.workspace import Workspace
from graphs.schema import DataSchema
from graphs.stores.actors import Actor
from graphs.stores.cases import STATUSES
from graphs.stores.importing import import_run
from graphs.stores.people import set_person

PROJECT = Path(__file__).parents[4]
LEAD = Actor("lea", "lead")
PAN = "4111111111111111"
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")

# A busy machine is slow, not wrong.
expect.set_options(timeout=30_000)


@dataclass(frozen=True)
class Site:
    """A served workspace: its address and a key of everybody."""

    url: str
    workspace: Workspace
    keys: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless Chromium."""
    program = chromium()
    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=program, args=list(CHROMIUM_FLAGS))
        yield made
        made.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The sample world, its rings found by the real finder, served."""
    chromium()
    folder = tmp_path_factory.mktemp("site")
    mapping = yaml.safe_load((PROJECT / "configs" / "data" / "world.yaml").read_text())
    mapping["root"] = str(PROJECT / "data" / "sample" / "world")
    (folder / "world.yaml").write_text(yaml.safe_dump(mapping))
    for verb, output in (("build_graph", "built"), ("find_rings", "rings")):
        assert run(verb, ["data=world", f"data.root={mapping['root']}", f"output={folder / output}"]) == 0
    workspace = Workspace.make(folder / "made", graph=folder / "built" / "graph")
    for name, role in (("root", "admin"), ("lea", "lead"), ("ana", "investigator"), ("vic", "viewer")):
        set_person(workspace.store, ROOT, name, role)  # type: ignore[arg-type]
    import_run(workspace.store, LEAD, folder / "rings")
    keys = {name: make_key(workspace.store, ROOT, name)[0] for name in ("root", "lea", "ana", "vic")}
    with served(workspace) as url:
        yield Site(url, workspace, keys, folder)
    workspace.close()


def press(page: Page, key: str) -> None:
    """Press a key once the page's scripts listen: they run before the page counts as loaded."""
    page.wait_for_load_state()
    page.keyboard.press(key)


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """A function (name, site=…, **options) -> a page on which they are signed in; what its console says must be
    nothing."""
    said: list[str] = []
    contexts = []

    def make(name: str, at: Site = site, **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda line: said.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{at.url}/sign-in")
        page.get_by_label("Your key").fill(at.keys[name])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{at.url}/")
        return page

    yield make
    for context in contexts:
        context.close()
    assert said == []


def ring_with_card(site: Site) -> tuple[str, str]:
    """A ring nobody works on, and the id of a card of it."""
    for row in queries.ring_queue(site.workspace, LEAD).rows:
        cards = [
            one for one in queries.ring_sheet(site.workspace, LEAD, row.ring_id).members if one.entity.type == "card"
        ]
        alone = [one.entity.key for one in cards if not one.other_rings]
        if row.owner is None and alone:
            return row.ring_id, alone[0]
    raise AssertionError("the sample world has such a ring")


def test_from_a_card_to_a_label_of_the_next_training_run(visit, site):
    ring, card = ring_with_card(site)
    page = visit("ana")
    press(page, "/")
    page.keyboard.type(card)
    press(page, "Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(card)
    page.get_by_role("table", name="Rings with this card").get_by_role("link", name=ring).click()
    expect(page.get_by_role("table", name="Evidence, the strongest kind first")).to_contain_text("members used")
    press(page, "c")
    expect(page.get_by_role("status")).to_have_text("You have the case now.")
    member = page.get_by_role("table", name="Members", exact=True).locator("tbody tr").first
    while "on" not in (member.get_attribute("class") or ""):
        press(page, "j")
    press(page, "1")
    page.keyboard.type("uses stolen cards")
    press(page, "Tab")
    press(page, "Enter")
    expect(page.get_by_role("status")).to_contain_text("is a label from now on")
    expect(member.locator(".chip").first).to_have_text("fraud")
    user = member.locator(".id").first.inner_text()
    labels = export_labels(site.workspace, LEAD, site.folder / "labels", data=site.folder / "world.yaml")
    mapping = yaml.safe_load((labels.folder / "data" / "verdicts.yaml").read_text())
    log = ingest(DataSchema.from_config(mapping)).log
    (judged,) = (log.entity_labels["user"].label != UNLABELLED).nonzero()[0]
    assert log.entity_ids["user"][int(judged)].as_py() == user and log.entity_labels["user"].label[judged] == 1


def test_a_case_is_exported_as_pdf_csv_and_json(visit, site):
    ring, card = ring_with_card(site)
    page = visit("ana")
    page.goto(f"{site.url}/rings/{ring}")
    press(page, "e")
    found = {}
    for link in ("Case file (PDF)", "Members (CSV)", "Everything (JSON)"):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=link).click()
        found[link] = Path(waiting.value.path()).read_bytes()
    assert found["Case file (PDF)"].startswith(b"%PDF-")
    assert card.encode() in found["Members (CSV)"] and card.encode() in found["Everything (JSON)"]


def test_a_second_person_closes_the_case(visit, site):
    ring, _ = ring_with_card(site)
    ana, lea = visit("ana"), visit("lea")
    ana.goto(f"{site.url}/rings/{ring}")
    press(ana, "c")
    ana.get_by_role("link", name="C-").first.click()
    ana.get_by_role("radio", name="unsure").last.check()
    ana.get_by_role("region", name="Ask to close").get_by_label("Why").fill("nothing more to find")
    ana.get_by_role("button", name="Ask to close").click()
    expect(ana.get_by_role("status")).to_contain_text("a second person approves")
    lea.goto(ana.url)
    lea.get_by_role("button", name="Close it").click()
    expect(lea.get_by_role("heading", level=1)).to_contain_text("closed")


def test_a_card_number_is_unmasked_for_a_reason(visit, new_workspace, tmp_path):
    workspace = new_workspace(tmp_path)
    keys = {"ana": make_key(workspace.store, ROOT, "ana")[0]}
    with served(workspace) as url:
        page = visit("ana", Site(url, workspace, keys, tmp_path))
        page.goto(f"{url}/rings/R-B")
        assert PAN not in page.content()
        page.get_by_role("link", name="card 411111******1111").first.click()
        page.get_by_label("Why you need it").fill("to call the bank")
        page.get_by_role("button", name="Show the whole id").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(PAN)
        assert PAN not in page.url
    (line,) = [one for one in queries.audit_trail(workspace, LEAD).rows if one.action == "unmask"]
    assert (line.actor, line.channel, line.detail) == ("ana", "console", {"reason": "to call the bank"})
    workspace.close()


def test_keys_move_open_note_help_and_lead_from_one_to_another(visit, site):
    page = visit("ana")
    first = page.locator("tbody tr a").first.inner_text()
    press(page, "j")
    press(page, "j")
    press(page, "k")
    press(page, "o")
    expect(page.get_by_role("heading", level=1)).to_contain_text(first)
    press(page, "?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    press(page, "Escape")
    press(page, "n")
    page.keyboard.type("j is a letter here")
    expect(page.locator("#note-text")).to_have_value("j is a letter here")
    page.goto(page.url)
    members = page.get_by_role("table", name="Members", exact=True).locator("tbody tr")
    for number in (0, 1):
        while "on" not in (members.nth(number).get_attribute("class") or ""):
            press(page, "j")
        press(page, "p")
    page.wait_for_url("**/path?**")
    expect(page.get_by_role("heading", level=2).first).to_contain_text("hop")


def test_what_is_shared_too_widely_is_shown_and_hidden_by_a_key(visit, site):
    wide = next(
        row.ring_id
        for row in queries.ring_queue(site.workspace, LEAD, limit=100).rows
        if any(
            one.part == "peripheral" and one.entity.type != "user"
            for one in queries.ring_sheet(site.workspace, LEAD, row.ring_id).members
        )
    )
    page = visit("vic")
    page.goto(f"{site.url}/rings/{wide}")
    drawn = page.locator(".graph .plot a").count()
    press(page, "h")
    page.wait_for_url("**hubs=1**")
    assert page.locator(".graph .plot a").count() > drawn
    press(page, "h")
    page.wait_for_url(lambda url: "hubs" not in url)


def test_the_graph_opens_where_the_picture_is_and_stays_open_in_the_address(visit, site):
    page = visit("ana")
    page.goto(f"{site.url}/rings/{queries.ring_queue(site.workspace, LEAD).rows[0].ring_id}")
    page.get_by_role("button", name="Explore").click()
    expect(page.locator(".canvas canvas").first).to_be_visible()
    page.reload()
    expect(page.locator(".canvas canvas").first).to_be_visible()
    page.get_by_role("button", name="Back to the picture").click()
    expect(page.locator(".graph figure")).to_be_visible()


def test_dark_is_a_switch_and_the_systems_wish(visit, site):
    page = visit("vic", color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(14, 20, 27)"
    page.locator("summary", has_text="vic").click()
    page.get_by_role("button", name="Light", exact=True).click()
    page.wait_for_load_state()
    assert page.evaluate(ground) == "rgb(244, 246, 248)"


def test_without_scripts_a_case_is_claimed_judged_and_noted(visit, site):
    ring, _ = ring_with_card(site)
    page = visit("ana", java_script_enabled=False)
    page.goto(f"{site.url}/rings/{ring}")
    expect(page.get_by_role("button", name="Explore")).to_be_hidden()
    page.get_by_role("button", name="Claim").click()
    page.locator("details.judge summary").first.click()
    page.locator("input[name=verdict][value=victim]").first.check()
    page.locator("textarea[name=reason]").first.fill("called them")
    page.get_by_role("button", name="Keep the verdict").first.click()
    expect(page.get_by_role("status")).to_contain_text("The verdict is kept")
    page.locator("#note-text").fill("done by hand")
    page.get_by_role("button", name="Keep the note").click()
    expect(page.get_by_role("status")).to_contain_text("The note is kept")


def pages(site: Site) -> dict[str, str]:
    """Each kind of page by its name, full and empty ones."""
    # The smallest: axe takes its time with each row.
    rows = queries.ring_queue(site.workspace, LEAD, where=QueueFilter(case_status=STATUSES)).rows
    row = min(rows, key=lambda row: (row.users, row.payments))
    members = queries.ring_sheet(site.workspace, LEAD, row.ring_id).members
    one, other = (f"{entity.type}:{entity.key}" for entity in (members[0].entity, members[1].entity))
    return {
        "queue": "/", "no queue": "/?owner=nobody&min_value=1e12", "ring": f"/rings/{row.ring_id}?hubs=1",
        "case": f"/cases/{row.case_id}", "entity": f"/entity/user/{quote(members[0].entity.key)}",
        "path": f"/path?from={one}&to={other}", "no path": "/path", "changes": "/changes?since=2020-01-01",
        "models": "/models", "lists": "/lists", "block": f"/lists/block?entity={one}", "audit": "/audit?action=claim",
        "people": "/people", "keys": "/people/keys?of=ana", "near fraud": "/near-fraud",
        "search": "/search?q=nothing", "error": "/rings/R-NONE",
    }  # fmt: skip


NAMES = (
    "queue", "no queue", "ring", "case", "entity", "path", "no path", "changes", "models", "lists", "block", "audit",
    "people", "keys", "near fraud", "search", "error", "sign-in",
)  # fmt: skip
SIZES = ((1440, 900), (390, 844))


@pytest.fixture(scope="module")
def judge(browser: Browser, site: Site) -> Callable[[str], list[str]]:
    """A function name -> what axe finds wrong with that page, light and dark, wide and narrow."""
    context = browser.new_context()
    context.add_init_script(AXE)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("Your key").fill(site.keys["root"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{site.url}/")
    addresses = pages(site) | {"sign-in": "/sign-in"}

    def find(name: str) -> list[str]:
        wrong = []
        for size in SIZES:
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.goto(site.url + addresses[name])
            wrong += faults(page, size[0])
        return wrong

    return find


def faults(page: Page, width: int) -> list[str]:
    """What axe finds wrong with the page as it stands, light and dark."""
    wrong = []
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        wrong.append(f"{width}: wider than the screen")
    # Between light and dark only colours differ.
    for look, rules in (("light", "{}"), ("dark", "{runOnly: ['color-contrast']}")):
        page.emulate_media(color_scheme=look)
        told = page.evaluate(f"axe.run({rules}).then(found => found.violations)")
        nodes = [(one["id"], node["html"]) for one in told for node in one["nodes"]]
        wrong += [f"{width} {look} {rule}: {html[:200]}" for rule, html in nodes]
    return wrong


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing(judge, name):
    assert judge(name) == []


@pytest.mark.parametrize("size", SIZES)
def test_a_key_is_made_and_a_run_is_taken_in_and_axe_finds_nothing_there(visit, site, size):
    page = visit("root", viewport={"width": size[0], "height": size[1]})
    page.add_init_script(AXE)
    page.goto(f"{site.url}/people/keys?of=vic")
    page.get_by_role("button", name="Make a key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A new key of vic")
    wrong = faults(page, size[0])
    page.goto(f"{site.url}/models")
    page.get_by_label("Zip of the folder").set_input_files(
        shutil.make_archive(site.folder / "run", "zip", site.folder / "rings")
    )
    page.get_by_role("button", name="Take in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This run was here before")
    assert wrong + faults(page, size[0]) == []
