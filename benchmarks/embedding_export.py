"""Publishing a million vectors of 64 numbers, beyond what the network takes: `python benchmarks/embedding_export.py`.

The network's embeddings of two million events are drawn, not computed; everything after them is what an export does:
windows, weighted means, the gate, Parquet, manifest. Beside it stands pandas' own way of writing the same vectors.
"""

from __future__ import annotations

import hashlib
import resource
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from results_io import RESULTS, merge_rows
from synthetic import make_payments

from gnn.blocks import Cache, NetworkInputs
from gnn.bundle import EVENTS, Bundle
from gnn.embed import Embedder
from gnn.embedding_export import snapshots_of, write_vectors
from gnn.embedding_health import HealthSpec
from gnn.embedding_schedule import Schedule
from gnn.embedding_store import Folder
from gnn.encoders import FeatureSpace, event_columns
from gnn.temporal_sage import SageSpec
from graphs.behaviour import BehaviourSpec
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

ENTITIES = 1_000_000
EVENTS_OF_LOG = 2_000_000
CREATED = 1_750_000_000_000_000


def main() -> None:
    torch.set_num_threads(2)
    embedder = drawn_embedder(payments())
    schedule = snapshots_of(embedder, Schedule(), ["user"])
    with tempfile.TemporaryDirectory() as folder:
        # Compiled kernels are loaded once in a process's life.
        run(embedder, Path(folder) / "warm", {"card": schedule["user"]})
        before = peak_mb()
        began = time.perf_counter()
        first = run(embedder, Path(folder) / "first", schedule)
        seconds = time.perf_counter() - began
        grown = peak_mb() - before
        assert first == run(embedder, Path(folder) / "second", schedule), "a repeated export differs"
        shutil.rmtree(Path(folder) / "second")
        began = time.perf_counter()
        naive(embedder, Path(folder) / "naive.parquet")
        peer = time.perf_counter() - began
    row = {
        "name": "embedding_export",
        "size": ENTITIES,
        "ours": round(seconds, 2),
        "peer": round(peer, 2),
        "peer_name": "pandas frame of arrays, to_parquet",
        "unit": "seconds for 1 M vectors of 64 float32",
        "ratio": round(peer / seconds, 2),
        "peak_mb": round(grown),
    }
    print(row)
    merge_rows(RESULTS / "speed.json", [row], ("name", "size"))


def payments() -> EventLog:
    """Payments in which each of a million users takes part at least once."""
    log = make_payments(EVENTS_OF_LOG)
    rng = np.random.default_rng(1)
    users = np.concatenate([rng.permutation(ENTITIES), rng.integers(0, ENTITIES, EVENTS_OF_LOG - ENTITIES)])
    entities = log.entities.copy()
    entities[:, 0] = rng.permutation(users)
    ids = {**log.entity_ids, "user": pa.array(np.arange(ENTITIES)).cast(pa.string())}
    return replace(log, entities=entities, entity_ids=ids)


def drawn_embedder(log: EventLog) -> Embedder:
    """An embedder whose network has spoken already: embeddings are drawn."""
    columns, model = event_columns(log), SageSpec()
    space = FeatureSpace.fit(columns, np.arange(1000))
    graph = TemporalGraph.build(log)
    bundle = Bundle(
        model, BehaviourSpec(), log.roles, log.event_types, log.event_types, {EVENTS: space}, {}, [], {}, {}, "drawn"
    )
    inputs = NetworkInputs.of(graph, space, columns, k=model.k)
    cache = Cache(0, model.width, 0)
    cache.levels = [torch.randn(len(log), model.width, generator=torch.Generator().manual_seed(0))]
    logits = np.zeros(len(log), np.float32)
    return Embedder(bundle, graph, np.ones(len(log), bool), inputs, (cache,), logits, "drawn")


def run(embedder: Embedder, store: Path, schedule: dict[str, list[tuple[int, int | None]]]) -> dict[str, str]:
    """Export, and the hash of every file written."""
    write_vectors(embedder, Folder.at(store), schedule, created=CREATED, health=HealthSpec())
    files = sorted(path for path in store.rglob("*") if path.is_file())
    return {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def naive(embedder: Embedder, path: Path) -> None:
    """The same vectors as most would write them: one frame with an array a row."""
    codes = np.arange(ENTITIES, dtype=np.int32)
    moment = int(embedder.graph.log.event_time[-1]) + 1
    vectors, _ = embedder.vectors_of("user", codes, np.full(ENTITIES, moment, np.int64))
    frame = pd.DataFrame({"user": embedder.graph.log.entity_ids["user"].to_pandas(), "embedding": list(vectors)})
    frame.to_parquet(path)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
