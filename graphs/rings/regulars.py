"""Bad regulars: accounts whose suspicious payments go to one shop again and again.

Accounts of a merchant who rings up sales that never were may share nothing but the till, and a merchant links nobody
by itself: everybody shops somewhere. A fraudster's detour through a popular shop is one visit; coming back with bad
payments is not.
"""

from __future__ import annotations

import numpy as np

from graphs.rings.ground import Ground
from graphs.rings.projection import Pairs, shared_pairs
from graphs.rings.ties import Uses, degrees, tie

_BAD = 0.3
"""From this suspicion on a payment is a bad one."""

_OFTEN = 2
"""So many bad payments at one shop make a regular."""


def regular_pairs(ground: Ground, linking: np.ndarray, *, weight: float, gap_days: float) -> Pairs:
    """Link the bad regulars of what doesn't link by itself: weight / log2(1 + regulars), as `shared_pairs` spreads it.

    `linking` (identifiers,) bool. Where more than the hub cap are regulars nobody is linked, and without scores or
    known fraud there are none.
    """
    uses, score = ground.uses, ground.suspicion.grouping
    bad = (score[uses.event] >= _BAD) & ~linking[uses.identifier] & ground.suspicion.scored
    ties = tie(ground.window, Uses(uses.event[bad], uses.actor[bad], uses.identifier[bad]), score)
    ties = ties.where(ties.events >= _OFTEN)
    regulars = degrees(ties, len(linking))
    counts = (regulars > 1) & (regulars <= ground.hubs.cap)
    weights = np.where(counts, weight / np.log2(1 + np.maximum(regulars, 1)), 0.0)
    return shared_pairs(ties, weights, ground.suspicion, gap_days=gap_days)
