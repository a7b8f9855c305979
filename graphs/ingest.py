"""Tables to an `EventLog`: read everything, tell all faults at once, then put the rows in canonical order.

    tables → typed columns → faults settled → labels from elsewhere → one row per id → order → codes

Nothing a user's file can hold ends in anything but a value, a rejected row with its reason, or a DataError.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numba import njit

from graphs.errors import DataError, Fault, NotFoundError
from graphs.events import (
    MISSING,
    NEVER,
    UNLABELLED,
    Categorical,
    EntityAttributes,
    EntityLabels,
    EventLog,
    Role,
    places_in,
)
from graphs.folders import whole_file, write_json
from graphs.readers import read_blocks
from graphs.report import SHOWN, Findings, TableSummary, ValidationReport, failed_json, shown_time
from graphs.schema import DataSchema, EntityTable, EventTable, LabelColumn, feature_names
from graphs.tables import (
    AMOUNT,
    KNOWN_TIME,
    LABEL,
    LABEL_KNOWN,
    TIME,
    Columns,
    Field,
    merge_keys,
    read_entity_table,
    read_event_table,
    read_label_source,
    warn_rows,
)
from graphs.values import text_buffers

log = logging.getLogger(__name__)

SHOWN_CONFLICTS = 10

AS_THERE = "If they are the same, write the ids as they stand there: 007 is not 7."


@dataclass(frozen=True)
class Ingested:
    """The events, and what there is to say about the tables they came from."""

    log: EventLog
    report: ValidationReport


@dataclass(frozen=True)
class _Kept:
    """A table's rows after some have gone, and how many went where."""

    columns: Columns
    read: int
    rejected: int = 0
    dropped: int = 0
    exact_duplicates: int = 0
    replaced: int = 0


def ingest(schema: DataSchema) -> Ingested:
    """Read and validate the tables of `schema`.

    Raises NotFoundError if nothing but files is missing, else DataError with every fault there is. With a quarantine
    folder, rows at fault are written there with their reasons and left out instead, as long as they are few.
    """
    findings = Findings()
    events = [read_event_table(table, schema, findings) for table in schema.events]
    entities = [read_entity_table(table, schema, findings) for table in schema.entities]
    tables: list[EventTable | EntityTable] = [*schema.events, *schema.entities]
    sources = {
        columns.key: _label_source(columns.key, table.label, schema, findings)
        for columns, table in zip([*events, *entities], tables, strict=True)
        if table.label is not None and table.label.source is not None
    }
    met: list[_Met] = []
    events = [
        _with_labels(columns, table, sources.get(columns.key), findings, met)
        for columns, table in zip(events, schema.events, strict=True)
    ]
    entities = [
        _with_labels(columns, table, sources.get(columns.key), findings, met)
        for columns, table in zip(entities, schema.entities, strict=True)
    ]
    _tell_unmet(met, findings)
    for columns, table in zip([*events, *entities], tables, strict=True):
        _warn_label_times(columns, table, sources.get(columns.key), findings)
    _tell_strangers(events, entities, schema, findings)
    # Rows of one id that differ are looked for before anything is raised: they are to be told with all other faults.
    kept_events = [_event_rows(columns, table, findings) for columns, table in zip(events, schema.events, strict=True)]
    kept_entities = [
        _entity_rows(columns, table, findings) for columns, table in zip(entities, schema.entities, strict=True)
    ]
    read = {columns.key.removeprefix("data."): columns for columns in (*events, *entities)}
    read |= {f"labels.{key.removeprefix('data.')}": source.read for key, source in sources.items()}
    if schema.quarantine is not None:
        _refuse_files_of_others(read, Path(schema.quarantine), findings)
    _settle(findings, schema)
    made = _assemble([kept.columns for kept in kept_events], [kept.columns for kept in kept_entities], schema)
    files = () if schema.quarantine is None else _write_quarantine(read, Path(schema.quarantine), findings, schema)
    report = ValidationReport(
        tables=(
            *(_summarise(kept, "events") for kept in kept_events),
            *(_summarise(kept, "entities") for kept in kept_entities),
            *(_summarise(source.kept, "labels") for source in sources.values()),
        ),
        entities={name: len(ids) for name, ids in made.entity_ids.items()},
        warnings=findings.warnings,
        rejected=findings.row_faults,
        quarantine=files,
    )
    for line in str(report).splitlines():
        log.info("%s", line)
    return Ingested(made, report)


def ingest_into(schema: DataSchema, folder: Path) -> Ingested:
    """As `ingest`, and keep what was found in `folder`/validation.json.

    Where the tables cannot be used, that is their faults, and the folder must be there: none is made for a failure.
    """
    try:
        ingested = ingest(schema)
    except DataError as error:
        if folder.is_dir():
            write_json(folder / "validation.json", failed_json(error.faults))
        raise
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "validation.json", ingested.report.to_json())
    return ingested


