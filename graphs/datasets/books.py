"""Rows become files: the columns that a bank would have, and the truth beside them.

The books say what was known and when, the truth what was so; no column of the former is made from the latter but the
late label.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graphs.datasets.behaviours import choose_ips
from graphs.datasets.frames import (
    CHANNELS,
    ENTITY_TYPES,
    KINDS,
    PARTS,
    ROLES,
    CardLinks,
    Logins,
    Members,
    Payments,
    Transfers,
    concat,
)
from graphs.datasets.labels import Labels, label_events
from graphs.datasets.living_groups import living_groups, robbed_groups
from graphs.datasets.population import CATEGORIES, Population
from graphs.datasets.rhythm import DAY, HOUR
from graphs.datasets.spec import WorldSpec
from graphs.datasets.staging import Plan, Script, Stage
from graphs.datasets.tokens import tokens
from graphs.datasets.writing import timestamps, words

_LETTER = {"user": "u", "device": "d", "card": "c", "merchant": "m", "address": "a", "ip": "i"}


class Books:
    """Turns rows into the columns of the files, and notes the truth about every event that is not
    ordinary."""

    def __init__(self, rng: np.random.Generator, spec: WorldSpec, population: Population, sites: np.ndarray) -> None:
        self.truth: list[pa.Table] = []
        self._rng, self._spec, self._population, self._sites = rng, spec, population, sites

    def payments(self, rows: Payments, codes: np.ndarray) -> pa.Table:
        labels = self._labels(rows.time, rows.fraud, rows.card, salt=11)
        event_id = self._ids("p", codes)
        category = self._population.merchants.category[rows.merchant]
        self._note("payment", event_id, rows)
        return pa.table(
            {
                "payment_id": event_id,
                "event_time": timestamps(rows.time),
                "known_time": timestamps(rows.time + self._lag(len(codes))),
                "user_id": self._ids("u", rows.user),
                "card_id": self._ids("c", rows.card),
                "device_id": self._ids("d", rows.device),
                "merchant_id": self._ids("m", rows.merchant),
                "address_id": self._ids("a", rows.address),
                "amount": rows.amount,
                "kind": words(KINDS, rows.kind),
                "channel": words(CHANNELS, rows.channel),
                "category": words(CATEGORIES, category),
                **_label_columns(labels),
            }
        )

    def transfers(self, rows: Transfers, codes: np.ndarray) -> pa.Table:
        labels = self._labels(rows.time, rows.fraud, rows.sender, salt=12)
        event_id = self._ids("t", codes)
        self._note("transfer", event_id, rows)
        return pa.table(
            {
                "transfer_id": event_id,
                "event_time": timestamps(rows.time),
                "known_time": timestamps(rows.time + self._lag(len(codes))),
                "sender_id": self._ids("u", rows.sender),
                "receiver_id": self._ids("u", rows.receiver),
                "device_id": self._ids("d", rows.device),
                "amount": rows.amount,
                **_label_columns(labels),
            }
        )

    def logins(self, rows: Logins, codes: np.ndarray) -> pa.Table:
        return pa.table(
            {
                "login_id": self._ids("l", codes),
                "event_time": timestamps(rows.time),
                "user_id": self._ids("u", rows.user),
                "device_id": self._ids("d", rows.device),
                "ip_id": self._ids("i", choose_ips(self._rng, self._population, self._sites, rows)),
                "outcome": words(("ok", "failed"), rows.failed.astype(np.int8)),
            }
        )

    def card_links(self, rows: CardLinks, codes: np.ndarray) -> pa.Table:
        phone = self._population.phone_at(rows.user, rows.time)
        return pa.table(
            {
                "link_id": self._ids("k", codes),
                "event_time": timestamps(rows.time),
                "user_id": self._ids("u", rows.user),
                "card_id": self._ids("c", rows.card),
                "device_id": self._ids("d", np.where(rows.device >= 0, rows.device, phone)),
            }
        )

    def _ids(self, letter: str, codes: np.ndarray) -> pa.StringArray:
        return tokens(letter, codes, seed=self._spec.seed)

    def _lag(self, count: int) -> np.ndarray:
        """How late we learn of an event: seconds, and for one in a hundred the nightly batch. (count,) µs."""
        batch = self._rng.random(count) < 0.01
        seconds = np.where(batch, self._rng.uniform(600, 72_000, count), self._rng.exponential(3, count))
        return (seconds * 1_000_000).astype(np.int64)

    def _labels(self, times: np.ndarray, fraud: np.ndarray, holder: np.ndarray, *, salt: int) -> Labels:
        return label_events(
            self._rng,
            times,
            fraud,
            holder,
            seed=self._spec.seed * 31 + salt,
            unreported_share=self._spec.unreported_share,
            books_close=self._spec.stop_time + self._spec.books_close_days * DAY + 1,
        )

    def _note(self, event_type: str, event_id: pa.StringArray, rows: Payments | Transfers) -> None:
        special = pa.array(rows.fraud | (rows.ring >= 0) | (rows.group >= 0))
        table = pa.table(
            {
                "event_id": event_id,
                "event_type": pa.repeat(pa.scalar(event_type), len(rows.time)),
                "is_fraud": rows.fraud,
                "part": words(PARTS, rows.part),
                "ring_id": self._ids("r", rows.ring),
                "group_id": self._ids("g", rows.group),
            }
        )
        self.truth.append(table.filter(special))


def _label_columns(labels: Labels) -> dict[str, pa.Array]:
    unknown = ~labels.known
    return {
        "is_fraud": pa.array(labels.label, mask=unknown),
        "label_known_time": timestamps(labels.known_time, absent=unknown),
    }


def write_entities(rng: np.random.Generator, spec: WorldSpec, population: Population, folder: Path) -> None:
    """Attributes of users (in versions: some are verified later) and merchants, none of which knows about
    fraud."""
    count = len(population)
    users = np.arange(count)
    verified_later = np.flatnonzero(rng.random(count) < 0.3)
    version = np.append(users, verified_later)
    known = np.append(
        population.join,
        population.join[verified_later] + (rng.exponential(60, len(verified_later)) * DAY).astype(np.int64) + HOUR,
    )
    level = np.append(np.isin(users, verified_later, invert=True), np.ones(len(verified_later), dtype=bool))
    ages = rng.choice(5, count, p=[0.18, 0.27, 0.24, 0.19, 0.12]).astype(np.int8)
    order = np.flatnonzero(known < spec.stop_time)
    order = order[np.argsort(known[order], kind="stable")]
    version, known, level = version[order], known[order], level[order]
    table = pa.table(
        {
            "user_id": tokens("u", version, seed=spec.seed),
            "known_time": timestamps(known),
            "region": _region_names(population.region[version]),
            "age_band": words(("18-24", "25-34", "35-44", "45-59", "60+"), ages[version]),
            "verification": words(("basic", "full"), level.astype(np.int8)),
        }
    )
    pq.write_table(table, folder / "users.parquet", compression="zstd")
    shops = population.merchants
    order = np.argsort(shops.since, kind="stable")
    table = pa.table(
        {
            "merchant_id": tokens("m", order, seed=spec.seed),
            "known_time": timestamps(shops.since[order]),
            "category": words(CATEGORIES, shops.category[order]),
            "region": _region_names(shops.region[order]),
        }
    )
    pq.write_table(table, folder / "merchants.parquet", compression="zstd")


def write_groups(
    spec: WorldSpec, stage: Stage, plans: list[Plan], scripts: list[Script], played: Members, folder: Path
) -> int:
    """truth/groups: one row per member of every innocent group; returns how many groups there are."""
    acted = np.array([plan.kind for plan in plans], dtype=np.str_)
    life = {"start": spec.start_time, "stop": spec.stop_time}
    lived, living = living_groups(stage.population, stage.is_honest, first=len(plans), **life)
    robbed, victims = robbed_groups(played, first=len(plans) + len(lived))
    classes = np.concatenate([acted, lived, robbed])
    members = concat(Members, [*(script.members for script in scripts), living, victims])
    table = _member_table(members, "g", "group_id", seed=spec.seed)
    table = table.add_column(1, "class", pa.array(classes[members.owner], pa.string()))
    pq.write_table(table, folder / "truth" / "groups.parquet", compression="zstd")
    return len(classes)


def write_rings(
    spec: WorldSpec, plans: list[Plan], scripts: list[Script], events: list[pa.Table], folder: Path
) -> None:
    """truth/rings, truth/members (one row per entity and role) and truth/payments (all that is not ordinary)."""
    rings = np.arange(len(plans))
    table = pa.table(
        {
            "ring_id": tokens("r", rings, seed=spec.seed),
            "archetype": pa.array([plan.kind for plan in plans], pa.string()),
            "evasion": np.array([plan.dial for plan in plans], dtype=np.int8),
            "start_time": timestamps(np.array([plan.start for plan in plans], dtype=np.int64)),
            "end_time": timestamps(np.array([plan.stop for plan in plans], dtype=np.int64)),
            "users": np.array([len(plan.users) for plan in plans], dtype=np.int32),
            "payments": np.array([len(script.payments.time) for script in scripts], dtype=np.int32),
            "transfers": np.array([len(script.transfers.time) for script in scripts], dtype=np.int32),
            "amount": np.array([_taken(script) for script in scripts], dtype=np.float64).round(2),
        }
    )
    pq.write_table(table, folder / "truth" / "rings.parquet", compression="zstd")
    members = concat(Members, [script.members for script in scripts])
    table = _member_table(members, "r", "ring_id", seed=spec.seed)
    pq.write_table(table, folder / "truth" / "members.parquet", compression="zstd")
    pq.write_table(pa.concat_tables(events), folder / "truth" / "payments.parquet", compression="zstd")


def fraud_count(truth: list[pa.Table], event_type: str) -> int:
    """How many events of one type are fraud in truth."""
    table = pa.concat_tables(truth)
    fraud = table["is_fraud"].to_numpy()
    return int((fraud & (table["event_type"].to_numpy() == event_type)).sum())


def _taken(script: Script) -> float:
    """Sums of fraudulent payments, refunds of them counted as money too."""
    return float(np.abs(script.payments.amount[script.payments.fraud]).sum())


def _member_table(members: Members, letter: str, owner: str, *, seed: int) -> pa.Table:
    ids = np.empty(len(members.code), dtype=object)
    for kind, name in enumerate(ENTITY_TYPES):
        rows = members.entity_type == kind
        ids[rows] = tokens(_LETTER[name], members.code[rows], seed=seed).to_numpy(zero_copy_only=False)
    return pa.table(
        {
            owner: tokens(letter, members.owner, seed=seed),
            "entity_type": words(ENTITY_TYPES, members.entity_type),
            "entity_id": pa.array(ids, pa.string()),
            "role": words(ROLES, members.role),
            "since": timestamps(members.time),
            "until": timestamps(members.until),
        }
    )


def _region_names(codes: np.ndarray) -> pa.StringArray:
    return pa.array(["online" if code == 0 else f"region-{code}" for code in codes.tolist()], pa.string())
