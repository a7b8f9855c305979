"""Calibration: probabilities become right, the ranking stays, few or one-sided rows are told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from gnn.calibration import METHODS, Calibrator, fit_calibrator
from gnn.metrics import auc, average_precision, expected_calibration_error
from graphs.errors import ConfigError


def skewed_rows(seed: int, rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that claim far too much fraud (2·z + 3 where the truth is z)."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-3, 1.5, rows)
    return 2 * truth + 3, (rng.random(rows) < expit(truth)).astype(int)


@pytest.mark.parametrize("method", METHODS)
def test_calibrated_probabilities_are_right_on_new_rows(method: str) -> None:
    calibrator = fit_calibrator(*skewed_rows(0), method=method)
    logits, labels = skewed_rows(1)
    before = expected_calibration_error(labels, expit(logits))
    after = expected_calibration_error(labels, calibrator(logits))
    assert isinstance(before, float) and isinstance(after, float)
    assert before > 0.05 and after < 0.01


def test_the_line_is_found_by_maximum_likelihood() -> None:
    calibrator = fit_calibrator(*skewed_rows(0, 100_000), method="temperature")
    slopes = np.diff(calibrator.values) / np.diff(calibrator.knots)
    assert slopes == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.interp(3.0, calibrator.knots, calibrator.values) == pytest.approx(0.0, abs=0.05)


def test_isotonic_follows_what_a_line_cannot() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 40_000)
    rate = np.where(logits > 0, 0.5, 0.02)
    labels = (rng.random(40_000) < rate).astype(int)
    probability = fit_calibrator(logits, labels)(np.array([-3.0, -1.0, 1.0, 3.0]))
    assert probability == pytest.approx([0.02, 0.02, 0.5, 0.5], abs=0.03)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(METHODS), st.integers(40, 400))
def test_the_ranking_survives(seed: int, method: str, rows: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(int)
    logits = rng.normal(0, 3, rows) + rng.choice([-1, 0, 2]) * labels
    probability = fit_calibrator(logits, labels, method=method)(logits)
    assert (np.argsort(probability, kind="stable") == np.argsort(logits, kind="stable")).all()
    if labels.any() and not labels.all():
        assert auc(labels, probability) == auc(labels, logits)
        assert average_precision(labels, probability) == average_precision(labels, logits)


def test_perfectly_separated_rows_do_not_become_certain() -> None:
    logits = np.concatenate([np.linspace(-9, -5, 900), np.linspace(5, 9, 100)])
    probability = fit_calibrator(logits, (logits > 0).astype(int))(np.array([-9.0, 9.0, 40.0]))
    assert 0 < probability[0] < 0.01 and 0.95 < probability[1] < 1 and probability[1] < probability[2]


@pytest.mark.parametrize(("frauds", "few"), [(3, "3 frauds"), (1, "1 fraud"), (197, "3 non-frauds")])
def test_few_rows_of_a_class_give_a_line_and_say_so(frauds: int, few: str) -> None:
    logits, labels = np.linspace(-3, 3, 200), np.repeat([0, 1], [200 - frauds, frauds])
    calibrator = fit_calibrator(logits, labels)
    assert calibrator.fitted == "temperature" and len(calibrator.knots) == 3
    assert calibrator.reason == f"only {few} among the 200 validation rows: a line instead of isotonic"


@pytest.mark.parametrize(("label", "missing"), [(0, "fraud"), (1, "non-fraud")])
def test_one_class_passes_raw_probabilities_on_and_says_so(label: int, missing: str) -> None:
    logits = np.array([-2.0, 0.0, 1.0])
    calibrator = fit_calibrator(logits, np.full(3, label))
    assert calibrator.fitted == "identity" and calibrator.reason is not None
    assert calibrator.reason.startswith(f"no {missing} among the 3 validation rows")
    assert calibrator(logits) == pytest.approx(expit(logits))
    assert fit_calibrator(logits[:0], np.empty(0)).fitted == "identity"


def test_equal_logits_are_calibrated_to_the_fraud_rate() -> None:
    calibrator = fit_calibrator(np.zeros(100), np.repeat([0, 1], [75, 25]))
    assert calibrator(np.zeros(1)) == pytest.approx([0.25], abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_json_keeps_every_bit(method: str) -> None:
    calibrator = fit_calibrator(*skewed_rows(2, 3000), method=method)
    again = Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    logits = np.linspace(-80, 80, 1001)
    assert (again(logits) == calibrator(logits)).all()
    assert again.to_dict() == calibrator.to_dict()


def test_a_row_does_not_depend_on_the_others() -> None:
    calibrator = fit_calibrator(*skewed_rows(2, 3000))
    logits = np.linspace(-5, 5, 50, dtype=np.float32)
    assert (calibrator(logits) == [calibrator(one) for one in logits]).all()


def test_wrong_method_and_broken_arrays_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of isotonic, temperature, got 'isotone'"):
        fit_calibrator(np.zeros(2), np.array([0, 1]), method="isotone")
    stored = fit_calibrator(*skewed_rows(2, 300)).to_dict() | {"values": [1.0, 0.0]}
    with pytest.raises(ConfigError, match="strictly increasing"):
        Calibrator.from_dict(stored)
