"""Connected components by union-find, and the baseline that every finder must beat: components of capped links."""

from __future__ import annotations

import numpy as np
from numba import njit


def components(nodes: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Component of each node, (nodes,) int64, numbered by smallest node; edges (n,) may be in any order, and twice."""
    parent = np.arange(nodes, dtype=np.int32 if nodes < 2**31 else np.int64)
    _join(parent, left, right)
    return _number(parent)


@njit(cache=True)
def _join(parent, left, right):  # type: ignore[no-untyped-def]
    for i in range(len(left)):
        a, b = left[i], right[i]
        # Path halving; the smaller root stays, which also makes it the component's smallest node.
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b


@njit(cache=True)
def _number(parent):  # type: ignore[no-untyped-def]
    found = np.empty(len(parent), np.int64)
    count = 0
    for node in range(len(parent)):
        root = parent[node]
        if root == node:
            found[node] = count
            count += 1
        else:
            # Roots are smaller than their nodes, so the parent has its number already.
            found[node] = found[root]
    return found
