"""`make_world`: a world of payments with planted rings, innocent look-alikes, late labels, and the truth
beside it.

No public data set joins users, devices, cards and merchants with ring ids and with honest groups that look
the same. Reading order: rhythm, population, behaviours (everyday life), staging, gang and archetypes (rings),
look_alikes and living_groups, lone_fraud, labels, spec, casting (who and when), books (columns), and this module, which
plays them in time order into Parquet.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from graphs.datasets.archetypes import ARCHETYPES
from graphs.datasets.behaviours import (
    REFUND_SHARE,
    card_registrations,
    logins_of,
    payments_between,
    refunds_of,
    transfers_between,
)
from graphs.datasets.books import Books, fraud_count, write_entities, write_groups, write_rings
from graphs.datasets.casting import plan_look_alikes, plan_rings, sell_ring_phones
from graphs.datasets.frames import CardLinks, Logins, Payments, Transfers, concat
from graphs.datasets.lone_fraud import stolen_cards
from graphs.datasets.look_alikes import LOOK_ALIKES
from graphs.datasets.population import Accounts, populate
from graphs.datasets.rhythm import HOUR, rhythms
from graphs.datasets.spec import WorldSpec
from graphs.datasets.staging import Script, Stage, joined
from graphs.datasets.writing import TableWriter
from graphs.folders import whole_folder

__all__ = ["WorldSpec", "WorldSummary", "make_world"]

log = logging.getLogger(__name__)

SUMMARY_FILE = "world.json"
_ROWS_PER_CHUNK = 400_000


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
    with whole_folder(folder, SUMMARY_FILE, "generated world") as unfinished:
        rng = np.random.default_rng(spec.seed)
        plans, accounts = plan_rings(rng, spec)
        stage = _stage(rng, spec, accounts)
        ring_scripts = [ARCHETYPES[plan.kind].play(stage, plan) for plan in plans]
        groups = plan_look_alikes(stage, spec)
        group_scripts = [LOOK_ALIKES[plan.kind].play(stage, plan) for plan in groups]
        about = int(spec.lone_fraud_share * spec.payments)
        lone = stolen_cards(stage, about=about, start=spec.start_time, stop=spec.stop_time)
        stage.population = sell_ring_phones(stage, ring_scripts)

        (unfinished / "truth").mkdir()
        played = joined([*ring_scripts, *group_scripts, lone])
        rows, truth = _write_events(spec, stage, played, unfinished)
        write_entities(rng, spec, stage.population, unfinished)
        write_rings(spec, plans, ring_scripts, truth, unfinished)
        group_count = write_groups(spec, stage, groups, group_scripts, played.members, unfinished)
        fraud = {kind: fraud_count(truth, kind) for kind in ("payment", "transfer")}
        summary = WorldSummary(folder, rows, len(plans), group_count, fraud["payment"], fraud["transfer"])
        facts = {"spec": asdict(spec), **{k: v for k, v in asdict(summary).items() if k != "folder"}}
        (unfinished / SUMMARY_FILE).write_text(json.dumps(facts, indent=2) + "\n")
    log.info("world of %d payments (%d fraud, %d rings)", rows["payments"], fraud["payment"], len(plans))
    return summary


def _stage(rng: np.random.Generator, spec: WorldSpec, accounts: Accounts) -> Stage:
    population = populate(
        rng,
        spec.users,
        merchants=spec.merchants,
        start=spec.start_time,
        stop=spec.stop_time,
        accounts=accounts,
    )
    return Stage(
        rng,
        population,
        rhythms(spec.start_time, spec.days),
        honest=np.setdiff1d(np.arange(spec.users, dtype=np.int32), accounts.users),
        device_count=population.device_count,
        card_count=population.card_count,
        address_count=population.address_count,
        ip_count=population.ip_count,
    )


def _write_events(spec: WorldSpec, stage: Stage, played: Script, folder: Path) -> tuple[dict[str, int], list[pa.Table]]:
    """Stream everyday life chunk by chunk, with the scripts mixed in; returns rows per table and the
    truth."""
    rng, population = stage.rng, stage.population
    books = Books(rng, spec, population, np.concatenate([np.empty(0, dtype=np.int32), *stage.sites]))
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
    everyday = max(spec.payments - len(scripted.time), 0) / (1 + REFUND_SHARE)
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
