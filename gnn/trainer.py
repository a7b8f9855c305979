"""Training in time blocks: one pass over history an epoch, gradients inside a block, the cache behind it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from gnn.blocks import Cache, KeptBlocks, NetworkInputs, forward_block
from gnn.checkpoint import Checkpoint
from gnn.nodes import NodeInputs
from gnn.temporal_sage import TemporalSage
from graphs.errors import ConfigError, check_fields
from graphs.events import MICROSECONDS_PER_DAY, NEVER

log = logging.getLogger(__name__)

MOST_THREADS = 1024
"""More than this end the process where the machine cannot make them, without a word from anybody."""


@dataclass(frozen=True)
class TrainerSpec:
    """How long and how hard to train.

    `block` events a step; `lr` peak learning rate of AdamW after a tenth of warm-up, falling to a twentieth along
    a cosine; `patience` epochs without a better validation AP before stopping; `positive_weight` of the loss
    ("balanced" = square root of negatives per positive); `label_lag`: the share of blocks in which the newest
    labels are hidden, so that the network also learns to live on old ones; `refit` trains once more on everything
    known when the test part begins, for as many epochs as validation chose; `context_days` of events before the
    first fitted one that are read for their history (null = all): to training, older ones are zero vectors, while
    validation reads everything, as scoring does; `keep_gb` of windows and edges are kept from one epoch to the next,
    so that they need not be made again. `device` is where torch trains ("cpu", "cuda", "cuda:1" …); only on the CPU
    does the same seed give the same bits, and everything is scored there.
    """

    epochs: int = 30
    block: int = 4096
    lr: float = 2e-3
    weight_decay: float = 1e-3
    clip: float = 1.0
    patience: int = 6
    positive_weight: float | str = 1.0
    label_lag: float = 0.0
    refit: bool = True
    members: int = 1
    context_days: float | None = None
    keep_gb: float = 2.0
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        weight, context = self.positive_weight, self.context_days
        checks = {name: (getattr(self, name) >= 1, "at least 1") for name in ("epochs", "block", "patience", "members")}
        checks |= {name: (0 < getattr(self, name) < np.inf, "more than 0") for name in ("lr", "clip")}
        checks |= {
            "weight_decay": (0 <= self.weight_decay < np.inf, "0 or more"),
            "positive_weight": (
                weight == "balanced" or (isinstance(weight, float | int) and 0 < weight < np.inf),
                "more than 0 or 'balanced'",
            ),
            "label_lag": (0 <= self.label_lag <= 1, "a share in [0, 1]"),
            "context_days": (context is None or 0 <= context < np.inf, "0 or more, or null"),
            "threads": (1 <= self.threads <= MOST_THREADS, f"1 to {MOST_THREADS}"),
            "keep_gb": (0 <= self.keep_gb < np.inf, "0 or more"),
            "device": (_device_kind(self.device) in ("cpu", "cuda"), "cpu, cuda or cuda:1 …"),
        }
        check_fields("trainer", self, checks)
        _check_device(self.device)

    def weight(self, rate: float) -> float:
        """Weight of a positive in the loss, where a share `rate` of the fitted rows is positive."""
        return float(np.sqrt((1 - rate) / rate)) if self.positive_weight == "balanced" else float(self.positive_weight)

    def capped(self, epochs: int | None) -> TrainerSpec:
        """The same training with at most `epochs` epochs: good enough for a control."""
        return replace(self, epochs=self.epochs if epochs is None else min(epochs, self.epochs))


@dataclass(frozen=True)
class EventTarget:
    """Labels of events: `label` (events,) float32 in {0, 1}, of which only the `fit` mask (events,) counts."""

    label: Tensor
    fit: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class NodeTarget:
    """Labels of entities at instants: `label` (questions,) float32; `fit` and `valid` masks (questions,)."""

    inputs: NodeInputs
    label: Tensor
    fit: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did: mean loss a step, validation AP (None where undefined), events a second."""

    epoch: int
    loss: float
    valid_ap: float | None
    events_per_second: float


@dataclass(frozen=True)
class Fitted:
    """The outcome of `fit`: the best epoch (counted from 1), the record of all, and, if it began at weights of other
    data, their fingerprint."""

    best_epoch: int
    history: tuple[EpochRecord, ...]
    began_at: str | None


