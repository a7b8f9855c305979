"""What ingest found: faults and warnings gathered while reading, and the report that is made of them.

Nothing is dropped without a line here. Values that may identify a person are masked when they enter, so that no
message, file or log can show them later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphs.errors import Fault
from graphs.logs import mask

if TYPE_CHECKING:
    from graphs.readers import Block

SHOWN = 5
"""How many rows and distinct values a fault shows."""

LISTED = 20
"""How many values are shown where each is shown with its count."""

LONGEST_VALUE = 60


Values = Sequence[object] | Mapping[str, int]
"""Offending values, or how often each occurs."""


@dataclass(frozen=True)
class TableSummary:
    """Where the rows of one table went: rows = kept + exact_duplicates + replaced + dropped + rejected."""

    name: str
    kind: str
    files: tuple[str, ...]
    rows: int
    kept: int
    exact_duplicates: int = 0
    replaced: int = 0
    dropped: int = 0
    rejected: int = 0
    positive: int = 0
    negative: int = 0
    unlabelled: int = 0
    first_time: str | None = None
    last_time: str | None = None
    missing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationReport:
    """The whole outcome of reading a data set: `str()` for people, `to_json()` for programs.

    `rejected` are faults of rows that went to quarantine, `warnings` what was kept but is doubtful.
    """

    tables: tuple[TableSummary, ...]
    entities: Mapping[str, int]
    warnings: tuple[Fault, ...] = ()
    rejected: tuple[Fault, ...] = ()
    quarantine: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [line for table in self.tables for line in _describe(table)]
        lines.append("entities: " + ", ".join(f"{name} {count:,}" for name, count in self.entities.items()))
        lines += [f"rejected: {fault}" for fault in self.rejected]
        lines += [f"rejected rows are in {file}" for file in self.quarantine]
        lines += [f"warning: {fault}" for fault in self.warnings]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for json.dump."""
        return {
            "tables": [_plain(table) for table in self.tables],
            "entities": dict(self.entities),
            "warnings": [_plain(fault) for fault in self.warnings],
            "rejected": [_plain(fault) for fault in self.rejected],
            "quarantine": list(self.quarantine),
        }


def failed_json(faults: Sequence[Fault]) -> dict[str, Any]:
    """What stands in the report's place where the tables could not be used, ready for json.dump."""
    return {"faults": [_plain(fault) for fault in faults]}


def _plain(value: TableSummary | Fault) -> dict[str, Any]:
    return {
        key: dict(item) if isinstance(item, Mapping) else list(item) if isinstance(item, tuple) else item
        for key, item in vars(value).items()
    }


def _describe(table: TableSummary) -> Iterable[str]:
    went = {
        "exact duplicates": table.exact_duplicates,
        "replaced by another row of the same id": table.replaced,
        "dropped for their label": table.dropped,
        "rejected": table.rejected,
    }
    away = "".join(f", {count:,} {what}" for what, count in went.items() if count)
    span = f", {table.first_time} to {table.last_time}" if table.first_time else ""
    yield f"{table.name}: {table.rows:,} rows read, {table.kept:,} kept{away}{span}"
    if table.positive or table.negative:
        yield f"  labels: {table.positive:,} positive, {table.negative:,} negative, {table.unlabelled:,} unlabelled"
    missing = ", ".join(f"{column} in {count:,}" for column, count in table.missing.items() if count)
    if missing:
        yield f"  missing: {missing}"


