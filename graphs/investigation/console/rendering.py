"""Turns a template and its values into a page: one environment, escaping always on, unknown names an error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from graphs.investigation import access
from graphs.investigation.console import urls, words
from graphs.investigation.drawing import svg
from graphs.investigation.narrative import plural
from graphs.stores.actors import Actor

STATIC = Path(__file__).parent / "static"
THEMES = ("auto", "light", "dark")


@cache
def environment() -> Environment:
    """The one Jinja environment of the console."""
    made = Environment(
        loader=PackageLoader("graphs.investigation.console", "templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    for name in ("spoken", "sentence", "count", "money", "share", "figure", "day", "clock"):
        made.filters[name] = getattr(words, name)
    made.globals |= {
        "ICONS": words.ICONS, "TONES": words.TONES, "span": words.span,
        "plural": plural, "svg": svg, "asset": asset, "ring_url": urls.ring_url, "case_url": urls.case_url,
        "entity_url": urls.entity_url, "keys_url": urls.keys_url, "with_query": urls.with_query,
    }  # fmt: skip
    return made


@cache
def asset(name: str) -> str:
    """The address of a static file, which changes with its content, so that it may be kept for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def render(
    request: Request, actor: Actor | None, template: str, values: Mapping[str, Any], *, status: int = 200
) -> HTMLResponse:
    """The page of `template`; `actor` is None before anybody signed in."""
    query = parse_qsl(request.url.query, keep_blank_values=True)
    theme = request.cookies.get("theme", "auto")

    def here(**changes: Any) -> str:
        return urls.changed(request.url.path, query, {"done": None} | changes)

    page = (
        environment()
        .get_template(template)
        .render(
            actor=actor,
            path=request.url.path,
            here=here,
            query=query,
            theme=theme if theme in THEMES else "auto",
            themes=THEMES,
            csrf=access.csrf_token(request) if actor is not None else "",
            done=words.DONE.get(request.query_params.get("done", "")),
            **values,
        )
    )
    return HTMLResponse(page, status_code=status, headers={"Cache-Control": "no-store"})
