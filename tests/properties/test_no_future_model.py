"""Promises 1 and 2 on the whole network: nothing at or after an event changes its logit, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gnn.blocks import NetworkInputs, embed_all
from gnn.bundle import EVENTS, build_network
from gnn.encoders import FeatureSpace, event_columns
from gnn.node_task import NodeQuestions
from gnn.nodes import NodeInputs, node_columns
from gnn.temporal_sage import SageSpec, TemporalSage
from graphs.behaviour import BehaviourSpec, behaviour_features
from graphs.events import EventLog
from graphs.temporal_graph import TemporalGraph

BEHAVIOUR = BehaviourSpec(windows_hours=(24,), label_windows_hours=(24,))
PROPERTY = settings(max_examples=15)


def columns_of(graph: TemporalGraph) -> Any:
    table = behaviour_features(graph, BEHAVIOUR)
    return event_columns(graph.log).with_numeric(table.names, table.values)


def network_for(log: EventLog, aggregator: str = "mean_max") -> tuple[TemporalSage, FeatureSpace, FeatureSpace]:
    graph = TemporalGraph.build(log)
    space = FeatureSpace.fit(columns_of(graph), np.arange(len(log)), bins=4, min_count=1)
    asked = NodeQuestions("user", np.zeros(3, np.int32), np.full(3, log.event_time[-1] + 1))
    own = FeatureSpace.fit(node_columns(graph, asked, BEHAVIOUR), np.arange(3), bins=4, min_count=1)
    torch.manual_seed(1)
    spec = SageSpec(width=16, layers=2, k=4, node_k=4, bins=4, aggregator=aggregator)  # type: ignore[arg-type]
    return build_network(spec, {EVENTS: space, "user": own}, log.roles, log.event_types).eval(), space, own


def logits_by_key(log: EventLog, network: TemporalSage, space: FeatureSpace, size: int = 32) -> Mapping[str, float]:
    graph = TemporalGraph.build(log)
    inputs = NetworkInputs.of(graph, space, columns_of(graph), k=4)
    cache = embed_all(network, inputs, size=size)
    with torch.no_grad():
        said = network.event_logits(cache.levels[0], cache.levels[-1]).tolist()
    return dict(zip(log.event_ids.to_pylist(), said, strict=True))


@pytest.mark.parametrize("aggregator", ["mean_max", "attention"])
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.9))
@PROPERTY
def test_adding_removing_or_changing_the_future_leaves_every_earlier_logit_as_it_was(
    random_rows: Callable[..., Any], log_from_rows: Callable[..., EventLog], aggregator: str, seed: int, share: float
) -> None:
    rows, entities = random_rows(seed, 60)
    log = log_from_rows(rows, entities)
    network, space, _ = network_for(log, aggregator)
    now = log.event_time[int(share * len(log))]
    past = [row for row in rows if row["time"] <= now]
    others = [{**row, "id": f"x{row['id']}"} for row in random_rows(seed + 1, 40)[0] if row["time"] > now]
    before, after = (
        logits_by_key(log, network, space),
        logits_by_key(log_from_rows(past + others, entities), network, space),
    )
    for row in past:
        assert before[row["id"]] == after[row["id"]]


@given(seed=st.integers(0, 10_000))
@PROPERTY
def test_flipping_a_label_not_yet_known_changes_nothing(random_log: Callable[..., EventLog], seed: int) -> None:
    log = random_log(seed, 60)
    network, space, _ = network_for(log)
    now = log.event_time[40]
    label = np.where((log.label_known_time > now) & (log.label >= 0), 1 - log.label, log.label).astype(np.int8)
    before, after = (logits_by_key(each, network, space) for each in (log, replace(log, label=label)))
    for key, time in zip(log.event_ids.to_pylist(), log.event_time, strict=True):
        if time <= now:
            assert before[key] == after[key]


@given(seed=st.integers(0, 10_000), size=st.integers(1, 70))
@PROPERTY
def test_how_events_are_cut_into_blocks_does_not_matter(
    random_log: Callable[..., EventLog], seed: int, size: int
) -> None:
    log = random_log(seed, 60)
    network, space, _ = network_for(log)
    assert logits_by_key(log, network, space, size) == logits_by_key(log, network, space, 1000)


@given(seed=st.integers(0, 10_000))
@example(seed=9015)
@PROPERTY
def test_an_entity_as_of_t_is_scored_from_its_past_alone(
    random_rows: Callable[..., Any], log_from_rows: Callable[..., EventLog], seed: int
) -> None:
    rows, entities = random_rows(seed, 60)
    log = log_from_rows(rows, entities)
    network, space, own = network_for(log)
    now = int(log.event_time[35])
    users = log.entity_ids["user"].to_pylist()
    before = _users_as_of(log, users, now, network, space, own)
    past = [row for row in rows if max(row["time"], row.get("known", row["time"])) < now]
    cut = log_from_rows(past, entities)
    known = [user for user in users if user in cut.entity_ids["user"].to_pylist()]
    after = _users_as_of(cut, known, now, network, space, own)
    assert {user: before[user] for user in known} == after


def _users_as_of(
    log: EventLog, users: list[str], now: int, network: TemporalSage, space: FeatureSpace, own: FeatureSpace
) -> dict[str, float]:
    graph = TemporalGraph.build(log)
    inputs = NetworkInputs.of(graph, space, columns_of(graph), k=4)
    cache = embed_all(network, inputs)
    codes = np.array([log.entity_ids["user"].to_pylist().index(user) for user in users], np.int32)
    asked = NodeQuestions("user", codes, np.full(len(users), now))
    ready = NodeInputs.of(inputs, own, asked, node_columns(graph, asked, BEHAVIOUR), k=4)
    with torch.no_grad():
        said = ready.logits(network, cache, np.arange(len(users)), start=len(log)).tolist()
    return dict(zip(users, said, strict=True))
