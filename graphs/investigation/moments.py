"""Instants as people write and read them: 2025-03-01, 2025-03-01T10:00Z, or how long ago, 36h and 7d; 1 March 2025."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from graphs.errors import ConfigError

_UNITS = {"h": "hours", "d": "days"}
_MOST_UNITS = 100_000


def read_moment(text: str) -> datetime:
    """The instant that `text` names; without a zone it is in UTC. Raises ConfigError.

    >>> read_moment("2025-03-01")
    datetime.datetime(2025, 3, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    text = text.strip()
    number, unit = text[:-1], text[-1:]
    if number.isdecimal() and unit in _UNITS and len(number) < 10 and int(number) <= _MOST_UNITS:
        return datetime.now(UTC) - timedelta(**{_UNITS[unit]: int(number)})
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{text!r}: write a time like 2025-03-01T10:00Z, 36h or 7d") from error


def in_days(days: float | None) -> datetime | None:
    """The instant so many days from now; None for no end."""
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def long_day(moment: datetime) -> str:
    """A date for a sentence.

    >>> long_day(datetime(2025, 3, 1))
    '1 March 2025'
    """
    return f"{moment.day} {moment:%B %Y}"


def long_clock(moment: datetime) -> str:
    """A date and a time for a sentence."""
    return f"{long_day(moment)} {moment:%H:%M} UTC"
