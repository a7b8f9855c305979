"""What travels along an edge (p, t): how old event p is at t, what is known of its label, how it compares.

An edge joins a query (an event, or an entity at an instant) in one role to one of that entity's last k events.
Everything here is known strictly before the query: labels enter only once they have matured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
import torch

from gnn.aggregate import MOST_MARKS, Edges
from gnn.encoders import squash
from gnn.lanes import prefetch
from graphs.errors import ConfigError
from graphs.events import MISSING, NEVER, EventLog, Role

AGE_SCALES_SECONDS = (3_600.0, 86_400.0, 604_800.0, 2_592_000.0)
"""Half-weight ages of the four decays: an hour, a day, a week, a month."""


NUMBERS = ("age", "age_1h", "age_1d", "age_7d", "age_30d", "amount_change", "amount_distance")

_KNOWN = np.dtype(
    [("time", np.int64), ("label_known", np.int64), ("log_amount", np.float32), ("type", np.int16), ("label", np.int8)],
    align=True,
)
"""What a message tells of its event, side by side: events of a window lie far apart, each a trip to memory."""


def edge_names(roles: Sequence[Role], event_types: Sequence[str]) -> tuple[str, ...]:
    """Names of the edge columns, in order: the numbers, then the marks, of which constant ones (one event type, one
    role a type) are left out. Raises ConfigError where the marks are more than an integer has bits."""
    marks = ["label_fraud", "label_clean", "amount_equal"]
    marks += [f"same_{role.name}" for role in roles]
    if _shared_types(roles):
        marks += ["crossed", *(f"was_{role.name}" for role in roles)]
    if len(event_types) > 1:
        marks += ["same_event_type"]
    if len(marks) > MOST_MARKS:
        raise ConfigError(f"roles: got {len(roles)}; an edge tells {MOST_MARKS} things of its two events, at most")
    return (*NUMBERS, *marks)


def _shared_types(roles: Sequence[Role]) -> bool:
    return len({role.entity_type for role in roles}) < len(roles)


@dataclass(frozen=True)
class EdgeData:
    """The columns of an event log that edges are made of, ready for the compiled kernel."""

    events: np.ndarray
    amounts: np.ndarray
    entities: np.ndarray
    labels_until: int
    with_roles: bool
    with_types: bool

    @classmethod
    def of(cls, log: EventLog) -> EdgeData:
        """The columns of `log`, with every label to be seen once it is known."""
        events = np.empty(len(log), _KNOWN)
        events["time"], events["label_known"] = log.event_time, log.label_known_time
        events["log_amount"] = squash(log.amount)
        events["type"], events["label"] = log.event_type, log.label
        return cls(events, log.amount, log.entities, NEVER - 1, _shared_types(log.roles), len(log.event_types) > 1)

    def hide_labels_after(self, instant: int) -> EdgeData:
        """The same edges with labels that became known after `instant` (µs UTC) hidden."""
        return replace(self, labels_until=min(self.labels_until, instant))

    def edges(
        self, window: np.ndarray, window_roles: np.ndarray, times: np.ndarray, queries: np.ndarray | None
    ) -> Edges:
        """Edges of a window (n, slots, k) of event indices, their columns as `edge_names` has them.

        `times` (n,) are the query instants; `queries` (n,) the query events whose amount, type and parties are
        compared with, or None when entities rather than events ask: those columns then stay 0.
        """
        numbers, marks = np.zeros((*window.shape, len(NUMBERS)), np.float32), np.zeros(window.shape, np.int64)
        nobody = queries is None
        asked = np.zeros(len(times), np.int64) if queries is None else queries.astype(np.int64)
        _fill_edges(
            numbers, marks, window, window_roles, times, asked, nobody, self.events, self.amounts, self.entities,
            self.labels_until, self.with_roles, self.with_types,
        )  # fmt: skip
        return Edges(torch.from_numpy(numbers), torch.from_numpy(marks))


@numba.njit(cache=True, nogil=True)
def _fill_edges(
    numbers, marks, window, window_roles, times, queries, nobody, events, amounts, entities, labels_until, with_roles,
    with_types,
):  # fmt: skip
    roles = entities.shape[1]
    n, slots, k = window.shape
    one = np.int64(1)
    for i in range(n):
        t, q = times[i], queries[i]
        for slot in range(slots):
            if i + 1 < n:
                for j in range(k):
                    p = window[i + 1, slot, j]
                    if p != MISSING:
                        prefetch(events, p)
                        prefetch(entities, p * roles)
            for j in range(k):
                p = window[i, slot, j]
                if p == MISSING:
                    continue
                e, event, marked = numbers[i, slot, j], events[p], np.int64(0)
                seconds = np.float32((t - event.time) * 1e-6)
                e[0] = np.log1p(seconds) * np.float32(0.0625)
                e[1] = np.float32(3600.0) / (np.float32(3600.0) + seconds)
                e[2] = np.float32(86400.0) / (np.float32(86400.0) + seconds)
                e[3] = np.float32(604800.0) / (np.float32(604800.0) + seconds)
                e[4] = np.float32(2592000.0) / (np.float32(2592000.0) + seconds)
                if event.label_known <= t and event.label_known <= labels_until:
                    if event.label == 1:
                        marked |= one
                    elif event.label == 0:
                        marked |= one << 1
                if not nobody:
                    change = events[q].log_amount - event.log_amount
                    if change == change:
                        e[5] = change
                        e[6] = abs(change)
                        # Different amounts may have the same float32 logarithm.
                        if change == 0 and amounts[q] == amounts[p]:
                            marked |= one << 2
                    for r in range(roles):
                        if r != slot and entities[q, r] != MISSING and entities[q, r] == entities[p, r]:
                            marked |= one << (3 + r)
                bit = 3 + roles
                if with_roles:
                    role = window_roles[i, slot, j]
                    if not nobody and role != slot:
                        other = entities[p, slot]
                        if other != MISSING and other == entities[q, role]:
                            marked |= one << bit
                    marked |= one << (bit + 1 + role)
                    bit += 1 + roles
                if with_types and not nobody and event.type == events[q].type:
                    marked |= one << bit
                marks[i, slot, j] = marked
