import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from graphs.errors import ConfigError
from graphs.signatures import check_config


@dataclass(frozen=True)
class Trainer:
    epochs: int
    lr: float = 0.1
    kind: Literal["mean", "max"] = "mean"
    hours: tuple[int, ...] = ()
    share: float | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigError(f"epochs must be at least 1, got {self.epochs}")


def verb(*, trainer: Trainer, name: str, seed: int = 0) -> tuple[Trainer, str, int]:
    return trainer, name, seed


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    module = types.ModuleType("gnn.toy")
    for thing in (Trainer, verb):
        monkeypatch.setattr(thing, "__module__", "gnn.toy")
        setattr(module, thing.__name__, thing)
    module.sys = sys
    monkeypatch.setitem(sys.modules, "gnn.toy", module)


def config(trainer=None, **keys):
    trainer = {"_target_": "gnn.toy.Trainer", "epochs": 3} | (trainer or {})
    return {"_target_": "gnn.toy.verb", "name": "x", "trainer": trainer} | keys


def problems(config):
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    return str(caught.value).splitlines()


def test_a_fitting_config_becomes_a_call_with_objects():
    trainer, name, seed = check_config(config({"hours": [1, 24], "folder": "a"}, seed=7))()
    assert trainer == Trainer(3, hours=(1, 24), folder=Path("a"))
    assert (name, seed) == ("x", 7)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epochs": "many"}, "trainer.epochs: expected int, got 'many'"),
        ({"epochs": True}, "trainer.epochs: expected int, got True"),
        ({"epochs": 2.5}, "trainer.epochs: expected int, got 2.5"),
        ({"lr": "fast"}, "trainer.lr: expected float, got 'fast'"),
        ({"lr": float("nan")}, "trainer.lr: expected float, got nan"),
        ({"share": "half"}, "trainer.share: expected float or null, got 'half'"),
        ({"hours": [1, "x"]}, "trainer.hours[1]: expected int, got 'x'"),
        ({"hours": 24}, "trainer.hours: expected a list of int, got 24"),
        (
            {"kind": "maxx"},
            "trainer.kind: expected one of 'mean', 'max', got 'maxx'; did you mean max?",
        ),
        ({"epoch": 2}, "trainer.epoch: no such key; did you mean epochs?"),
        ({"epochs": -3}, "trainer.epochs: epochs must be at least 1, got -3"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_full_key(change, told):
    assert problems(config(change)) == [told]


def test_all_problems_are_told_at_once():
    broken = config({"epochs": "many", "lr": "fast"}, seed="x", sed=1)
    del broken["name"]
    assert problems(broken) == [
        "name: missing",
        "trainer.epochs: expected int, got 'many'",
        "trainer.lr: expected float, got 'fast'",
        "seed: expected int, got 'x'",
        "sed: no such key; did you mean seed?",
    ]


def test_integers_are_floats_but_numbers_are_not_text():
    assert check_config(config({"lr": 1}))
    assert problems(config(name=2025)) == ["name: expected text, got 2025; as text it is written 'name=\"2025\"'"]


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "gnn.toy.sys.exit", "gnn.toy.sys", "gnn_.x"])
def test_only_our_own_classes_can_be_named(target):
    (told,) = problems(config({"_target_": target}))
    assert told.startswith(f"trainer._target_: {target}: ")


def test_a_node_of_the_wrong_class_is_told():
    assert problems(
        config(
            {
                "_target_": "graphs.errors.Fault",
                "code": "",
                "file": "",
                "column": "",
                "message": "",
                "remedy": "",
                "epochs": 1,
            }
        )
    ) == ["trainer.epochs: no such key; there are: code, file, column, message, remedy, count, rows, values"]
    role = {"_target_": "graphs.events.Role", "name": "a", "entity_type": "b"}
    assert problems(config() | {"trainer": role}) == ["trainer: expected Trainer, got Role"]


def test_an_input_path_must_exist(tmp_path):
    absent = str(tmp_path / "nowhere.ckpt")
    assert f"resume_from: {absent} does not exist" in problems(config(resume_from=absent))


def test_an_optimizer_of_torch_may_be_named_in_part():
    node = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.5}
    assert problems(config() | {"trainer": node}) == ["trainer: expected Trainer, got partial"]
