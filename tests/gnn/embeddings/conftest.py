"""Embedders with drawn weights over small logs: what they say means nothing, but it has to be said right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest
import torch

from gnn.bundle import EVENTS, Bundle, build_network
from gnn.calibration import fit_calibrator
from gnn.embed import Embedder
from gnn.embedding_table import Provenance, entity_table
from gnn.encoders import FeatureSpace
from gnn.nodes import NodeQuestions, graph_columns, node_columns
from gnn.temporal_sage import SageSpec
from graphs.behaviour import BehaviourSpec
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

BEHAVIOUR = BehaviourSpec(windows_hours=(24,), label_windows_hours=(24,))


def make_bundle(log: EventLog, seed: int = 0, version: str = "v1") -> Bundle:
    graph = TemporalGraph.build(log)
    columns, _ = graph_columns(graph, BEHAVIOUR)
    asked = NodeQuestions("user", np.zeros(3, np.int32), np.full(3, log.event_time[-1] + 1))
    spaces = {
        EVENTS: FeatureSpace.fit(columns, np.arange(len(log)), min_count=1),
        "user": FeatureSpace.fit(node_columns(graph, asked, BEHAVIOUR), np.arange(3), min_count=1),
    }
    model = SageSpec(width=8, layers=2, k=3, node_k=4)
    torch.manual_seed(seed)
    members = [build_network(model, spaces, log.roles, log.event_types).eval() for _ in range(2)]
    calibrator = fit_calibrator(np.linspace(-2, 2, 80), np.arange(80) % 2)
    calibrators = dict.fromkeys(spaces, calibrator)
    facts = {"fingerprint": "f"}
    return Bundle(
        model, BEHAVIOUR, log.roles, log.event_types, log.event_types, spaces, calibrators, members, {}, facts, version
    )


@pytest.fixture(scope="session")
def bundle_of() -> Callable[..., Bundle]:
    """A function (log, seed=0, version="v1") -> Bundle with two members and a head for users."""
    return make_bundle


@pytest.fixture(scope="session")
def embedder_of() -> Callable[..., Embedder]:
    """A function (log, bundle=None) -> Embedder; without a bundle, one of that log's own."""
    return lambda log, bundle=None: Embedder.of(bundle or make_bundle(log), log)


@pytest.fixture(scope="session")
def vectors_table() -> Callable[..., pa.Table]:
    """A function (vectors, ids=None, space="s1", as_of=0) -> table of users under the contract."""

    def make(
        vectors: np.ndarray, ids: Sequence[str] | None = None, space: str = "s1", as_of: int | np.ndarray = 0
    ) -> pa.Table:
        vectors = np.asarray(vectors, np.float32)
        n = len(vectors)
        names = pa.array([f"u{i}" for i in range(n)] if ids is None else ids, pa.string())
        times, seen = np.broadcast_to(np.asarray(as_of, np.int64), n), np.ones(n, np.int32)
        return entity_table("user", names, times, vectors, None, seen, times, Provenance(space, space, 5))

    return make
