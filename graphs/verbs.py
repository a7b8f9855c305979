"""The verbs that need no model: each function is what one top-level config names, its keywords the keys.

They tie packages together and write one folder each; what they do is told in the modules they call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphs.datasets.world import WorldSpec
from graphs.datasets.world import make_world as write_world
from graphs.ingest import ingest as read_tables
from graphs.schema import DataSchema
from graphs.store import fingerprint, save_log
from graphs.temporal_graph import TemporalGraph

log = logging.getLogger(__name__)


def make_world(*, world: WorldSpec, output: str) -> Path:
    """Write a generated world of payments with planted rings into `output`."""
    made = write_world(world, Path(output))
    rows = ", ".join(f"{count:,} {table}" for table, count in made.rows.items())
    log.info("%s; %d rings, %d fraudulent payments", rows, made.rings, made.fraud_payments)
    return made.folder


def ingest(*, data: Mapping[str, Any], output: str) -> Path:
    """Read and validate the tables of `data`; write the event log and the validation report into `output`."""
    ingested = read_tables(DataSchema.from_config(dict(data)))
    folder = Path(output)
    save_log(ingested.log, folder / "log")
    log.info("%d events, data fingerprint %s", len(ingested.log), fingerprint(ingested.log))
    return folder


def build_graph(*, data: Mapping[str, Any], output: str) -> Path:
    """Ingest the tables of `data` and write their temporal graph into `output` as memory-mapped arrays."""
    ingested = read_tables(DataSchema.from_config(dict(data)))
    graph = TemporalGraph.build(ingested.log)
    graph.save(Path(output) / "graph")
    log.info("graph of %d events", len(graph.log))
    return Path(output)
