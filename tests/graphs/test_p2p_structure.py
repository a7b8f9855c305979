"""Structural facts of the real P2P graph, published with the data set and exact: no model, only the graph."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from graphs.config import compose
from graphs.events import MISSING, EventLog
from graphs.ingest import ingest
from graphs.schema import DataSchema

FOLDER = Path(os.environ.get("RINGTRACE_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


@pytest.fixture(scope="module")
def log() -> EventLog:
    if not (FOLDER / "p2p").is_dir():
        pytest.skip(f"no p2p under {FOLDER}; set RINGTRACE_DATA to the folder of the data sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINGTRACE_DATA", str(FOLDER))
        return ingest(DataSchema.from_config(compose("ingest", ["data=p2p"])["data"])).log


def links(log: EventLog, role: str) -> np.ndarray:
    """Distinct (identifier, user) pairs, sorted: (pairs, 2)."""
    names = [each.name for each in log.roles]
    pairs = log.entities[:, [names.index(role), names.index("holder")]]
    return np.unique(pairs[(pairs != MISSING).all(1)], axis=0)


@pytest.mark.parametrize(("role", "none", "some", "everyone"), [("card", 8185, 274, 31), ("device", 2655, 88, 2)])
def test_shared_identifiers_by_share_of_flagged_users(
    log: EventLog, role: str, none: int, some: int, everyone: int
) -> None:
    pairs = links(log, role)
    flagged = (log.entity_labels["user"].label == 1)[pairs[:, 1]]
    users, fraud = np.bincount(pairs[:, 0]), np.bincount(pairs[:, 0], flagged)
    share = (fraud / np.maximum(users, 1))[users > 1]
    assert ((share == 0).sum(), ((share > 0) & (share < 1)).sum(), (share == 1).sum()) == (none, some, everyone)


def test_directed_pairs_with_a_transfer_and_a_shared_card(log: EventLog) -> None:
    cards_of: dict[int, set[int]] = {}
    for card, user in links(log, "card").tolist():
        cards_of.setdefault(user, set()).add(card)
    names = [each.name for each in log.roles]
    transfers = log.entities[:, [names.index("sender"), names.index("receiver")]]
    pairs = np.unique(transfers[(transfers != MISSING).all(1)], axis=0).tolist()
    nothing: set[int] = set()
    assert sum(bool(cards_of.get(a, nothing) & cards_of.get(b, nothing)) for a, b in pairs) == 6240
