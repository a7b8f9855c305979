"""Files to blocks of columns: CSV cells as the text they are, Parquet columns in their own types.

The CSV reader is ours because of what it must never do: guess a type (007 is not 7), or read on over a quote that is
never closed as if nothing had happened. It finds cells in one linear pass over the bytes, block by block, so memory
does not grow with the file, and it knows the data row of every cell when something must be reported.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from graphs.report import Findings
from graphs.schema import CsvFormat
from graphs.signatures import nearest

BLOCK_BYTES = 1 << 24
BLOCK_ROWS = 1 << 18
LONGEST_RECORD = 1 << 26
"""A record of more bytes than this is taken for a quote that nobody closed."""

CSV_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".csv.gz", ".tsv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
SPREADSHEET_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")

_PACKED = "a file packed by gzip"
_UNPACK = "Unpack it, or pack it by gzip with a name that ends in .csv.gz."
_OTHER_KINDS = (
    (b"PAR1\x15", "a Parquet file", "Unpack it where it is packed, and let its name end in .parquet."),
    (b"\x1f\x8b\x08", _PACKED, "Let its name end in .csv.gz, or unpack it."),
    *((b"BZh%d1AY&SY" % level, "a file packed by bzip2", _UNPACK) for level in range(1, 10)),
    (b"\xfd7zXZ\x00", "a file packed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd", _UNPACK),
    (b"PK\x03\x04", "a zip file or a spreadsheet", "Unpack it, or save its sheet as CSV UTF-8."),
)
"""What is often taken for CSV: the bytes that it begins with, what it is, and the remedy."""

_LONGEST_MARK = max(len(mark) for mark, _, _ in _OTHER_KINDS)

_UNCLOSED, _STRAY = 1, 2
_LF, _CR = 10, 13


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of one file. `first_row` is the 1-based data row of the first; `broken` (rows,) bool marks
    rows without the right number of fields, whose cells are empty; where all columns are read, `lines` holds the text
    of these by their place in the block."""

    file: str
    first_row: int
    columns: dict[str, pa.Array]
    broken: np.ndarray
    lines: Mapping[int, str] = field(default_factory=dict)


def find_files(paths: Sequence[Path], findings: Findings) -> list[Path]:
    """The files that paths, folders and patterns name, each folder's and pattern's in order of name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if _is_table(file, path))
        elif path.is_file():
            inside = [path]
        elif any(mark in str(path) for mark in "*?["):
            inside = sorted(file for file in Path(path.anchor or ".").glob(_below_anchor(path)) if file.is_file())
        else:
            inside = []
        if not inside and path.is_dir():
            kinds = ", ".join((*CSV_SUFFIXES, *PARQUET_SUFFIXES))
            findings.missing_file(path, "the folder holds no table", f"Put files into it whose names end in {kinds}.")
        elif not inside:
            findings.missing_file(path, "there is no such file", "Check the path.")
        found += [file for file in inside if file not in found]
    return found


def _is_table(file: Path, folder: Path) -> bool:
    """Engines leave files and folders like _SUCCESS and .crc beside the tables they write."""
    hidden = any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden and file.name.lower().endswith((*CSV_SUFFIXES, *PARQUET_SUFFIXES))


def _below_anchor(path: Path) -> str:
    return str(path.relative_to(path.anchor)) if path.anchor else str(path)


def read_blocks(
    file: Path,
    columns: Mapping[str, str] | None,
    *,
    csv: CsvFormat,
    findings: Findings,
) -> Iterator[Block]:
    """The rows of `file` in blocks, each with the columns that `columns` maps to their keys in the configuration
    (None: all there are, those of one name told apart by their place).

    Faults of the file as a whole go to `findings` and end its reading; a row with too few or too many fields is
    marked in its block.
    """
    if file.name.lower().endswith(PARQUET_SUFFIXES):
        yield from _read_parquet(file, columns, findings)
    elif file.name.lower().endswith(SPREADSHEET_SUFFIXES):
        findings.file_fault(
            "spreadsheet",
            file,
            None,
            "this is a spreadsheet",
            "Save its sheet as CSV UTF-8, with columns of ids formatted as text, and name that file instead.",
        )
    else:
        yield from _CsvReader(file, columns, csv, findings).blocks()


def _check_columns(file: Path, present: Sequence[str], wanted: Mapping[str, str], findings: Findings) -> bool:
    fine = True
    for name, key in wanted.items():
        count = list(present).count(name)
        if count == 1:
            continue
        fine = False
        if count > 1:
            findings.file_fault(
                "double-column", file, name, f"the header names it {count} times", "Rename all but one."
            )
            continue
        hint = nearest(name, present) or f"; there are: {', '.join(present[:30])}"
        listed = key.rpartition(".")[2] in ("numeric", "categorical")
        column = _column_key(key)
        null = "" if _is_required(key) else f", or {f'{key} ' if column != key else ''}to null where the table has none"
        null += "; a model that was trained on amounts needs it, if empty" if key.endswith(".amount") else ""
        left_out = f"Take it out of {key}, or add it, empty, where a model that was trained on it is to score."
        remedy = left_out if listed else f"Set {column} to the right column{null}."
        findings.file_fault("missing-column", file, name, f"there is no such column{hint}", remedy)
    return fine


def _places(header: Sequence[str]) -> dict[str, int]:
    """The place of every column by a name of its own: a second `note` in the third place is `note (3)`."""
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        own = name
        while own == "" or own in places or (own != name and own in header):
            own = f"{own} ({place + 1})".strip()
        places[own] = place
    return places


def _column_key(key: str) -> str:
    """The key of the column's name alone, where `key` may hold words, a format or a type beside it."""
    mapping = ".roles." in key or key.endswith((".time", ".known_time", ".label", ".label_known", ".label.known"))
    return f"{key}.column" if mapping else key


