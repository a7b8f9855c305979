"""How good a ranking or a probability is, on rows whose label is known, with "undefined" as a possible
answer.

A metric that does not exist on the given rows (one class only, no rows, no amounts) is `Undefined` with its
reason, never 0 or NaN, so that nobody averages it by mistake. Rows with equal scores are never put in an
arbitrary order: AUC and AP treat them as one step, and an alert budget that cuts through them counts the
expectation over all ways of breaking the tie. So every number here is independent of the order of the rows.

Shapes: `label` (rows,) in {0, 1}; `score` (rows,) any real numbers, higher is more suspicious; `probability`
(rows,) in [0, 1]; `day` (rows,) integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Undefined:
    """A number that does not exist on these rows, and why.

    >>> auc(np.array([0, 0]), np.array([0.1, 0.2]))
    Undefined(reason='no fraud among the 2 rows')
    """

    reason: str

    def __str__(self) -> str:
        return f"undefined: {self.reason}"


Metric = float | Undefined


def as_json(metric: Metric) -> float | dict[str, str | None]:
    """A metric as JSON: the number, or `{"value": null, "reason": why}`."""
    return {"value": None, "reason": metric.reason} if isinstance(metric, Undefined) else float(metric)


def one_class(label: np.ndarray) -> Undefined | None:
    """Why a ranking of these rows cannot be judged, or None when it can."""
    rows, frauds = len(label), int(np.sum(label))
    if rows == 0:
        return Undefined("no labelled rows")
    if frauds == 0:
        return Undefined(f"no fraud among the {rows:,} rows")
    if frauds == rows:
        return Undefined(f"nothing but fraud among the {rows:,} rows")
    return None


# ---------------------------------------------------------------- ranking


def auc(label: np.ndarray, score: np.ndarray) -> Metric:
    """Area under the ROC curve: P(a fraud scores above a non-fraud), ties counted half (Mann–Whitney)."""
    label, score = _checked(label, score)
    if (reason := one_class(label)) is not None:
        return reason
    frauds, others = _tie_groups(label, score)
    others_below = others.sum() - np.cumsum(others)
    return float(np.sum(frauds * (others_below + others / 2)) / (frauds.sum() * others.sum()))


def average_precision(label: np.ndarray, score: np.ndarray) -> Metric:
    """Σ (recall step × precision) over the distinct scores, without interpolation; ties are one step."""
    label, score = _checked(label, score)
    if (reason := one_class(label)) is not None:
        return reason
    frauds, others = _tie_groups(label, score)
    found = np.cumsum(frauds)
    return float(np.sum(frauds * found / (found + np.cumsum(others))) / found[-1])


def precision_recall_curve(label: np.ndarray, score: np.ndarray, *, points: int = 300) -> np.ndarray:
    """(≤ points, 2) recall and precision at distinct scores, recall ascending; empty where AP is undefined.

    Thinned evenly in recall; the first and the last point are always kept.
    """
    label, score = _checked(label, score)
    if one_class(label) is not None:
        return np.empty((0, 2))
    frauds, others = _tie_groups(label, score)
    found = np.cumsum(frauds)
    curve = np.column_stack([found / found[-1], found / (found + np.cumsum(others))])
    curve = curve[frauds > 0]
    if len(curve) > points:
        curve = curve[np.unique(np.searchsorted(curve[:, 0], np.linspace(curve[0, 0], 1.0, points)))]
    return curve


# ---------------------------------------------------------------- alert budgets


@dataclass(frozen=True)
class AtBudget:
    """What the top of a ranking catches; `alerts` and `hits` are expectations where a tie crosses the cut."""

    alerts: float
    hits: float
    precision: Metric
    recall: Metric
    value_recall: Metric


def at_budget(
    label: np.ndarray,
    score: np.ndarray,
    *,
    budget: int,
    day: np.ndarray | None = None,
    amount: np.ndarray | None = None,
) -> AtBudget:
    """Precision, recall and value recall of the `budget` highest scores, of each day when `day` is given.

    Precision is over the alerts that could be raised: a day with fewer rows than the budget raises fewer.
    Value recall is the share of the fraudulent amount that is caught; amounts that are missing (NaN) or not
    positive carry no value.
    """
    label, score = _checked(label, score)
    assert budget > 0
    above, size = _positions(score, day)
    alerted = np.clip((budget - above) / size, 0.0, 1.0)
    alerts, hits, frauds = float(alerted.sum()), float(alerted @ label), int(label.sum())
    no_fraud = Undefined(f"no fraud among the {len(label):,} rows")
    return AtBudget(
        alerts=alerts,
        hits=hits,
        precision=hits / alerts if alerts else Undefined("no rows to alert on"),
        recall=hits / frauds if frauds else no_fraud,
        value_recall=_value_recall(label, alerted, amount) if frauds else no_fraud,
    )


def hits_at_k(label: np.ndarray, score: np.ndarray, *, k: int) -> float:
    """Frauds among the k highest scores (the expectation when a tie crosses the cut-off)."""
    return at_budget(label, score, budget=k).hits


def budget_curve(
    label: np.ndarray, score: np.ndarray, *, budgets: np.ndarray, day: np.ndarray | None = None
) -> np.ndarray:
    """(budgets,) recall at each alert budget, of each day when `day` is given; empty without fraud."""
    label, score = _checked(label, score)
    if not label.any():
        return np.empty(0)
    above, size = (column[label == 1] for column in _positions(score, day))
    return np.array([np.clip((budget - above) / size, 0.0, 1.0).mean() for budget in budgets])


def card_precision_at_k(
    day: np.ndarray, customer: np.ndarray, score: np.ndarray, label: np.ndarray, k: int = 100
) -> Metric:
    """CP@k: the share of truly compromised customers among the k highest a day, mean over days.

    Per day a customer has the largest score and the largest label of their payments; the k highest are
    checked, hits are divided by k even when fewer customers paid, and customers found stay out on later days.
    Equal scores are taken in ascending order of `customer`. Source: Fraud Detection Handbook (Le Borgne et
    al., 2022), ch. 4 "Precision top-k metrics", card_precision_top_k.
    """
    label, score = _checked(label, score)
    if len(label) == 0:
        return Undefined("no labelled rows")
    customers, customer = np.unique(customer, return_inverse=True)
    found = np.zeros(len(customers), dtype=bool)
    precisions = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~found[customer])
        top_score = np.full(len(customers), -np.inf)
        top_label = np.zeros(len(customers), dtype=np.int64)
        np.maximum.at(top_score, customer[rows], score[rows])
        np.maximum.at(top_label, customer[rows], label[rows])
        paid = np.unique(customer[rows])
        checked = paid[np.argsort(-top_score[paid], kind="stable")[:k]]
        hits = checked[top_label[checked] == 1]
        found[hits] = True
        precisions.append(len(hits) / k)
    return float(np.mean(precisions))


# ---------------------------------------------------------------- decisions at a threshold


def best_threshold(label: np.ndarray, score: np.ndarray) -> Metric:
    """The threshold with the highest macro F1 on these rows: choose on validation, then apply to test.

    Half-way between two neighbouring distinct scores, so that it does not hang on one row.
    """
    label, score = _checked(label, score)
    if (reason := one_class(label)) is not None:
        return reason
    frauds, others = _tie_groups(label, score)
    f1 = _macro_f1(np.cumsum(frauds), np.cumsum(others), frauds.sum(), others.sum())
    values = np.unique(score)[::-1]
    best = int(np.argmax(f1))
    if best + 1 == len(values):
        return float(values[best])
    middle = values[best + 1] + (values[best] - values[best + 1]) / 2
    return float(middle if values[best + 1] < middle <= values[best] else values[best])


def macro_f1(label: np.ndarray, score: np.ndarray, *, threshold: float) -> Metric:
    """Mean of the F1 of both classes when `score >= threshold` is called fraud."""
    label, score = _checked(label, score)
    if (reason := one_class(label)) is not None:
        return reason
    called = score >= threshold
    frauds = int(label.sum())
    f1 = _macro_f1(np.array([label[called].sum()]), np.array([np.sum(1 - label[called])]), frauds, len(label) - frauds)
    return float(f1[0])


# ---------------------------------------------------------------- probabilities


def brier(label: np.ndarray, probability: np.ndarray) -> Metric:
    """Mean squared distance between probability and outcome."""
    label, probability = _checked(label, probability)
    if (reason := _not_probabilities(probability)) is not None:
        return reason
    return float(np.mean((probability - label) ** 2))


def log_loss(label: np.ndarray, probability: np.ndarray) -> Metric:
    """Mean −log probability of what happened, in nats; probabilities are held 1e-15 away from 0 and 1."""
    label, probability = _checked(label, probability)
    if (reason := _not_probabilities(probability)) is not None:
        return reason
    held = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(label == 1, np.log(held), np.log1p(-held))))


@dataclass(frozen=True)
class CalibrationBins:
    """Rows grouped by predicted probability, ascending: (bins,) each. `low` and `high` bound the true rate
    with 95 % confidence (Wilson, 1927).
    """

    rows: np.ndarray
    mean_probability: np.ndarray
    rate: np.ndarray
    low: np.ndarray
    high: np.ndarray


def calibration_bins(
    label: np.ndarray, probability: np.ndarray, *, bins: int = 15, equal: str = "rows"
) -> CalibrationBins | Undefined:
    """At most `bins` groups of neighbouring probabilities holding equally many rows (`equal="rows"`) or
    equally much predicted fraud (`equal="fraud"`).

    Equal width would put nearly all rows of a one-per-cent problem into the first bin. Equal rows suit an
    average over rows, equal fraud a picture, where each point then rests on about equally many frauds. Equal
    probabilities always share a bin.
    """
    label, probability = _checked(label, probability)
    if (reason := _not_probabilities(probability)) is not None:
        return reason
    order = np.argsort(probability, kind="stable")
    label, probability = label[order].astype(np.float64), probability[order]
    mass = np.cumsum(np.ones(len(label)) if equal == "rows" else probability)
    wanted = np.searchsorted(mass, mass[-1] * np.arange(1, bins) / bins, side="right")
    # A cut is moved to the start of the tie it would split.
    cuts = np.unique(np.searchsorted(probability, probability[np.minimum(wanted, len(label) - 1)]))
    starts = np.concatenate([[0], cuts[cuts > 0]]).astype(np.int64)
    rows = np.diff(np.concatenate([starts, [len(label)]]))
    rate = np.add.reduceat(label, starts) / rows
    low, high = _wilson(rate, rows)
    return CalibrationBins(rows, np.add.reduceat(probability, starts) / rows, rate, low, high)


def expected_calibration_error(label: np.ndarray, probability: np.ndarray, *, bins: int = 15) -> Metric:
    """Mean over rows of |mean probability − true rate| of the row's bin, bins of equal rows.

    The adaptive form of Nixon et al., "Measuring Calibration in Deep Learning" (2019).
    """
    groups = calibration_bins(label, probability, bins=bins)
    if isinstance(groups, Undefined):
        return groups
    return float(np.average(np.abs(groups.mean_probability - groups.rate), weights=groups.rows))


# ---------------------------------------------------------------- how sure a difference is


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval `[low, high]`."""

    value: float
    low: float
    high: float


