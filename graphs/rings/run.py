"""A finder run from end to end: ground → groups → P(ring) → ranking → ids → evidence → one folder.

`find` is the algorithm on values; `find_rings` is the verb around it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from graphs.errors import ConfigError
from graphs.events import MICROSECONDS_PER_DAY, EventLog
from graphs.ingest import ingest
from graphs.rings.bursts import Bursts, bursts_of
from graphs.rings.chains import Passes, passes_of
from graphs.rings.dossier import Archive, Dossier
from graphs.rings.evidence import Evidence, day, evidence_for
from graphs.rings.features import features_of, shared_identifiers
from graphs.rings.finders import Finder
from graphs.rings.folder import RingFolder, read_folder, write_folder
from graphs.rings.ground import Ground
from graphs.rings.hints import heed, read_hints
from graphs.rings.lineage import Descent, Earlier, Lineage, trace
from graphs.rings.probability import p_ring
from graphs.rings.refine import Groups
from graphs.rings.report import SCHEMAS, RingFile, rows_to_table, write_up
from graphs.rings.roles import tell_roles
from graphs.rings.suspicion import NO_SCORES, ScoreTable, read_scores
from graphs.rings.ties import Parties
from graphs.schema import DataSchema
from graphs.store import fingerprint

log = logging.getLogger(__name__)

_MOST_HUBS_TOLD = 200


def find_rings(
    *,
    data: Mapping[str, Any],
    finder: Finder,
    output: str,
    scores: str | None = None,
    as_of: str | None = None,
    previous: str | None = None,
    open_rings: Sequence[str] = (),
    hints: str | None = None,
    seed: int = 0,
) -> Path:
    """Find rings in the tables of `data` as of `as_of` (default: all that they hold) and write one folder."""
    events = ingest(DataSchema.from_config(dict(data))).log
    moment = _instant(as_of) if as_of is not None else int(events.visible_time.max(initial=0)) + 1
    before = read_folder(Path(previous)) if previous is not None else None
    table = read_scores(Path(scores) if scores is not None else None, _actor(events, finder), moment)
    known = read_hints(Path(hints) if hints is not None else None, before=moment if as_of is not None else None)
    found = find(
        events, finder, scores=table, as_of=moment, previous=before, open_rings=open_rings, hints=known, seed=seed
    )
    write_folder(found, Path(output))
    counts = found.run["counts"]
    log.info("%d rings of %d accounts, %d hubs never linked", counts["rings"], counts["users"], counts["hubs"])
    return Path(output)


def find(
    events: EventLog,
    finder: Finder,
    *,
    as_of: int,
    scores: ScoreTable = NO_SCORES,
    previous: RingFolder | None = None,
    open_rings: Sequence[str] = (),
    hints: pa.Table | None = None,
    seed: int = 0,
) -> RingFolder:
    """All rings as of `as_of` (µs UTC), ranked; nothing known only then or later has any effect."""
    ground = lay_ground(events, finder, scores, as_of=as_of, hints=hints)
    rated = rate(ground, finder, seed=seed)
    best = rated.best(finder)
    keys = ground.window.log.entity_ids[ground.parties.actor]
    members = [_keys(keys, rated.groups.members(group)) for group in best.tolist()]
    before = _Before.of(previous)
    lineage = trace(members, before.rings, as_of=as_of, open_rings=open_rings, dormant_before=before.dormant)
    dossiers = tqdm(rated.archive.dossiers(best), total=len(best), disable=None, desc="rings")
    files = [
        _write(rated, dossier, rank + 1, lineage.descents[rank], group)
        for rank, (group, dossier) in enumerate(zip(best.tolist(), dossiers, strict=True))
    ]
    kept = before.still_dormant(lineage, as_of, finder.window_days, open_rings)
    return RingFolder(
        run=_facts(ground, finder, scores, previous, files, kept, seed),
        tables=_tables(files, lineage, before, kept, as_of),
        pictures={file.ring.ring_id: file.picture for file in files},
    )


def lay_ground(
    events: EventLog, finder: Finder, scores: ScoreTable, *, as_of: int, hints: pa.Table | None = None
) -> Ground:
    """The ground as `finder` wants it."""
    return Ground.lay(
        events, scores, as_of=as_of, actor=finder.actor, window_days=finder.window_days,
        half_life_days=finder.half_life_days, hub_cap=finder.hub_cap, hub_caps=finder.hub_caps, hints=hints,
    )  # fmt: skip


@dataclass(frozen=True)
class Rated:
    """Groups with what is known of them: `features` (groups, FEATURES), `p` (groups,) P(ring), `preventable`
    (groups,) money; `archive` finds the rest."""

    ground: Ground
    groups: Groups
    features: np.ndarray
    p: np.ndarray
    preventable: np.ndarray
    bursts: Bursts
    passes: Passes
    linking: np.ndarray
    archive: Archive

    def best(self, finder: Finder) -> np.ndarray:
        """Groups worth telling, best first: by P(ring) × preventable value, then P(ring), then first member."""
        score = self.p * self.preventable
        first = self.groups.actor[self.groups.offsets[:-1]] if self.groups.count else np.empty(0, np.int64)
        order = np.lexsort((first, -self.p, -score))
        return order[self.p[order] >= finder.least_p][: finder.max_rings]


def rate(ground: Ground, finder: Finder, *, seed: int) -> Rated:
    """Find the groups, and how likely each is a ring and what could still be prevented."""
    groups, links = finder.groups(ground, seed=seed)
    groups = heed(groups, ground.hints, min_size=finder.min_size)
    bursts = bursts_of(ground.window, ground.uses, days=finder.window_days, minutes=finder.burst_minutes)
    passes = passes_of(ground.window, ground.flows, hours=finder.chain_hours, least=finder.chain_keeps)
    linking = finder.linking(ground.parties)
    shared = shared_identifiers(ground, groups)
    features = features_of(ground, groups, links, shared, bursts, passes, linking)
    p = p_ring(features, scored=ground.suspicion.scored)
    archive = Archive(ground, groups, shared, bursts, passes, linking)
    return Rated(ground, groups, features, p, _preventable(ground, groups), bursts, passes, linking, archive)


def _preventable(ground: Ground, groups: Groups) -> np.ndarray:
    """What the members would move next if they went on as of late: their money × suspicion, old money decayed."""
    window = ground.window
    money = np.abs(window.amount) * window.decay * (ground.suspicion.event if ground.suspicion.scored else 1.0)
    acted = np.flatnonzero(ground.actors >= 0)
    each = np.bincount(ground.actors[acted], weights=money[acted], minlength=ground.actor_count)
    return np.bincount(groups.group, weights=each[groups.actor], minlength=groups.count)


def _write(rated: Rated, dossier: Dossier, rank: int, descent: Descent, group: int) -> RingFile:
    ground, p = rated.ground, float(rated.p[group])
    roles = tell_roles(ground, dossier, rated.passes, rated.linking)
    evidence = evidence_for(ground, dossier, roles, rated.bursts, rated.passes, p_ring=p)
    told = {"status": descent.status, "parents": descent.parents, "aliases": descent.aliases}
    if descent.status != "born":
        evidence = [*evidence, _history(descent)]
    return write_up(
        ground, dossier, roles, evidence, ring_id=descent.ring_id, rank=rank,
        descent={**told, "first_seen": descent.first_seen}, p_ring=p,
        preventable=round(float(rated.preventable[group]), 2), linking=rated.linking,
    )  # fmt: skip


def _history(descent: Descent) -> Evidence:
    others = f" ({', '.join(descent.parents)})" if descent.parents else ""
    text = f"first found on {day(descent.first_seen)}; {descent.status} since the last run{others}"
    return Evidence("lineage", text, since=descent.first_seen)


@dataclass(frozen=True)
class _Before:
    """What the previous run left: `rings` to go on from, `dormant` ids, and its tables by ring for those kept."""

    rings: tuple[Earlier, ...]
    dormant: frozenset[str]
    folder: RingFolder | None

    @classmethod
    def of(cls, folder: RingFolder | None) -> _Before:
        if folder is None:
            return cls((), frozenset(), None)
        members: dict[str, set[str]] = {}
        table = folder.tables["members"]
        for ring, part, key in zip(
            *(table[name].to_pylist() for name in ("ring_id", "part", "entity_id")), strict=True
        ):
            if part == "member":
                members.setdefault(ring, set()).add(key)
        rings = [
            Earlier(
                row["ring_id"], frozenset(members.get(row["ring_id"], ())), _micros(row["first_seen"]),
                tuple(row["aliases"]), row["rank"],
            )
            for row in folder.tables["rings"].to_pylist()
        ]  # fmt: skip
        asleep = {row["ring_id"] for row in folder.tables["rings"].to_pylist() if row["status"] == "dormant"}
        return cls(tuple(rings), frozenset(asleep), folder)

    def still_dormant(
        self, lineage: Lineage, as_of: int, window_days: float, open_rings: Sequence[str]
    ) -> frozenset[str]:
        """Dormant rings that stay in the books: those with an open case, and others for one more window."""
        if self.folder is None:
            return frozenset()
        oldest = as_of - round(2 * window_days * MICROSECONDS_PER_DAY)
        rows = self.folder.tables["rings"].select(["ring_id", "last_event_time"]).to_pylist()
        last = {row["ring_id"]: _micros(row["last_event_time"]) for row in rows}
        return frozenset(
            ring.ring_id
            for ring in lineage.dormant
            if last[ring.ring_id] >= oldest or {ring.ring_id, *ring.aliases} & set(open_rings)
        )

    def rows(self, name: str, kept: frozenset[str]) -> pa.Table:
        assert self.folder is not None
        table = self.folder.tables[name]
        return table.filter(pc.is_in(table["ring_id"], pa.array(sorted(kept), pa.string())))


def _tables(
    files: Sequence[RingFile], lineage: Lineage, before: _Before, kept: frozenset[str], as_of: int
) -> dict[str, pa.Table]:
    changes = [
        {"ring_id": ring, "change": change, "other_ring_id": other, "as_of": as_of, "jaccard": index}
        for ring, change, other, index in lineage.changes
    ]
    tables = {
        "rings": rows_to_table("rings", [file.ring for file in files]),
        "members": rows_to_table("members", [row for file in files for row in file.members]),
        "links": rows_to_table("links", [row for file in files for row in file.links]),
        "evidence": rows_to_table("evidence", [row for file in files for row in file.evidence]),
        "payments": pa.concat_tables([SCHEMAS["payments"].empty_table(), *(file.payments for file in files)]),
        "lineage": rows_to_table("lineage", changes),
    }
    if kept:
        for name in ("members", "links", "evidence", "payments"):
            tables[name] = pa.concat_tables([tables[name], before.rows(name, kept)])
        asleep = [
            {**row, "status": "dormant", "rank": len(files) + place + 1, "score": 0.0, "preventable_value": 0.0}
            for place, row in enumerate(before.rows("rings", kept).sort_by("rank").to_pylist())
        ]
        tables["rings"] = pa.concat_tables([tables["rings"], rows_to_table("rings", asleep)])
    return tables


def _facts(
    ground: Ground,
    finder: Finder,
    scores: ScoreTable,
    previous: RingFolder | None,
    files: Sequence[RingFile],
    kept: frozenset[str],
    seed: int,
) -> dict[str, Any]:
    hubs = np.flatnonzero(ground.hubs.hub)
    widest = hubs[np.lexsort((hubs, -ground.hubs.degree[hubs]))][:_MOST_HUBS_TOLD]
    named = [(*ground.parties.name(ground.window.log, int(hub)), int(hub)) for hub in widest]
    return {
        "as_of": _iso(ground.window.as_of),
        "finder": {"name": type(finder).__name__.lower(), **asdict(finder)},
        "data_fingerprint": fingerprint(ground.window.log),
        "model_version": scores.model_version,
        "score_source": scores.source,
        "counts": {
            "rings": len(files),
            "dormant": len(kept),
            "users": sum(file.ring.users for file in files),
            "events_in_window": len(ground.window.events),
            "hubs": len(hubs),
        },
        "hints": {
            "must_link": len(ground.hints.must),
            "cannot_link": len(ground.hints.cannot),
            "never_link": len(ground.hints.alone) + len(ground.hints.silent),
        },
        "hubs": [
            {"entity_type": kind, "entity_id": key, "degree": int(ground.hubs.degree[hub]),
             "cap": int(ground.hubs.cap[hub])}
            for kind, key, hub in named
        ],
        "previous_as_of": previous.run["as_of"] if previous is not None else None,
        "seed": seed,
        "ringtrace_version": version_of("ringtrace"),
    }  # fmt: skip


def _actor(events: EventLog, finder: Finder) -> str:
    return Parties.of(events, finder.actor).actor


def _keys(keys: pa.StringArray, codes: np.ndarray) -> frozenset[str]:
    return frozenset(keys.take(pa.array(codes)).to_pylist())


def _instant(text: str) -> int:
    """An ISO date or time as µs UTC; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"as_of: '{text}' is not an ISO date or time such as 2025-06-01 or 2025-06-01T12:00Z"
        ) from error
    return _micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _iso(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="microseconds")
