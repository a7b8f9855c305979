"""What a generated world says about its rings as of an instant: which could be seen, who was in them, who was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from graphs.rings.metrics import Loss, Ring

LEAST_USERS = 3
"""A true ring is judged if at least so many of its suspects acted in it within the window."""


@dataclass(frozen=True)
class RingTruth:
    """Rings that were active in a window, as far as they were: `rings` with `archetypes`, `ids`, `begun` (µs UTC of the
    ring's first event ever); `guilty`: all suspects of any ring; `groups`: innocent groups by class; `losses`."""

    rings: Sequence[Ring]
    archetypes: Sequence[str]
    ids: Sequence[str]
    begun: Sequence[int]
    guilty: frozenset[str]
    groups: Mapping[str, Sequence[Ring]]
    losses: Sequence[Loss]


class WorldTruth:
    """The truth tables of one world."""

    def __init__(self, folder: Path) -> None:
        self._members, self._rings, self._groups, noted = (
            pd.read_parquet(folder / "truth" / f"{name}.parquet") for name in ("members", "rings", "groups", "payments")
        )
        payments = pd.read_parquet(
            folder / "payments.parquet", columns=["payment_id", "event_time", "known_time", "user_id", "amount"]
        )
        transfers = pd.read_parquet(
            folder / "transfers.parquet",
            columns=["transfer_id", "event_time", "known_time", "sender_id", "receiver_id", "amount"],
        )
        acted = [
            payments.rename(columns={"payment_id": "event_id", "user_id": "user"}),
            transfers.rename(columns={"transfer_id": "event_id", "sender_id": "user"}).drop(columns="receiver_id"),
            transfers.rename(columns={"transfer_id": "event_id", "receiver_id": "user"}).drop(columns="sender_id"),
        ]
        noted = noted[noted.ring_id.notna()][["event_id", "ring_id", "is_fraud"]]
        events = pd.concat(acted).merge(noted, on="event_id")
        suspects = self._members[(self._members.entity_type == "user") & (self._members.role != "victim")]
        self._events = events.assign(
            time=_micros(events.event_time), seen=_micros(events[["event_time", "known_time"]].max(axis=1))
        )
        self._suspects = suspects[["ring_id", "entity_id"]].drop_duplicates()
        self._by_suspects = self._events.merge(
            self._suspects, left_on=["ring_id", "user"], right_on=["ring_id", "entity_id"]
        )

    def as_of(self, moment: int, *, window_days: float, begun_after: int | None = None) -> RingTruth:
        """The truth at `moment` (µs UTC); with `begun_after` only rings that began then or later."""
        start = moment - round(window_days * 86_400_000_000)
        own = self._by_suspects[(self._by_suspects.time >= start) & (self._by_suspects.seen < moment)]
        begun = self._events.groupby("ring_id").time.min()
        archetype = self._rings.set_index("ring_id").archetype
        users = own.groupby("ring_id").user.agg(frozenset)
        users = users[users.map(len) >= LEAST_USERS].sort_index()
        if begun_after is not None:
            users = users[begun[users.index].to_numpy() >= begun_after]
        ids = users.index.tolist()
        groups = self._groups[self._groups.entity_type == "user"]
        classes = {
            name: [frozenset(members) for _, members in part.groupby("group_id").entity_id]
            for name, part in groups.groupby("class")
        }
        return RingTruth(
            users.tolist(), archetype[ids].tolist(), ids, begun[ids].tolist(), frozenset(self._suspects.entity_id),
            classes, self._losses(set(ids)),
        )  # fmt: skip

    def fraud(self, event_keys: Sequence[str]) -> np.ndarray:
        """Whether each event (type and id, as `graphs.history.event_keys` writes them) is part of a ring's fraud."""
        bad = set(self._events.event_id[self._events.is_fraud])
        return np.array([key.split("\x1f")[1] in bad for key in event_keys], bool)

    def _losses(self, rings: set[str]) -> list[Loss]:
        bad = self._by_suspects[self._by_suspects.is_fraud & self._by_suspects.ring_id.isin(rings)]
        each = bad.groupby("event_id").agg(time=("time", "first"), value=("amount", "first"), users=("user", frozenset))
        return [Loss(int(time), abs(float(value)), users) for time, value, users in each.itertuples(index=False)]


class BankTruth:
    """The truth tables of the simulated bank: patterns of fraud, and decoys of the same shapes."""

    def __init__(self, root: Path) -> None:
        self._patterns = pd.read_parquet(root / "truth" / "patterns.parquet").set_index("pattern_id")
        noted = pd.read_parquet(root / "truth" / "transactions.parquet")[["tx_id", "pattern_id", "is_fraud"]]
        self.fraud = frozenset(noted.tx_id[noted.is_fraud])
        columns = ["tx_id", "source", "target", "timestamp"]
        files = [root / "edges" / f"{name}.parquet" for name in ("TRANSFERS", "WIRES")]
        moves = noted.merge(pd.concat([pd.read_parquet(file, columns=columns) for file in files]), on="tx_id")
        moves["time"] = _micros(pd.to_datetime(moves.timestamp))
        sides = [moves.rename(columns={side: "account"}) for side in ("source", "target")]
        self._ends = pd.concat(sides)[["pattern_id", "account", "time"]]

    def between(self, start: int, end: int) -> RingTruth:
        """Patterns of two or more accounts that acted in [start, end) (µs UTC), as far as they did: which leaves out
        those of one account (`bust_out`); the decoys are the groups."""
        ends = self._ends[(self._ends.time >= start) & (self._ends.time < end)]
        acted = ends.groupby("pattern_id").account.agg(frozenset).sort_index()
        patterns = self._patterns.loc[acted.index]
        users = [its & frozenset(all_) for its, all_ in zip(acted, patterns.accounts, strict=True)]
        found = patterns.assign(users=users, begun=ends.groupby("pattern_id").time.min())
        found = found[found.users.map(len) >= 2]
        rings, decoys = found[found.is_fraud], found[~found.is_fraud]
        groups = {f"decoy_{name}": part.users.tolist() for name, part in decoys.groupby("typology")}
        return RingTruth(
            rings.users.tolist(), rings.typology.tolist(), rings.index.tolist(), rings.begun.tolist(),
            frozenset().union(*rings.users), groups, (),
        )  # fmt: skip


def _micros(times: pd.Series) -> pd.Series:
    return times.dt.as_unit("us").astype("int64")
