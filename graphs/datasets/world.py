"""`make_world`: a world of payments with planted rings, innocent look-alikes, late labels, and the truth
beside it.

No public data set joins users, devices, cards and merchants with ring ids and with honest groups that look
the same. Reading order: rhythm, population, behaviours (everyday life), staging, archetypes (rings),
look_alikes, lone_fraud, labels, and this module, which plays them in time order into Parquet.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from graphs.datasets.archetypes import ARCHETYPES
from graphs.datasets.behaviours import (
    card_registrations,
    logins_of,
    payments_between,
    refunds_of,
    transfers_between,
)
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
    take,
)
from graphs.datasets.labels import Labels, label_events
from graphs.datasets.lone_fraud import stolen_cards
from graphs.datasets.look_alikes import LOOK_ALIKES, living_groups
from graphs.datasets.population import CATEGORIES, Accounts, Population, populate
from graphs.datasets.rhythm import DAY, HOUR, rhythms
from graphs.datasets.staging import EVASION, Plan, Script, Stage, joined, life_days
from graphs.datasets.tokens import tokens
from graphs.datasets.writing import TableWriter, timestamps, words
from graphs.errors import ConfigError

log = logging.getLogger(__name__)

SUMMARY_FILE = "world.json"
_ROWS_PER_CHUNK = 400_000
_LETTER = {"user": "u", "device": "d", "card": "c", "merchant": "m"}
_RECRUITED = {"mule_chain": 0.6, "takeover_burst": 0.4, "collusive_merchant": 0.4}
"""Share of a ring's accounts that belong to real people who go on living; the others exist for the ring."""


@dataclass(frozen=True)
class WorldSpec:
    """What world to make.

    `start` is a date (UTC midnight), `days` the length, `payments` about how many there will be. `rings` are
    spread over the whole period and over `archetypes` (name: weight); `look_alikes` are scripted honest
    groups. `evasion` is the dial 0 (careless) to 4 (careful). `lone_fraud_share` of all payments are fraud
    without a ring; `unreported_share` of card holders never complain. Labels are in the books up to
    `books_close_days` after the last day: 60 gives every label, 0 what a bank knows on that day.

    Raises ConfigError with every fault at once.
    """

    seed: int
    start: str
    days: int
    payments: int
    users: int
    merchants: int
    rings: int
    archetypes: Mapping[str, float]
    look_alikes: int
    evasion: int
    lone_fraud_share: float
    unreported_share: float
    books_close_days: int

    def __post_init__(self) -> None:
        faults = [message for wrong, message in self._checks() if wrong]
        if faults:
            raise ConfigError("; ".join(faults))

    def _checks(self) -> list[tuple[bool, str]]:
        unknown = sorted(set(self.archetypes) - set(ARCHETYPES))
        most = sum(archetype.members[1] for archetype in ARCHETYPES.values()) / len(ARCHETYPES)
        return [
            (
                not _is_date(self.start),
                f"world.start: expected a date such as 2025-01-06, got {self.start!r}",
            ),
            (self.days < 30, f"world.days: at least 30, got {self.days}"),
            (self.users < 200, f"world.users: at least 200, got {self.users}"),
            (self.merchants < 60, f"world.merchants: at least 60, got {self.merchants}"),
            (
                self.payments < self.users,
                f"world.payments: at least one per user ({self.users}), got {self.payments}",
            ),
            (self.rings < 0 or self.look_alikes < 0, "world.rings, world.look_alikes: not below 0"),
            (
                self.rings * most > self.users / 3,
                f"world.rings: {self.rings} need more than a third of the users",
            ),
            (bool(unknown), f"world.archetypes: unknown {unknown}, known are {sorted(ARCHETYPES)}"),
            (
                not self.archetypes or min(self.archetypes.values()) < 0 or sum(self.archetypes.values()) <= 0,
                "world.archetypes: weights must not be below 0 and at least one above",
            ),
            (
                self.evasion not in range(len(EVASION)),
                f"world.evasion: 0 to {len(EVASION) - 1}, got {self.evasion}",
            ),
            (not 0 <= self.lone_fraud_share <= 0.2, "world.lone_fraud_share: 0 to 0.2"),
            (not 0 <= self.unreported_share < 1, "world.unreported_share: 0 to below 1"),
            (self.books_close_days < 0, "world.books_close_days: not below 0"),
        ]

    @property
    def start_time(self) -> int:
        """µs UTC."""
        return int(datetime.fromisoformat(self.start).replace(tzinfo=UTC).timestamp()) * 1_000_000

    @property
    def stop_time(self) -> int:
        """µs UTC, the first instant after the world."""
        return self.start_time + self.days * DAY


