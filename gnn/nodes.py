"""Questions about entities: "is this user a fraud, as of T?", asked of the same encoder that scores events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnn.aggregate import Edges
from gnn.blocks import Cache, NetworkInputs, localise
from gnn.encoders import Columns, FeatureSpace, attribute_columns, event_columns
from gnn.projection import Rows
from gnn.temporal_sage import TemporalSage
from graphs.behaviour import BehaviourSpec, behaviour_features, entity_features
from graphs.temporal_graph import TemporalGraph


@dataclass(frozen=True)
class NodeQuestions:
    """Entities of one type at instants, in time order: `entity` (n,) int32 codes, `as_of` (n,) int64 µs UTC."""

    entity_type: str
    entity: np.ndarray
    as_of: np.ndarray

    def __post_init__(self) -> None:
        assert len(self.entity) == len(self.as_of)
        assert (np.diff(self.as_of) >= 0).all(), "questions stand in time order"

    def __len__(self) -> int:
        return len(self.entity)


def graph_columns(graph: TemporalGraph, behaviour: BehaviourSpec) -> tuple[Columns, tuple[str, ...]]:
    """What is known of each event at its instant: its own columns and behaviour features; and the latter's names."""
    table = behaviour_features(graph, behaviour)
    own = event_columns(graph.log, clock="calendar" not in behaviour.families)
    columns = own.with_numeric(table.names, table.values)
    return columns, columns.names[len(own.names) :]


def node_columns(graph: TemporalGraph, questions: NodeQuestions, behaviour: BehaviourSpec) -> Columns:
    """What is known of each entity at its instant: behaviour features and attributes."""
    table = entity_features(graph, behaviour, questions.entity_type, questions.entity, questions.as_of)
    own = attribute_columns(graph.log, questions.entity_type, questions.entity, questions.as_of)
    return own.with_numeric(table.names, table.values)


@dataclass(frozen=True)
class NodeInputs:
    """Questions made ready for a node head: encoded columns, windows (n, 1, node_k) and edges."""

    questions: NodeQuestions
    numeric: Tensor
    codes: Tensor
    windows: np.ndarray
    edges: Edges

    @classmethod
    def of(
        cls, inputs: NetworkInputs, space: FeatureSpace, questions: NodeQuestions, columns: Columns, *, k: int
    ) -> NodeInputs:
        """`columns` hold one row per question, from `node_columns`."""
        windows, roles = inputs.graph.last_events(questions.entity_type, questions.entity, questions.as_of, k)
        windows = inputs.rewire(windows[:, None, :], questions.as_of, len(inputs) + np.arange(len(questions)))
        roles = roles[:, None, :]
        edges = inputs.edge_data.edges(windows, roles, questions.as_of, None)
        return cls(
            questions,
            torch.from_numpy(space.numeric(columns)),
            torch.from_numpy(space.codes(columns)),
            windows,
            edges,
        )

    def logits(
        self, model: TemporalSage, cache: Cache, rows: np.ndarray, *, start: int, fresh: Tensor | None = None
    ) -> Tensor:
        """Logits of the questions `rows`. Events from `start` on are read from `fresh`, with gradients, others
        from the cache."""
        return model.node_head(self.questions.entity_type).head(
            self.embed(model, cache, rows, start=start, fresh=fresh)
        )

    def embed(
        self, model: TemporalSage, cache: Cache, rows: np.ndarray, *, start: int, fresh: Tensor | None = None
    ) -> Tensor:
        """Embeddings (rows, node_width), see `NodeHead.embed`."""
        head = model.node_head(self.questions.entity_type)
        old, index = (torch.from_numpy(part).to(cache.device) for part in localise(self.windows[rows], start))
        sources = [Rows(cache.levels[-1], old), *([] if fresh is None else [Rows(fresh)])]
        edges = Edges(*(part[torch.from_numpy(rows)] for part in self.edges)).to(cache.device)
        numeric, codes = (part[rows].to(cache.device) for part in (self.numeric, self.codes))
        return head.embed(sources, index, edges, numeric, codes)
