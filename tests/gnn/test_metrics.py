"""Metrics: hand-computed first, then scikit-learn as the twin on random rows with many ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from gnn import metrics
from gnn.metrics import Undefined

LABEL = np.array([1, 0, 1, 0, 0])
SCORE = np.array([0.9, 0.8, 0.7, 0.2, 0.1])


@st.composite
def labelled_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Both classes present; few distinct scores, so ties are the rule."""
    rows = draw(st.integers(2, 60))
    label = np.array(draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows)))
    label[0], label[1] = 0, 1
    score = np.array(draw(st.lists(st.integers(0, 8), min_size=rows, max_size=rows))) / 8
    return label, score


def test_auc_and_ap_by_hand() -> None:
    assert metrics.auc(LABEL, SCORE) == pytest.approx(5 / 6)
    assert metrics.average_precision(LABEL, SCORE) == pytest.approx((1 + 2 / 3) / 2)


def test_equal_scores_say_nothing() -> None:
    same = np.full(5, 0.3)
    assert metrics.auc(LABEL, same) == 0.5
    assert metrics.average_precision(LABEL, same) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ([], "no labelled rows"),
        ([0, 0], "no fraud among the 2 rows"),
        ([1], "nothing but fraud among the 1 rows"),
    ],
)
def test_one_class_is_undefined_and_says_why(label: list[int], reason: str) -> None:
    rows, score = np.array(label, dtype=int), np.zeros(len(label))
    assert metrics.auc(rows, score) == Undefined(reason)
    assert metrics.average_precision(rows, score) == Undefined(reason)
    assert metrics.best_threshold(rows, score) == Undefined(reason)
    assert metrics.as_json(metrics.auc(rows, score)) == {"value": None, "reason": reason}


@settings(max_examples=60)
@given(labelled_scores())
def test_ranking_metrics_equal_sklearn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    label, score = rows
    assert metrics.auc(label, score) == pytest.approx(sklearn_metrics.roc_auc_score(label, score))
    expected = sklearn_metrics.average_precision_score(label, score)
    assert metrics.average_precision(label, score) == pytest.approx(expected)


@settings(max_examples=60)
@given(labelled_scores())
def test_probability_metrics_equal_sklearn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    label, score = rows
    assert metrics.brier(label, score) == pytest.approx(sklearn_metrics.brier_score_loss(label, score))
    held = np.clip(score, 0.01, 0.99)
    assert metrics.log_loss(label, held) == pytest.approx(sklearn_metrics.log_loss(label, held))


@settings(max_examples=30)
@given(labelled_scores())
def test_best_threshold_is_the_best_of_all(rows: tuple[np.ndarray, np.ndarray]) -> None:
    label, score = rows
    threshold = metrics.best_threshold(label, score)
    assert isinstance(threshold, float)
    candidates = [
        sklearn_metrics.f1_score(label, score >= value, average="macro", zero_division=0) for value in np.unique(score)
    ]
    assert metrics.macro_f1(label, score, threshold=threshold) == pytest.approx(max(candidates))


def test_threshold_lies_between_scores() -> None:
    assert metrics.best_threshold(np.array([0, 0, 1]), np.array([0.0, 0.2, 0.6])) == pytest.approx(0.4)


def test_budget_by_hand() -> None:
    amount = np.array([10.0, 5.0, 90.0, 1.0, 1.0])
    top = metrics.at_budget(LABEL, SCORE, budget=2, amount=amount)
    assert (top.alerts, top.hits, top.precision, top.recall) == (2, 1, 0.5, 0.5)
    assert top.value_recall == pytest.approx(0.1)


def test_budget_per_day_raises_at_most_that_many_each_day() -> None:
    top = metrics.at_budget(LABEL, SCORE, budget=2, day=np.array([7, 7, 7, 8, 9]))
    assert (top.alerts, top.hits, top.precision) == (4, 1, 0.25)


def test_a_tie_at_the_cut_counts_in_expectation() -> None:
    top = metrics.at_budget(np.array([1, 0, 0, 0]), np.array([0.5, 0.5, 0.5, 0.1]), budget=2)
    assert (top.hits, top.precision) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert metrics.hits_at_k(LABEL, SCORE, k=3) == 2


def test_budget_without_amounts_or_fraud_says_so() -> None:
    assert metrics.at_budget(LABEL, SCORE, budget=1).value_recall == Undefined("the rows have no amount")
    refunds = np.array([-5.0, 1, np.nan, 1, 1])
    expected = Undefined("no fraud has a positive amount")
    assert metrics.at_budget(LABEL, SCORE, budget=1, amount=refunds).value_recall == expected
    assert metrics.at_budget(0 * LABEL, SCORE, budget=1).recall == Undefined("no fraud among the 5 rows")
    nothing = metrics.at_budget(LABEL[:0], SCORE[:0], budget=1)
    assert nothing.precision == Undefined("no rows to alert on")


