"""Evaluation: the table holds hand-computed numbers, and the verdict credits the graph only when it must."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from gnn.evaluation import EvaluationSpec, ScoredRows, evaluate
from gnn.metrics import Interval, Undefined
from graphs.errors import ConfigError
from graphs.events import MICROSECONDS_PER_DAY, MISSING, UNLABELLED

SPEC = EvaluationSpec(alert_budget=20, bootstrap=60)
START = 1_740_960_000_000_000  # Monday 2025-03-03T00:00Z


def world(rows: int = 4000, days: int = 40) -> tuple[ScoredRows, dict[str, np.ndarray]]:
    """Rows on which "model" is clearly better than "poor", and "close" is as good as the model."""
    rng = np.random.default_rng(0)
    label = (rng.random(rows) < 0.05).astype(np.int8)
    time = START + np.sort(rng.integers(0, days * MICROSECONDS_PER_DAY, rows))

    def probability(noise: float) -> np.ndarray:
        return expit(4 * label - 4 + rng.normal(0, noise, rows))

    scored = ScoredRows(time, label, probability(1.0), rng.exponential(50, rows), {"card": rng.random(rows) < 0.3})
    return scored, {"poor": probability(3.0), "close": probability(1.0)}


def floors(score: np.ndarray) -> dict[str, np.ndarray]:
    return {"lightgbm_aggregates": score, "no_edges": score, "shuffled_edges": score}


def test_table_by_hand() -> None:
    rows = ScoredRows(
        START + np.arange(4), np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.4, 0.1]), np.array([30.0, 1, 10, 1])
    )
    row = evaluate(rows, {}, replace(SPEC, alert_budget=1)).table[0]
    assert (row.auc, row.ap) == (0.75, pytest.approx(5 / 6))
    assert (row.recall_at_budget, row.precision_at_budget, row.value_recall) == (0.5, 1.0, 0.75)
    assert row.brier == pytest.approx((0.01 + 0.25 + 0.36 + 0.01) / 4)
    assert row.ap_gain is None and not row.is_floor


def test_a_graph_that_beats_all_floors_is_credited() -> None:
    scored, others = world()
    result = evaluate(scored, floors(others["poor"]) | {"lightgbm_embeddings": scored.score}, SPEC)
    assert result.outcome == "adds"
    gain, floor = result["lightgbm_aggregates"].ap_gain, result["lightgbm_aggregates"].ap
    assert isinstance(gain, Interval) and isinstance(floor, float)
    assert f"The graph adds +{gain.value:.3f} AP over".replace("0.", ".") in result.verdict
    assert f"(LightGBM with aggregates {floor:.3f} → ".replace("0.", ".") in result.verdict
    assert "95 % interval [+." in result.verdict and "without edges" in result.verdict
    assert result.resampled == "40 days"


def test_a_gain_that_the_network_has_without_edges_is_not_the_graphs() -> None:
    scored, others = world()
    controls = floors(others["poor"]) | {"no_edges": others["close"]}
    result = evaluate(scored, controls, SPEC)
    assert result.outcome == "nothing"
    assert "adds nothing that can be told from chance over the same network without edges" in result.verdict


def test_shuffled_edges_as_good_as_the_real_ones_mean_no_credit() -> None:
    scored, others = world()
    result = evaluate(scored, floors(others["poor"]) | {"shuffled_edges": scored.score}, SPEC)
    assert result.outcome == "nothing" and "the graph with shuffled edges" in result.verdict


def test_a_graph_below_a_floor_falls_short() -> None:
    scored, others = world()
    result = evaluate(replace(scored, score=others["poor"]), {"lightgbm_raw": others["close"]}, SPEC)
    assert result.outcome == "short"
    assert result.verdict.startswith("The graph falls short of LightGBM on raw columns by .")


def test_a_perfect_floor_leaves_the_graph_no_merit() -> None:
    scored, _ = world()
    perfect = scored.label * 0.9
    result = evaluate(replace(scored, score=perfect), {"lightgbm_raw": perfect, "no_edges": scored.score}, SPEC)
    assert result.outcome == "nothing"
    assert "LightGBM on raw columns already ranks the test rows perfectly (AP 1.000)" in result.verdict


def test_a_perfect_floor_is_told_even_on_few_frauds() -> None:
    label = np.repeat([0, 1], [10, 1])
    rows = ScoredRows(START + np.arange(11), label, label * 0.9)
    assert evaluate(rows, {"lightgbm_raw": label * 0.8}, SPEC).outcome == "nothing"


def test_controls_that_were_not_run_are_named() -> None:
    scored, others = world()
    verdict = evaluate(scored, {"lightgbm_raw": others["poor"]}, SPEC).verdict
    assert verdict.endswith(
        "; not compared with the same network without edges or the graph with shuffled edges or LightGBM with "
        "aggregates."
    )


@pytest.mark.parametrize(
    ("label", "floor", "verdict"),
    [
        ([0, 0, 0, 0], {"lightgbm_raw": np.zeros(4)}, "No verdict: no fraud among the 4 rows."),
        ([1, 0, 0, 0], {"lightgbm_raw": np.zeros(4)}, "No verdict: 1 fraud among the test rows"),
        ([1, 0, 0, 0], {}, "No verdict: no floor was scored on the same rows."),
        ([-1, -1, -1, -1], {}, "No verdict: no labelled rows."),
    ],
)
def test_without_ground_there_is_no_verdict(label: list[int], floor: dict, verdict: str) -> None:
    rows = ScoredRows(START + np.arange(4), np.array(label), np.array([0.4, 0.3, 0.2, 0.1]))
    result = evaluate(rows, floor, SPEC)
    assert result.outcome == "none" and result.verdict.startswith(verdict)


def test_a_floor_that_could_not_be_had_stays_with_its_reason() -> None:
    scored, others = world()
    result = evaluate(scored, {"lightgbm_raw": Undefined("no columns"), "no_edges": others["poor"]}, SPEC)
    assert result["lightgbm_raw"].ap == Undefined("no columns")
    assert result.best_floor is None and result.outcome == "adds"


def test_unlabelled_rows_are_out_of_every_number() -> None:
    scored, others = world()
    label = np.where(np.arange(4000) % 4 == 0, UNLABELLED, scored.label)
    whole = evaluate(replace(scored, label=label), others, SPEC)
    kept = label != UNLABELLED
    part = ScoredRows(scored.event_time[kept], label[kept], scored.score[kept], scored.amount[kept])  # type: ignore[index]
    alone = evaluate(part, {name: score[kept] for name, score in others.items()}, SPEC)
    assert whole.unlabelled_rows == 1000 and whole.table == alone.table


def test_weeks_start_on_monday_and_hold_all_rows() -> None:
    scored, others = world()
    result = evaluate(scored, {"lightgbm_raw": others["poor"]}, SPEC)
    assert result.by_week[0].group == "2025-03-03" and len(result.by_week) == 6
    assert sum(week.rows for week in result.by_week) == 4000
    assert isinstance(result.by_week[0].floor_ap, float)


def test_new_and_known_entities_are_judged_apart_and_rows_without_one_are_neither() -> None:
    scored, nobody = world()[0], np.full(4000, MISSING, np.int8)
    card = np.where(np.arange(4000) < 1000, MISSING, scored.new_entity["card"])
    result = evaluate(replace(scored, new_entity={"card": card, "sender": nobody}), {}, SPEC)
    assert [row.group for row in result.by_new_entity] == ["card: new", "card: known"]
    assert sum(row.rows for row in result.by_new_entity) == 3000
    assert result.by_new_entity[0].floor_ap == Undefined("no tabular floor")


def test_few_days_are_resampled_by_rows() -> None:
    scored, others = world(days=7)
    assert evaluate(scored, others, SPEC).resampled == "4,000 rows"


def test_asking_about_an_entity_again_makes_nothing_surer() -> None:
    scored, others = world(rows=400)
    once = evaluate(replace(scored, entity=np.arange(400)), others, SPEC)
    again = np.tile(np.arange(400), 8)
    rows = ScoredRows(scored.event_time[again], scored.label[again], scored.score[again], entity=again)
    often = evaluate(rows, {name: score[again] for name, score in others.items()}, SPEC)
    first, last = once["close"].ap_gain, often["close"].ap_gain
    assert isinstance(first, Interval) and isinstance(last, Interval)
    assert (last.low, last.high) == pytest.approx((first.low, first.high))
    assert often.resampled == "400 entities"


def test_json_is_strict_and_names_what_is_undefined() -> None:
    rows = ScoredRows(START + np.arange(2), np.array([0, 0]), np.array([0.2, 0.1]))
    result = evaluate(rows, {"lightgbm_raw": np.zeros(2), "no_edges": Undefined("not run")}, SPEC)
    stored = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert stored["table"][0]["ap"] == {"value": None, "reason": "no fraud among the 2 rows"}
    assert stored["table"][2]["ap"] == {"value": None, "reason": "not run"}
    assert stored["spec"]["alert_budget"] == 20 and stored["outcome"] == "none"


def test_same_seed_same_evaluation() -> None:
    scored, others = world()
    assert evaluate(scored, others, SPEC).to_json() == evaluate(scored, others, SPEC).to_json()


def test_all_faults_of_a_spec_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        EvaluationSpec(alert_budget=0, per="week", calibration="isotone", seed=-1)
    assert "alert_budget: got 0, expected at least 1" in str(caught.value)
    assert "per: got 'week', expected 'day' or 'total'" in str(caught.value)
    assert "calibration: got 'isotone', expected 'isotonic' or 'temperature'" in str(caught.value)
    assert "seed: got -1, expected 0 or more" in str(caught.value)
