"""Graph build: four id columns and a time column to codes and time-sorted CSR, against pandas and numpy.

Each measurement is its own process that loads its input, warms up on a few rows and then builds once; peak memory
is what it takes above that. Ours and the peer's timelines are compared event by event before anything is written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from results_io import RESULTS, merge_rows

from graphs.ids import encode_ids
from graphs.windows import in_order, incidences, order_by_time

ENTITIES = {"user": 100_000, "card": 150_000, "device": 80_000, "merchant": 5_000}
CASES = ("int64 ids", "int64 ids, rows in time order", "text ids")
YEAR = 365 * 86_400_000_000

Columns = list[pa.Array]
Line = tuple[np.ndarray, np.ndarray, np.ndarray]


def build_ours(columns: Columns, times: np.ndarray) -> list[Line]:
    """Return per entity type offsets, the input rows in time order and the events (places therein)."""
    order = order_by_time(times)
    entities = np.empty((len(times), len(columns)), np.int32)
    counts = []
    for place, column in enumerate(columns):
        codes, distinct = encode_ids(column)
        entities[:, place] = in_order(codes, order)
        counts.append(len(distinct))
    as_they_stand = np.empty(0, np.int32)
    found = [incidences(entities, as_they_stand, np.array([i]), count) for i, count in enumerate(counts)]
    return [(offsets, order, events) for offsets, events, *_ in found]


def build_peer(columns: Columns, times: np.ndarray) -> list[Line]:
    """Return the same by pandas factorize and numpy lexsort."""
    lines = []
    for column in columns:
        keys = column.to_numpy() if pa.types.is_integer(column.type) else pd.Series(column, dtype="string[pyarrow]")
        codes, distinct = pd.factorize(keys)
        events = np.lexsort((times, codes))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(distinct)))])
        lines.append((offsets, np.empty(0, np.int32), events))
    return lines


BUILDERS: dict[str, Callable[[Columns, np.ndarray], list[Line]]] = {"ours": build_ours, "peer": build_peer}


def make_input(case: str, rows: int, file: Path) -> None:
    """Write payments whose entities follow a Zipf law (exponent .9) under keys without any order."""
    rng = np.random.default_rng(0)
    table = {}
    for name, count in ENTITIES.items():
        share = np.cumsum(1 / np.arange(1, count + 1) ** 0.9)
        picks = np.searchsorted(share / share[-1], rng.random(rows)).clip(0, count - 1)
        keys = pa.array(rng.integers(1 << 62, size=count)[picks])
        table[name] = keys.cast(pa.string()) if case.startswith("text") else keys
    times = rng.integers(0, YEAR, rows)
    table["time"] = np.sort(times) if "time order" in case else times
    columns = pa.table(table)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, columns.schema) as writer:
        writer.write_table(columns, max_chunksize=rows)


def measure(who: str, file: Path) -> None:
    """Print the CPU seconds, peak MB above the input and a checksum of one build, as JSON."""
    with pa.OSFile(str(file)) as source:
        table = pa.ipc.open_file(source).read_all()
    columns = [table[name].chunk(0) for name in ENTITIES]
    times = table["time"].to_numpy().copy()
    build = BUILDERS[who]
    build([column[:9] for column in columns], times[:9][::-1].copy())
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of loading, is forgotten
    before = _memory_mb("VmRSS")
    started = time.process_time()
    lines = build(columns, times)
    seconds = time.process_time() - started
    peak = _memory_mb("VmHWM") - before
    position = np.arange(len(times), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    sums = []
    for offsets, order, events in lines:
        rows = order[events] if len(order) else events
        sums.append(int(np.sum(rows.astype(np.uint64) * position)) + int(offsets.sum()))
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "sums": sums}))


def _memory_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def compare(case: str, rows: int, repeats: int) -> dict[str, object]:
    """Measure both in turn; the best of each counts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "payments.arrow"
        make_input(case, rows, file)
        found: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
        for _ in range(repeats):
            for who, runs in found.items():
                command = [sys.executable, __file__, "--measure", who, "--input", str(file)]
                runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert len({str(run["sums"]) for runs in found.values() for run in runs}) == 1, "the timelines differ"
    ours, peer = (min(run["seconds"] for run in found[who]) for who in ("ours", "peer"))
    return {
        "name": f"graph build: 4 id columns + time-sorted CSR, {case}",
        "size": rows,
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "peer_name": "pandas factorize + numpy lexsort",
        "unit": "CPU s",
        "ratio": round(peer / ours, 2),
        "peak_mb": round(max(run["peak_mb"] for run in found["ours"])),
        "peer_peak_mb": round(max(run["peak_mb"] for run in found["peer"])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", choices=list(BUILDERS), help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.input)
        return
    rows = []
    for case in CASES:
        rows.append(compare(case, options.rows, options.repeats))
        print(rows[-1])
    merge_rows(RESULTS / "speed.json", rows, ("name", "size"))


if __name__ == "__main__":
    main()
