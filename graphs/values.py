"""Cells to values: instants, numbers, verdicts and ids, by rules that can be stated in a line each.

Every function takes one column of one block and returns arrays of the same length with masks of what could not be
read; nothing is guessed and nothing raises on a bad cell. Text is parsed by compiled loops over the column's bytes,
so ten million cells take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from graphs.errors import ConfigError
from graphs.events import MICROSECONDS_PER_DAY, MISSING, UNLABELLED, places_in
from graphs.schema import CsvFormat, LabelColumn, TimeColumn
from graphs.time_formats import parse_written

FIRST_TIME = -2_208_988_800_000_000
"""1900-01-01 in µs: an instant before it is taken for a mistake, as is one from LAST_TIME on."""

LAST_TIME = 7_258_118_400_000_000
"""2200-01-01 in µs."""

_BAD, _LOCAL, _ZONED, _DATE, _ZONED_DATE = 0, 1, 2, 3, 4
_UNIT_MICROS = {"min": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}


# ------------------------------------------------------------------------------------------------ text


def text_buffers(array: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """(offsets (rows + 1,) int32, bytes) of a text column; nulls are empty."""
    if array.null_count:
        array = pc.fill_null(array, "")
    _, offsets, data = array.buffers()
    cut = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return cut, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)


def as_text(array: pa.Array) -> tuple[pa.StringArray, np.ndarray]:
    """(text, bad): whole numbers as their decimal digits, booleans as true and false, text as it is.

    Numbers with a fraction and bytes that are no text are `bad`: an id that is one has been damaged before.
    """
    bad = np.zeros(len(array), bool)
    kind = array.type
    if pa.types.is_string(kind):
        return array, bad
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string()), bad
    if pa.types.is_floating(kind):
        values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        absent = np.isnan(values)
        bad = ~absent & ((values != np.floor(values)) | (np.abs(values) >= 2.0**53))
        whole = np.where(bad | absent, 0, values).astype(np.int64)
        return pa.array(whole, mask=bad | absent).cast(pa.string()), bad
    if pa.types.is_decimal(kind):
        text = pc.replace_substring_regex(array.cast(pa.string()), r"\.0+$", "")
        fraction = pc.match_substring(text, ".")
        return pc.if_else(fraction, pa.scalar(None, pa.string()), text), pc.fill_null(fraction, False).to_numpy(
            zero_copy_only=False
        )
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        try:
            return array.cast(pa.binary()).cast(pa.string()), bad
        except pa.ArrowInvalid:
            text = pa.array([_decoded(cell) for cell in array.to_pylist()], pa.string())
            return text, _present(array) & ~_present(text)
    try:
        return array.cast(pa.string()), bad
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(len(array), pa.string()), _present(array)


def category_text(array: pa.Array) -> pa.Array:
    """A column of floats or decimals as text, those with a fraction in their shortest form; others as they are."""
    if pa.types.is_decimal(array.type):
        return pc.replace_substring_regex(array.cast(pa.string()), r"\.0+$|(\.\d*[1-9])0+$", r"\1")
    if not pa.types.is_floating(array.type):
        return array
    text, fraction = as_text(array)
    if not fraction.any():
        return text
    shown = array.cast(pa.float32()) if pa.types.is_float16(array.type) else array
    return pc.if_else(pa.array(fraction), shown.cast(pa.string()), text)


def _decoded(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def _present(array: pa.Array) -> np.ndarray:
    return pc.is_valid(array).to_numpy(zero_copy_only=False)


def is_word(array: pa.Array, words: Iterable[str]) -> np.ndarray:
    """(rows,) bool: which cells are one of `words` (in lower case), without case and outer spaces; nulls are."""
    text, _ = as_text(array)
    found = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(text)), value_set=pa.array(list(words), pa.string()))
    return found.to_numpy(zero_copy_only=False) | ~_present(text)


def _among(array: pa.Array, rows: np.ndarray, words: Iterable[str]) -> np.ndarray:
    """`is_word` asked only of the rows in a mask: the few cells that could not be read."""
    found = np.zeros(len(array), bool)
    at = np.flatnonzero(rows)
    if len(at):
        found[at] = is_word(array.take(pa.array(at)), words)
    return found


# --------------------------------------------------------------------------------------------- instants


@dataclass(frozen=True)
class Times:
    """A column of instants: `micros` (rows,) int64 µs UTC, 0 where there is none; the rest are (rows,) bool masks.

    `bad` is no instant at all, `zoneless` names no zone where none was declared, `ambiguous` and `nonexistent` are
    clock times that the zone shows twice or never, or days that it has not. `date_only` says that micros is the first
    instant of a day; `last` (rows,) int64 is then its last µs, and micros elsewhere.
    """

    micros: np.ndarray
    missing: np.ndarray
    bad: np.ndarray
    zoneless: np.ndarray
    ambiguous: np.ndarray
    nonexistent: np.ndarray
    date_only: np.ndarray
    last: np.ndarray

    @property
    def fine(self) -> np.ndarray:
        return ~(self.missing | self.bad | self.zoneless | self.ambiguous | self.nonexistent)


def parse_times(array: pa.Array, column: TimeColumn, *, timezone: str | None, dst: str, nulls: frozenset[str]) -> Times:
    """Read a column of instants.

    A time without a zone is in `timezone`; a date is the first instant of its day there, or in a zone of its own. `dst`
    chooses, where clocks were put back or forward, the earlier or later of the instants that the offsets before and
    after give.
    """
    count = len(array)
    nan = _nan(array)
    if pa.types.is_decimal(array.type) or (column.format is not None and _is_number(array.type)):
        # Decimals as text keep their fraction exactly, and 20250228 of the format %Y%m%d is text that a file keeps so.
        array = pc.coalesce(as_text(array)[0], array.cast(pa.string()))
    if pa.types.is_string(array.type) and column.unit == "iso":
        micros, kind = _parse_text_times(array, column.format)
        missing = _among(array, kind == _BAD, nulls) | _digit_words(array, nulls)
    elif pa.types.is_string(array.type):
        offsets, data = text_buffers(array)
        micros, good = _parse_counts(offsets, data, _UNIT_MICROS[column.unit], column.unit == "ns")
        kind = np.where(good, _ZONED, _BAD).astype(np.int8)
        missing = _among(array, ~good, nulls) | (good & _declared_counts(array, nulls))
    else:
        micros, kind = _take_typed_times(array, column.unit)
        missing = ~_present(array) | _digit_words(array, nulls)
    missing |= nan | _declared_times(micros, kind, nulls)
    kind = np.where(missing, _ZONED, kind)
    local, date = kind == _LOCAL, kind == _DATE
    zoneless = local | date if timezone is None else np.zeros(count, bool)
    ambiguous = nonexistent = np.zeros(count, bool)
    last = micros
    if timezone is not None and local.any():
        micros, ambiguous, nonexistent = _localise(micros, local, timezone, dst)
    if timezone is not None and date.any():
        micros, last, skipped = _localise_dates(micros, date, timezone)
        nonexistent = nonexistent | skipped
    zoned_date = kind == _ZONED_DATE
    last = np.where(zoned_date, micros + MICROSECONDS_PER_DAY - 1, last)
    date = date | zoned_date
    outside = (micros < FIRST_TIME) | (micros >= LAST_TIME)
    bad = ~missing & ((kind == _BAD) | outside)
    nothing = missing | bad | zoneless | ambiguous | nonexistent
    micros = np.where(nothing, 0, micros)
    return Times(
        micros,
        missing,
        bad,
        zoneless & ~bad,
        ambiguous & ~bad,
        nonexistent & ~bad,
        date & ~missing,
        np.where(date & ~nothing, last, micros),
    )


def _digit_words(array: pa.Array, nulls: frozenset[str]) -> np.ndarray:
    """Cells that could be read, but are declared to mean nothing, such as 1900-01-01."""
    words = [word for word in nulls if word.removeprefix("-")[:1].isdigit()]
    return is_word(array, words) if words else np.zeros(len(array), bool)


def _declared_counts(array: pa.StringArray, nulls: frozenset[str]) -> np.ndarray:
    """Counts that are declared to mean nothing: -1.0 by -1, and 0000 by itself."""
    if not any(_PLAIN_NUMBER.fullmatch(word) for word in nulls):
        return _digit_words(array, nulls)
    values, _, _ = _parse_decimals(*text_buffers(array), ord("."), ord(","))
    return _sentinel_numbers(values, nulls) | _digit_words(array, nulls)


def _declared_times(micros: np.ndarray, kind: np.ndarray, nulls: frozenset[str]) -> np.ndarray:
    """Times that are declared to mean nothing, however they are written: 1900-01-01 00:00:00 by 1900-01-01. Words
    without a zone mean the clock as it stands in the file, which for instants is that of UTC."""
    words = [word for word in nulls if word[:1].isdigit()]
    if not words:
        return np.zeros(len(micros), bool)
    declared, of = _parse_iso(*text_buffers(pa.array([word.upper() for word in words])))
    plain, zoned = declared[(of == _LOCAL) | (of == _DATE)], declared[of == _ZONED]
    return (np.isin(micros, plain) & (kind != _BAD)) | (
        np.isin(micros, zoned) & ((kind == _ZONED) | (kind == _ZONED_DATE))
    )


def _nan(array: pa.Array) -> np.ndarray:
    if pa.types.is_floating(array.type):
        return pc.fill_null(pc.is_nan(array), True).to_numpy(zero_copy_only=False)
    return np.zeros(len(array), bool)


def _parse_text_times(array: pa.StringArray, format: str | None) -> tuple[np.ndarray, np.ndarray]:
    if format is None:
        return _parse_iso(*text_buffers(array))
    written = parse_written(array, format)
    read_as = {
        (True, True): _ZONED, (True, False): _LOCAL, (False, True): _ZONED_DATE, (False, False): _DATE,
    }[written.timed, written.zoned]  # fmt: skip
    return written.micros, np.where(written.good, read_as, _BAD).astype(np.int8)


def _take_typed_times(array: pa.Array, unit: str) -> tuple[np.ndarray, np.ndarray]:
    kind = array.type
    if pa.types.is_timestamp(kind):
        if kind.unit in ("s", "ms"):
            micros = _scale(array.cast(pa.int64()), kind.unit)
        else:
            micros = array.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64())
        what = _LOCAL if kind.tz is None else _ZONED
    elif pa.types.is_date(kind):
        micros = pc.multiply(array.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()), MICROSECONDS_PER_DAY)
        what = _DATE
    elif pa.types.is_integer(kind) and unit != "iso":
        micros, what = _scale(array, unit), _ZONED
    elif pa.types.is_floating(kind) and unit != "iso":
        factor = _UNIT_MICROS[unit] / (1000 if unit == "ns" else 1)
        values = pc.fill_null(array.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False) * factor
        usable = np.abs(values) < 2.0**62
        micros = pa.array(np.where(usable, np.floor(np.where(usable, values, 0)), LAST_TIME).astype(np.int64))
        what = _ZONED
    else:
        return np.zeros(len(array), np.int64), np.full(len(array), _BAD, np.int8)
    filled = pc.fill_null(micros, 0).to_numpy(zero_copy_only=False).copy()
    return filled, np.full(len(array), what, np.int8)


def _scale(array: pa.Array, unit: str) -> pa.Array:
    """Whole counts as µs; what does not fit becomes an instant that none can be."""
    if pa.types.is_uint64(array.type):
        array = pc.min_element_wise(array, pa.scalar(2**63 - 1, pa.uint64()), skip_nulls=False)
    values = pc.fill_null(array.cast(pa.int64(), safe=False), 0).to_numpy(zero_copy_only=False)
    if unit == "ns":
        return pa.array(values // 1000)
    limit = 2**62 // _UNIT_MICROS[unit]
    fits = (values > -limit) & (values < limit)
    return pa.array(np.where(fits, values, limit) * _UNIT_MICROS[unit])


def _localise(
    clock: np.ndarray, local: np.ndarray, timezone: str, dst: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clock times where `local` as instants; masks of those that the zone's clock shows twice, and never.

    Where its two `_instants` differ, one counts if the zone's clock really shows that time at it.
    """
    ambiguous = nonexistent = np.zeros(len(clock), bool)
    if timezone in ("UTC", "Etc/UTC"):
        return clock, ambiguous, nonexistent
    at = np.flatnonzero(local & (clock >= FIRST_TIME) & (clock < LAST_TIME))
    times = clock[at]
    early, late = _instants(times, timezone)
    shows_early = early + _offset(early, timezone) == times
    shows_late = late + _offset(late, timezone) == times
    differ = early != late
    twice, never = differ & shows_early & shows_late, differ & ~shows_early & ~shows_late
    chosen = np.where(shows_early, early, late)
    if dst != "error":
        chosen = np.where(twice | never, early if dst == "earlier" else late, chosen)
    micros = clock.copy()
    micros[at] = chosen
    if dst == "error":
        ambiguous, nonexistent = np.zeros(len(clock), bool), np.zeros(len(clock), bool)
        ambiguous[at], nonexistent[at] = twice, never
    return micros, ambiguous, nonexistent


