"""What networks say of rows whose labels they never saw: the only honest columns to train a stacked model on.

A network has learnt the labels of its training rows by heart, more or less; a model trained on its scores of those rows
would trust them far too much (the stacking leak). So the known rows are cut in order of time, a network fitted on the
labels before each cut speaks of the rows behind it, and the network of the run itself speaks of the test rows only
(time-ordered cross-fitting, as in Chernozhukov et al. 2018, with folds in time). Vectors of the several networks are
turned into the space of the last one.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gnn.blocks import Cache, embed_all
from gnn.bundle import EVENTS
from gnn.embed import weighted_mean
from gnn.embedding_space import Alignment, align
from gnn.encoders import FeatureSpace
from gnn.temporal_sage import SageSpec, TemporalSage
from gnn.trainer import TrainerSpec, fit
from gnn.workbench import Phase, Ready, TreeRows, Workbench, phase_of
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError

log = logging.getLogger(__name__)

ANCHORS = 20_000


@dataclass(frozen=True)
class CrossFitSpec:
    """The known rows in order of time: the first `first_share` of them are only learnt from, the others are spoken of
    in `folds` parts, each by a network fitted on all rows before it."""

    folds: int = 3
    first_share: float = 0.4

    def __post_init__(self) -> None:
        if self.folds < 1:
            raise ConfigError(f"crossfit.folds: got {self.folds}, expected at least 1")
        if not 0 < self.first_share < 1:
            raise ConfigError(f"crossfit.first_share: got {self.first_share}, expected a share in (0, 1)")

    def cuts(self, rows: int) -> np.ndarray:
        """Positions (folds + 1,) among the known rows where the folds begin, and the end."""
        return np.linspace(round(self.first_share * rows), rows, self.folds + 1).round().astype(np.int64)


@dataclass(frozen=True)
class Networks:
    """Networks whose logits are averaged, and the encodings they read."""

    members: Sequence[TemporalSage]
    spaces: Mapping[str, FeatureSpace]


@dataclass(frozen=True)
class Spoken:
    """What networks said of rows: `vectors` (rows, width) float32 and `logits` (rows,) float32."""

    vectors: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class CrossFitted:
    """What was said of the known rows from `first` on (of all, in order of time), and of the test rows.

    `fold` (rows,) says which network spoke of a known row, `tabular` are the trees' own columns of these rows as they
    were seen then, `alignments` how each network was turned into the space of the last.
    """

    first: int
    known: Spoken
    fold: np.ndarray
    tabular: TreeRows
    test: Spoken
    alignments: Sequence[Alignment]


def cross_fit(
    bench: Workbench,
    task: str,
    final: Networks,
    model: SageSpec,
    trainer: TrainerSpec,
    behaviour: BehaviourSpec,
    spec: CrossFitSpec,
    *,
    seed: int,
    epochs: int,
) -> CrossFitted:
    """Speak of a task's known rows by networks that never saw their labels, of its test rows by `final`.

    Only an event task's own labels teach its folds, no node task's. Where labels stop at the test part's cut
    (`split.labels_stop`), they stop at each fold's too: trees must learn on rows that look as the test rows will.
    """
    torch.set_num_threads(trainer.threads)
    known, test, times = _rows(bench, task)
    cuts = spec.cuts(len(known))
    if len(np.unique(cuts)) < len(cuts):
        raise ConfigError(f"crossfit: {len(known)} known rows cannot be cut into {spec.folds} folds")
    final_ready = _ready(bench, bench.judged, task, model, final, seed)
    final_caches = _embedded(final, final_ready, task, test)
    anchors = _anchors(bench, int(times[known[cuts[0]]]))
    there = final_caches[0].levels[-1].numpy()[anchors]
    parts, tabular, alignments = [], [], []
    for begin, end in itertools.pairwise(cuts.tolist()):
        cut = int(times[known[begin]])
        phase = _before(bench, task, behaviour, known[:begin], cut)
        networks = _trained(bench, phase, model, trainer, seed=seed, epochs=epochs)
        ready = _ready(bench, phase, task, model, networks, seed)
        caches = _embedded(networks, ready, task, known[begin:end])
        turned = align(caches[0].levels[-1].numpy()[anchors], there)
        said = _spoken(networks, ready, caches, task, known[begin:end])
        parts.append(Spoken(said.vectors @ turned.rotation, said.logits))
        tabular.append(_tabular(bench, task, phase, known[begin:end]))
        alignments.append(turned)
        log.info("rows %d to %d of %d: residual of the space %.3f", begin, end, len(known), turned.residual)
    return CrossFitted(
        int(cuts[0]),
        Spoken(np.concatenate([one.vectors for one in parts]), np.concatenate([one.logits for one in parts])),
        np.repeat(np.arange(spec.folds), np.diff(cuts)),
        replace(
            tabular[0],
            fit_x=np.concatenate([one.fit_x for one in tabular]),
            fit_y=np.concatenate([one.fit_y for one in tabular]),
        ),
        _spoken(final, final_ready, final_caches, task, test),
        alignments,
    )


def _rows(bench: Workbench, task: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Known and test rows of a task in order of time, and the time of every row: of events, or of questions."""
    if task == EVENTS:
        return np.flatnonzero(bench.judged.fitted), np.flatnonzero(bench.judged.judged), bench.log.event_time
    node = bench.judged.nodes[task]
    return np.arange(node.fitted), np.arange(node.fitted, len(node.label)), node.questions.as_of


