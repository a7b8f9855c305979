"""Ordinary fraud without a ring: one stolen card, one thief, a few payments, never seen again."""

from __future__ import annotations

import numpy as np

from graphs.datasets.behaviours import shop
from graphs.datasets.frames import PARTS
from graphs.datasets.rhythm import HOUR
from graphs.datasets.staging import Script, Stage

_PAYMENTS_PER_CASE = 2.2


def stolen_cards(stage: Stage, *, about: int, start: int, stop: int) -> Script:
    """About `about` fraudulent payments of thieves who act alone.

    Half of the thieves use the victim's own account from a strange device; half pay from an account of their
    own.
    """
    rng = stage.rng
    cases = max(1, round(about / _PAYMENTS_PER_CASE))
    victims, thieves = rng.choice(stage.honest, (2, cases))
    times = stage.times(cases, start=start, stop=stop)
    known = stage.population.active(victims, times) & stage.population.active(thieves, times)
    victims, thieves, times = victims[known], thieves[known], times[known]
    cases = len(victims)
    own_account = rng.random(cases) < 0.5
    new_device = stage.devices(cases, start=start)
    device = np.where(rng.random(cases) < 0.6, new_device, stage.population.phone_at(thieves, times))
    row = np.repeat(np.arange(cases), np.minimum(rng.geometric(1 / _PAYMENTS_PER_CASE, cases), 8))
    payments = shop(
        rng,
        stage.population,
        np.where(own_account, thieves, victims)[row],
        times[row] + (rng.exponential(4, len(row)) * HOUR).astype(np.int64),
        cards=stage.population.cards[victims, 0][row],
        devices=stage.hide(device[row], ring_devices=new_device),
        factor=1.3,
        fraud=True,
        part=PARTS.index("stolen_card"),
    )
    return Script(payments=payments, links=stage.register(payments, share=0.4))
