"""Small logs for tests: by hand, or drawn from a seed with all that makes time hard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

from graphs.events import (
    ALWAYS,
    MISSING,
    NEVER,
    UNLABELLED,
    Categorical,
    EntityAttributes,
    EntityLabels,
    EventLog,
    Role,
)

# How long an example takes is not judged here; fixtures are shared by the examples of a test on purpose.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("untimed")

HOUR = 3_600_000_000
ROLES = (
    Role("sender", "user"),
    Role("receiver", "user"),
    Role("card", "card"),
    Role("device", "device"),
)
EVENT_TYPES = ("login", "payment", "transfer")

Row = dict[str, Any]


@pytest.fixture(scope="session")
def log_from_rows() -> Callable[..., EventLog]:
    """A function (rows, roles=…, entity_rows=(), event_types=…) -> EventLog in canonical order.

    A row has id, type, time and, where it likes, a key per role, amount, known, label, label_known, size,
    channel.
    An entity row has type and id with, for a version of its attributes, known, tier (text), limit (number),
    and, for a verdict, label and label_known.
    """
    return build_log


@pytest.fixture(scope="session")
def random_rows() -> Callable[..., tuple[list[Row], list[Row]]]:
    """A function (seed, count=60) -> (event rows, entity rows), as `log_from_rows` takes them."""
    return draw_rows


@pytest.fixture(scope="session")
def random_log() -> Callable[..., EventLog]:
    """A function (seed, count=60) -> EventLog with several event types, two roles of one type, missing
    entities, ties, late known_time, delayed and unknown labels, attributes in versions, entity labels."""
    return lambda seed, count=60: build_log(*draw_rows(seed, count))


@pytest.fixture(scope="session")
def spelt_out() -> Callable[[EventLog], dict[str, Any]]:
    """A function EventLog -> the same in plain values with keys for codes, to compare logs by what they say."""
    return spell_out


def draw_rows(seed: int, count: int = 60) -> tuple[list[Row], list[Row]]:
    rng = np.random.default_rng(seed)
    rows = [_draw_event(rng, number) for number in rng.permutation(count)]
    entities = [_draw_version(rng) for _ in range(16)]
    for kind, key in sorted({(row["type"], row["id"]) for row in entities if rng.random() > 0.3}):
        known = int(rng.integers(40)) * 9 * HOUR
        entities.append({"type": kind, "id": key, "label": int(rng.random() < 0.5), "label_known": known})
    return rows, entities


def _draw_event(rng: np.random.Generator, number: int) -> Row:
    kind = EVENT_TYPES[rng.integers(3)]
    # Few distinct times, so that many events share their instant.
    row: Row = {"id": f"e{number}", "type": kind, "time": int(rng.integers(40)) * 9 * HOUR}
    parts = {
        "login": ("sender", "device"),
        "payment": ("sender", "card", "device"),
        "transfer": ("sender", "receiver", "card"),
    }
    for part in parts[kind]:
        if rng.random() > 0.15:
            row[part] = f"{part[0] if part not in ('sender', 'receiver') else 'u'}{rng.integers(5)}"
    if kind != "login" and rng.random() > 0.1:
        row["amount"] = float(rng.choice([5.0, 10.0, 10.0, 12.5, 80.0]))
    if rng.random() < 0.2:
        row["known"] = row["time"] + int(rng.integers(1, 8)) * 9 * HOUR
    if rng.random() > 0.4:
        row["label"] = int(rng.random() < 0.4)
        row["label_known"] = row["time"] + int(rng.integers(0, 12)) * 9 * HOUR
    row["size"] = float(rng.integers(9))
    row["channel"] = str(rng.choice(["web", "app"]))
    return row


def _draw_version(rng: np.random.Generator) -> Row:
    kind = str(rng.choice(["user", "device"]))
    return {
        "type": kind,
        "id": f"{kind[0]}{rng.integers(8)}",
        "known": ALWAYS if rng.random() < 0.3 else int(rng.integers(40)) * 9 * HOUR,
        "tier": str(rng.choice(["gold", "basic"])),
        "limit": float(rng.integers(100)),
    }


def build_log(
    rows: Sequence[Row],
    entity_rows: Sequence[Row] = (),
    *,
    roles: tuple[Role, ...] = ROLES,
    event_types: tuple[str, ...] = EVENT_TYPES,
) -> EventLog:
    rows = sorted(rows, key=lambda row: (row["time"], event_types.index(row["type"]), row["id"]))
    keys: dict[str, dict[str, int]] = {role.entity_type: {} for role in roles}
    entities = np.full((len(rows), len(roles)), MISSING, np.int32)
    for event, row in enumerate(rows):
        for place, role in enumerate(roles):
            if row.get(role.name) is not None:
                known = keys[role.entity_type]
                entities[event, place] = known.setdefault(row[role.name], len(known))
    for kind, key in sorted((row["type"], row["id"]) for row in entity_rows):
        keys.setdefault(kind, {}).setdefault(key, len(keys[kind]))
    time = _column(rows, "time", 0, np.int64)
    label = _column(rows, "label", UNLABELLED, np.int8)
    return EventLog(
        roles=roles,
        event_types=event_types,
        entity_ids={kind: pa.array(list(known), pa.string()) for kind, known in keys.items()},
        event_ids=pa.array([row["id"] for row in rows], pa.string()),
        event_type=np.array([event_types.index(row["type"]) for row in rows], np.int16),
        event_time=time,
        known_time=np.array([row.get("known", row["time"]) for row in rows], np.int64),
        entities=entities,
        amount=_column(rows, "amount", np.nan, np.float64),
        label=label,
        label_known_time=_column(rows, "label_known", NEVER, np.int64),
        numeric={"size": _column(rows, "size", np.nan, np.float64)},
        categorical={"channel": _categorical(rows, "channel")},
        attributes=_attributes(entity_rows, keys),
        entity_labels=_entity_labels(entity_rows, keys),
    )


def _column(rows: Sequence[Row], name: str, missing: float, dtype: type) -> np.ndarray:
    return np.array([row.get(name, missing) for row in rows], dtype)


def _categorical(rows: Sequence[Row], name: str) -> Categorical:
    values = sorted({row[name] for row in rows if name in row})
    codes = [values.index(row[name]) if name in row else MISSING for row in rows]
    return Categorical(np.array(codes, np.int32), pa.array(values, pa.string()))


def _attributes(rows: Sequence[Row], keys: Mapping[str, Mapping[str, int]]) -> dict[str, EntityAttributes]:
    found = {}
    for kind in sorted({row["type"] for row in rows if "known" in row}):
        # As ingest has it: one version of an entity per instant.
        versions = {
            (keys[kind][row["id"]], row["known"]): row for row in rows if row["type"] == kind and "known" in row
        }
        mine = [versions[at] for at in sorted(versions)]
        found[kind] = EntityAttributes(
            entity=np.array([keys[kind][row["id"]] for row in mine], np.int32),
            known_time=_column(mine, "known", ALWAYS, np.int64),
            numeric={"limit": _column(mine, "limit", np.nan, np.float64)},
            categorical={"tier": _categorical(mine, "tier")},
        )
    return found


def _entity_labels(rows: Sequence[Row], keys: Mapping[str, Mapping[str, int]]) -> dict[str, EntityLabels]:
    found = {}
    for kind in sorted({row["type"] for row in rows if "label" in row}):
        label = np.full(len(keys[kind]), UNLABELLED, np.int8)
        known = np.full(len(keys[kind]), NEVER, np.int64)
        for row in rows:
            if row["type"] == kind and "label" in row:
                label[keys[kind][row["id"]]] = row["label"]
                known[keys[kind][row["id"]]] = row["label_known"]
        found[kind] = EntityLabels(label, known)
    return found


def spell_out(log: EventLog) -> dict[str, Any]:
    columns = ("event_type", "event_time", "known_time", "entities", "amount", "label", "label_known_time")
    return {
        "ids": {kind: keys.to_pylist() for kind, keys in log.entity_ids.items()},
        "event_ids": log.event_ids.to_pylist(),
        **{name: np.nan_to_num(getattr(log, name), nan=-1).tolist() for name in columns},
        "numeric": {name: column.tolist() for name, column in log.numeric.items()},
        "categorical": {name: _texts(column) for name, column in log.categorical.items()},
        "attributes": {
            kind: (
                found.entity.tolist(),
                found.known_time.tolist(),
                {name: column.tolist() for name, column in found.numeric.items()},
                {name: _texts(column) for name, column in found.categorical.items()},
            )
            for kind, found in log.attributes.items()
        },
        "labels": {k: (one.label.tolist(), one.known_time.tolist()) for k, one in log.entity_labels.items()},
    }


def _texts(column: Categorical) -> tuple[list[str], list[str | None]]:
    values = sorted(column.values.to_pylist())
    return values, [None if code == MISSING else column.values[code].as_py() for code in column.codes]
