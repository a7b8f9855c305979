"""One look of one person at the console: who they are, what they ask, and how they are answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, Response

from graphs.investigation.access import current_actor
from graphs.investigation.console.rendering import render
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor


@dataclass(frozen=True)
class Visit:
    """One look of one person: what a page needs to ask and to answer."""

    request: Request
    workspace: Workspace
    actor: Actor

    def page(self, template: str, **values: Any) -> HTMLResponse:
        """The page of `template`."""
        return render(self.request, self.actor, template, values)

    def asked(self, name: str, otherwise: str = "") -> str:
        """A value of the address's query."""
        return self.request.query_params.get(name, otherwise).strip()


def _visit(request: Request, actor: Annotated[Actor, Depends(current_actor)]) -> Visit:
    return Visit(request, request.app.state.workspace, actor)


Here = Annotated[Visit, Depends(_visit)]


def as_file(content: str | bytes, name: str, media_type: str) -> Response:
    """A download under a name that no system stumbles over."""
    safe = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in ".-_"))
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{safe}"'})


def entity_types(workspace: Workspace) -> list[str]:
    """The types of entities in the workspace's graph; none without one."""
    return [] if workspace.graph_folder is None else list(workspace.graph.log.entity_ids)
