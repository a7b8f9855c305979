"""Batch scoring: events and entities of given tables, seen from the past they have, with the caller's own keys."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from gnn.blocks import NetworkInputs, embed_all
from gnn.bundle import EVENTS, Bundle
from gnn.encoders import ABSENT, UNSEEN, Columns
from gnn.nodes import NodeInputs, NodeQuestions, graph_columns, node_columns
from gnn.splits import instant
from graphs.errors import ConfigError, NotFoundError
from graphs.events import ALWAYS, MADE_ID, MISSING, UNLABELLED, EventLog
from graphs.history import event_keys, known_at, with_labels_of, without_events_of
from graphs.ingest import Ingested
from graphs.report import shown_time
from graphs.schema import DataSchema
from graphs.store import fingerprint, load_log
from graphs.temporal_graph import TemporalGraph

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredTables:
    """`tables` by name ("events" and entity types), and counts of what was new or unseen."""

    tables: Mapping[str, pa.Table]
    summary: Mapping[str, Any]


def score_tables(
    bundle: Bundle,
    ingested: Ingested,
    history: Path | None,
    *,
    start: str | None = None,
    stop: str | None = None,
    as_of: str | None = None,
    entity_types: Sequence[str] = (),
) -> ScoredTables:
    """Score the events of `ingested` in [start, stop), and entities as of an instant (default: after the last event).

    Each score depends on what lies strictly before its own instant, so other rows of the file cannot change it. Events
    of a type that the model learnt no label of, logins say, have no score, and entities that nothing spoke of by then
    no row: they are counted and left out.
    """
    if start is not None and stop is not None and instant(start) >= instant(stop):
        raise ConfigError(f"start: {start} does not lie before stop={stop}; events in [start, stop) are scored")
    graph, asked = with_history(ingested.log, history)
    labels_kept = _labelled(graph.log.label[asked]) - _labelled(ingested.log.label)
    check_fits(bundle, graph.log)
    if not (bundle.taught or entity_types):
        raise ConfigError(f"entities: the model scores no events; ask it about {', '.join(bundle.node_types)}")
    columns, _ = graph_columns(graph, bundle.behaviour)
    time = graph.log.event_time
    if start is not None:
        asked &= time >= instant(start)
    if stop is not None:
        asked &= time < instant(stop)
    taught = bundle.has_score(graph.log)
    untaught = np.bincount(graph.log.event_type[asked & ~taught], minlength=len(graph.log.event_types))
    rows = np.flatnonzero(asked & taught)
    inputs = NetworkInputs.of(graph, bundle.spaces[EVENTS], columns, k=bundle.model.k, edges=bundle.model.edges)
    caches = [embed_all(member, inputs) for member in bundle.members]
    tables: dict[str, pa.Table] = {}
    summary: dict[str, Any] = {"model_version": bundle.version, "labels_kept": labels_kept}
    if bundle.taught and (len(rows) or not entity_types):
        at = torch.from_numpy(rows)
        with torch.no_grad():
            logits = np.mean(
                [
                    member.event_logits(cache.levels[0][at], cache.levels[-1][at]).numpy()
                    for member, cache in zip(bundle.members, caches, strict=True)
                ],
                axis=0,
            )
        tables["events"], summary["events"] = _event_table(bundle, graph, columns, rows, logits)
        not_scored = {graph.log.event_types[code]: int(untaught[code]) for code in np.flatnonzero(untaught)}
        if not_scored:
            summary["events"]["not_scored"] = not_scored
            told = ", ".join(f"{count:,} {name}" for name, count in not_scored.items())
            log.info("without a score, since the model learnt no label of their type: %s", told)
    if entity_types and not (as_of or len(time)):
        raise ConfigError("as_of: there is no event after which to score entities; name the instant, as_of=…")
    moment = instant(as_of) if as_of else int(time.max(initial=0)) + 1
    known_ids = known_at(graph.log, moment).entity_ids if entity_types else {}
    for entity_type in entity_types:
        if entity_type not in bundle.node_types:
            heads = ", ".join(bundle.node_types) or "none"
            raise ConfigError(f"entities: the model has no head for '{entity_type}'; it can score: {heads}")
        known = np.flatnonzero(pc.is_in(graph.log.entity_ids[entity_type], known_ids[entity_type]))
        tables[entity_type] = _entity_table(bundle, graph, inputs, caches, entity_type, known.astype(np.int32), moment)
        scored = len(tables[entity_type])
        summary[entity_type] = {
            "rows": scored,
            "as_of": shown_time(moment),
            "not_known_yet": len(graph.log.entity_ids[entity_type]) - scored,
        }
    return ScoredTables(tables, summary)


def past_of(bundle: Bundle, folder: Path) -> Path:
    """Where the events lie that the model was trained on: its run keeps them beside the bundle's `folder`.

    NotFoundError where there are none, ConfigError where they are not these: without them every entity would be new.
    """
    past = folder.parent / "history"
    remedy = "Copy it there from the run, or set history=false where the tables given hold their own past"
    if not past.is_dir():
        raise NotFoundError(f"history: there is no {past}, the events the model was trained on. {remedy}")
    if fingerprint(load_log(past)) != bundle.facts.get("fingerprint"):
        raise ConfigError(f"history: {past} does not hold the events the model was trained on. {remedy}")
    return past


def new_entities(graph: TemporalGraph, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Per role, where an event of `rows` (a mask or positions) has an entity that has no event before."""
    log = graph.log
    found = {}
    for slot, role in enumerate(log.roles):
        entities = np.ascontiguousarray(log.entities[rows, slot])
        past, _ = graph.last_events(role.entity_type, entities, log.event_time[rows], 1)
        found[role.name] = (past[:, 0] == MISSING) & (entities != MISSING)
    return found


