"""Rings as files: JSON with everything and ids as they are, CSV that no spreadsheet takes for a formula.

In CSV a text that a spreadsheet would run (it starts with = + - @, their full-width twins, a tab or a line break,
spaces before it or not) gets an apostrophe in front, inside proper quoting. Numbers stay numbers. JSON is the format
to read back.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from graphs.folders import whole_file
from graphs.investigation.answers import QueueFilter
from graphs.investigation.masking import Entity
from graphs.investigation.queries_cases import case_sheet
from graphs.investigation.queries_rings import ring_money, ring_queue, ring_sheet
from graphs.investigation.rows import MOST_ROWS, check_words
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor

RING_TABLES = ("members", "evidence", "links", "payments", "verdicts", "notes")
_FORMULA_STARTS = "=+-@＝＋－＠\t\r\n"


def plain(value: Any) -> Any:
    """Answers as JSON has them: dataclasses as objects, times as 2025-03-01T10:00:00Z, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


def ring_json(workspace: Workspace, actor: Actor, ring_id: str) -> dict[str, Any]:
    """Everything on a ring, with its newest case and payments, as plain JSON values."""
    actor.must("export")
    sheet = ring_sheet(workspace, actor, ring_id)
    name = sheet.ring.ring_id
    found = plain(sheet)
    found["case"] = plain(case_sheet(workspace, actor, sheet.ring.case_id))
    found["payments"] = plain(_all_payments(workspace, actor, name))
    workspace.store.saw(actor, "export", f"ring:{name}", {"format": "json"})
    return dict(found)


def ring_csv(workspace: Workspace, actor: Actor, ring_id: str, table: str = "members") -> str:
    """One table of a ring as CSV: one of RING_TABLES."""
    actor.must("export")
    check_words("table", (table,), RING_TABLES)
    sheet = ring_sheet(workspace, actor, ring_id)
    name = sheet.ring.ring_id
    if table == "payments":
        rows: Sequence[Any] = _all_payments(workspace, actor, name)
    elif table in ("verdicts", "notes"):
        case = case_sheet(workspace, actor, sheet.ring.case_id)
        rows = case.notes if table == "notes" else [given for _, given in case.verdicts]
    else:
        rows = getattr(sheet, table)
    workspace.store.saw(actor, "export", f"ring:{name}", {"format": "csv", "table": table, "rows": len(rows)})
    return to_csv(rows)


def queue_csv(workspace: Workspace, actor: Actor, *, where: QueueFilter | None = None, sort: str = "score") -> str:
    """The whole queue, every page of it, as CSV."""
    actor.must("export")
    rows: list[Any] = []
    cursor = None
    while True:
        page = ring_queue(workspace, actor, where=where, sort=sort, limit=MOST_ROWS, cursor=cursor)
        rows += page.rows
        cursor = page.next
        if cursor is None:
            workspace.store.saw(actor, "export", "queue", {"format": "csv", "rows": len(rows)})
            return to_csv(rows)


def write(path: Path, content: str | bytes) -> None:
    """Write an export to a file that is whole or not there, line ends as they are."""
    with whole_file(path) as made:
        made.write_bytes(content.encode() if isinstance(content, str) else content)


def to_csv(rows: Iterable[Any]) -> str:
    """Rows (values of one dataclass, or mappings with the same keys) as CSV that is safe in a spreadsheet; empty for
    none. An entity becomes two columns, a list one with semicolons."""
    flat = [_flat(row) for row in rows]
    if not flat:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([cell(name) for name in flat[0]])
    writer.writerows([cell(value) for value in row.values()] for row in flat)
    return text.getvalue()


def cell(value: Any) -> Any:
    """A value as a cell: what a spreadsheet would run gets an apostrophe in front.

    >>> [cell(value) for value in ("=1+1", "u-4", -45.0)]
    ["'=1+1", 'u-4', -45.0]
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    inner = value.lstrip(" \u00a0\u3000")
    return f"'{value}" if value.startswith("'") or (inner and inner[0] in _FORMULA_STARTS) else value


def _flat(row: Any) -> dict[str, Any]:
    items = row.items() if isinstance(row, Mapping) else ((name, getattr(row, name)) for name in _fields(row))
    found: dict[str, Any] = {}
    for name, value in items:
        if isinstance(value, Entity) or name in _ENTITY_FIELDS:
            found |= {f"{name}_type": value and value.type, f"{name}_id": value and value.text}
        elif isinstance(value, list | tuple):
            found[name] = "; ".join(str(plain(item)) for item in value)
        else:
            found[name] = plain(value)
    return found


# Fields of answers that hold an entity, or None: their columns are there either way.
_ENTITY_FIELDS = ("entity", "source", "target")


def _fields(row: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(row)]


def _all_payments(workspace: Workspace, actor: Actor, ring_id: str) -> list[Any]:
    rows: list[Any] = []
    cursor = None
    while True:
        page = ring_money(workspace, actor, ring_id, limit=MOST_ROWS, cursor=cursor)
        rows += page.rows
        cursor = page.next
        if cursor is None:
            return rows
