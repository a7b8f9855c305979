"""Every error a user can cause: one root, all faults of a run at once, each with its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class RingtraceError(Exception):
    """Root of all errors that are the user's to mend; anything else that escapes is our bug."""

    http_status = 400


class ConfigError(RingtraceError):
    """A configuration value is missing, misspelt, of the wrong type or out of range."""


def check_fields(group: str, spec: object, checks: Mapping[str, tuple[bool, str]]) -> None:
    """ConfigError with a line for every field of `spec` at fault; `checks`: field to (is it good, what is expected)."""
    faults = [
        f"{group}.{name}: got {getattr(spec, name)!r}, expected {expected}"
        for name, (good, expected) in checks.items()
        if not good
    ]
    if faults:
        raise ConfigError("\n".join(faults))


class NotFoundError(RingtraceError):
    """A file, bundle, entity or run that was asked for does not exist."""

    http_status = 404


@dataclass(frozen=True)
class Fault:
    """One kind of fault in one column of one file, over all the rows that have it.

    `rows` are 1-based data rows (the header is not counted), the first few only; `count` is how many rows have
    the fault. `values` are the first distinct offending values, already masked where they may identify a person.
    """

    code: str
    file: str
    column: str | None
    message: str
    remedy: str
    count: int = 1
    rows: tuple[int, ...] = ()
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = self.file if self.column is None else f"{self.file}, column {self.column}"
        if self.rows:
            shown = ", ".join(str(row) for row in self.rows)
            more = ", …" if self.count > len(self.rows) else ""
            where += f", data row{'s' if self.count > 1 else ''} {shown}{more} (header not counted)"
        got = f": {', '.join(repr(value) for value in self.values)}" if self.values else ""
        total = f" [{self.count} rows]" if self.count > 1 else ""
        return f"{where}: {self.message}{got}{total}. {self.remedy}"


class DataError(RingtraceError):
    """Input tables that cannot be used as they are; carries every fault found, not only the first."""

    http_status = 422

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        head = f"{len(self.faults)} fault{'s' if len(self.faults) != 1 else ''} in the input"
        super().__init__("\n  ".join([f"{head}:", *(str(fault) for fault in self.faults)]))
