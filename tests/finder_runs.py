"""Finder runs for tests, in the shape that the case store reads: written by hand, or from a generated world's truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TIME = pa.timestamp("us", tz="UTC")
TEXTS = pa.list_(pa.string())
SCHEMAS = {
    "rings": {
        "ring_id": pa.string(), "rank": pa.int32(), "status": pa.string(), "parents": TEXTS, "aliases": TEXTS,
        "p_ring": pa.float64(), "score": pa.float64(), "preventable_value": pa.float64(), "value_total": pa.float64(),
        "value_fraud": pa.float64(), "payments": pa.int64(), "users": pa.int32(), "first_event_time": TIME,
        "last_event_time": TIME, "first_seen": TIME, "kind": pa.string(), "headline": pa.string(),
    },
    "members": {
        "ring_id": pa.string(), "entity_type": pa.string(), "entity_id": pa.string(), "part": pa.string(),
        "role": pa.string(), "score": pa.float64(), "attachment": pa.float64(), "first_seen": TIME, "last_seen": TIME,
        "payments": pa.int64(), "value": pa.float64(), "x": pa.float32(), "y": pa.float32(),
    },
    "links": {
        "ring_id": pa.string(), "source_type": pa.string(), "source_id": pa.string(), "target_type": pa.string(),
        "target_id": pa.string(), "kind": pa.string(), "events": pa.int64(), "value": pa.float64(),
        "first_time": TIME, "last_time": TIME,
    },
    "evidence": {
        "ring_id": pa.string(), "order": pa.int32(), "kind": pa.string(), "text": pa.string(),
        "entity_type": pa.string(), "entity_id": pa.string(), "value": pa.float64(), "others": pa.int64(),
        "since": TIME,
    },
    "payments": {
        "ring_id": pa.string(), "event_type": pa.string(), "event_id": pa.string(), "event_time": TIME,
        "amount": pa.float64(), "score": pa.float64(),
    },
    "lineage": {
        "ring_id": pa.string(), "change": pa.string(), "other_ring_id": pa.string(), "as_of": TIME,
        "jaccard": pa.float64(),
    },
}  # fmt: skip

START = datetime(2025, 3, 1, tzinfo=UTC)
Member = tuple[str, str]


def day(number: float) -> datetime:
    """So many days after START."""
    return START + timedelta(days=number)


def ring(
    ring_id: str,
    members: Iterable[Member],
    identifiers: Iterable[Member] = (),
    *,
    payments: Sequence[tuple[str, float]] = (),
    **figures: Any,
) -> dict[str, Any]:
    """One ring: users and identifiers as (type, id), payments as (id, amount), and figures that differ from usual."""
    members, identifiers = list(members), list(identifiers)
    usual = {
        "rank": 1, "status": "born", "parents": [], "aliases": [], "p_ring": 0.9, "score": 100.0,
        "preventable_value": 100.0, "value_total": sum(amount for _, amount in payments), "value_fraud": 0.0,
        "payments": len(payments), "users": len(members), "first_event_time": day(0), "last_event_time": day(5),
        "first_seen": day(6), "kind": "device_farm", "headline": f"{len(members)} users share a device.",
    }  # fmt: skip
    return {
        "ring": {"ring_id": ring_id} | usual | figures,
        "members": [(member, "member") for member in members] + [(one, "identifier") for one in identifiers],
        "payments": list(payments),
    }


def write_run(
    folder: Path, as_of: datetime, rings: Sequence[Mapping[str, Any]], *, lineage: Iterable[Mapping[str, Any]] = ()
) -> Path:
    """Write a run of hand-made rings into `folder`."""
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    for one in rings:
        name = one["ring"]["ring_id"]
        tables["rings"].append(one["ring"])
        for place, ((kind, key), part) in enumerate(one["members"]):
            role = "organiser" if place == 0 else "member" if part == "member" else "identifier"
            tables["members"].append(
                {"ring_id": name, "entity_type": kind, "entity_id": key, "part": part, "role": role, "score": 0.8,
                 "attachment": 1 - place / 100, "first_seen": day(0), "last_seen": day(5), "payments": 2, "value": 20.0,
                 "x": place / 10, "y": 0.5}
            )  # fmt: skip
        _tell(tables, name, one)
    tables["lineage"] = [{"as_of": as_of, "jaccard": None, "other_ring_id": None} | dict(line) for line in lineage]
    return write_tables(folder, as_of, tables)


def _tell(tables: dict[str, list[dict[str, Any]]], name: str, one: Mapping[str, Any]) -> None:
    users = [member for member, part in one["members"] if part == "member"]
    shared = [member for member, part in one["members"] if part == "identifier"]
    for kind, key in shared:
        tables["evidence"].append(
            {"ring_id": name, "order": len(tables["evidence"]), "kind": "shared_identifier",
             "text": f"{len(users)} users share {kind} {key}.", "entity_type": kind, "entity_id": key,
             "value": float(len(users)), "others": 0, "since": day(1)}
        )  # fmt: skip
        for user in users:
            tables["links"].append(
                {"ring_id": name, "source_type": user[0], "source_id": user[1], "target_type": kind, "target_id": key,
                 "kind": "payment", "events": 2, "value": 20.0, "first_time": day(0), "last_time": day(5)}
            )  # fmt: skip
    for place, (key, amount) in enumerate(one["payments"]):
        tables["payments"].append(
            {"ring_id": name, "event_type": "payment", "event_id": key, "event_time": day(place), "amount": amount,
             "score": 0.7}
        )  # fmt: skip


def write_tables(folder: Path, as_of: datetime, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Path:
    """Write rows as the finder's Parquet files, beside a run.json."""
    folder.mkdir(parents=True)
    for name, columns in SCHEMAS.items():
        made = pa.Table.from_pylist(list(map(dict, tables[name])), schema=pa.schema(list(columns.items())))
        pq.write_table(made, folder / f"{name}.parquet")
    facts = {
        "format": 1, "as_of": as_of.isoformat(), "finder": {}, "data_fingerprint": "0" * 64, "model_version": None,
        "score_source": "truth", "counts": {"rings": len(tables["rings"])}, "previous_as_of": None, "seed": 0,
        "ringtrace_version": "0",
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def run_from_truth(world: Path, folder: Path) -> Path:
    """The rings a generated world planted, as a perfect finder would give them."""
    truth = {name: pq.read_table(world / "truth" / f"{name}.parquet").to_pylist() for name in ("rings", "members")}
    paid = {row["payment_id"]: row for row in pq.read_table(world / "payments.parquet").to_pylist()}
    inside = pq.read_table(world / "truth" / "payments.parquet").to_pylist()
    as_of = max(row["event_time"] for row in paid.values()) + timedelta(days=1)
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    for row in sorted(truth["rings"], key=lambda row: -row["amount"]):
        tables["rings"].append(
            ring(row["ring_id"], [])["ring"]
            | {"rank": len(tables["rings"]) + 1, "score": row["amount"], "preventable_value": row["amount"],
               "value_total": row["amount"], "payments": row["payments"], "users": row["users"],
               "first_event_time": row["start_time"], "last_event_time": row["end_time"], "first_seen": as_of,
               "headline": f"{row['users']} users, {row['payments']} payments."}
        )  # fmt: skip
    for row in truth["members"]:
        part = "member" if row["entity_type"] == "user" else "identifier"
        tables["members"].append(
            {"ring_id": row["ring_id"], "entity_type": row["entity_type"], "entity_id": row["entity_id"], "part": part,
             "role": row["role"], "score": 1.0, "attachment": 1.0, "first_seen": row["since"],
             "last_seen": row["until"], "payments": 0, "value": 0.0, "x": 0.5, "y": 0.5}
        )  # fmt: skip
    for row in inside:
        if row["ring_id"] is not None and row["event_id"] in paid:
            event = paid[row["event_id"]]
            tables["payments"].append(
                {"ring_id": row["ring_id"], "event_type": "payment", "event_id": row["event_id"],
                 "event_time": event["event_time"], "amount": event["amount"], "score": None}
            )  # fmt: skip
    return write_tables(folder, as_of, tables)
