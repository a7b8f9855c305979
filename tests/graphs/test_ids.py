"""Codes of keys: by first appearance, none for null, the key itself untouched."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from graphs.ids import encode_ids, encode_pairs


def test_codes_follow_first_appearance_and_null_has_none() -> None:
    codes, distinct = encode_ids(pa.array(["7", "007", None, "7", ""]))
    assert codes.tolist() == [0, 1, -1, 0, 2]
    assert distinct.to_pylist() == ["7", "007", ""]


@pytest.mark.parametrize("chunks", [[], [[]], [["b", "a"], [], ["c", None, "a"], ["b", "d"]]])
def test_chunks_share_one_numbering(chunks: list[list[str]]) -> None:
    column = pa.chunked_array(chunks, pa.string())
    codes, distinct = encode_ids(column)
    assert [None if code < 0 else distinct[code].as_py() for code in codes] == column.to_pylist()
    assert distinct.to_pylist() == list(dict.fromkeys(key for key in column.to_pylist() if key is not None))


def test_numbers_are_keys_too() -> None:
    codes, distinct = encode_ids(np.array([5, -1, 5, 1 << 62]))
    assert codes.tolist() == [0, 1, 0, 2]
    assert distinct.to_pylist() == [5, -1, 1 << 62]


def test_pairs_are_ordered_and_need_both_sides() -> None:
    left, right = np.array([1, 2, 1, -1, 1], np.int32), np.array([2, 1, 2, 1, -1], np.int32)
    codes, count = encode_pairs(left, right)
    assert codes.tolist() == [0, 1, 0, -1, -1] and count == 2
