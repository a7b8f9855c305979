"""`create_app`: the HTTP API and the console of one workspace, as one application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from graphs.investigation import api, health, problems
from graphs.investigation.access import Access
from graphs.investigation.api.document import document
from graphs.investigation.console.pages import mount
from graphs.investigation.console.upkeep import RUNS
from graphs.investigation.guard import Guard
from graphs.investigation.settings import ServeSettings
from graphs.investigation.workspace import Workspace

THREADS = 10


def create_app(workspace: Workspace, settings: ServeSettings | None = None) -> FastAPI:
    """The application over `workspace`; `app.state` has workspace, settings, access and, for the console to set,
    `error_page`: a function (request, status, title, detail) -> Response."""
    settings = settings or ServeSettings()
    app = FastAPI(
        title="Ringtrace", version=version("ringtrace"), lifespan=_warm, docs_url=None,
        redoc_url=None, openapi_url=f"{api.PREFIX}/openapi.json",
    )  # fmt: skip
    app.state.workspace = workspace
    app.state.settings = settings
    app.state.access = Access(workspace, settings)
    app.state.error_page = None
    problems.install(app)
    app.include_router(health.router)
    app.include_router(api.router)
    mount(app)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    uploads = dict.fromkeys((api.UPLOADS, RUNS), settings.most_upload_bytes)
    app.add_middleware(Guard, settings=settings, most_bytes=uploads)
    return app


@asynccontextmanager
async def _warm(app: FastAPI) -> AsyncIterator[None]:
    """Whoever asks first should not wait for the graph to be read.

    Questions are answered one after the other rather than many at half speed: they share one core of this process.
    """
    current_default_thread_limiter().total_tokens = THREADS
    if app.state.workspace.graph_folder is not None:
        await run_in_threadpool(_first_question, app.state.workspace)
    yield
    app.state.workspace.close()


def _first_question(workspace: Workspace) -> None:
    """Read the graph and walk one step of it, which loads the compiled walks; numba takes a second or more for that."""
    web, log = workspace.web, workspace.graph.log
    if len(web.offsets) > 1:
        found = web.tally(0, (0, len(web.entities)), log.amount, log.event_time, log.event_type)
        web.count_persons(found.nodes, (0, len(web.entities)), 1)
