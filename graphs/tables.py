"""One table of the schema to typed columns, block by block, with everything doubtful noted on the way.

What comes out is still in the order of the files and knows of every row which file and line it was, since faults
that only show later (two rows of one id) must name them, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from graphs.events import ALWAYS, MISSING, NEVER, UNLABELLED, Categorical
from graphs.readers import Block, find_files, read_blocks
from graphs.report import Findings, Values
from graphs.schema import ROUNDINGS, CsvFormat, DataSchema, EntityTable, EventTable, LabelColumn, TimeColumn
from graphs.values import (
    Keys,
    Numbers,
    Times,
    as_text,
    category_text,
    is_word,
    normalise,
    parse_labels,
    parse_numbers,
    parse_times,
    read_keys,
)

Field = tuple[str, str]
"""What a column is: its kind and, where there are several of the kind, its name: ("role", "user"), ("time", "")."""

TIME, KNOWN_TIME, AMOUNT = ("time", ""), ("known_time", ""), ("amount", "")
LABEL, LABEL_KNOWN = ("label", ""), ("label_known", "")

DOUBTFUL_NUMBER = r"^\d[\d.]*(E[+\d]|\.0$)"
DAMAGES = (
    (
        "shortened",
        r"^\d(\.\d+)?E\+\d+$",
        "looks like a number shortened by a spreadsheet: different ids may have become the same",
        "Re-export the column as text.",
    ),
    (
        "maybe-shortened",
        r"^\d+(\.\d+)?E\d+$",
        "may be a number shortened by a spreadsheet, or a real code",
        "Look at the source; re-export the column as text if it was a number.",
    ),
    (
        "through-float",
        r"^\d+\.0$",
        "looks like a whole number that was read as one with a fraction",
        "Re-export the column as text.",
    ),
)
"""What spreadsheets and number readers do to ids: code, pattern, message, remedy."""


@dataclass(frozen=True)
class Columns:
    """Rows of one table, which the configuration holds at `key`: `file` (rows,) int32 into `files` and `row` (rows,)
    int64 their data row there; `arrays` are (rows,) numbers, `keys` (rows,) codes; `ids` is None where the table has
    none. `columns` tells the user's name of a field, `dropped` marks rows that go for their label, `missing` (rows,)
    bool the empty cells of a column of the user's that has any."""

    name: str
    key: str
    files: tuple[str, ...]
    file: np.ndarray
    row: np.ndarray
    ids: pa.StringArray | None
    arrays: dict[Field, np.ndarray]
    keys: dict[Field, Categorical]
    columns: dict[Field, str]
    dropped: np.ndarray
    missing: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.file)

    def take(self, rows: np.ndarray) -> Columns:
        """The rows at these positions, or in this mask."""
        positions = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            file=self.file[positions],
            row=self.row[positions],
            ids=None if self.ids is None else self.ids.take(pa.array(positions)),
            arrays={name: values[positions] for name, values in self.arrays.items()},
            keys={name: Categorical(key.codes[positions], key.values) for name, key in self.keys.items()},
            dropped=self.dropped[positions],
            missing={column: cells[positions] for column, cells in self.missing.items()},
        )

    def by_file(self, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """The rows at these positions apart by their files."""
        for place in np.unique(self.file[rows]):
            yield self.files[place], rows[self.file[rows] == place]


def warn_rows(
    columns: Columns,
    rows: np.ndarray,
    findings: Findings,
    code: str,
    column: str | None,
    message: str,
    remedy: str,
    *,
    values: Callable[[np.ndarray], Values] = lambda rows: (),
) -> None:
    """A warning for each file that holds some of the rows at these positions, with the `values` of those in it."""
    findings.table = columns.key
    for file, here in columns.by_file(rows):
        findings.warn(code, file, column, message, remedy, rows=columns.row[here], values=values(here))


def read_event_table(table: EventTable, schema: DataSchema, findings: Findings) -> Columns:
    """Read the event table; faults go to `findings`, and what a faulty cell becomes does not matter."""
    reader = _TableReader(table, f"data.events.{table.name}", schema, findings)
    columns = reader.read(reader.event_block)
    told_when = (table.label_known, table.label_delay_days, table.label and table.label.known)
    if table.label is not None and told_when == (None, None, None):
        findings.warn(
            "label-delay",
            _where(columns),
            reader.label_column,
            "nothing says when labels become known; they count as known at once",
            f"Set data.events.{table.name}.label_known to a column or label_delay_days to a number.",
        )
    for role in table.roles:
        _warn_placeholders(columns, ("role", role.name), schema, findings)
    return columns


def read_entity_table(table: EntityTable, schema: DataSchema, findings: Findings) -> Columns:
    """Read the entity table; its ids are the keys of the field ("role", "")."""
    reader = _TableReader(table, f"data.entities.{table.name}", schema, findings)
    return reader.read(reader.entity_block)


def read_label_source(label: LabelColumn, schema: DataSchema, findings: Findings, key: str) -> Columns:
    """The other table that holds labels: ids as the keys of ("role", ""), the fields LABEL and LABEL_KNOWN."""
    assert label.source is not None and label.key is not None
    own = replace(label, source=None, key=None, known=None)
    source = EntityTable(key, (label.source,), label.key, label=own, label_known=label.known)
    reader = _LabelReader(source, key, schema, findings)
    return reader.read(reader.entity_block)


class _TableReader:
    row_word = "an entity"

    def __init__(self, table: EventTable | EntityTable, key: str, schema: DataSchema, findings: Findings) -> None:
        self.table = table
        self.key = key
        self.schema = schema
        self.findings = findings
        self.arrays: dict[Field, list[np.ndarray]] = {}
        self.keys: dict[Field, list[Keys]] = {}
        self.ids: list[pa.StringArray] = []
        self.columns: dict[Field, str] = {}
        self.missing: dict[str, dict[int, np.ndarray]] = {}
        self.dropped: list[np.ndarray] = []

    @property
    def label_column(self) -> str | None:
        return None if self.table.label is None else self.table.label.column

    def key_of(self, name: str) -> str:
        """The key of the configuration that says `name` of this table."""
        return f"{self.key}.{name}"

    def read(self, read_block: Callable[[Block], None]) -> Columns:
        paths = [self.schema.resolve(path) for path in self.table.path]
        files = find_files(paths, self.findings)
        self.findings.table = self.key
        places: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        with tqdm(desc=f"reading {self.table.name}", unit=" rows", unit_scale=True, disable=None, leave=False) as bar:
            for place, file in enumerate(files):
                for block in read_blocks(file, self._wanted(), csv=self.schema.csv, findings=self.findings):
                    count = len(block.broken)
                    places.append(np.full(count, place, np.int32))
                    rows.append(np.arange(block.first_row, block.first_row + count))
                    self.dropped.append(np.zeros(count, bool))
                    read_block(block)
                    bar.update(count)
        return Columns(
            name=self.table.name,
            key=self.key,
            files=tuple(str(file) for file in files),
            file=_joined(places, np.int32),
            row=_joined(rows, np.int64),
            ids=pa.concat_arrays(self.ids) if self.ids else None,
            arrays={name: np.concatenate(parts) for name, parts in self.arrays.items()},
            keys={name: merge_keys(parts) for name, parts in self.keys.items()},
            columns=self.columns,
            dropped=_joined(self.dropped, np.bool_),
            missing={
                column: _joined([found.get(at, np.zeros(len(part), bool)) for at, part in enumerate(rows)], np.bool_)
                for column, found in self.missing.items()
            },
        )

    def _wanted(self) -> dict[str, str]:
        """The columns to read, each with the key that a message about it names."""
        table = self.table
        wanted: dict[str, str] = {}
        singles = {"id": table.id, "label": None, "known_time": table.known_time}
        if isinstance(table, EventTable):
            singles |= {"time": table.time, "amount": table.amount}
            singles |= {f"roles.{role.name}": role.column for role in table.roles}
        if table.label is not None:
            singles["label"] = table.label.column if table.label.source is None else None
            singles["label_known"] = table.label_known
        for name, found in singles.items():
            column = found.column if isinstance(found, TimeColumn) else found
            if column is not None:
                wanted.setdefault(column, self.key_of(name))
        for kind in ("numeric", "categorical"):
            for column in getattr(table, kind):
                wanted.setdefault(column, f"{self.key}.{kind}")
        return wanted

    # ------------------------------------------------------------------------------------- blocks

    def event_block(self, block: Block) -> None:
        table = self.table
        assert isinstance(table, EventTable)
        if table.id is not None:
            self.ids.append(self._ids(block, table.id))
        time = self._times(block, "time", table.time, required=True)
        event_time = self._rounded(time.micros)
        known = np.where(time.date_only, time.last, event_time)
        if table.known_time is not None:
            learned = self._times(block, "known_time", table.known_time)
            known = np.where(learned.fine, learned.last, known)
        self._put(TIME, table.time.column, event_time)
        self._put(KNOWN_TIME, (table.known_time or table.time).column, known)
        for role in table.roles:
            self._add_keys(block, ("role", role.name), role.column, ids=True)
        if table.amount is not None:
            numbers = self._numbers(block, table.amount)
            self._warn_amounts(block, table.amount, numbers)
            self._put(AMOUNT, table.amount, numbers.values)
        self._features(block)
        if table.label is not None:
            delay = round((table.label_delay_days or 0) * 86_400e6)
            # Nobody has a verdict on an event that has not come into sight.
            self._labels(block, table.label, np.maximum(event_time, known) + delay)

    def entity_block(self, block: Block) -> None:
        table = self.table
        assert isinstance(table, EntityTable)
        keys = self._add_keys(block, ("role", ""), table.id, ids=True)
        absent = np.flatnonzero((keys.codes == MISSING) & ~keys.bad & ~block.broken)
        if len(absent):
            self.findings.row_fault("no-id", block, table.id, absent, f"{self.row_word} without an id", "Fill it in.")
        known = np.full(len(block.broken), ALWAYS)
        if table.known_time is not None:
            learned = self._times(block, "known_time", table.known_time)
            known = np.where(learned.fine, learned.last, NEVER)
            self._warn_never_known(block, table.known_time.column, learned)
        self._put(KNOWN_TIME, table.id if table.known_time is None else table.known_time.column, known)
        self._features(block)
        if table.label is not None:
            self._labels(block, table.label, np.full(len(block.broken), NEVER))

    def _warn_never_known(self, block: Block, column: str, learned: Times) -> None:
        rows = np.flatnonzero(learned.missing & ~block.broken)
        if len(rows):
            self.findings.warn(
                "never-known", block.file, column, "nothing says since when these rows are known: they never are",
                f"Fill it in, with 1970-01-01 where a row held from the start, or set {self.key}.known_time=null if "
                "all rows did.",
                rows=rows + block.first_row,
            )  # fmt: skip

    def _features(self, block: Block) -> None:
        for column in self.table.numeric:
            self._put(("numeric", column), column, self._numbers(block, column).values)
        for column in self.table.categorical:
            self._add_keys(block, ("categorical", column), column, ids=False)

    def _put(self, name: Field, column: str, values: np.ndarray) -> None:
        self.arrays.setdefault(name, []).append(values)
        self.columns[name] = column

    # ------------------------------------------------------------------------------------ columns

    def _ids(self, block: Block, column: str) -> pa.StringArray:
        array = block.columns[column]
        plain, bad = as_text(array)
        text = normalise(plain, self.schema.id_normalisation)
        longest = max(map(len, self.schema.null_values))
        # Most ids are longer than any null word; only the short ones are looked up.
        short = np.flatnonzero(pc.fill_null(pc.less_equal(pc.utf8_length(text), longest), True))
        absent = np.zeros(len(text), bool)
        absent[short] = is_word(text.take(pa.array(short)), self.schema.null_values)
        self._bad_ids(block, column, array, bad)
        rows = np.flatnonzero(absent & ~bad & ~block.broken)
        if len(rows):
            remedy = f"Fill it in, or set {self.key}.id=null to have ids made from the rows' content."
            self.findings.row_fault("no-id", block, column, rows, "an event without an id", remedy)
        self._missing(column, absent & ~block.broken)
        altered = pc.fill_null(pc.not_equal(plain, text), False).to_numpy(zero_copy_only=False)
        text = pc.fill_null(text, "")
        self._warn_ids(block, column, text, np.arange(len(text)), altered & ~absent)
        return text

    def _bad_ids(self, block: Block, column: str, array: pa.Array, bad: np.ndarray) -> None:
        rows = np.flatnonzero(bad)
        if len(rows):
            message = f"an id cannot be of the type {array.type}, or has a fraction"
            remedy = "Export the column as text."
            self.findings.row_fault("id-type", block, column, rows, message, remedy, values=_cells(array, rows))

    def _times(self, block: Block, name: str, spec: TimeColumn, *, required: bool = False) -> Times:
        schema, column = self.schema, spec.column
        array = block.columns[column]
        times = parse_times(array, spec, timezone=schema.timezone, dst=schema.dst, nulls=schema.null_values)

        def fault(code: str, found: np.ndarray, message: str, remedy: str) -> None:
            rows = np.flatnonzero(found & ~block.broken)
            if len(rows):
                self.findings.row_fault(code, block, column, rows, message, remedy, values=_cells(array, rows))

        what = "not a time" if spec.format is None else f"not a time of the format {spec.format}"
        fault("time", times.bad, what, _time_remedy(self.key_of(name), spec, array, times))
        fault(
            "zone",
            times.zoneless,
            "a time without a zone",
            "Set data.timezone to the zone that these times are in, such as data.timezone=UTC.",
        )
        skipped = times.nonexistent & times.date_only
        fault("skipped-day", skipped, f"a day that {schema.timezone} skipped", "Correct it.")
        fault(
            "clock-change",
            times.ambiguous | (times.nonexistent & ~skipped),
            f"a clock time that {schema.timezone} shows twice or never, where clocks change",
            "Set data.dst=earlier or data.dst=later to take that one of the two instants it may mean.",
        )
        if required:
            fault("no-time", times.missing, "an event without a time", "Fill it in, or leave the row out.")
            self._warn_dates(block, column, times)
        self._missing(column, times.missing & ~block.broken)
        return times

    def _warn_dates(self, block: Block, column: str, times: Times) -> None:
        rows = np.flatnonzero(times.date_only & times.fine)
        if len(rows):
            self.findings.warn(
                "date-only",
                block.file,
                column,
                "dates without a time of day; the order within a day is lost, and events of a day count as known "
                "at its end",
                "Export the column with the time of day, where there is one.",
                rows=rows + block.first_row,
            )

    def _rounded(self, micros: np.ndarray) -> np.ndarray:
        if self.schema.round_time is None:
            return micros
        step = ROUNDINGS[self.schema.round_time]
        return micros // step * step

    def _numbers(self, block: Block, column: str) -> Numbers:
        array = block.columns[column]
        csv = self.schema.csv
        numbers = parse_numbers(array, csv, nulls=self.schema.null_values)
        rows = np.flatnonzero(numbers.bad & ~block.broken)
        if len(rows):
            values = _cells(array, rows)
            good = np.flatnonzero(~(numbers.bad | numbers.missing))
            message, remedy = _number_fault(array.type, csv, values, _cells(array, good))
            self.findings.row_fault("number", block, column, rows, message, remedy, values=values)
        grouped = np.flatnonzero(numbers.grouped)
        if len(grouped):
            mark = csv.thousands or ("," if csv.decimal == "." else ".")
            self._warn(block, "thousands", column, grouped, f"'{mark}' was read as a thousands mark", array)
        if len(numbers.currencies) > 1:
            signs = " ".join(sorted(numbers.currencies))
            self.findings.warn(
                "currencies", block.file, column, f"several currencies ({signs}); amounts are not converted",
                "Convert the amounts before they come here.",
            )  # fmt: skip
        self._missing(column, numbers.missing & ~block.broken)
        return numbers

    def _warn_amounts(self, block: Block, column: str, numbers: Numbers) -> None:
        with np.errstate(invalid="ignore"):
            negative, zero = np.flatnonzero(numbers.values < 0), np.flatnonzero(numbers.values == 0)
        array = block.columns[column]
        if len(negative):
            self._warn(block, "negative-amount", column, negative, "negative amounts (refunds?) are kept", array)
        if len(zero):
            self._warn(block, "zero-amount", column, zero, "amounts of zero are kept", array)

    def _warn(
        self,
        block: Block,
        code: str,
        column: str,
        rows: np.ndarray,
        message: str,
        array: pa.Array,
        remedy: str = "Nothing needs doing if that is right.",
    ) -> None:
        self.findings.warn(
            code,
            block.file,
            column,
            message,
            remedy,
            rows=rows + block.first_row,
            values=_cells(array, rows),
        )

    def _labels(self, block: Block, spec: LabelColumn, known: np.ndarray) -> None:
        count = len(block.broken)
        label = np.full(count, UNLABELLED, np.int8)
        if spec.source is None:
            label = self._verdicts(block, spec)
        if self.table.label_known is not None:
            learned = self._times(block, "label_known", self.table.label_known)
            known = np.where(learned.fine, learned.last, NEVER)
        self._put(LABEL, spec.column, label)
        self._put(LABEL_KNOWN, spec.column if self.table.label_known is None else self.table.label_known.column, known)

    def _verdicts(self, block: Block, spec: LabelColumn) -> np.ndarray:
        array = block.columns[spec.column]
        label, unknown = parse_labels(array, spec, nulls=self.schema.null_values)
        rows = np.flatnonzero(unknown & ~block.broken)
        if not len(rows):
            return label
        words = f"{self.key_of('label.positive')}, negative or unlabelled"
        values = Counter(_cells(array, rows, limit=len(rows)))
        if spec.unknown == "drop":
            self.dropped[-1] |= unknown
            self.findings.warn(
                "label", block.file, spec.column, "rows dropped, for their label is not understood",
                f"Add its words to {words}.",
                rows=rows + block.first_row, values=values,
            )  # fmt: skip
        else:
            self.findings.row_fault(
                "label", block, spec.column, rows, "label not understood",
                f"Add these words to {words}, or set {self.key_of('label.unknown')}=drop.",
                values=values,
            )  # fmt: skip
        return label

    def _add_keys(self, block: Block, name: Field, column: str, *, ids: bool) -> Keys:
        array = block.columns[column]
        rule = self.schema.id_normalisation if ids else "trim"
        keys = read_keys(array if ids else category_text(array), nulls=self.schema.null_values, normalisation=rule)
        self.keys.setdefault(name, []).append(keys)
        self.columns[name] = column
        self._missing(column, (keys.codes == MISSING) & ~keys.bad & ~block.broken)
        if ids:
            self._bad_ids(block, column, array, keys.bad)
            self._warn_ids(block, column, keys.values, keys.codes, keys.changed)
        else:
            self._bad_categories(block, column, array, keys.bad)
        return keys

    def _bad_categories(self, block: Block, column: str, array: pa.Array, bad: np.ndarray) -> None:
        rows = np.flatnonzero(bad)
        if len(rows):
            message = f"a category cannot be of the type {array.type}"
            if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
                message = "a category of bytes that are no text"
            remedy = f"Export the column as text, or take it out of {self.key}.categorical."
            self.findings.row_fault("category-type", block, column, rows, message, remedy, values=_cells(array, rows))

    def _warn_ids(
        self, block: Block, column: str, values: pa.StringArray, codes: np.ndarray, changed: np.ndarray
    ) -> None:
        """What has become of the ids `values[codes]` on their way here; `changed` (rows,) bool."""
        if changed.any():
            self.findings.warn(
                "normalised",
                block.file,
                column,
                f"ids changed by id_normalisation={self.schema.id_normalisation}",
                "Set data.id_normalisation=none to keep them as they are.",
                rows=np.flatnonzero(changed) + block.first_row,
            )
        doubtful = pc.match_substring_regex(values, DOUBTFUL_NUMBER).to_numpy(zero_copy_only=False)
        if not doubtful.any():
            return
        for code, pattern, message, remedy in DAMAGES:
            hit = pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)
            if hit.any():
                rows = np.flatnonzero(np.append(hit, False)[codes])
                self._warn(block, code, column, rows, message, block.columns[column], remedy)

    def _missing(self, column: str, rows: np.ndarray) -> None:
        """Note empty cells of this block; a column that is used twice has them once."""
        if rows.any():
            found = self.missing.setdefault(column, {})
            place = len(self.dropped) - 1
            found[place] = found.get(place, False) | rows


