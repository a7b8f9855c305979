"""Promise 1 on the real data sets, by brute force: the same logits with and without everything that came later."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gnn.blocks import NetworkInputs, embed_all
from gnn.bundle import EVENTS, build_network
from gnn.encoders import Columns, FeatureSpace, event_columns
from gnn.temporal_sage import SageSpec
from graphs.behaviour import BehaviourSpec, behaviour_features
from graphs.config import compose
from graphs.events import EventLog
from graphs.ingest import ingest
from graphs.schema import DataSchema
from graphs.temporal_graph import TemporalGraph

FOLDER = Path(os.environ.get("RINGTRACE_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
EVENTS_COMPARED = 20_000
BEHAVIOUR = BehaviourSpec(windows_hours=(24, 720), label_windows_hours=(720,))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], EventLog]:
    def reading(name: str) -> EventLog:
        if not (FOLDER / name).is_dir():
            pytest.skip(f"no {name} under {FOLDER}; set RINGTRACE_DATA to the folder of the data sets")
        monkeypatch.setenv("RINGTRACE_DATA", str(FOLDER))
        return ingest(DataSchema.from_config(compose("ingest", [f"data={name}"])["data"])).log

    return reading


def columns_of(graph: TemporalGraph) -> Columns:
    table = behaviour_features(graph, BEHAVIOUR)
    return event_columns(graph.log).with_numeric(table.names, table.values)


@pytest.mark.parametrize("name", ["sffsd", "p2p", "fdh", "graphfaker_medium"])
def test_what_came_later_changes_no_logit(read: Callable[[str], EventLog], name: str) -> None:
    log = read(name)
    now, later = log.event_time[[EVENTS_COMPARED, EVENTS_COMPARED + EVENTS_COMPARED // 2]]
    with_future = TemporalGraph.build(log).as_of(int(later))
    without = with_future.as_of(int(now))
    space = FeatureSpace.fit(columns_of(without), np.arange(len(without.log)))
    torch.manual_seed(0)
    network = build_network(SageSpec(width=16, k=4), {EVENTS: space}, log.roles, log.event_types).eval()
    said = []
    for graph in (without, with_future):
        inputs = NetworkInputs.of(graph, space, columns_of(graph), k=4)
        cache = embed_all(network, inputs, stop=len(without.log))
        with torch.no_grad():
            logits = network.event_logits(cache.levels[0], cache.levels[-1]).tolist()
        keys = zip(graph.log.event_type.tolist(), graph.log.event_ids.to_pylist(), strict=True)
        said.append(dict(zip(keys, logits, strict=True)))
    assert len(said[0]) > EVENTS_COMPARED / 2
    assert all(said[1][key] == logit for key, logit in said[0].items())