def _settle(findings: Findings, schema: DataSchema) -> None:
    """Raise what cannot be passed over."""
    faults = (*findings.missing_files, *findings.file_faults, *findings.row_faults)
    if faults and faults == findings.missing_files:
        raise NotFoundError("\n".join(map(str, faults)))
    if findings.missing_files or findings.file_faults or (faults and schema.quarantine is None):
        raise DataError(faults)
    by_file: dict[str, list[np.ndarray]] = {}
    for (_, file), found in findings.rejects.items():
        by_file.setdefault(file, []).extend(rows for rows, _ in found)
    rejects = sum(len(np.unique(np.concatenate(rows))) for rows in by_file.values())
    if rejects > schema.max_rejects:
        limit = Fault(
            "max-rejects", "all tables", None, f"{rejects:,} rows would be rejected, {schema.max_rejects:,} may be",
            "Mend the faults, or raise data.max_rejects.",
        )  # fmt: skip
        raise DataError((*faults, limit))


# ---------------------------------------------------------------------------------- labels from elsewhere


@dataclass(frozen=True)
class _Met:
    """Which ids of a label table `source` have a row in the table `key`: `ids` (ids,) bool."""

    source: Columns
    key: str
    ids: np.ndarray


@dataclass(frozen=True)
class _LabelSource:
    """Another table that holds labels: all its rows as `read`, those of use as `kept`, and `spoilt` (ids,) bool, whom a
    rejected row names: nobody knows what it would have said of them."""

    read: Columns
    kept: _Kept
    spoilt: np.ndarray

    @property
    def ids(self) -> pa.StringArray:
        return self.read.keys["role", ""].values


def _label_source(key: str, label: LabelColumn, schema: DataSchema, findings: Findings) -> _LabelSource:
    """The label table of the table at `key`. One without rows names nobody."""
    read = read_label_source(label, schema, findings, f"{key}.label")
    if not len(read):
        nobody = Categorical(np.zeros(0, np.int32), pa.array([], pa.string()))
        arrays: dict[Field, np.ndarray] = {LABEL: np.zeros(0, np.int8), LABEL_KNOWN: np.zeros(0, np.int64)}
        read = replace(read, arrays=arrays, keys={("role", ""): nobody})
    codes, rejected = read.keys["role", ""].codes, _rejected(read, findings)
    named = codes != MISSING
    if schema.quarantine is not None and label.absent == "negative":
        _refuse_nameless(read, rejected & ~named, findings)
    spoilt = np.isin(np.arange(len(read.keys["role", ""].values)), codes[rejected & named])
    return _LabelSource(read, _without_faulty(read, findings), spoilt)


def _refuse_nameless(read: Columns, rows: np.ndarray, findings: Findings) -> None:
    """Rows to reject that name nobody are a fault of a label table by whose silence a row is negative."""
    for file, here in read.by_file(np.flatnonzero(rows)):
        findings.file_fault(
            "label-nobody", file, read.columns["role", ""],
            "rows that cannot be used and do not say whom they label, who would count as negative",
            f"Mend them, or set {read.key}.absent=unlabelled.", rows=read.row[here],
        )  # fmt: skip


def _with_labels(
    columns: Columns, table: EventTable | EntityTable, source: _LabelSource | None, findings: Findings, met: list[_Met]
) -> Columns:
    """`columns` with the labels that `source` holds for them, if there is one; `met` gets its ids."""
    label = table.label
    if label is None or source is None or LABEL not in columns.arrays:
        return columns
    verdicts = np.where(source.spoilt, UNLABELLED, _one_verdict_each(source.kept.columns, findings))
    if isinstance(table, EventTable):
        assert columns.ids is not None
        found = places_in(columns.ids, source.ids)
    else:
        own = columns.keys["role", ""]
        found = np.append(places_in(own.values, source.ids), MISSING)[own.codes]
    absent = 0 if label.absent == "negative" else UNLABELLED
    labels = np.append(verdicts, absent)[found].astype(np.int8)
    if len(columns) and len(source.ids):
        met.append(_Met(source.read, columns.key, np.isin(np.arange(len(verdicts)), found)))
    arrays = {LABEL: labels}
    if label.known is not None:
        known = np.append(_known_since(source.kept.columns), NEVER)[found]
        arrays[LABEL_KNOWN] = np.where(found == MISSING, _absent_known(columns, table), known)
        _warn_never_known(columns, label, (found == MISSING) & (arrays[LABEL_KNOWN] == NEVER), findings)
    return replace(columns, arrays=columns.arrays | arrays)