def _localise_dates(clock: np.ndarray, dates: np.ndarray, timezone: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first instant, last µs, skipped) of the days where `dates`. A day has 23 to 25 hours where clocks change; that
    may be at midnight, so that it begins at another time or twice; and a zone that changed sides skipped one."""
    first, last, skipped = clock.copy(), clock.copy(), np.zeros(len(clock), bool)
    at = np.flatnonzero(dates & (clock >= FIRST_TIME) & (clock < LAST_TIME))
    days, back = np.unique(clock[at], return_inverse=True)
    early, late = _instants(days, timezone)
    starts = np.where(early + _offset(early, timezone) == days, early, late)
    following = days + MICROSECONDS_PER_DAY
    early, late = _instants(following, timezone)
    # Of two midnights the later ends the day if the clock went back into it, and the earlier if it did not.
    ends = np.where(late - 1 + _offset(late - 1, timezone) < following, late, early)
    first[at], last[at], skipped[at] = starts[back], ends[back] - 1, (ends <= starts)[back]
    return first, last, skipped


def _instants(clock: np.ndarray, timezone: str) -> tuple[np.ndarray, np.ndarray]:
    """The earlier and the later of the instants that the offset of a day before and that of a day after give."""
    before = clock - _offset(clock - MICROSECONDS_PER_DAY, timezone)
    after = clock - _offset(clock + MICROSECONDS_PER_DAY, timezone)
    return np.minimum(before, after), np.maximum(before, after)


def _offset(instants: np.ndarray, timezone: str) -> np.ndarray:
    """How far the zone's clock is ahead of UTC at each instant, µs."""
    stamps = pa.array(instants).cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us", tz=timezone))
    try:
        clock = pc.local_timestamp(stamps)
    except pa.ArrowInvalid as error:
        raise ConfigError(f"data.timezone: no time zones on this machine ({error}); install its tzdata") from error
    return clock.cast(pa.int64()).to_numpy(zero_copy_only=False) - instants


