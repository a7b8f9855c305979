"""Attributes hold from the instant they are known, version by version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphs.attributes import attributes_as_of
from graphs.errors import NotFoundError
from graphs.events import ALWAYS, MISSING, EventLog


def test_the_last_version_known_by_then_holds(log_from_rows: Callable[..., EventLog]) -> None:
    versions = [
        {"type": "user", "id": "u", "known": 5, "tier": "gold", "limit": 1.0},
        {"type": "user", "id": "u", "known": 8, "tier": "basic", "limit": 2.0},
        {"type": "user", "id": "v", "known": ALWAYS, "tier": "basic", "limit": 3.0},
    ]
    log = log_from_rows([], versions)
    entities = np.array([0, 0, 0, 1, MISSING])
    numeric, categorical = attributes_as_of(log, "user", entities, np.array([4, 5, 9, -9, 9]))
    np.testing.assert_equal(numeric["limit"], [np.nan, 1, 2, 3, np.nan])
    assert categorical["tier"].codes.tolist() == [MISSING, 1, 0, 0, MISSING]
    assert categorical["tier"].values.to_pylist() == ["basic", "gold"]


def test_a_type_without_a_table_has_no_columns(random_log: Callable[..., EventLog]) -> None:
    assert attributes_as_of(random_log(0), "card", np.zeros(2, np.int32), np.zeros(2, np.int64)) == ({}, {})


def test_an_unknown_type_is_named(random_log: Callable[..., EventLog]) -> None:
    with pytest.raises(NotFoundError, match="'phone'"):
        attributes_as_of(random_log(0), "phone", np.zeros(1, np.int32), np.zeros(1, np.int64))


@pytest.mark.parametrize("seed", range(4))
def test_lookups_equal_a_naive_twin(seed: int, random_log: Callable[..., EventLog]) -> None:
    log = random_log(seed)
    found, count = log.attributes["user"], len(log.entity_ids["user"])
    for time in range(0, 400 * 3_600_000_000, 45 * 3_600_000_000):
        numeric, _ = attributes_as_of(log, "user", np.arange(count), np.full(count, time))
        for entity in range(count):
            rows = np.flatnonzero((found.entity == entity) & (found.known_time <= time))
            twin = found.numeric["limit"][rows[-1]] if len(rows) else np.nan
            np.testing.assert_equal(numeric["limit"][entity], twin)
