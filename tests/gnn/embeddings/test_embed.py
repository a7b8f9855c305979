"""Vectors of entities and events: computed by hand, by a slow twin, and never from the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.embed import HALF_WEIGHT_AGE, Embedder, rotated, weighted_mean
from gnn.embedding_table import vectors_of
from graphs.errors import NotFoundError
from graphs.events import MISSING, EventLog

PROPERTY = settings(max_examples=10)

Logs = Callable[..., EventLog]
Embedders = Callable[..., Embedder]


def test_the_mean_weighs_an_event_a_month_older_than_the_newest_half() -> None:
    vectors = np.array([[3.0, 0.0], [0.0, 6.0]], np.float32)
    out = np.zeros((2, 2), np.float32)
    windows = np.array([[1, 0, MISSING], [MISSING, MISSING, MISSING]], np.int32)
    weighted_mean(vectors, windows, np.array([0, HALF_WEIGHT_AGE]), out)
    np.testing.assert_allclose(out, [[1.0, 4.0], [0.0, 0.0]])


def test_turning_is_a_matrix_product_whose_bits_do_not_depend_on_the_other_rows() -> None:
    vectors, rotation = (np.random.default_rng(i).normal(size=(50, 50)).astype(np.float32) for i in range(2))
    turned = rotated(vectors, rotation)
    np.testing.assert_allclose(turned, vectors @ rotation, rtol=1e-4, atol=1e-4)
    assert (rotated(vectors[7:8], rotation) == turned[7:8]).all()


def twin(embedder: Embedder, entity_type: str, entity: int, moment: int) -> np.ndarray:
    """The vector by going through all events."""
    log = embedder.graph.log
    slots = [slot for slot, role in enumerate(log.roles) if role.entity_type == entity_type]
    seen = [
        (t, i) for i, t in enumerate(log.visible_time) for s in slots if log.entities[i, s] == entity and t < moment
    ]
    last = sorted(seen)[::-1][: embedder.bundle.model.node_k]
    weights = np.array([HALF_WEIGHT_AGE / (HALF_WEIGHT_AGE + last[0][0] - t) for t, _ in last])
    vectors = embedder.caches[0].levels[-1].numpy()[[i for _, i in last]].astype(np.float64)
    return weights @ vectors / weights.sum() if last else np.zeros(embedder.dimension)


@pytest.mark.parametrize("entity_type", ["user", "card", "device"])
def test_vectors_equal_those_of_a_slow_twin(random_log: Logs, embedder_of: Embedders, entity_type: str) -> None:
    log = random_log(5, 80)
    embedder, moment = embedder_of(log), int(log.event_time[50])
    ids = log.entity_ids[entity_type].to_pylist()
    found = vectors_of(embedder.embed(entity_type, ids, moment))
    for code in range(len(ids)):
        np.testing.assert_allclose(found[code], twin(embedder, entity_type, code, moment), atol=1e-5)


def rows_of(embedder: Embedder, moment: int) -> dict[str, list[dict[str, Any]]]:
    made = embedder.provenance(0)
    tables = {t: list(embedder.entity_batches(t, moment, made)) for t in embedder.entity_types}
    rows = np.flatnonzero(embedder.graph.log.event_time < moment)
    tables["events"] = list(embedder.event_batches(rows, made))
    return {name: pa.concat_tables(parts).to_pylist() if parts else [] for name, parts in tables.items()}


@given(seed=st.integers(0, 10_000), share=st.floats(0.2, 0.9))
@PROPERTY
def test_no_exported_row_changes_when_later_events_and_labels_are_added(
    random_rows: Callable[..., Any],
    log_from_rows: Logs,
    embedder_of: Embedders,
    bundle_of: Any,
    seed: int,
    share: float,
) -> None:
    rows, entities = random_rows(seed, 60)
    log = log_from_rows(rows, entities)
    bundle, moment = bundle_of(log), int(log.event_time[int(share * len(log))])
    before = [row for row in rows if max(row["time"], row.get("known", row["time"])) < moment]
    later = [{**row, "id": f"x{row['id']}"} for row in random_rows(seed + 1, 40)[0] if row["time"] >= moment]
    # What is known of the past later on, too: labels that arrive after the snapshot.
    relabelled = [
        {**row, "label": 1 - row.get("label", 0), "label_known": moment + 1}
        if row.get("label_known", moment + 1) > moment
        else row
        for row in before
    ]
    then = rows_of(embedder_of(log_from_rows(before, entities), bundle), moment)
    now = rows_of(embedder_of(log_from_rows(relabelled + later, entities), bundle), moment)
    assert then == now


def test_events_of_which_no_label_was_learnt_have_a_vector_and_no_score(
    random_log: Logs, embedder_of: Embedders, bundle_of: Any
) -> None:
    log = random_log(3, 60)
    embedder = embedder_of(log, replace(bundle_of(log), taught=("payment",)))
    (table,) = embedder.event_batches(np.arange(len(log)), embedder.provenance(0))
    scored = {row["event_type"] for row in table.to_pylist() if row["score"] is not None}
    assert scored == {"payment"} and table["event_type"].to_pylist().count("login") > 0
    assert table["embedding"].null_count == 0


def test_a_stranger_has_the_zero_vector_and_says_so(random_log: Logs, embedder_of: Embedders) -> None:
    log = random_log(1, 60)
    embedder, first = embedder_of(log), int(log.event_time[0])
    known = log.entity_ids["user"][0].as_py()
    rows = embedder.embed("user", ["never heard of", known], first).to_pylist()
    assert [row["is_new"] for row in rows] == [True, True]
    assert all(set(row["embedding"]) == {0.0} and 0 <= row["score"] <= 1 for row in rows)
    assert rows[0]["last_event_timestamp"] is None and rows[0]["events_seen"] == 0


def test_rows_come_in_the_order_asked_each_as_of_its_own_instant(random_log: Logs, embedder_of: Embedders) -> None:
    log = random_log(2, 80)
    embedder, ids = embedder_of(log), log.entity_ids["user"].to_pylist()[:4]
    times = log.event_time[[70, 20, 50, 35]]
    together = embedder.embed("user", ids, times).to_pylist()
    alone = [embedder.embed("user", [one], int(t)).to_pylist()[0] for one, t in zip(ids, times, strict=True)]
    assert [row["user"] for row in together] == ids
    assert [{**row, "created_timestamp": 0} for row in together] == [{**row, "created_timestamp": 0} for row in alone]


def test_who_has_not_changed_has_the_vector_of_before(random_log: Logs, embedder_of: Embedders) -> None:
    log = random_log(3, 80)
    embedder, made = embedder_of(log), embedder_of(log).provenance(0)
    held: dict[str, list[float]] = {}
    moments = np.linspace(int(log.event_time[20]), int(log.event_time[-1]) + 1, 6).astype(np.int64).tolist()
    for since, moment in zip([None, *moments], moments, strict=False):
        for part in embedder.entity_batches("card", moment, made, changed_since=since):
            held |= dict(zip(part["card"].to_pylist(), part["embedding"].to_pylist(), strict=True))
        (full,) = embedder.entity_batches("card", moment, made)
        assert held == dict(zip(full["card"].to_pylist(), full["embedding"].to_pylist(), strict=True))


def test_an_event_has_the_embedding_of_its_own_instant(random_log: Logs, embedder_of: Embedders) -> None:
    log = random_log(4, 60)
    embedder = embedder_of(log)
    (table,) = embedder.event_batches(np.array([3, 10]), embedder.provenance(0))
    assert (vectors_of(table) == embedder.caches[0].levels[-1].numpy()[[3, 10]]).all()
    assert table["event_id"].to_pylist() == log.event_ids.take(pa.array([3, 10])).to_pylist()
    senders = [log.entity_ids["user"][code].as_py() if code >= 0 else None for code in log.entities[[3, 10], 0]]
    assert table["sender"].to_pylist() == senders


def test_another_space_is_a_turned_copy(random_log: Logs, embedder_of: Embedders) -> None:
    log = random_log(6, 60)
    embedder, end = embedder_of(log), int(log.event_time[-1]) + 1
    flipped = embedder.turned(-np.eye(8, dtype=np.float32), "older")
    ids = log.entity_ids["card"].to_pylist()
    assert (vectors_of(flipped.embed("card", ids, end)) == -vectors_of(embedder.embed("card", ids, end))).all()
    assert set(flipped.embed("card", ids, end)["space_version"].to_pylist()) == {"older"}


def test_a_type_that_takes_no_part_is_named(random_log: Logs, embedder_of: Embedders) -> None:
    with pytest.raises(NotFoundError, match="no type 'shop'; there are user, card, device"):
        embedder_of(random_log(0, 30)).embed("shop", ["s1"], 0)


def test_labels_of_the_future_do_not_reach_a_vector(random_log: Logs, embedder_of: Embedders, bundle_of: Any) -> None:
    log = random_log(8, 80)
    moment = int(log.event_time[40])
    flipped = np.where((log.label_known_time > moment) & (log.label >= 0), 1 - log.label, log.label).astype(np.int8)
    one, two = (embedder_of(each, bundle_of(log)) for each in (log, replace(log, label=flipped)))
    assert rows_of(one, moment) == rows_of(two, moment)
