"""The verb that publishes vectors: snapshots of entities and events of a trained model into a store, checked first.

Each row uses only what was known at its own instant, whatever the tables hold beyond it, so history can be filled in
after the fact and a point-in-time join of the result stays honest.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from gnn.bundle import Bundle
from gnn.embed import Embedder
from gnn.embedding_health import HealthSpec, VectorTally, refuse_unhealthy
from gnn.embedding_schedule import Schedule
from gnn.embedding_space import Alignment, AlignmentSpec, align
from gnn.embedding_store import EVENTS, FORMAT, Folder, Space, iso, one_writer, spaces_of, staging, write_manifest
from gnn.embedding_table import Layout, Provenance, entity_schema, event_schema, vectors_of
from gnn.scoring import check_amounts, past_of
from gnn.splits import instant
from graphs.errors import ConfigError, NotFoundError
from graphs.events import MICROSECONDS_PER_DAY
from graphs.ingest import ingest
from graphs.schema import DataSchema
from graphs.store import fingerprint

log = logging.getLogger(__name__)

ANCHORS_PER_TABLE = 4_000

Existing = Literal["refuse", "skip", "replace"]
"""What to do with a snapshot that the store holds already."""

Snapshot = tuple[int, int | None]
"""An instant (µs UTC), and the instant since which an entity must have changed (None: all are told)."""


def export_embeddings(
    *,
    bundle: str,
    data: Mapping[str, Any],
    schedule: Schedule,
    health: HealthSpec,
    alignment: AlignmentSpec,
    output: str,
    entities: list[str] | None = None,
    events: bool = False,
    start: str | None = None,
    stop: str | None = None,
    layout: Layout = "list",
    existing: Existing = "refuse",
    align_to: str | None = None,
    created: str | None = None,
    history: bool = True,
) -> None:
    """Write vectors of entities by `schedule`, and of `events` in [start, stop), into the store `output`.

    `entities`: which types (null: all that take part in events). `existing`: what to do with a snapshot that is
    already there. `align_to`: the folder of an older space to go on in, if the model can be turned into it. `created`:
    what created_timestamp says (null: now). `history`: look back at the events the model was trained on, too.
    """
    if start is not None and stop is not None and instant(start) >= instant(stop):
        raise ConfigError(f"start: {start} does not lie before stop={stop}; events in [start, stop) are written")
    model, store = Bundle.load(Path(bundle)), Folder.at(output)
    schema = DataSchema.from_config(dict(data))
    check_amounts(model, schema)
    past = past_of(model, Path(bundle)) if history else None
    ingested = ingest(schema)
    embedder = Embedder.of(model, ingested.log, history=past)
    embedder, aligned = into_space(embedder, store, alignment, align_to)
    write_vectors(
        embedder,
        store,
        snapshots_of(embedder, schedule, entities),
        event_days(embedder, start, stop) if events else None,
        created=instant(created) if created else time.time_ns() // 1_000,
        health=health,
        layout=layout,
        existing=existing,
        facts={"data": fingerprint(ingested.log), "alignment": aligned},
    )


# ---------------------------------------------------------------- what is asked


def snapshots_of(embedder: Embedder, schedule: Schedule, entities: list[str] | None) -> dict[str, list[Snapshot]]:
    """By entity type, the instants and since when an entity must have changed."""
    unknown = [name for name in entities or () if name not in embedder.entity_types]
    if unknown:
        known = ", ".join(embedder.entity_types)
        raise ConfigError(f"entities: no type {', '.join(unknown)} in the events; there are {known}")
    moments = schedule.moments(embedder.graph.log).tolist()
    since = [None, *moments[:-1]] if schedule.only_changed else [None] * len(moments)
    names = embedder.entity_types if entities is None else entities
    return {name: list(zip(moments, since, strict=True)) for name in names}


def event_days(embedder: Embedder, start: str | None, stop: str | None) -> dict[int, np.ndarray]:
    """The asked events in [start, stop) by day: midnight (µs UTC) to event indices."""
    times = embedder.graph.log.event_time
    asked = embedder.asked.copy()
    if start is not None:
        asked &= times >= instant(start)
    if stop is not None:
        asked &= times < instant(stop)
    rows = np.flatnonzero(asked)
    days, first = np.unique(times[rows] // MICROSECONDS_PER_DAY, return_index=True)
    bounds = itertools.pairwise([*first.tolist(), len(rows)])
    return {int(day) * MICROSECONDS_PER_DAY: rows[low:high] for day, (low, high) in zip(days, bounds, strict=True)}


# ---------------------------------------------------------------- which space


def into_space(
    embedder: Embedder, store: Folder, spec: AlignmentSpec, align_to: str | None
) -> tuple[Embedder, dict[str, Any] | None]:
    """The embedder in the space that it writes to, and how it was turned into it (None: not asked for).

    A model has a space of its own unless it is aligned to an older one and little is left over.
    """
    version = embedder.bundle.version
    if align_to is None:
        others = [space.version for space in spaces_of(store) if space.version != version]
        if others:
            log.warning(
                "the store holds vectors of space %s; those of this model lie in a space of their own, %s, and a "
                "reader has to choose one (align_to goes on in an older space)", ", ".join(others), version,
            )  # fmt: skip
        return embedder, None
    space = Space.at(Folder.at(align_to))
    if space is None:
        raise NotFoundError(f"align_to: {align_to} is no space of a store (no manifest.json); give STORE/SPACE_VERSION")
    if version in space.rotations:
        known = space.manifest["models"][version].get("alignment")
        return embedder.turned(space.rotations[version], space.version), known
    found = align_with(embedder, space, spec)
    if isinstance(found, str):
        log.warning("not aligned to space %s: %s; the model gets a space of its own", space.version, found)
        return embedder, {"space_version": space.version, "refused": found}
    log.info("aligned to space %s: residual %.3f on %d anchors", space.version, found.residual, found.anchors)
    return embedder.turned(found.rotation, space.version), {"space_version": space.version, **found.to_json()}


def align_with(embedder: Embedder, space: Space, spec: AlignmentSpec) -> Alignment | str:
    """How the embedder's vectors are turned into an older space, or why they can't be."""
    if space.dimension != embedder.dimension:
        return f"its vectors have {space.dimension} numbers, this model's {embedder.dimension}"
    pairs = [_anchors(embedder, space, table) for table in space.tables if table in embedder.entity_types]
    new, old = (np.concatenate(side) for side in zip(*pairs, strict=True)) if pairs else (np.zeros((0, 1)),) * 2
    if len(new) < spec.fewest_anchors:
        return f"{len(new)} entities of its newest snapshots are known here, at least {spec.fewest_anchors} are needed"
    found = align(new, old)
    if found.residual > spec.max_residual:
        return f"residual {found.residual:.3f} on {found.anchors} anchors, at most {spec.max_residual:g} is allowed"
    return found


def _anchors(embedder: Embedder, space: Space, table: str) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the same entities as of the same instants: this model's, and those that the space holds."""
    rows = space.read(table, newest=True)
    rows = rows.filter(pc.invert(rows["is_new"]))
    taken = np.linspace(0, len(rows) - 1, min(len(rows), ANCHORS_PER_TABLE)).round().astype(np.int64)
    rows = rows.take(pa.array(taken))
    as_of = rows["event_timestamp"].cast(pa.int64()).to_numpy()
    mine = embedder.embed(table, rows[table].to_pylist(), as_of)
    known = ~mine["is_new"].to_numpy(zero_copy_only=False)
    return vectors_of(mine)[known], vectors_of(rows)[known]


