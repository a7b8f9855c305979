"""Promises 1 and 2 on events and users at once: other events, labels and attributes after t, and labels that mature
after t, move no logit, user score or vector as of t; and a model learns from what was known when it was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gnn.node_task import NodeTask
from gnn.splits import TimeSplit
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec
from gnn.workbench import Workbench
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError
from graphs.events import UNLABELLED, EventLog
from graphs.history import known_at
from graphs.store import fingerprint

HOUR = 3_600_000_000
_seeds = st.integers(0, 10_000)
_few = settings(max_examples=12, derandomize=True)

Logs = Callable[..., EventLog]
Rows = Callable[..., Any]


def visible(row: dict[str, Any]) -> int:
    return max(row["time"], row.get("known", row["time"]))


def another_future(rows: list[dict[str, Any]], entities: list[dict[str, Any]], now: int, seed: int) -> Any:
    """The same past as of `now`; later events lost, moved to other entities and invented, later labels and attribute
    versions replaced."""
    rng = np.random.default_rng(seed)
    past = [row for row in rows if visible(row) < now]
    kept = [row | {"card": "c9", "amount": 1e6} for row in rows if visible(row) >= now and rng.random() < 0.5]
    new = {"type": "transfer", "time": now, "sender": "u1", "receiver": "u2", "amount": 7.0, "channel": "fax"}
    invented = [new | {"id": f"new{i}", "time": now + i * HOUR, "receiver": f"u{i}"} for i in range(6)]
    learned = {"label": int(rng.integers(2)), "label_known": now + 1}
    past = [row if row.get("label_known", now + 1) <= now else row | learned for row in past]
    held = [row for row in entities if row.get("known", row.get("label_known")) <= now]
    versions = [{"type": "user", "id": f"u{i}", "known": now + 1, "tier": "platinum", "limit": -1.0} for i in range(5)]
    return past + kept + invented, held + versions


@_few
@given(seed=_seeds, share=st.floats(0.3, 0.9))
def test_another_future_moves_neither_events_nor_users_of_before(
    random_rows: Rows,
    log_from_rows: Logs,
    drawn_bundle: Callable[..., Any],
    said_by_key: Callable[..., dict[Any, Any]],
    seed: int,
    share: float,
) -> None:
    rows, entities = random_rows(seed, 50)
    log = log_from_rows(rows, entities)
    now = int(log.event_time[int(share * len(log))])
    bundle, other = drawn_bundle(log), log_from_rows(*another_future(rows, entities, now, seed))
    before, after = (said_by_key(bundle, each, "user", (now - 9 * HOUR, now)) for each in (log, other))
    past = known_at(log, now)
    known = {(row["type"], row["id"]) for row in rows if visible(row) < now}
    known |= {("user", key, at) for key in past.entity_ids["user"].to_pylist() for at in (now - 9 * HOUR, now)}
    assert {key: before[key] for key in known} == {key: after[key] for key in known}


@_few
@given(seed=_seeds, share=st.floats(0.1, 0.9))
def test_a_label_not_known_yet_moves_neither_events_nor_users_and_once_known_it_may(
    random_log: Logs,
    drawn_bundle: Callable[..., Any],
    said_by_key: Callable[..., dict[Any, Any]],
    seed: int,
    share: float,
) -> None:
    log = random_log(seed, 60)
    bundle, now = drawn_bundle(log), int(log.event_time[int(share * len(log))])
    other = relabelled(log, now)
    before, after = (said_by_key(bundle, each, "user", (now - 9 * HOUR, now)) for each in (log, other))
    types = [log.event_types[code] for code in log.event_type]
    known = {key for key, time in zip(zip(types, log.event_ids.to_pylist(), strict=True), log.event_time, strict=True)
             if time <= now}  # fmt: skip
    known |= {key for key in before if key[0] == "user"}
    assert {key: before[key] for key in known} == {key: after[key] for key in known}


def relabelled(log: EventLog, now: int) -> EventLog:
    """The log with every label that is not known at `now` turned round, of events and of entities."""
    turned = {
        kind: replace(held, label=turn(held.label, held.known_time > now)) for kind, held in log.entity_labels.items()
    }
    return replace(log, label=turn(log.label, log.label_known_time > now), entity_labels=turned)


def unlabelled(log: EventLog, now: int) -> EventLog:
    """The log without the labels that are not known at `now`, of earlier events and of entities."""
    rows = (log.label_known_time > now) & (log.event_time < now)
    taken = {
        kind: replace(held, label=np.where(held.known_time > now, UNLABELLED, held.label).astype(np.int8))
        for kind, held in log.entity_labels.items()
    }
    return replace(log, label=np.where(rows, UNLABELLED, log.label).astype(np.int8), entity_labels=taken)


def turn(label: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.where(rows & (label >= 0), 1 - label, label).astype(np.int8)


def test_a_label_that_has_become_known_is_seen(
    log_from_rows: Logs, drawn_bundle: Callable[..., Any], said_by_key: Callable[..., dict[Any, Any]]
) -> None:
    rows = [{"id": f"e{i}", "type": "payment", "time": i * HOUR, "sender": "u1", "card": "c1"} for i in range(3)]
    rows[0] |= {"label": 0, "label_known": HOUR + 1}
    log, moments = log_from_rows(rows), (HOUR, HOUR + 1)
    other = replace(log, label=np.array([1, -1, -1], np.int8))
    one, two = (said_by_key(drawn_bundle(log), each, "user", moments) for each in (log, other))
    assert {key for key in one if one[key] != two[key]} == {("payment", "e2"), ("user", "u1", HOUR + 1)}


@settings(max_examples=3, derandomize=True)
@given(seed=_seeds)
def test_a_model_learns_nothing_from_labels_that_come_after_it_was_made(random_log: Logs, seed: int) -> None:
    log = random_log(seed, 90)
    assume("user" in log.entity_labels)
    cut = int(log.event_time[60])
    split = TimeSplit(test_from=str(np.datetime64(cut, "us")), valid_share=0.3, maturity_days=0.0)
    try:
        weights = learned(log, split)
    except ConfigError:
        assume(False)
    for other in (relabelled(log, cut), unlabelled(log, cut)):
        assert fingerprint(other) != fingerprint(log)
        again = learned(other, split)
        assert again.keys() == weights.keys()
        assert all(torch.equal(value, again[name]) for name, value in weights.items())


def learned(log: EventLog, split: TimeSplit) -> dict[str, torch.Tensor]:
    """The weights of a network that was taught about events and users with labels known by the cut."""
    users = NodeTask("user", answer="entity", every_days=2.0)
    bench = Workbench.lay_out(log, split.apply(log), BehaviourSpec(windows_hours=(24,)), tasks=[users])
    trainer = TrainerSpec(epochs=1, block=30)
    (network,) = bench.train_networks(SageSpec(width=8, k=3, node_k=3, message_width=4), trainer, seed=1).members
    return network.state_dict()
