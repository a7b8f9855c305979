"""The graph of the speed benchmarks: a year of payments whose parties follow a Zipf law, one in a hundred fraud."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from graphs.events import MICROSECONDS_PER_DAY, EventLog, Role

ENTITIES = {"user": 100_000, "card": 150_000, "device": 80_000, "merchant": 5_000}
LABEL_DELAY_DAYS = 30


def make_payments(rows: int, *, seed: int = 0, exponent: float = 0.9) -> EventLog:
    """`rows` payments in time order over the entities of BENCHMARKS section 6, with six numeric columns."""
    rng = np.random.default_rng(seed)
    entities = np.empty((rows, len(ENTITIES)), np.int32)
    for place, count in enumerate(ENTITIES.values()):
        share = np.cumsum(1 / np.arange(1, count + 1) ** exponent)
        entities[:, place] = np.searchsorted(share / share[-1], rng.random(rows)).clip(0, count - 1)
    time = np.sort(rng.integers(0, 365 * MICROSECONDS_PER_DAY, rows))
    return EventLog(
        roles=tuple(Role(name, name) for name in ENTITIES),
        event_types=("payment",),
        entity_ids={name: pa.array(np.arange(count)).cast(pa.string()) for name, count in ENTITIES.items()},
        event_ids=pa.array(np.arange(rows)).cast(pa.string()),
        event_type=np.zeros(rows, np.int16),
        event_time=time,
        known_time=time,
        entities=entities,
        amount=np.round(rng.lognormal(3, 1, rows), 2),
        label=(rng.random(rows) < 0.01).astype(np.int8),
        label_known_time=time + LABEL_DELAY_DAYS * MICROSECONDS_PER_DAY,
        numeric={f"x{j}": rng.standard_normal(rows) for j in range(6)},
    )
