"""Keys to codes: equal keys get equal codes, numbered by first appearance."""

from __future__ import annotations

import numpy as np
from numba import njit

from graphs.events import MISSING


def encode_pairs(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, int]:
    """Return (codes (n,) int32 by first appearance, number of distinct pairs) of int32 code columns.

    A pair with a MISSING side has the code MISSING.
    """
    codes, count = _encode_pairs(np.ascontiguousarray(left), np.ascontiguousarray(right))
    return codes, int(count)


@njit(cache=True, nogil=True)
def _encode_pairs(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, int]:
    codes = np.empty(len(left), np.int32)
    slots = np.full(1 << 10, -1, np.int32)
    keys = np.empty(1 << 9, np.int64)
    count = 0
    for row in range(len(left)):
        if left[row] < 0 or right[row] < 0:
            codes[row] = MISSING
            continue
        if count == len(keys):
            slots, keys = _grow(keys)
        key = (np.int64(left[row]) << 32) | np.int64(right[row])
        slot = _find(slots, keys, key)
        if slots[slot] < 0:
            slots[slot] = count
            keys[count] = key
            count += 1
        codes[row] = slots[slot]
    return codes, count


@njit(cache=True, nogil=True, inline="always")
def _find(slots: np.ndarray, keys: np.ndarray, key: np.int64) -> np.int64:
    """The slot of `key`, or the free one where it belongs: multiply-shift hashing with linear probing."""
    mask = len(slots) - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))
    while slots[slot] >= 0 and keys[slots[slot]] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _grow(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A table of twice the room, at most half full, with the same keys under the same codes."""
    grown = np.empty(2 * len(keys), np.int64)
    grown[: len(keys)] = keys
    slots = np.full(2 * len(grown), -1, np.int32)
    for code in range(len(keys)):
        slots[_find(slots, grown, keys[code])] = code
    return slots, grown