def _tell_unmet(met: Sequence[_Met], findings: Findings) -> None:
    """Name the ids of label tables that no table has a row of: of payments before those, or written otherwise."""
    for files in dict.fromkeys((found.source.files, found.source.columns["role", ""]) for found in met):
        same = [found for found in met if (found.source.files, found.source.columns["role", ""]) == files]
        source = same[0].source
        keys = source.keys["role", ""]
        unmet = np.flatnonzero(~np.logical_or.reduce([found.ids for found in same]))
        if not len(unmet):
            continue
        tables = ", ".join(found.key for found in same)
        every = len(unmet) == len(keys.values)
        what = "no id has a" if every else f"{len(unmet):,} of the {len(keys.values):,} ids have no"
        warn_rows(
            source, np.flatnonzero(np.isin(keys.codes, unmet)), findings, "label-ids", source.columns["role", ""],
            f"{what} row in {tables}", AS_THERE, values=partial(_texts_of, keys),
        )  # fmt: skip


def _tell_strangers(
    events: Sequence[Columns], entities: Sequence[Columns], schema: DataSchema, findings: Findings
) -> None:
    """Name the entity tables that have nothing to do with any event: of a type that no role has, or ids written
    otherwise. That only some entities are in events is as it should be."""
    roles = [(columns, role) for columns, table in zip(events, schema.events, strict=True) for role in table.roles]
    types = list(dict.fromkeys(role.entity_type for _, role in roles))
    for columns in entities:
        own = columns.keys.get(("role", ""))
        if own is None or not len(columns) or not any(map(len, events)):
            continue
        keys = [part.keys.get(("role", role.name)) for part, role in roles if role.entity_type == columns.name]
        if any(pc.any(pc.is_in(own.values, value_set=key.values)).as_py() for key in keys if key is not None):
            continue
        message = f"no id is that of a {columns.name} in any event"
        remedy = AS_THERE
        if columns.name not in types:
            message = f"no role is of the type {columns.name}"
            remedy = f"Name the table after the type of a role: {', '.join(types)}."
        warn_rows(
            columns, np.flatnonzero(own.codes != MISSING), findings, "entity-ids", columns.columns["role", ""],
            message, remedy, values=partial(_texts_of, own),
        )  # fmt: skip


def _absent_known(columns: Columns, table: EventTable | EntityTable) -> np.ndarray:
    """(rows,) int64 µs: since when a row that the other table does not mention has its label, as its own table says."""
    untold = isinstance(table, EventTable) and table.label_delay_days is None
    return np.full(len(columns), NEVER) if untold else columns.arrays[LABEL_KNOWN]


def _warn_never_known(columns: Columns, label: LabelColumn, rows: np.ndarray, findings: Findings) -> None:
    if label.absent != "negative":
        return
    key = "label_delay_days" if columns.key.startswith("data.events.") else "label_known"
    message = (
        f"rows that {label.source} does not mention are negative, but this never counts as known: nothing can be "
        "learnt from them"
    )
    remedy = f"Set {columns.key}.{key} to say since when such a row is known to be negative."
    warn_rows(columns, _sound(columns, rows, findings), findings, "label-time", None, message, remedy)


def _warn_label_times(
    columns: Columns, table: EventTable | EntityTable, source: _LabelSource | None, findings: Findings
) -> None:
    """Name the labels whose time is empty, in the table that was to tell it, and those known before their event."""
    if table.label is None or LABEL not in columns.arrays:
        return
    told, known, says = columns, table.label_known, ""
    if source is not None and table.label.known is not None:
        told, known, says = source.read, table.label.known, f", as {table.label.source} says"
    if known is not None:
        untold = (told.arrays[LABEL] != UNLABELLED) & (told.arrays[LABEL_KNOWN] == NEVER)
        message = "a label, but not since when it is known: it never counts as known"
        remedy = "Fill it in, or use label_delay_days." if TIME in told.arrays else "Fill it in."
        warn_rows(told, _sound(told, untold, findings), findings, "label-time", known.column, message, remedy)
    if TIME in columns.arrays:
        since = columns.arrays[LABEL_KNOWN]
        early = (columns.arrays[LABEL] != UNLABELLED) & (since < columns.arrays[TIME])
        column = None if known is None or says else known.column
        message = f"known before the event happened{says}"
        warn_rows(
            columns, _sound(columns, early, findings), findings, "early-label", column, message, "Check it.",
            values=lambda rows: [shown_time(moment) for moment in since[rows]],
        )  # fmt: skip


def _sound(columns: Columns, rows: np.ndarray, findings: Findings) -> np.ndarray:
    """Positions of those of `rows`, a mask, that are not at fault."""
    return np.flatnonzero(rows & ~_rejected(columns, findings))


