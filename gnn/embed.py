"""What a trained network knows of entities and events, as vectors that another model can join without leaking.

The vector of an event is its final embedding h^(L), computed at its own instant. The vector of an entity as of T is
the mean of the vectors of its last events before T, older ones weighing less: it changes only when the entity has a
new event, so a table of changes holds as much as a table of every day. An entity without an event has the zero
vector and says so. Both live in one space, and a retrained network can be turned into it (gnn/embedding_space.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numba import njit

from gnn.blocks import Cache, NetworkInputs, embed_all
from gnn.bundle import EVENTS, Bundle
from gnn.embedding_table import Provenance, entity_table, event_table
from gnn.nodes import NodeInputs, NodeQuestions, graph_columns, node_columns
from gnn.scoring import check_fits, with_history
from graphs.errors import NotFoundError
from graphs.events import MICROSECONDS_PER_DAY, MISSING, EventLog
from graphs.temporal_graph import TemporalGraph
from graphs.windows import types_with_roles

HALF_WEIGHT_AGE = 30 * MICROSECONDS_PER_DAY
"""An event so much older than the entity's newest weighs half as much as that."""

BATCH = 1 << 16
"""Rows computed at once: the memory that an export takes beside the network's own."""


@dataclass(frozen=True)
class Embedder:
    """A model over the events it may look back at, ready to say how an entity or event looked at an instant.

    `asked` (events,) marks the events that the caller's tables brought, the others are history. `caches` hold h^(L)
    of all events per member, `event_logits` (events,) the members' mean; vectors are those of the first member.
    `rotation` (width, width) turns them into the space `space_version`; None leaves them as they are.
    """

    bundle: Bundle
    graph: TemporalGraph
    asked: np.ndarray
    inputs: NetworkInputs
    caches: tuple[Cache, ...]
    event_logits: np.ndarray
    space_version: str
    rotation: np.ndarray | None = None

    @classmethod
    def of(cls, bundle: Bundle, events: EventLog, *, history: Path | None = None) -> Embedder:
        """Embed all of `events` and those of `history` (a folder that training left), in time order."""
        graph, asked = with_history(events, history)
        check_fits(bundle, graph.log)
        columns, _ = graph_columns(graph, bundle.behaviour)
        inputs = NetworkInputs.of(graph, bundle.spaces[EVENTS], columns, k=bundle.model.k, edges=bundle.model.edges)
        caches, logits = [], np.zeros(len(graph.log), np.float32)
        for member in bundle.members:
            cache = embed_all(member, inputs)
            with torch.no_grad():
                for low, high in inputs.spans(BATCH):
                    said = member.event_logits(cache.levels[0][low:high], cache.levels[-1][low:high])
                    logits[low:high] += said.numpy() / len(bundle.members)
            # Whoever asks later reads the last level only.
            del cache.levels[:-1]
            caches.append(cache)
        return cls(bundle, graph, asked, inputs, tuple(caches), logits, bundle.version)

    def turned(self, rotation: np.ndarray, space_version: str) -> Embedder:
        """The same embedder giving its vectors in another space."""
        return replace(self, rotation=rotation, space_version=space_version)

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self.bundle.model.width

    @property
    def entity_types(self) -> tuple[str, ...]:
        """Types that take part in events and so have vectors."""
        return tuple(types_with_roles(self.graph.log))

    # ------------------------------------------------------------ asking

    def embed(
        self, entity_type: str, ids: Sequence[str], as_of: int | np.ndarray, *, created: int | None = None
    ) -> pa.Table:
        """Rows for the entities `ids`, known or never heard of, as of an instant or one instant each (µs UTC).

        Columns as in an export (gnn/embedding_table.py), rows in the order asked. A stranger has the zero vector,
        `is_new` and the score of somebody without a past. `created` (µs UTC) is put into created_timestamp; by
        default the instant itself.

        >>> embedder.embed("user", ["u1", "never seen"], instant("2025-03-01"))["is_new"].to_pylist()
        [False, True]
        """
        codes = pc.index_in(pa.array(ids, pa.string()), value_set=self._ids_of(entity_type))
        codes = codes.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int32)
        times = np.broadcast_to(np.asarray(as_of, np.int64), codes.shape)
        parts = []
        for low in range(0, max(len(codes), 1), BATCH):
            rows = slice(low, low + BATCH)
            provenance = self.provenance(int(times.max(initial=0)) if created is None else created)
            parts.append(
                self._entity_rows(entity_type, pa.array(ids[rows], pa.string()), codes[rows], times[rows], provenance)
            )
        return pa.concat_tables(parts)

    def entity_batches(
        self, entity_type: str, as_of: int, provenance: Provenance, *, changed_since: int | None = None
    ) -> Iterator[pa.Table]:
        """Rows of all entities with an event before `as_of`, by id, in tables of at most BATCH rows.

        With `changed_since` only of those with an event that came into sight in [changed_since, as_of).
        """
        ids, order = self._ids_of(entity_type), self._order_of(entity_type)
        newest, _ = self.graph.last_events(entity_type, order, np.full(len(order), as_of, np.int64), 1)
        there = newest[:, 0] != MISSING
        if changed_since is not None:
            there[there] = self._visible_time[newest[there, 0]] >= changed_since
        chosen = order[there]
        for low in range(0, len(chosen), BATCH):
            codes = chosen[low : low + BATCH]
            times = np.full(len(codes), as_of, np.int64)
            yield self._entity_rows(entity_type, ids.take(pa.array(codes)), codes, times, provenance)

    def event_batches(self, rows: np.ndarray, provenance: Provenance) -> Iterator[pa.Table]:
        """Rows of the events `rows` (indices), each at its own time, in tables of at most BATCH rows.

        Events of a type that the model learnt no label of have no score.
        """
        score, taught = self.bundle.calibrators.get(EVENTS), self.bundle.has_score(self.graph.log)
        for low in range(0, len(rows), BATCH):
            part = rows[low : low + BATCH]
            vectors = self._placed(self.caches[0].levels[-1].numpy()[part])
            said = None if score is None else np.where(taught[part], score(self.event_logits[part]), np.nan)
            yield event_table(self.graph.log, part, vectors, said, provenance)

    def provenance(self, created: int) -> Provenance:
        """What every row says of where it comes from."""
        return Provenance(self.bundle.version, self.space_version, created)

    # ------------------------------------------------------------ computing

    def vectors_of(self, entity_type: str, codes: np.ndarray, as_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (n, width) float32 of entities at instants, and the windows (n, k) of events they rest on."""
        windows, _ = self.graph.last_events(entity_type, codes, as_of, self.bundle.model.node_k)
        vectors = np.zeros((len(codes), self.dimension), np.float32)
        weighted_mean(self.caches[0].levels[-1].numpy(), windows, self._visible_time, vectors)
        return self._placed(vectors), windows

    def _entity_rows(
        self, entity_type: str, ids: pa.Array, codes: np.ndarray, times: np.ndarray, provenance: Provenance
    ) -> pa.Table:
        vectors, windows = self.vectors_of(entity_type, codes, times)
        seen = (windows != MISSING).sum(1).astype(np.int32)
        last = np.where(seen > 0, self._visible_time[np.maximum(windows[:, 0], 0)], 0)
        return entity_table(
            entity_type, ids, times, vectors, self._scores(entity_type, codes, times), seen, last, provenance
        )

    def _scores(self, entity_type: str, codes: np.ndarray, times: np.ndarray) -> np.ndarray | None:
        """Calibrated scores (n,) of the entity type's head; None where the model has none."""
        if entity_type not in self.bundle.node_types:
            return None
        order = np.argsort(times, kind="stable")
        asked = NodeQuestions(entity_type, codes[order], times[order])
        columns = node_columns(self.graph, asked, self.bundle.behaviour)
        ready = NodeInputs.of(self.inputs, self.bundle.spaces[entity_type], asked, columns, k=self.bundle.model.node_k)
        everything = np.arange(len(codes))
        with torch.no_grad():
            said = [
                ready.logits(member, cache, everything, start=len(self.graph.log)).numpy()
                for member, cache in zip(self.bundle.members, self.caches, strict=True)
            ]
        scores = np.empty(len(codes))
        scores[order] = self.bundle.calibrators[entity_type](np.mean(said, axis=0))
        return scores

    def _placed(self, vectors: np.ndarray) -> np.ndarray:
        return vectors if self.rotation is None else rotated(vectors, self.rotation)

    def _ids_of(self, entity_type: str) -> pa.StringArray:
        if entity_type not in self.entity_types:
            raise NotFoundError(f"entities: no type '{entity_type}'; there are {', '.join(self.entity_types)}")
        return self.graph.log.entity_ids[entity_type]

    def _order_of(self, entity_type: str) -> np.ndarray:
        """Codes of all entities of a type by id: an order in which later entities move nobody."""
        return pc.sort_indices(self._ids_of(entity_type)).to_numpy().astype(np.int32)

    @cached_property
    def _visible_time(self) -> np.ndarray:
        return self.graph.log.visible_time


@njit(cache=True, nogil=True)
def weighted_mean(vectors: np.ndarray, windows: np.ndarray, visible_time: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` (n, width) with the mean of vectors[windows[i]], a half weighing so much less that is older.

    `windows` (n, k) int32 stand newest first and end at MISSING; rows without an event stay 0. An event `age` older
    than the newest weighs HALF_WEIGHT_AGE / (HALF_WEIGHT_AGE + age). Row by row, so the bits of one do not depend on
    its neighbours.
    """
    n, k = windows.shape
    width = out.shape[1]
    for i in range(n):
        total = np.float32(0.0)
        for j in range(k):
            p = windows[i, j]
            if p < 0:
                break
            age = visible_time[windows[i, 0]] - visible_time[p]
            weight = np.float32(HALF_WEIGHT_AGE / (HALF_WEIGHT_AGE + age))
            total += weight
            for c in range(width):
                out[i, c] += weight * vectors[p, c]
        if total > 0:
            for c in range(width):
                out[i, c] /= total


@njit(cache=True, nogil=True)
def rotated(vectors: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """vectors @ rotation, row by row: a matrix library rounds differently for other numbers of rows."""
    n, width = vectors.shape
    out = np.zeros((n, width), np.float32)
    for i in range(n):
        for a in range(width):
            value = vectors[i, a]
            for b in range(width):
                out[i, b] += value * rotation[a, b]
    return out
