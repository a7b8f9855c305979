"""PyG's view of the graph: what is known as of an instant, and neighbours strictly before each seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.loader import NodeLoader
from torch_geometric.sampler import HeteroSamplerOutput, NodeSamplerInput

from gnn.interop import TemporalSampler, to_hetero_data
from graphs.events import MISSING, NEVER, EventLog
from graphs.temporal_graph import TemporalGraph

ROWS = [
    {
        "id": "a",
        "type": "payment",
        "time": 1,
        "sender": "u1",
        "card": "c1",
        "amount": 5.0,
        "label": 1,
        "label_known": 9,
    },
    {
        "id": "b",
        "type": "payment",
        "time": 2,
        "sender": "u2",
        "card": "c1",
        "amount": 7.0,
        "label": 0,
        "label_known": 3,
    },
    {"id": "c", "type": "payment", "time": 3, "sender": "u1", "card": "c1", "amount": 9.0},
    {"id": "d", "type": "payment", "time": 3, "sender": "u1", "card": "c2", "amount": 1.0},
]


@pytest.fixture
def graph(log_from_rows: Callable[..., EventLog]) -> TemporalGraph:
    return TemporalGraph.build(log_from_rows(ROWS))


def seeds_of(graph: TemporalGraph, nodes: list[int], fanouts: list[int], kind: str = "event") -> HeteroSamplerOutput:
    times = None if kind == "event" else torch.full((len(nodes),), 3)
    asked = NodeSamplerInput(torch.arange(len(nodes)), torch.tensor(nodes), times, kind)
    return TemporalSampler(graph, fanouts).sample_from_nodes(asked)


def sampled(out: HeteroSamplerOutput, edge_type: tuple[str, str, str]) -> list[tuple[int, int, int]]:
    """(seed, source, target) of every sampled edge, by the nodes' own numbers."""
    source, target = out.node[edge_type[0]][out.row[edge_type]], out.node[edge_type[2]][out.col[edge_type]]
    assert torch.equal(out.batch[edge_type[0]][out.row[edge_type]], out.batch[edge_type[2]][out.col[edge_type]])
    return sorted(
        zip(out.batch[edge_type[2]][out.col[edge_type]].tolist(), source.tolist(), target.tolist(), strict=True)
    )


def test_hetero_data_holds_events_entities_and_both_directions(graph: TemporalGraph) -> None:
    data = to_hetero_data(graph)
    assert data["event", "card", "card"].edge_index.tolist() == [[0, 1, 2, 3], [0, 0, 0, 1]]
    assert data["card", "rev_card", "event"].edge_index.tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]
    assert data["event", "card", "card"].time.tolist() == [1, 2, 3, 3]
    assert data["event"].x[:, data["event"].columns.to_pylist().index("amount")].tolist() == [5, 7, 9, 1]
    assert data["event"].y.tolist() == [1, 0, -1, -1]
    assert data["card"].ids.to_pylist() == ["c1", "c2"]
    data.validate()


def test_as_of_leaves_out_what_was_not_known(graph: TemporalGraph) -> None:
    data = to_hetero_data(graph, as_of=3)
    assert data["event"].ids.to_pylist() == ["a", "b"]
    assert data["event"].y.tolist() == [-1, 0]
    assert data["card"].ids.to_pylist() == ["c1"]


def test_what_nobody_will_know_is_not_in_it(log_from_rows: Callable[..., EventLog]) -> None:
    limit = {"type": "user", "id": "u1", "known": NEVER, "limit": 5.0, "label": 1, "label_known": NEVER}
    data = to_hetero_data(TemporalGraph.build(log_from_rows([ROWS[0] | {"label_known": NEVER}], [limit])))
    assert (data["event"].y.tolist(), data["user"].y.tolist()) == ([-1], [-1])
    assert torch.isnan(data["user"].x).all()


def test_a_graph_mapped_from_files_is_left_alone(graph: TemporalGraph, tmp_path: Path) -> None:
    graph.save(tmp_path)
    mapped = TemporalGraph.load(tmp_path)
    to_hetero_data(mapped)["event"].time += 1
    assert mapped.log.event_time.tolist() == graph.log.event_time.tolist()