def fit(
    model: TemporalSage,
    inputs: NetworkInputs,
    spec: TrainerSpec,
    *,
    seed: int,
    events: EventTarget | None = None,
    nodes: Sequence[NodeTarget] = (),
    epochs: int | None = None,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> Fitted:
    """Train `model` in place on the `fit` rows and leave it with the weights of the best epoch.

    The best epoch is the one of highest validation AP (mean over the targets that have one); where validation is
    undefined, the last. With `epochs` it runs just that many and keeps the last: that is the refit. With
    `checkpoint`, a killed run goes on from its last whole epoch and ends bit for bit where it would have; on other
    data a new training begins at the weights it left. `on_epoch` is told of every epoch, first of those that were done
    before a kill. Raises ConfigError where the checkpoint is of a training that
    was told otherwise, or has learnt what is judged now, where there is no label to fit, or the loss grows beyond all
    bounds.
    """
    run = _Run(model, inputs, spec, seed, events, tuple(nodes), epochs)
    if checkpoint is not None:
        run.load(checkpoint)
    if on_epoch is not None:
        for record in run.history:
            on_epoch(record)
    with tqdm(total=spec.epochs if epochs is None else epochs, initial=len(run.history), unit="epoch", desc="train",
              disable=None) as bar:  # fmt: skip
        while not run.finished:
            record = run.epoch()
            bar.update()
            bar.set_postfix(loss=f"{record.loss:.4f}", ap=record.valid_ap, events_s=f"{record.events_per_second:,.0f}")
            if checkpoint is not None:
                run.save(checkpoint)
            if on_epoch is not None:
                on_epoch(record)
    return run.result()


class _Run:
    """State of one training: weights, optimiser, cache, history."""

    def __init__(
        self,
        model: TemporalSage,
        inputs: NetworkInputs,
        spec: TrainerSpec,
        seed: int,
        events: EventTarget | None,
        nodes: tuple[NodeTarget, ...],
        epochs: int | None,
    ) -> None:
        self.model, self.inputs, self.spec, self.seed = model, inputs, spec, seed
        self.events, self.nodes, self.fixed_epochs = events, nodes, epochs
        if not any(target.fit.any() for target in (events, *nodes) if target is not None):
            raise ConfigError(
                "task: there is no known answer to learn from before the cut; map a label column in the data config, "
                "or ask another question"
            )
        self.spans = self._spans()
        self.device = torch.device(spec.device)
        model.to(self.device)
        once = (spec.epochs if epochs is None else epochs) == 1
        # Every pass writes each event before it is read: one cache serves all, training's and validation's.
        self.cache = Cache(len(inputs), model.spec.width, model.spec.layers, self.device)
        self.blocks = KeptBlocks(inputs, 0 if once else int(spec.keep_gb * 1e9))
        self.positions = [self._positions(node) for node in nodes]
        self.optimiser = torch.optim.AdamW(model.parameters(), lr=spec.lr, weight_decay=spec.weight_decay, fused=True)
        self.steps = max(1, len(self.spans) * spec.epochs)
        self.step = 0
        self.history: list[EpochRecord] = []
        self.began_at: str | None = None
        self.best: tuple[int, float, dict[str, Tensor]] = (0, -1.0, {})
        self.event_weight, self.node_weights = 1.0, [1.0 for _ in nodes]
        self._start_at_rates()

    @property
    def finished(self) -> bool:
        if self.fixed_epochs is not None:
            return len(self.history) >= self.fixed_epochs
        stale = len(self.history) - self.best[0] >= self.spec.patience and bool(self.best[2])
        return len(self.history) >= self.spec.epochs or stale

    def epoch(self) -> EpochRecord:
        """One pass over the blocks in time order, a step wherever a block holds something to fit."""
        number = len(self.history)
        torch.manual_seed(self.seed * 100_003 + number)
        draw = np.random.default_rng([self.seed, number])
        began, total = time.perf_counter(), 0.0
        self.model.train()
        for level in self.cache.levels:
            level[: self.spans[0][0]] = 0  # what validation left there, a resumed run would not have
        for low, high in tqdm(self.spans, desc=f"epoch {number + 1}", unit="block", leave=False, disable=None):
            total += self._block(low, high, draw)
        refuse_divergence(total, self.spec, number + 1)
        seconds = time.perf_counter() - began
        rate = sum(high - low for low, high in self.spans) / seconds
        ap = self.validate() if self.fixed_epochs is None else None
        record = EpochRecord(number + 1, total / len(self.spans), ap, rate)
        self.history.append(record)
        if ap is not None and ap > self.best[1]:
            weights = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best = (number + 1, ap, weights)
        log.info("epoch %d: loss %.5f, validation AP %s, %.0f events/s", record.epoch, record.loss, ap, rate)
        return record

    def _block(self, low: int, high: int, draw: np.random.Generator) -> float:
        rows = np.flatnonzero(self.events.fit[low:high]) if self.events is not None else np.zeros(0, np.int64)
        asked = [
            np.flatnonzero(node.fit & (at > low) & (at <= high))
            for node, at in zip(self.nodes, self.positions, strict=True)
        ]
        learn = len(rows) > 0 or any(len(questions) for questions in asked)
        lag = int(self.label_horizon * draw.random()) if draw.random() < self.spec.label_lag else None
        block = self.blocks(low, high) if lag is None else self.inputs.block(low, high, label_lag=lag)
        with torch.set_grad_enabled(learn):
            first, last = forward_block(self.model, self.inputs, block, self.cache)
            if not learn:
                return 0.0
            loss = torch.zeros((), device=self.device)
            if self.events is not None and len(rows):
                own, final, label = first, last, self.events.label[low:high].to(self.device)
                if len(rows) < high - low:
                    at = torch.from_numpy(rows).to(self.device)
                    own, final, label = own[at], final[at], label[at]
                expected = self.events.fit.sum() / len(self.spans)
                logits = self.model.event_logits(own, final)
                loss = loss + event_loss(logits, label, self.event_weight, expected)
            for node, questions, weight in zip(self.nodes, asked, self.node_weights, strict=True):
                if len(questions):
                    logits = node.inputs.logits(self.model, self.cache, questions, start=low, fresh=last)
                    expected = node.fit.sum() / len(self.spans)
                    label = node.label[questions].to(self.device)
                    loss = loss + event_loss(logits, label, weight, expected)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self.spec.lr * _schedule(self.step / self.steps)
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())

    def validate(self) -> float | None:
        """Mean AP over the targets whose validation part has both classes; None if none has."""
        self.model.eval()
        cache, found = self.cache, []
        with torch.no_grad():
            # From the first event on, as scoring reads them, in blocks that training has as well.
            start = self.spans[0][0]
            before = self.inputs.spans(self.spec.block, 0, start)
            for low, high in [*before, *self.inputs.spans(self.spec.block, start, self._valid_stop())]:
                forward_block(self.model, self.inputs, self.blocks(low, high), cache)
            if self.events is not None and self.events.valid.any():
                rows = torch.from_numpy(np.flatnonzero(self.events.valid))
                at = rows.to(self.device)
                scores = self.model.event_logits(cache.levels[0][at], cache.levels[-1][at])
                refuse_divergence(scores, self.spec, len(self.history) + 1)
                found.append(_average_precision(self.events.label[rows], scores.cpu()))
            for node in self.nodes:
                rows_of = np.flatnonzero(node.valid)
                if len(rows_of):
                    scores = node.inputs.logits(self.model, cache, rows_of, start=len(self.inputs))
                    refuse_divergence(scores, self.spec, len(self.history) + 1)
                    found.append(_average_precision(node.label[rows_of], scores.cpu()))
        defined = [value for value in found if value is not None]
        return float(np.mean(defined)) if defined else None

    def result(self) -> Fitted:
        if self.best[2]:
            self.model.load_state_dict(self.best[2])
        self.model.cpu()
        best = self.best[0] if self.best[2] else len(self.history)
        return Fitted(best, tuple(self.history), self.began_at)

    def save(self, checkpoint: Checkpoint) -> None:
        """Weights, optimiser moments and history."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best[2].items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in state.items()}
        history = [asdict(record) for record in self.history]
        facts = {"step": self.step, "best": self.best[:2], "history": history, "began_at": self.began_at}
        checkpoint.save(tensors, facts)

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint if there is one; if it is of other data, begin anew at its weights."""
        saved = checkpoint.read(judged_from=self._judged_from())
        if saved is None:
            return
        weights = saved.part("model.") if saved.same_data else saved.part("best.") or saved.part("model.")
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise checkpoint.of_others() from error
        self.began_at = saved.facts["began_at"] if saved.same_data else saved.facts["data"]
        if not saved.same_data:
            log.info("other data than that of %s: a new training begins at its weights", checkpoint.path)
            return
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in saved.part("optimiser.").items():
            number, field = name.split(".", 1)
            moments.setdefault(int(number), {})[field] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.step = saved.facts["step"]
        self.best = (*saved.facts["best"], saved.part("best."))
        self.history = [EpochRecord(**record) for record in saved.facts["history"]]
        log.info("resumed after epoch %d from %s", len(self.history), checkpoint.path)

    def _spans(self) -> list[tuple[int, int]]:
        """Blocks from the first event whose history matters to the last one that is fitted."""
        positions = [np.flatnonzero(self.events.fit)] if self.events is not None else []
        positions += [self._positions(node)[node.fit] - 1 for node in self.nodes]
        needed = np.concatenate(positions)
        time_of = self.inputs.graph.log.event_time
        start = 0
        if self.spec.context_days is not None:
            earliest = time_of[max(needed.min(), 0)] - int(self.spec.context_days * MICROSECONDS_PER_DAY)
            start = int(np.searchsorted(time_of, earliest))
        self.label_horizon = int(time_of[needed.max()] - time_of[max(needed.min(), 0)])
        return list(self.inputs.spans(self.spec.block, start, int(needed.max()) + 1))

    def _judged_from(self) -> int:
        """When the first of the judged rows happened (µs UTC)."""
        log = self.inputs.graph.log
        judged = [log.event_time[self.events.valid]] if self.events is not None else []
        judged += [node.inputs.questions.as_of[node.valid] for node in self.nodes]
        return min((int(times.min()) for times in judged if len(times)), default=NEVER)

    def _valid_stop(self) -> int:
        stops = [self.spans[-1][1]]
        if self.events is not None and self.events.valid.any():
            stops.append(int(np.flatnonzero(self.events.valid)[-1]) + 1)
        stops += [int(self._positions(node)[node.valid].max()) for node in self.nodes if node.valid.any()]
        return max(stops)

    def _positions(self, node: NodeTarget) -> np.ndarray:
        """How many events lie before each question: it belongs to the block that holds the last of them."""
        at = np.searchsorted(self.inputs.graph.log.event_time, node.inputs.questions.as_of, side="left")
        return np.maximum(at, 1)

    def _start_at_rates(self) -> None:
        """Heads begin at the share of positives, which also says what one weighs if classes shall be balanced."""
        if self.events is not None:
            rate = _rate(self.events)
            self.model.event_head.start_at(rate)
            self.event_weight = self.spec.weight(rate)
        for place, node in enumerate(self.nodes):
            rate = _rate(node)
            self.model.node_head(node.inputs.questions.entity_type).head.start_at(rate)
            self.node_weights[place] = self.spec.weight(rate)


