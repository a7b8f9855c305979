"""Runs in, labels out, people and their keys: by whom, and with what the API gives and refuses."""

import io
import zipfile

import pytest
from console_browser import ROOT, Browser, browser
from finder_runs import day, ring, write_run

from graphs.investigation import queries
from graphs.investigation.app import create_app
from graphs.investigation.console.urls import keys_url
from graphs.investigation.keys import make_key
from graphs.investigation.settings import ServeSettings
from graphs.stores import people
from graphs.stores.actors import Actor

LEAD = Actor("lea", "lead")
KEYS = "/people/keys?of=ana"


@pytest.fixture
def run(tmp_path):
    """The files of a new run with ring R-N, by name."""
    folder = write_run(tmp_path / "new", day(9), [ring("R-N", [("user", "user4")], [("device", "d4")])])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def packed(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def token(visitor):
    return next(one["value"] for one in visitor.page("/models").all("input") if one.get("name") == "csrf")


def upload(visitor, body, csrf=None):
    fields = {"csrf": token(visitor) if csrf is None else csrf}
    return visitor.post("/runs", data=fields, files={"run": ("run.zip", body, "application/zip")})


def offered(visitor, path):
    return {form["action"] for form in visitor.page(path).all("form") if form.get("method") == "post"}


def made(visitor, address=KEYS, **fields):
    """A new key, as the page shows it."""
    answer = visitor.fill_in(address, address, **fields)
    assert answer.status_code == 201, answer.text
    return answer, next(word for word in answer.text.replace("<", " ").replace(">", " ").split() if word[:3] == "rt_")


# ---------------------------------------------------------------------------------------------------- runs in


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("investigator", False), ("lead", True), ("admin", True)])
def test_runs_and_labels_are_offered_to_who_may(browsers, role, may):
    page = browsers[role].page("/models")
    assert any(form.get("action") == "/runs" for form in page.all("form")) is may
    assert any(link.get("href") == "/labels.zip" for link in page.all("a")) is may
    assert browsers[role].get("/labels.zip").status_code == (200 if may else 403)


def test_a_run_comes_in_by_the_form_and_stands_in_the_queue(as_, workspace, run):
    lea, body = as_("lea"), packed(run)
    assert "R-N" not in lea.page("/").text
    first, second = upload(lea, body), upload(lea, body)
    assert (first.status_code, second.status_code) == (201, 200)
    for words in ("<dt>Rings</dt><dd>1<", "<dt>New rings</dt><dd>1<", "<dt>Cases opened</dt><dd>1<"):
        assert words in first.text
    assert "nothing was changed" in second.text and "R-N" in lea.page("/").text
    line = next(one for one in queries.audit_trail(workspace, LEAD).rows if one.action == "import_run")
    assert (line.actor, line.channel) == ("lea", "console")
    assert lea.get("/runs").url.path == "/models"


@pytest.mark.parametrize("name", ["ana", "vic"])
def test_who_may_not_take_in_a_run_is_refused(as_, workspace, run, name):
    assert upload(as_(name), packed(run)).status_code == 403
    assert len(queries.runs(workspace, LEAD)) == 1


@pytest.mark.parametrize("csrf", ["", "0" * 64])
def test_a_run_without_the_sessions_token_is_refused(as_, workspace, run, csrf):
    assert upload(as_("lea"), packed(run), csrf).status_code == 403
    assert len(queries.runs(workspace, LEAD)) == 1


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [({"../x.svg": "x"}, 400, "no part of a finder run"), ({"rings.parquet": "PAR1"}, 400, "rings.parquet"),
     ({"run.json": "[1]"}, 422, "run.json")],
)  # fmt: skip
def test_what_is_wrong_with_a_run_is_told_in_a_page(as_, workspace, run, change, status, words):
    answer = upload(as_("lea"), packed(run | change))
    assert answer.status_code == status and words in answer.text and "<h1>" in answer.text
    assert len(queries.runs(workspace, LEAD)) == 1


def test_what_is_no_zip_and_no_file_is_told(as_):
    lea = as_("lea")
    assert "no zip that can be read" in upload(lea, b"no zip").text
    for empty in (upload(lea, b""), lea.post("/runs", data={"csrf": token(lea)}, files={"other": b"x"})):
        assert empty.status_code == 400 and "run: choose the zip" in empty.text
    assert lea.fill_in("/runs").status_code == 415
    broken = lea.post("/runs", content=b"--x", headers={"Content-Type": "multipart/form-data"})
    assert broken.status_code == 400


def test_bombs_and_bodies_too_large_are_refused(workspace, run):
    small = ServeSettings(most_unpacked_bytes=1_000_000, most_upload_bytes=2_000_000)
    lea = browser(create_app(workspace, small), workspace.store, "lea")
    bomb = upload(lea, packed(run | {"run.json": b" " * 50_000_000}))
    assert bomb.status_code == 413 and "1,000,000 bytes" in bomb.text
    assert upload(lea, b"x" * 3_000_000).status_code == 413


