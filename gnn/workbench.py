"""One data set laid out for modelling: graph, columns, split; and the few acts that a comparison is made of.

Whatever is compared, network or trees, gets its rows, columns and labels from here, so that every candidate is
fitted on the same past and judged on the same rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from gnn.blocks import NetworkInputs, embed_all
from gnn.bundle import EVENTS, build_network
from gnn.encoders import Columns, FeatureSpace, event_columns
from gnn.floors import FeatureMatrix, lightgbm_floor, raw_columns
from gnn.metrics import Undefined
from gnn.splits import Split, hide_labels
from gnn.temporal_sage import SageSpec, TemporalSage
from gnn.trainer import EpochRecord, EventTarget, TrainerSpec, fit
from graphs.behaviour import BehaviourSpec, behaviour_features
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """What may be seen while one model is made: a graph without the labels that stay hidden, its columns, and the
    rows (events,) that are fitted and judged."""

    graph: TemporalGraph
    columns: Columns
    behaviour_names: tuple[str, ...]
    fitted: np.ndarray
    judged: np.ndarray
    cut: int

    @property
    def past(self) -> np.ndarray:
        """Rows whose columns the encoding may be fitted on: everything before the cut (events,)."""
        return self.graph.log.event_time < self.cut


@dataclass(frozen=True)
class TrainedNetworks:
    """Networks and what they say. `members` are the judged ones; `valid` logits come from the network that chose
    the epoch (it never saw those rows), `test` logits are the members' mean."""

    members: Sequence[TemporalSage]
    space: FeatureSpace
    valid: np.ndarray
    test: np.ndarray
    best_epoch: int
    history: Sequence[EpochRecord]
    seconds: float


