"""One data set laid out for modelling: graph, columns, split; and the few acts that a comparison is made of.

Whatever is compared, network or trees, gets its rows, columns and labels from here, so that every candidate is
fitted on the same past and judged on the same rows. There are two phases: in the first a network is fitted and the
validation rows choose its epoch; in the second it is fitted on all that is known and judged on the test rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from pandas.util import hash_array

from gnn.blocks import Cache, NetworkInputs, embed_all
from gnn.boosting import Rows
from gnn.bundle import EVENTS, build_network
from gnn.checkpoint import Checkpoint
from gnn.encoders import Columns, FeatureSpace
from gnn.evaluation import ScoredRows
from gnn.floors import FeatureMatrix, feature_matrix, lightgbm_floor, raw_columns
from gnn.metrics import Undefined
from gnn.node_task import NodeExamples, NodeTask
from gnn.nodes import NodeInputs, NodeQuestions, graph_columns, node_columns
from gnn.scoring import new_entities
from gnn.splits import Split, hide_labels
from gnn.temporal_sage import SageSpec, TemporalSage
from gnn.trainer import EpochRecord, EventTarget, Fitted, NodeTarget, TrainerSpec, fit
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError
from graphs.events import MISSING, NEVER, EventLog
from graphs.temporal_graph import TemporalGraph

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodePhase:
    """Questions of one entity type, their answers and columns: first those that are fitted, then those that are judged,
    as masks (questions,) say; another marks the fitted ones that stand `beside` a question about the same entity."""

    questions: NodeQuestions
    label: np.ndarray
    columns: Columns
    fitted: np.ndarray
    judged: np.ndarray
    beside: np.ndarray


@dataclass(frozen=True)
class Phase:
    """What may be seen while one model is made: a graph without the labels that stay hidden, its columns, the event
    rows (events,) that are fitted and judged, and the same for entities."""

    graph: TemporalGraph
    columns: Columns
    behaviour_names: tuple[str, ...]
    fitted: np.ndarray
    judged: np.ndarray
    cut: int
    nodes: Mapping[str, NodePhase]

    def part(self, task: str) -> Phase | NodePhase:
        """What holds the fitted and the judged rows of a task."""
        return self if task == EVENTS else self.nodes[task]

    @property
    def past(self) -> np.ndarray:
        """Rows whose columns the encoding may be fitted on: everything seen before the cut (events,)."""
        return self.graph.log.visible_time < self.cut


@dataclass(frozen=True)
class TrainedNetworks:
    """Networks and what they say, by task (EVENTS or an entity type).

    `members` are the judged ones; `valid` logits come from the network that chose the epoch (it never saw those
    rows), `test` logits are the members' mean. `began_at`: the fingerprint of the other data at whose weights the
    training began, if it did.
    """

    members: Sequence[TemporalSage]
    spaces: Mapping[str, FeatureSpace]
    valid: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    best_epoch: int
    history: Sequence[EpochRecord]
    seconds: float
    began_at: str | None = None


@dataclass(frozen=True)
class Workbench:
    """A data set with its split, in its two phases. `events`: whether events are asked about, beside `tasks`, by entity
    type."""

    log: EventLog
    split: Split
    events: bool
    choosing: Phase
    judged: Phase
    tasks: Mapping[str, NodeTask] = field(default_factory=dict)

    @classmethod
    def lay_out(
        cls,
        events: EventLog,
        split: Split,
        behaviour: BehaviourSpec,
        *,
        tasks: Sequence[NodeTask] = (),
        ask_events: bool = True,
    ) -> Workbench:
        """Build graph and columns of both phases; one pass serves both where they hide the same labels."""
        if split.random and tasks:
            raise ConfigError(
                "split=random judges no entity: what is asked of one lies before and after every cut. Use split=time, "
                "or task.nodes=[]"
            )
        choosing = phase_of(events, split.fit_hidden, behaviour)
        same = (split.fit_hidden == split.refit_hidden).all()
        judged = choosing if same else phase_of(events, split.refit_hidden, behaviour)
        fitted, asked, judged_nodes = {}, {}, {}
        fit = split.fit
        for task in tasks:
            name, settled = task.entity_type, task.settled(split.cut, split.maturity)
            first = task.first_asked(events, split.start)
            until = min(task.last_fitted(split), settled)
            fitted[name] = task.examples(events, first, until, known_by=split.cut, learn=True)
            asked[name] = task.examples(events, split.valid_cut, settled, known_by=split.cut)
            if split.has_validation and task.new_after_days is None:
                fitted[name], asked[name] = _apart(fitted[name], asked[name], task, events, split)
            if split.has_validation and task.answer == "events":
                fit = fit & ~_late_answers(asked[name], task, events, split)
            refitted = task.examples(events, first, settled, known_by=split.cut, learn=True)
            # Judged is by the truth, whenever it came out, and if nobody wrote down when.
            told = task.examples(events, split.cut, task.last_judged(split), known_by=NEVER)
            judged_nodes[name] = _node_phase(judged.graph, behaviour, refitted, told)
            if (split.has_validation and not len(fitted[name])) or not len(refitted):
                raise ConfigError(
                    f"nodes.{name}: nothing to learn from: no answer was known yet when the "
                    f"{'validation' if len(refitted) else 'test'} part begins. Move the cuts of split, or "
                    "split.valid_share=0 to train without validation"
                )
            if not len(told):
                log.warning(
                    "nodes.%s: nobody is judged: behind the test part's cut no answer is settled in the tables; move "
                    "split.test_from, or ask less far ahead (horizon_days)", name,
                )  # fmt: skip
        choosing_nodes = {n: _node_phase(choosing.graph, behaviour, fitted[n], asked[n]) for n in fitted}
        return cls(
            events,
            split,
            ask_events,
            replace(choosing, fitted=fit, judged=split.valid, cut=split.valid_cut, nodes=choosing_nodes),
            replace(judged, fitted=split.refit, judged=split.test, cut=split.cut, nodes=judged_nodes),
            {task.entity_type: task for task in tasks},
        )

    @cached_property
    def label(self) -> np.ndarray:
        """(events,) float32: 1 for fraud, 0 for anything else; only rows of a split part mean something."""
        return (self.log.label == 1).astype(np.float32)

    @property
    def taught(self) -> tuple[str, ...]:
        """Types of the events that the judged networks are fitted on; none if no event is asked about."""
        if not self.events:
            return ()
        return tuple(self.log.event_types[code] for code in np.unique(self.log.event_type[self.split.refit]))

    @property
    def counts(self) -> dict[str, int]:
        """Events of each part, for the run record: those fitted to choose the epoch are fewer than the split has where
        entities are asked about."""
        return {**self.split.counts, "fit": int(self.choosing.fitted.sum())}

    def answers(self, task: str, phase: Phase) -> np.ndarray:
        """Labels (rows,) float32 of all events, or of all questions of a phase."""
        return self.label if task == EVENTS else phase.nodes[task].label

    def labels(self, task: str, phase: Phase) -> np.ndarray:
        """Labels (rows,) int8 of the judged rows of a task."""
        return self.answers(task, phase)[phase.part(task).judged].astype(np.int8)

    def judged_rows(self, task: str) -> np.ndarray:
        """Which rows of a task are the test rows: positions (rows,) of events or of questions."""
        return np.flatnonzero(self.judged.part(task).judged)

    def keys(self, task: str, rows: np.ndarray) -> dict[str, pa.Array]:
        """The caller's own keys of `rows` of a task, positions of events or of the judged phase's questions."""
        if task != EVENTS:
            return {task: self.log.entity_ids[task].take(pa.array(self.judged.nodes[task].questions.entity[rows]))}
        types = pa.array(self.log.event_types, pa.string()).take(pa.array(self.log.event_type[rows]))
        return {"event_type": types, "event_id": self.log.event_ids.take(pa.array(rows))}

    def scored(self, task: str, score: np.ndarray) -> ScoredRows:
        """The test rows of a task with their probabilities `score` (rows,)."""
        label, rows = self.labels(task, self.judged), self.judged_rows(task)
        if task != EVENTS:
            ids = self.keys(task, rows)[task].to_numpy(zero_copy_only=False)
            return ScoredRows(self.judged.nodes[task].questions.as_of[rows], label, score, entity=ids)
        amount = self.log.amount[rows] if np.isfinite(self.log.amount[rows]).any() else None
        new, nobody = new_entities(self.judged.graph, rows), self.log.entities[rows] == MISSING
        new = {
            role.name: np.where(nobody[:, slot], MISSING, new[role.name]).astype(np.int8)
            for slot, role in enumerate(self.log.roles)
        }
        return ScoredRows(self.log.event_time[rows], label, score, amount, new)

    # ------------------------------------------------------------ networks

    def train_networks(
        self,
        model: SageSpec,
        trainer: TrainerSpec,
        *,
        seed: int,
        checkpoint: Checkpoint | None = None,
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> TrainedNetworks:
        """Choose the epoch on the validation rows, train the members that are judged, score the test rows."""
        if self.split.has_validation and not trainer.refit and trainer.members > 1:
            raise ConfigError(
                f"trainer.members: got {trainer.members}, but with trainer.refit=false the network that chose the "
                "epoch is judged, and it is one. Set trainer.members=1, or trainer.refit=true"
            )
        torch.set_num_threads(trainer.threads)
        began = time.perf_counter()
        if not self.split.has_validation:
            members, spaces, test, refitted = self._refit(model, trainer, seed, trainer.epochs, checkpoint, on_epoch)
            seconds, history = time.perf_counter() - began, refitted[0].history
            return TrainedNetworks(members, spaces, {}, test, trainer.epochs, history, seconds, _began_at(refitted))
        network, spaces, valid, fitted = self._choose(model, trainer, seed, checkpoint, on_epoch)
        refitted = []
        if trainer.refit:
            members, spaces, test, refitted = self._refit(model, trainer, seed, fitted.best_epoch, checkpoint, None)
        else:
            members, test = [network], self.ready(model, self.judged, spaces, seed).logits(network)
        seconds, began_at = time.perf_counter() - began, _began_at([fitted, *refitted])
        return TrainedNetworks(members, spaces, valid, test, fitted.best_epoch, fitted.history, seconds, began_at)

    def _choose(
        self,
        model: SageSpec,
        trainer: TrainerSpec,
        seed: int,
        checkpoint: Checkpoint | None,
        on_epoch: Callable[[EpochRecord], None] | None,
    ) -> tuple[TemporalSage, Mapping[str, FeatureSpace], dict[str, np.ndarray], Fitted]:
        """The network whose best epoch the validation rows chose, and its logits of them; its inputs, as large as the
        data, are let go."""
        spaces = self.encodings(model, self.choosing, checkpoint)
        network, ready = self.network(model, spaces, seed), self.ready(model, self.choosing, spaces, seed)
        fitted = fit(
            network, ready.inputs, trainer, seed=seed, events=ready.events, nodes=ready.nodes,
            checkpoint=checkpoint and replace(
                checkpoint, cut=self.choosing.cut, known_by=self._known_by(self.split.cut), spaces=spaces
            ),
            on_epoch=on_epoch,
        )  # fmt: skip
        return network, spaces, ready.logits(network), fitted

    def _refit(
        self,
        model: SageSpec,
        trainer: TrainerSpec,
        seed: int,
        epochs: int,
        checkpoint: Checkpoint | None,
        on_epoch: Callable[[EpochRecord], None] | None,
    ) -> tuple[list[TemporalSage], Mapping[str, FeatureSpace], dict[str, np.ndarray], list[Fitted]]:
        """The judged networks, trained for `epochs` on all that is known at the cut, their mean test logits, and their
        records; `on_epoch` is told of the first."""
        members, logits, records = [], [], []
        spaces = self.encodings(model, self.judged, checkpoint.of_member(0) if checkpoint else None)
        if checkpoint:
            checkpoint = replace(checkpoint, cut=self.judged.cut, known_by=self._known_by(0), spaces=spaces)
        trained = self.trained(
            model, self.judged, spaces, trainer, seed=seed, epochs=epochs, checkpoint=checkpoint, on_epoch=on_epoch
        )
        for network, ready, fitted in trained:
            records.append(fitted)
            logits.append(ready.logits(network))
            members.append(network)
        return members, spaces, {task: np.mean([said[task] for said in logits], 0) for task in logits[0]}, records

    def _known_by(self, instant: int) -> int:
        """By when the labels were known that a training learns: in a random split, whenever they came."""
        return NEVER - 1 if self.split.random else instant

    def trained(
        self,
        model: SageSpec,
        phase: Phase,
        spaces: Mapping[str, FeatureSpace],
        trainer: TrainerSpec,
        *,
        seed: int,
        epochs: int,
        checkpoint: Checkpoint | None = None,
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> Iterator[tuple[TemporalSage, Ready, Fitted]]:
        """The members one after the other, each trained for `epochs` on the phase's fitted rows from a seed of its own;
        with the phase as it saw it, and its record. `on_epoch` is told of the first."""
        ready = None
        for member in range(trainer.members):
            of_member = seed + 1_000 * member
            network = self.network(model, spaces, of_member)
            if ready is None or model.edges == "shuffled":  # only how edges are dealt depends on the seed
                ready = self.ready(model, phase, spaces, of_member)
            fitted = fit(
                network, ready.inputs, trainer, seed=of_member, events=ready.events, nodes=ready.nodes, epochs=epochs,
                checkpoint=checkpoint.of_member(member) if checkpoint else None,
                on_epoch=on_epoch if member == 0 else None,
            )  # fmt: skip
            yield network, ready, fitted

    def encodings(
        self, model: SageSpec, phase: Phase, checkpoint: Checkpoint | None = None
    ) -> Mapping[str, FeatureSpace]:
        """Encodings of every task's columns, fitted on the phase's past, or those a checkpoint's weights go with."""
        spaces = {EVENTS: FeatureSpace.fit(phase.columns, phase.past, bins=model.bins, binned=model.binned)}
        for name, node in phase.nodes.items():
            spaces[name] = FeatureSpace.fit(node.columns, node.fitted, bins=model.bins, binned=model.binned)
        return checkpoint.encodings(spaces) if checkpoint else spaces

    def network(self, model: SageSpec, spaces: Mapping[str, FeatureSpace], seed: int) -> TemporalSage:
        """A fresh network for columns that are encoded by `spaces`."""
        torch.manual_seed(seed)
        return build_network(model, spaces, self.log.roles, self.log.event_types)

    def ready(self, model: SageSpec, phase: Phase, spaces: Mapping[str, FeatureSpace], seed: int) -> Ready:
        """A phase in the form that the trainer takes."""
        inputs = NetworkInputs.of(phase.graph, spaces[EVENTS], phase.columns, k=model.k, edges=model.edges, seed=seed)
        taught = self.events and phase.fitted.any()
        events = EventTarget(torch.from_numpy(self.label), phase.fitted, phase.judged) if taught else None
        nodes = []
        for name, node in phase.nodes.items():
            asked = NodeInputs.of(inputs, spaces[name], node.questions, node.columns, k=model.node_k)
            nodes.append(NodeTarget(asked, torch.from_numpy(node.label), node.fitted, node.judged))
        return Ready(inputs, events, tuple(nodes))

    def test_embeddings(self, model: SageSpec, networks: TrainedNetworks, *, seed: int) -> dict[str, np.ndarray]:
        """Embeddings of every task's test rows by the first member: h^(L) of events (rows, width), of entities (rows,
        node_width)."""
        ready, network = self.ready(model, self.judged, networks.spaces, seed), networks.members[0]
        cache = ready.embedded(network)
        found = {}
        if ready.events is not None:
            found[EVENTS] = cache.levels[-1][torch.from_numpy(np.flatnonzero(ready.events.valid))].numpy()
        with torch.no_grad():
            for node in ready.nodes:
                rows = np.flatnonzero(node.valid)
                vectors = node.inputs.embed(network, cache, rows, start=len(ready.inputs))
                found[node.inputs.questions.entity_type] = vectors.numpy()
        return found

    # ------------------------------------------------------------ trees

    def lightgbm(
        self, task: str, *, seed: int, aggregates: bool, threads: int = 1, calibration: str | None = None
    ) -> np.ndarray | Undefined:
        """Scores (rows,) of a task's test rows by LightGBM on raw columns, with point-in-time `aggregates` or without.

        Validation rows choose how many rounds, and make probabilities of scores by the method `calibration`, as the
        network's are made; where there are none, the last of the known rows choose and scores stay as they are."""
        judged = self.tree_rows(task, self.judged, aggregates=aggregates)
        if self.split.has_validation:
            choosing = self.tree_rows(task, self.choosing, aggregates=aggregates)
            fit, valid = choosing.fit, choosing.judge
        else:
            (fit, valid), calibration = judged.fit.held_back(), None
        return lightgbm_floor(
            fit, valid, judged.judge.x, seed=seed, categorical=judged.categorical, refit=judged.fit, threads=threads,
            calibration=calibration,
        )  # fmt: skip

    def tree_rows(self, task: str, phase: Phase, *, aggregates: bool) -> TreeRows:
        """A task's fitted and judged rows as columns for trees, with point-in-time `aggregates` or without."""
        if task == EVENTS:
            matrix = raw_columns(phase.graph.log, phase.past)
            if aggregates:
                place = [phase.columns.names.index(name) for name in phase.behaviour_names]
                matrix = matrix.beside(FeatureMatrix(phase.behaviour_names, phase.columns.numeric[:, place]))
            fitted, judged, label = phase.fitted, phase.judged, self.label
        else:
            node = phase.nodes[task]
            kept = [name for name in node.columns.names if aggregates or not name.startswith(f"{task}.")]
            numeric = {name: node.columns.numeric[:, node.columns.names.index(name)] for name in kept}
            codes = {name: column.codes for name, column in node.columns.categorical.items()}
            matrix = feature_matrix(numeric, codes, fit_rows=node.fitted)
            # Trees do better on each entity once, at the age that is judged (docs/decisions/0004).
            fitted, judged, label = node.fitted & ~node.beside, node.judged, node.label
        rows = Rows(matrix.values, label)
        return TreeRows(rows[fitted], rows[judged], matrix.categorical, matrix.names)


