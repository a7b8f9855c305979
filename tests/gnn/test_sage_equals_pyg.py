"""Our dense windows compute what PyG's `SAGEConv` computes on the same neighbourhood with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import SAGEConv
from torch_geometric.sampler import NodeSamplerInput

from gnn.aggregate import Edges, aggregate
from gnn.interop import TemporalSampler
from gnn.projection import Rows
from gnn.rowwise import RowLinear
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

K, WIDTH = 3, 8


def dense(h: Tensor, conv: SAGEConv, graph: TemporalGraph, slot: int) -> Tensor:
    """SAGEConv of every event's entity in one role over its window: projected first, gathered after. The kernel has a
    ReLU in it, so it is asked for the positive and the negative part and their difference is the mean."""
    index = torch.from_numpy(graph.windows(K).events[:, slot : slot + 1].copy())
    nothing = Edges(torch.zeros(*index.shape, 0), torch.zeros(index.shape, dtype=torch.int64))
    project = RowLinear(WIDTH, WIDTH)
    said = []
    for sign in (1, -1):
        project.weight.data, project.bias.data = sign * conv.lin_l.weight, torch.zeros(WIDTH)
        said.append(aggregate([Rows(h)], project, index, nothing, torch.zeros(1, 0, WIDTH))[..., :WIDTH])
    up, down = said
    return (up - down).squeeze(1) + conv.lin_l.bias


def sparse(h: Tensor, conv: SAGEConv, graph: TemporalGraph, slot: int) -> Tensor:
    """The same by PyG on the edges that its sampler protocol hands out, over all roles of the entity's type."""
    log = graph.log
    role = log.roles[slot]
    there = torch.from_numpy((log.entities[:, slot] >= 0).nonzero()[0])
    times = torch.from_numpy(log.event_time)[there]
    asked = torch.from_numpy(log.entities[:, slot])[there].long()
    out = TemporalSampler(graph, [K]).sample_from_nodes(NodeSamplerInput(None, asked, times, role.entity_type))
    kinds = [("event", other.name, other.entity_type) for other in log.roles if other.entity_type == role.entity_type]
    edges = torch.cat([torch.stack([out.row[kind], out.col[kind]]) for kind in kinds], 1)
    target = torch.zeros(len(asked), WIDTH)
    said = conv.lin_l.bias.expand(len(log), WIDTH).clone()
    said[there] = conv((h[out.node["event"]], target), edges)
    return said


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slot", [0, 1, 2, 3])
def test_mean_layer_equals_sage_conv(random_log: Callable[..., EventLog], seed: int, slot: int) -> None:
    graph = TemporalGraph.build(random_log(seed, 60))
    torch.manual_seed(seed)
    h, conv = torch.randn(60, WIDTH), SAGEConv((WIDTH, WIDTH), WIDTH, aggr="mean")
    with torch.no_grad():
        torch.testing.assert_close(dense(h, conv, graph, slot), sparse(h, conv, graph, slot), rtol=1e-5, atol=1e-5)
