"""`Ground`: what every finder stands on: the window, who used what, who sent to whom, hubs and suspicion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from graphs.events import EventLog
from graphs.rings.hints import Hints
from graphs.rings.hubs import Hubs, register
from graphs.rings.suspicion import ScoreTable, Suspicion, suspect
from graphs.rings.ties import Flows, Parties, Ties, Uses, acting, degrees, flows_of, tie, uses_of
from graphs.rings.window import Window, look_back


@dataclass(frozen=True)
class Ground:
    """`actors` (n,): who acted in each event of the window; the rest is told where it is defined."""

    window: Window
    parties: Parties
    actors: np.ndarray
    uses: Uses
    ties: Ties
    flows: Flows
    hubs: Hubs
    suspicion: Suspicion
    hints: Hints

    @property
    def actor_count(self) -> int:
        return len(self.window.log.entity_ids[self.parties.actor])

    @classmethod
    def lay(
        cls,
        log: EventLog,
        scores: ScoreTable,
        *,
        as_of: int,
        actor: str | None,
        window_days: float,
        half_life_days: float,
        hub_cap: int,
        hub_caps: Mapping[str, int],
        hints: pa.Table | None = None,
    ) -> Ground:
        """Everything known of `log` at `as_of` (µs UTC) that happened in the window before it; `hints` as
        `read_hints` gives them."""
        window = look_back(log, as_of, days=window_days, half_life_days=half_life_days)
        parties = Parties.of(window.log, actor)
        actors = acting(window, parties)
        uses = uses_of(window, parties, actors)
        suspicion = suspect(window, actors, scores, parties.actor)
        ties = tie(window, uses, suspicion.grouping)
        told = Hints.of(hints, window.log, parties)
        hubs = register(parties, degrees(ties, int(parties.offsets[-1])), hub_cap, hub_caps, told.silent)
        return cls(window, parties, actors, uses, ties, flows_of(window, parties), hubs, suspicion, told)
