"""Where a ring's entities stand in its picture: the same ring, the same picture.

Stress majorisation (Gansner, Koren, North 2004): distances on paper follow distances in the graph. It starts from a
circle in the order given, so nothing in it is random.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import shortest_path

_ROUNDS = 120
_MOST = 150
"""Larger graphs are laid out on a spiral in the order given: nobody reads distances among hundreds of shapes, and
stress takes time quadratic in the nodes."""


def lay_out(nodes: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Positions (nodes, 2) float64 in [0, 1] of a graph with edges (n,) between node numbers."""
    if nodes <= 1:
        return np.full((nodes, 2), 0.5)
    if nodes > _MOST:
        return _spiral(nodes)
    graph = sp.coo_matrix((np.ones(len(left)), (left, right)), shape=(nodes, nodes)).tocsr()
    distance = shortest_path(graph, directed=False, unweighted=True)
    far = distance[np.isfinite(distance)].max(initial=1.0) + 1
    distance = np.where(np.isfinite(distance), distance, far)
    angle = 2 * np.pi * np.arange(nodes) / nodes
    # A circle of two radii breaks the symmetry in which a node could get stuck between two others.
    place = np.column_stack([np.cos(angle), np.sin(angle)]) * (1 + 0.2 * (np.arange(nodes) % 2))[:, None]
    weight = np.divide(1.0, distance**2, out=np.zeros_like(distance), where=distance > 0)
    total = weight.sum(axis=1)
    for _ in range(_ROUNDS):
        offset = place[:, None, :] - place[None, :, :]
        length = np.sqrt((offset**2).sum(axis=2))
        pull = np.divide(distance, length, out=np.zeros_like(distance), where=length > 1e-9)
        wanted = (weight[:, :, None] * (place[None, :, :] + offset * pull[:, :, None])).sum(axis=1)
        place = wanted / total[:, None]
    return _into_unit_square(place)


def _spiral(nodes: int) -> np.ndarray:
    """A sunflower: every node has the same room (Vogel 1979)."""
    place = np.arange(nodes)
    turn, radius = place * np.pi * (3 - np.sqrt(5)), 0.5 * np.sqrt(place / nodes)
    return np.round(0.5 + np.column_stack([np.cos(turn), np.sin(turn)]) * radius[:, None], 5)


def _into_unit_square(place: np.ndarray) -> np.ndarray:
    """Turned so that the longer axis lies flat, then stretched into [0, 1]: in height up to 1.6 times as much as in
    width, since paper is wide."""
    centred = place - place.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # The sign of an axis is arbitrary: its largest entry is made positive.
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    turned = centred @ (axes * signs[:, None]).T
    span = np.maximum(turned.max(axis=0) - turned.min(axis=0), 1e-9)
    scale = np.maximum(span, [span[0], span[0] / 1.6])
    return np.round(0.5 + (turned - (turned.max(axis=0) + turned.min(axis=0)) / 2) / scale, 5).clip(0, 1)
