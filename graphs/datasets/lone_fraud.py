"""Ordinary fraud without a ring: one stolen card, one thief, a few payments, never seen again."""

from __future__ import annotations

import numpy as np

from graphs.datasets.behaviours import shop
from graphs.datasets.frames import PARTS
from graphs.datasets.rhythm import HOUR
from graphs.datasets.staging import Script, Stage

_PAYMENTS_PER_CASE = 2.2
_ON_A_KIOSK = 0.03


def stolen_cards(stage: Stage, *, about: int, start: int, stop: int) -> Script:
    """About `about` fraudulent payments of thieves who act alone.

    Half of the thieves use the victim's own account from a strange device; half pay from an account of their
    own.
    """
    rng = stage.rng
    cases = max(1, round(about / _PAYMENTS_PER_CASE))
    # Not everybody has an account at every time: draw more pairs than needed, keep the first that both have one.
    victims, thieves = rng.choice(stage.honest, (2, 4 * cases))
    times = rng.permutation(stage.times(4 * cases, start=start, stop=stop))
    both = np.flatnonzero(stage.population.active(victims, times) & stage.population.active(thieves, times))[:cases]
    victims, thieves, times, cases = victims[both], thieves[both], times[both], len(both)
    own_account = rng.random(cases) < 0.5
    bought = stage.devices(cases, start=start)
    device = np.where(rng.random(cases) < 0.6, bought, stage.population.phone_at(thieves, times))
    kiosk = stage.population.kiosk[thieves]
    device = np.where((kiosk >= 0) & (rng.random(cases) < _ON_A_KIOSK), kiosk, device)
    row = np.repeat(np.arange(cases), np.minimum(rng.geometric(1 / _PAYMENTS_PER_CASE, cases), 8))
    payments = shop(
        rng,
        stage.population,
        np.where(own_account, thieves, victims)[row],
        times[row] + (rng.exponential(4, len(row)) * HOUR).astype(np.int64),
        cards=stage.population.cards[victims, 0][row],
        devices=device[row],
        addresses=np.where(rng.random(cases) < 0.6, stage.population.home[thieves], -1)[row],
        factor=1.3,
        fraud=True,
        part=PARTS.index("stolen_card"),
    )
    return Script(payments=payments, links=stage.register(payments, share=0.4))
