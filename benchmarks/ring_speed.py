"""How long finding rings takes and what memory: payments of `synthetic.py`, and components against scipy.

Each measurement is its own process. The finder gets a log in memory, scores for every payment, and a window that
holds all of them; peak memory is what it takes above that input.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from results_io import RESULTS, merge_rows
from scipy.sparse.csgraph import connected_components
from synthetic import make_payments

from graphs.config import check_config, compose
from graphs.rings.components import components
from graphs.rings.finders import Finder
from graphs.rings.run import find
from graphs.rings.suspicion import ScoreTable

NODES_PER_EDGE = 0.5


def measure_find(rows: int) -> dict[str, float]:
    """CPU seconds and peak MB of one whole run, evidence and pictures included."""
    finder = check_config(compose("find_rings", ["finder.window_days=366"])).keywords["finder"]
    assert isinstance(finder, Finder)
    _find(1000, finder)  # compile first
    return _find(rows, finder)


def _find(rows: int, finder: Finder) -> dict[str, float]:
    events = make_payments(rows)
    score = np.random.default_rng(1).beta(0.2, 8, rows)
    table = pa.table({"event_type": pa.repeat("payment", rows), "event_id": events.event_ids, "score": score})
    as_of = int(events.event_time[-1]) + 1
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of making the input, is forgotten
    before, started, clock = _memory_mb("VmRSS"), time.process_time(), time.perf_counter()
    found = find(events, replace(finder, least_p=0.0), as_of=as_of, scores=ScoreTable("random", table))
    seconds = time.process_time() - started
    peak = _memory_mb("VmHWM") - before
    wall = time.perf_counter() - clock
    return {"seconds": seconds, "wall": wall, "peak_mb": peak, "rings": found.run["counts"]["rings"]}


def measure_components(edges: int) -> dict[str, float]:
    """CPU seconds of both on the same random edges; the components must agree."""
    nodes = int(edges * NODES_PER_EDGE)
    left, right = np.random.default_rng(0).integers(0, nodes, (2, edges))
    components(9, left[:0], right[:0])
    started = time.process_time()
    ours = components(nodes, left, right)
    between = time.process_time()
    graph = sp.coo_matrix((np.ones(edges, np.int8), (left, right)), shape=(nodes, nodes)).tocsr()
    count, theirs = connected_components(graph, directed=False)
    ended = time.process_time()
    first = np.unique(ours, return_index=True)[1]
    assert len(first) == count and np.array_equal(theirs[first][ours], theirs), "the components differ"
    return {"ours": between - started, "peer": ended - between}


def _memory_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _apart(what: str, size: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", what, "--sizes", str(size)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000000,10000000", help="payments, and for the components edges")
    parser.add_argument("--measure", choices=["find", "components"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if options.measure:
        print(json.dumps({"find": measure_find, "components": measure_components}[options.measure](sizes[0])))
        return
    for size in sizes:
        found = _apart("find", size)
        row = {
            "name": "find rings: communities, all payments in the window, scored", "size": size,
            "ours": round(found["seconds"], 1), "peer": None, "peer_name": None, "unit": "CPU s", "ratio": None,
            "peak_mb": round(found["peak_mb"]), "rings": found["rings"], "wall_s": round(found["wall"], 1),
        }  # fmt: skip
        merge_rows(RESULTS / "speed.json", [row], ("name", "size"))
        print(row)
    both = _apart("components", max(sizes))
    row = {
        "name": "connected components", "size": max(sizes), "ours": round(both["ours"], 2),
        "peer": round(both["peer"], 2), "peer_name": "scipy connected_components, from edges", "unit": "CPU s",
        "ratio": round(both["peer"] / both["ours"], 2), "peak_mb": None,
    }  # fmt: skip
    merge_rows(RESULTS / "speed.json", [row], ("name", "size"))
    print(row)


if __name__ == "__main__":
    main()