@dataclass(frozen=True)
class WorldSummary:
    """What was made: rows per table, and how many events are fraud in truth (`fraud_*`) and how many rings
    acted."""

    folder: Path
    rows: Mapping[str, int]
    rings: int
    groups: int
    fraud_payments: int
    fraud_transfers: int


def make_world(spec: WorldSpec, folder: Path) -> WorldSummary:
    """Write a world into `folder`, replacing an earlier world there; same spec, same bytes.

    Tables (Parquet, times µs UTC): payments, transfers, logins, card_links, users, merchants, and
    truth/rings, truth/members, truth/groups, truth/payments. Nothing appears under `folder` before all is
    written. Raises ConfigError if `folder` holds anything else than a world.
    """
    folder = Path(folder)
    _refuse_foreign(folder)
    rng = np.random.default_rng(spec.seed)
    plans, accounts = _plan_rings(rng, spec)
    population = populate(
        rng,
        spec.users,
        merchants=spec.merchants,
        start=spec.start_time,
        stop=spec.stop_time,
        accounts=accounts,
    )
    stage = _stage(rng, spec, population, accounts)
    ring_scripts = [ARCHETYPES[plan.archetype].play(stage, plan) for plan in plans]
    look_alikes = _plan_look_alikes(stage, spec)
    group_scripts = [LOOK_ALIKES[plan.archetype][0](stage, plan) for plan in look_alikes]
    lone = _lone(stage, spec)
    population = _sell_ring_phones(rng, stage, ring_scripts)

    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "truth").mkdir(parents=True)
    played = joined([*ring_scripts, *group_scripts, lone])
    rows, truth = _write_events(rng, spec, population, stage, played, unfinished)
    _write_entities(rng, spec, population, unfinished)
    groups = _write_groups(spec, population, look_alikes, group_scripts, unfinished)
    _write_rings(spec, plans, ring_scripts, truth, unfinished)
    fraud = {kind: _count(truth, kind) for kind in ("payment", "transfer")}
    summary = WorldSummary(folder, rows, len(plans), groups, fraud["payment"], fraud["transfer"])
    facts = {"spec": asdict(spec), **{k: v for k, v in asdict(summary).items() if k != "folder"}}
    (unfinished / SUMMARY_FILE).write_text(json.dumps(facts, indent=2) + "\n")
    _move_into_place(unfinished, folder)
    log.info("world of %d payments (%d fraud, %d rings)", rows["payments"], fraud["payment"], len(plans))
    return summary


def _plan_rings(rng: np.random.Generator, spec: WorldSpec) -> tuple[list[Plan], Accounts]:
    evasion = EVASION[spec.evasion]
    weights = {name: weight for name, weight in spec.archetypes.items() if weight > 0}
    share = np.array(list(weights.values())) / sum(weights.values())
    # Quotas instead of draws, so that a small world too has every archetype; shuffled, so that all are in all
    # periods.
    quota = np.floor(np.cumsum(share) * spec.rings + 0.5).astype(int)
    kinds = rng.permutation(np.repeat(list(weights), np.diff(quota, prepend=0)))
    people = rng.permutation(spec.users)
    plans, joins, ends, rates, used = [], [], [], [], 0
    for ring, name in enumerate(kinds.tolist()):
        archetype = ARCHETYPES[name]
        size = int(rng.integers(archetype.members[0], archetype.members[1] + 1))
        life = life_days(*archetype.life_days, rng, evasion=evasion, days=spec.days)
        place = (ring + rng.random()) / len(kinds)
        start = spec.start_time + int(place * (spec.days - life) * DAY)
        stop = start + int(life * DAY)
        plans.append(Plan(ring, name, people[used : used + size].astype(np.int32), start, stop))
        used += size
        recruited = rng.random(size) < _RECRUITED.get(name, 0.0)
        aged = rng.exponential(evasion.aged_days + 200 * recruited, size) * DAY
        joins.append(start - HOUR - aged.astype(np.int64))
        gone = stop + (rng.exponential(15, size) * DAY).astype(np.int64)
        ends.append(np.where(recruited, np.iinfo(np.int64).max, gone))
        rates.append(np.where(recruited, 0.9, evasion.camouflage))
    none = np.empty(0, dtype=np.int64)
    accounts = Accounts(
        users=people[:used],
        join=np.concatenate([none, *joins]),
        end=np.concatenate([none, *ends]),
        rate=np.concatenate([np.empty(0), *rates]),
    )
    return plans, accounts


