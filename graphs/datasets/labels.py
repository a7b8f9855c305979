"""What the books say and when: chargebacks that come late, fraud that nobody reports, and a few false claims.

A label is what a bank would have: 1 from the day of the chargeback, 0 once the time for one has run out.
Fraud that nobody reports ends as 0, as it does in every real table; the truth stands in truth/.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphs.datasets.rhythm import DAY
from graphs.datasets.tokens import hashed_uniform

MATURITY_DAYS = 60
"""No chargeback comes later: from here on silence means 0."""

FIRST_CHARGEBACK_DAYS = 5
_FALSE_CLAIMS = 0.0005


@dataclass(frozen=True)
class Labels:
    """(rows,) each: `label` 1 or 0, `known_time` µs UTC, `known` whether the books of the last day have
    it."""

    label: np.ndarray
    known_time: np.ndarray
    known: np.ndarray


def label_events(
    rng: np.random.Generator,
    times: np.ndarray,
    fraud: np.ndarray,
    holder: np.ndarray,
    *,
    seed: int,
    unreported_share: float,
    books_close: int,
) -> Labels:
    """Labels of events at `times` (rows,) µs with the truth `fraud` (rows,) bool.

    `holder` (rows,) is who would complain (a card, a sender): the same holder reports, or never does, and
    about equally fast. Labels not known before `books_close` (µs) are not known at all.
    """
    reports = hashed_uniform(holder, seed=seed) >= unreported_share
    charged = (fraud & reports) | (rng.random(len(times)) < _FALSE_CLAIMS)
    habit = hashed_uniform(holder, seed=seed + 1) ** 1.7
    delay = (
        FIRST_CHARGEBACK_DAYS + 0.9 * habit * (MATURITY_DAYS - FIRST_CHARGEBACK_DAYS) + rng.uniform(0, 5, len(times))
    )
    days = np.where(charged, np.minimum(delay, MATURITY_DAYS - 0.5), float(MATURITY_DAYS))
    known_time = times + (days * DAY).astype(np.int64)
    return Labels(charged.astype(np.int8), known_time, known_time < books_close)