# ---------------------------------------------------------------- writing


@dataclass(frozen=True)
class Piece:
    """One snapshot of one table, computed when it is its turn."""

    table: str
    as_of: int
    batches: Callable[[], Iterator[pa.Table]]


def write_vectors(
    embedder: Embedder,
    store: Folder,
    snapshots: Mapping[str, list[Snapshot]],
    days: Mapping[int, np.ndarray] | None = None,
    *,
    created: int,
    health: HealthSpec,
    layout: Layout = "list",
    existing: Existing = "refuse",
    facts: Mapping[str, Any] | None = None,
) -> Space:
    """Write everything beside the store, judge it, publish it; returns the space as it then is.

    `snapshots` as of `snapshots_of`, `days` as of `event_days`; `facts` go into the manifest's record of the model.
    """
    provenance = embedder.provenance(created)
    folder = store / embedder.space_version
    space = Space.at(folder)
    pieces = list(_pieces(embedder, provenance, snapshots, days or {}))
    held = _held(space, pieces, layout, existing)
    schemas = {name: entity_schema(name, embedder.dimension, layout) for name in snapshots}
    if days is not None:
        schemas[EVENTS] = event_schema(embedder.graph.log.roles, embedder.dimension, layout)
    tallies = {name: VectorTally(embedder.dimension) for name in schemas}
    with staging(store, layout) as staged:
        for piece in tqdm(pieces, desc="embed", unit="snapshot", disable=None):
            if existing == "skip" and (piece.table, piece.as_of) in held:
                continue
            parts = _tallied(piece.batches(), tallies[piece.table])
            staged.write(piece.table, piece.as_of, provenance.model_version, schemas[piece.table], parts)
        for name, schema in schemas.items():
            if name not in staged.written and not (space is not None and name in space.tables):
                # Nobody to tell of: the schema is there all the same.
                staged.write(name, created, provenance.model_version, schema, iter([schema.empty_table()]))
        refuse_unhealthy(tallies, health)
        with one_writer(folder):
            # Another export may have ended while this one computed.
            space = Space.at(folder)
            held = _held(space, pieces, layout, existing)
            if existing == "skip":
                staged.leave_out(held)
            staged.publish(folder)
            replaced = held if existing == "replace" else set()
            manifest = _manifest(embedder, space, staged.written, tallies, replaced, layout, created, facts or {})
            rotations = space.rotations if space is not None else {}
            turned = np.eye(embedder.dimension, dtype=np.float32) if embedder.rotation is None else embedder.rotation
            write_manifest(folder, manifest, {**rotations, embedder.bundle.version: turned})
            written = Space(folder, manifest)
            if space is not None:
                space.remove_files_not_in(written)
    rows = ", ".join(f"{tally.rows:,} {name}" for name, tally in tallies.items())
    log.info("vectors of %s in space %s", rows, embedder.space_version)
    return written


