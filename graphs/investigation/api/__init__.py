"""The HTTP API: each route is one question or one write, with the same words as the command line."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Security
from fastapi.security import HTTPBearer

from graphs.investigation.api import admin, cases, entities, lists, rings
from graphs.investigation.api.parts import PREFIX, only_known_parameters

UPLOADS = f"{PREFIX}/runs"

router = APIRouter(prefix=PREFIX, dependencies=[Security(HTTPBearer(auto_error=False)), Depends(only_known_parameters)])
for _part in (rings, entities, cases, lists, admin):
    router.include_router(_part.router)