def ap_gains(
    label: np.ndarray,
    score: np.ndarray,
    others: Mapping[str, np.ndarray],
    *,
    block: np.ndarray | None = None,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | Undefined]:
    """AP of `score` minus AP of each other score on the same rows, with a paired bootstrap interval.

    Each draw resamples whole blocks (a day or an entity: `block` (rows,) integers) or, without `block`, single rows,
    with replacement, and judges all scores on that same sample, so that what is hard for all of them cancels.
    Percentile interval (Efron & Tibshirani 1993, ch. 13). Cost: draws × scores × rows, one pass each (about 2
    ms per 400,000 rows).
    """
    label, score = _checked(label, score)
    if (reason := one_class(label)) is not None:
        return dict.fromkeys(others, reason)
    unit = np.arange(len(label)) if block is None else np.unique(block, return_inverse=True)[1]
    units = int(unit.max()) + 1
    rankings = [_Ranking.of(label, np.asarray(column), unit) for column in (score, *others.values())]
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, len(rankings)))
    for draw in range(draws):
        times = np.bincount(rng.integers(0, units, units), minlength=units)
        drawn[draw] = [ranking.average_precision(times) for ranking in rankings]
    model = average_precision(label, score)
    tail = (1 - confidence) / 2
    gains: dict[str, Interval | Undefined] = {}
    for column, (name, other) in enumerate(others.items(), start=1):
        difference = drawn[:, 0] - drawn[:, column]
        difference = difference[~np.isnan(difference)]
        if len(difference) < 0.95 * draws:
            gains[name] = Undefined(f"{draws - len(difference)} of {draws} bootstrap samples hold no fraud")
            continue
        floor = average_precision(label, other)
        assert not isinstance(model, Undefined) and not isinstance(floor, Undefined)
        low, high = np.quantile(difference, [tail, 1 - tail])
        gains[name] = Interval(model - floor, float(low), float(high))
    return gains


