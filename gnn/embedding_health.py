"""The gate before publishing: vectors that are broken or say nothing never reach a feature store.

A NaN, a network that has collapsed onto one direction and a column that is the same for everybody all pass through a
file format unnoticed, and are found weeks later in the model behind it. Everything here is summed up batch by batch,
so the gate costs no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphs.errors import ConfigError, RingtraceError


class UnhealthyVectorsError(RingtraceError):
    """The model's vectors may not be published; nothing was written."""

    http_status = 422


@dataclass(frozen=True)
class HealthSpec:
    """What vectors must fulfil: no NaN or infinity ever; and among at least `fewest_rows` rows that are no strangers,
    every column spreads by at least `least_spread` (standard deviation), and the variance does not lie in fewer than
    `least_directions` directions (participation ratio of the covariance's eigenvalues)."""

    fewest_rows: int = 100
    least_spread: float = 1e-5
    least_directions: float = 1.2

    def __post_init__(self) -> None:
        if self.fewest_rows < 2:
            raise ConfigError(f"fewest_rows: got {self.fewest_rows}, expected at least 2")


class VectorTally:
    """Counts, norms, means and covariance of the vectors of one table, as they go by.

    Sums are of float64 distances from `centre`, the first rows' mean: a column that is the same in all rows but not
    zero would otherwise seem to spread, by what rounding leaves of the difference of two large sums.
    """

    def __init__(self, dimension: int) -> None:
        self.rows = self.new = self.broken = 0
        self.norm_sum = 0.0
        self.norm_low, self.norm_high = np.inf, 0.0
        self.centre: np.ndarray | None = None
        self.total = np.zeros(dimension)
        self.products = np.zeros((dimension, dimension))

    def add(self, vectors: np.ndarray, is_new: np.ndarray | None = None) -> None:
        """Take in rows (n, dimension); strangers are counted and left out of everything else."""
        self.rows += len(vectors)
        if is_new is not None and is_new.any():
            self.new += int(is_new.sum())
            vectors = vectors[~is_new]
        if not len(vectors):
            return
        finite = np.isfinite(vectors).all(1)
        if not finite.all():
            self.broken += int((~finite).sum())
            vectors = vectors[finite]
        if not len(vectors):
            return
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        self.norm_sum += float(norms.sum())
        self.norm_low = min(self.norm_low, float(norms.min()))
        self.norm_high = max(self.norm_high, float(norms.max()))
        if self.centre is None:
            self.centre = vectors.mean(0, dtype=np.float64)
        away = vectors - self.centre
        self.total += away.sum(0)
        self.products += away.T @ away

    @property
    def judged(self) -> int:
        """Rows that count: neither strangers nor broken."""
        return self.rows - self.new - self.broken

    @property
    def covariance(self) -> np.ndarray:
        """(dimension, dimension) of the judged rows."""
        mean = self.total / max(self.judged, 1)
        return self.products / max(self.judged, 1) - np.outer(mean, mean)

    @property
    def directions(self) -> float:
        """Participation ratio (Σλ)² / Σλ² of the covariance: in how many directions the vectors spread."""
        values = np.clip(np.linalg.eigvalsh(self.covariance), 0, None)
        return float(values.sum() ** 2 / (values**2).sum()) if values.sum() > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """What the manifest says of the vectors."""
        known = self.judged > 0
        return {
            "rows": self.rows,
            "new": self.new,
            "norm": {
                "mean": round(self.norm_sum / self.judged, 6) if known else None,
                "min": round(self.norm_low, 6) if known else None,
                "max": round(self.norm_high, 6) if known else None,
            },
            "directions": round(self.directions, 3) if known else None,
        }

    def faults(self, name: str, spec: HealthSpec) -> list[str]:
        """Why these vectors may not be published; empty when they may."""
        found = []
        if self.broken:
            found.append(f"{name}: {self.broken:,} of {self.rows:,} vectors hold NaN or infinity")
        if self.judged < spec.fewest_rows:
            return found
        spread = np.sqrt(np.clip(np.diag(self.covariance), 0, None))
        constant = np.flatnonzero(spread < spec.least_spread)
        if len(constant) == len(spread):
            found.append(f"{name}: all {self.judged:,} vectors are the same")
        elif len(constant):
            shown = ", ".join(str(place) for place in constant[:8]) + (", …" if len(constant) > 8 else "")
            found.append(f"{name}: {len(constant)} of {len(spread)} columns are the same in all rows ({shown})")
        if len(constant) < len(spread) and self.directions < spec.least_directions:
            found.append(
                f"{name}: the vectors have collapsed onto {self.directions:.2f} of {len(spread)} directions "
                f"(at least {spec.least_directions:g} are asked for)"
            )
        return found


def refuse_unhealthy(tallies: dict[str, VectorTally], spec: HealthSpec) -> None:
    """Raise UnhealthyVectorsError with all that is wrong with any of the tables."""
    faults = [fault for name, tally in tallies.items() for fault in tally.faults(name, spec)]
    if faults:
        remedy = "Nothing was published. Train again (a lower learning rate, other seed), or look at the input columns."
        raise UnhealthyVectorsError("\n".join([*faults, remedy]))
