"""Mean and max of relu(m[p] + e·W) over a window, fused: the inner loop of the model, without the big tensor.

Written out in PyTorch the messages are a tensor (events, roles, k, width), gigabytes that live for a microsecond
each. On the CPU this kernel walks every window once, sixteen numbers at a time, and keeps of each message only which
of them were above zero, which is all that the way back needs; elsewhere `aggregate_reference` does the same with
ordinary tensor operations, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

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
    spread,
    store,
)
from gnn.projection import Rows, projection

MOST_MARKS = 63
"""Bits of an int64 but for the sign."""


class Edges(NamedTuple):
    """What is known of every message of windows (n, slots, k): `numbers` (n, slots, k, count) float32 and, as bits of
    `marks` (n, slots, k) int64, what is so or not. Both are 0 where nothing is there."""

    numbers: Tensor
    marks: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of memory that they take."""
        return self.numbers.nbytes + self.marks.nbytes

    def to(self, device: torch.device) -> Edges:
        """The same edges on another device."""
        return Edges(self.numbers.to(device), self.marks.to(device))

    def dense(self, columns: int) -> Tensor:
        """(n, slots, k, columns): the numbers, and behind them a column of 0 or 1 for every mark."""
        bits = self.marks.unsqueeze(-1) >> torch.arange(columns - self.numbers.shape[-1], device=self.marks.device) & 1
        return torch.cat([self.numbers, bits.to(self.numbers.dtype)], -1)


def aggregate(sources: Sequence[Rows], project: nn.Linear, index: Tensor, edges: Edges, weight: Tensor) -> Tensor:
    """GraphSAGE's mean and max (Hamilton et al. 2017, §3.3) over dense windows.

    Shapes: `sources`, projected to (rows, width) each, are read as if they stood below one another; `index`
    (n, slots, k) int32 into them, -1 for nothing there; `weight` (slots, columns, width) for the numbers of `edges` and
    behind them the marks. Returns mean and behind it max, (n, slots, 2·width), 0 where a window is empty. Gradients go
    to the sources that are whole tables.
    """
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return aggregate_reference(sources, project, index, edges, weight)
    width = weight.shape[2]
    missing = -width % WIDTH
    if not missing:
        return _Fused.apply(sources, index, edges, weight, project.weight, project.bias, *_whole(sources))
    matrix, bias = functional.pad(project.weight, (0, 0, 0, missing)), functional.pad(project.bias, (0, missing))
    weight = functional.pad(weight, (0, missing))
    padded = _Fused.apply(sources, index, edges, weight, matrix, bias, *_whole(sources))
    return padded.unflatten(2, (2, width + missing))[..., :width].flatten(2)


def aggregate_reference(
    sources: Sequence[Rows], project: nn.Linear, index: Tensor, edges: Edges, weight: Tensor
) -> Tensor:
    """`aggregate` in plain tensor operations: any device, any dtype, for reading and for testing."""
    messages = torch.relu(plain_messages(sources, project, index, edges, weight))
    there = (index >= 0).unsqueeze(-1)
    messages = torch.where(there, messages, torch.zeros((), dtype=messages.dtype, device=messages.device))
    count = there.sum(2).clamp_min(1)
    return torch.cat([messages.sum(2) / count, messages.amax(2)], -1)


def plain_messages(sources: Sequence[Rows], project: nn.Linear, index: Tensor, edges: Edges, weight: Tensor) -> Tensor:
    """m[p] + e·W of every message, (n, slots, k, width), of which those where nothing is there mean nothing."""
    projected = torch.cat([project(part.copied) for part in sources])
    return projected[index.clamp_min(0).long()] + torch.einsum("nskc,sch->nskh", edges.dense(weight.shape[1]), weight)


