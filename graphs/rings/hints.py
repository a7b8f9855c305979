"""Hints: what investigators decided about who belongs together, so that a run does not ask the same thing twice.

`ringtrace rings labels` writes them (`hints.parquet`). A hint speaks of what is in the tables now: it makes no ring of
accounts that nothing else puts in one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graphs.errors import DataError, Fault, NotFoundError
from graphs.events import EventLog
from graphs.rings.components import components
from graphs.rings.refine import Groups, joined, renumbered
from graphs.rings.ties import Parties

log = logging.getLogger(__name__)

COLUMNS = ("hint", "left_type", "left_id", "right_type", "right_id", "known_time")


@dataclass(frozen=True)
class Hints:
    """`must`, `cannot` (pairs, 2): codes of two accounts; of those that cannot be together the first is guilty and the
    second is not. `alone` (a,) accounts and `silent` (i,) identifiers that link nobody."""

    must: np.ndarray
    cannot: np.ndarray
    alone: np.ndarray
    silent: np.ndarray

    @classmethod
    def of(cls, table: pa.Table | None, events: EventLog, parties: Parties) -> Hints:
        """The hints of `table` in the codes of a log; those on what it does not know are left out and counted."""
        rows = table.to_pylist() if table is not None else []
        places = {kind: _places(events, kind, rows) for kind in events.entity_types}
        offset = dict(zip(parties.identifiers, parties.offsets.tolist(), strict=False))
        found: dict[str, list[tuple[int, ...]]] = {"must_link": [], "cannot_link": [], "alone": [], "silent": []}
        for row in rows:
            left = places.get(row["left_type"], {}).get(row["left_id"])
            right = places.get(row["right_type"], {}).get(row["right_id"])
            if row["hint"] == "never_link" and left is not None:
                own = row["left_type"] == parties.actor
                found["alone" if own else "silent"].append((left if own else left + offset[row["left_type"]],))
            elif row["left_type"] == row["right_type"] == parties.actor and left is not None and right is not None:
                found[row["hint"]].append((left, right))
        kept = sum(map(len, found.values()))
        if kept < len(rows):
            log.info("%d of %d hints speak of what is not there, or of no two accounts", len(rows) - kept, len(rows))
        pairs = (np.array(found[name], np.int64).reshape(-1, 2) for name in ("must_link", "cannot_link"))
        single = (np.array(found[name], np.int64).reshape(-1) for name in ("alone", "silent"))
        return cls(*pairs, *single)


def read_hints(folder: Path | None, *, before: int | None) -> pa.Table | None:
    """`hints.parquet` of a folder, those known before `before` (µs UTC; None: all). Raises NotFoundError, DataError."""
    if folder is None:
        return None
    file = folder / "hints.parquet"
    if not file.is_file():
        raise NotFoundError(f"hints: {file} does not exist; give the folder that `ringtrace rings labels` wrote")
    table = pq.read_table(file)
    lacking = [name for name in COLUMNS if name not in table.column_names]
    if lacking:
        what = f"has no column {', '.join(lacking)}"
        raise DataError([Fault("column_missing", file.name, None, what, "Export the labels again")])
    if before is not None:
        known = table["known_time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        table = table.filter(pc.less(known, before))
    return table


def heed(groups: Groups, hints: Hints, *, min_size: int) -> Groups:
    """Groups as the hints want them, those left with fewer than `min_size` accounts gone.

    Who links nobody is in no group. Groups that hold two who must be together are one; where only one of them is in a
    group, the other joins it. Of two who must not be together the second leaves the groups of the first.
    """
    groups = groups.where(~np.isin(groups.actor, hints.alone))
    groups = _together(groups, hints.must[~np.isin(hints.must, hints.alone).any(axis=1)])
    leaves = np.zeros(len(groups.actor), bool)
    for first, second in hints.cannot.tolist():
        leaves |= (groups.actor == second) & np.isin(groups.group, groups.group[groups.actor == first])
    return renumbered(groups.where(~leaves), min_size)


def _together(groups: Groups, must: np.ndarray) -> Groups:
    if not len(must) or not len(groups.group):
        return groups
    order = np.lexsort((groups.attachment, groups.actor))
    # Of an account in two groups, the one it hangs in more firmly is its home.
    home = dict(zip(groups.actor[order].tolist(), groups.group[order].tolist(), strict=True))
    pairs = [(home.get(first), home.get(second), first, second) for first, second in must.tolist()]
    both = np.array([(one, other) for one, other, _, _ in pairs if one is not None and other is not None], np.int64)
    both = both.reshape(-1, 2)
    come = [(one, second) for one, other, _, second in pairs if one is not None and other is None]
    come += [(other, first) for one, other, first, _ in pairs if one is None and other is not None]
    more = np.array(come, np.int64).reshape(-1, 2)
    wider = joined(groups, Groups(more[:, 0], more[:, 1], np.ones(len(more))))
    return _once(components(groups.count, both[:, 0], both[:, 1])[wider.group], wider)


def _once(group: np.ndarray, groups: Groups) -> Groups:
    """The rows under new groups, an account that is in one twice counted once, as firmly as it hangs in at best."""
    order = np.lexsort((-groups.attachment, groups.actor, group))
    group, actor, attachment = group[order], groups.actor[order], groups.attachment[order]
    first = (np.diff(group, prepend=-1) != 0) | (np.diff(actor, prepend=-1) != 0)
    return Groups(group[first], actor[first], attachment[first])


def _places(events: EventLog, kind: str, rows: list[dict[str, str]]) -> dict[str, int]:
    """Code of every key of this type that a hint names and the log knows."""
    asked = {row[f"{side}_id"] for row in rows for side in ("left", "right") if row[f"{side}_type"] == kind}
    keys = pa.array(sorted(asked), pa.string())
    at = pc.index_in(keys, value_set=events.entity_ids[kind]).to_pylist()
    return {key: code for key, code in zip(keys.to_pylist(), at, strict=True) if code is not None}
