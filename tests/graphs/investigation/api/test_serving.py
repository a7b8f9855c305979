"""`ringtrace serve` as a process, what it refuses, and keys from the command line."""

import re
import signal
import subprocess
import sys
import time

import httpx2
import pytest
from services import free_port

from gnn.cli import main
from graphs.investigation import serving
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.people import any_key, keys_of, set_person


@pytest.fixture
def folder(tmp_path):
    """A workspace without a graph, of which ana is the admin."""
    made = Workspace.make(tmp_path / "workspace")
    set_person(made.store, Actor("ana", "admin"), "ana", "admin")
    made.close()
    return tmp_path / "workspace"


@pytest.fixture
def serve(folder):
    """A function (options) -> (address, first lines) of a server that is stopped at the end."""
    running = []

    def start(*options):
        port = free_port()
        command = [sys.executable, "-m", "gnn.cli", "serve", str(folder), "--port", str(port), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                if httpx2.get(f"{address}/readyz").status_code == 200:
                    break
            except httpx2.ConnectError:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.1)
        return address, process

    yield start
    for process in running:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_a_fresh_workspace_is_served_with_a_key_for_its_admin(serve, folder):
    address, process = serve("--workers", "2")
    first = [process.stdout.readline() for _ in range(3)]
    key = re.search(r"rt_\S+", first[2]).group()
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx2.get(f"{address}/api/v1/people", headers=headers)
    assert first[0].startswith(address) and "ana's" in first[1]
    assert answer.json() == [{"name": "ana", "role": "admin", "active": True}] and "server" not in answer.headers
    # No graph: told, not broken.
    assert httpx2.get(f"{address}/api/v1/near-fraud", headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--host", "0.0.0.0"], "without TLS"),
        (["--host", "bank.example"], "without TLS"),
        (["--host", "::"], "without TLS"),
        (["--certificate", "cert.pem"], "TLS takes both"),
        (["--certificate", "cert.pem", "--private-key", "key.pem"], "is no file"),
        (["--workers", "0"], "more than nothing"),
        (["--oidc", "nowhere.yaml"], "is no file"),
    ],
)
def test_what_would_not_be_safe_or_whole_is_not_served(folder, capsys, options, told):
    assert main(["serve", str(folder), *options]) in (2, 4)
    assert told in capsys.readouterr().err


def test_without_a_workspace_or_an_admin_it_says_so(tmp_path, capsys):
    Workspace.make(tmp_path / "empty").close()
    assert main(["serve", str(tmp_path / "nothing")]) == 4 and "no workspace" in capsys.readouterr().err
    assert main(["serve", str(tmp_path / "empty")]) == 4 and "nobody is an admin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "proxied"), [([], False), (["--host", "0.0.0.0", "--behind-proxy", "10.0.0.1"], True)]
)
def test_a_proxy_is_believed_only_if_it_is_named(folder, monkeypatch, options, proxied):
    monkeypatch.setattr(serving, "log_to", lambda: None)
    monkeypatch.setenv("RINGTRACE_SERVE", "")  # so that it is as before afterwards
    served = {}
    monkeypatch.setattr("uvicorn.run", lambda _, **options: served.update(options))
    assert main(["serve", str(folder), *options]) == 0
    assert served["proxy_headers"] is proxied and served["forwarded_allow_ips"] == ("10.0.0.1" if proxied else "")
    assert served["access_log"] is False and served["server_header"] is False
    app = serving.application()
    assert app.state.settings.https is proxied
    app.state.workspace.close()


def test_keys_are_made_listed_and_ended_from_the_command_line(folder, capsys):
    run = ["rings", "-w", str(folder), "--as", "ana", "key"]
    assert main([*run, "add", "ana", "--days", "2"]) == 0
    key = capsys.readouterr().out.split()[0]
    assert main([*run, "list", "ana"]) == 0
    assert key.split("_")[1] in (listed := capsys.readouterr().out) and key not in listed
    assert main([*run, "revoke", key.split("_")[1]]) == 0
    workspace = Workspace.open(folder)
    (kept,) = keys_of(workspace.store, Actor("ana", "admin"), "ana")
    assert kept.revoked and not any_key(workspace.store)
    workspace.close()


def test_the_settings_that_hold_are_shown(folder, capsys):
    run = ["rings", "-w", str(folder), "--as", "ana"]
    assert main([*run, "set", "four_eyes", "false"]) == 0 and main([*run, "settings"]) == 0
    assert "four_eyes = false" in capsys.readouterr().out
