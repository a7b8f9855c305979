"""Daily and weekly rhythm: when in a week people of one kind pay, as a cumulative intensity over the world.

Everyone's times, honest or not, are drawn by inverting one of these curves, so the hour of a payment tells as
little about fraud as it can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HOUR = 3_600_000_000
DAY = 24 * HOUR
MINUTE = 60_000_000

_HOURS = np.arange(24)


def _bump(centre: float, width: float) -> np.ndarray:
    distance = np.abs(_HOURS - centre)
    return np.exp(-0.5 * (np.minimum(distance, 24 - distance) / width) ** 2)


_PROFILES = (
    # (hour of day (24,), day of week from Monday (7,)): people at home in the day, at work, and up late.
    (0.05 + _bump(11, 2.5) + 0.9 * _bump(17, 2.5), np.array([1.0, 1.0, 1.0, 1.05, 1.2, 1.3, 0.9])),
    (
        0.04 + 0.9 * _bump(8, 1.2) + _bump(12.5, 1.3) + 1.2 * _bump(18, 2),
        np.array([1, 1, 1, 1, 1.15, 0.8, 0.6]),
    ),
    (0.08 + 0.6 * _bump(14, 3) + 1.3 * _bump(21, 2.5), np.array([0.9, 0.9, 0.95, 1.0, 1.3, 1.4, 1.1])),
)
PERSONAS = len(_PROFILES)


@dataclass(frozen=True)
class Rhythm:
    """Cumulative intensity: `mass` (hours+1,) rises from 0 to 1 over `edges` (hours+1,) int64 µs UTC."""

    edges: np.ndarray
    mass: np.ndarray

    def mass_at(self, times: np.ndarray) -> np.ndarray:
        """Share of a lifetime's activity before each time, times outside the world being clipped."""
        return np.interp(times, self.edges, self.mass)

    def time_at(self, mass: np.ndarray) -> np.ndarray:
        """The inverse: (rows,) int64 µs UTC."""
        return np.interp(mass, self.mass, self.edges - self.edges[0]).astype(np.int64) + self.edges[0]

    def draw(self, rng: np.random.Generator, count: int, *, start: int, stop: int) -> np.ndarray:
        """`count` times in [start, stop), denser where people are more active: (count,) int64 µs UTC."""
        low, high = self.mass_at(np.array([start, stop - 1]))
        return self.time_at(rng.uniform(low, high, count))


def rhythms(start: int, days: int) -> tuple[Rhythm, ...]:
    """One rhythm per persona from `start` (µs UTC, a midnight) over `days` days."""
    first_weekday = (start // DAY + 3) % 7  # 1970-01-01 was a Thursday
    edges = start + np.arange(days * 24 + 1, dtype=np.int64) * HOUR
    weekday = (first_weekday + np.arange(days)) % 7
    curves = []
    for hourly, daily in _PROFILES:
        intensity = np.outer(np.asarray(daily, dtype=float)[weekday], hourly / hourly.sum()).ravel()
        mass = np.concatenate([[0.0], np.cumsum(intensity)])
        curves.append(Rhythm(edges, mass / mass[-1]))
    return tuple(curves)
