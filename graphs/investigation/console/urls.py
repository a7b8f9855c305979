"""Addresses of the console: a page's whole state is in its URL, so that it can be mailed, kept and gone back to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from graphs.investigation.masking import Entity


def ring_url(ring_id: str, **query: Any) -> str:
    """The sheet of a ring."""
    return with_query(f"/rings/{quote(ring_id, safe='')}", **query)


def case_url(case_id: str, **query: Any) -> str:
    """A case; with `tail` one of its exports."""
    return with_query(f"/cases/{quote(case_id, safe='')}", **query)


def entity_url(entity: Entity, **query: Any) -> str:
    """The sheet of an entity, by its id or its handle."""
    base = f"/entity/{quote(entity.type, safe='')}/"
    # A browser would take a path of dots, or with control characters, for another one.
    if entity.key.strip(".") == "" or any(ord(letter) < 32 for letter in entity.key):
        return with_query(base, key=entity.key, **query)
    return with_query(base + quote(entity.key, safe="~"), **query)


def keys_url(person: str, **query: Any) -> str:
    """The keys of a person."""
    return with_query("/people/keys", of=person, **query)


def with_query(path: str, **query: Any) -> str:
    """`path` with those of `query` that say anything; lists repeat their key."""
    pairs = [(name, str(value)) for name, values in query.items() for value in _listed(values)]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def changed(path: str, query: Iterable[tuple[str, str]], changes: Mapping[str, Any]) -> str:
    """The address with some of its query changed; a change to None, False or nothing takes the key away."""
    kept = [(name, value) for name, value in query if name not in changes]
    added = [(name, str(value)) for name, values in changes.items() for value in _listed(values)]
    return f"{path}?{urlencode([*kept, *added])}" if kept or added else path


def local(target: str | None, otherwise: str = "/") -> str:
    """`target` if it leads to a page of this console, else `otherwise`: nobody is sent elsewhere by a link."""
    target = target or ""
    parts = urlsplit(target)
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if safe and not parts.scheme and not parts.netloc and "\\" not in target else otherwise


def told(target: str, done: str) -> str:
    """`target` with the word for what was just done."""
    parts = urlsplit(target)
    query = changed(parts.path, parse_qsl(parts.query, keep_blank_values=True), {"done": done})
    return query + (f"#{parts.fragment}" if parts.fragment else "")


def _listed(value: Any) -> list[Any]:
    if value is None or value is False or value == "":
        return []
    if value is True:
        return ["1"]
    return list(value) if isinstance(value, list | tuple) else [value]