@dataclass(frozen=True)
class Workbench:
    """A data set with its split, in two phases: `choosing` (fit, validate) and `judged` (refit, test)."""

    log: EventLog
    split: Split
    choosing: Phase
    judged: Phase

    @classmethod
    def lay_out(cls, events: EventLog, split: Split, behaviour: BehaviourSpec) -> Workbench:
        """Build graph and columns of both phases; one pass serves both where they hide the same labels."""
        choosing = _phase(events, split.fit_hidden, split.fit, split.valid, split.valid_cut, behaviour)
        if (split.fit_hidden == split.refit_hidden).all():
            judged = replace(choosing, fitted=split.refit, judged=split.test, cut=split.cut)
        else:
            judged = _phase(events, split.refit_hidden, split.refit, split.test, split.cut, behaviour)
        return cls(events, split, choosing, judged)

    @cached_property
    def label(self) -> np.ndarray:
        """(events,) float32: 1 for fraud, 0 for anything else; only rows of a split part mean something."""
        return (self.log.label == 1).astype(np.float32)

    def train_networks(
        self,
        model: SageSpec,
        trainer: TrainerSpec,
        *,
        seed: int,
        checkpoint: Path | None = None,
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> TrainedNetworks:
        """Choose the epoch on the validation rows, train the members that are judged, score the test rows."""
        torch.set_num_threads(trainer.threads)
        began = time.perf_counter()
        if not self.split.has_validation:
            members, space, test = self._refit(model, trainer, seed, trainer.epochs, checkpoint, on_epoch)
            nothing = np.zeros(0, np.float32)
            return TrainedNetworks(members, space, nothing, test, trainer.epochs, (), time.perf_counter() - began)
        network, space, inputs = self._network(model, self.choosing, seed)
        target = EventTarget(torch.from_numpy(self.label), self.choosing.fitted, self.choosing.judged)
        fitted = fit(network, inputs, trainer, seed=seed, events=target, checkpoint=checkpoint, on_epoch=on_epoch)
        valid = self.logits(network, inputs, self.choosing.judged)
        if trainer.refit:
            members, space, test = self._refit(model, trainer, seed, fitted.best_epoch, checkpoint, None)
        else:
            members, test = (
                [network],
                self.logits(network, self._inputs(model, self.judged, space, seed), self.split.test),
            )
        seconds = time.perf_counter() - began
        return TrainedNetworks(members, space, valid, test, fitted.best_epoch, fitted.history, seconds)

    def _refit(
        self,
        model: SageSpec,
        trainer: TrainerSpec,
        seed: int,
        epochs: int,
        checkpoint: Path | None,
        on_epoch: Callable[[EpochRecord], None] | None,
    ) -> tuple[list[TemporalSage], FeatureSpace, np.ndarray]:
        """The judged networks, trained for `epochs` on all that is known at the cut, and their mean test logits."""
        members, logits = [], []
        target = EventTarget(torch.from_numpy(self.label), self.judged.fitted, np.zeros(len(self.log), bool))
        for member in range(trainer.members):
            of_member = seed + 1_000 * member
            network, space, inputs = self._network(model, self.judged, of_member)
            path = checkpoint.with_stem(f"{checkpoint.stem}-{member}") if checkpoint else None
            fit(
                network,
                inputs,
                trainer,
                seed=of_member,
                events=target,
                epochs=epochs,
                checkpoint=path,
                on_epoch=on_epoch,
            )
            logits.append(self.logits(network, inputs, self.split.test))
            members.append(network)
        return members, space, np.mean(logits, 0)

    def _network(self, model: SageSpec, phase: Phase, seed: int) -> tuple[TemporalSage, FeatureSpace, NetworkInputs]:
        space = FeatureSpace.fit(phase.columns, phase.past, bins=model.bins)
        torch.manual_seed(seed)
        network = build_network(model, {EVENTS: space}, self.log.roles, self.log.event_types)
        return network, space, self._inputs(model, phase, space, seed)

    def _inputs(self, model: SageSpec, phase: Phase, space: FeatureSpace, seed: int) -> NetworkInputs:
        return NetworkInputs.of(phase.graph, space, phase.columns, k=model.k, edges=model.edges, seed=seed)

    def logits(self, network: TemporalSage, inputs: NetworkInputs, rows: np.ndarray) -> np.ndarray:
        """Logits of the masked rows, in order; everything up to the last of them is embedded on the way."""
        wanted = np.flatnonzero(rows)
        cache = embed_all(network, inputs, stop=int(wanted[-1]) + 1)
        at = torch.from_numpy(wanted)
        with torch.no_grad():
            return network.event_logits(cache.levels[0][at], cache.levels[-1][at]).numpy()

    def lightgbm(self, *, seed: int, aggregates: bool, threads: int = 1) -> np.ndarray | Undefined:
        """Scores of the test rows by LightGBM on raw columns, with the point-in-time `aggregates` beside or not."""
        choosing, judged = (self._matrix(phase, aggregates=aggregates) for phase in (self.choosing, self.judged))
        y = self.label
        return lightgbm_floor(
            choosing.values[self.choosing.fitted],
            y[self.choosing.fitted],
            choosing.values[self.choosing.judged],
            y[self.choosing.judged],
            judged.values[self.judged.judged],
            seed=seed,
            categorical=choosing.categorical,
            refit_x=judged.values[self.judged.fitted],
            refit_y=y[self.judged.fitted],
            threads=threads,
        )

    def _matrix(self, phase: Phase, *, aggregates: bool) -> FeatureMatrix:
        raw = raw_columns(phase.graph.log, phase.past)
        if not aggregates:
            return raw
        place = [phase.columns.names.index(name) for name in phase.behaviour_names]
        return raw.beside(FeatureMatrix(phase.behaviour_names, phase.columns.numeric[:, place]))


def _phase(
    events: EventLog, hidden: np.ndarray, fitted: np.ndarray, judged: np.ndarray, cut: int, behaviour: BehaviourSpec
) -> Phase:
    graph = TemporalGraph.build(hide_labels(events, hidden))
    table = behaviour_features(graph, behaviour)
    columns = event_columns(graph.log, clock="calendar" not in behaviour.families)
    return Phase(graph, columns.with_numeric(table.names, table.values), table.names, fitted, judged, cut)
