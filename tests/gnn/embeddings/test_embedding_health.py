"""The gate: NaN, collapse and constant columns are refused, and the sums are those of the whole table."""

from __future__ import annotations

import numpy as np
import pytest

from gnn.embedding_health import HealthSpec, UnhealthyVectorsError, VectorTally, refuse_unhealthy

SPEC = HealthSpec(fewest_rows=50)


def tallied(vectors: np.ndarray, is_new: np.ndarray | None = None, parts: int = 3) -> VectorTally:
    tally = VectorTally(vectors.shape[1])
    for rows in np.array_split(np.arange(len(vectors)), parts):
        tally.add(vectors[rows], None if is_new is None else is_new[rows])
    return tally


def drawn(rows: int = 200, width: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(1.0, 2.0, (rows, width)).astype(np.float32)


def test_sums_over_batches_are_those_of_the_table() -> None:
    vectors = drawn()
    told = tallied(vectors).to_json()
    norms = np.linalg.norm(vectors, axis=1)
    assert told["norm"] == {
        "mean": pytest.approx(norms.mean(), abs=1e-4),
        "min": pytest.approx(norms.min(), abs=1e-4),
        "max": pytest.approx(norms.max(), abs=1e-4),
    }
    np.testing.assert_allclose(tallied(vectors).covariance, np.cov(vectors.T, bias=True), atol=1e-3)


def test_vectors_that_spread_pass() -> None:
    refuse_unhealthy({"user": tallied(drawn())}, SPEC)
    assert tallied(drawn()).directions == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_single_nan_is_refused(broken: float) -> None:
    vectors = drawn(4)
    vectors[2, 1] = broken
    with pytest.raises(UnhealthyVectorsError, match="user: 1 of 4 vectors hold NaN or infinity"):
        refuse_unhealthy({"user": tallied(vectors)}, SPEC)


@pytest.mark.parametrize(("value", "rows"), [(7.0, 200), (0.7, 200), (0.7, 5000), (-1.3, 5000)])
def test_a_constant_column_is_refused_with_its_place(value: float, rows: int) -> None:
    vectors = drawn(rows)
    vectors[:, 3] = value
    with pytest.raises(UnhealthyVectorsError, match=r"1 of 5 columns are the same in all rows \(3\)"):
        refuse_unhealthy({"user": tallied(vectors)}, SPEC)


def test_a_network_that_says_the_same_of_everybody_is_refused() -> None:
    with pytest.raises(UnhealthyVectorsError, match="all 200 vectors are the same"):
        refuse_unhealthy({"user": tallied(np.ones((200, 5), np.float32))}, SPEC)


def test_vectors_along_one_line_have_collapsed() -> None:
    line = np.outer(np.random.default_rng(1).normal(size=200), np.ones(5)).astype(np.float32) + drawn() * 1e-3
    with pytest.raises(UnhealthyVectorsError, match=r"collapsed onto 1\.0"):
        refuse_unhealthy({"user": tallied(line)}, SPEC)


def test_strangers_do_not_count_and_few_rows_are_not_judged() -> None:
    vectors, new = np.ones((60, 5), np.float32), np.arange(60) >= 49
    assert tallied(vectors, new).faults("user", SPEC) == []
    assert tallied(vectors, new).to_json()["new"] == 11


def test_all_faults_of_all_tables_are_told_at_once() -> None:
    same, nan = np.ones((60, 2), np.float32), np.full((1, 2), np.nan, np.float32)
    with pytest.raises(UnhealthyVectorsError, match=r"(?s)user: all 60.*card: 1 of 1.*Nothing was published"):
        refuse_unhealthy({"user": tallied(same), "card": tallied(nan)}, SPEC)