@dataclass(frozen=True)
class _Ranking:
    """A score's descending order, prepared so that AP under any resampling of units is one gather and one
    sum.

    `unit` (rows,) the resampling unit of the row at each rank; `fraud` (frauds,) the ranks of the frauds;
    `end` (frauds,) the last rank of the tie each fraud is in; `found` (frauds,) how many frauds stand at or
    above `end`.
    """

    unit: np.ndarray
    fraud: np.ndarray
    end: np.ndarray
    found: np.ndarray

    @classmethod
    def of(cls, label: np.ndarray, score: np.ndarray, unit: np.ndarray) -> _Ranking:
        order = np.argsort(-score)
        descending = -score[order]
        fraud = np.flatnonzero(label[order])
        end = np.searchsorted(descending, descending[fraud], side="right") - 1
        return cls(unit[order], fraud, end, np.searchsorted(fraud, end, side="right"))

    def average_precision(self, times: np.ndarray) -> float:
        """AP when unit u counts `times[u]` times; NaN when no fraud is left."""
        weight = times[self.unit]
        fraud_weight = weight[self.fraud]
        frauds = np.cumsum(fraud_weight)
        if frauds[-1] == 0:
            return float("nan")
        rows = np.cumsum(weight)[self.end]
        # Where nothing at or above the tie was drawn, the fraud itself was not drawn either.
        precision = frauds[self.found - 1] / np.maximum(rows, 1)
        return float(fraud_weight @ precision / frauds[-1])


