"""The contract of an embedding row: which columns there are, of which type, and what may stand in one table.

    <entity type> | event_type, event_id, one column per role     the caller's keys, text
    event_timestamp      timestamp[us, UTC]   as of when; an event's own time
    created_timestamp    timestamp[us, UTC]   when the row was made
    model_version        text                 which network
    space_version        text                 rows may be compared, and learnt from together, within one space only
    dimension            int16                length of the vector
    is_new               bool                 entities: nothing was known, the vector is zero
    events_seen          int32                entities: how many events the vector rests on
    last_event_timestamp timestamp[us, UTC]   entities: the newest of them, null for none
    known_timestamp      timestamp[us, UTC]   events: from when the event was in sight
    score                float64              calibrated, null where the model has no head for it
    embedding            fixed-size list of float32

An empty table has the same schema. What reads them: gnn/embedding_store.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from graphs.errors import ConfigError
from graphs.events import MISSING, EventLog, Role

Layout = Literal["list", "columns", "both"]
"""How a table holds its vectors: one list, a column per number (`embedding_000` …), or both."""

EMBEDDING = "embedding"
CLOCK = pa.timestamp("us", tz="UTC")


class MixedSpacesError(ConfigError):
    """Vectors of several spaces in one table, whose distances mean nothing."""


@dataclass(frozen=True)
class Provenance:
    """Where rows come from: model, space, and when they were made (µs UTC)."""

    model_version: str
    space_version: str
    created: int


def entity_schema(entity_type: str, dimension: int, layout: Layout = "list") -> pa.Schema:
    """The schema of a table of entities."""
    own = [("is_new", pa.bool_()), ("events_seen", pa.int32()), ("last_event_timestamp", CLOCK)]
    return pa.schema([(entity_type, pa.string()), *_stamps(), *own, *_numbers(dimension, layout)])


def event_schema(roles: Sequence[Role], dimension: int, layout: Layout = "list") -> pa.Schema:
    """The schema of a table of events."""
    keys = [(name, pa.string()) for name in ("event_type", "event_id", *(role.name for role in roles))]
    return pa.schema([*keys, *_stamps(), ("known_timestamp", CLOCK), *_numbers(dimension, layout)])


def entity_table(
    entity_type: str,
    ids: pa.Array,
    as_of: np.ndarray,
    vectors: np.ndarray,
    score: np.ndarray | None,
    events_seen: np.ndarray,
    last_event: np.ndarray,
    provenance: Provenance,
) -> pa.Table:
    """Rows of entities: `as_of` and `last_event` (n,) µs UTC, `vectors` (n, dimension) float32."""
    columns = {
        entity_type: ids,
        **_provenance(as_of, vectors, provenance),
        "is_new": pa.array(events_seen == 0),
        "events_seen": pa.array(events_seen, pa.int32()),
        "last_event_timestamp": pa.array(last_event, CLOCK, mask=events_seen == 0),
        **_values(vectors, score),
    }
    return pa.table(columns, entity_schema(entity_type, vectors.shape[1]))


def event_table(
    log: EventLog, rows: np.ndarray, vectors: np.ndarray, score: np.ndarray | None, provenance: Provenance
) -> pa.Table:
    """Rows of the events `rows` (indices) of `log`, each at its own time; a `score` that is NaN is none."""
    columns: dict[str, Any] = {
        "event_type": pa.array(log.event_types, pa.string()).take(pa.array(log.event_type[rows])),
        "event_id": log.event_ids.take(pa.array(rows)),
    }
    for slot, role in enumerate(log.roles):
        code = log.entities[rows, slot]
        columns[role.name] = log.entity_ids[role.entity_type].take(pa.array(code, mask=code == MISSING))
    columns |= _provenance(log.event_time[rows], vectors, provenance)
    columns["known_timestamp"] = pa.array(log.visible_time[rows], CLOCK)
    return pa.table(columns | _values(vectors, score), event_schema(log.roles, vectors.shape[1]))


def laid_out(table: pa.Table, layout: Layout) -> pa.Table:
    """The table with its vectors as a list, as columns, or both."""
    if layout == "list":
        return table
    vectors = vectors_of(table)
    wide = table if layout == "both" else table.drop_columns([EMBEDDING])
    for place, name in enumerate(column_names(vectors.shape[1])):
        wide = wide.append_column(name, pa.array(np.ascontiguousarray(vectors[:, place])))
    return wide


def vectors_of(table: pa.Table) -> np.ndarray:
    """The vectors of a table (rows, dimension) float32, whichever way it holds them."""
    if EMBEDDING in table.column_names:
        column = table[EMBEDDING].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        if len(flat) % max(len(column), 1) or column.null_count:
            raise ConfigError(f"{EMBEDDING}: rows hold vectors of different lengths, or none")
        return flat.reshape(len(column), -1)
    names = sorted(name for name in table.column_names if name.startswith(f"{EMBEDDING}_"))
    if not names:
        raise ConfigError(f"no vectors: the table has neither {EMBEDDING} nor {EMBEDDING}_000 …")
    return np.column_stack([table[name].to_numpy() for name in names]).astype(np.float32, copy=False)


def column_names(dimension: int) -> list[str]:
    """Names of a vector's columns in order."""
    return [f"{EMBEDDING}_{place:03d}" for place in range(dimension)]