def _is_required(key: str) -> bool:
    return key.endswith((".time", ".label.key", ".label.column")) or (
        key.startswith("data.entities.") and key.endswith(".id")
    )


# ---------------------------------------------------------------------------------------------- Parquet


def _read_parquet(file: Path, columns: Mapping[str, str] | None, findings: Findings) -> Iterator[Block]:
    try:
        source = pq.ParquetFile(file, coerce_int96_timestamp_unit="us")
        present = source.schema_arrow.names
        wanted = None if columns is None else list(columns)
        if not _check_columns(file, present, columns or {}, findings):
            return
        int96 = {column.name for column in source.schema if column.physical_type == "INT96"}
        row = 1
        for batch in source.iter_batches(batch_size=BLOCK_ROWS, columns=wanted):
            # By place, since `column(name)` would raise where there are several.
            names = batch.schema.names
            places = _places(names) if columns is None else {name: names.index(name) for name in columns}
            made = {name: _plain(batch.column(place), names[place] in int96) for name, place in places.items()}
            yield Block(str(file), row, made, np.zeros(len(batch), bool))
            row += len(batch)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        findings.file_fault("unreadable", file, None, f"not a readable Parquet file: {reason}", "Export it again.")


def _plain(array: pa.Array, int96: bool) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    if int96 and pa.types.is_timestamp(array.type):
        # Spark, Hive and Impala write INT96 as instants in UTC, though the type cannot say so.
        array = array.cast(pa.timestamp(array.type.unit, tz="UTC"))
    return array


# -------------------------------------------------------------------------------------------------- CSV


class _CsvFaultError(Exception):
    """Ends the reading of one file; the fault has been noted."""