@dataclass(frozen=True)
class TreeRows:
    """The fitted and the judged rows of a task, and what their columns are called; `categorical` are the places of
    those that hold codes."""

    fit: Rows
    judge: Rows
    categorical: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Ready:
    """A phase in the form that the trainer takes."""

    inputs: NetworkInputs
    events: EventTarget | None
    nodes: tuple[NodeTarget, ...]

    def embedded(self, network: TemporalSage) -> Cache:
        """Embeddings of everything up to the last of the judged rows."""
        rows = np.flatnonzero(self.events.valid) if self.events is not None else np.zeros(0, np.int64)
        return embed_all(network, self.inputs, stop=None if self.nodes or not len(rows) else int(rows[-1]) + 1)

    def logits(self, network: TemporalSage) -> dict[str, np.ndarray]:
        """Logits of the judged rows of every task."""
        cache, said = self.embedded(network), {}
        if self.events is not None:
            said[EVENTS] = self.logits_of(network, cache, EVENTS, np.flatnonzero(self.events.valid))
        for node in self.nodes:
            task = node.inputs.questions.entity_type
            said[task] = self.logits_of(network, cache, task, np.flatnonzero(node.valid))
        return said

    def logits_of(self, network: TemporalSage, cache: Cache, task: str, rows: np.ndarray) -> np.ndarray:
        """Logits (rows,) of any rows of a task, events or questions by their positions; `cache` reaches up to them."""
        with torch.no_grad():
            if task == EVENTS:
                at = torch.from_numpy(rows)
                return network.event_logits(cache.levels[0][at], cache.levels[-1][at]).numpy()
            node = next(node for node in self.nodes if node.inputs.questions.entity_type == task)
            return node.inputs.logits(network, cache, rows, start=len(self.inputs)).numpy()


