"""What the network looks back at: real, cut off, or dealt at random, in whatever blocks it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gnn.blocks import NetworkInputs
from gnn.encoders import FeatureSpace, event_columns
from gnn.node_task import NodeQuestions
from gnn.nodes import NodeInputs, node_columns
from graphs.behaviour import BehaviourSpec
from graphs.events import MISSING, EventLog
from graphs.temporal_graph import TemporalGraph

Inputs = Callable[..., NetworkInputs]
K = 4


@pytest.fixture
def inputs(random_log: Callable[..., EventLog]) -> Inputs:
    graph = TemporalGraph.build(random_log(0, 300))
    columns = event_columns(graph.log)
    space = FeatureSpace.fit(columns, np.arange(len(graph.log)))
    return lambda edges, seed=0: NetworkInputs.of(graph, space, columns, k=K, edges=edges, seed=seed)


def looked_at(inputs: NetworkInputs, size: int) -> np.ndarray:
    """(events, roles, k) events that are looked back at, in blocks of `size`."""
    found = []
    for start, stop in inputs.spans(size):
        block = inputs.block(start, stop)
        index, known = block.index.numpy(), len(block.old)
        old = np.append(block.old.numpy(), MISSING)
        found.append(np.where(index < known, old[np.minimum(index, known)], index - known + start))
    return np.concatenate(found)


def test_shuffled_edges_are_dealt_from_the_first_event_on(inputs: Inputs) -> None:
    real, shuffled = (looked_at(inputs(edges), 300) for edges in ("real", "shuffled"))
    there = real != MISSING
    assert (there == (shuffled != MISSING)).all()
    # Among the few events before the first ones, the same is dealt now and then.
    for part, least in ((slice(20, 100), 0.85), (slice(100, 300), 0.95)):
        assert (real[part] != shuffled[part])[there[part]].mean() > least


def test_shuffled_edges_are_the_same_in_whatever_block_an_event_stands(inputs: Inputs) -> None:
    whole = looked_at(inputs("shuffled"), 300)
    assert (looked_at(inputs("shuffled"), 7) == whole).all()
    assert (looked_at(inputs("shuffled", seed=1), 300) != whole).any()


def test_shuffled_edges_lead_to_what_was_visible_strictly_before(inputs: Inputs) -> None:
    said = inputs("shuffled")
    log, events = said.graph.log, looked_at(said, 50)
    times = np.broadcast_to(log.event_time[:, None, None], events.shape)
    there = events != MISSING
    assert there.any() and (log.visible_time[events[there]] < times[there]).all()


def test_questions_about_entities_see_shuffled_edges_too(inputs: Inputs) -> None:
    graph = inputs("real").graph
    users = np.arange(len(graph.log.entity_ids["user"]), dtype=np.int32)
    asked = NodeQuestions("user", users, np.full(len(users), graph.log.event_time[-1] + 1))
    columns = node_columns(graph, asked, BehaviourSpec(families=("counts",)))
    space = FeatureSpace.fit(columns, np.arange(len(users)))
    real, shuffled = (
        NodeInputs.of(inputs(edges), space, asked, columns, k=K).windows for edges in ("real", "shuffled")
    )
    there = real != MISSING
    assert (there == (shuffled != MISSING)).all() and (real != shuffled)[there].mean() > 0.9