class _CsvReader:
    def __init__(
        self,
        file: Path,
        columns: Mapping[str, str] | None,
        csv: CsvFormat,
        findings: Findings,
    ) -> None:
        self.file = file
        self.columns = columns
        self.findings = findings
        self.encoding = csv.encoding
        tabs = file.name.lower().removesuffix(".gz").endswith((".tsv", ".tab"))
        self.delimiter = csv.delimiter or ("\t" if tabs else ",")
        self.quote = -1 if csv.quote is None else ord(csv.quote)
        self.header: list[str] | None = None
        self.rows = 0
        self.lines = 1

    def blocks(self) -> Iterator[Block]:
        try:
            for cells in self._records():
                if self.header is None:
                    self.header = self._read_header(cells)
                    cells = cells.after_first()
                if len(cells):
                    yield self._block(cells, self.header)
            if self.header is None:
                self._fail("empty", "the file is empty", "Export it again with a header line.")
        except _CsvFaultError:
            return
        except (OSError, EOFError, zlib.error) as error:
            self.findings.file_fault("unreadable", self.file, None, f"can't be read: {error}", "Check the file.")

    def _fail(self, code: str, message: str, remedy: str, *, row: int | None = None) -> None:
        rows = () if row is None else (row,)
        self.findings.file_fault(code, self.file, None, message, remedy, rows=rows)
        raise _CsvFaultError

    def _records(self) -> Iterator[_Cells]:
        rest = b""
        for piece, final in self._utf8():
            data = rest + piece
            cells, consumed = self._tokenise(np.frombuffer(data, np.uint8), final)
            rest = data[consumed:]
            if len(rest) > LONGEST_RECORD:
                line = self.lines + _lines_in(cells.data[:consumed])
                self._fail_quote(self.rows + len(cells), line, "is never closed")
            whole = cells.without_blank()
            if len(whole):
                yield whole
            self.lines += _lines_in(cells.data[:consumed])

    def _tokenise(self, data: np.ndarray, final: bool) -> tuple[_Cells, int]:
        size = int(np.count_nonzero(data == ord(self.delimiter)))
        size += int(np.count_nonzero(data == _LF)) + int(np.count_nonzero(data == _CR)) + 1
        starts, ends = np.empty(size, np.int32), np.empty(size, np.int32)
        escaped, firsts = np.empty(size, np.bool_), np.empty(size + 1, np.int32)
        records, consumed, problem, at = _tokenise(
            data, ord(self.delimiter), self.quote, final, starts, ends, escaped, firsts
        )
        cells = _Cells(data, starts, ends, escaped, firsts[: records + 1])
        if problem:
            line = self.lines + _lines_in(data[:at])
            found = "is never closed" if problem == _UNCLOSED else "is followed by more text where it closes"
            self._fail_quote(self.rows + len(cells.without_blank()), line, found)
        return cells, int(consumed)

    def _fail_quote(self, row: int, line: int, found: str) -> None:
        # `row` records lie before; where the header is one of them, that is the data row.
        row += self.header is not None
        where = "in the header" if row == 0 else f"in data row {row}"
        self._fail(
            "open-quote",
            f"the quote that opens {where} (line {line} of the file) {found}",
            "Close the quote, double a quote that belongs to the text, or set data.csv.quote=null.",
            row=row or None,
        )

    def _read_header(self, cells: _Cells) -> list[str]:
        names = [name.strip() for name in cells.first_record()]
        if re.fullmatch(r"(?i)sep=.?", names[0]) and not any(names[1:]):
            self._fail("sep", "the first line (sep=) tells Excel the delimiter and is no header", "Delete that line.")
        others = [mark for mark in ",;\t|" if mark != self.delimiter and mark in names[0]]
        if len(names) == 1 and others:
            shown, own = ("a tab" if mark == "\t" else f"'{mark}'" for mark in (others[0], self.delimiter))
            written = "\\t" if others[0] == "\t" else others[0]
            self._fail(
                "delimiter",
                f"one column was found, but the header holds {shown}",
                f"Set 'data.csv.delimiter=\"{written}\"', and 'data.csv.decimal=\",\"' for decimal commas; where other "
                f"text files of the data set have {own}, export this one or those again, for all are read alike.",
            )
        if not _check_columns(self.file, names, self.columns or {}, self.findings):
            raise _CsvFaultError
        return names

    def _block(self, cells: _Cells, header: list[str]) -> Block:
        places = _places(header) if self.columns is None else {name: header.index(name) for name in self.columns}
        widths = np.diff(cells.firsts)
        broken = widths != len(header)
        columns = {name: cells.column(place, ~broken) for name, place in places.items()}
        lines = {row: cells.line(row) for row in np.flatnonzero(broken).tolist()} if self.columns is None else {}
        block = Block(str(self.file), self.rows + 1, columns, broken, lines)
        if broken.any():
            rows = np.flatnonzero(broken)
            self.findings.row_fault(
                "fields",
                block,
                None,
                rows,
                f"expected {len(header)} fields as in the header, got another number",
                "Quote fields that hold the delimiter or a line break, or set data.csv.delimiter.",
                values=[f"{width} fields" for width in widths[rows[:20]]],
            )
        self.rows += len(cells)
        return block

    def _utf8(self) -> Iterator[tuple[bytes, bool]]:
        """The file's text in UTF-8, piece by piece, each with whether it is the last."""
        with self.file.open("rb") as stream:
            self._check_kind(stream.read(_LONGEST_MARK), packed=_is_packed(self.file))
        with _open(self.file) as stream:
            piece = stream.read(BLOCK_BYTES)
            if _is_packed(self.file):
                self._check_kind(piece, packed=False)
            encoding, skip = _detect_encoding(piece, self.encoding)
            if encoding == "utf-8" and piece[:200].count(0) > len(piece[:200]) // 4:
                self._fail(
                    "encoding",
                    "every other byte is zero: this is UTF-16 without the mark that says so",
                    "Set data.csv.encoding=utf-16-le (or utf-16-be).",
                )
            if piece and encoding in ("utf-16", "utf-32"):
                self._fail(
                    "encoding",
                    f"the file does not begin with the mark from which {encoding} takes the order of bytes",
                    f"Set data.csv.encoding={encoding}-le (or {encoding}-be).",
                )
            decoder = codecs.getincrementaldecoder(encoding)()
            position = skip
            piece = piece[skip:]
            while True:
                following = stream.read(BLOCK_BYTES)
                waiting = len(decoder.getstate()[0])
                try:
                    text = decoder.decode(piece, not following)
                except UnicodeDecodeError as error:
                    self._fail_encoding(encoding, position - waiting + error.start, error.object[error.start])
                yield (piece if encoding == "utf-8" else text.encode()), not following
                if not following:
                    return
                position += len(piece)
                piece = following

    def _check_kind(self, start: bytes, *, packed: bool) -> None:
        for mark, kind, remedy in _OTHER_KINDS:
            if start.startswith(mark) and not (packed and kind == _PACKED):
                self._fail("kind", f"this is {kind}, whatever its name says", remedy)

    def _fail_encoding(self, encoding: str, position: int, byte: int) -> None:
        with _open(self.file) as stream:
            line = stream.read(position).count(b"\n") + 1
        guess = "cp1252" if encoding == "utf-8" else "utf-8"
        self._fail(
            "encoding",
            f"byte {position} (0x{byte:02x}, line {line} of the file) is not {encoding} text",
            f"Set data.csv.encoding to what the file is written in, such as data.csv.encoding={guess}.",
        )


