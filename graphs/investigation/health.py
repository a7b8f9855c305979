"""Whether the process lives, and whether it can answer: for whoever starts, stops and routes to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from graphs.investigation.problems import problem
from graphs.stores.models import people

router = APIRouter(tags=["health"])


@dataclass(frozen=True)
class Health:
    """`ok`: it is so."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
def alive() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz", response_model=Health)
def ready(request: Request) -> Health | Response:
    """The process answers and its store does, too."""
    try:
        with request.app.state.workspace.store.read() as connection:
            connection.execute(select(people.c.name).limit(1)).first()
    except SQLAlchemyError:
        return problem(request, 503, "The case store can't be reached.")
    return Health()
