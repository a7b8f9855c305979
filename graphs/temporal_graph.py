"""`TemporalGraph`: an event log plus, for every entity, the timeline of its events.

A timeline is what makes "the last k events of this card before now" one lookup. Everything read from it
is strictly before the instant asked for, so nobody who builds on it looks into the future by accident.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow.compute as pc

from graphs.errors import ConfigError, NotFoundError
from graphs.events import MISSING, NEVER, UNLABELLED, EventLog
from graphs.folders import read_whole, whole_folder
from graphs.history import known_at, union
from graphs.store import load_log, save_log
from graphs.windows import in_order, incidences, last_before, order_by_time, role_columns

_FORMAT = 1
_FACTS = "graph.json"
GRAPH = (_FACTS, "graph")
"""What marks the folder of a graph, and what that is."""
_MAX_EVENTS = np.iinfo(np.int32).max
_MAX_ROLES = np.iinfo(np.int8).max


@dataclass(frozen=True)
class Timeline:
    """The incidences of one entity type in CSR form: those of entity e stand at offsets[e]:offsets[e + 1].

    `offsets` (entities + 1,) int64; the others (incidences,): `events` int32, `roles` int8 (position in `log.roles`)
    and `ranks` int32, the place of the event in the order of (visible_time, event), in which each entity's part
    stands. Where no event is known late that place is the event itself, and `ranks` is the same array as `events`.
    An event that has an entity in two roles of this type stands in its timeline twice, once per role.
    """

    offsets: np.ndarray
    events: np.ndarray
    roles: np.ndarray
    ranks: np.ndarray


@dataclass(frozen=True)
class Windows:
    """The last k incidences of each role's entity before each event, newest first.

    `events` (n, roles, k) int32 and `roles` (n, roles, k) int8, MISSING where there were fewer than k
    or there is no entity.
    """

    events: np.ndarray
    roles: np.ndarray


@dataclass(frozen=True)
class TemporalGraph:
    """The graph: events joined through the entities they share, in time.

    >>> graph = TemporalGraph.build(log)
    >>> events, roles = graph.last_events("card", cards, times, 8)
    """

    log: EventLog
    timelines: Mapping[str, Timeline]
    visible_times: np.ndarray
    """(events,) int64 µs, ascending: visible_times[rank] is that of the event of this rank."""

    @classmethod
    def build(cls, log: EventLog) -> TemporalGraph:
        """Build the timelines in time linear in the incidences."""
        assert len(log) <= _MAX_EVENTS, "event positions are int32"
        assert len(log.roles) <= _MAX_ROLES, "role positions are int8"
        visible_time = log.visible_time
        order = order_by_time(visible_time)
        entities = in_order(log.entities, order)
        timelines = {
            entity_type: Timeline(*incidences(entities, order, role_columns(log, entity_type), len(ids)))
            for entity_type, ids in log.entity_ids.items()
        }
        return cls(log, timelines, in_order(visible_time, order))

    def check_codes(self, entity_type: str, entities: np.ndarray) -> None:
        """Assert that these (n,) are codes of this graph, which those of another need not be: kernels do not look."""
        count = len(self.log.entity_ids[entity_type])
        assert np.max(entities, initial=MISSING) < count, f"there are {count} of type '{entity_type}' in this graph"

    def past(self, times: np.ndarray) -> np.ndarray:
        """How many events are visible strictly before each time (n,), int64: exactly those of the ranks below."""
        return np.searchsorted(self.visible_times, times, side="left")

    def events_at(self, ranks: np.ndarray) -> np.ndarray:
        """Which events have these ranks, int32 of the same shape."""
        return (self._order[ranks] if len(self._order) else ranks).astype(np.int32, copy=False)

    @cached_property
    def _order(self) -> np.ndarray:
        return order_by_time(self.log.visible_time)

    def last_events(
        self, entity_type: str, entities: np.ndarray, times: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the last `k` incidences of each entity strictly before its time, newest first.

        `entities` (n,) codes (MISSING gives a row of MISSING); `times` (n,) int64 µs UTC. Returns the events
        (n, k) int32 and the role the entity had in each (n, k) int8, MISSING where there are no more.
        """
        self.check_codes(entity_type, entities)
        events = np.empty((len(entities), k), np.int32)
        roles = np.empty((len(entities), k), np.int8)
        self._write_last(entity_type, entities, self.past(times), events, roles)
        return events, roles

    def windows(self, k: int, start: int = 0, stop: int | None = None) -> Windows:
        """Return the last `k` incidences of each role's entity before each of the events start:stop.

        "Before" is strictly before the event's own event_time: none sees itself or one of the same instant.
        """
        rows = slice(start, len(self.log) if stop is None else stop)
        entities, past = self.log.entities[rows], self.past(self.log.event_time[rows])
        events = np.empty((*entities.shape, k), np.int32)
        roles = np.empty((*entities.shape, k), np.int8)
        for place, role in enumerate(self.log.roles):
            self._write_last(role.entity_type, entities[:, place], past, events[:, place], roles[:, place])
        return Windows(events, roles)

    def as_of(self, time: int) -> TemporalGraph:
        """Return the graph as it stood at `time` (µs UTC), equal to one built from what was known then.

        Events visible strictly before, labels and attribute versions known by then, and the entities these speak
        of: their codes can differ from this graph's, their ids cannot.
        """
        return TemporalGraph.build(known_at(self.log, time))

    def append(self, log: EventLog) -> TemporalGraph:
        """Return the graph of these events and those of `log`, equal to one built from all (see `union`)."""
        return TemporalGraph.build(union(self.log, log))

    def save(self, folder: Path) -> None:
        """Write the graph into `folder`, in place of one that is there: the log, and one .npy file per array."""
        late = any(line.ranks is not line.events for line in self.timelines.values())
        with whole_folder(Path(folder), *GRAPH) as made:
            save_log(self.log, made / "log")
            for place, line in enumerate(self.timelines.values()):
                for name in _saved_arrays(late=late):
                    np.save(made / f"timeline.{place}.{name}.npy", getattr(line, name), allow_pickle=False)
            np.save(made / "visible_times.npy", self.visible_times, allow_pickle=False)
            facts = {"format": _FORMAT, "late": late, "timelines": list(self.timelines)}
            (made / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TemporalGraph:
        """The graph that `save` wrote, its arrays mapped from the files.

        Raises NotFoundError if there is none, ConfigError if it cannot be read.
        """
        folder = Path(folder)
        return read_whole(folder, *GRAPH, lambda: cls._load(folder))

    @classmethod
    def _load(cls, folder: Path) -> TemporalGraph:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        if facts["format"] != _FORMAT:
            raise ConfigError(f"{folder}: format {facts['format']}, this version reads {_FORMAT}; build it again")

        def array(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

        log, timelines, visible_times = load_log(folder / "log"), {}, array("visible_times")
        for place, kind in enumerate(facts["timelines"]):
            held = {name: array(f"timeline.{place}.{name}") for name in _saved_arrays(late=facts["late"])}
            timelines[kind] = line = Timeline(**{"ranks": held["events"]} | held)
            # The kernels do not look where they reach.
            lengths = len(visible_times), len(line.offsets), len(line.events), len(line.roles), len(line.ranks)
            if lengths != (len(log), len(log.entity_ids[kind]) + 1, *[line.offsets[-1]] * 3):
                raise ValueError(f"the timeline of '{kind}' is not of this event log")
        return cls(log, timelines, visible_times)

    def to_networkx(
        self, entity_type: str, entity_id: str, *, hops: int = 2, as_of: int | None = None, last: int = 50
    ) -> nx.MultiGraph:
        """Return the surroundings of one entity, for a look: each entity's `last` events before `as_of`
        (µs UTC; None = all of them).

        Nodes are entities `(type, id)` and events `("event", event type, id)` with time (µs UTC), amount and the
        label known then (None if none); an edge joins an event to an entity and carries the role. One hop leads
        over an event to another entity.
        """
        if entity_type not in self.log.entity_ids:
            raise NotFoundError(f"entity type '{entity_type}': the graph has {', '.join(self.log.entity_types)}")
        start = pc.index(self.log.entity_ids[entity_type], entity_id).as_py()
        if start < 0:
            raise NotFoundError(f"no {entity_type} has the id given")
        now = NEVER - 1 if as_of is None else as_of
        around = nx.MultiGraph()
        around.add_node((entity_type, entity_id))
        border, met = [(entity_type, start)], {(entity_type, start)}
        for _ in range(hops):
            reached = []
            for kind, entity in border:
                # An event stands in a timeline once per role that the entity has in it.
                deep = last * len(role_columns(self.log, kind))
                found, _ = self.last_events(kind, np.array([entity]), np.array([now]), deep)
                for event in list(dict.fromkeys(found[found != MISSING].tolist()))[:last]:
                    reached += _add_event(around, self.log, event, now)
            border = [one for one in dict.fromkeys(reached) if one not in met]
            met.update(border)
        return around

    def _write_last(
        self, entity_type: str, entities: np.ndarray, past: np.ndarray, events: np.ndarray, roles: np.ndarray
    ) -> None:
        line = self.timelines[entity_type]
        last_before(line.offsets, line.events, line.roles, line.ranks, entities, past, events, roles)


def _saved_arrays(*, late: bool) -> tuple[str, ...]:
    return ("offsets", "events", "roles", "ranks") if late else ("offsets", "events", "roles")


def _add_event(around: nx.MultiGraph, log: EventLog, event: int, now: int) -> list[tuple[str, int]]:
    """Add one event with its edges unless it is there; return its entities."""
    node = ("event", log.event_types[log.event_type[event]], log.event_ids[event].as_py())
    entities = [(role, int(code)) for role, code in zip(log.roles, log.entities[event], strict=True) if code != MISSING]
    if node not in around:
        known = log.label[event] != UNLABELLED and log.label_known_time[event] <= now
        around.add_node(
            node,
            time=int(log.event_time[event]),
            amount=float(log.amount[event]),
            label=int(log.label[event]) if known else None,
        )
        for role, code in entities:
            key = (role.entity_type, log.entity_ids[role.entity_type][code].as_py())
            around.add_edge(node, key, role=role.name)
    return [(role.entity_type, code) for role, code in entities]