def test_events_of_the_same_instant_do_not_see_each_other(graph: TemporalGraph) -> None:
    out = seeds_of(graph, [2], [5, 5])
    assert sampled(out, ("card", "rev_card", "event")) == [(0, 0, 2)]
    assert sampled(out, ("event", "card", "card")) == [(0, 0, 0), (0, 1, 0)]
    assert sampled(out, ("event", "sender", "user")) == [(0, 0, 0)]
    assert out.node["event"].tolist() == [2, 0, 1]


def test_only_the_most_recent_are_taken(graph: TemporalGraph) -> None:
    assert sampled(seeds_of(graph, [2], [1, 1]), ("event", "card", "card")) == [(0, 1, 0)]


def test_subgraphs_of_two_seeds_share_nothing(graph: TemporalGraph) -> None:
    out = seeds_of(graph, [1, 2], [5, 5])
    assert sampled(out, ("event", "card", "card")) == [(0, 0, 0), (1, 0, 0), (1, 1, 0)]
    assert out.node["card"].tolist() == [0, 0]
    assert out.batch["card"].tolist() == [0, 1]


def test_an_entity_is_asked_at_a_given_time(graph: TemporalGraph) -> None:
    out = seeds_of(graph, [0], [5], kind="card")
    assert sampled(out, ("event", "card", "card")) == [(0, 0, 0), (0, 1, 0)]
    with pytest.raises(AssertionError, match="input_time"):
        TemporalSampler(graph, [5]).sample_from_nodes(NodeSamplerInput(None, torch.tensor([0]), None, "card"))


def test_counts_by_hop_add_up(graph: TemporalGraph) -> None:
    out = seeds_of(graph, [1, 2, 3], [5, 5, 5])
    for name, nodes in out.node.items():
        assert sum(out.num_sampled_nodes[name]) == len(nodes)
        assert len(out.num_sampled_nodes[name]) == 4
    for edge_type, row in out.row.items():
        assert sum(out.num_sampled_edges[edge_type]) == len(row)


@pytest.mark.parametrize("seed", range(8))
def test_two_hops_equal_a_search_through_all_events(random_log: Callable[..., EventLog], seed: int) -> None:
    log = random_log(seed, 80)
    graph = TemporalGraph.build(log)
    out = seeds_of(graph, list(range(80)), [3, 3])
    for slot, role in enumerate(log.roles):
        assert sampled(out, ("event", role.name, role.entity_type)) == sorted(brute_force(log, slot, 3))


def brute_force(log: EventLog, slot: int, last: int) -> set[tuple[int, int, int]]:
    """(seed, event, entity) for the last events, over all roles of the type, of every entity that a seed joins."""
    found = set()
    alike = [place for place, role in enumerate(log.roles) if role.entity_type == log.roles[slot].entity_type]
    for seed, now in enumerate(log.event_time):
        for entity in {log.entities[seed, place] for place in alike} - {MISSING}:
            past = [
                (log.visible_time[event], event, place)
                for event, place in np.argwhere(log.entities == entity)
                if place in alike and log.visible_time[event] < now
            ]
            found |= {(seed, int(event), int(entity)) for _, event, place in sorted(past)[-last:] if place == slot}
    return found


def test_node_loader_cuts_batches_with_features_and_seeds_first(graph: TemporalGraph) -> None:
    loader = NodeLoader(to_hetero_data(graph), TemporalSampler(graph, [5, 5]), ("event", torch.arange(4)), batch_size=3)
    batches: list[HeteroData] = list(loader)
    assert [batch["event"].batch_size for batch in batches] == [3, 1]
    assert batches[0]["event"].n_id[:3].tolist() == [0, 1, 2]
    assert batches[0]["event"].seed_time.tolist() == [1, 2, 3]
    assert batches[1]["event"].x.shape[0] == batches[1]["event"].num_nodes
