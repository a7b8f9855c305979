"""What networks say of rows whose labels they never saw: the only honest columns to train a stacked model on.

A network has learnt the labels of its training rows by heart, more or less; a model trained on its scores of those rows
would trust them far too much (the stacking leak). So the known rows are cut in order of time, a network fitted on the
labels before each cut scores the rows behind it, and the network of the run itself scores the test rows only
(time-ordered cross-fitting, as in Chernozhukov et al. 2018, with folds in time). Where a split is random, so is the
order that the known rows are cut in: rows must be spoken of as the test rows will be.

Scores of several networks mean the same thing, their vectors do not. So all vectors, of known rows and of test rows,
come from one network: the first, which learnt from the rows before all of them (docs/decisions/0010).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gnn.blocks import embed_all
from gnn.boosting import Rows
from gnn.bundle import EVENTS
from gnn.embed import weighted_mean
from gnn.encoders import FeatureSpace
from gnn.nodes import node_columns
from gnn.temporal_sage import SageSpec, TemporalSage
from gnn.trainer import TrainerSpec
from gnn.workbench import Phase, Ready, TreeRows, Workbench, phase_of
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossFitSpec:
    """The known rows in the order of `rows_of`: the first `first_share` of them are only learnt from, the others are
    scored in `folds` parts, each by a network fitted on all rows before it."""

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
    """What was said of the known rows from `first` on (of all, in the order of `rows_of`), and of the test rows.

    `fold` (rows,) says which network scored a known row, `tabular` are the trees' own columns of these rows as they
    were seen then; the first member of `space` made all vectors. `alike`: whether the rows before `first` were seen
    under labels as fresh as all others, so that trees may be grown on them too.
    """

    first: int
    known: Spoken
    fold: np.ndarray
    tabular: TreeRows
    test: Spoken
    space: Networks
    alike: bool


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
    (`split.labels_stop`), they stop at each fold's too: trees must learn on rows that look as the test rows will. In a
    random split the labels of a fold's own rows stay hidden, as those of the test part do.
    """
    torch.set_num_threads(trainer.threads)
    known, test, times = rows_of(bench, task)
    cuts = spec.cuts(len(known))
    if len(np.unique(cuts)) < len(cuts):
        raise ConfigError(f"crossfit: {len(known)} known rows cannot be cut into {spec.folds} folds")
    speaker = _Speaker(bench, task, model, seed)
    space = None
    logits, vectors, tabular = [], [], []
    for begin, end in itertools.pairwise(cuts.tolist()):
        rows = known[begin:end]
        cut = bench.judged.cut if bench.split.random else int(times[known[begin]])
        phase = taught = _before(bench, task, behaviour, known, begin, end, cut)
        if bench.split.random and space is None:
            # Its vectors speak of all later rows, too, whose labels it must not have learnt from edges.
            taught = _before(bench, task, behaviour, known, begin, len(known), cut)
        spaces = bench.encodings(model, taught)
        members = bench.trained(model, taught, spaces, trainer, seed=seed, epochs=epochs)
        networks = Networks([network for network, _, _ in members], spaces)
        space = space or networks
        logits.append(speaker.logits(networks, phase, rows))
        vectors.append(speaker.vectors(space, phase, rows))
        tabular.append(_tabular(bench, task, phase, rows))
        log.info("rows %d to %d of %d are spoken of", begin, end, len(known))
    assert space is not None
    return CrossFitted(
        int(cuts[0]),
        Spoken(np.concatenate(vectors), np.concatenate(logits)),
        np.repeat(np.arange(spec.folds), np.diff(cuts)),
        replace(
            tabular[0],
            fit=Rows(np.concatenate([one.fit.x for one in tabular]), np.concatenate([one.fit.y for one in tabular])),
        ),
        Spoken(speaker.vectors(space, bench.judged, test), speaker.logits(final, bench.judged, test)),
        space,
        alike=bench.split.random or not bench.split.labels_stop,
    )


