"""The kernels under `TemporalGraph`: placing events on timelines and reading the last k before an instant.

They stand apart from the graph because they are the only compiled code it needs. All are pure, release the
GIL and touch each incidence once; an incidence is one entity in one role of one event.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from graphs.events import MISSING

_MISSING = np.int32(MISSING)

_DIGIT_BITS = 12


def order_by_time(times: np.ndarray) -> np.ndarray:
    """Rows by time, earlier row first among equals: int32 (n,), or empty where they stand so already."""
    if np.all(times[1:] >= times[:-1]):
        return np.empty(0, np.int32)
    return _radix_order(times)


@njit(cache=True, nogil=True)
def _radix_order(times: np.ndarray) -> np.ndarray:
    """Stable argsort digit by digit, lowest first: linear, a third of the time of numpy's merge sort."""
    low, high = times.min(), times.max()
    # Wraps around where the span exceeds int64; as uint64 it is right again.
    keys = (times - low).view(np.uint64)
    span = np.uint64(high - low)
    order = np.arange(len(times)).astype(np.int32)
    next_keys, next_order = np.empty_like(keys), np.empty_like(order)
    shift = np.uint64(0)
    mask = np.uint64((1 << _DIGIT_BITS) - 1)
    while shift < 64 and (span >> shift) > 0:
        starts = np.zeros((1 << _DIGIT_BITS) + 1, np.int64)
        for row in range(len(keys)):
            starts[((keys[row] >> shift) & mask) + np.uint64(1)] += 1
        for digit in range(1 << _DIGIT_BITS):
            starts[digit + 1] += starts[digit]
        for row in range(len(keys)):
            digit = (keys[row] >> shift) & mask
            slot = starts[digit]
            starts[digit] = slot + 1
            next_keys[slot] = keys[row]
            next_order[slot] = order[row]
        keys, next_keys = next_keys, keys
        order, next_order = next_order, order
        shift += np.uint64(_DIGIT_BITS)
    return order


@njit(cache=True, nogil=True)
def count_incidences(entities: np.ndarray, columns: np.ndarray, entity_count: int) -> np.ndarray:
    """Offsets (entities + 1,) int64 of the timelines of one entity type.

    `entities` (events, roles) int32, `columns` the roles of that type.
    """
    offsets = np.zeros(entity_count + 1, np.int64)
    for event in range(len(entities)):
        for column in columns:
            entity = entities[event, column]
            if entity >= 0:
                offsets[entity + 1] += 1
    for entity in range(entity_count):
        offsets[entity + 1] += offsets[entity]
    return offsets


@njit(cache=True, nogil=True)
def place_incidences(
    entities: np.ndarray,
    columns: np.ndarray,
    offsets: np.ndarray,
    order: np.ndarray,
    visible_time: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill the timelines by a counting sort: events int32, roles int8, visible_time int64 (incidences,).

    `order` is `order_by_time(visible_time)`; each timeline inherits it.
    """
    size = offsets[-1]
    events = np.empty(size, np.int32)
    roles = np.empty(size, np.int8)
    times = np.empty(size, np.int64)
    cursor = offsets[:-1].copy()
    for step in range(len(entities)):
        event = order[step] if len(order) else step
        for column in columns:
            entity = entities[event, column]
            if entity >= 0:
                slot = cursor[entity]
                cursor[entity] = slot + 1
                events[slot] = event
                roles[slot] = column
                times[slot] = visible_time[event]
    return events, roles, times


@njit(cache=True, nogil=True, inline="always")
def first_not_before(times: np.ndarray, low: int, high: int, instant: int) -> int:
    """The first slot of times[low:high] (ascending) that is not before `instant`; `high` if all are."""
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < instant:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def last_before(
    offsets: np.ndarray,
    events: np.ndarray,
    roles: np.ndarray,
    times: np.ndarray,
    entities: np.ndarray,
    instants: np.ndarray,
    out_events: np.ndarray,
    out_roles: np.ndarray,
) -> None:
    """Write the last k incidences of entities[i] strictly before instants[i], newest first, into out[i].

    `out_events` int32 and `out_roles` int8 are (n, k), strided as the caller likes; the rest is MISSING.
    """
    k = out_events.shape[1]
    for row in range(len(entities)):
        entity = entities[row]
        found = 0
        if entity >= 0:
            start = offsets[entity]
            slot = first_not_before(times, start, offsets[entity + 1], instants[row])
            found = min(k, slot - start)
            for place in range(found):
                out_events[row, place] = events[slot - 1 - place]
                out_roles[row, place] = roles[slot - 1 - place]
        for place in range(found, k):
            out_events[row, place] = _MISSING
            out_roles[row, place] = _MISSING
