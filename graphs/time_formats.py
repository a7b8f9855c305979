"""Times written in a declared way, such as %d/%m/%Y %H:%M: which patterns there are, and what text says by one.

The pattern becomes one regular expression over the whole column. The C library's strptime is not used, since it takes
31 February for 3 March, passes over the names of zones and knows no fractions of a second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TWO_DIGITS = r" ?\d{1,2}"
_MONTH_NAME = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|"
    "nov(?:ember)?|dec(?:ember)?"
)
_DAY_NAME = "mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
_TEXT_OF = {
    "Y": r"\d{4}", "y": r"\d{2}", "m": _TWO_DIGITS, "b": _MONTH_NAME, "d": _TWO_DIGITS, "j": r"\d{3}",
    "a": _DAY_NAME, "H": _TWO_DIGITS, "I": _TWO_DIGITS, "M": _TWO_DIGITS, "S": _TWO_DIGITS, "f": r"\d{1,9}",
    "p": "am|pm", "z": r"z|utc|gmt|[+-]\d{2}(?::?\d{2})?", "s": r"-?\d{1,12}",
}  # fmt: skip
_SAME_AS = {"e": "d", "k": "H", "l": "I", "h": "b", "B": "b", "A": "a"}
_STANDS_FOR = {"T": "%H:%M:%S", "R": "%H:%M", "r": "%I:%M:%S %p", "F": "%Y-%m-%d", "D": "%m/%d/%y"}

_ZONE_AS_TEXT = re.compile(r"%\s*(z|[+-]\d\d(?::?\d\d)?)(?![a-z\d%])|(?<![a-z])(utc|gmt)(?![a-z])", re.IGNORECASE)
"""A zone that stands in a pattern as plain text, each directive being cut down to its %."""


def problem_of(format: str) -> str | None:
    """What is wrong with a pattern, for the person who wrote it; None if nothing is."""
    spelled = _spelled_out(format).replace("%%", "")
    directives = re.findall(r"%(.?)", spelled)
    if "Z" in directives:
        return "%Z: names of zones can't be read; take them out of the column and set data.timezone"
    for directive in directives:
        if directive not in _TEXT_OF:
            known = " ".join(f"%{letter}" for letter in (*_TEXT_OF, *_SAME_AS, *_STANDS_FOR))
            return f"%{directive} is not known; there are: {known} %%"
        if directives.count(directive) > 1:
            return f"names %{directive} twice"
    has = set(directives)
    if "s" in has:
        return "%s is a whole instant; leave the rest out" if len(has) > 1 else None
    if not (has & {"Y", "y"} and ("j" in has or (has & {"m", "b"} and "d" in has))):
        return "says no day; write the year, the month and the day, such as %d/%m/%Y"
    if has & {"M", "S", "f", "p"} and not has & {"H", "I"}:
        return "has minutes, seconds or %p, but no hour; write %H, or %I with %p"
    if {"H", "p"} <= has:
        return "%p goes with %I, not with %H, which counts to 23; write %I for %H"
    if "I" in has and "p" not in has and "H" not in has:
        return "%I does not say which half of the day; write %p too, or %H"
    zones = [found[1] or found[2] for found in _ZONE_AS_TEXT.finditer(re.sub(r"%.", "%", spelled))]
    # Behind a day and no hour, as in %Y-%j-00, digits are no offset.
    zone = next((text for text in zones if text[0] not in "+-" or has & {"H", "I"}), None)
    if zone is not None and "z" not in has:
        return f"{zone} is a zone, and as plain text it would be passed over; write %z in its place"
    return None


@dataclass(frozen=True)
class Written:
    """A column by a pattern: `micros` (rows,) int64 µs, UTC where the pattern has a zone (`zoned`), else of the clock,
    and of midnight where it has no time of day (`timed`). `good` (rows,) bool marks the cells that fit."""

    micros: np.ndarray
    good: np.ndarray
    zoned: bool
    timed: bool


def parse_written(text: pa.StringArray, format: str) -> Written:
    """Read a column by a pattern without problems.

    Spaces in it stand for any spaces or none; names are English, and case does not matter.
    """
    found = pc.extract_regex(pc.utf8_trim_whitespace(text), pattern=_expression(_spelled_out(format)))
    good = pc.is_valid(found).to_numpy(zero_copy_only=False)
    parts = {field.name: pc.fill_null(pc.struct_field(found, field.name), "") for field in found.type}
    if "s" in parts:
        return Written(_number(parts, "s") * 1_000_000, good, True, True)
    days, fine = _days(parts)
    hour = _number(parts, "H")
    if "H" not in parts and "I" in parts:
        half = _number(parts, "I")
        fine &= (half >= 1) & (half <= 12)
        hour = half % 12 + np.where(_equals(parts["p"], "pm"), 12, 0)
    minute, second = _number(parts, "M"), _number(parts, "S")
    fine &= (hour < 24) & (minute < 60) & (second < 60)
    micros = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000
    if "f" in parts:
        six = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["f"], 6, "0"), 0, 6)
        micros += _number({"f": six}, "f")
    if "z" in parts:
        shift, known = _shift(parts["z"])
        micros, fine = micros - shift, fine & known
    return Written(micros, good & fine, "z" in parts, "H" in parts or "I" in parts)


def _spelled_out(format: str) -> str:
    """`format` without the letters that only stand for others."""

    def replaced(match: re.Match[str]) -> str:
        letter = match.group(1)
        return _STANDS_FOR.get(letter, f"%{_SAME_AS.get(letter, letter)}")

    return re.sub(r"%(.)", replaced, format)


def _expression(spelled: str) -> str:
    pieces = re.findall(r"%.|\s+|[^%\s]+", spelled)
    made = []
    for place, piece in enumerate(pieces):
        if piece == "%%":
            made.append("%")
        elif piece.startswith("%"):
            # Side by side, as in %Y%m%d, one digit for two would make the others a guess.
            beside = any(
                other[0] == "%" for other in (*pieces[max(place - 1, 0) : place], *pieces[place + 1 : place + 2])
            )
            text = _TEXT_OF[piece[1]]
            made.append(f"(?P<{piece[1]}>{r'[0-9]{2}' if beside and text == _TWO_DIGITS else text})")
        else:
            made.append(r"\s*" if piece.isspace() else re.escape(piece))
    return f"(?i)^{''.join(made)}$"


def _number(parts: Mapping[str, pa.StringArray], letter: str) -> np.ndarray:
    """(rows,) int64 that stand for a directive, 0 where nothing does."""
    if letter not in parts:
        return np.zeros(len(next(iter(parts.values()))), np.int64)
    digits = pc.utf8_trim_whitespace(parts[letter])
    return pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64()).to_numpy(zero_copy_only=False)


def _days(parts: Mapping[str, pa.StringArray]) -> tuple[np.ndarray, np.ndarray]:
    """(days since 1970, whether the month has that day)."""
    year = _number(parts, "Y")
    if "Y" not in parts:
        short = _number(parts, "y")
        year = short + np.where(short < 69, 2000, 1900)
    month = _number(parts, "m")
    if "b" in parts:
        start = pc.utf8_lower(pc.utf8_slice_codeunits(parts["b"], 0, 3))
        month = pc.fill_null(pc.index_in(start, value_set=pa.array(_MONTHS)), -1).to_numpy(zero_copy_only=False) + 1
    day, months = _number(parts, "d"), 1
    if "d" not in parts:
        day, month, months = _number(parts, "j"), np.ones_like(year), 12
    known = (month >= 1) & (month <= 12)
    first = (year - 1970) * 12 + np.where(known, month, 1) - 1
    start = first.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    end = (first + months).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return start + day - 1, known & (day >= 1) & (start + day <= end)


def _equals(text: pa.StringArray, word: str) -> np.ndarray:
    return pc.equal(pc.utf8_lower(text), word).to_numpy(zero_copy_only=False)


def _shift(zones: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """(µs ahead of UTC, whether there can be such a zone) of Z, UTC, GMT, +02, +0200 or +02:00."""
    digits = pc.replace_substring_regex(zones, r"[^\d]", "")
    count = _number({"z": pc.utf8_slice_codeunits(pc.utf8_rpad(digits, 4, "0"), 0, 4)}, "z")
    minutes = count // 100 * 60 + count % 100
    sign = np.where(pc.starts_with(zones, "-").to_numpy(zero_copy_only=False), -1, 1)
    return sign * minutes * 60_000_000, (count // 100 <= 18) & (count % 100 < 60)
