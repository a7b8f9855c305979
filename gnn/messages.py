"""What travels along an edge (p, t): how old event p is at t, what is known of its label, how it compares.

An edge joins a query (an event, or an entity at an instant) in one role to one of that entity's last k events.
Everything here is known strictly before the query: labels enter only once they have matured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np

from graphs.events import MISSING, NEVER, EventLog, Role

AGE_SCALES_SECONDS = (3_600.0, 86_400.0, 604_800.0, 2_592_000.0)
"""Half-weight ages of the four decays: an hour, a day, a week, a month."""


def edge_names(roles: Sequence[Role], event_types: Sequence[str]) -> tuple[str, ...]:
    """Names of the edge columns, in order; constant ones (one event type, one role a type) are left out."""
    names = ["age", "age_1h", "age_1d", "age_7d", "age_30d", "label_fraud", "label_clean"]
    names += ["amount_change", "amount_distance", "amount_equal"]
    names += [f"same_{role.name}" for role in roles]
    if _shared_types(roles):
        names += ["crossed", *(f"was_{role.name}" for role in roles)]
    if len(event_types) > 1:
        names += ["same_event_type"]
    return tuple(names)


def _shared_types(roles: Sequence[Role]) -> bool:
    return len({role.entity_type for role in roles}) < len(roles)


@dataclass(frozen=True)
class EdgeData:
    """The columns of an event log that edges are made of, ready for the compiled kernel."""

    event_time: np.ndarray
    event_type: np.ndarray
    log_amount: np.ndarray
    entities: np.ndarray
    label: np.ndarray
    label_known_time: np.ndarray
    labels_until: int
    with_roles: bool
    with_types: bool
    width: int

    @classmethod
    def of(cls, log: EventLog) -> EdgeData:
        """The columns of `log`, with every label to be seen once it is known."""
        amount = np.sign(log.amount) * np.log1p(np.abs(log.amount))
        return cls(
            log.event_time,
            log.event_type,
            amount.astype(np.float32),
            log.entities,
            log.label,
            log.label_known_time,
            NEVER - 1,
            _shared_types(log.roles),
            len(log.event_types) > 1,
            len(edge_names(log.roles, log.event_types)),
        )

    def hide_labels_after(self, instant: int) -> EdgeData:
        """The same edges with labels that became known after `instant` (µs UTC) hidden."""
        return replace(self, labels_until=min(self.labels_until, instant))

    def edges(
        self, window: np.ndarray, window_roles: np.ndarray, times: np.ndarray, queries: np.ndarray | None
    ) -> np.ndarray:
        """Edge columns (n, slots, k, width) float32 for a window (n, slots, k) of event indices.

        `times` (n,) are the query instants; `queries` (n,) the query events whose amount, type and parties are
        compared with, or None when entities rather than events ask: those columns then stay 0.
        """
        n, slots, k = window.shape
        out = np.zeros((n, slots, k, self.width), np.float32)
        nobody = queries is None
        asked = np.zeros(n, np.int64) if queries is None else queries.astype(np.int64)
        _fill_edges(out, window, window_roles, times, asked, nobody, *self._kernel_columns())
        return out

    def _kernel_columns(self) -> tuple[Any, ...]:
        return (
            self.event_time,
            self.event_type,
            self.log_amount,
            self.entities,
            self.label,
            self.label_known_time,
            self.labels_until,
            self.with_roles,
            self.with_types,
        )


@numba.njit(cache=True, nogil=True)
def _fill_edges(
    out, window, window_roles, times, queries, nobody, event_time, event_type, log_amount, entities, label, known,
    labels_until, with_roles, with_types,
):  # fmt: skip
    roles = entities.shape[1]
    n, slots, k = window.shape
    for i in range(n):
        t, q = times[i], queries[i]
        for slot in range(slots):
            for j in range(k):
                p = window[i, slot, j]
                if p == MISSING:
                    continue
                e = out[i, slot, j]
                seconds = np.float32((t - event_time[p]) * 1e-6)
                e[0] = np.log1p(seconds) * np.float32(0.0625)
                e[1] = np.float32(3600.0) / (np.float32(3600.0) + seconds)
                e[2] = np.float32(86400.0) / (np.float32(86400.0) + seconds)
                e[3] = np.float32(604800.0) / (np.float32(604800.0) + seconds)
                e[4] = np.float32(2592000.0) / (np.float32(2592000.0) + seconds)
                if known[p] <= t and known[p] <= labels_until:
                    if label[p] == 1:
                        e[5] = 1.0
                    elif label[p] == 0:
                        e[6] = 1.0
                c = 10
                if not nobody:
                    change = log_amount[q] - log_amount[p]
                    if change == change:
                        e[7] = change
                        e[8] = abs(change)
                        e[9] = 1.0 if change == 0 else 0.0
                    for r in range(roles):
                        if r != slot and entities[q, r] != MISSING and entities[q, r] == entities[p, r]:
                            e[c + r] = 1.0
                c += roles
                if with_roles:
                    if not nobody and window_roles[i, slot, j] != slot:
                        other = entities[p, slot]
                        if other != MISSING and other == entities[q, window_roles[i, slot, j]]:
                            e[c] = 1.0
                    e[c + 1 + window_roles[i, slot, j]] = 1.0
                    c += 1 + roles
                if with_types and not nobody and event_type[p] == event_type[q]:
                    e[c] = 1.0