def refuse_divergence(said: float | Tensor, spec: TrainerSpec, epoch: int) -> None:
    """ConfigError unless all that a network `said` in an epoch, loss or logits, is finite."""
    if not torch.isfinite(torch.as_tensor(said)).all():
        raise ConfigError(
            f"trainer.lr: training diverged in epoch {epoch}, its loss or scores are not finite; "
            f"lower trainer.lr ({spec.lr:g}) or trainer.clip ({spec.clip:g})"
        )


def event_loss(logits: Tensor, label: Tensor, weight: float, expected: float) -> Tensor:
    """Cross-entropy summed over labelled rows and divided by how many a block is expected to have, so that a block
    with two labels does not shout as loud as one with two thousand. Finite without positives."""
    positive = torch.tensor(weight, device=logits.device)
    return functional.binary_cross_entropy_with_logits(logits, label, pos_weight=positive, reduction="sum") / expected


def _rate(target: EventTarget | NodeTarget) -> float:
    return smoothed_rate(target.label[torch.from_numpy(np.flatnonzero(target.fit))])


def smoothed_rate(label: Tensor) -> float:
    """Share of positives among fitted rows, as one row of each class more would make it (never 0 or 1)."""
    return (float(label.sum()) + 1) / (len(label) + 2)


def _schedule(done: float) -> float:
    """Share of the peak learning rate: linear warm-up over a tenth, then a cosine down to a twentieth."""
    if done < 0.1:
        return 0.1 + 9 * done
    return 0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * min(1.0, (done - 0.1) / 0.9)))


def _average_precision(label: Tensor, score: Tensor) -> float | None:
    values = label.numpy()
    if values.min() == values.max():
        return None
    return float(average_precision_score(values, score.numpy()))


def _device_kind(name: str) -> str:
    try:
        return torch.device(name).type
    except RuntimeError:
        return "none"


def _check_device(name: str) -> None:
    if _device_kind(name) == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"trainer.device: {name}, but torch sees no GPU here; install torch's CUDA build, or trainer.device=cpu"
        )
