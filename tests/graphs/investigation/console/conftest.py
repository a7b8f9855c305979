"""The console over the hand-made workspace, seen by each role."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from console_browser import PEOPLE, SETTINGS, Browser, browser
from fastapi import FastAPI

from graphs.investigation.app import create_app
from graphs.investigation.workspace import Workspace


@pytest.fixture
def app(workspace: Workspace) -> FastAPI:
    """The application over a workspace of its own."""
    return create_app(workspace, SETTINGS)


@pytest.fixture
def as_(app: FastAPI, workspace: Workspace) -> Callable[[str], Browser]:
    """A function name -> a browser in which they are signed in."""
    return lambda name: browser(app, workspace.store, name)


@pytest.fixture(scope="module")
def browsers(shared: Workspace) -> dict[str, Browser]:
    """A browser for each role over the shared workspace, and one for nobody."""
    app = create_app(shared, SETTINGS)
    found = {role: browser(app, shared.store, name) for role, name in PEOPLE.items()}
    return found | {"nobody": Browser(app, headers={"Accept": "text/html"}, base_url="http://localhost")}