# -------------------------------------------------------------------------------------------------- labels out


def test_labels_are_those_of_the_api(as_, app, workspace):
    lea = as_("lea")
    lea.fill_in("/cases/C-1/claim")
    lea.fill_in("/cases/C-1/verdicts", type="user", key="user1", verdict="fraud", reason="stolen cards")
    ours = lea.get("/labels.zip")
    key = make_key(workspace.store, ROOT, "lea")[0]
    theirs = Browser(app).get("/api/v1/labels", headers={"Authorization": f"Bearer {key}"})
    files = []
    for answer in (ours, theirs):
        assert answer.headers["content-disposition"] == 'attachment; filename="labels.zip"'
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            files.append({name: archive.read(name) for name in archive.namelist() if not name.endswith("/")})
    assert files[0] == files[1] and "entities/user.parquet" in files[0]


# ----------------------------------------------------------------------------------------------- people, keys


def test_an_admin_changes_people_and_the_rule_of_four_eyes(as_, workspace):
    root = as_("root")
    root.fill_in("/people", name="ben", role="viewer")
    assert "ben" in root.page("/people").text
    assert as_("ben").get("/").status_code == 200
    root.fill_in("/people", name="ben", role="viewer", inactive="1")
    root.fill_in("/settings", four_eyes="")
    assert workspace.store.setting("four_eyes") is False
    assert as_("lea").fill_in("/people", name="x", role="admin").status_code == 403


@pytest.mark.parametrize("role", ["viewer", "investigator", "lead"])
def test_keys_are_for_admins(browsers, shared, role):
    visitor = browsers[role]
    (kept, *_) = people.keys_of(shared.store, ROOT, "ana")
    assert visitor.get(KEYS).status_code == 403
    assert visitor.fill_in(KEYS, days="1").status_code == 403
    assert visitor.fill_in("/people/keys/revoke", prefix=kept.prefix).status_code == 403
    assert visitor.fill_in("/settings", four_eyes="").status_code == 403
    assert len(people.keys_of(shared.store, ROOT, "ana")) == 1 and shared.store.setting("four_eyes") is True
    assert not people.find_key(shared.store, kept.prefix).revoked


def test_a_key_is_shown_once_and_never_again(as_, app, workspace):
    root = as_("root")
    answer, key = made(root, days="90")
    assert "Good until" in answer.text and answer.headers["cache-control"] == "no-store"
    assert key not in str(answer.url)
    prefix, secret = key.split("_", 2)[1:]
    for path in (KEYS, "/people", "/audit"):
        assert secret not in root.get(path).text
    assert f"rt_{prefix}" in root.get(KEYS).text
    assert Browser(app).post("/sign-in", data={"key": key}, follow_redirects=False).status_code == 303
    (line,) = [one for one in queries.audit_trail(workspace, LEAD, who="root").rows if one.action == "add_key"
               and one.channel == "console"]  # fmt: skip
    assert (line.subject, line.detail["prefix"]) == ("person:ana", prefix)


def test_a_key_lives_as_long_as_was_said(as_, workspace):
    root = as_("root")
    made(root, days="2")
    endless, _ = made(root, days="")
    ends = [one.expires_at for one in people.keys_of(workspace.store, ROOT, "ana")]
    assert sorted(end is None for end in ends) == [False, True]
    assert "until it is revoked" in " ".join(endless.text.split())
    for days in ("0", "-1", "forty", "1e9"):
        assert root.fill_in(KEYS, KEYS, days=days).status_code == 400


def test_a_revoked_key_is_out_at_once(as_, app, workspace):
    root = as_("root")
    _, key = made(root)
    ana = Browser(app, headers={"Accept": "text/html"}, base_url="http://localhost")
    ana.sign_in(key)
    assert "/people/keys/revoke" in offered(root, KEYS)
    told = root.fill_in("/people/keys/revoke", KEYS, prefix=key.split("_")[1])
    assert "The key is revoked" in told.text and told.url.path == "/people/keys"
    assert ana.get("/", follow_redirects=False).status_code == 303
    assert "/people/keys/revoke" not in offered(root, KEYS)
    assert root.fill_in("/people/keys/revoke", KEYS, prefix="0123456789").status_code == 404


def test_nobody_has_no_keys(as_):
    root = as_("root")
    assert root.get("/people/keys?of=nobody").status_code == root.get("/people/keys").status_code == 404
    assert root.fill_in("/people/keys?of=nobody").status_code == 404


@pytest.mark.parametrize("name", ["a/b?c#d", "<b>&\"'", " spaced ", ".."])
def test_any_name_has_a_page_of_keys(as_, workspace, name):
    people.set_person(workspace.store, ROOT, name, "viewer")
    root = as_("root")
    address = next(one["href"] for one in root.page("/people").all("a") if one.get("href") == keys_url(name))
    made(root, address)
    assert len(people.keys_of(workspace.store, ROOT, name)) == 1
