"""The temporal graph as PyG sees it: a `HeteroData` as of an instant, and a sampler that looks back only.

Events are nodes of the type "event", entities nodes of their own types, and every role is a pair of edge types:
("event", role, entity type) carries messages to the entity, (entity type, "rev_" + role, "event") back. This is the
plain static route, kept for comparison and for whoever wants to run another PyG model on the same data.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gnn.encoders import attribute_columns, event_columns
from graphs.errors import ConfigError
from graphs.events import MISSING, NEVER, UNLABELLED, Role
from graphs.temporal_graph import TemporalGraph

with warnings.catch_warnings():
    # PyG scripts classes as it is imported, which torch calls deprecated; that is for them to settle.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.data import HeteroData
    from torch_geometric.loader import NodeLoader
    from torch_geometric.nn import HeteroConv, SAGEConv
    from torch_geometric.sampler import BaseSampler, HeteroSamplerOutput, NodeSamplerInput

__all__ = [
    "EVENT", "HeteroConv", "HeteroData", "NodeLoader", "SAGEConv", "TemporalSampler", "edge_to_entity", "edge_to_event",
    "to_hetero_data",
]  # fmt: skip

EVENT = "event"
"""The node type of events; an entity type of this name would clash with it."""

EdgeType = tuple[str, str, str]


def edge_to_entity(role: Role) -> EdgeType:
    """The edge type along which an event speaks to its entity in `role`."""
    return EVENT, role.name, role.entity_type


def edge_to_event(role: Role) -> EdgeType:
    """The edge type along which the entity in `role` speaks to its event."""
    return role.entity_type, f"rev_{role.name}", EVENT


def to_hetero_data(graph: TemporalGraph, as_of: int | None = None) -> HeteroData:
    """Return the graph as it stood at `as_of` (µs UTC; None = all of it) as a PyG `HeteroData`.

    Events have `x` (events, columns) float32 with NaN for missing and the names in `columns`, `time` and
    `visible_time` (events,) int64 µs UTC, `y` (events,) int64 with -1 where no label is known by then. Entities have
    `x` (their numeric attributes as of then) and, where entities are labelled, `y`. Edges have `time`, the visible
    time of their event, and stand in the order of time. `ids` are the caller's own keys, by node (like `columns` an
    Arrow array, which PyG's loaders leave alone).

    Raises ConfigError where an entity type has the name of events.

    >>> data = to_hetero_data(graph, as_of)
    >>> data["event", "card", "card"].edge_index
    """
    graph = graph if as_of is None else graph.as_of(as_of)
    log, now = graph.log, NEVER - 1 if as_of is None else as_of
    if EVENT in log.entity_types:
        raise ConfigError(f"entity type '{EVENT}': in this view events have the name; call the type otherwise")
    data = HeteroData()
    columns = event_columns(log)
    data[EVENT].x, data[EVENT].columns = torch.from_numpy(columns.numeric), pa.array(columns.names, pa.string())
    data[EVENT].time = torch.tensor(log.event_time)  # a copy: the graph's own may be mapped from a file
    data[EVENT].visible_time = torch.from_numpy(log.visible_time)
    data[EVENT].y = torch.from_numpy(_known_labels(log.label, log.label_known_time, now))
    data[EVENT].ids = log.event_ids
    for name, ids in log.entity_ids.items():
        everyone = np.arange(len(ids))
        own = attribute_columns(log, name, everyone, np.full(len(ids), now))
        data[name].x, data[name].columns = torch.from_numpy(own.numeric), pa.array(own.names, pa.string())
        data[name].ids = ids
        if name in log.entity_labels:
            labels = log.entity_labels[name]
            data[name].y = torch.from_numpy(_known_labels(labels.label, labels.known_time, now))
    order = np.argsort(log.visible_time, kind="stable")
    for slot, role in enumerate(log.roles):
        there = order[log.entities[order, slot] != MISSING]
        ends = torch.from_numpy(np.stack([there, log.entities[there, slot].astype(np.int64)]))
        time = torch.from_numpy(log.visible_time[there])
        data[edge_to_entity(role)].edge_index, data[edge_to_entity(role)].time = ends, time
        data[edge_to_event(role)].edge_index, data[edge_to_event(role)].time = ends.flip(0), time
    return data


def _known_labels(label: np.ndarray, known_time: np.ndarray, now: int) -> np.ndarray:
    return np.where(known_time <= now, label, UNLABELLED).astype(np.int64)


class TemporalSampler(BaseSampler):
    """PyG's sampler protocol over our timelines: the most recent neighbours strictly before each seed's own time.

    `fanouts` holds one number per hop: how many last events of an entity are taken, over all its roles of a type; an
    event leads to all its entities. Subgraphs are disjoint, one per seed, so that no seed sees what only another may
    know. Needs neither pyg-lib nor torch-sparse, draws nothing at random, and is made for `NodeLoader`:

    >>> loader = NodeLoader(to_hetero_data(graph), TemporalSampler(graph, [15, 10]), ("event", rows), batch_size=512)
    """

    def __init__(self, graph: TemporalGraph, fanouts: Sequence[int]) -> None:
        assert all(fanout > 0 for fanout in fanouts)
        self.graph = graph
        self.fanouts = tuple(fanouts)

    def sample_from_nodes(self, index: NodeSamplerInput, **_: Any) -> HeteroSamplerOutput:
        """Sample around seeds: events at their event_time unless `index.time` (seeds,) µs UTC says otherwise, or
        entities, whose time must be given."""
        seeds = index.node.numpy()
        if index.time is None:
            assert index.input_type == EVENT, "an entity has no time of its own: give input_time"
            times = self.graph.log.event_time[seeds]
        else:
            times = index.time.numpy()
        tree = _Tree(self.graph, index.input_type, seeds, times)
        for fanout in self.fanouts:
            tree.grow(fanout)
        return tree.output(metadata=(index.input_id, torch.from_numpy(times)))

    def sample_from_edges(self, index: Any, neg_sampling: Any = None) -> HeteroSamplerOutput:
        """Not offered: in this graph an edge is an event, which is a node to sample from."""
        raise NotImplementedError("sample from nodes of the type 'event' instead")


class _Tree:
    """The disjoint subgraphs of one batch while they grow: nodes by type with the seed they belong to, and edges."""

    def __init__(self, graph: TemporalGraph, input_type: str, seeds: np.ndarray, times: np.ndarray) -> None:
        self.graph, self.times = graph, times
        none = np.zeros(0, np.int64)
        self.keys = {name: none for name in (EVENT, *graph.log.entity_types)}
        self.keys[input_type] = _key(np.arange(len(seeds)), seeds)
        self.edges: dict[EdgeType, list[tuple[np.ndarray, np.ndarray]]] = {
            edge_type: [] for role in graph.log.roles for edge_type in (edge_to_entity(role), edge_to_event(role))
        }
        self.border = {name: 0 for name in self.keys}
        self.nodes_by_hop = {name: [len(keys)] for name, keys in self.keys.items()}

    def grow(self, fanout: int) -> None:
        """One hop further out from the nodes that the last hop added."""
        met: dict[str, list[tuple[EdgeType, np.ndarray, np.ndarray]]] = {name: [] for name in self.keys}
        for name, keys in self.keys.items():
            border = np.arange(self.border[name], len(keys))
            if len(border):
                seed, node = _seed_and_node(keys[border])
                for edge_type, target, source in self._neighbours(name, node, self.times[seed], fanout):
                    met[edge_type[0]].append((edge_type, border[target], _key(seed[target], source)))
        self.border = {name: len(keys) for name, keys in self.keys.items()}
        for edges in self.edges.values():
            edges.append((np.zeros(0, np.int64), np.zeros(0, np.int64)))
        for name, parts in met.items():
            if parts:
                asked = np.concatenate([keys for _, _, keys in parts])
                places, self.keys[name] = _place(self.keys[name], asked)
                cuts = np.cumsum([len(keys) for _, _, keys in parts])[:-1]
                for (edge_type, target, _), rows in zip(parts, np.split(places, cuts), strict=True):
                    self.edges[edge_type][-1] = (rows, target)
            self.nodes_by_hop[name].append(len(self.keys[name]) - self.border[name])

    def _neighbours(
        self, name: str, nodes: np.ndarray, times: np.ndarray, fanout: int
    ) -> list[tuple[EdgeType, np.ndarray, np.ndarray]]:
        """Edge types into `nodes` with, for each edge, the position of its target among them and its source."""
        log, found = self.graph.log, []
        if name == EVENT:
            for slot, role in enumerate(log.roles):
                entities = log.entities[nodes, slot]
                there = np.flatnonzero(entities != MISSING)
                found.append((edge_to_event(role), there, entities[there]))
            return found
        events, roles = self.graph.last_events(name, nodes, times, fanout)
        for slot, role in enumerate(log.roles):
            if role.entity_type == name:
                target, place = np.nonzero((roles == slot) & (events != MISSING))
                found.append((edge_to_entity(role), target, events[target, place]))
        return found

    def output(self, *, metadata: tuple[Tensor | None, Tensor]) -> HeteroSamplerOutput:
        parts = {name: _seed_and_node(keys) for name, keys in self.keys.items()}
        ends = {
            edge_type: [torch.from_numpy(np.concatenate(side)) for side in zip(*hops, strict=True)]
            for edge_type, hops in self.edges.items()
        }
        return HeteroSamplerOutput(
            node={name: torch.from_numpy(node) for name, (_, node) in parts.items()},
            row={edge_type: row for edge_type, (row, _) in ends.items()},
            col={edge_type: col for edge_type, (_, col) in ends.items()},
            edge=dict.fromkeys(self.edges),
            batch={name: torch.from_numpy(seed) for name, (seed, _) in parts.items()},
            num_sampled_nodes=self.nodes_by_hop,
            num_sampled_edges={edge_type: [len(row) for row, _ in hops] for edge_type, hops in self.edges.items()},
            metadata=metadata,
        )


def _key(seed: np.ndarray, node: np.ndarray) -> np.ndarray:
    """One int64 for "this node, as met by this seed"."""
    return (seed.astype(np.int64) << 32) | node


def _seed_and_node(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return keys >> 32, keys & 0xFFFFFFFF


@numba.njit(cache=True, nogil=True)
def _place(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of `asked` keys among `known`, which grows by those not met before, in order of appearance."""
    size = 16
    while size < 2 * (len(known) + len(asked)):
        size *= 2
    mask = np.uint64(size - 1)
    table = np.full(size, -1, np.int64)
    keys = np.empty(len(known) + len(asked), np.int64)
    places = np.empty(len(asked), np.int64)
    count = 0
    for i in range(len(known) + len(asked)):
        key = known[i] if i < len(known) else asked[i - len(known)]
        slot = ((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & mask
        while table[slot] >= 0 and keys[table[slot]] != key:
            slot = (slot + np.uint64(1)) & mask
        if table[slot] < 0:
            table[slot] = count
            keys[count] = key
            count += 1
        if i >= len(known):
            places[i - len(known)] = table[slot]
    return places, keys[:count].copy()
