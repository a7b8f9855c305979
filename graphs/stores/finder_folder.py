"""Reads the folder that a finder run wrote, and tells all that does not fit before anything is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.errors import DataError, Fault, NotFoundError

FORMAT = 1

STATUSES = ("born", "grown", "shrunk", "unchanged", "merged", "split", "dormant", "revived")
PARTS = ("member", "identifier", "peripheral")

# Column: (kind, may be null). Kinds are those of `_KINDS`.
_RINGS = {
    "ring_id": ("text", False), "rank": ("whole", False), "status": ("text", False), "aliases": ("list", True),
    "p_ring": ("number", False), "score": ("number", False), "preventable_value": ("number", False),
    "value_total": ("number", False), "value_fraud": ("number", False), "payments": ("whole", False),
    "users": ("whole", False), "first_event_time": ("time", True), "last_event_time": ("time", True),
    "first_seen": ("time", True), "kind": ("text", False), "headline": ("text", False),
}  # fmt: skip
_MEMBERS = {
    "ring_id": ("text", False), "entity_type": ("text", False), "entity_id": ("text", False), "part": ("text", False),
    "role": ("text", False), "score": ("number", True), "attachment": ("number", True), "first_seen": ("time", True),
    "last_seen": ("time", True), "payments": ("whole", False), "value": ("number", False), "x": ("number", True),
    "y": ("number", True),
}  # fmt: skip
_LINKS = {
    "ring_id": ("text", False), "source_type": ("text", False), "source_id": ("text", False),
    "target_type": ("text", False), "target_id": ("text", False), "kind": ("text", False), "events": ("whole", False),
    "value": ("number", True), "first_time": ("time", True), "last_time": ("time", True),
}  # fmt: skip
_EVIDENCE = {
    "ring_id": ("text", False), "order": ("whole", False), "kind": ("text", False), "text": ("text", False),
    "entity_type": ("text", True), "entity_id": ("text", True), "value": ("number", True), "others": ("whole", True),
    "since": ("time", True),
}  # fmt: skip
_PAYMENTS = {
    "ring_id": ("text", False), "event_type": ("text", False), "event_id": ("text", False),
    "event_time": ("time", False), "amount": ("number", True), "score": ("number", True),
}  # fmt: skip
_LINEAGE = {
    "ring_id": ("text", False), "change": ("text", False), "other_ring_id": ("text", True), "as_of": ("time", False),
    "jaccard": ("number", True),
}  # fmt: skip
TABLES = {
    "rings": _RINGS,
    "members": _MEMBERS,
    "links": _LINKS,
    "evidence": _EVIDENCE,
    "payments": _PAYMENTS,
    "lineage": _LINEAGE,
}
"""The tables of a finder run with the columns that are read; further ones are nobody's business here."""

Row = dict[str, Any]


@dataclass(frozen=True)
class FinderRun:
    """One run as plain rows: times are aware datetimes, ids text. `digest` is the SHA-256 of all its files."""

    digest: str
    as_of: datetime
    previous_as_of: datetime | None
    facts: Mapping[str, Any]
    tables: Mapping[str, list[Row]]
    pictures: Mapping[str, str]


def read_finder_run(folder: Path) -> FinderRun:
    """Read and check a finder run. Raises NotFoundError if `folder` holds none, DataError with every fault."""
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise NotFoundError(f"{folder.absolute()} holds no finder run (no run.json); `ringtrace find` writes one")
    faults: list[Fault] = []
    facts = _facts(folder / "run.json", faults)
    tables = {name: _read(folder / f"{name}.parquet", columns, faults) for name, columns in TABLES.items()}
    if not faults:
        _check_content(tables, faults)
    if faults:
        raise DataError(faults)
    pictures = {path.stem: path.read_text(encoding="utf-8") for path in sorted((folder / "pictures").glob("*.svg"))}
    known = {row["ring_id"] for row in tables["rings"]}
    return FinderRun(
        digest=_digest(folder),
        as_of=_moment(facts["as_of"]),
        previous_as_of=_moment(facts["previous_as_of"]) if facts.get("previous_as_of") else None,
        facts=facts,
        tables=tables,
        pictures={ring: svg for ring, svg in pictures.items() if ring in known},
    )


