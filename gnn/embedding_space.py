"""Whether two sets of vectors lie in one space, and turning a retrained network's vectors into the old one.

Two trainings may find the same geometry in different coordinates: distances inside each set hold, distances across
them mean nothing. An orthogonal map that brings anchors, things both have vectors of, onto each other keeps every
distance and angle (orthogonal Procrustes, Schönemann 1966). What it can't bring together is told as the residual, on
anchors that it was not fitted on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gnn.embedding_table import vectors_of
from graphs.errors import ConfigError

PAIRED_AT_MOST = 2_000
NEIGHBOURS = 10


@dataclass(frozen=True)
class AlignmentSpec:
    """When a retrained network may go on in an older space: at most `max_residual` of the anchors' length is left
    over, judged on at least `fewest_anchors` of them."""

    max_residual: float = 0.35
    fewest_anchors: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.max_residual <= 2:
            raise ConfigError(f"max_residual: got {self.max_residual}, expected a share in [0, 2]")


@dataclass(frozen=True)
class Alignment:
    """`rotation` (dimension, dimension) float32 orthogonal: new @ rotation lies where old lay. `residual` is what is
    left, as a share of the old vectors' length; `unaligned` the same without turning."""

    rotation: np.ndarray
    residual: float
    unaligned: float
    anchors: int

    def to_json(self) -> dict[str, Any]:
        """What a manifest says of it; the map itself stands in space.safetensors."""
        return {"residual": round(self.residual, 4), "unaligned": round(self.unaligned, 4), "anchors": self.anchors}


def align(new: np.ndarray, old: np.ndarray) -> Alignment:
    """The orthogonal map from `new` (anchors, dimension) to `old`, row i of both being the same thing.

    Every second anchor is fitted, the others judge.

    >>> quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> align(old @ quarter, old).residual < 1e-6
    True
    """
    assert new.shape == old.shape and len(new) >= 2, (new.shape, old.shape)
    fitted, judged = slice(0, None, 2), slice(1, None, 2)
    left, _, right = np.linalg.svd(new[fitted].astype(np.float64).T @ old[fitted].astype(np.float64))
    rotation = left @ right
    return Alignment(
        rotation.astype(np.float32),
        _left_over(new[judged] @ rotation, old[judged]),
        _left_over(new[judged], old[judged]),
        len(new),
    )


def _left_over(vectors: np.ndarray, wanted: np.ndarray) -> float:
    length = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(vectors - wanted)) / length if length else 0.0


@dataclass(frozen=True)
class SpaceDrift:
    """How two sets of vectors of the same things differ, whatever way each is turned.

    `cosine_change` is the mean absolute difference of the cosines of all pairs within each set, `neighbours_kept`
    the mean share of the ten nearest that are the same, `residual` what an orthogonal map leaves over (None for
    different dimensions). `verdict` is one line.
    """

    common: int
    cosine_change: float
    neighbours_kept: float
    residual: float | None
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dump`."""
        return asdict(self)


def compare_spaces(old: pa.Table, new: pa.Table, key: str, *, no_change: float = 0.02) -> SpaceDrift:
    """Compare two tables of vectors on the `key`s that both hold, by measures that a rotation does not move.

    `no_change`: the mean change of a cosine up to which the two say the same. Raises ConfigError with fewer than
    three common keys.
    """
    mine, theirs = (_newest_by_key(table, key) for table in (old, new))
    common = sorted(set(mine) & set(theirs))
    if len(common) < 3:
        raise ConfigError(f"the two tables have {len(common)} values of {key} in common; at least 3 are needed")
    kept = [common[i] for i in np.linspace(0, len(common) - 1, min(len(common), PAIRED_AT_MOST)).round().astype(int)]
    before = vectors_of(old)[[mine[one] for one in kept]].astype(np.float64)
    after = vectors_of(new)[[theirs[one] for one in kept]].astype(np.float64)
    one, two = cosines(before), cosines(after)
    pairs = np.triu_indices(len(kept), 1)
    change = float(np.abs(one[pairs] - two[pairs]).mean())
    nearest = min(NEIGHBOURS, len(kept) - 1)
    kept_neighbours = float(np.mean([len(a & b) / nearest for a, b in zip(*map(_nearest, (one, two)), strict=True)]))
    residual = align(after, before).residual if before.shape == after.shape and len(kept) >= 4 else None
    said = "no change" if change <= no_change else "changed"
    verdict = f"{said}: the cosines within each set differ by {change:.3f} on average over {len(kept):,} common rows"
    return SpaceDrift(len(common), change, kept_neighbours, residual, verdict)


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Cosine of every pair of rows (n, n); 0 for a zero vector."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit @ unit.T


def _nearest(similarity: np.ndarray) -> list[set[int]]:
    hidden = similarity.copy()
    np.fill_diagonal(hidden, -np.inf)
    count = min(NEIGHBOURS, len(hidden) - 1)
    return [set(row.tolist()) for row in np.argsort(-hidden, axis=1, kind="stable")[:, :count]]


def _newest_by_key(table: pa.Table, key: str) -> dict[str, int]:
    """Row of the newest vector of every key."""
    order = np.arange(len(table))
    if "event_timestamp" in table.column_names:
        order = pc.sort_indices(table["event_timestamp"]).to_numpy()
    keys = table[key].to_pylist()
    return {keys[row]: int(row) for row in order}
