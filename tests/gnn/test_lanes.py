"""Sixteen numbers at once do what numpy does with them one by one."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from gnn.lanes import (
    WIDTH,
    add,
    choose,
    equal,
    greater,
    load,
    load_one,
    lowest_bit,
    multiply,
    multiply_add,
    prefetch,
    spread,
    store,
)


@numba.njit
def _at_work(left, right, out, marks):
    prefetch(left, WIDTH)
    a, b = load(left, WIDTH), load(right, WIDTH)
    store(out, 0, add(a, b))
    store(out, WIDTH, multiply(a, b))
    store(out, 2 * WIDTH, multiply_add(a, b, spread(np.float32(0.5))))
    store(out, 3 * WIDTH, choose(greater(a, b), a, b))
    store(out, 4 * WIDTH, load_one(left, 3))
    marks[0], marks[1] = greater(a, b), equal(a, b)


@pytest.mark.parametrize("seed", range(3))
def test_lanes_equal_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = (rng.integers(-3, 4, 2 * WIDTH).astype(np.float32) for _ in range(2))
    out, marks = np.empty(5 * WIDTH, np.float32), np.empty(2, np.uint16)
    _at_work(left, right, out, marks)
    a, b = left[WIDTH:], right[WIDTH:]
    expected = [a + b, a * b, a * b + np.float32(0.5), np.maximum(a, b), np.full(WIDTH, left[3])]
    np.testing.assert_array_equal(out, np.concatenate(expected))
    for found, expected in zip(marks, (a > b, a == b), strict=True):
        assert [bool(found >> lane & 1) for lane in range(WIDTH)] == expected.tolist()


def test_not_a_number_is_neither_greater_nor_equal() -> None:
    left, right = np.full(2 * WIDTH, np.nan, np.float32), np.zeros(2 * WIDTH, np.float32)
    marks = np.ones(2, np.uint16)
    _at_work(left, right, np.empty(5 * WIDTH, np.float32), marks)
    assert marks.tolist() == [0, 0]


@numba.njit
def _lowest_of(bits):
    return lowest_bit(bits)


@pytest.mark.parametrize("place", [0, 1, 17, 62, 63])
def test_the_lowest_bit_that_is_set(place: int) -> None:
    assert _lowest_of(np.int64(-1) << np.int64(place)) == place