@njit(cache=True, nogil=True, inline="always")
def _digits(data: np.ndarray, at: int, count: int) -> int:
    """`count` digits as a number, -1 if one of them is something else."""
    value = 0
    for place in range(at, at + count):
        digit = int(data[place]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@njit(cache=True, nogil=True)
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar (Hinnant, chrono-compatible date algorithms)."""
    shifted = year - (1 if month <= 2 else 0)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


@njit(cache=True, nogil=True)
def _parse_iso(offsets: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(µs, kind) of YYYY-MM-DD[(T| )HH:MM[:SS[.f…]][ ](Z|UTC|±HH[[:]MM])]; digits beyond µs are cut off."""
    rows = len(offsets) - 1
    micros = np.zeros(rows, np.int64)
    kinds = np.zeros(rows, np.int8)
    for row in range(rows):
        at, end = offsets[row], offsets[row + 1]
        while at < end and data[at] == 32:
            at += 1
        while end > at and data[end - 1] == 32:
            end -= 1
        if end - at < 10 or data[at + 4] != data[at + 7] or (data[at + 4] != 45 and data[at + 4] != 47):
            continue
        year, month, day = _digits(data, at, 4), _digits(data, at + 5, 2), _digits(data, at + 8, 2)
        if year < 1 or month < 1 or month > 12 or day < 1:
            continue
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        length = 31
        if month == 2:
            length = 29 if leap else 28
        elif month == 4 or month == 6 or month == 9 or month == 11:
            length = 30
        if day > length:
            continue
        value = np.int64(_days(year, month, day)) * 86_400_000_000
        at += 10
        if at == end:
            micros[row] = value
            kinds[row] = 3
            continue
        if (data[at] != 84 and data[at] != 116 and data[at] != 32) or end - at < 6 or data[at + 3] != 58:
            continue
        hour, minute = _digits(data, at + 1, 2), _digits(data, at + 4, 2)
        if hour < 0 or hour > 23 or minute < 0 or minute > 59:
            continue
        value += (hour * 60 + minute) * np.int64(60_000_000)
        at += 6
        if at < end and data[at] == 58:
            if end - at < 3:
                continue
            second = _digits(data, at + 1, 2)
            if second < 0 or second > 59:
                continue
            value += second * np.int64(1_000_000)
            at += 3
            if at < end and (data[at] == 46 or data[at] == 44):
                at += 1
                scale = 100_000
                first = at
                while at < end and data[at] >= 48 and data[at] <= 57:
                    value += (int(data[at]) - 48) * scale
                    scale //= 10
                    at += 1
                if at == first:
                    continue
        while at < end and data[at] == 32:
            at += 1
        if at == end:
            micros[row] = value
            kinds[row] = 1
            continue
        if end - at == 1 and (data[at] == 90 or data[at] == 122):
            micros[row] = value
            kinds[row] = 2
            continue
        if end - at == 3 and (
            (data[at] == 85 and data[at + 1] == 84 and data[at + 2] == 67)
            or (data[at] == 71 and data[at + 1] == 77 and data[at + 2] == 84)
        ):
            micros[row] = value
            kinds[row] = 2
            continue
        if (data[at] == 43 or data[at] == 45) and end - at >= 3:
            ahead = _digits(data, at + 1, 2)
            minutes = 0
            if end - at == 5:
                minutes = _digits(data, at + 3, 2)
            elif end - at == 6 and data[at + 3] == 58:
                minutes = _digits(data, at + 4, 2)
            elif end - at != 3:
                continue
            if ahead < 0 or ahead > 18 or minutes < 0 or minutes > 59:
                continue
            shift = (ahead * 60 + minutes) * np.int64(60_000_000)
            micros[row] = value - shift if data[at] == 43 else value + shift
            kinds[row] = 2
    return micros, kinds


@njit(cache=True, nogil=True)
def _parse_counts(offsets: np.ndarray, data: np.ndarray, unit: int, nanos: bool) -> tuple[np.ndarray, np.ndarray]:
    """(µs, good) of counts since 1970 in units of `unit` µs, or in ns; a fraction is allowed."""
    rows = len(offsets) - 1
    micros = np.zeros(rows, np.int64)
    good = np.zeros(rows, np.bool_)
    for row in range(rows):
        at, end = offsets[row], offsets[row + 1]
        while at < end and data[at] == 32:
            at += 1
        while end > at and data[end - 1] == 32:
            end -= 1
        negative = at < end and data[at] == 45
        if negative:
            at += 1
        first = at
        value = 0
        while at < end and data[at] >= 48 and data[at] <= 57 and at - first < 19:
            value = value * 10 + (int(data[at]) - 48)
            at += 1
        if at == first or value < 0 or (not nanos and value > 4_000_000_000_000_000_000 // unit):
            continue
        fraction = np.int64(0)
        if at < end and data[at] == 46:
            at += 1
            scale = np.int64(unit)
            while at < end and data[at] >= 48 and data[at] <= 57:
                scale //= 10
                fraction += (int(data[at]) - 48) * scale
                at += 1
        if at != end:
            continue
        if nanos:
            micros[row] = -value // 1000 if negative else value // 1000
        else:
            micros[row] = -(value * unit + fraction) if negative else value * unit + fraction
        good[row] = True
    return micros, good


# ---------------------------------------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: `values` (rows,) float64, NaN where missing or bad; masks (rows,) bool of cells that are
    nothing, are no number, or hold a thousands mark; and the currency signs that were seen."""

    values: np.ndarray
    missing: np.ndarray
    bad: np.ndarray
    grouped: np.ndarray
    currencies: frozenset[str]


_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
"""Words that count as numbers. 0000 is the stand-in of an id, and no amount of zero."""

CURRENCY_SIGNS = ("$", "€", "£", "¥")


def parse_numbers(array: pa.Array, csv: CsvFormat, *, nulls: frozenset[str]) -> Numbers:
    """Read a column of numbers or amounts of money.

    Text may have a sign, the declared decimal mark, a thousands mark between groups of three digits, an exponent,
    one currency sign before or after, and brackets around it for a negative amount.
    """
    count = len(array)
    none = np.zeros(count, bool)
    if not pa.types.is_string(array.type):
        if not _is_number(array.type):
            return Numbers(np.full(count, np.nan), ~_present(array), _present(array), none, frozenset())
        values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        missing = np.isnan(values) | _sentinel_numbers(values, nulls)
        bad = np.isinf(values)
        return Numbers(np.where(missing | bad, np.nan, values), missing, bad, none, frozenset())
    other = "," if csv.decimal == "." else "."
    offsets, data = text_buffers(array)
    values, status, currency = _parse_decimals(offsets, data, ord(csv.decimal), ord(csv.thousands or other))
    bad = status == 0
    as_they_stand = frozenset(word for word in nulls if not _PLAIN_NUMBER.fullmatch(word))
    missing = _among(array, bad, nulls) | _sentinel_numbers(values, nulls) | _digit_words(array, as_they_stand)
    bad &= ~missing
    # Beyond 15 digits the product of two floats may miss the nearest double by one.
    for row in np.flatnonzero(status & 4):
        values[row] = _parse_exactly(array[int(row)].as_py(), csv.decimal, csv.thousands or other)
    bad |= ~missing & np.isinf(values)
    signs = frozenset(sign for place, sign in enumerate(CURRENCY_SIGNS) if (currency == place + 1).any())
    return Numbers(np.where(missing | bad, np.nan, values), missing, bad, (status & 2) > 0, signs)


def _is_number(kind: pa.DataType) -> bool:
    return (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    )  # fmt: skip


def _sentinel_numbers(values: np.ndarray, nulls: frozenset[str]) -> np.ndarray:
    """Numbers that are declared to mean nothing, such as -1."""
    declared = [float(word) for word in nulls if _PLAIN_NUMBER.fullmatch(word)]
    return np.isin(values, declared) if declared else np.zeros(len(values), bool)


def _parse_exactly(text: str, decimal: str, thousands: str) -> float:
    negative = "(" in text
    kept = "".join(mark for mark in text.replace(thousands, "").replace("−", "-") if mark in f"+-0123456789eE{decimal}")
    value = float(kept.replace(decimal, "."))
    return -value if negative else value


@njit(cache=True, nogil=True, inline="always")
def _currency(data: np.ndarray, at: int, end: int) -> tuple[int, int]:
    """(which currency sign stands at `at`, how many bytes it takes), zeros if none."""
    if data[at] == 0x24:
        return 1, 1
    if end - at >= 3 and data[at] == 0xE2 and data[at + 1] == 0x82 and data[at + 2] == 0xAC:
        return 2, 3
    if end - at >= 2 and data[at] == 0xC2 and data[at + 1] == 0xA3:
        return 3, 2
    if end - at >= 2 and data[at] == 0xC2 and data[at + 1] == 0xA5:
        return 4, 2
    return 0, 0


@njit(cache=True, nogil=True, inline="always")
def _space(data: np.ndarray, at: int, end: int) -> int:
    """How many bytes the space at `at` takes, 0 if it is none; no-break spaces (U+00A0, U+202F) are some."""
    if data[at] == 32:
        return 1
    if end - at >= 2 and data[at] == 0xC2 and data[at + 1] == 0xA0:
        return 2
    if end - at >= 3 and data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0xAF:
        return 3
    return 0


@njit(cache=True, nogil=True)
def _parse_decimals(
    offsets: np.ndarray, data: np.ndarray, decimal: int, thousands: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values, status, currency): status 0 not a number, else 1, +2 with thousands marks, +4 not exact."""
    rows = len(offsets) - 1
    values = np.full(rows, np.nan)
    status = np.zeros(rows, np.int8)
    currencies = np.zeros(rows, np.int8)
    for row in range(rows):
        at, end = offsets[row], offsets[row + 1]
        negative = signed = bracket = False
        currency = 0
        # In front: spaces, one sign, one currency sign, one opening bracket, in any order.
        while at < end:
            mark = data[at]
            kind, width = _currency(data, at, end)
            space = _space(data, at, end)
            if space:
                at += space
            elif (mark == 45 or mark == 43) and not signed:
                negative = mark == 45
                signed = True
                at += 1
            elif end - at >= 3 and mark == 0xE2 and data[at + 1] == 0x88 and data[at + 2] == 0x92 and not signed:
                negative = signed = True
                at += 3
            elif mark == 40 and not bracket and not signed:
                negative = signed = bracket = True
                at += 1
            elif kind and not currency:
                currency = kind
                at += width
            else:
                break
        mantissa = 0
        digits = places = 0
        any_digit = False
        group = -1
        grouped = False
        fine = True
        while at < end:
            mark = data[at]
            wide = _space(data, at, end) if thousands == 32 else 1 if mark == thousands else 0
            if mark >= 48 and mark <= 57:
                any_digit = True
                if digits < 18:
                    mantissa = mantissa * 10 + (int(mark) - 48)
                    digits += mantissa > 0
                else:
                    digits += 1
                    places -= 1
                if group >= 0:
                    group += 1
                at += 1
            # A mark stands between digits: the space of 12 € is none.
            elif (
                wide and any_digit and (group == 3 or not grouped)
                and at + wide < end and data[at + wide] >= 48 and data[at + wide] <= 57
            ):  # fmt: skip
                if not grouped:
                    # The group in front has one to three digits. A zero there, as in 0,123, is that of a fraction.
                    back = at - 1
                    while back >= offsets[row] and data[back] >= 48 and data[back] <= 57:
                        back -= 1
                    fine = fine and at - 1 - back <= 3 and data[back + 1] != 48
                grouped = True
                group = 0
                at += wide
            else:
                break
        fine = fine and (not grouped or group == 3)
        if at < end and data[at] == decimal:
            at += 1
            while at < end and data[at] >= 48 and data[at] <= 57:
                any_digit = True
                if digits < 18:
                    mantissa = mantissa * 10 + (int(data[at]) - 48)
                    digits += mantissa > 0
                    places += 1
                else:
                    digits += 1
                at += 1
        if any_digit and at < end and (data[at] == 101 or data[at] == 69):
            at += 1
            down = at < end and data[at] == 45
            if at < end and (data[at] == 45 or data[at] == 43):
                at += 1
            first = at
            power = 0
            while at < end and data[at] >= 48 and data[at] <= 57 and power < 10_000:
                power = power * 10 + int(data[at]) - 48
                at += 1
            fine = fine and at > first
            places += power if down else -power
        # Behind: spaces, the currency sign, the closing bracket.
        while at < end:
            kind, width = _currency(data, at, end)
            space = _space(data, at, end)
            if space:
                at += space
            elif data[at] == 41 and bracket:
                bracket = False
                at += 1
            elif kind and not currency:
                currency = kind
                at += width
            else:
                break
        if at != end or not any_digit or not fine or bracket:
            continue
        exact = digits <= 15 and places >= -22 and places <= 22
        value = float(mantissa)
        if places > 0:
            value /= 10.0 ** min(places, 300)
        elif places < 0:
            value *= 10.0 ** min(-places, 300)
        values[row] = -value if negative else value
        status[row] = 1 + (2 if grouped else 0) + (0 if exact else 4)
        currencies[row] = currency
    return values, status, currencies


# --------------------------------------------------------------------------------------- verdicts, ids


def parse_labels(array: pa.Array, column: LabelColumn, *, nulls: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
    """(label (rows,) int8 in {1, 0, UNLABELLED}, unknown (rows,) bool) by the words of `column`."""
    # pandas turns 0/1 with gaps into 0.0/1.0; 0.7 stays what it is and is not understood.
    text, bad = as_text(category_text(array))
    coded = text.dictionary_encode()
    words = [_label_word(word) for word in coded.dictionary.to_pylist()]
    verdicts = np.array([_verdict(word, column, nulls) for word in words] or [UNLABELLED], np.int8)
    codes = pc.fill_null(coded.indices, len(words)).to_numpy(zero_copy_only=False)
    found = np.append(verdicts[: len(words)], np.int8(UNLABELLED))[codes]
    unknown = (found == _NOT_UNDERSTOOD) | bad
    return np.where(unknown, UNLABELLED, found).astype(np.int8), unknown


_NOT_UNDERSTOOD = 2


def _label_word(text: str) -> str:
    word = text.strip().casefold()
    return word.removesuffix(".0") if word in ("0.0", "1.0", "-1.0", "2.0") else word


def _verdict(word: str, column: LabelColumn, nulls: frozenset[str]) -> int:
    if word in column.positive:
        return 1
    if word in column.negative:
        return 0
    return UNLABELLED if word in column.unlabelled or word in nulls else _NOT_UNDERSTOOD


@dataclass(frozen=True)
class Keys:
    """A column of ids or categories by codes: `codes` (rows,) int32 into `values`, MISSING where there is none;
    `bad` (rows,) bool marks what cannot be an id, `changed` (rows,) bool what normalisation altered."""

    codes: np.ndarray
    values: pa.StringArray
    bad: np.ndarray
    changed: np.ndarray


def read_keys(array: pa.Array, *, nulls: frozenset[str], normalisation: str) -> Keys:
    """Ids as text: trimmed of spaces (not of other characters), in lower case, or as they are; null words are none."""
    text, bad = as_text(array)
    coded = text.dictionary_encode()
    codes = pc.fill_null(coded.indices, MISSING).to_numpy(zero_copy_only=False).astype(np.int32)
    plain, values = coded.dictionary, normalise(coded.dictionary, normalisation)
    altered = pc.not_equal(plain, values).to_numpy(zero_copy_only=False)
    nothing = np.zeros(len(values), bool)
    # Null words are short, and what is left of an id after trimming tells how short it is.
    short = np.flatnonzero(_lengths(values) <= max(map(_bytes, nulls))) if normalisation != "none" else None
    if short is None:
        nothing = is_word(values, nulls)
    elif len(short):
        nothing[short] = is_word(values.take(pa.array(short)), nulls)
    if not (altered.any() or nothing.any()):
        return Keys(codes, values, bad, np.zeros(len(codes), bool))
    changed = np.append(altered & ~nothing, False)[codes]
    kept = pc.unique(values.filter(pa.array(~nothing)))
    codes = np.append(places_in(values, kept), MISSING)[codes].astype(np.int32)
    return Keys(codes, kept, bad, changed)


def _bytes(word: str) -> int:
    return len(word.encode())


def _lengths(values: pa.StringArray) -> np.ndarray:
    return pc.binary_length(values).to_numpy(zero_copy_only=False)


def normalise(values: pa.StringArray, rule: str) -> pa.StringArray:
    """Apply an `id_normalisation` rule."""
    if rule == "none":
        return values
    # Ordinary and no-break spaces only: what else stands in an id may belong to it.
    trimmed = pc.utf8_trim(values, " \u00a0")
    return pc.utf8_lower(trimmed) if rule == "trim_lower" else trimmed
