"""The reference model: trains where node types are missing, repeats itself, and never looks ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from gnn.bundle import EVENTS
from gnn.hetero_sage import HeteroSageSpec
from gnn.node_task import NodeTask
from gnn.splits import TimeSplit
from gnn.trainer import TrainerSpec
from gnn.workbench import TrainedNetworks, Workbench
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError
from graphs.events import EventLog

SPEC = HeteroSageSpec(width=8, fanouts=(3, 3), batch=16, bins=2)
TRAINER = TrainerSpec(epochs=2, threads=1)


def lay_out(log: EventLog, tasks: Sequence[NodeTask] = ()) -> Workbench:
    split = TimeSplit(test_share=0.3, valid_share=0.3).apply(log)
    return Workbench.lay_out(log, split, BehaviourSpec(windows_hours=(24,), label_windows_hours=(24,)), tasks=tasks)


def train(log: EventLog, tasks: Sequence[NodeTask] = (), trainer: TrainerSpec = TRAINER) -> TrainedNetworks:
    return SPEC.train(lay_out(log, tasks), trainer, seed=1)


def known_at_once(log: EventLog) -> EventLog:
    """The same events, each visible and judged at its own instant."""
    labelled = np.where(log.label >= 0, log.event_time, log.label_known_time)
    return replace(log, known_time=log.event_time, label_known_time=labelled)


def test_every_judged_row_gets_a_finite_logit(random_log: Callable[..., EventLog]) -> None:
    log = random_log(1, 200)
    bench, said = lay_out(log), train(log)
    assert len(said.valid[EVENTS]) == bench.choosing.judged.sum()
    assert len(said.test[EVENTS]) == bench.judged.judged.sum()
    assert np.isfinite(said.test[EVENTS]).all()
    assert 1 <= said.best_epoch <= 2


def test_the_same_seed_gives_the_same_bits(random_log: Callable[..., EventLog]) -> None:
    one, two = (train(random_log(2, 200)) for _ in range(2))
    assert (one.test[EVENTS] == two.test[EVENTS]).all()


def test_positives_weigh_what_the_trainer_says(random_log: Callable[..., EventLog]) -> None:
    log = known_at_once(random_log(2, 400))
    even, heavy = (train(log, trainer=replace(TRAINER, positive_weight=w)) for w in (1.0, 20.0))
    assert heavy.test[EVENTS].mean() > even.test[EVENTS].mean()


@pytest.mark.parametrize("refit", [True, False])
def test_labels_of_the_last_instant_change_no_score(random_log: Callable[..., EventLog], refit: bool) -> None:
    log = known_at_once(random_log(3, 200))
    last = log.event_time == log.event_time[-1]
    flipped = replace(log, label=np.where(last & (log.label >= 0), 1 - log.label, log.label).astype(np.int8))
    trainer = replace(TRAINER, refit=refit)
    assert (train(log, trainer=trainer).test[EVENTS] == train(flipped, trainer=trainer).test[EVENTS]).all()


def test_a_type_without_any_entity_is_no_obstacle(random_log: Callable[..., EventLog]) -> None:
    log = random_log(4, 200)
    without = log.entities.copy()
    without[:, 3] = -1
    empty = replace(log, entities=without, entity_ids={**log.entity_ids, "device": log.entity_ids["device"][:0]},
                    attributes={}, entity_labels={})  # fmt: skip
    assert np.isfinite(train(empty).test[EVENTS]).all()


def device_called(log: EventLog, name: str) -> EventLog:
    roles = tuple(replace(role, entity_type=name) if role.entity_type == "device" else role for role in log.roles)
    ids = {name if kind == "device" else kind: keys for kind, keys in log.entity_ids.items()}
    return replace(log, roles=roles, entity_ids=ids, attributes={}, entity_labels={})


@pytest.mark.parametrize("name", ["type", "training", "a.b"])
def test_an_entity_type_may_be_called_as_modules_call_their_own(random_log: Callable[..., EventLog], name: str) -> None:
    assert np.isfinite(train(device_called(random_log(6, 200), name)).test[EVENTS]).all()


def test_an_entity_type_may_not_be_called_as_events_are(random_log: Callable[..., EventLog]) -> None:
    with pytest.raises(ConfigError, match="entity type 'event'"):
        train(device_called(random_log(6, 200), "event"))


def test_entities_are_judged_beside_events(random_log: Callable[..., EventLog]) -> None:
    log = random_log(5, 200)
    task = NodeTask("user", every_days=2.0, active_days=5.0)
    bench, said = lay_out(log, [task]), train(log, [task])
    assert set(said.test) == {EVENTS, "user"}
    assert len(said.test["user"]) == len(bench.labels("user", bench.judged)) > 0
    assert np.isfinite(said.test["user"]).all()


@pytest.mark.parametrize("valid_share", [0.3, 0.0])
def test_epochs_told_are_those_of_the_first_task(random_log: Callable[..., EventLog], valid_share: float) -> None:
    log, task, told = random_log(5, 200), NodeTask("user", every_days=2.0, active_days=5.0), []
    split = TimeSplit(test_share=0.3, valid_share=valid_share).apply(log)
    bench = Workbench.lay_out(log, split, BehaviourSpec(windows_hours=(24,), label_windows_hours=(24,)), tasks=[task])
    said = SPEC.train(bench, TRAINER, seed=1, on_epoch=told.append)
    assert [record.epoch for record in told] == [1, 2] and list(said.history) == told


def test_a_training_that_diverges_says_in_which_epoch(random_log: Callable[..., EventLog]) -> None:
    with pytest.raises(ConfigError, match=r"diverged in epoch 1.*lower trainer\.lr \(1e\+30\)"):
        train(random_log(1, 200), trainer=replace(TRAINER, lr=1e30))


def test_faulty_sizes_are_refused() -> None:
    for fault in ({"fanouts": ()}, {"fanouts": (3, 0)}, {"width": 0}, {"batch": 0}, {"bins": -1}, {"dropout": 1.0}):
        with pytest.raises(ConfigError):
            HeteroSageSpec(**fault)  # type: ignore[arg-type]
