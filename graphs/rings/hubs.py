"""The hub register: identifiers so widely shared that sharing them says nothing.

A kiosk, an office network or a popular shop glues strangers into one giant component. Over the cap of its type an
identifier is shown and counted as a feature, and is never a link. Types without a weight (merchants) never link at
all, except through bursts (`bursts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graphs.rings.ties import Parties


@dataclass(frozen=True)
class Hubs:
    """`degree` (identifiers,): accounts that used it; `cap` (identifiers,): the most it may have and still link;
    `hub` (identifiers,) bool."""

    degree: np.ndarray
    cap: np.ndarray

    @cached_property
    def hub(self) -> np.ndarray:
        return self.degree > self.cap


def register(
    parties: Parties, degree: np.ndarray, cap: int, caps: Mapping[str, int], silent: np.ndarray | None = None
) -> Hubs:
    """Judge every identifier by the cap of its type (`caps`), or by `cap` where the type has none.

    `silent` (n,) identifiers that investigators know to be innocently shared: their cap is 0.
    """
    counts = np.diff(parties.offsets)
    limits = [min(cap, caps[kind]) if kind in caps else cap for kind in parties.identifiers]
    most = np.repeat(np.array(limits, np.int64), counts)
    if silent is not None:
        most[silent] = 0
    return Hubs(degree, most)