def _stage(rng: np.random.Generator, spec: WorldSpec, population: Population, accounts: Accounts) -> Stage:
    honest = np.setdiff1d(np.arange(spec.users, dtype=np.int32), accounts.users)
    return Stage(
        rng,
        population,
        rhythms(spec.start_time, spec.days),
        EVASION[spec.evasion],
        honest,
        device_count=population.device_count,
        card_count=population.card_count,
    )


def _plan_look_alikes(stage: Stage, spec: WorldSpec) -> list[Plan]:
    rng = stage.rng
    plans: list[Plan] = []
    names = list(LOOK_ALIKES)
    for group in range(spec.look_alikes):
        name = names[group % len(names)]
        _, (least, most), days = LOOK_ALIKES[name]
        life = min(rng.uniform(*days), spec.days / 2)
        start = spec.start_time + int(rng.random() * (spec.days - life) * DAY)
        users = _acquaintances(stage, name, int(rng.integers(least, most + 1)), time=start)
        if len(users) >= 2:
            plans.append(Plan(len(plans), name, users, start, start + int(life * DAY)))
    return plans


def _acquaintances(stage: Stage, name: str, count: int, *, time: int) -> np.ndarray:
    """Honest users of one group: colleagues share a card, neighbours travel together, the others are
    strangers."""
    population, rng = stage.population, stage.rng
    if name == "corporate_card":
        candidates = rng.permutation(stage.colleagues())
    elif name == "travel_group":
        near = (int(rng.choice(stage.honest)) + rng.permutation(6 * count)) % len(population)
        candidates = near[stage.is_honest[near]]
    else:
        candidates = rng.permutation(np.unique(rng.choice(stage.honest, 2 * count)))
    return candidates[population.active(candidates, np.array(time))][:count].astype(np.int32)


def _lone(stage: Stage, spec: WorldSpec) -> Script:
    count = int(spec.lone_fraud_share * spec.payments)
    return stolen_cards(stage, about=count, start=spec.start_time, stop=spec.stop_time)


def _sell_ring_phones(rng: np.random.Generator, stage: Stage, scripts: list[Script]) -> Population:
    """A third of the ring's own devices end as second-hand phones of honest people, who then look
    connected."""
    population = stage.population
    tools = concat(Members, [script.members for script in scripts])
    own = (tools.entity_type == ENTITY_TYPES.index("device")) & (tools.code >= population.device_count)
    sold = take(tools, own & (rng.random(len(own)) < 0.33))
    times = sold.until + (rng.exponential(6, len(sold.code)) * DAY).astype(np.int64)
    buyers = rng.choice(stage.honest, len(sold.code), replace=False)
    return population.with_used_phones(sold.code, buyers, times)


def _write_events(
    rng: np.random.Generator,
    spec: WorldSpec,
    population: Population,
    stage: Stage,
    played: Script,
    folder: Path,
) -> tuple[dict[str, int], list[pa.Table]]:
    """Stream everyday life chunk by chunk, with the scripts mixed in; returns rows per table and the
    truth."""
    books = _Books(rng, spec, population)
    payments = TableWriter(Payments, folder / "payments.parquet", books.payments)
    transfers = TableWriter(Transfers, folder / "transfers.parquet", books.transfers)
    logins = TableWriter(Logins, folder / "logins.parquet", books.logins)
    links = TableWriter(CardLinks, folder / "card_links.parquet", books.card_links)
    scripted = concat(Payments, [played.payments, refunds_of(rng, played.payments)])
    payments.add(scripted)
    transfers.add(played.transfers)
    logins.add(concat(Logins, [played.logins, logins_of(rng, played.payments, played.transfers)]))
    links.add(concat(CardLinks, [played.links, card_registrations(rng, population)]))

    share = sum(
        population.rate[of] @ (curve.mass_at(population.leave[of]) - curve.mass_at(population.join[of])).clip(0)
        for curve, of in ((curve, population.persona == p) for p, curve in enumerate(stage.rhythms))
    )
    everyday = max(spec.payments - len(scripted.time), 0) / 1.015
    chunks = max(1, math.ceil(spec.payments / _ROWS_PER_CHUNK))
    edges = stage.rhythms[0].time_at(np.linspace(0, 1, chunks + 1))
    for start, stop in tqdm(list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)), disable=None):
        life = payments_between(
            rng, population, stage.rhythms, start=start, stop=stop, scale=everyday / max(share, 1e-9)
        )
        sent = transfers_between(rng, population, life)
        payments.add(life)
        transfers.add(sent)
        logins.add(logins_of(rng, life, sent))
        last = stop == edges[-1]
        payments.write_until(stop)
        transfers.write_until(stop)
        logins.write_until(stop if last else stop - HOUR)  # a later payment may have its login before it
        links.write_until(stop)
    for writer in (payments, transfers, logins, links):
        writer.close()
    rows = {
        "payments": payments.rows,
        "transfers": transfers.rows,
        "logins": logins.rows,
        "card_links": links.rows,
    }
    return rows, books.truth


