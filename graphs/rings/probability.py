"""P(ring): how likely a group is a ring, by a logistic formula over `FEATURES`.

The coefficients were fitted on groups found in generated worlds of the tuning seeds, where the truth is known
(`benchmarks/ring_quality.py --fit` makes them anew); one set for runs with scores and one for structure alone.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from graphs.rings.features import FEATURES

SCORED = {
    "bias": -6.51,
    "log_users": 3.1,
    "suspicion_mean": 1.39,
    "suspicion_max": 0.98,
    "suspects_share": 1.06,
    "log_link": 0.74,
    "separation": 3.15,
    "shared_per_user": -0.43,
    "exclusivity": 0.11,
    "bursts_per_user": -0.74,
    "passes_per_user": -0.14,
    "known_fraud_per_user": 0.83,
    "identifiers_per_user": -0.65,
}
STRUCTURE = {
    "bias": -9.63,
    "log_users": 1.93,
    "suspicion_mean": 0.0,
    "suspicion_max": 0.0,
    "suspects_share": 0.0,
    "log_link": 2.31,
    "separation": 1.95,
    "shared_per_user": 0.97,
    "exclusivity": -3.03,
    "bursts_per_user": 2.3,
    "passes_per_user": 3.23,
    "known_fraud_per_user": 0.0,
    "identifiers_per_user": 3.55,
}


def p_ring(features: np.ndarray, *, scored: bool) -> np.ndarray:
    """(groups,) in (0, 1) for (groups, features)."""
    weights = SCORED if scored else STRUCTURE
    return expit(weights["bias"] + features @ np.array([weights[name] for name in FEATURES]))
