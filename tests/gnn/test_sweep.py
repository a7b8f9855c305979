import json
import sys
import types
from pathlib import Path

import pytest

from gnn.sweep import Choice, Range, sweep
from graphs import config
from graphs.errors import ConfigError

TRAIN = "_target_: gnn.toy.train\nlr: 0.1\nk: 4\noutput: out\n"


def train(*, lr: float, k: int, output: str) -> Path:
    if k < 1:
        raise ConfigError("k below 1")
    if k == 9:
        raise KeyboardInterrupt
    (Path(output) / "metrics.json").write_text(json.dumps({"validation": {"ap": lr * k}, "test": None}))
    return Path(output)


@pytest.fixture
def search(tmp_path, monkeypatch):
    (tmp_path / "train.yaml").write_text(TRAIN)
    module = types.ModuleType("gnn.toy")
    monkeypatch.setattr(train, "__module__", "gnn.toy")
    module.train = train
    monkeypatch.setitem(sys.modules, "gnn.toy", module)
    monkeypatch.setattr(config, "config_folder", lambda: tmp_path)
    space = {"lr": Range(0.5, 1.0), "k": Choice((2, 3))}
    given = {"overrides": [], "objective": "validation.ap", "direction": "maximize", "trials": 4, "seed": 0}

    def run(**changes):
        return sweep(**{"space": space, "output": str(tmp_path / "study"), **given, **changes})

    return run


def test_every_trial_is_a_run_of_its_own_and_the_best_is_kept(search):
    folder = search()
    trials = json.loads((folder / "trials.json").read_text())
    best = json.loads((folder / "best.json").read_text())
    assert [trial["number"] for trial in trials] == [0, 1, 2, 3]
    assert best["value"] == max(trial["value"] for trial in trials) and (folder / "3" / "config.yaml").exists()


def test_a_sweep_goes_on_where_it_stopped_and_the_same_seed_searches_the_same(search, tmp_path):
    search(trials=2)
    resumed = json.loads((search(trials=3) / "trials.json").read_text())
    other = json.loads((search(trials=2, output=str(tmp_path / "other")) / "trials.json").read_text())
    assert len(resumed) == 3 and resumed[:2] == other
    assert resumed[2]["overrides"] not in [trial["overrides"] for trial in other]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space": {"lrr": Range(0.5, 1.0)}}, "lrr: no such key; did you mean lr"),
        ({"space": {"k": Choice((2, "x"))}}, "k: expected int, got 'x'"),
        ({"trials": 0}, "trials: got 0, expected at least 1"),
        ({"objective": "validation.auc"}, "metrics.json has no 'auc'; there are: ap"),
        ({"objective": "test"}, "objective: test is undefined"),
    ],
)
def test_a_space_or_objective_that_does_not_fit_is_told(search, changes, told):
    with pytest.raises(ConfigError, match=told):
        search(**changes)


def test_a_trial_that_cannot_be_had_is_told_and_the_others_go_on(search, caplog):
    folder = search(space={"k": Choice((0, 2))}, trials=6)
    trials = json.loads((folder / "trials.json").read_text())
    assert {(trial["value"], trial.get("fault")) for trial in trials} == {(None, "k below 1"), (0.2, None)}
    assert json.loads((folder / "best.json").read_text())["value"] == 0.2
    assert "k=0 has no value: k below 1" in caplog.text and "Traceback" not in caplog.text
    with pytest.raises(ConfigError, match="no trial has a value; of the last one: k below 1"):
        search(space={"k": Choice((0,))}, output=str(folder / "other"))


def test_a_trial_that_was_stopped_is_made_up_for(search):
    with pytest.raises(KeyboardInterrupt):
        search(space={"k": Choice((9, 2))}, trials=6)
    folder = search(space={"k": Choice((9, 2))}, trials=1)
    assert [trial["value"] for trial in json.loads((folder / "trials.json").read_text())] == [0.2]


@pytest.mark.parametrize(
    "other", [{"direction": "minimize"}, {"space": {"k": Choice((3, 4))}}, {"overrides": ["lr=0.7"]}]
)
def test_a_sweep_that_was_told_otherwise_is_not_gone_on_with(search, other):
    search(trials=1)
    with pytest.raises(ConfigError, match=f"told otherwise: {next(iter(other))} was .*choose another output"):
        search(trials=2, **other)


@pytest.mark.parametrize("ends", [(1, 1), (2, 1)])
def test_a_range_needs_two_ends_in_order(ends):
    with pytest.raises(ConfigError, match="low must be below high"):
        Range(*ends)
