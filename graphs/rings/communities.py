"""Communities of a weighted graph: seeded Leiden with the constant Potts model (Traag, Waltman, van Eck 2019).

Modularity merges small rings in a large graph (its resolution limit); CPM asks of every community the same density,
`resolution`, however large the graph is. The library is graspologic-native (MIT).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from graspologic_native import leiden_csr


def communities(links: sp.csr_matrix, *, resolution: float, seed: int, trials: int = 1) -> np.ndarray:
    """Community of each node, (nodes,) int64, -1 for nodes without a link.

    Communities are numbered by their smallest node. `resolution` is in units of link weight: nodes stay together
    while the mean weight between them is above it. The same graph and seed give the same answer.
    """
    active = np.flatnonzero(np.diff(links.indptr))
    found = np.full(links.shape[0], -1, np.int64)
    if not len(active):
        return found
    inner = links[active][:, active].tocsr()
    inner.sort_indices()
    _, by_node = leiden_csr(
        inner.indptr.astype(np.int64),
        inner.indices.astype(np.int32),
        inner.data.astype(np.float64),
        len(active),
        resolution=resolution,
        use_modularity=False,
        iterations=2,
        seed=seed,
        trials=trials,
    )
    raw = np.array([by_node[node] for node in range(len(active))], np.int64)
    _, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
    found[active] = np.argsort(np.argsort(first))[inverse]
    return found