def _is_packed(file: Path) -> bool:
    return file.suffix.lower() == ".gz"


def _open(file: Path) -> BinaryIO:
    return gzip.open(file, "rb") if _is_packed(file) else file.open("rb")  # type: ignore[return-value]


def _detect_encoding(start: bytes, declared: str) -> tuple[str, int]:
    """The encoding by the mark at the file's start, else the declared one; and how many bytes the mark takes."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        # Before UTF-16, whose mark is the first half of it.
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if start.startswith(mark):
            return encoding, len(mark)
    return codecs.lookup(declared).name, 0


def _lines_in(data: np.ndarray) -> int:
    """How many lines end in `data`; CR LF is one end."""
    return max(int(np.count_nonzero(data == _LF)), int(np.count_nonzero(data == _CR)))


@dataclass(frozen=True)
class _Cells:
    """Cells of consecutive records: record r holds the cells firsts[r] to firsts[r + 1] - 1 of `data`."""

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    escaped: np.ndarray
    firsts: np.ndarray

    def __len__(self) -> int:
        return len(self.firsts) - 1

    def without_blank(self) -> _Cells:
        """Without empty lines, which are no rows."""
        first = self.firsts[:-1]
        lone = np.diff(self.firsts) == 1
        blank = lone & (self.starts[first] == self.ends[first])
        if not blank.any():
            return self
        keep = np.repeat(~blank, np.diff(self.firsts))
        count = len(keep)
        firsts = np.append(0, np.cumsum(np.diff(self.firsts)[~blank])).astype(np.int32)
        return _Cells(self.data, self.starts[:count][keep], self.ends[:count][keep], self.escaped[:count][keep], firsts)

    def after_first(self) -> _Cells:
        return _Cells(self.data, self.starts, self.ends, self.escaped, self.firsts[1:])

    def line(self, record: int) -> str:
        """The text of one record, quotes and delimiters included."""
        first, last = self.firsts[record], self.firsts[record + 1] - 1
        start, end = int(self.starts[first]), int(self.ends[last])
        # Cells are told without their quotes; what else could stand around a record is a line's end.
        start -= start > 0 and self.data[start - 1] not in (_LF, _CR)
        end += end < len(self.data) and self.data[end] not in (_LF, _CR)
        return self.data[start:end].tobytes().decode("utf-8", "replace")

    def first_record(self) -> list[str]:
        one = np.ones(1, bool)
        cut = _Cells(self.data, self.starts, self.ends, self.escaped, self.firsts[:2])
        return [cut.column(place, one)[0].as_py() for place in range(self.firsts[1] - self.firsts[0])]

    def column(self, place: int, whole: np.ndarray) -> pa.StringArray:
        """The text of the cells at `place` of each record; empty where the record is not `whole`."""
        at = np.where(whole, self.firsts[:-1] + place, 0)
        starts, ends = self.starts[at], np.where(whole, self.ends[at], self.starts[at])
        escaped = self.escaped[at] & whole
        offsets = np.empty(len(at) + 1, np.int32)
        size = _measure(self.data, starts, ends, escaped, offsets)
        text = np.empty(size, np.uint8)
        _copy(self.data, starts, ends, escaped, offsets, text)
        return pa.StringArray.from_buffers(len(at), pa.py_buffer(offsets), pa.py_buffer(text))


@njit(cache=True, nogil=True)
def _tokenise(
    data: np.ndarray,
    delimiter: int,
    quote: int,
    final: bool,
    starts: np.ndarray,
    ends: np.ndarray,
    escaped: np.ndarray,
    firsts: np.ndarray,
) -> tuple[int, int, int, int]:
    """Find the cells of all whole records. Returns (records, bytes consumed, problem, where the problem begins).

    A quote opens only at a field's start; inside quotes a doubled quote is a quote. A record ends with LF, CR or
    CR LF outside quotes, the last one also with the data if `final`.
    """
    size = len(data)
    at = cell = record = consumed = 0
    firsts[0] = 0
    while at < size:
        if at < size and data[at] == quote:
            opened = at
            at += 1
            starts[cell] = at
            escaped[cell] = False
            while True:
                while at < size and data[at] != quote:
                    at += 1
                if at >= size:
                    return record, consumed, (1 if final else 0), opened
                if at + 1 >= size and not final:
                    return record, consumed, 0, 0
                if at + 1 < size and data[at + 1] == quote:
                    escaped[cell] = True
                    at += 2
                    continue
                break
            ends[cell] = at
            at += 1
            if at < size and data[at] != delimiter and data[at] != 10 and data[at] != 13:
                return record, consumed, 2, opened
        else:
            starts[cell] = at
            escaped[cell] = False
            while at < size and data[at] != delimiter and data[at] != 10 and data[at] != 13:
                at += 1
            ends[cell] = at
        if at >= size:
            if not final:
                return record, consumed, 0, 0
            cell += 1
            record += 1
            firsts[record] = cell
            return record, at, 0, 0
        if data[at] == delimiter:
            cell += 1
            at += 1
            if at >= size and final:
                # The data ends behind a delimiter: one more, empty cell.
                starts[cell] = at
                ends[cell] = at
                escaped[cell] = False
                cell += 1
                record += 1
                firsts[record] = cell
                return record, at, 0, 0
            continue
        if data[at] == 13:
            if at + 1 >= size and not final:
                return record, consumed, 0, 0
            if at + 1 < size and data[at + 1] == 10:
                at += 1
        at += 1
        cell += 1
        record += 1
        firsts[record] = cell
        consumed = at
    return record, consumed, 0, 0


@njit(cache=True, nogil=True)
def _measure(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, escaped: np.ndarray, offsets: np.ndarray
) -> np.int64:
    total = np.int64(0)
    offsets[0] = 0
    for row in range(len(starts)):
        total += ends[row] - starts[row]
        if escaped[row]:
            at = starts[row]
            while at < ends[row]:
                if data[at] == data[starts[row] - 1]:
                    total -= 1
                    at += 1
                at += 1
        offsets[row + 1] = total
    return total


@njit(cache=True, nogil=True)
def _copy(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, escaped: np.ndarray, offsets: np.ndarray, text: np.ndarray
) -> None:
    for row in range(len(starts)):
        to = offsets[row]
        at = starts[row]
        while at < ends[row]:
            text[to] = data[at]
            to += 1
            # The byte before a quoted cell is its quote; of a doubled one the second is left out.
            at += 2 if escaped[row] and data[at] == data[starts[row] - 1] else 1
