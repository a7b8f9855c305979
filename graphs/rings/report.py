"""The tables of a finder run: one row per ring, member, link, line of evidence and payment, with the caller's keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from graphs.rings.cast import Cast, cast_of
from graphs.rings.dossier import Dossier
from graphs.rings.evidence import Evidence, day
from graphs.rings.ground import Ground
from graphs.rings.kinds import guess_kind
from graphs.rings.picture import Line, Shape, draw
from graphs.rings.roles import Roles

_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class RingRow:
    """A row of rings.parquet; times int64 µs UTC."""

    ring_id: str
    rank: int
    status: str
    parents: tuple[str, ...]
    aliases: tuple[str, ...]
    p_ring: float
    score: float
    preventable_value: float
    value_total: float
    value_fraud: float
    payments: int
    users: int
    first_event_time: int
    last_event_time: int
    first_seen: int
    kind: str
    headline: str


@dataclass(frozen=True)
class MemberRow:
    """A row of members.parquet."""

    ring_id: str
    entity_type: str
    entity_id: str
    part: str
    role: str
    score: float | None
    attachment: float
    first_seen: int | None
    last_seen: int | None
    payments: int
    value: float
    x: float
    y: float


@dataclass(frozen=True)
class LinkRow:
    """A row of links.parquet."""

    ring_id: str
    source_type: str
    source_id: str
    target_type: str
    target_id: str
    kind: str
    events: int
    value: float
    first_time: int
    last_time: int


SCHEMAS = {
    "rings": pa.schema([
        ("ring_id", pa.string()), ("rank", pa.int32()), ("status", pa.string()), ("parents", pa.list_(pa.string())),
        ("aliases", pa.list_(pa.string())), ("p_ring", pa.float64()), ("score", pa.float64()),
        ("preventable_value", pa.float64()), ("value_total", pa.float64()), ("value_fraud", pa.float64()),
        ("payments", pa.int64()), ("users", pa.int32()), ("first_event_time", _TIME), ("last_event_time", _TIME),
        ("first_seen", _TIME), ("kind", pa.string()), ("headline", pa.string()),
    ]),
    "members": pa.schema([
        ("ring_id", pa.string()), ("entity_type", pa.string()), ("entity_id", pa.string()), ("part", pa.string()),
        ("role", pa.string()), ("score", pa.float64()), ("attachment", pa.float64()), ("first_seen", _TIME),
        ("last_seen", _TIME), ("payments", pa.int64()), ("value", pa.float64()), ("x", pa.float32()),
        ("y", pa.float32()),
    ]),
    "links": pa.schema([
        ("ring_id", pa.string()), ("source_type", pa.string()), ("source_id", pa.string()),
        ("target_type", pa.string()), ("target_id", pa.string()), ("kind", pa.string()), ("events", pa.int64()),
        ("value", pa.float64()), ("first_time", _TIME), ("last_time", _TIME),
    ]),
    "evidence": pa.schema([
        ("ring_id", pa.string()), ("order", pa.int32()), ("kind", pa.string()), ("text", pa.string()),
        ("entity_type", pa.string()), ("entity_id", pa.string()), ("value", pa.float64()), ("others", pa.int64()),
        ("since", _TIME),
    ]),
    "payments": pa.schema([
        ("ring_id", pa.string()), ("event_type", pa.string()), ("event_id", pa.string()), ("event_time", _TIME),
        ("amount", pa.float64()), ("score", pa.float64()),
    ]),
    "lineage": pa.schema([
        ("ring_id", pa.string()), ("change", pa.string()), ("other_ring_id", pa.string()), ("as_of", _TIME),
        ("jaccard", pa.float64()),
    ]),
}  # fmt: skip
"""Tables of the output folder: column names and types."""


@dataclass(frozen=True)
class RingFile:
    """All rows of one ring except lineage, and its picture."""

    ring: RingRow
    members: list[MemberRow]
    links: list[LinkRow]
    evidence: list[dict[str, Any]]
    payments: pa.Table
    picture: str


def rows_to_table(name: str, rows: Iterable[Any]) -> pa.Table:
    """Rows (dataclasses or dicts) as the table `name` of SCHEMAS."""
    plain = [row if isinstance(row, dict) else asdict(row) for row in rows]
    schema = SCHEMAS[name]
    columns = [pa.array([row.get(field.name) for row in plain], field.type) for field in schema]
    return pa.table(columns, schema=schema)


def write_up(
    ground: Ground,
    dossier: Dossier,
    roles: Roles,
    evidence: Sequence[Evidence],
    *,
    ring_id: str,
    rank: int,
    descent: dict[str, Any],
    p_ring: float,
    preventable: float,
    linking: np.ndarray,
) -> RingFile:
    """Everything on one ring; `descent` has status, parents, aliases and first_seen."""
    kind = guess_kind(ground, dossier, roles)
    cast = cast_of(ground, dossier, roles, linking)
    members, links = _member_rows(cast, ring_id), _link_rows(cast, ring_id)
    payments = _payments(ground, dossier, ring_id)
    amount = np.abs(ground.window.amount[dossier.events])
    fraud = ground.window.label[dossier.events] == 1
    time = ground.window.time[dossier.events] if len(dossier.events) else ground.ties.first[dossier.ties]
    ring = RingRow(
        ring_id=ring_id,
        rank=rank,
        **descent,
        p_ring=p_ring,
        score=p_ring * preventable,
        preventable_value=preventable,
        value_total=round(float(amount.sum()), 2),
        value_fraud=round(float(amount[fraud].sum()), 2),
        payments=len(payments),
        users=len(dossier.members),
        first_event_time=int(time.min()) if len(time) else ground.window.as_of,
        last_event_time=int(time.max()) if len(time) else ground.window.as_of,
        kind=kind,
        headline=_headline(ground, dossier, roles, kind, float(amount.sum())),
    )
    lines = [{"ring_id": ring_id, "order": place, **asdict(line)} for place, line in enumerate(evidence)]
    return RingFile(ring, members, links, lines, payments, _picture(ring, cast))


def _headline(ground: Ground, dossier: Dossier, roles: Roles, kind: str, value: float) -> str:
    """One plain sentence: how many, with what, how much, since when."""
    types = np.array([*ground.parties.identifiers, ""])[ground.parties.type_of(dossier.identifiers)]
    names, counts = np.unique(types, return_counts=True)
    held = [
        f"{count} {_plural(name) if count > 1 else name}"
        for name, count in sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
    ]
    who = f"{len(dossier.members)} {_plural(ground.parties.actor)}"
    how = f"sharing {_and(held)}" if held else "joined by transfers"
    if kind == "mule_chain":
        how = f"passing money on in a chain, {how}" if held else "passing money on in a chain"
    elif kind == "takeover":
        how = f"that receive money from entered accounts, {how}"
    since = f" since {day(int(ground.window.time[dossier.events].min()))}" if len(dossier.events) else ""
    moved = f"; {len(dossier.events)} events over {value:,.0f}{since}" if len(dossier.events) else ""
    robbed = len(roles.victims)
    victims = f"; {robbed} likely {'victim' if robbed == 1 else 'victims'}" if robbed else ""
    return f"{who} {how}{moved}{victims}"


def _plural(word: str) -> str:
    return f"{word}es" if word.endswith("s") else f"{word}s"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _member_rows(cast: Cast, ring_id: str) -> list[MemberRow]:
    return [
        MemberRow(
            ring_id, node.entity_type, node.entity_id, node.part, node.role, node.score, node.attachment,
            node.first_seen, node.last_seen, node.payments, round(node.value, 2), x, y,
        )
        for node, (x, y) in zip(cast.nodes, cast.places.tolist(), strict=True)
    ]  # fmt: skip


def _link_rows(cast: Cast, ring_id: str) -> list[LinkRow]:
    rows = []
    for edge in cast.edges:
        source, target = cast.nodes[edge.source], cast.nodes[edge.target]
        rows.append(
            LinkRow(
                ring_id, source.entity_type, source.entity_id, target.entity_type, target.entity_id,
                edge.kind, edge.events, round(edge.value, 2), edge.first_time, edge.last_time,
            )
        )  # fmt: skip
    return rows


def _payments(ground: Ground, dossier: Dossier, ring_id: str) -> pa.Table:
    """Events of the ring that move money, with the caller's keys; no score where none was given."""
    log, window = ground.window.log, ground.window
    events = dossier.events[~np.isnan(log.amount[window.events[dossier.events]])]
    rows = window.events[events]
    score = ground.suspicion.event[events] if ground.suspicion.scored else np.full(len(events), np.nan)
    return pa.table(
        [
            pa.repeat(pa.scalar(ring_id), len(events)),
            pa.array([log.event_types[code] for code in log.event_type[rows]], pa.string()),
            log.event_ids.take(pa.array(rows)),
            pa.array(log.event_time[rows], _TIME),
            pa.array(log.amount[rows], pa.float64()),
            pa.array(score, pa.float64(), from_pandas=True),
        ],
        schema=SCHEMAS["payments"],
    )


def _picture(ring: RingRow, cast: Cast) -> str:
    shapes = [
        Shape(node.entity_type, node.entity_id, node.part, node.role, node.score, x, y)
        for node, (x, y) in zip(cast.nodes, cast.places.tolist(), strict=True)
    ]
    lines = [Line(edge.source, edge.target, edge.events, edge.directed) for edge in cast.edges]
    return draw(f"Ring {ring.ring_id}", ring.headline, shapes, lines)
