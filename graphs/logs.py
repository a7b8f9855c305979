"""Logging that never shows an identity: card numbers and e-mail addresses come out masked.

A payment that fails is exactly the one somebody will log. Masking therefore sits in the formatter, behind
every message, argument and traceback, and not in the hands of whoever writes the log line.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from pathlib import Path

_DIGITS = re.compile(
    r"(?<!\d)(?<!\d\.)"
    r"(?:\d(?:[ \u00a0\u202f-]?\d){12,18}|\d{4}(?:\.\d{4}){3}(?:\.?\d{3})?|\d{4}\.\d{6}\.\d{5})"
    r"(?!\d)(?!\.0*[1-9])"
)
"""Full stops only between groups as on a card: elsewhere they begin a fraction. One of zeros alone is no fraction."""
_SHORTENED = re.compile(r"(?<![\d.])(\d)\.(\d{12,18})([eE]\+?(1[2-8]))(?!\d)")
_FEWEST_DIGITS = 13
_SINCE_1970 = re.compile(r"1(?:\d{12}|\d{15}|\d{18})")
"""Milli-, micro- and nanoseconds of 2001 to 2033. No issuer's cards are of these lengths and begin with 1."""
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def mask(text: str) -> str:
    """Return `text` with card numbers (13 to 19 digits that pass the Luhn check) and e-mail addresses masked.

    Times in milli-, micro- or nanoseconds since 1970 are no card numbers, whatever their check digit says, and neither
    are zeros alone, which stand in for an id that nobody has.

    >>> mask("card 4111111111111111 of ana@example.org")
    'card 411111******1111 of ***@***'
    """
    # Most of what comes here is a short id, by the thousand for a large ring.
    if len(text) >= _FEWEST_DIGITS:
        text = _SHORTENED.sub(_mask_shortened, _DIGITS.sub(_mask_card, text))
    return _ADDRESS.sub("***@***", text) if "@" in text else text


def _mask_card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match.group())
    if _SINCE_1970.fullmatch(match.group()) or not digits.strip("0") or not _passes_luhn(digits):
        return match.group()
    return f"{digits[:6]}{'*' * (len(digits) - 10)}{digits[-4:]}"


def _mask_shortened(match: re.Match[str]) -> str:
    """Mask a number like 4.111111111111111E+15: whole, or without its last digits, which the check would give back."""
    kept, length = match[1] + match[2], int(match[4]) + 1
    digits = kept.ljust(length, "0")
    card = len(kept) < length or (len(kept) == length and _passes_luhn(digits))
    if not card or _SINCE_1970.fullmatch(digits):
        return match.group()
    return f"{digits[0]}.{digits[1:6]}{'*' * (length - 10)}{digits[-4:]}{match[3]}"


def _passes_luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


class MaskingFormatter(logging.Formatter):
    """Formats a record with UTC time, then masks the whole of it, traceback included."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


def log_to(file: Path | None = None, *, level: int = logging.INFO) -> None:
    """Send all log records, and Python warnings, to standard error and, when given, to `file`.

    Replaces what an earlier call set up, so that each job of a sweep writes into its own file.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler.formatter, MaskingFormatter)]:
        root.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(MaskingFormatter())
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    # Other libraries' chatter at DEBUG drowns ours and is not ours to vouch for.
    for name in ("matplotlib", "numba", "hydra", "fsspec", "h5py"):
        logging.getLogger(name).setLevel(max(level, logging.INFO))