def with_history(events: EventLog, history: Path | None) -> tuple[TemporalGraph, np.ndarray]:
    """The graph of history and new events, and the mask of the new ones; of an event in both, the new row counts, with
    the history's label where it has none."""
    if history is None:
        return TemporalGraph.build(events), np.ones(len(events), bool)
    whole = load_log(history)
    past = without_events_of(whole, events)
    if len(past) < len(whole) and _has_made_ids(events):
        log.warning(
            "%d events of the history have an id, made of content, that a new event has too, and count once: the same "
            "events again, or others of equal content; map an id column (data.events.<type>.id) to tell them apart",
            len(whole) - len(past),
        )
    events = with_labels_of(events, whole)
    if not len(past):
        return TemporalGraph.build(events), np.ones(len(events), bool)
    graph = TemporalGraph.build(past).append(events)
    return graph, pc.is_in(event_keys(graph.log), event_keys(events)).to_numpy(zero_copy_only=False)


def _labelled(label: np.ndarray) -> int:
    return int((label != UNLABELLED).sum())


def _has_made_ids(events: EventLog) -> bool:
    return bool(pc.any(pc.match_substring_regex(events.event_ids, MADE_ID)).as_py())


def check_amounts(bundle: Bundle, schema: DataSchema) -> None:
    """Raise ConfigError where the model was trained with amounts that the mapping leaves out."""
    trained = bundle.data.get("events") or {}
    for table in schema.events:
        if table.amount is None and (trained.get(table.name) or {}).get("amount"):
            raise ConfigError(
                f"data.events.{table.name}.amount: missing, and the model was trained with amounts. Map it as in the "
                "bundle (bundle.yaml, data); a table without such a column needs an empty one"
            )


def check_fits(bundle: Bundle, events: EventLog) -> None:
    """Raise ConfigError where the events are not of the types, roles and columns that the model was trained on."""
    if events.roles != bundle.roles or events.event_types != bundle.event_types:
        raise ConfigError(
            f"data: the model was trained on events {', '.join(bundle.event_types)} with roles "
            f"{', '.join(role.name for role in bundle.roles)}; got events {', '.join(events.event_types)} with roles "
            f"{', '.join(role.name for role in events.roles)}. Use the data mapping of the bundle (bundle.yaml, data)"
        )
    lacking = _lacking(bundle, events)
    if lacking:
        raise ConfigError(
            f"data: the model was trained on columns that these tables or their mapping do not give: "
            f"{', '.join(lacking)}. Map them as in the bundle (bundle.yaml, data); a table without such a column "
            "needs an empty one of that name"
        )


