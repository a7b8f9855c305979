"""The compiled walks behind paths, rarity and nearness to fraud, over a graph seen as one web of nodes.

A node is an entity of any type; its number is its code plus the base of its type. Two nodes are joined by every event
they share. The web copies the timelines' events into one array each, so that one kernel serves every schema.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numba import njit

from graphs.temporal_graph import TemporalGraph, Timeline
from graphs.windows import first_not_before

NO_CAP = np.iinfo(np.int32).max

MANY_PERSONS = 1000
"""Persons are counted up to here."""

_UNREACHED = -1
_FAR = np.int8(127)


@dataclass(frozen=True)
class Web:
    """`offsets` (nodes + 1,) int64, `events` and `ranks` (incidences,) int32 as in `Timeline`; `entities` (events,
    roles) codes; `role_base` (roles,) what a role's codes are raised by; persons are the nodes in `persons`."""

    offsets: np.ndarray
    events: np.ndarray
    ranks: np.ndarray
    entities: np.ndarray
    role_base: np.ndarray
    bases: dict[str, int]
    persons: tuple[int, int]

    @classmethod
    def of(cls, graph: TemporalGraph, person_type: str) -> Web:
        """The web of a graph, whose persons are the entities of `person_type` (none, if there is no such type)."""
        lines = list(graph.timelines.values())
        *starts, end = np.cumsum([0, *(len(line.events) for line in lines)]).tolist()
        counts = [len(line.offsets) - 1 for line in lines]
        bases = dict(zip(graph.timelines, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
        events = np.concatenate([line.events for line in lines])
        late = any(line.ranks is not line.events for line in lines)
        first = bases.get(person_type, 0)
        return cls(
            offsets=np.concatenate([*map(_shifted, lines, starts), [end]]),
            events=events,
            ranks=np.concatenate([line.ranks for line in lines]) if late else events,
            entities=np.asarray(graph.log.entities),
            role_base=np.array([bases[role.entity_type] for role in graph.log.roles], np.int64),
            bases=bases,
            persons=(first, first + len(graph.log.entity_ids.get(person_type, ()))),
        )

    def node(self, entity_type: str, code: int) -> int:
        """The number of an entity."""
        return self.bases[entity_type] + code

    def entity(self, node: int) -> tuple[str, int]:
        """(type, code) of a node."""
        kind = next(kind for kind in reversed(self.bases) if self.bases[kind] <= node)
        return kind, node - self.bases[kind]

    @cached_property
    def crowds(self) -> np.ndarray:
        """Distinct persons of every node over all time, MANY_PERSONS + 1 for any more: (nodes,) int32."""
        return self._count(np.arange(len(self.offsets) - 1), (0, len(self.entities)), MANY_PERSONS)

    def count_persons(self, nodes: np.ndarray, window: tuple[int, int], cap: int) -> np.ndarray:
        """Distinct persons in the events of each node within the ranks `window`: (n,) int32, cap + 1 for any more."""
        if cap <= MANY_PERSONS and window == (0, len(self.entities)):
            return np.minimum(self.crowds[nodes], cap + 1)
        return self._count(nodes, window, cap)

    def tally(
        self, node: int, window: tuple[int, int], amounts: np.ndarray, times: np.ndarray, types: np.ndarray
    ) -> Tally:
        """What `node` has with each other node; `amounts`, `times` and `types` (events,) are those of the log."""
        first, last = self.offsets[node], self.offsets[node + 1]
        low, high = first + np.searchsorted(self.ranks[first:last], window, side="left")
        columns = _tally(
            self.events[low:high], self.entities, self.role_base, len(self.offsets) - 1, node, amounts, times, types
        )
        return Tally(*columns).take(np.argsort(columns[0]))

    def sweep(self, origin: int, window: tuple[int, int], hub_cap: int) -> Sweep:
        """A breadth-first sweep from `origin` that has not begun."""
        return Sweep(self, origin, window, hub_cap)

    def weigh(self, nodes: np.ndarray, window: tuple[int, int], hub_cap: int) -> np.ndarray:
        """What passing each node costs, (n,) float32: log2(1 + its persons), 1 for a person, inf for a hub."""
        persons = self.count_persons(nodes, window, min(hub_cap, MANY_PERSONS))
        weights = np.where(persons > hub_cap, np.inf, np.log2(1.0 + persons))
        own = (nodes >= self.persons[0]) & (nodes < self.persons[1])
        return np.where(own, 1.0, weights).astype(np.float32)

    def _count(self, nodes: np.ndarray, window: tuple[int, int], cap: int) -> np.ndarray:
        return _count_persons(
            self.offsets, self.events, self.ranks, self.entities, self.role_base, *self.persons, nodes, *window, cap
        )

    def push(
        self, seeds: np.ndarray, window: tuple[int, int], *, restart: float, epsilon: float, hub_cap: int
    ) -> np.ndarray:
        """Approximate personalised PageRank of every node, (nodes,) float64, from `seeds` of equal weight.

        A step goes from a node to one of its events and on to another of the event's nodes, each evenly drawn; hubs
        end the walk. The error at a node is at most `epsilon` times its events, and the work at most
        1 / (epsilon · restart), however large the graph (Andersen, Chung and Lang, FOCS 2006, section 3).
        """
        return _push(
            self.offsets, self.events, self.ranks, self.entities, self.role_base, *self.persons, seeds, *window,
            restart, epsilon, hub_cap,
        )  # fmt: skip


@dataclass(frozen=True)
class Tally:
    """The nodes in events with one node: `nodes` ascending, and for each how many `events` they share (one in which it
    has two roles counts once), their `value`, `first` and `last` time (µs) and `kinds`, a bit per event type, the 63rd
    for all further ones. All (n,)."""

    nodes: np.ndarray
    events: np.ndarray
    value: np.ndarray
    first: np.ndarray
    last: np.ndarray
    kinds: np.ndarray

    def take(self, places: np.ndarray) -> Tally:
        """Only the nodes at `places`, in that order."""
        return Tally(*(getattr(self, field.name)[places] for field in fields(self)))


class Sweep:
    """How far nodes are from `origin` when no hub, an identifier of more than `hub_cap` persons, is passed.

    Grown layer by layer to `depth`. `hops` (nodes,) int8, -1 where not reached; `cost` (nodes,) float32, the least sum
    of weights of the nodes between, among the ways of fewest hops; `weight` (nodes,) float32 as `Web.weigh`, nan where
    nothing was led over; `border` the nodes of the last layer.
    """

    def __init__(self, web: Web, origin: int, window: tuple[int, int], hub_cap: int) -> None:
        nodes = len(web.offsets) - 1
        self.web, self.origin, self.window, self.hub_cap = web, origin, window, hub_cap
        self.hops = np.full(nodes, _UNREACHED, np.int8)
        self.cost = np.full(nodes, np.inf, np.float32)
        self.weight = np.full(nodes, np.nan, np.float32)
        self.hops[origin], self.cost[origin], self.weight[origin] = 0, 0.0, 0.0
        self.depth = 0
        # Without a window everybody is counted already; an empty array asks for a count.
        self._crowds = web.crowds if window == (0, len(web.entities)) else np.empty(0, np.int32)
        self._seen = np.full(web.persons[1] - web.persons[0], -1, np.int64)
        self._reached_at = np.full(len(web.entities), _FAR, np.int8)
        self._places = np.empty(nodes, np.int64)
        self._places[0] = origin
        self._start, self._stop = 0, 1

    @property
    def border(self) -> np.ndarray:
        """The nodes of the last layer, (n,) int64."""
        return self._places[self._start : self._stop]

    @property
    def effort(self) -> int:
        """How many incidences the next layer will read."""
        weight = self.web.weigh(self.border, self.window, self.hub_cap)
        led_over = self.border[(weight < np.inf) | (self.border == self.origin)]
        return int((self.web.offsets[led_over + 1] - self.web.offsets[led_over]).sum())

    def grow(self, other: Sweep | None = None, *, length: int = 0) -> None:
        """One layer further. With `other`, a sweep from the other end that has grown to at least `length` less our new
        depth, only to nodes that a path of `length` hops between the two could use."""
        web, reach = self.web, length - self.depth - 1
        other_hops = np.empty(0, np.int8) if other is None else other.hops
        assert other is None or reach <= other.depth, "the other sweep cannot tell yet"
        stop = _grow(
            web.offsets, web.events, web.ranks, web.entities, web.role_base, *web.persons, self._crowds, self._seen,
            *self.window, self.hub_cap, self.hops, self.cost, self.weight, self._reached_at, self._places, self._start,
            self._stop, self.depth, other_hops, reach,
        )  # fmt: skip
        self._start, self._stop, self.depth = self._stop, stop, self.depth + 1


def meet(left: Sweep, right: Sweep, max_hops: int) -> int | None:
    """Grow both, the one with less to read first, until they meet: the hops between their origins, or None."""
    while left.depth + right.depth < max_hops and len(left.border) and len(right.border):
        side, other = (left, right) if left.effort <= right.effort else (right, left)
        side.grow()
        both = side.border[other.hops[side.border] >= 0]
        ends = (both == left.origin) | (both == right.origin)
        if len(both) and (ends | (side.web.weigh(both, side.window, side.hub_cap) < np.inf)).any():
            return left.depth + right.depth
    return None


def _shifted(line: Timeline, start: int) -> np.ndarray:
    return line.offsets[:-1] + start


@njit(cache=True, nogil=True)
def _count_persons(
    offsets: np.ndarray,
    events: np.ndarray,
    ranks: np.ndarray,
    entities: np.ndarray,
    role_base: np.ndarray,
    first_person: int,
    end_persons: int,
    nodes: np.ndarray,
    low: int,
    high: int,
    cap: int,
) -> np.ndarray:
    counts = np.zeros(len(nodes), np.int32)
    seen = np.full(end_persons - first_person, -1, np.int64)
    for place in range(len(nodes)):
        counts[place] = _persons_of(
            offsets, events, ranks, entities, role_base, first_person, end_persons, nodes[place], low, high, cap, seen
        )
    return counts


@njit(cache=True, nogil=True)
def _persons_of(
    offsets: np.ndarray,
    events: np.ndarray,
    ranks: np.ndarray,
    entities: np.ndarray,
    role_base: np.ndarray,
    first_person: int,
    end_persons: int,
    node: int,
    low: int,
    high: int,
    cap: int,
    seen: np.ndarray,
) -> int:
    """Distinct persons of one node; stops at cap + 1. `seen` holds for each person the last node that counted it."""
    found = 0
    slot = first_not_before(ranks, offsets[node], offsets[node + 1], low)
    while slot < offsets[node + 1] and ranks[slot] < high:
        for role in range(entities.shape[1]):
            code = entities[events[slot], role]
            other = code + role_base[role]
            if code >= 0 and first_person <= other < end_persons and seen[other - first_person] != node:
                seen[other - first_person] = node
                found += 1
                if found > cap:
                    return found
        slot += 1
    return found


@njit(cache=True, nogil=True)
def _tally(
    slots: np.ndarray,
    entities: np.ndarray,
    role_base: np.ndarray,
    node_count: int,
    node: int,
    amounts: np.ndarray,
    times: np.ndarray,
    types: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`slots` are the node's events in order; nodes come out in order of first meeting."""
    roles = entities.shape[1]
    most = min(node_count, len(slots) * roles)
    place_of = np.full(node_count, -1, np.int32)
    nodes, events = np.empty(most, np.int64), np.zeros(most, np.int64)
    value, kinds = np.zeros(most), np.zeros(most, np.int64)
    first, last = np.empty(most, np.int64), np.empty(most, np.int64)
    found = 0
    for slot in range(len(slots)):
        event = slots[slot]
        if slot > 0 and event == slots[slot - 1]:
            continue  # the node has two roles in it
        for role in range(roles):
            other = entities[event, role] + role_base[role]
            told = entities[event, role] < 0 or other == node
            for earlier in range(role):
                told |= entities[event, earlier] >= 0 and entities[event, earlier] + role_base[earlier] == other
            if told:
                continue
            place = place_of[other]
            if place < 0:
                place = place_of[other] = found
                nodes[place], first[place], last[place] = other, times[event], times[event]
                found += 1
            events[place] += 1
            if not np.isnan(amounts[event]):
                value[place] += amounts[event]
            first[place], last[place] = min(first[place], times[event]), max(last[place], times[event])
            kinds[place] |= np.int64(1) << min(np.int64(types[event]), np.int64(62))
    return nodes[:found], events[:found], value[:found], first[:found], last[:found], kinds[:found]


@njit(cache=True, nogil=True)
def _grow(
    offsets: np.ndarray,
    events: np.ndarray,
    ranks: np.ndarray,
    entities: np.ndarray,
    role_base: np.ndarray,
    first_person: int,
    end_persons: int,
    crowds: np.ndarray,
    seen: np.ndarray,
    low: int,
    high: int,
    hub_cap: int,
    hops: np.ndarray,
    cost: np.ndarray,
    weight: np.ndarray,
    reached_at: np.ndarray,
    border: np.ndarray,
    start: int,
    stop: int,
    depth: int,
    other_hops: np.ndarray,
    reach: int,
) -> int:
    """Lead on from border[start:stop], the nodes `depth` hops away; returns where the border ends now.

    With `other_hops` (nodes,), only nodes at most `reach` hops from the other end are met.
    """
    end = stop
    for place in range(start, stop):
        node = border[place]
        if depth > 0:
            weight[node] = 1.0
            if not first_person <= node < end_persons:
                persons = crowds[node] if len(crowds) == len(hops) else -1
                if persons < 0:
                    persons = _persons_of(
                        offsets, events, ranks, entities, role_base, first_person, end_persons, node, low, high,
                        min(hub_cap, MANY_PERSONS), seen,
                    )  # fmt: skip
                weight[node] = np.inf if persons > hub_cap else np.log2(1.0 + persons)
            if np.isinf(weight[node]):
                continue
        slot = first_not_before(ranks, offsets[node], offsets[node + 1], low)
        while slot < offsets[node + 1] and ranks[slot] < high:
            event = events[slot]
            slot += 1
            # Whoever is in an event that an earlier layer met is reached already.
            if reached_at[event] < depth:
                continue
            reached_at[event] = depth
            for role in range(entities.shape[1]):
                code = entities[event, role]
                if code < 0:
                    continue
                other = code + role_base[role]
                if hops[other] == _UNREACHED:
                    if len(other_hops) and not 0 <= other_hops[other] <= reach:
                        continue
                    hops[other] = depth + 1
                    border[end] = other
                    end += 1
                if hops[other] == depth + 1:
                    cost[other] = min(cost[other], cost[node] + weight[node])
    return end


@njit(cache=True, nogil=True)
def _push(
    offsets: np.ndarray,
    events: np.ndarray,
    ranks: np.ndarray,
    entities: np.ndarray,
    role_base: np.ndarray,
    first_person: int,
    end_persons: int,
    seeds: np.ndarray,
    low: int,
    high: int,
    restart: float,
    epsilon: float,
    hub_cap: int,
) -> np.ndarray:
    nodes = len(offsets) - 1
    rank = np.zeros(nodes)
    rest = np.zeros(nodes)
    hub = np.zeros(nodes, np.int8)  # 0 not asked yet, 1 hub, 2 none
    seen = np.full(end_persons - first_person, -1, np.int64)
    queue = np.empty(nodes + 1, np.int64)
    queued = np.zeros(nodes, np.bool_)
    head, tail = 0, 0
    for seed in seeds:
        rest[seed] += 1.0 / len(seeds)
        if not queued[seed]:
            queued[seed] = True
            queue[tail] = seed
            tail += 1
        hub[seed] = 2
    while head != tail:
        node = queue[head]
        head = (head + 1) % (nodes + 1)
        queued[node] = False
        first = first_not_before(ranks, offsets[node], offsets[node + 1], low)
        last = first_not_before(ranks, first, offsets[node + 1], high)
        left = rest[node]
        if left < epsilon * max(1, last - first):
            continue
        rest[node] = 0.0
        if hub[node] == 0:
            hub[node] = 2
            if not first_person <= node < end_persons:
                persons = _persons_of(
                    offsets, events, ranks, entities, role_base, first_person, end_persons, node, low, high,
                    hub_cap, seen,
                )  # fmt: skip
                hub[node] = 1 if persons > hub_cap else 2
        if hub[node] == 1 or first == last:
            rank[node] += left
            continue
        rank[node] += restart * left
        share = (1.0 - restart) * left / (last - first)
        for slot in range(first, last):
            others = 0
            for role in range(entities.shape[1]):
                code = entities[events[slot], role]
                others += code >= 0 and code + role_base[role] != node
            if others == 0:
                rank[node] += share
                continue
            for role in range(entities.shape[1]):
                code = entities[events[slot], role]
                other = code + role_base[role]
                if code < 0 or other == node:
                    continue
                rest[other] += share / others
                if not queued[other] and rest[other] >= epsilon:
                    queued[other] = True
                    queue[tail] = other
                    tail = (tail + 1) % (nodes + 1)
    return rank
