"""Takes a finder run into the case store: all of it in one transaction, and once however often it is asked.

A ring new to the store gets an open case. A closed one that has gained members since gets another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore, Write, new_row
from graphs.stores.finder_folder import FinderRun, Row, read_finder_run
from graphs.stores.models import (
    FIGURES,
    cases,
    finder_runs,
    frozen_evidence,
    marks,
    ring_aliases,
    ring_evidence,
    ring_lineage,
    ring_links,
    ring_members,
    ring_payments,
    ring_versions,
    rings,
    verdicts,
)


@dataclass(frozen=True)
class Imported:
    """What an import did. `already` says that this very run was here before and nothing was changed."""

    run_id: int
    already: bool
    rings: int
    new_rings: int
    opened_cases: int


def import_run(store: CaseStore, actor: Actor, folder: Path) -> Imported:
    """Import the finder run in `folder`. Raises NotFoundError or DataError, with nothing changed.

    Killed at any point it leaves the store as it was; run again it imports the rest, which is all of it.
    """
    run = read_finder_run(Path(folder))
    with store.write(actor, "import_run", f"run:{run.digest[:12]}", alone=True) as door:
        known = select(finder_runs.c.run_id).where(finder_runs.c.digest == run.digest)
        before = door.connection.execute(known).scalar_one_or_none()
        outcome = Imported(before, True, len(run.tables["rings"]), 0, 0) if before is not None else _store(door, run)
        door.detail.update(run_id=outcome.run_id, already=outcome.already, rings=outcome.rings)
    return outcome


def _store(door: Write, run: FinderRun) -> Imported:
    connection = door.connection
    facts = {
        "digest": run.digest,
        "as_of": run.as_of,
        "previous_as_of": run.previous_as_of,
        "facts": dict(run.facts),
        "rings": len(run.tables["rings"]),
        "imported_at": door.now,
        "imported_by": door.actor.name,
    }
    run_id = new_row(connection, finder_runs, facts)
    as_of_before = {ring: as_of for ring, as_of in connection.execute(select(rings.c.ring_id, rings.c.as_of))}
    found = {row["ring_id"]: row for row in run.tables["rings"]}
    new = [ring for ring in found if ring not in as_of_before]
    newest = [ring for ring in found if ring in new or as_of_before[ring] <= run.as_of]
    _write_rings(connection, run, run_id, new, newest)
    _write_parts(connection, run, run_id, newest)
    _write_lineage(connection, run, run_id, as_of_before.keys() | found.keys())
    opened = _open_cases(door, run, new, [ring for ring in newest if ring not in new])
    return Imported(run_id, False, len(found), len(new), opened)


def _write_rings(
    connection: Connection, run: FinderRun, run_id: int, new: Sequence[str], newest: Sequence[str]
) -> None:
    figures = {row["ring_id"]: {name: row[name] for name in FIGURES} for row in run.tables["rings"]}
    standing = {
        ring: figures[ring] | {"run_id": run_id, "as_of": run.as_of, "picture": run.pictures.get(ring)}
        for ring in newest
    }
    _insert(connection, rings, [{"ring_id": ring} | standing[ring] for ring in new])
    for ring in newest:
        if ring not in new:
            connection.execute(update(rings).where(rings.c.ring_id == ring).values(merged_into=None, **standing[ring]))
    _insert(connection, ring_versions, [{"run_id": run_id, "ring_id": ring} | row for ring, row in figures.items()])


def _write_parts(connection: Connection, run: FinderRun, run_id: int, newest: Sequence[str]) -> None:
    """Members and evidence of every version are kept; links and payments are of the newest only."""
    for table, name in ((ring_members, "members"), (ring_evidence, "evidence")):
        _insert(connection, table, [{"run_id": run_id} | _renamed(row) for row in run.tables[name]])
    current = set(newest)
    for table, name in ((ring_links, "links"), (ring_payments, "payments")):
        for ring in newest:
            connection.execute(delete(table).where(table.c.ring_id == ring))
        _insert(connection, table, [{"run_id": run_id} | row for row in run.tables[name] if row["ring_id"] in current])


def _renamed(row: Row) -> Row:
    # ORDER is a word of SQL.
    return {"place" if name == "order" else name: value for name, value in row.items()}


def _write_lineage(connection: Connection, run: FinderRun, run_id: int, known: Iterable[str]) -> None:
    """Lineage lines, aliases, and the new standing of rings that this run no longer lists."""
    known = set(known)
    listed = {row["ring_id"] for row in run.tables["rings"]}
    lines = [row for row in run.tables["lineage"] if row["ring_id"] in known]
    _insert(connection, ring_lineage, [{"run_id": run_id} | row for row in lines])
    merged = {alias: row["ring_id"] for row in run.tables["rings"] for alias in row.get("aliases") or ()}
    for row in lines:
        ring, other = row["ring_id"], row["other_ring_id"]
        if row["change"] == "merged" and other is not None:
            merged |= {ring: other} if other in listed and ring not in listed else {other: ring}
        if row["change"] == "dormant" and ring not in listed:
            _set_standing(connection, run, ring, {"status": "dormant"})
    for alias, ring in merged.items():
        if alias == ring or alias in listed or ring not in known:
            continue
        connection.execute(delete(ring_aliases).where(ring_aliases.c.alias == alias))
        connection.execute(insert(ring_aliases).values(alias=alias, ring_id=ring))
        _set_standing(connection, run, alias, {"status": "merged", "merged_into": ring})


def _set_standing(connection: Connection, run: FinderRun, ring: str, values: dict[str, Any]) -> None:
    here = (rings.c.ring_id == ring) & (rings.c.as_of <= run.as_of)
    connection.execute(update(rings).where(here).values(as_of=run.as_of, **values))


def _open_cases(door: Write, run: FinderRun, new: Sequence[str], known: Sequence[str]) -> int:
    opened = [_case(door, ring, "found by the finder") for ring in new]
    members: dict[str, set[tuple[str, str]]] = {}
    for row in run.tables["members"]:
        if row["part"] == "member":
            members.setdefault(row["ring_id"], set()).add((row["entity_type"], row["entity_id"]))
    benign = _benign(door)
    for ring in known:
        last = _last_case(door.connection, ring)
        if last is None or last.status != "closed":
            continue
        added = members.get(ring, set()) - _seen(door.connection, ring, last.evidence) - benign
        if added:
            who = "1 member" if len(added) == 1 else f"{len(added)} members"
            opened.append(_case(door, ring, f"gained {who} since it was closed", previous=last.case_id))
    _insert(door.connection, cases, opened)
    return len(opened)


def _case(door: Write, ring: str, why: str, *, previous: int | None = None) -> dict[str, Any]:
    return {
        "ring_id": ring,
        "previous_case_id": previous,
        "status": "open",
        "opened_at": door.now,
        "opened_because": why,
        "changed_at": door.now,
        "changed_by": door.actor.name,
        "version": 1,
    }


def _last_case(connection: Connection, ring: str) -> Any:
    last = select(cases.c.case_id, cases.c.status, cases.c.evidence).where(cases.c.ring_id == ring)
    return connection.execute(last.order_by(cases.c.case_id.desc()).limit(1)).one_or_none()


def _seen(connection: Connection, ring: str, evidence: str | None) -> set[tuple[str, str]]:
    """Who was judged in this ring, or stood on its sheet when its last case was closed."""
    judged = select(verdicts.c.entity_type, verdicts.c.entity_id).where(verdicts.c.ring_id == ring)
    seen = {(kind, key) for kind, key in connection.execute(judged)}
    frozen = select(frozen_evidence.c.content).where(frozen_evidence.c.digest == evidence)
    content = connection.execute(frozen).scalar_one_or_none() or {"members": []}
    return seen | {(row["entity_type"], row["entity_id"]) for row in content["members"]}


def _benign(door: Write) -> set[tuple[str, str]]:
    holds = (marks.c.list == "benign") & marks.c.removed_at.is_(None)
    holds &= marks.c.expires_at.is_(None) | (marks.c.expires_at > door.now)
    return {
        (kind, key)
        for kind, key in door.connection.execute(select(marks.c.entity_type, marks.c.entity_id).where(holds))
    }


def _insert(connection: Connection, table: Any, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(insert(table), rows)
