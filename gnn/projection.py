"""Rows of a table times a matrix, the rows read where they stand.

A product of matrices needs its rows side by side, and to bring them there takes longer than the product itself. The
kernel asks for rows ahead, and sums each in the same order whoever stands beside it, so that a row gives the same bits
from wherever it is read (`gnn/rowwise.py` says why that matters).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
from torch import Tensor

from gnn.lanes import WIDTH, add, load, load_one, multiply_add, prefetch, store

TOGETHER = 4
"""Rows that are projected at a time, so that their sums do not wait for one another."""
AHEAD = 8
"""Rows that lie far apart are asked for so many rows before they are needed."""


@dataclass(frozen=True)
class Rows:
    """Rows of `table` (some, inputs), read where they stand: those at the places `at` (rows,) int32, or all."""

    table: Tensor
    at: Tensor | None = None

    def __len__(self) -> int:
        return len(self.table if self.at is None else self.at)

    @property
    def places(self) -> np.ndarray:
        """(rows,) int32 into the table."""
        return np.arange(len(self.table), dtype=np.int32) if self.at is None else self.at.numpy()

    @property
    def copied(self) -> Tensor:
        """(rows, inputs): the rows below one another."""
        return self.table if self.at is None else self.table.index_select(0, self.at)


@cache
def projection(inputs: int, width: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """x·W + b of rows, and the way back to W and b, compiled for these very sizes.

    `project(table, at, matrix, bias, out)` and `back(table, at, d_out, d_matrix, d_bias)`, which adds; the matrix is
    (inputs, width), width a multiple of WIDTH; all arrays are flat.
    """
    parts = width // WIDTH

    @numba.njit(cache=True, nogil=True)
    def starts(table, at, i):
        for ahead in range(i + AHEAD, min(i + AHEAD + TOGETHER, len(at))):
            for k in range(0, inputs, WIDTH):
                prefetch(table, at[ahead] * inputs + k)
        return at[i] * inputs, at[i + 1] * inputs, at[i + 2] * inputs, at[i + 3] * inputs

    @numba.njit(cache=True, nogil=True)
    def project(table, at, matrix, bias, out):
        together = len(at) - len(at) % TOGETHER
        for i in range(0, together, TOGETHER):
            a, b, c, d = starts(table, at, i)
            for part in range(parts):
                lane = part * WIDTH
                to_a = to_b = to_c = to_d = load(bias, lane)
                for k in range(inputs):
                    of_k = load(matrix, k * width + lane)
                    to_a = multiply_add(load_one(table, a + k), of_k, to_a)
                    to_b = multiply_add(load_one(table, b + k), of_k, to_b)
                    to_c = multiply_add(load_one(table, c + k), of_k, to_c)
                    to_d = multiply_add(load_one(table, d + k), of_k, to_d)
                store(out, i * width + lane, to_a)
                store(out, (i + 1) * width + lane, to_b)
                store(out, (i + 2) * width + lane, to_c)
                store(out, (i + 3) * width + lane, to_d)
        for i in range(together, len(at)):
            for part in range(parts):
                lane = part * WIDTH
                said = load(bias, lane)
                for k in range(inputs):
                    said = multiply_add(load_one(table, at[i] * inputs + k), load(matrix, k * width + lane), said)
                store(out, i * width + lane, said)

    @numba.njit(cache=True, nogil=True)
    def back(table, at, d_out, d_matrix, d_bias):
        together = len(at) - len(at) % TOGETHER
        for i in range(0, together, TOGETHER):
            a, b, c, d = starts(table, at, i)
            for part in range(parts):
                lane = part * WIDTH
                of_a, of_b = load(d_out, i * width + lane), load(d_out, (i + 1) * width + lane)
                of_c, of_d = load(d_out, (i + 2) * width + lane), load(d_out, (i + 3) * width + lane)
                for k in range(inputs):
                    cell = k * width + lane
                    of_k = multiply_add(load_one(table, a + k), of_a, load(d_matrix, cell))
                    of_k = multiply_add(load_one(table, b + k), of_b, of_k)
                    of_k = multiply_add(load_one(table, c + k), of_c, of_k)
                    store(d_matrix, cell, multiply_add(load_one(table, d + k), of_d, of_k))
                store(d_bias, lane, add(load(d_bias, lane), add(add(of_a, of_b), add(of_c, of_d))))
        for i in range(together, len(at)):
            for part in range(parts):
                lane = part * WIDTH
                said = load(d_out, i * width + lane)
                for k in range(inputs):
                    cell = k * width + lane
                    store(d_matrix, cell, multiply_add(load_one(table, at[i] * inputs + k), said, load(d_matrix, cell)))
                store(d_bias, lane, add(load(d_bias, lane), said))

    return project, back
