"""From raw logits to probabilities that mean what they say, without losing the ranking.

A network trained with class weights or on sampled negatives ranks well and lies about probability. The
calibrator is fitted on validation rows and is always one thing: a strictly increasing, piecewise linear map
from logit to calibrated logit. Strictly, because plain isotonic regression is a staircase: it turns whole
stretches of the ranking into ties, and AP and every alert budget get worse by "calibrating".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, log_expit, logit

from graphs.errors import ConfigError

METHODS = ("isotonic", "temperature")

FEW = 20
"""With fewer frauds (or fewer non-frauds) than this, a line is all that validation can carry."""

PRIOR_ROWS = 5.0
"""An isotonic block counts this many rows of the line's opinion, so that 3 of 3 is not read as certain."""

REACH = 60.0
"""How far the map is continued beyond the outermost knots, in logits; expit has long saturated there."""


@dataclass(frozen=True, eq=False)
class Calibrator:
    """The fitted map: `knots` (n,) logits ascending, `values` (n,) calibrated logits ascending, linear in
    between.

    `method` was asked for, `fitted` is what the rows allowed ("isotonic", "temperature" or "identity"),
    `reason` says why when they differ. `rows` and `frauds` are what it was fitted on.

    >>> calibrator(np.array([-2.0, 0.5]))   # logits in, probabilities out
    array([0.003, 0.041])
    """

    method: str
    fitted: str
    knots: np.ndarray
    values: np.ndarray
    rows: int
    frauds: int
    reason: str | None = None

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities, float64, in the shape of `logits`; each depends on its own logit only."""
        return expit(np.interp(np.asarray(logits, dtype=np.float64), self.knots, self.values))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and text, exact to the bit through JSON and YAML."""
        return {
            "method": self.method,
            "fitted": self.fitted,
            "reason": self.reason,
            "rows": self.rows,
            "frauds": self.frauds,
            "knots": self.knots.tolist(),
            "values": self.values.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibrator:
        """The inverse of `to_dict`. ConfigError when the arrays are no increasing map."""
        knots, values = (np.asarray(stored[name], dtype=np.float64) for name in ("knots", "values"))
        increasing = len(knots) >= 2 and (np.diff(knots) > 0).all() and (np.diff(values) > 0).all()
        if knots.shape != values.shape or not increasing:
            raise ConfigError("calibration: knots and values must be of equal length and strictly increasing")
        plain = {name: stored[name] for name in ("method", "fitted", "reason", "rows", "frauds")}
        return cls(knots=knots, values=values, **plain)


def fit_calibrator(logits: np.ndarray, labels: np.ndarray, *, method: str = "isotonic") -> Calibrator:
    """A calibrator for raw `logits` (rows,) of labelled validation rows; `labels` (rows,) in {0, 1}.

    "temperature" is a line a·z + b with a > 0, fitted by maximum likelihood on Platt's smoothed targets
    (Platt 1999); Guo et al. (2017) have a alone, but class weights shift logits, hence b. "isotonic" starts
    from that line, groups the rows by isotonic regression (Zadrozny & Elkan 2002), shrinks each group's fraud
    rate towards the line by `PRIOR_ROWS` rows, and interpolates between the groups' centres in logit space;
    beyond them the line's slope goes on. Fewer than `FEW` rows of a class give the line, one class the
    identity, both with the reason.
    """
    if method not in METHODS:
        raise ConfigError(f"calibration: expected one of {', '.join(METHODS)}, got {method!r}")
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    assert z.shape == y.shape and z.ndim == 1 and np.isfinite(z).all() and np.isin(y, (0, 1)).all()
    rows, frauds = len(z), int(y.sum())
    fewest = min(frauds, rows - frauds)
    if fewest == 0:
        missing = "fraud" if frauds == 0 else "non-fraud"
        none = f"no {missing} among the {rows:,} validation rows: raw probabilities are passed on"
        ends = np.array([-REACH, REACH])
        return Calibrator(method, "identity", ends, ends, rows, frauds, none)
    slope, bias = _fit_line(z, y)
    if method == "isotonic" and fewest >= FEW:
        knots, values = _isotonic_knots(z, y, slope, bias)
        return Calibrator(method, "isotonic", *_continued(knots, values, slope), rows, frauds)
    rare = ("fraud" if frauds <= rows - frauds else "non-fraud") + ("s" if fewest > 1 else "")
    few = f"only {fewest:,} {rare} among the {rows:,} validation rows: a line instead of isotonic"
    reason = few if method == "isotonic" else None
    centre = np.array([np.median(z)])
    return Calibrator(method, "temperature", *_continued(centre, slope * centre + bias, slope), rows, frauds, reason)


def _fit_line(z: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope > 0 and bias of the maximum-likelihood line; standardised inside, so that any logit scale
    converges.
    """
    frauds, others = y.sum(), len(y) - y.sum()
    target = np.where(y == 1, (frauds + 1) / (frauds + 2), 1 / (others + 2))
    centre, spread = z.mean(), z.std() or 1.0
    x = (z - centre) / spread

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(line[0])
        out = slope * x + line[1]
        error = (expit(out) - target) / len(x)
        value = -np.mean(target * log_expit(out) + (1 - target) * log_expit(-out))
        return float(value), np.array([slope * (error @ x), error.sum()])

    # exp(-7): a score that is useless, or worse than useless, still keeps its order.
    start = np.array([0.0, float(logit(target.mean()))])
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-7.0, 7.0), (-50.0, 50.0)])
    slope = float(np.exp(fitted.x[0]) / spread)
    return slope, float(fitted.x[1] - slope * centre)


def _isotonic_knots(z: np.ndarray, y: np.ndarray, slope: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the isotonic groups and their calibrated logits, both strictly increasing."""
    values, inverse = np.unique(z, return_inverse=True)
    weight = np.bincount(inverse).astype(np.float64)
    rate = np.bincount(inverse, weights=y) / weight
    group = _group_of(isotonic_regression(rate, weights=weight).x)
    rows = np.bincount(group, weights=weight)
    line = np.bincount(group, weights=weight * expit(slope * values + bias)) / rows
    shrunk = (np.bincount(group, weights=weight * rate) + PRIOR_ROWS * line) / (rows + PRIOR_ROWS)
    # A small group is shrunk further than its large neighbour and may fall behind it: order them once more.
    again = _group_of(isotonic_regression(shrunk, weights=rows).x)
    total = np.bincount(again, weights=rows)
    centre = np.bincount(again[group], weights=weight * values) / total
    return centre, logit(np.bincount(again, weights=rows * shrunk) / total)


def _group_of(increasing: np.ndarray) -> np.ndarray:
    """Numbers the stretches of equal values: (n,) int64 from 0."""
    return np.concatenate([[0], np.cumsum(np.diff(increasing) > 0)])


def _continued(knots: np.ndarray, values: np.ndarray, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """The map with a further knot `REACH` beyond either end, at the given slope."""
    return (
        np.concatenate([[knots[0] - REACH], knots, [knots[-1] + REACH]]),
        np.concatenate([[values[0] - slope * REACH], values, [values[-1] + slope * REACH]]),
    )