def phase_of(events: EventLog, hidden: np.ndarray, behaviour: BehaviourSpec) -> Phase:
    """A phase without rows: the graph and columns that are seen while the labels of `hidden` stay hidden."""
    graph = TemporalGraph.build(hide_labels(events, hidden))
    columns, behaviour_names = graph_columns(graph, behaviour)
    nobody = np.zeros(len(events), bool)
    return Phase(graph, columns, behaviour_names, nobody, nobody, 0, {})


def _began_at(trainings: Sequence[Fitted]) -> str | None:
    return next((one.began_at for one in trainings if one.began_at is not None), None)


def _apart(
    fitted: NodeExamples, asked: NodeExamples, task: NodeTask, events: EventLog, split: Split
) -> tuple[NodeExamples, NodeExamples]:
    """Only one entity of two, by its id, is asked about when the epoch is chosen. Of those nothing is learnt but what
    had settled when the validation part began: whoever has learnt a later answer knows what it is asked."""
    chosen = hash_array(events.entity_ids[task.entity_type].to_numpy(zero_copy_only=False)) % 2 == 0
    then = task.settled_answers(events, fitted.questions, split.valid_cut, split.maturity)
    fitted = replace(fitted, label=np.where(chosen[fitted.questions.entity], then, fitted.label))
    return fitted.only(np.isfinite(fitted.label)), asked.only(chosen[asked.questions.entity])