def _known_since(source: Columns) -> np.ndarray:
    """(distinct ids,) int64 µs: when the first label of each id became known."""
    keys = source.keys["role", ""]
    known = np.full(len(keys.values), NEVER)
    usable = (keys.codes != MISSING) & (source.arrays[LABEL] != UNLABELLED)
    np.minimum.at(known, keys.codes[usable], source.arrays[LABEL_KNOWN][usable])
    return known


def _one_verdict_each(source: Columns, findings: Findings) -> np.ndarray:
    """(distinct ids,) int8. Rows of one id that contradict each other are a fault."""
    keys, label = source.keys["role", ""], source.arrays[LABEL]
    usable = (keys.codes != MISSING) & (label != UNLABELLED)
    votes = [np.bincount(keys.codes[usable & (label == verdict)], minlength=len(keys.values)) > 0 for verdict in (0, 1)]
    torn = np.flatnonzero(votes[0] & votes[1])
    for file, rows in source.by_file(np.flatnonzero(np.isin(keys.codes, torn) & usable)):
        findings.file_fault(
            "label-conflict",
            file,
            source.columns[LABEL],
            "ids with a positive and a negative label",
            "Keep one verdict per id.",
            rows=source.row[rows],
            values=_texts_of(keys, rows),
        )
    return np.where(votes[1], 1, np.where(votes[0], 0, UNLABELLED)).astype(np.int8)


def _texts_of(keys: Categorical, rows: np.ndarray) -> list[str]:
    """The first few different values of these rows."""
    return keys.values.take(pc.unique(pa.array(keys.codes[rows]))[:SHOWN]).to_pylist()


# ------------------------------------------------------------------------------------------ rows to keep


def _event_rows(columns: Columns, table: EventTable, findings: Findings) -> _Kept:
    kept = _without_faulty(columns, findings)
    if kept.columns.ids is None:
        return replace(kept, columns=replace(kept.columns, ids=_made_ids(kept.columns)))
    ids = kept.columns.ids.dictionary_encode()
    return _one_row_each(kept, ids.indices.to_numpy(), ids.dictionary, table, findings)


def _entity_rows(columns: Columns, table: EntityTable, findings: Findings) -> _Kept:
    """One row per entity and known time; the labels of all rows of an entity must agree."""
    kept = _without_faulty(columns, findings)
    columns = kept.columns
    if ("role", "") not in columns.keys:
        return kept
    keys = columns.keys["role", ""]
    known = columns.arrays[KNOWN_TIME]
    order = np.lexsort((known, keys.codes))
    starts = np.append(True, (np.diff(keys.codes[order]) != 0) | (np.diff(known[order]) != 0))[: len(order)]
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(starts) - 1
    names = keys.values.take(pa.array(keys.codes[order[starts]]))
    kept = _one_row_each(kept, group, names, table, findings)
    if LABEL in kept.columns.arrays:
        _one_verdict_each(kept.columns, findings)
    return kept


def _without_faulty(columns: Columns, findings: Findings) -> _Kept:
    """Without the rows at fault and those whose label has them dropped."""
    rejected = _rejected(columns, findings)
    dropped = columns.dropped & ~rejected
    gone = rejected | dropped
    left = columns.take(~gone) if gone.any() else columns
    return _Kept(left, len(columns), int(rejected.sum()), int(dropped.sum()))


def _rejected(columns: Columns, findings: Findings) -> np.ndarray:
    """(rows,) bool: the rows at fault."""
    rejected = np.zeros(len(columns), bool)
    for place, file in enumerate(columns.files):
        if (columns.key, file) in findings.rejects:
            rows = np.concatenate([rows for rows, _ in findings.rejects[columns.key, file]])
            rejected |= (columns.file == place) & np.isin(columns.row, rows)
    return rejected


def _one_row_each(
    kept: _Kept, group: np.ndarray, names: pa.StringArray, table: EventTable | EntityTable, findings: Findings
) -> _Kept:
    """One row per group: equal rows once; of different ones the first or the last, or a fault, as the schema says.

    `group` (rows,) numbers the rows that must be one; `names` holds the id of each group.
    """
    columns = kept.columns
    counts = np.bincount(group, minlength=len(names))
    several = np.flatnonzero(counts[group] > 1)
    if not len(several):
        return kept
    several = several[np.argsort(group[several], kind="stable")]
    starts = np.append(True, np.diff(group[several]) != 0)
    first = several[np.maximum.accumulate(np.where(starts, np.arange(len(several)), 0))]
    differs = {name: _differs(columns, name, several, first) for name in (*columns.arrays, *columns.keys)}
    conflict = np.logical_or.reduce(list(differs.values()))
    torn = np.isin(group[several], group[several[conflict]])
    exact = several[~starts & ~torn]
    warn_rows(
        columns, exact, findings, "duplicate", None, "exact duplicates of rows that came before; each counts once",
        "Nothing needs doing.", values=lambda rows: names.take(pa.array(group[rows[:SHOWN]])).to_pylist(),
    )  # fmt: skip
    gone = np.zeros(len(columns), bool)
    gone[exact] = True
    replaced = 0
    if torn.any():
        _tell_conflicts(columns, several, first, differs, names, group, table, findings)
        last = np.append(starts[1:], True)
        loses = several[torn & ~(last if table.duplicates == "last" else starts)]
        gone[loses] = True
        replaced = len(loses)
    return replace(kept, columns=columns.take(~gone), exact_duplicates=len(exact), replaced=replaced)


