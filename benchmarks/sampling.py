"""Sampling the most recent neighbours of a million payments strictly before each: windows and subgraphs.

Two shapes of answer. "Padded windows" are what the causal GraphSAGE reads: the last k events of each role's entity as
one dense array. "Disjoint subgraphs" are what PyG's loaders want: nodes, edges and seed of each. The peers that have
compiled samplers of their own (pyg-lib, DGL, GraphBolt, torch-sparse) are not on the package index, so subgraphs stand
without a peer of the same run; the note names what pyg-lib needed elsewhere. The peer of the windows is what one would
write in pandas.

CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from results_io import RESULTS, merge_rows
from synthetic import make_payments
from torch_geometric.sampler import NodeSamplerInput

from gnn.interop import EVENT, TemporalSampler
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

FANOUTS = (15, 10)


def us_per_seed(act: Callable[[], object], seeds: int, repeats: int = 5) -> float:
    """Best of a few, after one that compiles."""
    act()
    found = []
    for _ in range(repeats):
        began = time.process_time()
        act()
        found.append(time.process_time() - began)
    return min(found) / seeds * 1e6


def windows_by_pandas(log: EventLog, k: int) -> np.ndarray:
    """The last k events of each role's entity by shifts within groups (events of one instant are not kept apart)."""
    rows = pd.Series(np.arange(len(log), dtype=np.float64))
    found = []
    for slot in range(len(log.roles)):
        grouped = rows.groupby(log.entities[:, slot], sort=False)
        found.append(np.stack([grouped.shift(step).fillna(-1).to_numpy(np.int32) for step in range(1, k + 1)], 1))
    return np.stack(found, 1)


def compare(rows: int, k: int) -> list[dict[str, object]]:
    """One row for windows, one for subgraphs."""
    log = make_payments(rows)
    graph = TemporalGraph.build(log)
    ours, theirs = graph.windows(k).events, windows_by_pandas(log, k)
    apart = np.flatnonzero(np.diff(log.event_time, prepend=-1) > 0)
    differing = (ours[apart] != theirs[apart]).any(axis=(1, 2)).mean()
    assert differing < 0.001, "windows differ by more than the events of one instant can explain"
    windows = us_per_seed(lambda: graph.windows(k), rows)
    by_pandas = us_per_seed(lambda: windows_by_pandas(log, k), rows, repeats=1)
    sampler = TemporalSampler(graph, FANOUTS)
    seeds = torch.from_numpy(np.random.default_rng(0).permutation(rows)[: 64 * 1024])
    batches = [NodeSamplerInput(part, part, None, EVENT) for part in seeds.split(1024)]
    subgraphs = us_per_seed(lambda: [sampler.sample_from_nodes(batch) for batch in batches], len(seeds))
    return [
        {
            "name": f"sample the last {k} per role, padded windows",
            "size": rows,
            "ours": round(windows, 3),
            "peer": round(by_pandas, 3),
            "peer_name": "pandas groupby shift",
            "unit": "CPU µs a seed",
            "ratio": round(by_pandas / windows, 1),
        },
        {
            "name": f"sample {list(FANOUTS)} most recent, disjoint subgraphs, behind PyG's sampler protocol",
            "size": rows,
            "ours": round(subgraphs, 3),
            "peer": None,
            "peer_name": None,
            "unit": "CPU µs a seed",
            "ratio": None,
            "note": "no peer to be had from the package index; pyg-lib was measured at 7.7 µs on another machine",
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = compare(options.rows, options.k)
    for row in rows:
        print(row)
    merge_rows(RESULTS / "speed.json", rows, ("name", "size"))


if __name__ == "__main__":
    main()
