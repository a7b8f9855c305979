"""People, their roles, the hashes of their API keys, and the store's settings: what an admin looks after.

Keys are made and checked by the HTTP API, which knows argon2; the store keeps the hash and never the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update

from graphs.errors import ConfigError, NotFoundError
from graphs.signatures import nearest
from graphs.stores.actors import Actor, RoleName
from graphs.stores.case_store import DEFAULTS, CaseStore
from graphs.stores.models import api_keys, people, settings


@dataclass(frozen=True)
class Person:
    """Somebody who may act; one who left is not active and keeps their name in the audit."""

    name: str
    role: RoleName
    active: bool


@dataclass(frozen=True)
class ApiKey:
    """A key as the store knows it: `prefix` finds it, `hash` proves it."""

    prefix: str
    hash: str
    person: str
    made_at: datetime
    expires_at: datetime | None
    revoked: bool


@dataclass(frozen=True)
class KnownKey:
    """A key without what proves it, to show."""

    prefix: str
    person: str
    made_at: datetime
    expires_at: datetime | None
    revoked: bool


def set_person(store: CaseStore, actor: Actor, name: str, role: RoleName, *, active: bool = True) -> Person:
    """Add a person, or change their role or whether they are active."""
    person = Person(Actor(name, role).name, role, active)
    with store.write(actor, "set_person", f"person:{name}") as door:
        door.detail.update(role=role, active=active)
        changed = update(people).where(people.c.name == name).values(role=role, active=active)
        if not door.connection.execute(changed).rowcount:
            door.connection.execute(insert(people).values(**person.__dict__))
    return person


def find_person(store: CaseStore, name: str) -> Person | None:
    """The person of that name, active or not."""
    with store.read() as connection:
        found = connection.execute(select(people).where(people.c.name == name)).mappings().one_or_none()
    return None if found is None else Person(**found)


def all_people(store: CaseStore) -> tuple[Person, ...]:
    """Everybody by name."""
    with store.read() as connection:
        return tuple(Person(**row) for row in connection.execute(select(people).order_by(people.c.name)).mappings())


def add_key(
    store: CaseStore, actor: Actor, person: str, *, prefix: str, hash: str, expires_at: datetime | None = None
) -> ApiKey:
    """Keep the hash of a new API key of `person`. Raises NotFoundError if there is no such person."""
    actor.must("add_key")
    if find_person(store, person) is None:
        raise NotFoundError(f"{person}: no such person; add them first")
    with store.write(actor, "add_key", f"person:{person}") as door:
        key = ApiKey(prefix, hash, person, door.now, expires_at, False)
        door.connection.execute(insert(api_keys).values(**key.__dict__))
        door.detail["prefix"] = prefix
    return key


def find_key(store: CaseStore, prefix: str) -> ApiKey | None:
    """The key of that prefix, revoked or expired ones too: the caller looks."""
    with store.read() as connection:
        found = connection.execute(select(api_keys).where(api_keys.c.prefix == prefix)).mappings().one_or_none()
    return None if found is None else ApiKey(**found)


def keys_of(store: CaseStore, actor: Actor, person: str) -> tuple[KnownKey, ...]:
    """The keys of a person, newest first, those that ended too. Raises NotFoundError if there is no such person."""
    actor.must("add_key")
    if find_person(store, person) is None:
        raise NotFoundError(f"{person}: no such person")
    columns = [api_keys.c[name] for name in KnownKey.__dataclass_fields__]
    wanted = select(*columns).where(api_keys.c.person == person).order_by(api_keys.c.made_at.desc(), api_keys.c.prefix)
    with store.read() as connection:
        return tuple(KnownKey(**row) for row in connection.execute(wanted).mappings())


def any_key(store: CaseStore) -> bool:
    """Whether anybody holds a key that has not ended."""
    now = datetime.now(UTC)
    good = api_keys.c.revoked.is_(False) & (api_keys.c.expires_at.is_(None) | (api_keys.c.expires_at > now))
    with store.read() as connection:
        return connection.execute(select(api_keys.c.prefix).where(good).limit(1)).first() is not None


def revoke_key(store: CaseStore, actor: Actor, prefix: str) -> None:
    """End a key at once. Raises NotFoundError if there is none."""
    with store.write(actor, "revoke_key", f"key:{prefix}") as door:
        ended = update(api_keys).where(api_keys.c.prefix == prefix).values(revoked=True)
        if not door.connection.execute(ended).rowcount:
            raise NotFoundError(f"no key starts with {prefix!r}")


def all_settings(store: CaseStore) -> dict[str, Any]:
    """Every setting of DEFAULTS as it now holds."""
    return {name: store.setting(name) for name in DEFAULTS}


def set_setting(store: CaseStore, actor: Actor, name: str, value: Any) -> None:
    """Change one of DEFAULTS, for everybody from now on."""
    if name not in DEFAULTS:
        raise ConfigError(f"{name}: no such setting{nearest(name, DEFAULTS)}; there are: {', '.join(DEFAULTS)}")
    if type(value) is not type(DEFAULTS[name]):
        raise ConfigError(f"{name}: expected {type(DEFAULTS[name]).__name__}, got {value!r}")
    with store.write(actor, "set_setting", f"setting:{name}") as door:
        door.detail["value"] = value
        changed = update(settings).where(settings.c.name == name).values(value=value)
        if not door.connection.execute(changed).rowcount:
            door.connection.execute(insert(settings).values(name=name, value=value))
