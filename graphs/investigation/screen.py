"""Answers as plain text for a terminal: tables whose last column gives way, and one value as a list of its fields."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from graphs.investigation.answers import Brief
from graphs.investigation.masking import Entity

_NARROWEST = 12


def table(rows: Iterable[Any], columns: Sequence[str]) -> str:
    """Rows (dataclasses or mappings) under a head; numbers to the right, the last column cut to the screen."""
    cells = [[show(_field(row, column)) for column in columns] for row in rows]
    numeric = [all(isinstance(_field(row, name), int | float | None) for row in rows) for name in columns]
    widths = [max(len(text) for text in column) for column in zip(*cells, columns, strict=True)]
    room = shutil.get_terminal_size((160, 24)).columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
    widths[-1] = min(widths[-1], max(room, _NARROWEST))
    lines = [[name.replace("_", " ") for name in columns], *cells]
    return "\n".join(
        "  ".join(
            _cut(text, width).rjust(width) if right else _cut(text, width).ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def cards(value: Any) -> str:
    """One value, a field to a line; what is empty is left out."""
    names = [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
    shown = {name: show(getattr(value, name)) for name in names}
    width = max((len(name) for name in shown), default=0)
    return "\n".join(f"{name.replace('_', ' ').ljust(width)}  {text}" for name, text in shown.items() if text) or tell(
        value
    )


def tell(value: Any) -> str:
    """A sentence as it is."""
    return str(value)


def printable(text: str) -> str:
    """`text` without control characters, with which data could draw on the screen; line breaks stay."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def show(value: Any) -> str:
    """One cell: entities as type and id, times to the minute, rings of an entity by their ids."""
    if value is None:
        return ""
    if isinstance(value, Entity):
        return f"{value.type} {value.text}"
    if isinstance(value, Brief):
        return value.ring_id
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {show(item)}" for name, item in value.items() if item not in (None, ""))
    if isinstance(value, list | tuple):
        return ", ".join(_role(item) for item in value)
    if dataclasses.is_dataclass(value):
        return show({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    return printable(str(value)).replace("\n", "�")


def _role(item: Any) -> str:
    """(role, entity) as one would say it, anything else as a cell."""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Entity):
        return f"{item[0]} {item[1].text}"
    return show(item)


def _field(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, Mapping) else getattr(row, name)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
