"""The kernels under `TemporalGraph`: placing events on timelines and reading the last k before an instant.

They stand apart from the graph because they are the only compiled code it needs. All are pure, release the
GIL and touch each incidence once; an incidence is one entity in one role of one event.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from graphs.events import MISSING, EventLog

_MISSING = np.int32(MISSING)

_DIGIT_BITS = 11


def order_by_time(times: np.ndarray) -> np.ndarray:
    """Rows by time, earlier row first among equals: int32 (n,), or empty where they stand so already.

    A radix sort: linear, and a third of the time of numpy's stable sort.
    """
    if np.all(times[1:] >= times[:-1]):
        return np.empty(0, np.int32)
    low, high = int(times.min()), int(times.max())
    digits = -(-(high - low).bit_length() // _DIGIT_BITS)
    # Allocated by numpy, which asks for huge pages: scattering touches one page after another.
    keys = np.empty((2, len(times)), np.uint64)
    order = np.empty((2, len(times)), np.int32)
    return order[_radix_passes(times, low, digits, keys, order)].copy()


@njit(cache=True, nogil=True)
def _radix_passes(times: np.ndarray, low: int, digits: int, keys: np.ndarray, order: np.ndarray) -> int:
    """Order by one digit after another, lowest first; returns which half of `order` holds the result."""
    mask = np.uint64((1 << _DIGIT_BITS) - 1)
    counts = np.zeros((digits, 1 << _DIGIT_BITS), np.int64)
    for row in range(len(times)):
        key = np.uint64(times[row] - low)  # wraps where the span exceeds int64, and is right again unsigned
        for digit in range(digits):
            counts[digit, (key >> np.uint64(digit * _DIGIT_BITS)) & mask] += 1
    for digit in range(digits):
        shift = np.uint64(digit * _DIGIT_BITS)
        slots = np.cumsum(counts[digit]) - counts[digit]
        into = digit & 1
        for row in range(len(times)):
            key = keys[1 - into, row] if digit else np.uint64(times[row] - low)
            value = (key >> shift) & mask
            slot = slots[value]
            slots[value] = slot + 1
            order[into, slot] = order[1 - into, row] if digit else row
            keys[into, slot] = key
    return (digits - 1) & 1


def types_with_roles(log: EventLog) -> list[str]:
    """The entity types that take part in events, in the order of their roles."""
    return list(dict.fromkeys(role.entity_type for role in log.roles))


def role_columns(log: EventLog, entity_type: str) -> np.ndarray:
    """Positions (roles of the type,) int64 in `log.roles`."""
    return np.array([i for i, role in enumerate(log.roles) if role.entity_type == entity_type], np.int64)


def in_order(columns: np.ndarray, order: np.ndarray) -> np.ndarray:
    """columns[order], or as they stand where `order` is empty (see `order_by_time`)."""
    # Gathered once, all later passes read in sequence: placing row by row from afar takes ten times as long.
    return columns.take(order, axis=0) if len(order) else columns


def incidences(
    entities: np.ndarray, order: np.ndarray, columns: np.ndarray, entity_count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The CSR of one entity type by a counting sort: offsets, events, roles and ranks (see `Timeline`).

    `entities` (events, roles) int32 stand in order of time, `order` are their event numbers (empty: as they stand)
    and `columns` the roles of the type. Each entity's part inherits the order.
    """
    offsets = _count(entities, columns, entity_count)
    ranks, roles = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int8)
    _place(entities, columns, offsets[:-1].copy(), ranks, roles)
    return offsets, order.take(ranks) if len(order) else ranks, roles, ranks


@njit(cache=True, nogil=True)
def _count(entities: np.ndarray, columns: np.ndarray, entity_count: int) -> np.ndarray:
    offsets = np.zeros(entity_count + 1, np.int64)
    for row in range(len(entities)):
        for column in columns:
            entity = entities[row, column]
            if entity >= 0:
                offsets[entity + 1] += 1
    for entity in range(entity_count):
        offsets[entity + 1] += offsets[entity]
    return offsets


@njit(cache=True, nogil=True)
def _place(
    entities: np.ndarray, columns: np.ndarray, cursor: np.ndarray, out_ranks: np.ndarray, out_roles: np.ndarray
) -> None:
    for row in range(len(entities)):
        for column in columns:
            entity = entities[row, column]
            if entity >= 0:
                slot = cursor[entity]
                cursor[entity] = slot + 1
                out_ranks[slot] = row
                out_roles[slot] = column


@njit(cache=True, nogil=True, inline="always")
def first_not_before(values: np.ndarray, low: int, high: int, limit: int) -> int:
    """The first slot of values[low:high] (ascending) that is not before `limit`; `high` if all are."""
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < limit:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def last_before(
    offsets: np.ndarray,
    events: np.ndarray,
    roles: np.ndarray,
    ranks: np.ndarray,
    entities: np.ndarray,
    past: np.ndarray,
    out_events: np.ndarray,
    out_roles: np.ndarray,
) -> None:
    """Write the last k incidences of entities[i] among the past[i] first ranks, newest first, into out[i].

    `out_events` int32 and `out_roles` int8 are (n, k), strided as the caller likes; the rest is MISSING.
    """
    k = out_events.shape[1]
    for row in range(len(entities)):
        entity = entities[row]
        found = 0
        if entity >= 0:
            start = offsets[entity]
            slot = first_not_before(ranks, start, offsets[entity + 1], past[row])
            found = min(k, slot - start)
            for place in range(found):
                out_events[row, place] = events[slot - 1 - place]
                out_roles[row, place] = roles[slot - 1 - place]
        for place in range(found, k):
            out_events[row, place] = _MISSING
            out_roles[row, place] = _MISSING
