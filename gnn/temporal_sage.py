"""TemporalSage: the causal GraphSAGE over event windows.

    h_i^(0) = ENCODE(columns of event i)
    s_e(t)  = mean and max over the last k events p of entity e before t of relu(W h_p^(l-1) + V edge(p, t))
    h_i^(l) = h_i^(l-1) + UPDATE(h_i^(l-1), s_e(t_i) for the entity e of every role)

An event's embedding depends on nothing later than its own instant, so it is computed once and holds for whoever
asks: training, backtest, batch and online scoring read the same number. See docs/model.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from gnn.aggregate import Edges, aggregate, plain_messages
from gnn.encoders import EventEncoder, FeatureSpace
from gnn.projection import Rows
from gnn.rowwise import RowLinear
from graphs.errors import check_fields


@dataclass(frozen=True)
class SageSpec:
    """Size and kind of the network.

    `width` of every embedding, `message_width` of what travels along an edge, `layers` of message passing, `k` last
    events per entity, `node_k` last events that a node head reads, `bins` edges of the piecewise encoding (0: none) of
    the columns that match a pattern of `binned` (shell wildcards), `column_dropout` of numeric columns (training),
    `aggregator` of messages, `edges`: "none" cuts all messages, which is the floor that shows what the graph adds.
    """

    width: int = 64
    message_width: int = 16
    layers: int = 2
    k: int = 8
    node_k: int = 16
    bins: int = 0
    binned: tuple[str, ...] = ("*",)
    dropout: float = 0.1
    column_dropout: float = 0.0
    aggregator: Literal["mean_max", "attention"] = "mean_max"
    edges: Literal["real", "none", "shuffled"] = "real"

    def __post_init__(self) -> None:
        sizes, shares = ("width", "message_width", "layers", "k", "node_k"), ("dropout", "column_dropout")
        checks = {name: (getattr(self, name) >= 1, "at least 1") for name in sizes}
        checks |= {name: (0 <= getattr(self, name) < 1, "a share in [0, 1)") for name in shares}
        check_fields("model", self, {**checks, "bins": (self.bins >= 0, "0 or more")})

    @property
    def node_width(self) -> int:
        """Width of an entity's embedding: its own encoding, mean and max of its last events."""
        return self.width + 2 * self.message_width

    def with_edges(self, edges: Literal["real", "none", "shuffled"]) -> SageSpec:
        """The same network with its edges as they are, cut, or shuffled."""
        return replace(self, edges=edges)


