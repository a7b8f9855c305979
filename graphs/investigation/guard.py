"""Around every answer: its number, the headers that keep browsers from harm, a limit on bodies, one line in the log.

The log has the route's pattern and never the address asked for, which may hold ids.
"""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphs.investigation.problems import failed, problem
from graphs.investigation.settings import ServeSettings

log = logging.getLogger(__name__)

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: then browsers hide the origin of forms, which `access.check_origin` looks at.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HSTS = "max-age=31536000"


class _BodyTooLargeError(Exception):
    pass


class Guard:
    """The outermost layer. `most_bytes` bounds bodies of a path; all others have `settings.most_body_bytes`."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, most_bytes: dict[str, int]) -> None:
        self.app, self.settings, self.most_bytes = app, settings, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, request = time.perf_counter(), Request(scope, receive)
        request.state.request_id = secrets.token_hex(8)
        state: dict[str, Any] = {"status": 0, "large": False, "read": 0}
        most = self.most_bytes.get(scope["path"], self.settings.most_body_bytes)

        async def reading() -> Message:
            message = await receive()
            state["read"] += len(message.get("body", b""))
            if state["read"] > most:
                state["large"] = True
                raise _BodyTooLargeError
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                if state["large"]:
                    raise _BodyTooLargeError
                state["status"] = message["status"]
                self._add_headers(message, request)
            await send(message)

        try:
            declared = Headers(scope=scope).get("content-length", "0")
            state["large"] = declared.isdecimal() and int(declared[:20]) > most
            if state["large"]:
                raise _BodyTooLargeError
            await self.app(scope, reading, sending)
        except Exception as error:
            if state["status"]:
                raise
            if state["large"]:
                state["large"] = False
                told = f"The body is larger than {most:,} bytes."
                answer = problem(request, 413, told, headers={"Connection": "close"})
            else:
                answer = failed(request, error)
            await answer(scope, receive, sending)
        finally:
            self._log(scope, request, state["status"], time.perf_counter() - began)

    def _add_headers(self, message: Message, request: Request) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in SECURITY.items():
            headers[name] = value
        headers["X-Request-ID"] = request.state.request_id
        headers.setdefault("Cache-Control", "no-store")
        if self.settings.https:
            headers["Strict-Transport-Security"] = HSTS

    def _log(self, scope: Scope, request: Request, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "-")
        actor = getattr(request.state, "actor", None)
        log.info(
            "%s %s %d %.0f ms %s %s", scope["method"], route, status, seconds * 1e3,
            "-" if actor is None else actor.name, request.state.request_id,
        )  # fmt: skip