def check_one_space(table: Any, what: str = "table") -> str | None:
    """Return the space that all rows of a pyarrow table or pandas frame lie in; refuse several.

    Rows without a space_version column count by their model_version. A frame may hold nulls where a join found
    nothing. Raises MixedSpacesError that names the versions and how many rows each has.
    """
    names = list(getattr(table, "column_names", None) or table.columns)
    column = next((name for name in ("space_version", "model_version") if name in names), None)
    if column is None:
        raise ConfigError(f"{what}: no column space_version or model_version says in which space the vectors lie")
    values = table[column] if isinstance(table, pa.Table) else pa.array(table[column], from_pandas=True)
    counted = {each["values"]: each["counts"] for each in pc.value_counts(values.drop_null()).to_pylist()}
    if len(counted) > 1:
        told = " and ".join(f"{name} ({count} row{'s' if count != 1 else ''})" for name, count in counted.items())
        raise MixedSpacesError(
            f"{what}: vectors of {told} stand in one table, and distances between spaces mean nothing. "
            f"Choose one {column}, or export again with align_to set to the older space"
        )
    return next(iter(counted), None)


def _stamps() -> list[tuple[str, pa.DataType]]:
    return [
        ("event_timestamp", CLOCK),
        ("created_timestamp", CLOCK),
        ("model_version", pa.string()),
        ("space_version", pa.string()),
        ("dimension", pa.int16()),
    ]


def _numbers(dimension: int, layout: Layout) -> list[tuple[str, pa.DataType]]:
    numbers: list[tuple[str, pa.DataType]] = [("score", pa.float64())]
    if layout in ("list", "both"):
        numbers.append((EMBEDDING, pa.list_(pa.float32(), dimension)))
    if layout in ("columns", "both"):
        numbers += [(name, pa.float32()) for name in column_names(dimension)]
    return numbers


def _provenance(time: np.ndarray, vectors: np.ndarray, provenance: Provenance) -> dict[str, Any]:
    n = len(time)
    return {
        "event_timestamp": pa.array(time, CLOCK),
        "created_timestamp": pa.array(np.full(n, provenance.created, np.int64), CLOCK),
        "model_version": pa.repeat(pa.scalar(provenance.model_version), n),
        "space_version": pa.repeat(pa.scalar(provenance.space_version), n),
        "dimension": pa.array(np.full(n, vectors.shape[1], np.int16)),
    }


def _values(vectors: np.ndarray, score: np.ndarray | None) -> dict[str, Any]:
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    no_score = pa.nulls(len(vectors), pa.float64())
    return {
        "score": no_score if score is None else pa.array(score, pa.float64(), from_pandas=True),
        EMBEDDING: pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
    }
