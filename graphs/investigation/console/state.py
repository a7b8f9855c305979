"""Reads what a URL or a form says; what can't be read is told by its name."""

from __future__ import annotations

import math
from datetime import datetime

from graphs.errors import ConfigError
from graphs.investigation.moments import read_moment


def moment(name: str, text: str) -> datetime | None:
    """An instant, or None for nothing."""
    if not text:
        return None
    try:
        return read_moment(text)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def number(name: str, text: str) -> float | None:
    """A number, or None for nothing; thousands may be marked with commas or spaces."""
    if not text:
        return None
    try:
        found = float(text.replace(",", "").replace(" ", ""))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ConfigError(f"{name}: expected a number, got {text!r}")
    return found


def whole(name: str, text: str) -> int:
    """A whole number."""
    if not text.isdecimal() or len(text) > 6:
        raise ConfigError(f"{name}: expected a whole number, got {text!r}")
    return int(text)


def entity(text: str) -> tuple[str, str]:
    """TYPE:ID; the id may have colons, and may be a handle."""
    kind, mark, key = text.partition(":")
    if not (kind and mark and key):
        raise ConfigError(f"{text!r}: name an entity as type:id, like device:d7dvw41cw")
    return kind, key
