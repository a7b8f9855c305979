"""Every refusal in one form: a problem as RFC 9457 has it, or the console's page if a browser asked for one.

What was sent is never repeated in an answer: it may hold what nobody should see twice, and what no JSON can hold.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from graphs.errors import DataError, RingtraceError
from graphs.logs import mask
from graphs.stores.errors import StaleError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class UnauthorizedError(RingtraceError):
    """Nobody we know asked: no key, or one that is wrong, revoked or too old."""

    http_status = 401


class TooLargeError(RingtraceError):
    """The body of the request is larger than is taken."""

    http_status = 413


class MediaTypeError(RingtraceError):
    """The body is not of the type that is taken."""

    http_status = 415


class NeedsVersionError(RingtraceError):
    """A write that must say which version it is about, and does not."""

    http_status = 428


class TooManyError(RingtraceError):
    """Too many requests; `retry_after` is in how many seconds there is room again."""

    http_status = 429

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = max(1, round(retry_after))


def must_be(request: Request, media_type: str, told: str) -> None:
    """Raise MediaTypeError, which says `told`, unless the body is said to be of this type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        raise MediaTypeError(told)


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a request: where (`body.reason`, `query.limit`), and what."""

    where: str
    what: str


@dataclass(frozen=True)
class Problem:
    """The one error body. `type` tells kinds apart, `detail` says what to do, `request_id` is the one in the log."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: Sequence[Fault] = field(default_factory=tuple)


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    errors: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that failed: the console's page where the app has one and a browser asked for it."""
    detail = mask(detail)
    page = request.app.state.error_page
    if (
        page is not None
        and not request.url.path.startswith("/api/")
        and "text/html" in request.headers.get("accept", "")
    ):
        answer = cast(Response, page(request, status, title_of(status), detail))
        answer.headers.update(headers or {})
        return answer
    told = Problem(
        type=f"urn:ringtrace:{kind or title_of(status).lower().replace(' ', '-')}",
        title=title_of(status),
        status=status,
        detail=detail,
        request_id=getattr(request.state, "request_id", ""),
        errors=tuple(errors),
    )
    body = json.dumps(asdict(told), ensure_ascii=False)
    # A lone surrogate in what was asked for has no place in UTF-8.
    return Response(body.encode("utf-8", "replace"), status, dict(headers or {}), MEDIA_TYPE)


def title_of(status: int) -> str:
    """The usual name of an HTTP status."""
    return HTTPStatus(status).phrase


def install(app: FastAPI) -> None:
    """Answer every error of `app` in this form."""
    app.add_exception_handler(RingtraceError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def failed(request: Request, error: Exception) -> Response:
    """Our fault: told in the log with its traceback, and to the caller by its number."""
    log.error("request %s failed", getattr(request.state, "request_id", ""), exc_info=error)
    return problem(request, 500, "This is our fault, not yours. The log has more under the number of the request.")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RingtraceError)
    headers = {}
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyError):
        headers["Retry-After"] = str(error.retry_after)
    errors = [Fault(one.file, mask(str(one))) for one in error.faults] if isinstance(error, DataError) else []
    kind = "stale" if isinstance(error, StaleError) else None
    return problem(request, error.http_status, str(error), kind=kind, errors=errors, headers=headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [Fault(_place(one["loc"]), mask(one["msg"])) for one in error.errors()]
    if any(one["type"] == "missing" and one["loc"] == ("header", "if-match") for one in error.errors()):
        told = "Say which version you saw: If-Match with the ETag of the case or ring, or * for any."
        return problem(request, 428, told, errors=errors)
    listed = "; ".join(f"{one.where}: {one.what}" for one in errors)
    return problem(request, 422, f"The request is not as it should be. {listed}", errors=errors)


def _place(parts: Sequence[Any]) -> str:
    # The name of a key that we do not know is the caller's text.
    return mask(".".join(str(part)[:60] for part in parts))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        400: "The body could not be read.",
        404: "There is nothing at this address.",
        405: "This address does not take this method.",
    }
    return problem(request, error.status_code, details.get(error.status_code, error.detail), headers=error.headers)
