"""The HTTP API: each route is one question or one write, with the same words as the command line."""

from __future__ import annotations

from fastapi import APIRouter, Security
from fastapi.security import HTTPBearer

from graphs.investigation.api import admin, cases, entities, lists, rings
from graphs.investigation.api.parts import PREFIX

UPLOADS = f"{PREFIX}/runs"

router = APIRouter(prefix=PREFIX, dependencies=[Security(HTTPBearer(auto_error=False))])
for _part in (rings, entities, cases, lists, admin):
    router.include_router(_part.router)
