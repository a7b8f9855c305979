"""Promise 7: the same seed gives the same network, the same answers and the same bundle, bit for bit, whatever else
was drawn before and however the rows stood."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gnn.bundle import Bundle
from gnn.calibration import fit_calibrator
from gnn.node_task import NodeTask
from gnn.splits import TimeSplit
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec
from gnn.workbench import TrainedNetworks, Workbench
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError
from graphs.events import EventLog
from graphs.store import fingerprint

BEHAVIOUR = BehaviourSpec(windows_hours=(24,), label_windows_hours=(24,))
MODEL = SageSpec(width=8, message_width=4, layers=2, k=3, node_k=3, bins=2, column_dropout=0.1)
TRAINER = TrainerSpec(epochs=2, block=30, label_lag=0.5, members=2)
SHORT = TrainerSpec(epochs=1, block=2048, label_lag=0.5)
_few = settings(max_examples=4, derandomize=True)


def trained(log: EventLog, who: str, seed: int, trainer: TrainerSpec = TRAINER) -> TrainedNetworks:
    split = TimeSplit(test_share=0.3, valid_share=0.3, maturity_days=0.0).apply(log)
    bench = Workbench.lay_out(log, split, BEHAVIOUR, tasks=[NodeTask(who, every_days=2.0)])
    return bench.train_networks(MODEL, trainer, seed=seed)


def bundle_of(log: EventLog, who: str, networks: TrainedNetworks) -> Bundle:
    calibrators = {task: fit_calibrator(logits, np.arange(len(logits)) % 2) for task, logits in networks.test.items()}
    return Bundle(
        MODEL, BEHAVIOUR, log.roles, log.event_types, log.event_types, networks.spaces, calibrators, networks.members,
        {}, {},
    )  # fmt: skip


def same(one: TrainedNetworks, two: TrainedNetworks) -> bool:
    """Whether weights, answers and course of training are equal to the bit."""
    weights = zip(one.members, two.members, strict=True)
    return (
        all(torch.equal(value, b.state_dict()[name]) for a, b in weights for name, value in a.state_dict().items())
        and all(one.test[task].tobytes() == two.test[task].tobytes() for task in one.test)
        and [record.loss for record in one.history] == [record.loss for record in two.history]
    )


def draw_something() -> None:
    """Leave all generators elsewhere than they were."""
    torch.rand(7)
    np.random.rand(7)
    random.random()


@_few
@given(log_seed=st.integers(0, 10_000), seed=st.integers(0, 2**31 - 1), turn=st.randoms(use_true_random=False))
def test_the_same_seed_gives_the_same_networks_and_the_same_bundle(
    random_rows: Callable[..., Any],
    log_from_rows: Callable[..., EventLog],
    tmp_path_factory: pytest.TempPathFactory,
    log_seed: int,
    seed: int,
    turn: random.Random,
) -> None:
    rows, entities = random_rows(log_seed, 90)
    log, shuffled = log_from_rows(rows, entities), log_from_rows(turn.sample(rows, len(rows)), entities)
    try:
        one = trained(log, "user", seed)
    except ConfigError:  # too few labels for a split
        assume(False)
    draw_something()
    two = trained(shuffled, "user", seed)
    assert same(one, two)
    folders = [tmp_path_factory.mktemp("bundle") / "b" for _ in range(2)]
    versions = {bundle_of(log, "user", each).save(to).version for each, to in zip((one, two), folders, strict=True)}
    assert len(versions) == 1
    assert files_of(folders[0]) == files_of(folders[1])


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["sffsd", "fdh"])
def test_the_same_seed_gives_the_same_networks_on_a_real_set_and_another_seed_others(
    real_tables: Callable[[str], Any], tmp_path: Path, name: str
) -> None:
    real = real_tables(name)
    turned = real.having({file: table.sample(frac=1.0, random_state=1) for file, table in real.tables.items()})
    log, shuffled = real.read(tmp_path / "one").log, turned.read(tmp_path / "two").log
    assert fingerprint(log) == fingerprint(shuffled)
    one = trained(log, real.who, 5, SHORT)
    draw_something()
    assert same(one, trained(shuffled, real.who, 5, SHORT))
    assert not same(one, trained(log, real.who, 6, SHORT))
