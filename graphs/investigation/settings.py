"""How the API and the console are served: limits, lifetimes, and who is trusted to say who somebody is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from graphs.errors import ConfigError, NotFoundError
from graphs.signatures import nearest
from graphs.stores.actors import ROLES, RoleName

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Oidc:
    """An OpenID Connect provider whose bearer tokens are taken.

    `jwks` is where its public keys are: an https address, or a file. `role_claim` names the claim that says what
    somebody may do: a role, or a list of groups that `roles` turns into roles (the highest counts). `name_claim` says
    who they are in the audit; `sub` is the one that a provider never gives to another person.
    """

    issuer: str
    audience: str
    jwks: str
    role_claim: str = "role"
    name_claim: str = "sub"
    roles: dict[str, RoleName] = field(default_factory=lambda: {role: role for role in ROLES})

    def __post_init__(self) -> None:
        for name in ("issuer", "audience", "jwks", "role_claim", "name_claim"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ConfigError(f"oidc.{name}: expected text, got {getattr(self, name)!r}")
        for group, role in self.roles.items():
            if role not in ROLES:
                raise ConfigError(f"oidc.roles.{group}: got {role!r}{nearest(str(role), ROLES)}")
        if self.jwks.startswith("http://"):
            raise ConfigError("oidc.jwks: keys that prove identities come over https, or from a file")
        if not self.jwks.startswith("https://") and not Path(self.jwks).is_file():
            raise NotFoundError(f"oidc.jwks: {self.jwks} is no file")

    @classmethod
    def read(cls, path: Path) -> Oidc:
        """Read the YAML at `path`, whose keys are those of this class; a file of keys is looked for beside it."""
        if not path.is_file():
            raise NotFoundError(f"{path} is no file")
        given: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(given, dict):
            raise ConfigError(f"{path}: expected keys and values, as `issuer: https://…`")
        for name in given:
            if name not in cls.__dataclass_fields__:
                raise ConfigError(f"{path}: {name}: no such key{nearest(str(name), cls.__dataclass_fields__)}")
        missing = [name for name in ("issuer", "audience", "jwks") if name not in given]
        if missing:
            raise ConfigError(f"{path}: {', '.join(missing)} missing")
        if not str(given["jwks"]).startswith(("https://", "http://")):
            given["jwks"] = str(path.parent / given["jwks"])
        return cls(**given)


@dataclass(frozen=True)
class ServeSettings:
    """`https` says that browsers reach us over TLS, here or at a proxy: cookies are then for TLS only.

    Rates hold per worker process: `per_minute` requests of one actor, `failures_per_minute` failed sign-ins from one
    address.
    """

    https: bool = False
    per_minute: float = 1200
    failures_per_minute: float = 10
    session_hours: float = 8
    most_body_bytes: int = 1 * MEGABYTE
    most_upload_bytes: int = 64 * MEGABYTE
    most_unpacked_bytes: int = 512 * MEGABYTE
    oidc: Oidc | None = None