def _late_answers(asked: NodeExamples, task: NodeTask, events: EventLog, split: Split) -> np.ndarray:
    """(events,) bool: those whose label answers what is asked when the epoch is chosen, of entities that are asked
    about, and had not settled when the validation part began. If it is known by then nevertheless, it is bad news:
    without the good news that is left out it would teach that such events are frauds."""
    of_asked = np.zeros(len(events), bool)
    for slot in task.slots(events):
        of_asked |= np.isin(events.entities[:, slot], np.unique(asked.questions.entity))
    time = events.event_time
    first = asked.questions.as_of.min(initial=NEVER) - task.looks_back
    unsettled = (events.label_known_time > split.valid_cut) | (time > split.valid_cut - split.maturity)
    return of_asked & (time >= first) & unsettled


def _node_phase(
    graph: TemporalGraph, behaviour: BehaviourSpec, fitted: NodeExamples, judged: NodeExamples
) -> NodePhase:
    questions = NodeQuestions(
        fitted.questions.entity_type,
        np.concatenate([fitted.questions.entity, judged.questions.entity]),
        np.concatenate([fitted.questions.as_of, judged.questions.as_of]),
    )
    fit = np.arange(len(questions)) < len(fitted)
    return NodePhase(
        questions,
        np.concatenate([fitted.label, judged.label]),
        node_columns(graph, questions, behaviour),
        fit,
        ~fit,
        np.concatenate([fitted.beside, judged.beside]),
    )
