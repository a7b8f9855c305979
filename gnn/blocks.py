"""Time blocks: contiguous runs of events with their windows, the unit in which the network trains and infers.

Inside a block gradients flow from event to event; events before it are read from the cache of the last pass.
The cost of a pass is linear in events × roles × k, whatever the degree of the busiest entity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numba
import numpy as np
import torch
from torch import Tensor

from gnn.aggregate import Edges
from gnn.encoders import Columns, FeatureSpace
from gnn.messages import EdgeData
from gnn.projection import Rows
from gnn.temporal_sage import TemporalSage
from graphs.events import MISSING
from graphs.temporal_graph import TemporalGraph

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Block:
    """Events start:stop with what they look back at.

    `old` (sources,) are the distinct earlier events that the block reads; `index` (n, roles, k) int32 points
    into [old..., block...] and is -1 for nothing there; `edges` are of its shape.
    """

    start: int
    stop: int
    old: Tensor
    index: Tensor
    edges: Edges

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return self.old.nbytes + self.index.nbytes + self.edges.nbytes

    def to(self, device: torch.device) -> Block:
        """The same block where the network computes."""
        return replace(self, old=self.old.to(device), index=self.index.to(device), edges=self.edges.to(device))


@dataclass(frozen=True)
class NetworkInputs:
    """Everything the network reads of a graph: encoded columns per event, windows and edges on demand."""

    graph: TemporalGraph
    numeric: Tensor
    codes: Tensor
    edge_data: EdgeData
    k: int
    edges: str = "real"
    seed: int = 0

    @classmethod
    def of(
        cls,
        graph: TemporalGraph,
        space: FeatureSpace,
        columns: Columns,
        *,
        k: int,
        edges: str = "real",
        seed: int = 0,
    ) -> NetworkInputs:
        """Encode `columns` of the graph's events with `space`."""
        return cls(
            graph,
            torch.from_numpy(space.numeric(columns)),
            torch.from_numpy(space.codes(columns)),
            EdgeData.of(graph.log),
            k,
            edges,
            seed,
        )

    def __len__(self) -> int:
        return len(self.graph.log)

    def block(self, start: int, stop: int, *, label_lag: int | None = None) -> Block:
        """Windows and edges of events start:stop. With `label_lag` (µs), labels that became known within it
        before the block began are hidden: what scoring looks like when labels have stopped coming."""
        windows = self.graph.windows(self.k, start, stop)
        times = self.graph.log.event_time[start:stop]
        events, roles = self.rewire(windows.events, times, np.arange(start, stop)), windows.roles
        data = self.edge_data
        if label_lag is not None:
            data = data.hide_labels_after(int(times[0]) - label_lag)
        edges = data.edges(events, roles, times, np.arange(start, stop))
        old, index = localise(events, start)
        return Block(start, stop, torch.from_numpy(old), torch.from_numpy(index), edges)

    def rewire(self, events: np.ndarray, times: np.ndarray, looker: np.ndarray) -> np.ndarray:
        """The windows (n, roles, k) as the network shall see them: real, cut off, or shuffled.

        Shuffled, who looks at the instant `times` (n,) sees any events visible by then in place of his own: as many,
        and of no meaning (a floor). `looker` (n,) numbers make the draw: the same ones are dealt the same events, in
        whatever block they stand.
        """
        if self.edges == "none":
            return np.full_like(events, MISSING)
        if self.edges == "real":
            return events
        drawn = _draw(events, self.graph.past(times), looker, self.seed)
        return np.where(events == MISSING, np.int32(MISSING), self.graph.events_at(drawn))

    def spans(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Bounds of consecutive blocks of at most `size` events."""
        stop = len(self) if stop is None else stop
        for low in range(start, stop, size):
            yield low, min(low + size, stop)


class KeptBlocks:
    """Blocks of the same bounds are the same in every epoch: made once and kept, while they fit into `room` bytes."""

    def __init__(self, inputs: NetworkInputs, room: int) -> None:
        self.inputs, self.room = inputs, room
        self._kept: dict[tuple[int, int], Block] = {}

    def __call__(self, start: int, stop: int) -> Block:
        """`inputs.block(start, stop)`."""
        kept = self._kept.get((start, stop))
        if kept is not None:
            return kept
        block = self.inputs.block(start, stop)
        if block.nbytes <= self.room:
            self.room -= block.nbytes
            self._kept[start, stop] = block
        return block


@numba.njit(cache=True, nogil=True)
def localise(events: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct events before `start` of a window, and the window re-indexed into [old..., start, start + 1, ...]."""
    flat = events.ravel()
    lowest = start
    for p in flat:
        if 0 <= p < lowest:
            lowest = p
    place = np.zeros(start - lowest, np.int32)
    old = np.empty(min(len(flat), start - lowest), np.int32)
    out = np.empty(len(flat), np.int32)
    count = 0
    for i in range(len(flat)):
        p = flat[i]
        if 0 <= p < start:
            if place[p - lowest] == 0:
                old[count] = p
                count += 1
                place[p - lowest] = count
            out[i] = place[p - lowest] - 1
        else:
            out[i] = p
    for i in range(len(flat)):
        if flat[i] >= start:
            out[i] += count - start
    return old[:count].copy(), out.reshape(events.shape)


@numba.njit(cache=True, nogil=True)
def _draw(events: np.ndarray, past: np.ndarray, looker: np.ndarray, seed: int) -> np.ndarray:
    """(n, slots, k) int64 below `past` (n,) wherever there is an event, drawn by SplitMix64 (Steele et al. 2014) from
    seed, looker and place."""
    drawn = np.zeros(events.shape, np.int64)
    slots, k = events.shape[1:]
    for i in range(len(events)):
        for place in range(slots * k):
            slot, back = place // k, place % k
            if events[i, slot, back] < 0:
                continue
            state = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(looker[i] * slots * k + place)
            state = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            drawn[i, slot, back] = np.int64((state ^ (state >> np.uint64(31))) % np.uint64(past[i]))
    return drawn


class Cache:
    """h^(0) … h^(L) of every event, as last computed: the network's memory between blocks, where it computes."""

    def __init__(self, events: int, width: int, layers: int, device: torch.device = CPU) -> None:
        # numpy asks for pages that are zero already, and gets them as they are written.
        self.levels = [torch.from_numpy(np.zeros((events, width), np.float32)).to(device) for _ in range(layers + 1)]
        self.device = device


def forward_block(model: TemporalSage, inputs: NetworkInputs, block: Block, cache: Cache) -> tuple[Tensor, Tensor]:
    """h^(0) and h^(L) of the block's events, (n, width) each; refreshes the cache with what was computed."""
    rows, block = slice(block.start, block.stop), block.to(cache.device)
    first = h = model.encoder(inputs.numeric[rows].to(cache.device), inputs.codes[rows].to(cache.device))
    for level, layer in enumerate(model.sage):
        cache.levels[level][rows] = h.detach()
        h = layer(h, Rows(cache.levels[level], block.old), block.index, block.edges)
    cache.levels[-1][rows] = h.detach()
    return first, h


@torch.no_grad()
def embed_all(
    model: TemporalSage, inputs: NetworkInputs, *, size: int = 16_384, start: int = 0, stop: int | None = None
) -> Cache:
    """Embeddings of events start:stop in time order; exact, since each block finds its past already computed."""
    model.eval()
    cache = Cache(len(inputs), model.spec.width, model.spec.layers)
    for low, high in inputs.spans(size, start, stop):
        forward_block(model, inputs, inputs.block(low, high), cache)
    return cache
