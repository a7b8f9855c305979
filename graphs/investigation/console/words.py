"""How values are written on a page: numbers, times, and the words and icons of statuses.

A status is always an icon and a word; colour is a help, never the only sign.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

ICONS = {
    # verdicts and outcomes
    "fraud": "octagon", "mule": "arrows", "victim": "shield", "legitimate": "check", "unsure": "question",
    "not_fraud": "check",
    # cases
    "open": "circle", "in_progress": "half", "waiting": "pause", "closed": "disc",
    # rings over time
    "born": "plus", "grown": "up", "shrunk": "down", "unchanged": "equal", "merged": "merge", "split": "split",
    "dormant": "moon", "revived": "sun", "moved": "tilde",
    # lists
    "watch": "eye", "benign": "leaf", "block": "bar",
    # keys
    "valid": "check", "expired": "moon", "revoked": "bar",
}  # fmt: skip
"""The icon of each word; what is not here has a dot."""

TONES = {
    "fraud": "bad", "mule": "bad", "victim": "good", "legitimate": "good", "not_fraud": "good", "unsure": "plain",
    "in_progress": "note", "waiting": "warn", "born": "warn", "grown": "warn", "merged": "note", "split": "note",
    "revived": "warn", "block": "bad", "watch": "warn", "benign": "good",
    "valid": "good", "revoked": "bad",
}  # fmt: skip

DONE = {
    "claimed": "You have the case now.",
    "released": "The case is back in the queue.",
    "assigned": "The case has a new owner.",
    "status": "The status is changed.",
    "verdict": "The verdict is kept, and is a label from now on.",
    "noted": "The note is kept.",
    "close_requested": "Closing is asked for; a second person approves.",
    "closed": "The case is closed.",
    "rejected": "The case went back to its owner.",
    "reopened": "A new case is open on the ring.",
    "listed": "It is on the list.",
    "unlisted": "It is off the list.",
    "blocked": "They are blocked as one batch.",
    "unblocked": "The batch is no longer blocked.",
    "person": "The person is changed.",
    "setting": "The setting is changed.",
    "revoked": "The key is revoked, and so are the sessions made from it.",
}
"""What a page says after a form was sent: `done` in its URL is one of these words."""

NOTHING = Markup('<span class="none" aria-hidden="true">–</span><span class="away">none</span>')


def spoken(word: str) -> str:
    """A word of the data as people say it.

    >>> spoken("in_progress")
    'in progress'
    """
    return word.replace("_", " ")


def sentence(text: str) -> str:
    """With a capital in front."""
    return text[:1].upper() + text[1:]


def count(number: float | None) -> Any:
    """A whole number with its thousands marked."""
    return NOTHING if number is None else f"{number:,.0f}"


def money(number: float | None) -> Any:
    """An amount with cents."""
    return NOTHING if number is None else f"{number:,.2f}"


def share(number: float | None) -> Any:
    """A share or probability as percent, without ever saying 0 or 100 for what is not."""
    if number is None:
        return NOTHING
    if 0 < number < 0.01:
        return "< 1%"
    return "> 99%" if 0.99 < number < 1 else f"{number:.0%}"


def figure(number: float | None) -> Any:
    """A metric with three digits."""
    return NOTHING if number is None else f"{number:.3f}"


def day(moment: datetime | None) -> Any:
    """A date; the instant is in it for machines."""
    return NOTHING if moment is None else _time(moment, f"{moment.day} {moment:%b %Y}")


def clock(moment: datetime | None) -> Any:
    """A date and a time, UTC."""
    return NOTHING if moment is None else _time(moment, f"{moment.day} {moment:%b %Y %H:%M}")


def span(first: datetime | None, last: datetime | None) -> Any:
    """From one day to another, short.

    >>> span(datetime(2025, 3, 1), datetime(2025, 4, 2))
    '1 Mar – 2 Apr 2025'
    """
    if first is None or last is None:
        return NOTHING
    if first.date() == last.date():
        return f"{last.day} {last:%b %Y}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {first:%b}{year} – {last.day} {last:%b %Y}"


def _time(moment: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat().replace("+00:00", "Z"), escape(text))