def _pieces(
    embedder: Embedder,
    provenance: Provenance,
    snapshots: Mapping[str, list[Snapshot]],
    days: Mapping[int, np.ndarray],
) -> Iterator[Piece]:
    for name, moments in snapshots.items():
        for moment, since in moments:
            ask = partial(embedder.entity_batches, name, moment, provenance, changed_since=since)
            yield Piece(name, moment, ask)
    for midnight, rows in days.items():
        yield Piece(EVENTS, midnight, partial(embedder.event_batches, rows, provenance))


def _held(space: Space | None, pieces: list[Piece], layout: Layout, existing: Existing) -> set[tuple[str, int]]:
    """Snapshots to write that the space holds already; refused unless `existing` says what to do with them."""
    if space is None:
        return set()
    if space.manifest["layout"] != layout:
        raise ConfigError(f"layout: {space.folder.path} holds vectors as {space.manifest['layout']}, got {layout}")
    held = space.snapshots & {(piece.table, piece.as_of) for piece in pieces}
    if held and existing == "refuse":
        shown = ", ".join(f"{name} as of {iso(moment)}" for name, moment in sorted(held)[:5])
        raise ConfigError(
            f"output: {space.folder.path} already holds {shown}{', …' if len(held) > 5 else ''}. "
            "Set existing=skip to keep them, existing=replace to write them again"
        )
    return held


def _tallied(parts: Iterator[pa.Table], tally: VectorTally) -> Iterator[pa.Table]:
    for part in parts:
        strangers = part["is_new"].to_numpy(zero_copy_only=False) if "is_new" in part.column_names else None
        tally.add(vectors_of(part), strangers)
        yield part


def _manifest(
    embedder: Embedder,
    space: Space | None,
    written: Mapping[str, list[dict[str, Any]]],
    tallies: Mapping[str, VectorTally],
    replaced: set[tuple[str, int]],
    layout: Layout,
    created: int,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """What the space holds now: files of before that were not replaced, and those just written."""
    tables = dict(space.tables) if space is not None else {}
    for name, files in written.items():
        before = tables.get(name, {"files": []})["files"]
        kept = [each for each in before if (name, instant(each["as_of"])) not in replaced]
        listed = sorted([*kept, *files], key=lambda each: each["path"])
        tables[name] = {
            "key": ["event_type", "event_id"] if name == EVENTS else [name],
            "total_rows": sum(each["rows"] for each in listed),
            "last_export": tallies[name].to_json(),
            "files": listed,
        }
    models = dict(space.manifest["models"]) if space is not None else {}
    models[embedder.bundle.version] = {
        "trained_on": embedder.bundle.facts.get("fingerprint"), **facts, "last_export": iso(created),
    }  # fmt: skip
    return {
        "format": FORMAT,
        "space_version": embedder.space_version,
        "dimension": embedder.dimension,
        "layout": layout,
        "ringtrace_version": version_of("ringtrace"),
        "cold_start": "the zero vector, is_new true",
        "models": models,
        "tables": tables,
    }
