"""Floors: strong, repeatable, blind to what only the test part holds, and clear about one-class rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gnn.boosting import Rows
from gnn.encoders import event_columns
from gnn.floors import (
    class_rate_floor,
    feature_matrix,
    frequent_categories,
    lightgbm_floor,
    raw_columns,
)
from gnn.metrics import Undefined, auc, average_precision, expected_calibration_error
from graphs.events import MISSING, EventLog


def part(seed: int, rows: int = 1500) -> Rows:
    """Fraud where a category is 3 or, twice as often, an amount is large."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.exponential(50, rows), rng.integers(0, 8, rows)]).astype(np.float32)
    y = rng.random(rows) < 0.01 + 0.3 * (x[:, 1] == 3) + 0.6 * (x[:, 0] > 150)
    return Rows(x, y.astype(int))


def test_trees_find_what_columns_say_and_repeat_bit_for_bit() -> None:
    test = part(2)
    scores = lightgbm_floor(part(0), part(1), test.x, seed=3, categorical=(1,))
    assert isinstance(scores, np.ndarray) and scores.shape == (1500,)
    assert average_precision(test.y, scores) > 0.4
    assert (scores == lightgbm_floor(part(0), part(1), test.x, seed=3, categorical=(1,))).all()


def test_refit_rows_are_used() -> None:
    test = part(2)
    once = lightgbm_floor(part(0), part(1), test.x, seed=3)
    again = lightgbm_floor(part(0), part(1), test.x, seed=3, refit=part(4))
    assert isinstance(once, np.ndarray) and isinstance(again, np.ndarray)
    assert (once != again).any()


def test_missing_and_unseen_categories_are_scored_alike() -> None:
    test_x = np.array([[20, -1], [20, np.nan]], dtype=np.float32)
    scores = lightgbm_floor(part(0), part(1), test_x, seed=3, categorical=(1,))
    assert isinstance(scores, np.ndarray) and np.isfinite(scores).all()
    assert scores[0] == scores[1]


def test_calibrated_scores_keep_their_order_and_come_nearer_to_what_happens() -> None:
    some, test = part(0), part(2)
    # Frauds are shown five times as often as they happen, so that raw scores are too high.
    often = some[np.concatenate([np.arange(len(some)), np.tile(np.flatnonzero(some.y), 4)])]
    raw = lightgbm_floor(often, part(1), test.x, seed=3)
    calibrated = lightgbm_floor(often, part(1), test.x, seed=3, calibration="isotonic")
    assert isinstance(raw, np.ndarray) and isinstance(calibrated, np.ndarray)
    assert average_precision(test.y, raw) == pytest.approx(average_precision(test.y, calibrated), abs=1e-12)
    assert expected_calibration_error(test.y, calibrated) < 0.5 * expected_calibration_error(test.y, raw)


def test_one_class_training_is_undefined() -> None:
    some = part(0, 50)
    assert lightgbm_floor(Rows(some.x, 0 * some.y), some, some.x, seed=0) == Undefined("no fraud among the 50 rows")


def test_one_class_validation_still_gives_scores(caplog: pytest.LogCaptureFixture) -> None:
    some = part(0, 300)
    scores = lightgbm_floor(some, Rows(some.x[:9], 0 * some.y[:9]), some.x, seed=0)
    assert isinstance(scores, np.ndarray) and auc(some.y, scores) > 0.9
    assert "no fraud among the 9 rows: 200 rounds" in caplog.text


def test_a_few_dozen_rows_are_enough_to_split_on() -> None:
    amount = np.linspace(1, 100, 40, dtype=np.float32)[:, None]
    fraud = (amount[:, 0] > 85).astype(int)
    amount[fraud == 1] += 1000
    fit, test = Rows(amount[::2], fraud[::2]), Rows(amount[1::2], fraud[1::2])
    scores = lightgbm_floor(fit, test, test.x, seed=0)
    assert isinstance(scores, np.ndarray) and auc(test.y, scores) == 1.0


def test_class_rate_is_the_rate_of_training() -> None:
    assert class_rate_floor(np.array([0, 1, 0, 0]), 2).tolist() == [0.25, 0.25]
    assert class_rate_floor(np.array([]), 1).tolist() == [0.0]


def test_categories_are_numbered_by_frequency_in_the_fit_rows() -> None:
    codes, fit = np.array([7, 4, 4, 9, -1]), np.array([True, True, True, False, True])
    found = frequent_categories(codes, fit, at_least=1)
    assert np.array_equal(found, [1, 0, 0, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(frequent_categories(codes, fit, most=1), [np.nan, 0, 0, np.nan, np.nan], equal_nan=True)
    assert np.isnan(frequent_categories(codes, np.zeros(5, dtype=bool))).all()


def test_matrices_stand_side_by_side() -> None:
    fit = np.ones(2, dtype=bool)
    left = feature_matrix({"amount": np.array([1.0, np.nan])}, {"channel": np.array([0, 0])}, fit_rows=fit)
    right = feature_matrix({}, {"country": np.array([1, 1])}, fit_rows=fit)
    both = left.beside(right)
    assert both.names == ("amount", "channel", "country") and both.categorical == (1, 2)
    assert both.values.shape == (2, 3)
    assert feature_matrix({}, {}, fit_rows=fit).values.shape == (2, 0)


def test_raw_columns_of_a_log(random_log: Callable[..., EventLog]) -> None:
    log = random_log(0)
    matrix = raw_columns(log, np.arange(len(log)) < 30)
    assert matrix.values.shape == (len(log), len(matrix.names))
    assert matrix.names[:3] == ("amount", "hour", "weekday")
    assert {matrix.names[place] for place in matrix.categorical} >= {role.name for role in log.roles}


def test_raw_columns_of_fit_rows_do_not_see_the_others(random_log: Callable[..., EventLog]) -> None:
    log = random_log(0)
    fit = np.arange(len(log)) < 30
    log.entities[40:] = 0
    before = raw_columns(log, fit).values[:30]
    log.entities[40:] = 1
    assert np.array_equal(before, raw_columns(log, fit).values[:30], equal_nan=True)


def test_raw_columns_have_the_attributes_that_the_network_reads(random_log: Callable[..., EventLog]) -> None:
    log = random_log(0)
    floor, network = raw_columns(log, np.ones(len(log), bool)), event_columns(log)
    names = [f"{role}.{name}" for role in ("sender", "receiver", "device") for name in ("limit", "tier")]
    assert [name for name in floor.names if "." in name] == sorted(names, key=lambda name: name.endswith("tier"))
    limit = floor.values[:, floor.names.index("sender.limit")]
    assert np.isfinite(limit).any()
    assert np.array_equal(limit, network.numeric[:, network.names.index("sender.limit")], equal_nan=True)
    tier = floor.values[:, floor.names.index("device.tier")]
    assert np.array_equal(np.isnan(tier), network.categorical["device.tier"].codes == MISSING)
    assert floor.names.index("device.tier") in floor.categorical


def test_hour_and_weekday_by_hand(random_log: Callable[..., EventLog]) -> None:
    log = random_log(0)
    sunday_1830 = 1_740_940_200_000_000  # 2025-03-02T18:30Z is a Sunday
    log.event_time[0] = sunday_1830
    matrix = raw_columns(log, np.ones(len(log), dtype=bool))
    assert matrix.values[0, 1] == pytest.approx(18.5) and matrix.values[0, 2] == 6