@settings(max_examples=40)
@given(labelled_scores(), st.integers(1, 20))
def test_budget_curve_agrees_with_single_budgets(rows: tuple[np.ndarray, np.ndarray], budget: int) -> None:
    label, score = rows
    day = np.arange(len(label)) // 9
    curve = metrics.budget_curve(label, score, budgets=np.array([budget]), day=day)
    assert curve[0] == pytest.approx(metrics.at_budget(label, score, budget=budget, day=day).recall)


def test_pr_curve_by_hand_and_thinned() -> None:
    assert metrics.precision_recall_curve(LABEL, SCORE).tolist() == [[0.5, 1.0], [1.0, pytest.approx(2 / 3)]]
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 5000)
    thin = metrics.precision_recall_curve(label, rng.random(5000), points=50)
    assert len(thin) <= 50 and thin[-1, 0] == 1


def test_card_precision_by_hand() -> None:
    # Day 1: c1 and c2 are the top two, c2 is compromised. Day 2: c2 stays out, so c3 and c4 are checked.
    day = np.array([1, 1, 1, 1, 2, 2, 2])
    customer = np.array([1, 1, 2, 3, 2, 3, 4])
    score = np.array([0.9, 0.1, 0.8, 0.2, 0.99, 0.5, 0.4])
    label = np.array([0, 0, 1, 0, 1, 1, 1])
    assert metrics.card_precision_at_k(day, customer, score, label, 2) == pytest.approx((0.5 + 1.0) / 2)
    assert metrics.card_precision_at_k(day, customer, score, label, 10) == pytest.approx((0.1 + 0.2) / 2)


def test_card_precision_takes_the_largest_label_not_that_of_the_largest_score() -> None:
    day, customer = np.array([1, 1]), np.array(["c", "c"])
    assert metrics.card_precision_at_k(day, customer, np.array([0.9, 0.1]), np.array([0, 1]), 1) == 1.0


def test_ece_by_hand() -> None:
    probability = np.array([0.1, 0.1, 0.1, 0.1, 0.8, 0.8, 0.8, 0.8])
    label = np.array([0, 0, 0, 1, 1, 1, 0, 1])
    assert metrics.expected_calibration_error(label, probability, bins=2) == pytest.approx(0.1)
    bins = metrics.calibration_bins(label, probability, bins=2)
    assert not isinstance(bins, Undefined)
    assert bins.rows.tolist() == [4, 4] and bins.rate.tolist() == [0.25, 0.75]


@settings(max_examples=60)
@given(labelled_scores(), st.sampled_from(["rows", "fraud"]), st.integers(1, 12))
def test_bins_hold_every_row_once(rows: tuple[np.ndarray, np.ndarray], equal: str, count: int) -> None:
    label, probability = rows
    bins = metrics.calibration_bins(label, probability, bins=count, equal=equal)
    assert not isinstance(bins, Undefined)
    assert bins.rows.sum() == len(label) and len(bins.rows) <= count
    assert (np.diff(bins.mean_probability) > 0).all()
    assert (bins.low <= bins.rate + 1e-9).all() and (bins.rate <= bins.high + 1e-9).all()


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    reason = Undefined("the scores are not probabilities")
    assert metrics.brier(LABEL, SCORE * 9) == reason
    assert metrics.expected_calibration_error(LABEL, SCORE * 9) == reason
    assert metrics.log_loss(LABEL, -SCORE) == reason


@settings(max_examples=40)
@given(labelled_scores(), st.randoms(use_true_random=False))
def test_resampled_ap_equals_ap_of_the_repeated_rows(rows: tuple[np.ndarray, np.ndarray], random) -> None:
    label, score = rows
    times = np.array([random.randint(0, 2) for _ in label])
    times[1] = 1
    resampled = metrics._Ranking.of(label, score, np.arange(len(label))).average_precision(times)
    expected = sklearn_metrics.average_precision_score(np.repeat(label, times), np.repeat(score, times))
    assert resampled == pytest.approx(expected)


def test_gain_interval_holds_the_difference_and_repeats() -> None:
    rng = np.random.default_rng(1)
    label = (rng.random(3000) < 0.05).astype(int)
    good, poor = label + rng.normal(0, 0.6, 3000), label + rng.normal(0, 2, 3000)
    gains = metrics.ap_gains(label, good, {"poor": poor, "same": good}, block=np.arange(3000) // 100)
    poor_gain, same_gain = gains["poor"], gains["same"]
    assert isinstance(poor_gain, metrics.Interval) and isinstance(same_gain, metrics.Interval)
    assert 0 < poor_gain.low < poor_gain.value < poor_gain.high
    assert same_gain == metrics.Interval(0.0, 0.0, 0.0)
    assert gains == metrics.ap_gains(label, good, {"poor": poor, "same": good}, block=np.arange(3000) // 100)


def test_gain_without_enough_fraud_is_undefined() -> None:
    gains = metrics.ap_gains(LABEL[1:4], SCORE[1:4], {"floor": -SCORE[1:4]}, draws=100)
    assert isinstance(gains["floor"], Undefined) and "hold no fraud" in gains["floor"].reason
    assert metrics.ap_gains(0 * LABEL, SCORE, {"floor": SCORE}) == {"floor": Undefined("no fraud among the 5 rows")}
