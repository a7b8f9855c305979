"""The reference model: PyG's `HeteroConv(SAGEConv)` on subgraphs that our sampler cuts strictly before each seed.

It is what somebody would build from stock parts, kept so that every comparison can show it. Each event or entity
asked about is the root of its own subgraph; two layers of convolution make one hop from event to event.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from gnn.bundle import EVENTS
from gnn.encoders import Columns, EventEncoder, FeatureSpace
from gnn.interop import EVENT, HeteroConv, HeteroData, NodeLoader, SAGEConv, TemporalSampler, to_hetero_data
from gnn.metrics import Undefined, average_precision
from gnn.temporal_sage import Head
from gnn.trainer import EpochRecord, TrainerSpec, refuse_divergence, smoothed_rate
from gnn.workbench import Phase, TrainedNetworks, Workbench
from graphs.errors import check_fields

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeteroSageSpec:
    """Size of the reference model.

    `width` of every embedding; one layer of convolution per entry of `fanouts`, which are the last events taken of
    an entity at that hop; `batch` seeds a step; `bins` and `binned` as in `SageSpec`; `dropout` in encoder and head.
    """

    width: int = 64
    fanouts: tuple[int, ...] = (15, 10)
    batch: int = 1024
    bins: int = 0
    binned: tuple[str, ...] = ("*",)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        checks = {
            "width": (self.width >= 1, "at least 1"),
            "fanouts": (min(self.fanouts, default=0) >= 1, "at least one number, each above 0"),
            "batch": (self.batch >= 1, "at least 1"),
            "bins": (self.bins >= 0, "0 or more"),
            "dropout": (0 <= self.dropout < 1, "a share in [0, 1)"),
        }
        check_fields("model", self, checks)

    def train(
        self,
        bench: Workbench,
        trainer: TrainerSpec,
        *,
        seed: int,
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> TrainedNetworks:
        """Choose the epoch on the validation rows, fit again on all that is known at the cut, score the test rows.

        One network per task; best epoch and history are the first one's, of which `on_epoch` is told. `members` and
        `spaces` of the outcome are empty: there is no bundle of a reference. What the trainer says of blocks (`block`,
        `context_days`, `keep_gb`, `label_lag`) and `members` means nothing here.
        """
        began = time.perf_counter()
        torch.set_num_threads(trainer.threads)
        valid, test, told = {}, {}, list[tuple[int, list[EpochRecord]]]()
        for task in [*([EVENTS] if bench.events else []), *bench.judged.nodes]:
            epochs, spaces, chose = trainer.epochs, None, None
            tell = None if told else on_epoch
            if bench.split.has_validation:
                choosing = _Examples.of(self, bench, bench.choosing, task)
                chose = run = _Run(self, choosing, trainer, seed)
                epochs = run.choose(tell)
                valid[task] = run.score(choosing)
                spaces = None if trainer.refit else choosing.spaces
            judged = _Examples.of(self, bench, bench.judged, task, spaces=spaces)
            if spaces is None:
                run = _Run(self, judged, trainer, seed)
                run.repeat(epochs, None if chose else tell)
            test[task] = run.score(judged)
            told.append((epochs, (chose or run).history))
        return TrainedNetworks((), {}, valid, test, *told[0], time.perf_counter() - began)


_Spaces = tuple[FeatureSpace, FeatureSpace | None]


@dataclass(frozen=True)
class _Examples:
    """Seeds of one task in one phase: which node, when, its own columns and answer, which rows are fitted and judged.

    `data` is the phase's graph with encoded event columns; `own` are (numeric, codes) of the seeds (seeds, columns),
    None where the seeds are events, which have theirs in the graph. `spaces` encode events and seeds.
    """

    phase: Phase
    input_type: str
    data: HeteroData
    node: Tensor
    time: Tensor
    own: tuple[Tensor, Tensor] | None
    spaces: _Spaces
    label: Tensor
    fitted: Tensor
    judged: Tensor

    @classmethod
    def of(
        cls, spec: HeteroSageSpec, bench: Workbench, phase: Phase, task: str, *, spaces: _Spaces | None = None
    ) -> _Examples:
        """Lay out a phase, encoded by `spaces` or, without, by what its own past says."""
        fit = functools.partial(FeatureSpace.fit, bins=spec.bins, binned=spec.binned)
        space = fit(phase.columns, phase.past) if spaces is None else spaces[0]
        data = to_hetero_data(phase.graph)
        data[EVENT].x, data[EVENT].codes = _encoded(space, phase.columns)
        data[EVENT].label_known_time = torch.from_numpy(phase.graph.log.label_known_time)
        if task == EVENTS:
            rows = torch.arange(len(bench.log))
            fitted, judged = _where(phase.fitted), _where(phase.judged)
            label = torch.from_numpy(bench.label)
            return cls(phase, EVENT, data, rows, data[EVENT].time, None, (space, None), label, fitted, judged)
        asked = phase.nodes[task]
        own_space = None if spaces is None else spaces[1]
        if own_space is None:
            own_space = fit(asked.columns, asked.fitted)
        node = torch.from_numpy(asked.questions.entity.astype(np.int64))
        when, label = torch.from_numpy(asked.questions.as_of), torch.from_numpy(asked.label.astype(np.float32))
        own = _encoded(own_space, asked.columns)
        fitted, judged = _where(asked.fitted), _where(asked.judged)
        return cls(phase, task, data, node, when, own, (space, own_space), label, fitted, judged)

    def batches(self, spec: HeteroSageSpec, rows: Tensor) -> Iterator[HeteroData]:
        """Subgraphs around `rows`, in their order; a batch knows its rows as `input_id`."""
        sampler = TemporalSampler(self.phase.graph, spec.fanouts)
        seeds = (self.input_type, self.node[rows])
        for batch in NodeLoader(
            self.data, sampler, seeds, input_time=self.time[rows], input_id=rows, batch_size=spec.batch
        ):
            if self.own is not None:
                at = batch[self.input_type].input_id
                batch[self.input_type].own = tuple(part[at] for part in self.own)
            yield batch


def _encoded(space: FeatureSpace, columns: Columns) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(space.numeric(columns)), torch.from_numpy(space.codes(columns))


def _where(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))


class HeteroSage(nn.Module):
    """Encoders per node type, layers of convolution, and a head on the seeds."""

    def __init__(self, spec: HeteroSageSpec, examples: _Examples) -> None:
        super().__init__()
        width = spec.width
        space, own_space = examples.spaces
        self.input_type = examples.input_type
        self.encoder = EventEncoder(space, width, dropout=spec.dropout)
        self.as_seen = nn.Linear(3, width)
        # No entity has a vector of its own: one that training never saw is scored like any other.
        self.entity_types = examples.phase.graph.log.entity_types
        self.entities = nn.Parameter(torch.zeros(len(self.entity_types), width))
        self.own = EventEncoder(own_space, width, dropout=spec.dropout) if own_space is not None else None
        self.layers = nn.ModuleList(
            HeteroConv({edge_type: SAGEConv((width, width), width) for edge_type in examples.data.edge_types})
            for _ in spec.fanouts
        )
        self.head = Head(2 * width, width, dropout=spec.dropout)

    def forward(self, batch: HeteroData) -> Tensor:
        """Logits of the seeds, which stand first among the nodes of the input type."""
        asked = batch[self.input_type]
        kinds = zip(self.entity_types, self.entities, strict=True)
        h = {name: vector.expand(batch[name].num_nodes, -1) for name, vector in kinds}
        h[EVENT] = self.encoder(batch[EVENT].x, batch[EVENT].codes) + self.as_seen(_as_seen(batch, self.input_type))
        first = h[EVENT][: asked.batch_size] if self.own is None else self.own(*asked.own)
        for layer in self.layers:
            # HeteroConv says nothing of node types that receive no message: they keep what they have.
            h |= {name: torch.relu(new) for name, new in layer(h, batch.edge_index_dict).items()}
        return self.head(torch.cat([first, h[self.input_type][: asked.batch_size]], 1))


def _as_seen(batch: HeteroData, input_type: str) -> Tensor:
    """What depends on who looks (events, 3): an event's age, and its label if that was known at the seed's time."""
    events = batch[EVENT]
    now = batch[input_type].seed_time[events.batch]
    known = (events.label_known_time <= now).float()
    if input_type == EVENT:
        known[: events.batch_size] = 0  # a seed's own label is the answer, however early it came
    age = torch.log1p((now - events.time).clamp_min(0) * 1e-6) * 0.0625
    return torch.stack([age, known * (events.y == 1), known * (events.y == 0)], 1)


class _Run:
    """One training of one network."""

    def __init__(self, spec: HeteroSageSpec, examples: _Examples, trainer: TrainerSpec, seed: int) -> None:
        torch.manual_seed(seed)
        self.spec, self.examples, self.trainer = spec, examples, trainer
        self.network = HeteroSage(spec, examples)
        rate = smoothed_rate(examples.label[examples.fitted])
        self.network.head.start_at(rate)
        self.positive_weight = torch.tensor(trainer.weight(rate))
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=trainer.lr, weight_decay=trainer.weight_decay)
        self.history: list[EpochRecord] = []
        self.epoch = 0

    def choose(self, on_epoch: Callable[[EpochRecord], None] | None) -> int:
        """Train until validation AP stops rising and go back to the best epoch; returns its number (the last where
        AP is undefined)."""
        best, highest, weights = 0, -1.0, {}
        for _ in range(self.trainer.epochs):
            record = self._epoch(validate=True)
            if on_epoch is not None:
                on_epoch(record)
            if record.valid_ap is not None and record.valid_ap > highest:
                best, highest = record.epoch, record.valid_ap
                weights = {name: value.clone() for name, value in self.network.state_dict().items()}
            if best and record.epoch - best >= self.trainer.patience:
                break
        if weights:
            self.network.load_state_dict(weights)
        return best or len(self.history)

    def repeat(self, epochs: int, on_epoch: Callable[[EpochRecord], None] | None) -> None:
        """Train for just so many epochs."""
        for _ in range(epochs):
            record = self._epoch(validate=False)
            if on_epoch is not None:
                on_epoch(record)

    @torch.no_grad()
    def score(self, examples: _Examples) -> np.ndarray:
        """Logits (judged rows,) float32 of the network in its present state."""
        self.network.eval()
        parts = [self.network(batch) for batch in examples.batches(self.spec, examples.judged)]
        logits = torch.cat(parts) if parts else torch.zeros(0)
        refuse_divergence(logits, self.trainer, self.epoch)
        return logits.numpy()

    def _epoch(self, *, validate: bool) -> EpochRecord:
        self.network.train()
        self.epoch += 1
        examples, number, total = self.examples, self.epoch, 0.0
        rows = examples.fitted[torch.randperm(len(examples.fitted))]
        began = time.perf_counter()
        bar = tqdm(total=len(rows), desc=f"hetero_sage epoch {number}", unit="seed", leave=False, disable=None)
        for batch in examples.batches(self.spec, rows):
            answer = examples.label[batch[examples.input_type].input_id]
            loss = nn.functional.binary_cross_entropy_with_logits(
                self.network(batch), answer, pos_weight=self.positive_weight
            )
            self.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), self.trainer.clip)
            self.optimiser.step()
            total += float(loss.detach()) * len(answer)
            bar.update(len(answer))
        bar.close()
        refuse_divergence(total, self.trainer, number)
        rate = len(rows) / (time.perf_counter() - began)
        ap = self._validation_ap() if validate else None
        record = EpochRecord(number, total / max(len(rows), 1), ap, rate)
        self.history.append(record)
        log.info("hetero_sage epoch %d: loss %.5f, validation AP %s", number, record.loss, ap)
        return record

    def _validation_ap(self) -> float | None:
        label = self.examples.label[self.examples.judged].numpy().astype(np.int8)
        found = average_precision(label, self.score(self.examples))
        return None if isinstance(found, Undefined) else found
