"""API keys: drawn here, shown once, kept as an argon2id hash.

A key is `rt_<prefix>_<secret>`: the prefix finds the one hash to check, the secret has 256 random bits, so that the
hash need not be made as slow as one of a password.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from graphs.stores import people
from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore
from graphs.stores.people import ApiKey

# argon2id; the least that OWASP's password storage cheat sheet asks for: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def make_key(store: CaseStore, actor: Actor, person: str, *, expires_at: datetime | None = None) -> tuple[str, ApiKey]:
    """A new key of `person`, to be shown once, and what the store keeps of it. Raises NotFoundError."""
    prefix, secret = secrets.token_hex(5), secrets.token_urlsafe(32)
    kept = people.add_key(store, actor, person, prefix=prefix, hash=_HASHER.hash(secret), expires_at=expires_at)
    return f"rt_{prefix}_{secret}", kept


def parts_of(key: str) -> tuple[str, str] | None:
    """The prefix and the secret of a key; None for a text that is none."""
    mark, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    return (prefix, secret) if mark == "rt" and len(prefix) == 10 and secret else None


def proves(secret: str, kept: ApiKey) -> bool:
    """Whether `secret` is that of the key; takes some 20 ms of a core."""
    try:
        return _HASHER.verify(kept.hash, secret)
    except (VerificationError, InvalidHashError):
        return False
