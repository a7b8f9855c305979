"""How an entity lives as of an instant: its habits, its busiest hours, whom it shares things with.

Windows that end at the question forget how something began; a mule's first day or the week in which ten cards were
added is told here. Asked of entities only (node heads, exported vectors), and each question reads the entity's last
`DEPTH` events at most, so the cost is linear in questions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from graphs.events import MISSING, EventLog
from graphs.ids import encode_pairs
from graphs.temporal_graph import TemporalGraph
from graphs.windows import first_not_before, role_columns, types_with_roles

DEPTH = 256
"""The entity's last events that a question reads."""

_PER_WAY = ("mean", "max", "min", "round_share", "whole_share", "repeat_share", "hour_sin", "hour_cos")
_PER_WAY_TIME = ("gap_mean", "gap_min", "seconds_since_first")


def habit_names(log: EventLog, entity_type: str, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the columns of `habits`, in order.

    A *way* is an event type and the role the entity has in it. Per way: mean, max and min amount; shares of round
    (multiples of 50), whole and repeated amounts; habitual hour; mean (logarithmic) and least gap in seconds; time
    since its first; the most events and money in any window of each length. Per other entity type: how many of the
    last partners others hold too, and the most others any of them has.
    """
    names = []
    for event_type, role in _ways(log, entity_type):
        way = f"{log.event_types[event_type]}_as_{log.roles[role].name}"
        names += [f"{what}_{way}" for what in (*_PER_WAY, *_PER_WAY_TIME)]
        names += [f"busiest_{what}{suffix}_{way}" for suffix in suffixes for what in ("count", "sum")]
    for partner in _partners(log, entity_type):
        names += [f"shared_{partner}", f"others_{partner}"]
    return tuple(names)


def habits(
    graph: TemporalGraph, entity_type: str, entities: np.ndarray, times: np.ndarray, windows: np.ndarray
) -> np.ndarray:
    """(n, len(habit_names)) float32 for entities (n,) as of times (n,) µs UTC; `windows` (lengths,) µs, ascending.

    NaN where there was nothing, or no amount.
    """
    log, line = graph.log, graph.timelines[entity_type]
    ways = _ways(log, entity_type)
    table = np.full((len(log.event_types), len(log.roles)), MISSING, np.int64)
    for place, (event_type, role) in enumerate(ways):
        table[event_type, role] = place
    per_way = len(_PER_WAY) + len(_PER_WAY_TIME) + 2 * len(windows)
    partners = _partners(log, entity_type)
    out = np.full((len(entities), per_way * len(ways) + 2 * len(partners)), np.nan, np.float32)
    past = graph.past(times)
    _write_habits(
        line.offsets, line.events, line.roles, line.ranks, entities, past, times, log.visible_time, log.event_type,
        log.amount, table, len(ways), windows, out,
    )  # fmt: skip
    for place, partner in enumerate(partners):
        offsets, met = _first_meetings(log, partner, entity_type)
        _write_crowd(
            line.offsets, line.events, line.ranks, entities, past, times, log.entities, role_columns(log, partner),
            offsets, met, out[:, per_way * len(ways) + 2 * place :],
        )  # fmt: skip
    return out


def _ways(log: EventLog, entity_type: str) -> list[tuple[int, int]]:
    """Every (event type, role of the type): all of them, used or not, so that no future row adds a column."""
    return [(kind, int(role)) for kind in range(len(log.event_types)) for role in role_columns(log, entity_type)]


def _partners(log: EventLog, entity_type: str) -> list[str]:
    """The types that an entity meets in events: none for one that only entity tables know."""
    met = types_with_roles(log)
    return [kind for kind in met if kind != entity_type] if entity_type in met else []


def _first_meetings(log: EventLog, partner: str, entity_type: str) -> tuple[np.ndarray, np.ndarray]:
    """For each entity of type `partner` the instants at which it first met each entity of `entity_type`, ascending:
    offsets (partners + 1,) and times (meetings,) µs."""
    one, other, when = [], [], []
    for left in role_columns(log, partner):
        for right in role_columns(log, entity_type):
            both = np.flatnonzero((log.entities[:, left] != MISSING) & (log.entities[:, right] != MISSING))
            one.append(log.entities[both, left])
            other.append(log.entities[both, right])
            when.append(log.visible_time[both])
    holder, held, times = np.concatenate(one), np.concatenate(other), np.concatenate(when)
    pairs, count = encode_pairs(holder, held)
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, pairs, times)
    of_pair = np.zeros(count, np.int64)
    of_pair[pairs] = holder
    order = np.lexsort((first, of_pair))
    offsets = np.zeros(len(log.entity_ids[partner]) + 1, np.int64)
    np.cumsum(np.bincount(of_pair, minlength=len(offsets) - 1), out=offsets[1:])
    return offsets, first[order]


@njit(cache=True, nogil=True)
def _write_habits(
    offsets: np.ndarray,
    events: np.ndarray,
    roles: np.ndarray,
    ranks: np.ndarray,
    entities: np.ndarray,
    past: np.ndarray,
    asked: np.ndarray,
    time: np.ndarray,
    event_type: np.ndarray,
    amount: np.ndarray,
    table: np.ndarray,
    way_count: int,
    windows: np.ndarray,
    out: np.ndarray,
) -> None:
    when, paid = np.empty(DEPTH, np.int64), np.empty(DEPTH, np.float64)
    width = len(_PER_WAY) + len(_PER_WAY_TIME) + 2 * len(windows)
    for row in range(len(entities)):
        entity = entities[row]
        if entity < 0:
            continue
        stop = first_not_before(ranks, offsets[entity], offsets[entity + 1], past[row])
        start = max(offsets[entity], stop - DEPTH)
        for way in range(way_count):
            n = 0
            for slot in range(start, stop):
                event = events[slot]
                if table[event_type[event], roles[slot]] == way:
                    when[n], paid[n] = time[event], amount[event]
                    n += 1
            if n > 0:
                _write_way(when[:n], paid[:n], asked[row], windows, out[row, way * width : (way + 1) * width])


@njit(cache=True, nogil=True)
def _write_way(when: np.ndarray, paid: np.ndarray, now: int, windows: np.ndarray, out: np.ndarray) -> None:
    """One way of one entity: `when` (n,) µs ascending, `paid` (n,) amounts, NaN for none."""
    total, most, least, count, rounded, whole, repeated = 0.0, -np.inf, np.inf, 0, 0, 0, 0
    sine, cosine, gaps, shortest, before = 0.0, 0.0, 0.0, np.inf, np.nan
    for place in range(len(when)):
        value = paid[place]
        if value == value:
            total += value
            most, least = max(most, value), min(least, value)
            count += 1
            rounded += value % 50 == 0
            whole += value % 1 == 0
            repeated += value == before
            before = value
        angle = (when[place] % 86_400_000_000) * (2 * np.pi / 86_400_000_000)
        sine += np.sin(angle)
        cosine += np.cos(angle)
        if place > 0:
            gap = (when[place] - when[place - 1]) / 1e6
            gaps += np.log1p(gap)
            shortest = min(shortest, gap)
    n = len(when)
    if count > 0:
        out[0], out[1], out[2] = total / count, most, least
        out[3], out[4], out[5] = rounded / count, whole / count, repeated / count
    out[6], out[7] = sine / n, cosine / n
    if n > 1:
        out[8], out[9] = np.expm1(gaps / (n - 1)), shortest
    out[10] = (now - when[0]) / 1e6
    for window in range(len(windows)):
        tail, money, busiest, richest = 0, 0.0, 0, 0.0
        for place in range(n):
            money += paid[place] if paid[place] == paid[place] else 0.0
            while when[tail] < when[place] - windows[window]:
                money -= paid[tail] if paid[tail] == paid[tail] else 0.0
                tail += 1
            busiest, richest = max(busiest, place - tail + 1), max(richest, money)
        out[11 + 2 * window], out[12 + 2 * window] = busiest, richest


@njit(cache=True, nogil=True)
def _write_crowd(
    offsets: np.ndarray,
    events: np.ndarray,
    ranks: np.ndarray,
    entities: np.ndarray,
    past: np.ndarray,
    asked: np.ndarray,
    held: np.ndarray,
    columns: np.ndarray,
    meeting_offsets: np.ndarray,
    meetings: np.ndarray,
    out: np.ndarray,
) -> None:
    """Of an entity's partners in its last DEPTH events: how many others hold too, and the most others one has."""
    known = np.empty(DEPTH * len(columns), np.int64)
    for row in range(len(entities)):
        entity = entities[row]
        if entity < 0:
            continue
        stop = first_not_before(ranks, offsets[entity], offsets[entity + 1], past[row])
        n, shared, most = 0, 0, 0
        for slot in range(stop - 1, max(offsets[entity], stop - DEPTH) - 1, -1):
            for column in columns:
                partner = held[events[slot], column]
                if partner < 0 or (known[:n] == partner).any():
                    continue
                known[n] = partner
                n += 1
                low = meeting_offsets[partner]
                others = first_not_before(meetings, low, meeting_offsets[partner + 1], asked[row]) - low - 1
                shared += others > 0
                most = max(most, others)
        if n > 0:
            out[row, 0], out[row, 1] = shared, most