class _Books:
    """Turns rows into the columns of the files, and notes the truth about every event that is not
    ordinary."""

    def __init__(self, rng: np.random.Generator, spec: WorldSpec, population: Population) -> None:
        self.truth: list[pa.Table] = []
        self._rng, self._spec, self._population = rng, spec, population

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


def _write_entities(rng: np.random.Generator, spec: WorldSpec, population: Population, folder: Path) -> None:
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


def _write_groups(
    spec: WorldSpec, population: Population, plans: list[Plan], scripts: list[Script], folder: Path
) -> int:
    """truth/groups: one row per member of every innocent group; returns how many groups there are."""
    acted = np.array([plan.archetype for plan in plans], dtype=np.str_)
    lived, members = living_groups(population, first=len(plans), start=spec.start_time, stop=spec.stop_time)
    classes = np.concatenate([acted, lived])
    members = concat(Members, [*(script.members for script in scripts), members])
    table = _member_table(members, "g", "group_id", seed=spec.seed)
    table = table.add_column(1, "class", pa.array(classes[members.owner], pa.string()))
    pq.write_table(table, folder / "truth" / "groups.parquet", compression="zstd")
    return len(classes)


def _write_rings(
    spec: WorldSpec, plans: list[Plan], scripts: list[Script], events: list[pa.Table], folder: Path
) -> None:
    """truth/rings, truth/members (one row per entity and role) and truth/payments (all that is not ordinary)."""
    rings = np.arange(len(plans))
    inside = [take(s.payments, s.payments.time < spec.stop_time) for s in scripts]
    sent = [take(s.transfers, s.transfers.time < spec.stop_time) for s in scripts]
    table = pa.table(
        {
            "ring_id": tokens("r", rings, seed=spec.seed),
            "archetype": pa.array([plan.archetype for plan in plans], pa.string()),
            "evasion": np.full(len(plans), spec.evasion, dtype=np.int8),
            "start_time": timestamps(np.array([plan.start for plan in plans], dtype=np.int64)),
            "end_time": timestamps(np.array([plan.stop for plan in plans], dtype=np.int64)),
            "users": np.array([len(plan.users) for plan in plans], dtype=np.int32),
            "payments": np.array([len(rows.time) for rows in inside], dtype=np.int32),
            "transfers": np.array([len(rows.time) for rows in sent], dtype=np.int32),
            "amount": np.array([rows.amount.sum() for rows in inside], dtype=np.float64).round(2),
        }
    )
    pq.write_table(table, folder / "truth" / "rings.parquet", compression="zstd")
    members = concat(Members, [script.members for script in scripts])
    table = _member_table(members, "r", "ring_id", seed=spec.seed)
    pq.write_table(table, folder / "truth" / "members.parquet", compression="zstd")
    pq.write_table(pa.concat_tables(events), folder / "truth" / "payments.parquet", compression="zstd")


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


def _count(truth: list[pa.Table], event_type: str) -> int:
    table = pa.concat_tables(truth)
    fraud = table["is_fraud"].to_numpy()
    return int((fraud & (table["event_type"].to_numpy() == event_type)).sum())


def _region_names(codes: np.ndarray) -> pa.StringArray:
    return pa.array(["online" if code == 0 else f"region-{code}" for code in codes.tolist()], pa.string())


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and ((folder / SUMMARY_FILE).exists() or not any(folder.iterdir()))):
        raise ConfigError(
            f"{folder} exists and is not a generated world (no {SUMMARY_FILE}): empty it or choose another"
        )


def _move_into_place(unfinished: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return False