def _facts(path: Path, faults: list[Fault]) -> dict[str, Any]:
    """What run.json says; {} with a fault if it says nothing that can be used."""

    def fault(message: str) -> dict[str, Any]:
        faults.append(Fault("format", path.name, None, message, "Run the finder again."))
        return {}

    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            return fault(f"expected format {FORMAT}, got {facts.get('format') if isinstance(facts, dict) else facts!r}")
        _moment(facts["as_of"])
        if facts.get("previous_as_of"):
            _moment(facts["previous_as_of"])
    except (ValueError, KeyError, OverflowError, RecursionError) as error:
        return fault(f"can't be read ({type(error).__name__}: {error})")
    return facts


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in [folder / "run.json", *(folder / f"{name}.parquet" for name in TABLES)]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _moment(value: object) -> datetime:
    """ISO text, or µs since 1970, as an aware datetime."""
    if isinstance(value, int):
        return datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)
    moment = datetime.fromisoformat(str(value))
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


_KINDS = {
    "text": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "whole": pa.types.is_integer,
    "number": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind),
    "time": lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None,
    "list": pa.types.is_list,
}


def _read(path: Path, columns: Mapping[str, tuple[str, bool]], faults: list[Fault]) -> list[Row]:
    def fault(code: str, column: str | None, message: str, count: int = 1) -> None:
        faults.append(Fault(code, path.name, column, message, "Run the finder again.", count=count))

    if not path.is_file():
        fault("missing-file", None, "is not there")
        return []
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        fault("unreadable", None, f"is no Parquet file that can be read ({type(error).__name__})")
        return []
    for name, (kind, nullable) in columns.items():
        if name not in table.column_names:
            fault("missing-column", name, "is not there")
        elif not (_KINDS[kind](table.schema.field(name).type) or pa.types.is_null(table.schema.field(name).type)):
            fault("type", name, f"expected {kind}, got {table.schema.field(name).type}")
        elif table[name].null_count and not nullable:
            fault("null", name, "holds nothing", table[name].null_count)
    present = [name for name in columns if name in table.column_names]
    return [_plain(row) for row in table.select(present).to_pylist()]


def _plain(row: Row) -> Row:
    """NaN is no number to a database; times are in UTC whatever the file's zone."""
    return {
        name: None
        if isinstance(value, float) and value != value
        else value.astimezone(UTC)
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }


def _check_content(tables: Mapping[str, list[Row]], faults: list[Fault]) -> None:
    ids = [row["ring_id"] for row in tables["rings"]]
    known = set(ids)
    _tell("rings.parquet", "ring_id", "given twice", (one for one in known if ids.count(one) > 1), faults)
    _tell("rings.parquet", "status", "unknown word", _others(tables["rings"], "status", STATUSES), faults)
    _tell("members.parquet", "part", "unknown word", _others(tables["members"], "part", PARTS), faults)
    _tell("lineage.parquet", "change", "unknown word", _others(tables["lineage"], "change", STATUSES), faults)
    for name in ("members", "links", "evidence", "payments"):
        _tell(f"{name}.parquet", "ring_id", "not in rings.parquet", _others(tables[name], "ring_id", known), faults)


def _others(rows: Iterable[Row], column: str, known: Iterable[str]) -> list[str]:
    return [row[column] for row in rows if row[column] not in known]


def _tell(file: str, column: str, message: str, values: Iterable[str], faults: list[Fault]) -> None:
    found = list(values)
    if found:
        shown = tuple(dict.fromkeys(found))[:5]
        faults.append(Fault("content", file, column, message, "Run the finder again.", len(found), values=shown))
