"""Mean and max of relu(m[p] + e·W) over a window, fused: the inner loop of the model, without the big tensor.

Written out in PyTorch the messages are a tensor (events, roles, k, width), gigabytes that live for a microsecond
each. On the CPU this kernel walks every window once and keeps of each message only which parts of it were above
zero, which is all that the way back needs; elsewhere `aggregate_reference` does the same with ordinary tensor
operations, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

_FASTMATH = {"contract", "nsz", "arcp"}
"""Leave to fuse and to divide by multiplying; not to reorder, so the same input gives the same bits."""


def aggregate(projected: Tensor, index: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """GraphSAGE's mean and max (Hamilton et al. 2017, §3.3) over dense windows.

    Shapes: `projected` (sources, width); `index` (n, slots, k) int32 into it, -1 for nothing there; `edges`
    (n, slots, k, columns), 0 where nothing is there; `weight` (slots, columns, width). Returns mean and behind it max,
    (n, slots, 2·width), 0 where a window is empty.
    """
    if projected.device.type == "cpu" and projected.dtype == torch.float32:
        return _Fused.apply(projected, index, edges, weight)
    return aggregate_reference(projected, index, edges, weight)


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
        # Torch aligns its memory for vector instructions, numpy does not.
        out = torch.empty(n, slots, 2 * width)
        positive = torch.empty(n, slots, k, width, dtype=torch.bool).numpy()
        winner = torch.empty(n, slots, width, dtype=torch.int8).numpy()
        arrays = [tensor.detach().contiguous().numpy() for tensor in (projected, index, edges, weight.flatten(1))]
        forward, ctx.kernel = _kernels(slots, k, columns, width)
        forward(*arrays, out.numpy(), positive, winner)
        ctx.windows, ctx.marks, ctx.shapes = arrays[1:3], (positive, winner), (projected.shape, weight.shape)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, Tensor]:
        d_projected, d_weight = (torch.zeros(shape) for shape in ctx.shapes)
        ctx.kernel(*ctx.windows, *ctx.marks, gradient.contiguous().numpy(), d_projected.numpy(), d_weight.numpy())
        return d_projected, None, None, d_weight


@cache
def _kernels(slots: int, k: int, columns: int, width: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Forward and backward compiled for these very sizes: short loops unroll, the one over the width becomes vector
    instructions, and sums stay in registers."""
    zero, one = np.float32(0), np.float32(1)

    @numba.njit(cache=True, nogil=True, fastmath=_FASTMATH)
    def forward(projected, index, edges, weight, out, positive, winner):
        total = np.empty(width, np.float32)
        best = np.empty(width, np.float32)
        which = np.empty(width, np.int8)
        for i in range(len(index)):
            for s in range(slots):
                w = weight[s]
                total[:] = zero
                best[:] = zero
                which[:] = -1
                count = 0
                for j in range(k):
                    p = index[i, s, j]
                    if p < 0:
                        continue
                    count += 1
                    source, e, above = projected[p], edges[i, s, j], positive[i, s, j]
                    for h in range(width):
                        message = source[h]
                        for c in range(columns):
                            message += e[c] * w[c * width + h]
                        message = max(message, zero)
                        above[h] = message > zero
                        total[h] += message
                        which[h] = np.int8(j) if message > best[h] else which[h]
                        best[h] = max(message, best[h])
                scale = one / np.float32(max(count, 1))
                mean, top = out[i, s, :width], out[i, s, width:]
                for h in range(width):
                    mean[h] = total[h] * scale
                    top[h] = best[h]
                    winner[i, s, h] = which[h]

    @numba.njit(cache=True, nogil=True, fastmath=_FASTMATH)
    def backward(index, edges, positive, winner, d_out, d_projected, d_weight):
        d_messages = np.empty((k, width), np.float32)
        column = np.empty(k, np.float32)
        for i in range(len(index)):
            for s in range(slots):
                count = 0
                for j in range(k):
                    count += index[i, s, j] >= 0
                if count == 0:
                    continue
                scale = one / np.float32(count)
                mean, top, won = d_out[i, s, :width], d_out[i, s, width:], winner[i, s]
                for j in range(k):
                    p, d_message = index[i, s, j], d_messages[j]
                    if p < 0:
                        d_message[:] = zero
                        continue
                    d_source, above = d_projected[p], positive[i, s, j]
                    for h in range(width):
                        share = mean[h] * scale + (top[h] if won[h] == j else zero)
                        share = share if above[h] else zero
                        d_message[h] = share
                        d_source[h] += share
                for c in range(columns):
                    d_w = d_weight[s, c]
                    for j in range(k):
                        column[j] = edges[i, s, j, c]
                    for h in range(width):
                        gradient = d_w[h]
                        for j in range(k):
                            gradient += column[j] * d_messages[j, h]
                        d_w[h] = gradient

    return forward, backward