def rows_of(bench: Workbench, task: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Known and test rows of a task in order of time, and the time of every row: of events, or of questions. Known rows
    of a random split are shuffled, always alike."""
    test = bench.judged_rows(task)
    if task == EVENTS:
        known = np.flatnonzero(bench.judged.fitted)
        return np.random.default_rng(0).permutation(known) if bench.split.random else known, test, bench.log.event_time
    node = bench.judged.nodes[task]
    return np.flatnonzero(node.fitted & ~node.beside), test, node.questions.as_of


def in_order(table: TreeRows, rows: np.ndarray) -> TreeRows:
    """A table of the fitted `rows`, which lie in order of time, in the order of `rows`."""
    at = np.searchsorted(np.sort(rows), rows)
    return replace(table, fit=table.fit[at])


def _before(
    bench: Workbench, task: str, behaviour: BehaviourSpec, known: np.ndarray, begin: int, end: int, cut: int
) -> Phase:
    """A phase in which only rows before `known[begin]` are learnt from. Labels stop at `cut` if they do in the split;
    in a random one those of `known[begin:end]` are hidden. Where entities are asked about again and again, only answers
    are learnt that had settled by `cut`."""
    phase = bench.judged
    if bench.split.labels_stop:
        hidden = bench.log.label_known_time > cut
        if bench.split.random:
            hidden[known[begin:end]] = True
        seen = phase_of(bench.log, bench.split.refit_hidden | hidden, behaviour)
        nodes = {
            name: replace(node, columns=node_columns(seen.graph, node.questions, behaviour))
            for name, node in phase.nodes.items()
            if name == task
        }
        phase = replace(phase, graph=seen.graph, columns=seen.columns, nodes=nodes)
    if task == EVENTS:
        mask = np.zeros(len(bench.log), bool)
        mask[known[:begin]] = True
        return replace(phase, fitted=mask, cut=cut, nodes={})
    node = phase.nodes[task]
    asked, label, about = node.questions, node.label, bench.tasks[task]
    fitted = np.arange(len(label)) < known[begin]
    if about.new_after_days is None:
        then = about.settled_answers(bench.log, asked, cut, bench.split.maturity)
        fitted &= np.isfinite(then)
        label = np.where(fitted, then, label)
    else:
        # A question beside another has the same answer: it must not be learnt before the other is spoken of.
        fitted &= ~(node.beside & np.isin(asked.entity, asked.entity[known[begin:]]))
    if not fitted.any():
        raise ConfigError(
            f"crossfit.first_share: no answer about a {task} had settled when the first fold begins; raise it"
        )
    nodes = {task: replace(node, fitted=fitted, label=label)}
    return replace(phase, fitted=np.zeros_like(phase.fitted), cut=cut, nodes=nodes)


def _tabular(bench: Workbench, task: str, phase: Phase, rows: np.ndarray) -> TreeRows:
    """The trees' columns of `rows` (they stand as the fitted ones) as the phase sees them."""
    # Categories are numbered by what is known at the test part's cut, as in all other rows.
    if task != EVENTS:
        judged, known = bench.judged.nodes[task], rows_of(bench, task)[0]
        seen = replace(bench.judged, nodes={task: replace(judged, columns=phase.nodes[task].columns)})
        whole, at = bench.tree_rows(task, seen, aggregates=True), np.searchsorted(known, rows)
        return replace(whole, fit=whole.fit[at])
    mask = np.zeros(len(bench.log), bool)
    mask[rows] = True
    seen = replace(phase, fitted=mask, cut=bench.judged.cut)
    return in_order(bench.tree_rows(task, seen, aggregates=True), rows)


@dataclass
class _Speaker:
    """Asks networks about rows of a task, events or questions by their positions, as a phase sees them."""

    bench: Workbench
    task: str
    model: SageSpec
    seed: int
    _judged_vectors: np.ndarray | None = None
    """Vectors of all events as the judged phase sees them, for the parts that see no other labels than it."""

    def logits(self, networks: Networks, phase: Phase, rows: np.ndarray) -> np.ndarray:
        """Mean logits (rows,) of the members."""
        ready, stop = self._ready(networks, phase), self._stop(rows)
        return np.mean(
            [
                ready.logits_of(one, embed_all(one, ready.inputs, stop=stop), self.task, rows)
                for one in networks.members
            ],
            axis=0,
        )

    def vectors(self, space: Networks, phase: Phase, rows: np.ndarray) -> np.ndarray:
        """Vectors (rows, width) by the first member of `space`."""
        ready = self._ready(space, phase)
        last = self._event_vectors(space, phase, ready, rows)
        if self.task == EVENTS:
            return last[rows]
        vectors = np.zeros((len(rows), last.shape[1]), np.float32)
        windows = np.ascontiguousarray(ready.nodes[0].inputs.windows[rows, 0])
        weighted_mean(last, windows, ready.inputs.graph.log.visible_time, vectors)
        return vectors

    def _event_vectors(self, space: Networks, phase: Phase, ready: Ready, rows: np.ndarray) -> np.ndarray:
        """Vectors (events, width) of all events that are needed to speak of `rows`."""
        if phase.graph is not self.bench.judged.graph:
            return embed_all(space.members[0], ready.inputs, stop=self._stop(rows)).levels[-1].numpy()
        if self._judged_vectors is None:
            stop = self._stop(rows_of(self.bench, self.task)[1])
            self._judged_vectors = embed_all(space.members[0], ready.inputs, stop=stop).levels[-1].numpy()
        return self._judged_vectors

    def _ready(self, networks: Networks, phase: Phase) -> Ready:
        kept = {} if self.task == EVENTS else {self.task: phase.nodes[self.task]}
        return self.bench.ready(self.model, replace(phase, nodes=kept), networks.spaces, self.seed)

    def _stop(self, rows: np.ndarray) -> int:
        """How many events must be embedded to speak of `rows`."""
        return int(rows.max()) + 1 if self.task == EVENTS else len(self.bench.log)