def _whole(sources: Sequence[Rows]) -> list[Tensor]:
    return [part.table for part in sources if part.at is None]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sources: Sequence[Rows],
        index: Tensor,
        edges: Edges,
        weight: Tensor,
        matrix: Tensor,
        bias: Tensor,
        *whole: Tensor,
    ) -> Tensor:
        n, slots, k = index.shape
        columns, width = weight.shape[1:]
        lengths = [len(part) for part in sources]
        projected = torch.empty(sum(lengths), width)
        project, ctx.project_back = projection(matrix.shape[1], width)
        by_input = _flat(matrix.t())
        for part, into in zip(sources, projected.split(lengths), strict=True):
            project(_flat(part.table), part.places, by_input, _flat(bias), _flat(into))
        out = torch.empty(n, slots, 2 * width)
        above = np.empty(n * slots * k * width // WIDTH, np.uint16)
        winner = np.empty(n * slots * width, np.float32)
        windows = [_flat(index), _flat(edges.numbers), _flat(edges.marks)]
        forward, ctx.back = _kernels(slots, k, edges.numbers.shape[-1], columns, width)
        forward(_flat(projected), *windows, _flat(weight), _flat(out), above, winner)
        ctx.windows, ctx.said, ctx.shape, ctx.places = windows, (above, winner), weight.shape, [p.at for p in sources]
        ctx.save_for_backward(matrix, *(part.table for part in sources))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        matrix, *tables = ctx.saved_tensors
        sources = [Rows(table, at) for table, at in zip(tables, ctx.places, strict=True)]
        lengths = [len(part) for part in sources]
        d_projected, d_weight = torch.zeros(sum(lengths), len(matrix)), torch.zeros(ctx.shape)
        ctx.back(*ctx.windows, *ctx.said, _flat(gradient), _flat(d_projected), _flat(d_weight))
        d_matrix, d_bias, d_whole = torch.zeros(matrix.t().shape), torch.zeros(len(matrix)), []
        for part, said in zip(sources, d_projected.split(lengths), strict=True):
            ctx.project_back(_flat(part.table), part.places, _flat(said), _flat(d_matrix), _flat(d_bias))
            if part.at is None:
                d_whole.append(said @ matrix)
        return None, None, None, d_weight, d_matrix.t(), d_bias, *d_whole


def _flat(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor in a row, in its own memory where that is contiguous."""
    return tensor.detach().contiguous().view(-1).numpy()


@cache
def _kernels(
    slots: int, k: int, numbers: int, columns: int, width: int
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Forward and backward compiled for these very sizes, so that the short loops unroll. All arrays are flat."""
    parts = width // WIDTH
    one = np.float32(1)

    @numba.njit(cache=True, nogil=True)
    def forward(projected, index, edges, marks, weight, out, above, winner):
        zero = spread(np.float32(0))
        for window in range(len(index) // k):
            for part in range(parts):
                lane = part * WIDTH
                here = window % slots * columns * width + lane
                total = best = zero
                which = spread(np.float32(-1))
                count = 0
                for j in range(k):
                    message = window * k + j
                    p = index[message]
                    if p < 0:
                        continue
                    count += 1
                    said = load(projected, p * width + lane)
                    for c in range(numbers):
                        edge = load_one(edges, message * numbers + c)
                        said = multiply_add(edge, load(weight, here + c * width), said)
                    bits = marks[message]
                    while bits:
                        said = add(said, load(weight, here + (numbers + lowest_bit(bits)) * width))
                        bits &= bits - 1
                    positive = greater(said, zero)
                    above[message * parts + part] = positive
                    said = choose(positive, said, zero)
                    total = add(total, said)
                    better = greater(said, best)
                    best = choose(better, said, best)
                    which = choose(better, spread(np.float32(j)), which)
                at = window * 2 * width + lane
                store(out, at, multiply(total, spread(one / np.float32(max(count, 1)))))
                store(out, at + width, best)
                store(winner, window * width + lane, which)

    @numba.njit(cache=True, nogil=True)
    def backward(index, edges, marks, above, winner, d_out, d_projected, d_weight):
        zero = spread(np.float32(0))
        for window in range(len(index) // k):
            count = 0
            for j in range(k):
                count += index[window * k + j] >= 0
            if count == 0:
                continue
            for part in range(parts):
                lane = part * WIDTH
                here = window % slots * columns * width + lane
                at = window * 2 * width + lane
                of_mean = multiply(load(d_out, at), spread(one / np.float32(count)))
                of_both = add(load(d_out, at + width), of_mean)
                won = load(winner, window * width + lane)
                for j in range(k):
                    message = window * k + j
                    p = index[message]
                    if p < 0:
                        continue
                    share = choose(equal(won, spread(np.float32(j))), of_both, of_mean)
                    share = choose(above[message * parts + part], share, zero)
                    source = p * width + lane
                    store(d_projected, source, add(load(d_projected, source), share))
                    for c in range(numbers):
                        edge = load_one(edges, message * numbers + c)
                        cell = here + c * width
                        store(d_weight, cell, multiply_add(edge, share, load(d_weight, cell)))
                    bits = marks[message]
                    while bits:
                        cell = here + (numbers + lowest_bit(bits)) * width
                        store(d_weight, cell, add(share, load(d_weight, cell)))
                        bits &= bits - 1

    return forward, backward
