"""The commands of docs/api.md, in their order: what `curl` would send is sent, and answered."""

import re
import shlex
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from finder_runs import day, ring, write_run

from graphs.investigation.app import create_app
from graphs.investigation.keys import make_key
from graphs.investigation.settings import Oidc
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.importing import import_run
from graphs.stores.models import micros
from graphs.stores.people import set_person
from graphs.temporal_graph import TemporalGraph

ROOT = Actor("root", "admin")
TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
DAYS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)


def commands(block):
    """Method, URL, headers and body of each curl command."""
    for line in block.replace("\\\n", " ").splitlines():
        if line.startswith("curl"):
            yield line


def sent(line, key, files):
    """What curl makes of the line."""
    words = shlex.split(line.replace("$API", "/api/v1").replace("$KEY", key))[1:]
    method, headers, body, url = "GET", {}, None, None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data-binary"):
            given = words.pop(0)
            body = files[given[1:]] if given.startswith("@") else given
        elif word == "-o":
            words.pop(0)
        else:
            url = word
    return {"method": method, "url": url, "headers": headers, "content": body}


@pytest.fixture(scope="module")
def world(tmp_path_factory, log_from_rows):
    """(application, keys of ana and lea, files) over ring R-7F3K2Q, whose case is C-1."""
    folder = tmp_path_factory.mktemp("docs")
    users = ("u90ss3vxc", "ugxpx5bek")
    usual = {"type": "payment", "device": "d7dvw41cw", "amount": 60.0}
    rows = [usual | {"id": f"p{n}", "time": micros(day(n)), "sender": user} for n, user in enumerate(users)]
    TemporalGraph.build(log_from_rows(rows)).save(folder / "graph")
    workspace = Workspace.make(folder / "workspace", graph=folder / "graph")
    for name, role in (("root", "admin"), ("ana", "investigator"), ("lea", "lead")):
        set_person(workspace.store, ROOT, name, role)
    members = [("user", user) for user in users]
    found = ring("R-7F3K2Q", members, [("device", "d7dvw41cw")], payments=[("p0", 60.0)])
    import_run(workspace.store, ROOT, write_run(folder / "run", day(6), [found]))
    later = write_run(folder / "later", day(7), [found])
    with zipfile.ZipFile(folder / "run.zip", "w") as archive:
        for path in later.iterdir():
            archive.write(path, path.name)
    keys = {name: make_key(workspace.store, ROOT, name)[0] for name in ("ana", "lea")}
    yield create_app(workspace), keys, {"run.zip": (folder / "run.zip").read_bytes()}
    workspace.close()


def test_the_commands_of_a_day_work_in_their_order(world):
    app, keys, files = world
    client = TestClient(app)
    answers = [
        (line, client.request(**sent(line, keys[name], files)))
        for name, block in zip(("ana", "lea"), DAYS, strict=True)
        for line in commands(block)
    ]
    assert len(answers) == 20
    assert [(line, answer.text) for line, answer in answers if not answer.is_success] == []
    assert (
        client.get("/api/v1/cases/C-1", headers={"Authorization": f"Bearer {keys['ana']}"}).json()["case"]["status"]
        == "closed"
    )


def test_every_address_of_the_api_is_in_the_table(world):
    told = TEXT.partition("## Addresses")[2].partition("**Pages.**")[0]
    for path in world[0].openapi()["paths"]:
        parts = path.removeprefix("/api/v1").strip("/").split("/")
        if path.startswith("/api/v1"):
            assert f"`/{parts[0]}" in told and (parts[-1].startswith("{") or f"/{parts[-1]}`" in told), path


def test_the_provider_shown_can_be_read(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "oidc.yaml").write_text(block)
    assert Oidc.read(tmp_path / "oidc.yaml").roles == {"fraud-desk": "investigator", "fraud-lead": "lead"}
