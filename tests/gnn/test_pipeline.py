"""The verbs of modelling on a small table: what a run folder holds, and what is made of it later."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnn.downstream import DownstreamSpec, downstream
from gnn.evaluation import EvaluationSpec
from gnn.node_task import NodeTask
from gnn.pipeline import ComparisonSpec, TaskSpec, evaluate_run, train
from gnn.splits import RandomSplit, TimeSplit
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError, NotFoundError

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
SPEC = EvaluationSpec(bootstrap=20, fewest_frauds=2)

Train = Callable[..., Path]


def day(number: float) -> str:
    return f"{FIRST + timedelta(days=number):%Y-%m-%dT%H:%M:%SZ}"


def payments(count: int = 1000) -> list[str]:
    """Ten payments a day by forty users; labels come out within a month."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        user, amount, fraud = rng.integers(40), rng.integers(1, 99), int(rng.random() < 0.15)
        known = day(i / 10 + int(rng.integers(1, 30)))
        rows.append(f"p{i:04},{day(i / 10)},u{user},{amount},{fraud},{known}")
    return rows


@pytest.fixture
def train_on(tmp_path: Path) -> Train:
    """A function (name, rows, settings of `train`) -> the run's folder."""

    def call(name: str, rows: list[str], **settings: Any) -> Path:
        table = tmp_path / f"{name}.csv"
        table.write_text("\n".join(["id,ts,user,amount,y,known", *rows]) + "\n", encoding="utf-8")
        columns = {"id": "id", "time": "ts", "roles": {"user": "user"}, "amount": "amount"}
        labels = {"label": "y", "label_known": "known"}
        usual: dict[str, Any] = {
            "task": TaskSpec(),
            "split": TimeSplit(valid_from=day(40), test_from=day(60), maturity_days=5.0),
            "features": BehaviourSpec(windows_hours=(24,)),
            "model": SageSpec(width=8, k=3),
            "trainer": TrainerSpec(epochs=2, block=200, threads=1),
            "evaluation": SPEC,
            "comparison": ComparisonSpec(lightgbm=False, controls=False),
        }
        data = {"path": str(table), "events": {"pay": {**columns, **labels}}}
        return train(data=data, **(usual | settings), allow_columns=[], seed=0, output=str(tmp_path / name))

    return call


def test_judged_again_with_the_same_settings_a_run_says_the_same_of_entities(train_on: Train, tmp_path: Path) -> None:
    run = train_on("run", payments(), task=TaskSpec(nodes=(NodeTask("user"),)))
    again = evaluate_run(run=str(run), evaluation=SPEC, output=str(tmp_path / "again"))
    first, second = (json.loads((folder / "metrics.json").read_text())["evaluation"]["user"] for folder in (run, again))
    assert first["resampled"].endswith(" entities")
    assert second["resampled"] == first["resampled"]
    assert [row["ap_gain"] for row in second["table"]] == [row["ap_gain"] for row in first["table"]]
    with pytest.raises(NotFoundError, match=r"not a finished training run.* no test_scores.parquet"):
        evaluate_run(run=str(again), evaluation=SPEC, output=str(tmp_path / "once more"))


def test_judged_again_a_floor_that_could_not_be_had_keeps_its_place_and_reason(train_on: Train, tmp_path: Path) -> None:
    clean = [row if number >= 600 else row.replace(",1,", ",0,") for number, row in enumerate(payments())]
    run = train_on("run", clean, comparison=ComparisonSpec(control_epochs=1))
    again = evaluate_run(run=str(run), evaluation=SPEC, output=str(tmp_path / "again"))
    first, second = (
        json.loads((folder / "metrics.json").read_text())["evaluation"]["events"] for folder in (run, again)
    )
    assert first["table"][2]["model"] == "lightgbm_raw" and "no fraud among" in first["table"][2]["ap"]["reason"]
    assert second["table"] == first["table"] and second["verdict"] == first["verdict"]


def test_weights_whose_epoch_was_chosen_by_what_is_judged_now_start_no_other_run(train_on: Train) -> None:
    unrefitted = TrainerSpec(epochs=1, block=200, threads=1, refit=False)
    later, earlier = (
        TimeSplit(valid_from=day(at), test_from=day(till), maturity_days=5.0) for at, till in ((40, 90), (42, 60))
    )
    old = train_on("old", payments(), trainer=unrefitted, split=later)
    with pytest.raises(ConfigError, match="may have learnt what is judged now"):
        train_on("new", payments()[:-1], trainer=unrefitted, split=earlier, resume_from=str(old))


def test_weights_that_learnt_a_random_split_start_no_run_that_is_judged_in_time(train_on: Train) -> None:
    # It learnt labels whenever they came, so that no cut says what it can have learnt.
    old = train_on("old", payments()[: len(payments()) // 3], split=RandomSplit(valid_share=0.3))
    with pytest.raises(ConfigError, match="may have learnt what is judged now"):
        train_on("new", payments(), resume_from=str(old))


def test_a_run_that_began_at_weights_of_older_data_has_no_verdict(train_on: Train, tmp_path: Path) -> None:
    earlier = TimeSplit(valid_from=day(30), test_from=day(45), maturity_days=5.0)
    old = train_on("old", payments(600), split=earlier)
    new = train_on("new", payments(), resume_from=str(old))
    killed = train_on("killed", payments(), resume_from=str(new))
    again = evaluate_run(run=str(new), evaluation=SPEC, output=str(tmp_path / "again"))
    for folder in (new, killed, again):
        metrics = json.loads((folder / "metrics.json").read_text())
        judged = metrics["evaluation"]["events"]
        assert metrics["began_at"] == json.loads((old / "run.json").read_text())["fingerprint"]
        assert metrics["began_at"] in (folder / "report.html").read_text()
        assert judged["outcome"] == "none" and len(judged["table"][1]["ap_gain"]) > 2
        assert judged["verdict"] == "No verdict: the model began at weights of older data that no floor has seen."
    with pytest.raises(ConfigError, match=r"began at weights of older data.* Train anew without resume_from"):
        downstream(run=str(new), proof=DownstreamSpec(learners=("lightgbm",)), output=str(tmp_path / "proof"))


def test_a_run_that_goes_on_with_the_same_data_has_the_verdict_it_would_have_had(train_on: Train) -> None:
    whole = train_on("whole", payments())
    resumed = train_on("resumed", payments(), resume_from=str(whole))
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (whole, resumed))
    assert second["began_at"] is None and first["evaluation"] == second["evaluation"]
    assert second["evaluation"]["events"]["outcome"] != "none"


def test_a_network_of_shuffled_edges_leaves_no_bundle_that_would_deal_them_anew(train_on: Train) -> None:
    run = train_on("run", payments(), model=SageSpec(width=8, k=3, edges="shuffled"))
    assert not (run / "bundle").exists()
    assert json.loads((run / "metrics.json").read_text())["model_version"] == "control or reference, no bundle"
