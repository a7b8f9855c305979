"""What the routes share: who asks, how texts, times, entities and versions come in, CSV and ETags go out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from fastapi import Depends, Header, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from graphs.errors import ConfigError
from graphs.investigation.access import api_actor
from graphs.investigation.rows import MOST_ROWS, W, masked
from graphs.investigation.workspace import Workspace
from graphs.signatures import nearest
from graphs.stores.actors import Actor
from graphs.stores.cases import LONGEST_TEXT

PREFIX = "/api/v1"

_NO_NUL = r"^[^\x00]*$"  # what PostgreSQL can't keep
_SOMETHING = r"^[^\x00]*[^\s\x00][^\x00]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NO_NUL)]
"""An id, a handle, a name, a cursor."""

Prose = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT, pattern=_SOMETHING)]
"""What a person writes."""

EntityText = Annotated[str, StringConstraints(min_length=3, max_length=500, pattern=r"^[^:\x00]+:[^\x00]+$")]
"""TYPE:ID, as user:u90ss3vxc."""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)")


def _instant(value: Any) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("write a time with its zone, like 2025-03-01T10:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


Instant = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation")
]
"""An instant with its zone, as RFC 3339 has it."""

Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows of a page.")]
Cursor = Annotated[Name | None, Query(description="`next` of the page before.")]
Since = Annotated[Instant | None, Query(description="Only what was visible from then on.")]
Until = Annotated[Instant | None, Query(description="The answer as anybody could have had it then.")]
Types = Annotated[tuple[Name, ...], Query(alias="type", description="Only entities of these types.")]
Days = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False, description="For so many days.")]


def words(known: Iterable[str]) -> dict[str, Any]:
    """For the document only: the words that a text may be. The query refuses others, and lists these."""
    return {"enum": list(known)}


def lists_of(known: Iterable[str]) -> dict[str, Any]:
    """As `words`, for a parameter that may repeat."""
    return {"items": {"type": "string", "enum": list(known)}}


class Body(BaseModel):
    """What comes in; a key that is not known is refused, not passed over, and `true` is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Reason(Body):
    """Why; it is kept."""

    reason: Prose


# Dependencies that do not wait are coroutines: those that are not each take a thread.


async def of_app(request: Request) -> Workspace:
    """The workspace that is served."""
    found: Workspace = request.app.state.workspace
    return found


async def only_known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have: misspelt, a filter would silently not filter."""
    known = _parameters(request.scope["route"].dependant)
    for name in request.query_params:
        if name not in known:
            raise ConfigError(
                f"{name}: no such parameter{nearest(name, known)}; there are: {', '.join(known) or 'none'}"
            )


def _parameters(dependant: Dependant) -> list[str]:
    own = [field.alias for field in dependant.query_params]
    return own + [name for part in dependant.dependencies for name in _parameters(part)]


Served = Annotated[Workspace, Depends(of_app)]
Asking = Annotated[Actor, Depends(api_actor)]


async def _seen_version(
    if_match: Annotated[
        str, Header(pattern=r'^(\*|"[0-9]{1,9}")$', description="The ETag of the case or ring as you saw it, or *.")
    ],
) -> int | None:
    """The version that a write is about; None for `*`, which takes any."""
    return None if if_match == "*" else int(if_match.strip('"'))


SeenVersion = Annotated[int | None, Depends(_seen_version)]


def set_etag(response: Response, version: int) -> None:
    """Say which version this is, for If-Match."""
    response.headers["ETag"] = f'"{version}"'


def as_seen(workspace: Workspace, actor: Actor, written: W) -> W:
    """What a write made, as its writer may see it."""
    with workspace.store.read() as connection:
        return masked(connection, workspace.masker(actor), [written])[0]


def entity_of(text: str) -> tuple[str, str]:
    """TYPE:ID as the queries take it; the id may have colons."""
    kind, _, key = text.partition(":")
    return kind, key


class Download(Response):
    """What is to be kept as a file, `name` with the type's ending."""

    ending: ClassVar[str]

    def __init__(self, content: str | bytes, status_code: int = 200, *, name: str = "export", **options: Any) -> None:
        super().__init__(content, status_code, **options)
        safe = re.sub(r"[^A-Za-z0-9._-]", "-", f"{name}.{self.ending}")
        self.headers["Content-Disposition"] = f'attachment; filename="{safe}"'


class Csv(Download):
    """A table as CSV."""

    media_type, ending = "text/csv", "csv"


class Pdf(Download):
    """A PDF."""

    media_type, ending = "application/pdf", "pdf"


class Zip(Download):
    """A zip archive."""

    media_type, ending = "application/zip", "zip"