def _differs(columns: Columns, name: Field, rows: np.ndarray, first: np.ndarray) -> np.ndarray:
    if name in columns.keys:
        codes = columns.keys[name].codes
        return codes[rows] != codes[first]
    values = columns.arrays[name]
    nothing = np.isnan(values[rows]) & np.isnan(values[first]) if values.dtype.kind == "f" else False
    return (values[rows] != values[first]) & ~np.asarray(nothing)


def _tell_conflicts(
    columns: Columns,
    several: np.ndarray,
    first: np.ndarray,
    differs: Mapping[Field, np.ndarray],
    names: pa.StringArray,
    group: np.ndarray,
    table: EventTable | EntityTable,
    findings: Findings,
) -> None:
    """Name the rows of one id that differ, with the column and both values."""
    findings.table = columns.key
    conflicts = np.logical_or.reduce(list(differs.values()))
    for told, at in enumerate(np.flatnonzero(conflicts), 1):
        row, other = several[at], first[at]
        for name in _own_differences(columns, [name for name, found in differs.items() if found[at]], [row, other]):
            values = [_shown(columns, name, other), _shown(columns, name, row)]
            where = f"{columns.files[columns.file[other]]}, data row {columns.row[other]}"
            message = f"{names[int(group[row])].as_py()!r} has another value in {where}"
            if table.duplicates == "error":
                tell = findings.file_fault
                remedy = f"Mend the tables, or set {columns.key}.duplicates=first (or last) to keep that one."
            else:
                tell = findings.warn
                remedy = f"The {table.duplicates} one is kept."
            file = columns.files[columns.file[row]]
            tell("conflict", file, columns.columns[name], message, remedy, rows=[columns.row[row]], values=values)
        if told == SHOWN_CONFLICTS and int(conflicts.sum()) > told:
            tell = findings.file_fault if table.duplicates == "error" else findings.warn
            more = int(conflicts.sum()) - told
            tell("conflict", table.name, None, f"{more:,} more rows whose id has another content", "As above.")
            return


def _own_differences(columns: Columns, differ: Sequence[Field], rows: Sequence[int]) -> Sequence[Field]:
    """Of the fields in which two rows differ those that stand in the table: a time that it does not have follows from
    others, and differs with them."""
    own = columns.columns
    follows = {
        KNOWN_TIME: own[KNOWN_TIME] == own.get(TIME) or _are_missing(columns, own[KNOWN_TIME], rows),
        LABEL_KNOWN: own.get(LABEL_KNOWN) == own.get(LABEL),
    }
    return [name for name in differ if not follows.get(name)] or differ[:1]


def _are_missing(columns: Columns, column: str, rows: Sequence[int]) -> bool:
    return column in columns.missing and bool(columns.missing[column][rows].all())


def _shown(columns: Columns, name: Field, row: int) -> str:
    if name in columns.keys:
        code = columns.keys[name].codes[row]
        return "" if code == MISSING else columns.keys[name].values[int(code)].as_py()
    value = columns.arrays[name][row]
    if np.isnan(value) or value == {LABEL: UNLABELLED, LABEL_KNOWN: NEVER}.get(name):
        return ""
    return shown_time(value) if name in (TIME, KNOWN_TIME, LABEL_KNOWN) else str(value)


# --------------------------------------------------------------------------------------------- made ids


def _made_ids(columns: Columns) -> pa.StringArray:
    """Ids from what each row says: 16 hex digits of its time, entities and amount, then which of its equals it is.

    The number goes by the row's other columns, so neither the order of rows nor that of columns matters, and what
    else is mapped (labels, features) leaves the digits as they are.
    """
    core = [name for name in (TIME, AMOUNT) if name in columns.arrays]
    roles = sorted(name for name in columns.keys if name[0] == "role")
    content = _mix_text(np.zeros(len(columns), np.uint64), columns.name)
    for name in core:
        content = _mix(content, _bits(columns.arrays[name]))
    for name in roles:
        content = _mix_text(content, name[1])
        content = _mix(content, _key_bits(columns.keys[name]))
    rest = content
    for name in sorted(set(columns.arrays) - set(core)):
        rest = _mix(rest, _bits(columns.arrays[name]))
    for name in sorted(set(columns.keys) - set(roles)):
        rest = _mix(rest, _key_bits(columns.keys[name]))
    order = np.lexsort((rest, content))
    starts = np.append(True, np.diff(content[order]) != 0)
    number = np.empty(len(columns), np.int64)
    number[order] = np.arange(len(columns)) - np.maximum.accumulate(np.where(starts, np.arange(len(columns)), 0))
    return pc.binary_join_element_wise(_hex(content), pa.array(number).cast(pa.string()), "-")


