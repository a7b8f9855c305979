"""The application over the hand-made workspace, and clients that speak for somebody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from graphs.investigation.app import create_app
from graphs.investigation.keys import make_key
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor

ROOT = Actor("root", "admin")
PEOPLE = {"viewer": "vic", "investigator": "ana", "lead": "lea", "admin": "root"}


class Client(TestClient):
    """Speaks to /api/v1 as somebody; a case write takes any version unless it says one."""

    def call(self, method: str, path: str, body: object = None, **headers: str):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(method, f"/api/v1{path}", json=body, headers={"If-Match": "*"} | headers)


@pytest.fixture
def app(workspace: Workspace) -> FastAPI:
    """The application over a workspace of its own."""
    return create_app(workspace)


@pytest.fixture
def key_of(workspace: Workspace) -> Callable[..., str]:
    """A function (name, expires_at=None) -> a new key of that person."""

    def make(name: str, expires_at: datetime | None = None) -> str:
        return make_key(workspace.store, ROOT, name, expires_at=expires_at)[0]

    return make


@pytest.fixture
def client_of(app: FastAPI, key_of: Callable[..., str]) -> Callable[[str], Client]:
    """A function name -> a client with a key of that person."""
    return lambda name: Client(app, headers={"Authorization": f"Bearer {key_of(name)}"})


@pytest.fixture(scope="module")
def clients(shared: Workspace) -> dict[str, Client]:
    """A client for each role over the shared workspace, and one for nobody."""
    app = create_app(shared)
    keys = {role: make_key(shared.store, ROOT, name)[0] for role, name in PEOPLE.items()}
    found = {role: Client(app, headers={"Authorization": f"Bearer {key}"}) for role, key in keys.items()}
    return found | {"nobody": Client(app)}
