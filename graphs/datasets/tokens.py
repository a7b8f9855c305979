"""Ids that give nothing away: codes become random-looking, unique text without order.

A running number as an id would tell who was made by which part of the generator (and when), which is the
first shortcut a model finds. A keyed bijection on 40 bits needs no table, so ids stream without memory.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ALPHABET = np.frombuffer(b"0123456789abcdefghjkmnpqrstvwxyz", dtype=np.uint8)
_BITS = np.uint64(40)
_MASK = np.uint64((1 << 40) - 1)
_LENGTH = 8


def tokens(prefix: str, codes: np.ndarray, *, seed: int) -> pa.StringArray:
    """Text ids of integer codes: one letter for the kind, then 8 characters; null for codes below 0.

    `codes` (rows,) integers below 2**40. The same (prefix, code, seed) always gives the same text, two codes
    never the same.

    >>> tokens("u", np.array([0, 1]), seed=7)[0].as_py() != tokens("u", np.array([0, 1]), seed=7)[1].as_py()
    True
    """
    assert len(prefix) == 1, prefix
    absent = codes < 0
    hidden = _scramble(np.where(absent, 0, codes).astype(np.uint64), _salt(prefix, seed))
    text = np.empty((len(codes), 1 + _LENGTH), dtype=np.uint8)
    text[:, 0] = ord(prefix)
    for position in range(_LENGTH):
        text[:, 1 + position] = _ALPHABET[(hidden >> np.uint64(5 * position)) & np.uint64(31)]
    offsets = np.arange(len(codes) + 1, dtype=np.int32) * np.int32(1 + _LENGTH)
    array = pa.StringArray.from_buffers(len(codes), pa.py_buffer(offsets), pa.py_buffer(text))
    return pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), array) if absent.any() else array


def hashed_uniform(codes: np.ndarray, *, seed: int) -> np.ndarray:
    """A fixed number in [0, 1) per code: (rows,) float64. Used for lasting tastes that need no storage."""
    x = codes.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) & ((1 << 64) - 1))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _scramble(x: np.ndarray, salt: int) -> np.ndarray:
    # Odd multiplications and xor-shifts are each invertible modulo 2**40, so no two codes can meet.
    x = (x ^ np.uint64(salt)) & _MASK
    for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        x = (x * np.uint64(factor)) & _MASK
        x = x ^ (x >> (_BITS // np.uint64(2)))
    return x


def _salt(prefix: str, seed: int) -> int:
    return int(np.random.default_rng([seed, ord(prefix)]).integers(0, 1 << 40))
