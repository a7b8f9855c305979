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
from graphs.events import EventLog
from graphs.folders import check_replaceable
from graphs.ingest import ingest_into
from graphs.schema import DataSchema
from graphs.store import LOG, fingerprint, save_log
from graphs.temporal_graph import GRAPH, TemporalGraph

log = logging.getLogger(__name__)


def make_world(*, world: WorldSpec, output: str) -> Path:
    """Write a generated world of payments with planted rings into `output`."""
    made = write_world(world, Path(output))
    rows = ", ".join(f"{count:,} {table}" for table, count in made.rows.items())
    log.info("%s; %d rings, %d fraudulent payments", rows, made.rings, made.fraud_payments)
    return made.folder


def ingest(*, data: Mapping[str, Any], output: str) -> Path:
    """Read and validate the tables of `data`; write the event log and validation.json into `output`."""
    check_replaceable(Path(output) / "log", *LOG)
    events = _read(data, Path(output))
    save_log(events, Path(output) / "log")
    log.info("data fingerprint %s", fingerprint(events))
    return Path(output)


def build_graph(*, data: Mapping[str, Any], output: str) -> Path:
    """Ingest the tables of `data` and write their temporal graph into `output` as memory-mapped arrays."""
    check_replaceable(Path(output) / "graph", *GRAPH)
    graph = TemporalGraph.build(_read(data, Path(output)))
    graph.save(Path(output) / "graph")
    links = sum(len(timeline.events) for timeline in graph.timelines.values())
    log.info("graph of %d events and %d links to entities", len(graph.log), links)
    return Path(output)


def _read(data: Mapping[str, Any], folder: Path) -> EventLog:
    """The event log of `data`; what was doubtful or at fault in the tables is kept in validation.json."""
    return ingest_into(DataSchema.from_config(data), folder).log
