"""What can be had without a graph network: the scores that the model must beat on the same rows to be worth
its cost.

A floor that is weak by neglect flatters the model. So the trees see every raw column, frequent entities
included, stop on the same metric as the network, and are fitted again on the rows the network was fitted
again on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from gnn.boosting import Rows, grow_lightgbm
from gnn.calibration import fit_calibrator
from gnn.encoders import role_attributes, unused
from gnn.metrics import Undefined
from graphs.events import MICROSECONDS_PER_DAY, MISSING, EventLog

MICROSECONDS_PER_HOUR = MICROSECONDS_PER_DAY // 24


@dataclass(frozen=True)
class FeatureMatrix:
    """Columns side by side for trees: `values` (rows, features) float32, NaN for missing; `categorical` are
    the positions of the columns whose numbers are codes without an order.
    """

    names: tuple[str, ...]
    values: np.ndarray
    categorical: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        assert self.values.shape[1] == len(self.names), (self.values.shape, len(self.names))

    def beside(self, other: FeatureMatrix) -> FeatureMatrix:
        """Both matrices' columns, on the same rows."""
        shift = len(self.names)
        return FeatureMatrix(
            self.names + other.names,
            np.hstack([self.values, other.values]),
            self.categorical + tuple(shift + position for position in other.categorical),
        )


# ---------------------------------------------------------------- floors


def class_rate_floor(train_y: np.ndarray, rows: int) -> np.ndarray:
    """The training part's fraud rate for everybody: (rows,). Its AP on test is the test part's fraud rate."""
    return np.full(rows, float(np.mean(train_y)) if len(train_y) else 0.0)


def lightgbm_floor(
    fit: Rows,
    valid: Rows,
    test_x: np.ndarray,
    *,
    seed: int,
    categorical: tuple[int, ...] = (),
    refit: Rows | None = None,
    threads: int = 1,
    calibration: str | None = None,
) -> np.ndarray | Undefined:
    """Gradient boosted trees' fraud probabilities for the rows of `test_x`: (rows,) float64.

    Rounds are chosen on the rows `valid`, and probabilities calibrated on them by the method `calibration` if one is
    named; with `refit` the trees are then grown again on those rows (gnn/boosting.py). Undefined when the rows `fit`
    are of one class.
    """
    trees = grow_lightgbm(fit, valid, seed=seed, categorical=categorical, threads=threads)
    if isinstance(trees, Undefined):
        return trees
    probability = fit_calibrator(trees.log_odds(valid.x, None), valid.y, method=calibration) if calibration else expit
    if refit is not None:
        trees = trees.anew(refit)
    return probability(trees.log_odds(test_x, None))


# ---------------------------------------------------------------- columns


def raw_columns(log: EventLog, fit_rows: np.ndarray) -> FeatureMatrix:
    """Every column an event brings, without looking at any other event: (events, features).

    Amount, hour of the day and day of the week (UTC), event type, numeric columns, categorical columns, and
    per role the entity itself where it is a frequent one, and its attributes as of the event. Categories and
    entities are those seen in `fit_rows` (events,) bool; others are NaN, so that a test row can't introduce a
    category.
    """
    hours = log.event_time / MICROSECONDS_PER_HOUR
    numeric = {"amount": log.amount, "hour": hours % 24, "weekday": np.floor(hours / 24 + 3) % 7}
    numeric = {unused(name, log.numeric): column for name, column in numeric.items()} | dict(log.numeric)
    categorical = {unused("event_type", log.categorical): log.event_type} if len(log.event_types) > 1 else {}
    categorical |= {name: column.codes for name, column in log.categorical.items()}
    categorical |= {unused(role.name, categorical): log.entities[:, place] for place, role in enumerate(log.roles)}
    for slot in range(len(log.roles)):
        numbers, texts = role_attributes(log, slot)
        numeric |= {unused(name, numeric): column for name, column in numbers.items()}
        categorical |= {unused(name, categorical): column.codes for name, column in texts.items()}
    return feature_matrix(numeric, categorical, fit_rows=fit_rows)


def feature_matrix(
    numeric: Mapping[str, np.ndarray], categorical: Mapping[str, np.ndarray], *, fit_rows: np.ndarray
) -> FeatureMatrix:
    """Numeric columns as they are, then code columns cut down to the vocabulary of `fit_rows` (rows,) bool."""
    columns = [np.asarray(column, dtype=np.float32) for column in numeric.values()]
    columns += [frequent_categories(codes, fit_rows) for codes in categorical.values()]
    first, last = len(numeric), len(numeric) + len(categorical)
    values = np.column_stack(columns) if columns else np.empty((len(fit_rows), 0), np.float32)
    return FeatureMatrix((*numeric, *categorical), values, tuple(range(first, last)))


def frequent_categories(codes: np.ndarray, fit_rows: np.ndarray, *, most: int = 255, at_least: int = 2) -> np.ndarray:
    """`codes` (rows,) renumbered by descending frequency in `fit_rows`; NaN for missing, unseen and rare
    ones.

    >>> frequent_categories(np.array([7, 4, 4, 9, -1]), np.array([True, True, True, False, True]), at_least=1)
    array([ 1.,  0.,  0., nan, nan], dtype=float32)
    """
    seen, counts = np.unique(codes[fit_rows & (codes != MISSING)], return_counts=True)
    kept = np.lexsort((seen, -counts))[:most]
    kept = kept[counts[kept] >= at_least]
    renumbered = np.full(int(codes.max(initial=0)) + 1, np.nan, dtype=np.float32)
    renumbered[seen[kept]] = np.arange(len(kept))
    return np.where(codes == MISSING, np.float32(np.nan), renumbered[np.maximum(codes, 0)])
