"""Browsers for tests of the console: one without scripts that takes pages apart, and headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from graphs.investigation.app import create_app
from graphs.investigation.keys import make_key
from graphs.investigation.settings import ServeSettings
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor

ROOT = Actor("root", "admin")
PEOPLE = {"viewer": "vic", "investigator": "ana", "lead": "lea", "admin": "root"}
SETTINGS = ServeSettings(per_minute=1_000_000, failures_per_minute=1_000_000)


@dataclass
class Parsed(HTMLParser):
    """A page as its tags, with their attributes, and its text."""

    source: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


class Browser(TestClient):
    """A browser without scripts: asks for pages, follows where it is sent, fills in forms with their token."""

    def page(self, path: str) -> Parsed:
        """The page at `path`, which must be there."""
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return Parsed(answer.text)

    def sign_in(self, key: str) -> None:
        """Come in with a key."""
        assert self.post("/sign-in", data={"key": key}, follow_redirects=False).status_code == 303

    def fill_in(self, path: str, seen: str = "/", **fields: str):
        """Send a form to `path` as from the page `seen`."""
        token = next(one["value"] for one in self.page(seen).all("input") if one.get("name") == "csrf")
        return self.post(path, data={"csrf": token, "back": seen} | fields)


def browser(app: FastAPI, store: object, name: str) -> Browser:
    """A browser in which `name` is signed in."""
    made = Browser(app, headers={"Accept": "text/html"}, base_url="http://localhost")
    made.sign_in(make_key(store, ROOT, name)[0])  # type: ignore[arg-type]
    return made


def links(page: Parsed) -> set[str]:
    """Where the links of a page lead inside the console, without their fragments."""
    found = {one["href"].partition("#")[0] for one in page.all("a") if "href" in one}
    return {link for link in found if link and not re.match(r"[a-z]+:", link)}


def chromium() -> str:
    """The program; without it a test is skipped, on CI (CI_REQUIRE_SERVICES=1) it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing = "no Chromium is installed (Debian: apt-get install chromium)"
        if os.environ.get("CI_REQUIRE_SERVICES") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


# A browser that only speaks to us: what it would do by itself in the background is turned off.
CHROMIUM_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def served(workspace: Workspace) -> Iterator[str]:
    """The application on a free loopback port, until the block ends: yields its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(workspace, SETTINGS), port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 30
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