def _before(bench: Workbench, task: str, behaviour: BehaviourSpec, fitted: np.ndarray, cut: int) -> Phase:
    """A phase in which only the rows `fitted` are learnt from, and labels stop at `cut` if they do in the split."""
    phase = bench.judged
    if bench.split.refit_hidden.any():
        seen = phase_of(bench.log, bench.split.refit_hidden | (bench.log.label_known_time > cut), behaviour)
        phase = replace(phase, graph=seen.graph, columns=seen.columns)
    if task == EVENTS:
        mask = np.zeros(len(bench.log), bool)
        mask[fitted] = True
        return replace(phase, fitted=mask, cut=cut, nodes={})
    node = replace(phase.nodes[task], fitted=len(fitted))
    return replace(phase, fitted=np.zeros_like(phase.fitted), cut=cut, nodes={task: node})


def _tabular(bench: Workbench, task: str, phase: Phase, rows: np.ndarray) -> TreeRows:
    """The trees' columns of `rows` (they stand as the fitted ones) as the phase sees them."""
    if task != EVENTS:
        whole = bench.tree_rows(task, bench.judged, aggregates=True)
        return replace(whole, fit_x=whole.fit_x[rows], fit_y=whole.fit_y[rows])
    mask = np.zeros(len(bench.log), bool)
    mask[rows] = True
    # Categories are numbered by what is known at the test part's cut, as in all other rows.
    return bench.tree_rows(task, replace(phase, fitted=mask, cut=bench.judged.cut), aggregates=True)


def _trained(
    bench: Workbench, phase: Phase, model: SageSpec, trainer: TrainerSpec, *, seed: int, epochs: int
) -> Networks:
    members = []
    for member in range(trainer.members):
        of_member = seed + 1_000 * member
        network, spaces = bench.network(model, phase, of_member)
        ready = bench.ready(model, phase, spaces, of_member)
        events = ready.events if phase.fitted.any() else None
        fit(network, ready.inputs, trainer, seed=of_member, events=events, nodes=ready.nodes, epochs=epochs)
        members.append(network)
    return Networks(members, spaces)


def _ready(bench: Workbench, phase: Phase, task: str, model: SageSpec, networks: Networks, seed: int) -> Ready:
    kept = {} if task == EVENTS else {task: phase.nodes[task]}
    return bench.ready(model, replace(phase, nodes=kept), networks.spaces, seed)


def _embedded(networks: Networks, ready: Ready, task: str, rows: np.ndarray) -> list[Cache]:
    """Embeddings of all that is needed to speak of `rows`: of events up to the last of them."""
    stop = int(rows[-1]) + 1 if task == EVENTS else len(ready.inputs)
    return [embed_all(member, ready.inputs, stop=stop) for member in networks.members]


def _spoken(networks: Networks, ready: Ready, caches: Sequence[Cache], task: str, rows: np.ndarray) -> Spoken:
    """What networks say of events, or of questions, by their positions."""
    last = caches[0].levels[-1].numpy()
    pairs: list[tuple[Any, Cache]] = list(zip(networks.members, caches, strict=True))
    with torch.no_grad():
        if task == EVENTS:
            at = torch.from_numpy(rows)
            logits = [member.event_logits(cache.levels[0][at], cache.levels[-1][at]).numpy() for member, cache in pairs]
            return Spoken(last[rows], np.mean(logits, axis=0))
        inputs = ready.nodes[0].inputs
        logits = [inputs.logits(member, cache, rows, start=len(ready.inputs)).numpy() for member, cache in pairs]
    vectors = np.zeros((len(rows), last.shape[1]), np.float32)
    windows = np.ascontiguousarray(inputs.windows[rows, 0])
    weighted_mean(last, windows, ready.inputs.graph.log.visible_time, vectors)
    return Spoken(vectors, np.mean(logits, axis=0))


def _anchors(bench: Workbench, cut: int) -> np.ndarray:
    """Events before every fold, which all networks see alike."""
    before = int(np.searchsorted(bench.log.event_time, cut))
    return np.unique(np.linspace(0, max(before - 1, 0), min(before, ANCHORS)).round().astype(np.int64))