class WindowState(nn.Module):
    """s_e(t) for every slot of a window: (n, slots, 2·message_width) from source embeddings and edges."""

    def __init__(self, spec: SageSpec, slots: int, edge_width: int) -> None:
        super().__init__()
        self.project = RowLinear(spec.width, spec.message_width)
        self.weight = nn.Parameter(torch.empty(slots, edge_width, spec.message_width))
        nn.init.normal_(self.weight, std=edge_width**-0.5)
        self.attention = RowLinear(spec.message_width, 4) if spec.aggregator == "attention" else None

    def forward(self, sources: Sequence[Rows], index: Tensor, edges: Edges) -> Tensor:
        if self.attention is not None:
            return self._attend(sources, index, edges)
        return aggregate(sources, self.project, index, edges, self.weight)

    def _attend(self, sources: Sequence[Rows], index: Tensor, edges: Edges) -> Tensor:
        """Four heads that weigh messages by a learnt score (GAT-like), beside the max."""
        assert self.attention is not None
        there = (index >= 0).unsqueeze(-1)
        messages = torch.relu(plain_messages(sources, self.project, index, edges, self.weight)).masked_fill(~there, 0.0)
        n, slots, k, width = messages.shape
        said = self.attention(messages.reshape(-1, width)).view(n, slots, k, 4)
        weights = said.masked_fill(~there, -1e9).softmax(2)
        heads = messages.view(n, slots, k, 4, width // 4) * weights.unsqueeze(-1)
        return torch.cat([heads.sum(2).flatten(2), messages.amax(2)], -1)


class SageLayer(nn.Module):
    """One step of message passing: h^(l) from h^(l-1) and the states of the event's entities."""

    def __init__(self, spec: SageSpec, slots: int, edge_width: int) -> None:
        super().__init__()
        self.state = WindowState(spec, slots, edge_width)
        self.of_own = RowLinear(spec.width, spec.width)
        self.of_state = RowLinear(slots * 2 * spec.message_width, spec.width, bias=False)
        self.update = nn.Sequential(nn.ReLU(), nn.Dropout(spec.dropout), RowLinear(spec.width, spec.width))
        self.norm = nn.LayerNorm(spec.width)

    def forward(self, own: Tensor, old: Rows, index: Tensor, edges: Edges) -> Tensor:
        state = self.state((old, Rows(own)), index, edges).flatten(1)
        return self.norm(own + self.update(self.of_own(own) + self.of_state(state)))


class Head(nn.Module):
    """Embedding to one logit: a small perceptron beside a linear map that starts at nothing, for labels too few to
    teach more than a line. The bias starts at the class rate, so the first loss is already sane."""

    def __init__(self, inputs: int, width: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(RowLinear(inputs, width), nn.ReLU(), nn.Dropout(dropout), RowLinear(width, 1))
        self.line = RowLinear(inputs, 1, bias=False)
        nn.init.zeros_(self.line.weight)

    def forward(self, x: Tensor) -> Tensor:
        return (self.layers(x) + self.line(x)).squeeze(-1)

    def start_at(self, rate: float) -> None:
        """Set the output bias to the log-odds of `rate`."""
        last = self.layers[-1]
        assert isinstance(last, RowLinear)
        with torch.no_grad():
            last.bias.fill_(float(torch.logit(torch.tensor(min(max(rate, 1e-6), 1 - 1e-6)))))


class NodeHead(nn.Module):
    """Logit of an entity at an instant: its last events' final embeddings, and columns of its own."""

    def __init__(self, spec: SageSpec, space: FeatureSpace, edge_width: int) -> None:
        super().__init__()
        self.encoder = EventEncoder(space, spec.width, dropout=spec.dropout, column_dropout=spec.column_dropout)
        self.state = WindowState(spec, 1, edge_width)
        self.head = Head(spec.node_width, spec.width, dropout=spec.dropout)

    def forward(self, sources: Sequence[Rows], index: Tensor, edges: Edges, numeric: Tensor, codes: Tensor) -> Tensor:
        return self.head(self.embed(sources, index, edges, numeric, codes))

    def embed(self, sources: Sequence[Rows], index: Tensor, edges: Edges, numeric: Tensor, codes: Tensor) -> Tensor:
        """The entity's embedding (n, node_width): own encoding, mean and max of its last events."""
        state = self.state(sources, index, edges).flatten(1)
        return torch.cat([self.encoder(numeric, codes), state], 1)


class TemporalSage(nn.Module):
    """Encoder, layers, an event head, and one node head per entity type in `node_spaces`."""

    def __init__(
        self,
        spec: SageSpec,
        space: FeatureSpace,
        *,
        slots: int,
        edge_width: int,
        node_spaces: Mapping[str, FeatureSpace] | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = EventEncoder(space, spec.width, dropout=spec.dropout, column_dropout=spec.column_dropout)
        self.sage = nn.ModuleList(SageLayer(spec, slots, edge_width) for _ in range(spec.layers))
        self.event_head = Head(2 * spec.width, spec.width, dropout=spec.dropout)
        self.node_heads = nn.ModuleDict(
            {_part_of(name): NodeHead(spec, own, edge_width) for name, own in (node_spaces or {}).items()}
        )

    def node_head(self, entity_type: str) -> NodeHead:
        """The head of an entity type."""
        head = self.node_heads[_part_of(entity_type)]
        assert isinstance(head, NodeHead)
        return head

    def event_logits(self, first: Tensor, last: Tensor) -> Tensor:
        """Logit of every event from its own encoding h^(0) and its final embedding h^(L), both (events, width)."""
        return self.event_head(torch.cat([first, last], 1))


def _part_of(entity_type: str) -> str:
    """What a part of a module may be called: neither "type", which modules have, nor "a.b" may it be."""
    return "of_" + entity_type.replace("%", "%25").replace(".", "%2E")
