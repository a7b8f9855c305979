"""The HTTP API: each route is one question or one write, with the same words as the command line."""

from __future__ import annotations

from fastapi import APIRouter, Security
from fastapi.security import HTTPBearer

PREFIX = "/api/v1"
UPLOADS = f"{PREFIX}/runs"
ABOUT = "Fraud rings: find out, decide, pass the verdict back. Every answer is masked for who asks, and audited."

router = APIRouter(prefix=PREFIX, dependencies=[Security(HTTPBearer(auto_error=False))])
