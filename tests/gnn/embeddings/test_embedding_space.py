"""Spaces: a turned copy is found to be one, and what is no copy is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from gnn.embedding_queries import key_of, most_similar
from gnn.embedding_space import align, compare_spaces, cosines
from graphs.errors import ConfigError, NotFoundError

Tables = Callable[..., pa.Table]


def drawn(seed: int, rows: int = 60, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


@given(st.integers(0, 1000))
def test_a_rotation_is_undone(seed: int) -> None:
    old = drawn(seed)
    found = align((old @ ortho_group.rvs(4, random_state=seed)).astype(np.float32), old)
    assert found.residual < 1e-5
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(4), atol=1e-5)


def test_what_has_nothing_in_common_leaves_much_over() -> None:
    assert align(drawn(1, 1000), drawn(2, 1000)).residual > 1


def test_the_residual_is_judged_on_anchors_that_were_not_fitted() -> None:
    # Six anchors in eight dimensions: any three can be brought onto any other three.
    rng = np.random.default_rng(0)
    new, old = (rng.normal(size=(6, 8)) for _ in range(2))
    new, old = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (new, old))
    assert align(new, old).residual > 0.5


def test_a_turned_copy_is_no_change(vectors_table: Tables) -> None:
    old = drawn(3)
    new = old @ ortho_group.rvs(4, random_state=1)
    drift = compare_spaces(vectors_table(old), vectors_table(new, space="s2"), "user")
    assert drift.verdict.startswith("no change") and drift.neighbours_kept == 1
    assert drift.residual is not None and drift.residual < 1e-5


def test_other_vectors_are_a_change_even_of_another_length(vectors_table: Tables) -> None:
    drift = compare_spaces(vectors_table(drawn(4)), vectors_table(drawn(5, width=6)), "user")
    assert drift.verdict.startswith("changed") and drift.residual is None


def test_too_little_in_common_is_told(vectors_table: Tables) -> None:
    with pytest.raises(ConfigError, match="2 values of user in common"):
        compare_spaces(vectors_table(np.eye(2)), vectors_table(np.eye(2)), "user")


def test_the_cosine_of_a_zero_vector_is_zero() -> None:
    assert cosines(np.array([[0.0, 0.0], [0.0, 2.0]])).tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_the_most_similar_come_first_each_by_its_newest_vector(vectors_table: Tables) -> None:
    vectors = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [1.0, 0.1]]
    table = vectors_table(vectors, ["a", "b", "c", "d", "a"], as_of=np.array([0, 0, 0, 0, 9]))
    assert [name for name, _ in most_similar(table, "b", key="user", most=2)] == ["a", "c"]


def test_nobody_is_similar_to_who_is_not_there(vectors_table: Tables) -> None:
    with pytest.raises(NotFoundError, match="no user has the id given"):
        most_similar(vectors_table(np.eye(2)), "u9", key="user")


def test_the_key_is_the_entity_type_or_the_first_text() -> None:
    assert key_of(pa.table({"card": ["c1"]}), "card") == key_of(pa.table({"card": ["c1"]}), None) == "card"
    assert key_of(pa.table({"x": [1], "entity_id": ["c1"]}), None) == "entity_id"
    with pytest.raises(ConfigError, match="no text column"):
        key_of(pa.table({"x": [1]}), None)
