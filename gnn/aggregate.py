"""Mean and max of relu(m[p] + e·W) over a window, fused: the inner loop of the model, without the big tensor.

Written out in PyTorch the messages are a tensor (events, roles, k, width), gigabytes that live for a microsecond
each. On the CPU this kernel walks every window once, sixteen numbers at a time, and keeps of each message only which
of them were above zero, which is all that the way back needs; elsewhere `aggregate_reference` does the same with
ordinary tensor operations, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gnn.lanes import WIDTH, add, choose, equal, greater, load, multiply, multiply_add, spread, store


def aggregate(projected: Tensor, index: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """GraphSAGE's mean and max (Hamilton et al. 2017, §3.3) over dense windows.

    Shapes: `projected` (sources, width); `index` (n, slots, k) int32 into it, -1 for nothing there; `edges`
    (n, slots, k, columns), 0 where nothing is there; `weight` (slots, columns, width). Returns mean and behind it max,
    (n, slots, 2·width), 0 where a window is empty.
    """
    if projected.device.type != "cpu" or projected.dtype != torch.float32:
        return aggregate_reference(projected, index, edges, weight)
    width = weight.shape[2]
    missing = -width % WIDTH
    if not missing:
        return _Fused.apply(projected, index, edges, weight)
    padded = _Fused.apply(functional.pad(projected, (0, missing)), index, edges, functional.pad(weight, (0, missing)))
    return padded.unflatten(2, (2, width + missing))[..., :width].flatten(2)


def aggregate_reference(projected: Tensor, index: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """`aggregate` in plain tensor operations: any device, any dtype, for reading and for testing."""
    there = (index >= 0).unsqueeze(-1)
    messages = projected[index.clamp_min(0).long()] + torch.einsum("nskc,sch->nskh", edges, weight)
    messages = torch.where(there, torch.relu(messages), torch.zeros((), dtype=messages.dtype, device=messages.device))
    count = there.sum(2).clamp_min(1)
    return torch.cat([messages.sum(2) / count, messages.amax(2)], -1)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, index: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        n, slots, k = index.shape
        columns, width = weight.shape[1:]
        out = torch.empty(n, slots, 2 * width)
        above = np.empty(n * slots * k * width // WIDTH, np.uint16)
        winner = np.empty(n * slots * width, np.float32)
        arrays = [tensor.detach().contiguous().view(-1).numpy() for tensor in (projected, index, edges, weight)]
        forward, ctx.kernel = _kernels(slots, k, columns, width)
        forward(*arrays, out.view(-1).numpy(), above, winner)
        ctx.windows, ctx.marks, ctx.shapes = arrays[1:3], (above, winner), (projected.shape, weight.shape)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, Tensor]:
        d_projected, d_weight = (torch.zeros(shape) for shape in ctx.shapes)
        d_out = gradient.contiguous().view(-1).numpy()
        ctx.kernel(*ctx.windows, *ctx.marks, d_out, d_projected.view(-1).numpy(), d_weight.view(-1).numpy())
        return d_projected, None, None, d_weight


@cache
def _kernels(slots: int, k: int, columns: int, width: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Forward and backward compiled for these very sizes, so that the short loops unroll. All arrays are flat."""
    parts = width // WIDTH
    one = np.float32(1)

    @numba.njit(cache=True, nogil=True)
    def forward(projected, index, edges, weight, out, above, winner):
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
                    for c in range(columns):
                        edge = spread(edges[message * columns + c])
                        said = multiply_add(edge, load(weight, here + c * width), said)
                    marks = greater(said, zero)
                    above[message * parts + part] = marks
                    said = choose(marks, said, zero)
                    total = add(total, said)
                    better = greater(said, best)
                    best = choose(better, said, best)
                    which = choose(better, spread(np.float32(j)), which)
                at = window * 2 * width + lane
                store(out, at, multiply(total, spread(one / np.float32(max(count, 1)))))
                store(out, at + width, best)
                store(winner, window * width + lane, which)

    @numba.njit(cache=True, nogil=True)
    def backward(index, edges, above, winner, d_out, d_projected, d_weight):
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
                    for c in range(columns):
                        edge = spread(edges[message * columns + c])
                        cell = here + c * width
                        store(d_weight, cell, multiply_add(edge, share, load(d_weight, cell)))

    return forward, backward