def _lacking(bundle: Bundle, events: EventLog) -> list[str]:
    """Columns that the model reads and that these events would not have: seen before the long work, on no rows."""
    graph = TemporalGraph.build(known_at(events, ALWAYS))
    nobody = np.zeros(0, np.int32)
    lacking: dict[str, None] = {}
    for task, space in bundle.spaces.items():
        if task == EVENTS:
            columns, _ = graph_columns(graph, bundle.behaviour)
        else:
            columns = node_columns(graph, NodeQuestions(task, nobody, nobody.astype(np.int64)), bundle.behaviour)
        there = {*columns.names, *columns.categorical}
        lacking |= dict.fromkeys(name for name in (*space.names, *space.vocabularies) if name not in there)
    return list(lacking)


def _event_table(
    bundle: Bundle, graph: TemporalGraph, columns: Columns, rows: np.ndarray, logits: np.ndarray
) -> tuple[pa.Table, dict[str, Any]]:
    events = graph.log
    mask = np.zeros(len(events), bool)
    mask[rows] = True
    new = new_entities(graph, mask)
    space = bundle.spaces[EVENTS]
    codes = space.codes(columns)[rows]
    unseen = {name: codes[:, j] == UNSEEN for j, name in enumerate(space.vocabularies)}
    missing = {name: codes[:, j] == ABSENT for j, name in enumerate(space.vocabularies)}
    take = pa.array(rows)
    table: dict[str, Any] = {
        "event_type": pa.array([events.event_types[code] for code in events.event_type[rows]], pa.string()),
        "event_id": events.event_ids.take(take),
        "event_timestamp": pa.array(events.event_time[rows], pa.timestamp("us", tz="UTC")),
    }
    for slot, role in enumerate(events.roles):
        entity = events.entities[rows, slot]
        indices = pa.array(np.where(entity == MISSING, 0, entity), mask=entity == MISSING)
        table[role.name] = events.entity_ids[role.entity_type].take(indices)
    table |= {
        "score": pa.array(bundle.calibrators[EVENTS](logits), pa.float64()),
        "logit": pa.array(logits, pa.float32()),
        "new_entities": _listed(new, len(rows)),
        "unseen_categories": _listed(unseen, len(rows)),
        "missing_categories": _listed(missing, len(rows)),
        "model_version": pa.array([bundle.version] * len(rows), pa.string()),
    }
    counts = {
        "rows": len(rows),
        "new_entities": {name: int(flags.sum()) for name, flags in new.items()},
        "unseen_categories": {name: int(flags.sum()) for name, flags in unseen.items()},
        "missing_categories": {name: int(flags.sum()) for name, flags in missing.items()},
    }
    return pa.table(table), counts


def _entity_table(
    bundle: Bundle,
    graph: TemporalGraph,
    inputs: NetworkInputs,
    caches: Sequence[Any],
    entity_type: str,
    entities: np.ndarray,
    moment: int,
) -> pa.Table:
    """`entities` (rows,) int32 of the type, as of `moment`."""
    questions = NodeQuestions(entity_type, entities, np.full(len(entities), moment, np.int64))
    columns = node_columns(graph, questions, bundle.behaviour)
    ready = NodeInputs.of(inputs, bundle.spaces[entity_type], questions, columns, k=bundle.model.node_k)
    everything = np.arange(len(entities))
    with torch.no_grad():
        logits = np.mean(
            [
                ready.logits(member, cache, everything, start=len(graph.log)).numpy()
                for member, cache in zip(bundle.members, caches, strict=True)
            ],
            axis=0,
        )
    return pa.table(
        {
            entity_type: graph.log.entity_ids[entity_type].take(pa.array(entities)),
            "event_timestamp": pa.array(questions.as_of, pa.timestamp("us", tz="UTC")),
            "score": pa.array(bundle.calibrators[entity_type](logits), pa.float64()),
            "logit": pa.array(logits, pa.float32()),
            "events_seen": pa.array((ready.windows[:, 0] != MISSING).sum(1), pa.int32()),
            "model_version": pa.array([bundle.version] * len(entities), pa.string()),
        }
    )


def _listed(flags: Mapping[str, np.ndarray], rows: int) -> pa.Array:
    """Per row, the names whose flag is set."""
    names = list(flags)
    matrix = np.stack([flags[name] for name in names], axis=1) if names else np.zeros((rows, 0), bool)
    return pa.array([[names[j] for j in np.flatnonzero(row)] for row in matrix], pa.list_(pa.string()))
