"""P(ring): how likely a group is a ring, by a logistic formula over `FEATURES`.

The coefficients were fitted on groups found in generated worlds of the tuning seeds, where the truth is known
(`benchmarks/ring_quality.py --fit` makes them anew); one set for runs with scores and one for structure alone.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from graphs.rings.features import FEATURES

SCORED = {
    "bias": -5.0,
    "log_users": 0.5,
    "suspicion_mean": 5.0,
    "suspicion_max": 1.5,
    "suspects_share": 2.0,
    "log_link": 0.0,
    "separation": 1.5,
    "shared_per_user": 0.5,
    "exclusivity": 1.0,
    "bursts_per_user": 0.5,
    "passes_per_user": 0.5,
    "known_fraud_per_user": 0.5,
    "identifiers_per_user": 0.0,
}
STRUCTURE = {
    "bias": -3.0,
    "log_users": 0.5,
    "suspicion_mean": 0.0,
    "suspicion_max": 0.0,
    "suspects_share": 0.0,
    "log_link": 0.0,
    "separation": 1.0,
    "shared_per_user": 1.0,
    "exclusivity": 1.0,
    "bursts_per_user": 1.0,
    "passes_per_user": 1.0,
    "known_fraud_per_user": 1.0,
    "identifiers_per_user": 0.3,
}


def p_ring(features: np.ndarray, *, scored: bool) -> np.ndarray:
    """(groups,) in (0, 1) for (groups, features)."""
    weights = SCORED if scored else STRUCTURE
    return expit(weights["bias"] + features @ np.array([weights[name] for name in FEATURES]))
