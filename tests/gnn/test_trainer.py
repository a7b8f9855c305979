"""Training: repeatable to the bit, resumable after a kill, sane without positives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score

from gnn.blocks import KeptBlocks, NetworkInputs, embed_all
from gnn.bundle import EVENTS, build_network
from gnn.checkpoint import Checkpoint
from gnn.encoders import FeatureSpace, event_columns
from gnn.temporal_sage import SageSpec, TemporalSage
from gnn.trainer import EventTarget, Fitted, TrainerSpec, event_loss, fit
from graphs.errors import ConfigError
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

SPEC = TrainerSpec(epochs=4, block=40, patience=10, threads=1)


@dataclass
class Setting:
    network: TemporalSage
    inputs: NetworkInputs
    target: EventTarget

    def fit(self, spec: TrainerSpec = SPEC, **options: object) -> Fitted:
        return fit(self.network, self.inputs, spec, seed=3, events=self.target, **options)  # type: ignore[arg-type]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return self.network.state_dict()


@pytest.fixture
def setting(random_log: Callable[..., EventLog]) -> Callable[[], Setting]:
    def make() -> Setting:
        log = random_log(5, 160)
        graph = TemporalGraph.build(log)
        columns = event_columns(log)
        space = FeatureSpace.fit(columns, np.arange(len(log)), min_count=1)
        torch.manual_seed(0)
        network = build_network(SageSpec(width=8, k=4), {EVENTS: space}, log.roles, log.event_types)
        labelled = log.label >= 0
        early = np.arange(len(log)) < 110
        label = torch.from_numpy((log.label == 1).astype(np.float32))
        target = EventTarget(label, labelled & early, labelled & ~early)
        return Setting(network, NetworkInputs.of(graph, space, columns, k=4), target)

    return make


def test_the_same_seed_gives_the_same_weights_bit_for_bit(setting: Callable[[], Setting]) -> None:
    one, two = setting(), setting()
    assert one.fit().history[-1].loss == two.fit().history[-1].loss
    assert all(torch.equal(value, two.weights[name]) for name, value in one.weights.items())


def test_training_lowers_the_loss(setting: Callable[[], Setting]) -> None:
    history = setting().fit(TrainerSpec(epochs=30, block=40, patience=40, lr=1e-2, threads=1)).history
    assert history[-1].loss < 0.8 * history[0].loss


def without_older_history(made: Setting) -> TrainerSpec:
    """Fit later events only, and have training look hardly further back than to the first of them."""
    made.target.fit[:95] = False
    return replace(SPEC, context_days=0.5)


def test_validation_reads_older_events_than_training_as_scoring_does(setting: Callable[[], Setting]) -> None:
    made = setting()
    spec = without_older_history(made)
    chosen = made.fit(spec)
    rows = torch.from_numpy(np.flatnonzero(made.target.valid))
    cache = embed_all(made.network, made.inputs)
    with torch.no_grad():
        scores = made.network.event_logits(cache.levels[0][rows], cache.levels[-1][rows])
    as_scored = average_precision_score(made.target.label[rows].numpy(), scores.numpy())
    assert chosen.history[chosen.best_epoch - 1].valid_ap == pytest.approx(as_scored)


def test_a_training_that_diverges_says_in_which_epoch_and_what_to_lower(setting: Callable[[], Setting]) -> None:
    with pytest.raises(ConfigError, match=r"diverged in epoch 1.*lower trainer\.lr \(1e\+30\)"):
        setting().fit(replace(SPEC, lr=1e30))


def test_a_training_without_a_label_is_told(setting: Callable[[], Setting]) -> None:
    one = setting()
    one.target = replace(one.target, fit=np.zeros_like(one.target.fit))
    with pytest.raises(ConfigError, match="no known answer to learn from"):
        one.fit()
    with pytest.raises(ConfigError, match="no known answer to learn from"):
        fit(one.network, one.inputs, SPEC, seed=3)


def test_settings_out_of_range_are_told_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainerSpec(epochs=-1, lr=-1, weight_decay=-1, label_lag=5, context_days=-3, device="gpu", threads=10**6)
    assert str(caught.value).splitlines() == [
        "trainer.epochs: got -1, expected at least 1",
        "trainer.lr: got -1, expected more than 0",
        "trainer.weight_decay: got -1, expected 0 or more",
        "trainer.label_lag: got 5, expected a share in [0, 1]",
        "trainer.context_days: got -3, expected 0 or more, or null",
        "trainer.threads: got 1000000, expected 1 to 1024",
        "trainer.device: got 'gpu', expected cpu, cuda or cuda:1 …",
    ]
    with pytest.raises(ConfigError) as caught:
        SageSpec(k=0, width=0, dropout=2)
    told = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert told == ["model.width", "model.k", "model.dropout"]


@pytest.mark.parametrize("context", [False, True])
def test_a_killed_run_goes_on_and_ends_where_it_would_have(
    setting: Callable[[], Setting], tmp_path: Path, context: bool
) -> None:
    whole, killed, resumed = setting(), setting(), setting()
    specs = [without_older_history(made) if context else SPEC for made in (whole, killed, resumed)]
    whole.fit(specs[0])

    def kill(record: object) -> None:
        if getattr(record, "epoch", 0) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.fit(specs[1], checkpoint=Checkpoint(tmp_path / "run.safetensors"), on_epoch=kill)
    resumed.fit(specs[2], checkpoint=Checkpoint(tmp_path / "run.safetensors"))
    assert all(torch.equal(value, resumed.weights[name]) for name, value in whole.weights.items())


def test_a_training_that_was_told_otherwise_is_not_gone_on_with(setting: Callable[[], Setting], tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.safetensors", "tables", {"seed": 3, "trainer.lr": 0.1, "split.test_share": 0.2})
    setting().fit(checkpoint=kept)
    other = replace(kept, told={**kept.told, "seed": 4, "split.test_share": 0.5})
    with pytest.raises(ConfigError, match=r"seed was 3, is 4; split\.test_share was 0\.2, is 0\.5"):
        setting().fit(checkpoint=other)
    with pytest.raises(ConfigError, match=r"model\.bins was null, is 4"):
        setting().fit(checkpoint=replace(kept, data="other tables", told={**kept.told, "model.bins": 4}))


def test_a_checkpoint_that_does_not_say_what_it_is_of_is_refused(
    setting: Callable[[], Setting], tmp_path: Path
) -> None:
    save_file({}, tmp_path / "run.safetensors", {"run": "{}"})
    with pytest.raises(ConfigError, match="of an older version"):
        setting().fit(checkpoint=Checkpoint(tmp_path / "run.safetensors"))
    (tmp_path / "run.safetensors").write_bytes(b"half a file")
    with pytest.raises(ConfigError, match=r"run\.safetensors cannot be read \("):
        setting().fit(checkpoint=Checkpoint(tmp_path / "run.safetensors"))


def test_on_other_data_a_new_training_begins_at_the_old_weights(setting: Callable[[], Setting], tmp_path: Path) -> None:
    first, new, warm = setting(), setting(), setting()
    kept = Checkpoint(tmp_path / "run.safetensors", "tables", {"seed": 3}, cut=5)
    assert len(first.fit(checkpoint=kept).history) == SPEC.epochs
    warmed = warm.fit(checkpoint=replace(kept, data="more tables", told={"seed": 4}))
    assert len(warmed.history) == SPEC.epochs and warmed.history[0].loss < new.fit().history[0].loss
    assert not all(torch.equal(value, first.weights[name]) for name, value in warm.weights.items())


@pytest.mark.parametrize(("before", "now"), [(6, 5), (2**62, 2**62)])
def test_weights_that_may_know_the_answers_are_refused(
    setting: Callable[[], Setting], tmp_path: Path, before: int, now: int
) -> None:
    kept = Checkpoint(tmp_path / "run.safetensors", "tables", cut=before)
    setting().fit(checkpoint=kept)
    with pytest.raises(ConfigError, match="may have learnt what is judged now"):
        setting().fit(checkpoint=replace(kept, data="more tables", cut=now))


def test_a_checkpoint_says_how_its_columns_were_encoded(setting: Callable[[], Setting], tmp_path: Path) -> None:
    old = FeatureSpace(
        ("amount",), np.ones(1, np.float32), np.ones(1, np.float32), np.ones((1, 0), np.float32), {"c": ("a", "b")}
    )
    new = replace(old, centre=np.zeros(1, np.float32), vocabularies={"c": ("aa", "b")})
    kept = Checkpoint(tmp_path / "run.safetensors", "tables", cut=5, spaces={EVENTS: old})
    assert kept.encodings({EVENTS: new}) == {EVENTS: new}
    setting().fit(checkpoint=kept)
    told = kept.encodings({EVENTS: new})[EVENTS]
    assert told.vocabularies == old.vocabularies and told.centre == old.centre
    other = replace(old, vocabularies={"d": ("a", "b")})
    assert kept.encodings({EVENTS: other}) == {EVENTS: other}
    for space in (new, other):
        with pytest.raises(ConfigError, match="of another model or other columns"):
            setting().fit(checkpoint=replace(kept, data="more tables", spaces={EVENTS: space}))


def test_the_refit_runs_just_as_long_as_told(setting: Callable[[], Setting]) -> None:
    assert len(setting().fit(epochs=2).history) == 2


def test_blocks_without_positives_give_a_finite_loss() -> None:
    loss = event_loss(torch.tensor([40.0, -60.0]), torch.zeros(2), 5.0, 2.0)
    assert torch.isfinite(loss)


def test_training_on_one_class_stays_finite(setting: Callable[[], Setting]) -> None:
    clean = setting()
    clean.target = EventTarget(torch.zeros_like(clean.target.label), clean.target.fit, clean.target.valid)
    history = clean.fit().history
    assert all(np.isfinite(record.loss) for record in history)
    assert history[0].valid_ap is None


def test_labels_may_be_hidden_while_training(setting: Callable[[], Setting]) -> None:
    lagged = setting().fit(TrainerSpec(epochs=2, block=40, label_lag=1.0, threads=1))
    assert lagged.history[-1].loss != setting().fit(TrainerSpec(epochs=2, block=40, threads=1)).history[-1].loss


@pytest.mark.parametrize("label_lag", [0.0, 0.5])
@pytest.mark.parametrize("keep_gb", [2.0, 2e-5])
def test_what_is_kept_between_epochs_changes_no_bit(
    setting: Callable[[], Setting], keep_gb: float, label_lag: float
) -> None:
    kept, made_anew = setting(), setting()
    spec = replace(SPEC, label_lag=label_lag)
    history = kept.fit(replace(spec, keep_gb=keep_gb)).history
    expected = made_anew.fit(replace(spec, keep_gb=0.0)).history
    assert [(one.loss, one.valid_ap) for one in history] == [(one.loss, one.valid_ap) for one in expected]
    assert all(torch.equal(value, made_anew.weights[name]) for name, value in kept.weights.items())


def test_no_more_blocks_are_kept_than_there_is_room_for(setting: Callable[[], Setting]) -> None:
    inputs = setting().inputs
    one = inputs.block(40, 80)
    blocks = KeptBlocks(inputs, one.nbytes)
    first, other = blocks(40, 80), blocks(0, 40)
    assert blocks(40, 80) is first
    assert blocks(0, 40) is not other
    assert all(torch.equal(one, two) for one, two in zip(blocks(0, 40).edges, other.edges, strict=True))


@pytest.mark.parametrize("wrong", [{"epochs": -3}, {"lr": 0.0}, {"block": 0}, {"clip": -1.0}, {"keep_gb": -1.0}])
def test_values_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"trainer.{next(iter(wrong))}"):
        TrainerSpec(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), "heavy"])
def test_a_weight_that_means_nothing_is_refused(weight: float | str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.positive_weight: got"):
        TrainerSpec(positive_weight=weight)


def test_a_balanced_weight_is_the_root_of_negatives_per_positive() -> None:
    assert TrainerSpec(positive_weight="balanced").weight(0.1) == pytest.approx(3.0)
    assert TrainerSpec(positive_weight=7.0).weight(0.1) == 7.0
