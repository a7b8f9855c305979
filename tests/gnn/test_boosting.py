"""Both learners are asked the same and answer alike."""

from __future__ import annotations

import numpy as np
import pytest

from gnn.boosting import LEARNERS, Rows, Trees, without_negative_codes
from gnn.metrics import Undefined, average_precision

CODE = 1


def drawn(seed: int, rows: int = 400) -> Rows:
    """Fraud where the first column is high, or the second, a code, is 3."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=rows), rng.integers(-1, 6, rows), rng.normal(size=rows)]).astype(np.float32)
    return Rows(x, ((x[:, 0] > 1.2) | (x[:, CODE] == 3)).astype(np.int8))


@pytest.fixture(params=sorted(LEARNERS))
def trees(request: pytest.FixtureRequest) -> Trees:
    grown = LEARNERS[request.param](drawn(0), drawn(1), seed=0, categorical=(CODE,))
    assert isinstance(grown, Trees)
    return grown.anew(drawn(2))


def test_they_find_what_is_there(trees: Trees) -> None:
    test = drawn(3)
    assert average_precision(test.y, trees.log_odds(test.x, None)) > 0.95


def test_contributions_add_up_to_the_log_odds_but_for_a_constant(trees: Trees) -> None:
    x = drawn(4).x
    moved = trees.contributions(x)
    assert moved.shape == x.shape and np.ptp(trees.log_odds(x, None) - moved.sum(1)) < 1e-3
    assert np.abs(moved[:, 2]).mean() < 0.5 * np.abs(moved[:, 0]).mean()


@pytest.mark.parametrize("learner", sorted(LEARNERS))
def test_the_same_seed_grows_the_same_trees(learner: str) -> None:
    one, two = (LEARNERS[learner](drawn(0), drawn(1), seed=4) for _ in range(2))
    assert isinstance(one, Trees) and isinstance(two, Trees)
    assert (one.log_odds(drawn(5).x, None) == two.log_odds(drawn(5).x, None)).all()


@pytest.mark.parametrize("learner", sorted(LEARNERS))
def test_one_class_grows_nothing_and_validation_of_one_class_chooses_nothing(learner: str) -> None:
    rows = drawn(0)
    assert LEARNERS[learner](Rows(rows.x, 0 * rows.y), rows, seed=0) == Undefined("no fraud among the 400 rows")
    unchosen = LEARNERS[learner](rows, Rows(rows.x, 0 * rows.y), seed=0)
    assert isinstance(unchosen, Trees) and average_precision(rows.y, unchosen.log_odds(rows.x, None)) > 0.95


@pytest.mark.parametrize("learner", sorted(LEARNERS))
def test_trees_go_on_from_what_was_said_before(learner: str) -> None:
    def blind(seed: int) -> Rows:
        """Somebody has found the fraud of the first column; the trees see the others alone."""
        rows = drawn(seed)
        return Rows(rows.x[:, 1:], rows.y, np.where(rows.x[:, 0] > 1.2, 4.0, -4.0))

    grown, test = LEARNERS[learner](blind(0), blind(1), seed=0, categorical=(0,)), blind(3)
    assert isinstance(grown, Trees) and test.start is not None
    grown = grown.anew(blind(2))
    found = grown.log_odds(test.x, test.start)
    assert average_precision(test.y, test.start) < 0.8 < 0.95 < average_precision(test.y, found)  # type: ignore[operator]
    assert np.ptp(found - test.start - grown.contributions(test.x).sum(1)) < 1e-3


def test_a_missing_code_is_missing() -> None:
    x = np.array([[-1.0, -1.0]], np.float32)
    assert np.isnan(without_negative_codes(x, (1,))[0, 1]) and without_negative_codes(x, (1,))[0, 0] == -1