class _LabelReader(_TableReader):
    """Reads the other table of a label, whose columns and words the configuration names under the label itself."""

    row_word = "a row"

    def key_of(self, name: str) -> str:
        names = {"id": "key", "label": "column", "label_known": "known"}
        return f"{self.key}.{names.get(name, name.removeprefix('label.'))}"


def merge_keys(parts: Sequence[Keys | Categorical]) -> Categorical:
    """Codes of several parts over one list of values, in order of first appearance in the parts."""
    if len(parts) == 1:
        return Categorical(parts[0].codes, parts[0].values)
    chunks = [
        pa.DictionaryArray.from_arrays(pa.array(part.codes, mask=part.codes == MISSING), part.values) for part in parts
    ]
    unified = pa.chunked_array(chunks, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
    codes = [pc.fill_null(chunk.indices, MISSING).to_numpy(zero_copy_only=False) for chunk in unified.chunks]
    values = unified.chunk(0).dictionary if unified.num_chunks else pa.array([], pa.string())
    return Categorical(_joined(codes, np.int32).astype(np.int32, copy=False), values)


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _cells(array: pa.Array, rows: np.ndarray, *, limit: int = 50) -> list[str]:
    taken = array.take(pa.array(rows[:limit]))
    return ["" if value is None else str(value) for value in taken.to_pylist()]


def _where(columns: Columns) -> str:
    return columns.files[0] if len(columns.files) == 1 else f"table {columns.name}"


def _number_fault(kind: pa.DataType, csv: CsvFormat, values: Sequence[str], good: Sequence[str]) -> tuple[str, str]:
    """(message, remedy) about cells that are no numbers, beside some that are."""
    if pa.types.is_floating(kind):
        return "an infinite number", "Export empty cells in place of infinite numbers."
    if not pa.types.is_string(kind):
        return f"not a number but of the type {kind}", "Export the column as numbers, or leave it out."
    if {value.strip().lower() for value in values} <= {"true", "false"}:
        return "a truth value and not a number", "List the column under categorical, or write 1 and 0."
    marks = _other_marks(csv, values, good)
    # A mark of ' must not end the quotes of the shell.
    written = [f'"data.csv.{key}=\\"\'\\""' if mark == "'" else f"'data.csv.{key}=\"{mark}\"'" for key, mark in marks]
    advice = f"set {' and '.join(written)}, " if written else ""
    return (
        f"not a number with the decimal mark '{csv.decimal}'",
        f"Correct it, {advice}or add the word to data.extra_null_values.",
    )


def _other_marks(csv: CsvFormat, values: Sequence[str], good: Sequence[str]) -> list[tuple[str, str]]:
    """The keys of `csv` and the marks, as few as may be, by which some of `values` and all of `good` are numbers."""
    other = "," if csv.decimal == "." else "."
    for changes in (
        {"decimal": other}, {"thousands": " "}, {"thousands": "'"}, {"decimal": other, "thousands": csv.decimal},
        {"decimal": other, "thousands": " "}, {"decimal": other, "thousands": "'"},
    ):  # fmt: skip
        made = replace(csv, **changes)
        cells = pa.array([*values, *good], pa.string())
        bad = parse_numbers(cells, made, nulls=frozenset()).bad
        if made.decimal != made.thousands and not bad[: len(values)].all() and not bad[len(values) :].any():
            return list(changes.items())
    return []


def _time_remedy(key: str, spec: TimeColumn, array: pa.Array, times: Times) -> str:
    """What to do about cells that are no time, in the column that the configuration names at `key`.

    Another unit is advised where nothing can be read by the present one: digits betray it by their number.
    """
    if spec.format is not None:
        return "Correct it, or give the column the format that it has; times lie between 1900 and 2200."
    first = _cells(array, np.flatnonzero(times.bad)[:1])
    digits = first[0].split(".")[0] if first else ""
    counted = digits.isdigit()
    unit = {10: "s", 13: "ms", 16: "us", 19: "ns"}.get(len(digits), spec.unit) if counted else "iso"
    if unit != spec.unit and (times.bad | times.missing).all() and _is_time(first, replace(spec, unit=unit)):
        looks = f"{unit} since 1970" if counted else "text, not a count since 1970"
        return f"It looks like {looks}: set {key}.unit={unit}."
    return (
        "Write 2025-03-01T10:00:00Z or the like, between 1900 and 2200, or give the column a format: "
        "{column: …, format: '%d/%m/%Y %H:%M'}."
    )


def _is_time(cells: Sequence[str], spec: TimeColumn) -> bool:
    times = parse_times(pa.array(cells, pa.string()), spec, timezone="UTC", dst="earlier", nulls=frozenset())
    return bool(times.fine.all())


def _warn_placeholders(columns: Columns, name: Field, schema: DataSchema, findings: Findings) -> None:
    """A stand-in like 'unknown' would join strangers: warn where several others meet in it."""
    key = columns.keys.get(name)
    if key is None:
        return
    others = [field for field in columns.keys if field[0] == "role" and field != name]
    for code in np.flatnonzero(is_word(key.values, schema.placeholders)):
        rows = np.flatnonzero(key.codes == code)
        met = np.unique(columns.keys[others[0]].codes[rows]) if others else rows
        met = met[met != MISSING]
        if len(met) >= 2:
            text = key.values[int(code)].as_py()
            who = f"{others[0][1]}s" if others else "events"
            message = f"{text!r} appears for {len(met)} {who} and looks like a placeholder; it joins them"
            remedy = f"If it means nothing, set 'data.extra_null_values=[\"{text}\"]'."
            warn_rows(columns, rows, findings, "placeholder", columns.columns[name], message, remedy)