def shown_time(micros: int) -> str:
    """µs UTC as ISO text."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))).isoformat().replace("+00:00", "Z")


@dataclass
class _Gathered:
    """One kind of fault in one column of one file, still growing. A row counts once, however often it is told: a
    column may be used twice, and a file be read for several tables, by whose keys in the configuration `remedies` are:
    the keys that each has to mend are its own."""

    fault: Fault
    remedies: dict[str, str] = field(default_factory=dict)
    rows: list[np.ndarray] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    tally: bool = False

    def add(self, table: str, remedy: str, rows: np.ndarray, values: Values) -> None:
        self.remedies.setdefault(table, remedy)
        if len(rows):
            rows = rows[~self._told(rows)]
            if not len(rows):
                return
            self.rows.append(rows)
        self.tally = self.tally or isinstance(values, Mapping)
        counts = values if isinstance(values, Mapping) else dict.fromkeys(values, 1)
        for value, times in counts.items():
            shown = mask(str(value))
            shown = shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…"
            if shown in self.values or self.tally or len(self.values) < SHOWN:
                self.values[shown] = self.values.get(shown, 0) + times

    def _told(self, rows: np.ndarray) -> np.ndarray:
        if all(rows.min() > part.max() for part in self.rows):
            return np.zeros(len(rows), bool)
        return np.isin(rows, np.concatenate(self.rows))

    def finished(self) -> Fault:
        first = [int(row) for part in self.rows[:SHOWN] for row in part[:SHOWN]][:SHOWN]
        count = sum(map(len, self.rows)) or 1
        remedy = " ".join(dict.fromkeys(self.remedies.values()))
        return replace(self.fault, remedy=remedy, count=count, rows=tuple(first), values=self._shown())

    def _shown(self) -> tuple[str, ...]:
        if not self.tally:
            return tuple(self.values)[:SHOWN]
        often = sorted(self.values.items(), key=lambda item: (-item[1], item[0]))
        return tuple(f"{value} ({count}×)" for value, count in often[:LISTED])


class Findings:
    """Gathers faults and warnings while tables are read; rows with a fault are remembered as rejects."""

    def __init__(self) -> None:
        self._file_faults: dict[tuple[Any, ...], _Gathered] = {}
        self._row_faults: dict[tuple[Any, ...], _Gathered] = {}
        self._warnings: dict[tuple[Any, ...], _Gathered] = {}
        self._missing: dict[str, Fault] = {}
        self.table = ""
        """The table that is being read or looked into, by its key in the configuration."""
        self.rejects: dict[tuple[str, str], list[tuple[np.ndarray, str]]] = {}
        """By table and file: data rows and the reason for which the table cannot use them."""

    @property
    def missing_files(self) -> tuple[Fault, ...]:
        return tuple(self._missing.values())

    @property
    def file_faults(self) -> tuple[Fault, ...]:
        return tuple(entry.finished() for entry in self._file_faults.values())

    @property
    def row_faults(self) -> tuple[Fault, ...]:
        return tuple(entry.finished() for entry in self._row_faults.values())

    @property
    def warnings(self) -> tuple[Fault, ...]:
        return tuple(entry.finished() for entry in self._warnings.values())

    def missing_file(self, path: Path, message: str, remedy: str) -> None:
        resolved = "" if path.is_absolute() else f" (looked for {path.absolute()})"
        self._missing[str(path)] = Fault("missing-file", mask(str(path)), None, mask(f"{message}{resolved}"), remedy)

    def file_fault(
        self,
        code: str,
        file: Path | str,
        column: str | None,
        message: str,
        remedy: str,
        *,
        rows: Sequence[int] | np.ndarray = (),
        values: Values = (),
    ) -> None:
        """A fault that rejecting rows would not mend."""
        self._add(self._file_faults, code, str(file), column, message, remedy, rows, values)

    def row_fault(
        self,
        code: str,
        block: Block,
        column: str | None,
        rows: np.ndarray,
        message: str,
        remedy: str,
        *,
        values: Values = (),
    ) -> None:
        """A fault in the rows `rows` of `block` (counted from 0 in it), which become rejects."""
        data_rows = rows + block.first_row
        self._add(self._row_faults, code, block.file, column, message, remedy, data_rows, values)
        where = "" if column is None else f"{column}: "
        self.rejects.setdefault((self.table, block.file), []).append((data_rows, mask(f"{where}{message}")))

    def warn(
        self,
        code: str,
        file: Path | str,
        column: str | None,
        message: str,
        remedy: str,
        *,
        rows: Sequence[int] | np.ndarray = (),
        values: Values = (),
    ) -> None:
        """Something doubtful that is kept."""
        self._add(self._warnings, code, str(file), column, message, remedy, rows, values)

    def _add(
        self,
        into: dict[tuple[Any, ...], _Gathered],
        code: str,
        file: str,
        column: str | None,
        message: str,
        remedy: str,
        rows: Sequence[int] | np.ndarray,
        values: Values,
    ) -> None:
        key = (code, file, column, message)
        fault = Fault(code, mask(file), column and mask(column), mask(message), "")
        gathered = into.setdefault(key, _Gathered(fault))
        gathered.add(self.table, mask(remedy), np.asarray(rows, np.int64), values)
