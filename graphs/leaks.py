"""Columns that are the answer: a feature that alone tells fraud from the rest was most likely written after the fact.

A dispute's number or a case's status makes any model look perfect in training and useless the day it is used, so
such columns are named before training begins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from graphs.errors import DataError, Fault
from graphs.events import UNLABELLED, Categorical, EntityAttributes, EventLog

NEARLY_PERFECT = 0.9995
MIN_ROWS = 20
MIN_PER_CLASS = 5
"""With fewer rows a chance separation is too likely: a random column separates 5 of 20 rows once in 8,000 times."""


@dataclass(frozen=True)
class Suspicion:
    """A column whose values alone rank `positives` of `rows` labelled rows with this `auc` (0.5 to 1)."""

    table: str
    column: str
    auc: float
    rows: int
    positives: int

    def as_fault(self) -> Fault:
        return Fault(
            code="answer-column",
            file=self.table,
            column=self.column,
            message=(
                f"separates the label on its own (AUC {self.auc:.4f} over {self.rows:,} rows, {self.positives:,} "
                "positive), as what is written after the fact does"
            ),
            remedy=(
                "Declare it under post_event and take it out of the features, or, if it is really known in time, set "
                f"'allow_columns=[{self.column}]'."
            ),
        )


def suspicious_columns(log: EventLog, *, at_least: float = NEARLY_PERFECT) -> list[Suspicion]:
    """Numeric and categorical columns of events, and attributes of labelled entities, that separate the label alone.

    A numeric column is judged as it is and by whether it is missing; a categorical one by the share of positives of
    each value in the other half of the rows, so that a column of unique references proves nothing by being unique.
    The amount is not among them: it is known in time. Empty where labels are too few to tell.
    """
    found = list(_judge("events", log.label, log.numeric, log.categorical, at_least))
    for entity_type, labels in log.entity_labels.items():
        held = log.attributes.get(entity_type)
        if held is not None:
            last = _last_versions(held)
            numeric = {name: values[last] for name, values in held.numeric.items()}
            categorical = {name: Categorical(key.codes[last], key.values) for name, key in held.categorical.items()}
            found += _judge(entity_type, labels.label[held.entity[last]], numeric, categorical, at_least)
    return found


def refuse_answer_columns(log: EventLog, *, allowed: Collection[str] = ()) -> None:
    """Raise DataError that names every suspicious column but those in `allowed`."""
    faults = [found.as_fault() for found in suspicious_columns(log) if found.column not in allowed]
    if faults:
        raise DataError(faults)


def _last_versions(held: EntityAttributes) -> np.ndarray:
    """Positions of each entity's last row; rows are sorted by (entity, known_time)."""
    return np.flatnonzero(np.append(np.diff(held.entity) != 0, True)) if len(held.entity) else np.zeros(0, np.int64)


def _judge(
    table: str,
    label: np.ndarray,
    numeric: Mapping[str, np.ndarray],
    categorical: Mapping[str, Categorical],
    at_least: float,
) -> Iterator[Suspicion]:
    rows = np.flatnonzero(label != UNLABELLED)
    told = label[rows].astype(np.int64)
    positives = int(told.sum())
    if len(rows) < MIN_ROWS or min(positives, len(rows) - positives) < MIN_PER_CLASS:
        return
    for name, values in numeric.items():
        missing = np.isnan(values[rows])
        area = max(_either_way(told, missing), _either_way(told, np.where(missing, -np.inf, values[rows])))
        if area >= at_least:
            yield Suspicion(table, name, area, len(rows), positives)
    for name, key in categorical.items():
        area = _either_way(told, _share_in_the_other_half(key.codes[rows], told))
        if area >= at_least:
            yield Suspicion(table, name, area, len(rows), positives)


def _share_in_the_other_half(codes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(rows,) the share of positives among rows of the same value in the other half; of all there for a new value."""
    half = np.empty(len(label), bool)
    for verdict in (0, 1):
        of_class = np.flatnonzero(label == verdict)
        half[of_class] = np.arange(len(of_class)) % 2 == 0
    share = np.empty(len(label))
    places = codes + 1
    count = int(places.max()) + 1
    for part in (False, True):
        other = half != part
        rows = np.bincount(places[other], minlength=count)
        positives = np.bincount(places[other], weights=label[other], minlength=count)
        of_value = np.where(rows > 0, positives / np.maximum(rows, 1), label[other].mean())
        share[half == part] = of_value[places[half == part]]
    return share


def _either_way(label: np.ndarray, values: np.ndarray) -> float:
    """AUC of `values`, or of their reverse if that is larger; ties count half."""
    _, place = np.unique(values, return_inverse=True)
    positives = np.bincount(place, weights=label)
    negatives = np.bincount(place) - positives
    below = np.cumsum(negatives) - negatives
    area = float((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum()))
    return max(area, 1 - area)