def _bits(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64).view(np.uint64)


def _key_bits(key: Categorical) -> np.ndarray:
    return np.append(_text_bits(key.values), np.uint64(0))[key.codes]


def _mix_text(content: np.ndarray, text: str) -> np.ndarray:
    return _mix(content, np.full(len(content), _text_bits(pa.array([text]))[0]))


def _text_bits(values: pa.StringArray) -> np.ndarray:
    return _hash_texts(*text_buffers(values)) if len(values) else np.zeros(0, np.uint64)


@njit(cache=True, nogil=True)
def _hash_texts(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """64-bit FNV-1a of each text."""
    found = np.empty(len(offsets) - 1, np.uint64)
    for row in range(len(found)):
        bits = np.uint64(0xCBF29CE484222325)
        for at in range(offsets[row], offsets[row + 1]):
            bits = (bits ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
        found[row] = bits
    return found


def _mix(content: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Take `bits` into a running hash (the finalizer of splitmix64)."""
    mixed = content * np.uint64(0x9E3779B97F4A7C15) + bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _hex(values: np.ndarray) -> pa.StringArray:
    shifts = np.arange(60, -4, -4, dtype=np.uint64)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[(values[:, None] >> shifts) & np.uint64(15)]
    offsets = np.arange(0, 16 * len(values) + 1, 16, dtype=np.int32)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(digits)))


# ---------------------------------------------------------------------------------------------- assembly


def _assemble(events: Sequence[Columns], entities: Sequence[Columns], schema: DataSchema) -> EventLog:
    """All tables as one log in canonical order. Tables come sorted by name, so a type's code sorts as its name."""
    named = sorted(zip(events, schema.events, strict=True), key=lambda pair: pair[1].name)
    parts = [columns for columns, _ in named]
    types = np.repeat(np.arange(len(parts), dtype=np.int16), [len(part) for part in parts])
    times = _stack(parts, TIME, 0, np.int64)
    ids = _texts([part.ids for part in parts if part.ids is not None])
    order = canonical_order(times, types, ids)
    roles = _roles(schema)
    entity_ids, codes = _encode_entities(parts, entities, roles, order)
    label = _stack(parts, LABEL, UNLABELLED, np.int8)[order]
    label_known = _stack(parts, LABEL_KNOWN, NEVER, np.int64)[order]
    return EventLog(
        roles=roles,
        event_types=tuple(table.name for _, table in named),
        entity_ids=entity_ids,
        event_ids=ids.take(pa.array(order)),
        event_type=types[order],
        event_time=times[order],
        known_time=_stack(parts, KNOWN_TIME, 0, np.int64)[order],
        entities=codes,
        amount=_stack(parts, AMOUNT, np.nan, np.float64)[order],
        label=label,
        label_known_time=np.where(label == UNLABELLED, NEVER, label_known),
        numeric={
            name: _stack(parts, ("numeric", name), np.nan, np.float64)[order]
            for name in feature_names(schema.events, "numeric")
        },
        categorical={
            name: _sorted_key(_stack_keys(parts, ("categorical", name)), order)
            for name in feature_names(schema.events, "categorical")
        },
        attributes={
            table.name: _attributes(columns, table, entity_ids[table.name])
            for columns, table in zip(entities, schema.entities, strict=True)
            if table.numeric or table.categorical
        },
        entity_labels={
            table.name: _entity_labels(columns, entity_ids[table.name])
            for columns, table in zip(entities, schema.entities, strict=True)
            if table.label is not None
        },
    )


def canonical_order(times: np.ndarray, types: np.ndarray, ids: pa.StringArray) -> np.ndarray:
    """Positions of the rows by (event_time, event type, event id); ids compare by their UTF-8 bytes."""
    order = np.lexsort((types, times))
    same = (np.diff(times[order]) == 0) & (np.diff(types[order]) == 0)
    tied = np.append(same, False) | np.append(False, same)
    if not tied.any():
        return order
    # Only ids within ties are compared: sorting text is the dear part.
    rows = order[tied]
    rank = pc.rank(ids.take(pa.array(rows)), tiebreaker="first").to_numpy()
    order[tied] = rows[np.lexsort((rank, types[rows], times[rows]))]
    return order


def _roles(schema: DataSchema) -> tuple[Role, ...]:
    found = {role.name: Role(role.name, role.entity_type) for table in schema.events for role in table.roles}
    return tuple(found.values())


def _stack(parts: Sequence[Columns], name: Field, missing: float, dtype: type) -> np.ndarray:
    columns = [part.arrays[name] if name in part.arrays else np.full(len(part), missing, dtype) for part in parts]
    return np.concatenate(columns).astype(dtype, copy=False) if columns else np.zeros(0, dtype)


def _stack_keys(parts: Sequence[Columns], name: Field) -> Categorical:
    absent = pa.array([], pa.string())
    return merge_keys(
        [part.keys.get(name) or Categorical(np.full(len(part), MISSING, np.int32), absent) for part in parts]
    )


def _texts(parts: Sequence[pa.StringArray]) -> pa.StringArray:
    return pa.concat_arrays(list(parts)) if parts else pa.array([], pa.string())


def _sorted_key(key: Categorical, order: np.ndarray) -> Categorical:
    """The rows in `order`, over the values that occur in them, sorted by their bytes."""
    codes = key.codes[order]
    used = np.zeros(len(key.values) + 1, bool)
    used[codes] = True
    by_text = pc.sort_indices(key.values).to_numpy()
    by_text = by_text[used[:-1][by_text]]
    to = np.full(len(key.values) + 1, MISSING, np.int32)
    to[by_text] = np.arange(len(by_text))
    return Categorical(to[codes], key.values.take(pa.array(by_text)))


def _encode_entities(
    parts: Sequence[Columns], tables: Sequence[Columns], roles: Sequence[Role], order: np.ndarray
) -> tuple[dict[str, pa.StringArray], np.ndarray]:
    """Codes by first appearance in canonical order, roles left to right; then ids that only entity tables have."""
    entity_ids: dict[str, pa.StringArray] = {}
    codes = np.full((len(order), len(roles)), MISSING, np.int32)
    listed = {table.name: table.keys["role", ""] for table in tables if ("role", "") in table.keys}
    for entity_type in dict.fromkeys([*(role.entity_type for role in roles), *(table.name for table in tables)]):
        places = [place for place, role in enumerate(roles) if role.entity_type == entity_type]
        stacked = [_stack_keys(parts, ("role", roles[place].name)) for place in places]
        also = [listed[entity_type]] if entity_type in listed else []
        merged = (
            merge_keys([*stacked, *also]) if stacked or also else Categorical(np.zeros(0), pa.array([], pa.string()))
        )
        if len(places):
            taken = np.stack(np.split(merged.codes[: len(places) * len(order)], len(places)), axis=1)[order]
            codes[:, places], first = _renumber(np.ascontiguousarray(taken), len(merged.values))
        else:
            first = np.zeros(0, np.int64)
        known = np.zeros(len(merged.values), bool)
        known[first] = True
        present = np.zeros(len(merged.values) + 1, bool)
        present[merged.codes[len(places) * len(order) :]] = True
        others = np.flatnonzero(present[:-1] & ~known)
        others = others[pc.sort_indices(merged.values.take(pa.array(others))).to_numpy()]
        entity_ids[entity_type] = merged.values.take(pa.array(np.concatenate([first, others])))
    return entity_ids, codes


@njit(cache=True, nogil=True)
def _renumber(codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(new codes by first appearance row by row, the old codes in that order)."""
    to = np.full(count, -1, np.int32)
    first = np.empty(count, np.int64)
    found = 0
    renumbered = np.empty_like(codes)
    for row in range(codes.shape[0]):
        for place in range(codes.shape[1]):
            code = codes[row, place]
            if code < 0:
                renumbered[row, place] = -1
                continue
            if to[code] < 0:
                to[code] = found
                first[found] = code
                found += 1
            renumbered[row, place] = to[code]
    return renumbered, first[:found]


def _entity_codes(columns: Columns, ids: pa.StringArray) -> np.ndarray:
    key = columns.keys.get(("role", ""))
    if key is None:
        return np.zeros(0, np.int32)
    return places_in(key.values, ids).astype(np.int32)[key.codes]


def _attributes(columns: Columns, table: EntityTable, ids: pa.StringArray) -> EntityAttributes:
    entity = _entity_codes(columns, ids)
    known = _stack([columns], KNOWN_TIME, 0, np.int64)
    order = np.lexsort((known, entity))
    return EntityAttributes(
        entity=entity[order],
        known_time=known[order],
        numeric={name: _stack([columns], ("numeric", name), np.nan, np.float64)[order] for name in table.numeric},
        categorical={
            name: _sorted_key(_stack_keys([columns], ("categorical", name)), order) for name in table.categorical
        },
    )


def _entity_labels(columns: Columns, ids: pa.StringArray) -> EntityLabels:
    """One verdict per entity: of several rows that agree, the time at which the first was known."""
    label, known = np.full(len(ids), UNLABELLED, np.int8), np.full(len(ids), NEVER, np.int64)
    entity = _entity_codes(columns, ids)
    verdicts = _stack([columns], LABEL, UNLABELLED, np.int8)
    told = verdicts != UNLABELLED
    label[entity[told]] = verdicts[told]
    np.minimum.at(known, entity[told], _stack([columns], LABEL_KNOWN, NEVER, np.int64)[told])
    return EntityLabels(label, known)


# ---------------------------------------------------------------------------------------------- the report


def _summarise(kept: _Kept, kind: str) -> TableSummary:
    columns = kept.columns
    label = columns.arrays.get(LABEL, np.zeros(0, np.int8))
    times = columns.arrays.get(TIME, np.zeros(0, np.int64))
    return TableSummary(
        name=columns.name,
        kind=kind,
        files=columns.files,
        rows=kept.read,
        kept=len(columns),
        exact_duplicates=kept.exact_duplicates,
        replaced=kept.replaced,
        dropped=kept.dropped,
        rejected=kept.rejected,
        positive=int((label == 1).sum()),
        negative=int((label == 0).sum()),
        unlabelled=int((label == UNLABELLED).sum()),
        first_time=shown_time(times.min()) if len(times) else None,
        last_time=shown_time(times.max()) if len(times) else None,
        missing={column: int(cells.sum()) for column, cells in columns.missing.items() if cells.any()},
    )


def _refuse_files_of_others(tables: Mapping[str, Columns], folder: Path, findings: Findings) -> None:
    """Quarantine replaces and removes files of earlier runs, but none that is read, and none that it did not write."""
    read = {Path(file).resolve(): file for columns in tables.values() for file in columns.files}
    for target in (folder / f"{name}.parquet" for name in tables):
        if target.resolve() in read:
            file, what = read[target.resolve()], "is read, and is where rejected rows would be written"
        elif target.exists() and not _holds_rejects(target):
            file, what = str(target), "is where rejected rows would be written, and holds something else"
        else:
            continue
        remedy = "Move it to another folder, or set data.quarantine to another one."
        findings.file_fault("quarantine", file, None, what, remedy)


def _holds_rejects(file: Path) -> bool:
    try:
        return "rejected_from" in pq.read_schema(file).names
    except (OSError, pa.ArrowException):
        return False


def _write_quarantine(
    tables: Mapping[str, Columns], folder: Path, findings: Findings, schema: DataSchema
) -> tuple[str, ...]:
    """Write each table's rejected rows, as they stand in the files, with file, row and reasons; return the files, named
    as the `tables`. What an earlier run wrote for a table that has none is removed."""
    written = []
    for name, columns in tables.items():
        target = folder / f"{name}.parquet"
        parts = [
            _rejected_rows(Path(file), findings.rejects[columns.key, file], schema)
            for file in columns.files
            if (columns.key, file) in findings.rejects
        ]
        if parts:
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as made:
                pq.write_table(pa.concat_tables(parts, promote_options="default"), made)
            written.append(str(target))
        elif target.is_file():
            target.unlink()
    return tuple(written)


def _rejected_rows(file: Path, found: Sequence[tuple[np.ndarray, str]], schema: DataSchema) -> pa.Table:
    reasons: dict[int, list[str]] = {}
    for rows, reason in found:
        for row in rows:
            reasons.setdefault(int(row), []).append(reason)
    parts = []
    for block in read_blocks(file, None, csv=schema.csv, findings=Findings()):
        numbers = np.arange(block.first_row, block.first_row + len(block.broken))
        hit = np.flatnonzero(np.isin(numbers, list(reasons)))
        if len(hit):
            made = {
                "rejected_from": pa.array([str(file)] * len(hit)),
                "rejected_row": pa.array(numbers[hit]),
                "rejected_for": pa.array(["; ".join(dict.fromkeys(reasons[int(row)])) for row in numbers[hit]]),
            }
            if block.lines:
                made["raw_line"] = pa.array([block.lines.get(int(row)) for row in hit], pa.string())
            cells = {name: _as_they_stand(array.take(pa.array(hit))) for name, array in block.columns.items()}
            # The reasons of before, in a file that came out of quarantine, give way to those of now.
            parts.append(pa.table(made | cells | made))
    return pa.concat_tables(parts, promote_options="default")


def _as_they_stand(array: pa.Array) -> pa.StringArray:
    """Cells as text; lists and structs, which Arrow cannot write as text, as JSON."""
    try:
        return array.cast(pa.string())
    except pa.ArrowException:
        cells = array.to_pylist()
        return pa.array([None if cell is None else _cell_text(cell) for cell in cells], pa.string())


def _cell_text(cell: object) -> str:
    return json.dumps(cell, default=str, ensure_ascii=False) if isinstance(cell, list | dict) else str(cell)
