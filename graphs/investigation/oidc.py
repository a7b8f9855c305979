"""Bearer tokens of an OpenID Connect provider: whose they are, and what that person may do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt

from graphs.investigation.problems import UnauthorizedError
from graphs.investigation.settings import Oidc
from graphs.stores.actors import ROLES, Actor

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures only: with a shared secret, who checks tokens could make them."""

_LEEWAY_SECONDS = 30
REFRESH_SECONDS = 30.0
_LONGEST_NAME = 200


class Tokens:
    """Checks tokens of one provider. Its keys are fetched when first needed, anew every five minutes, and for a key not
    seen yet; for that at most every REFRESH_SECONDS, since anybody can send a token that names one."""

    def __init__(self, oidc: Oidc) -> None:
        self.oidc = oidc
        self._asked_anew = -REFRESH_SECONDS
        self._client = jwt.PyJWKClient(oidc.jwks, timeout=5) if oidc.jwks.startswith("https://") else None

    def actor(self, token: str) -> Actor:
        """Whose token it is. Raises UnauthorizedError if it is not of our provider, for us, in time and with a role."""
        try:
            claims = jwt.decode(
                token, self._key(token), algorithms=list(ALGORITHMS), audience=self.oidc.audience,
                issuer=self.oidc.issuer, leeway=_LEEWAY_SECONDS, options={"require": ["exp", "iat", "iss", "aud"]},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, KeyError) as error:
            raise UnauthorizedError(f"the token is not taken: {type(error).__name__}; sign in again") from error
        name = claims.get(self.oidc.name_claim)
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
            raise UnauthorizedError(f"the token has no name in the claim {self.oidc.name_claim}")
        groups = claims.get(self.oidc.role_claim)
        given = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        roles = [self.oidc.roles[group] for group in given if isinstance(group, str) and group in self.oidc.roles]
        if not roles:
            raise UnauthorizedError(f"the token has no role in the claim {self.oidc.role_claim}")
        return Actor(name.strip(), max(roles, key=ROLES.index), "api")

    def _key(self, token: str) -> Any:
        name = str(jwt.get_unverified_header(token).get("kid"))
        if self._client is None:
            return jwt.PyJWKSet.from_dict(json.loads(Path(self.oidc.jwks).read_text(encoding="utf-8")))[name]
        known = {key.key_id: key for key in self._client.get_jwk_set().keys}
        now = time.monotonic()
        if name not in known and now - self._asked_anew >= REFRESH_SECONDS:
            self._asked_anew = now
            known = {key.key_id: key for key in self._client.get_jwk_set(refresh=True).keys}
        return known[name]