# ---------------------------------------------------------------- helpers


def _checked(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    label, score = np.asarray(label), np.asarray(score, dtype=np.float64)
    assert label.shape == score.shape and label.ndim == 1, (label.shape, score.shape)
    assert not np.isnan(score).any(), "a score is NaN"
    assert np.isin(label, (0, 1)).all(), "labels other than 0 and 1: leave unlabelled rows out"
    return label.astype(np.int64), score


def _tie_groups(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frauds and non-frauds at each distinct score, highest score first: (groups,) int64 each."""
    order = np.argsort(-score)  # not stable: within a tie any order gives the same counts
    label, score = label[order], score[order]
    starts = np.flatnonzero(np.concatenate([[True], score[1:] != score[:-1]]))
    frauds = np.add.reduceat(label, starts)
    return frauds, np.diff(np.concatenate([starts, [len(score)]])) - frauds


def _positions(score: np.ndarray, day: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """For each row, how many rows (of its day) score higher and how many, itself included, the same."""
    day = np.zeros(len(score), dtype=np.int64) if day is None else np.asarray(day)
    order = np.lexsort((-score, day))
    day, score = day[order], score[order]
    rank = np.arange(len(score))
    new_day = np.concatenate([[True], day[1:] != day[:-1]])[: len(score)]
    new_tie = new_day | np.concatenate([[True], score[1:] != score[:-1]])[: len(score)]
    starts = np.flatnonzero(new_tie)
    tie = np.cumsum(new_tie) - 1
    above, size = np.empty_like(rank), np.empty_like(rank)
    above[order] = starts[tie] - np.maximum.accumulate(np.where(new_day, rank, 0))
    size[order] = np.diff(np.concatenate([starts, [len(score)]]))[tie]
    return above, size


def _value_recall(label: np.ndarray, alerted: np.ndarray, amount: np.ndarray | None) -> Metric:
    if amount is None:
        return Undefined("the rows have no amount")
    value = np.where(np.nan_to_num(amount) > 0, np.nan_to_num(amount), 0.0) * label
    if value.sum() == 0:
        return Undefined("no fraud has a positive amount")
    return float(alerted @ value / value.sum())


def _macro_f1(called_frauds: np.ndarray, called_others: np.ndarray, frauds: int, others: int) -> np.ndarray:
    """Macro F1 (n,) when that many of the frauds and that many of the others are called fraud."""
    fraud_f1 = 2 * called_frauds / (frauds + called_frauds + called_others)
    left = others - called_others
    other_f1 = 2 * left / (others + left + (frauds - called_frauds))
    return (fraud_f1 + other_f1) / 2


def _not_probabilities(probability: np.ndarray) -> Undefined | None:
    if len(probability) == 0:
        return Undefined("no labelled rows")
    if probability.min() < 0 or probability.max() > 1:
        return Undefined("the scores are not probabilities")
    return None


def _wilson(rate: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = 1.959964
    middle = (rate + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * np.sqrt(rate * (1 - rate) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
