"""Mean and max of relu(m[p] + e·W) over a window, fused: the inner loop of the model, without the big tensor.

Written out in PyTorch the messages are a tensor (events, roles, k, width), gigabytes that live for a microsecond
each. On the CPU this kernel walks every window once, keeps the running mean and max in registers and recomputes
the messages on the way back; elsewhere `aggregate_reference` does the same with ordinary tensor operations, and
a test holds the two together.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor


def aggregate(projected: Tensor, index: Tensor, edges: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """GraphSAGE's mean and max (Hamilton et al. 2017, §3.3) over dense windows.

    Shapes: `projected` (sources, width); `index` (n, slots, k) int32 into it, -1 for nothing there; `edges`
    (n, slots, k, columns); `weight` (slots, columns, width). Returns mean and max, each (n, slots, width),
    0 where a window is empty.
    """
    if projected.device.type == "cpu" and projected.dtype == torch.float32:
        mean, top = _Fused.apply(projected, index, edges, weight)
        return mean, top
    return aggregate_reference(projected, index, edges, weight)


def aggregate_reference(projected: Tensor, index: Tensor, edges: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """`aggregate` in plain tensor operations: any device, any dtype, for reading and for testing."""
    there = (index >= 0).unsqueeze(-1)
    messages = projected[index.clamp_min(0).long()] + torch.einsum("nskc,sch->nskh", edges, weight)
    messages = torch.where(there, torch.relu(messages), torch.zeros((), dtype=messages.dtype, device=messages.device))
    count = there.sum(2).clamp_min(1)
    return messages.sum(2) / count, messages.amax(2)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, index: Tensor, edges: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        n, slots, _ = index.shape
        width = projected.shape[1]
        mean = np.empty((n, slots, width), np.float32)
        top = np.empty((n, slots, width), np.float32)
        winner = np.empty((n, slots, width), np.int8)
        arrays = [tensor.detach().contiguous().numpy() for tensor in (projected, index, edges, weight)]
        _forward(*arrays, mean, top, winner)
        ctx.arrays, ctx.winner = arrays, winner
        return torch.from_numpy(mean), torch.from_numpy(top)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, Tensor]:
        projected, index, edges, weight = ctx.arrays
        d_mean, d_top = (gradient.contiguous().numpy() for gradient in gradients)
        d_projected = np.zeros_like(projected)
        d_weight = np.zeros_like(weight)
        _backward(projected, index, edges, weight, ctx.winner, d_mean, d_top, d_projected, d_weight)
        return torch.from_numpy(d_projected), None, None, torch.from_numpy(d_weight)


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "arcp"})
def _forward(projected, index, edges, weight, mean, top, winner):
    n, slots, k = index.shape
    width = projected.shape[1]
    columns = edges.shape[3]
    message = np.empty(width, np.float32)
    total = np.empty(width, np.float32)
    best = np.empty(width, np.float32)
    which = np.empty(width, np.int8)
    for i in range(n):
        for s in range(slots):
            total[:] = 0.0
            best[:] = 0.0
            which[:] = -1
            count = 0
            for j in range(k):
                p = index[i, s, j]
                if p < 0:
                    continue
                count += 1
                for h in range(width):
                    message[h] = projected[p, h]
                for c in range(columns):
                    value = edges[i, s, j, c]
                    if value != 0.0:
                        for h in range(width):
                            message[h] += value * weight[s, c, h]
                for h in range(width):
                    m = message[h] if message[h] > 0.0 else np.float32(0.0)
                    total[h] += m
                    better = m > best[h]
                    best[h] = m if better else best[h]
                    which[h] = np.int8(j) if better else which[h]
            scale = np.float32(1.0) / np.float32(max(count, 1))
            for h in range(width):
                mean[i, s, h] = total[h] * scale
                top[i, s, h] = best[h]
                winner[i, s, h] = which[h]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "arcp"})
def _backward(projected, index, edges, weight, winner, d_mean, d_top, d_projected, d_weight):
    n, slots, k = index.shape
    width = projected.shape[1]
    columns = edges.shape[3]
    message = np.empty(width, np.float32)
    share = np.empty(width, np.float32)
    for i in range(n):
        for s in range(slots):
            count = 0
            for j in range(k):
                count += index[i, s, j] >= 0
            scale = np.float32(1.0) / np.float32(max(count, 1))
            for h in range(width):
                share[h] = d_mean[i, s, h] * scale
            for j in range(k):
                p = index[i, s, j]
                if p < 0:
                    continue
                for h in range(width):
                    message[h] = projected[p, h]
                for c in range(columns):
                    value = edges[i, s, j, c]
                    if value != 0.0:
                        for h in range(width):
                            message[h] += value * weight[s, c, h]
                for h in range(width):
                    g = share[h] + (d_top[i, s, h] if winner[i, s, h] == j else np.float32(0.0))
                    g = g if message[h] > 0.0 else np.float32(0.0)
                    message[h] = g
                    d_projected[p, h] += g
                for c in range(columns):
                    value = edges[i, s, j, c]
                    if value != 0.0:
                        for h in range(width):
                            d_weight[s, c, h] += value * message[h]
