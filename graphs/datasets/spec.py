"""What a generated world is to be: the settings of one file in configs/world/, checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from graphs.datasets.archetypes import ARCHETYPES
from graphs.datasets.rhythm import DAY
from graphs.datasets.staging import EVASION
from graphs.errors import ConfigError

_YEARS = (1905, 2199)
"""What lies between has room, within what can be ingested, for those who were there before and for the last labels."""


@dataclass(frozen=True)
class WorldSpec:
    """What world to make.

    `start` is a date (UTC midnight), `days` the length, `payments` about how many there will be. `rings` are
    spread over the whole period and over `archetypes` (name: weight); an archetype in `late` (name: share of the
    period) does not exist before. `look_alikes` are scripted honest groups. `evasion` is the dial 0 (careless) to 4
    (careful), `evasion_of` (name: dial) that of single archetypes. `lone_fraud_share` of all payments are fraud
    without a ring; `unreported_share` of card holders never complain. Labels are in the books up to
    `books_close_days` after the last day: 60 gives every label, 0 what a bank knows on that day.

    Raises ConfigError with every fault at once.
    """

    seed: int
    start: str
    days: int
    payments: int
    users: int
    merchants: int
    rings: int
    archetypes: Mapping[str, float]
    late: Mapping[str, float]
    look_alikes: int
    evasion: int
    evasion_of: Mapping[str, int]
    lone_fraud_share: float
    unreported_share: float
    books_close_days: int

    def __post_init__(self) -> None:
        faults = [message for wrong, message in self._checks() if wrong]
        if faults:
            raise ConfigError("; ".join(faults))

    def _checks(self) -> list[tuple[bool, str]]:
        named = {"archetypes": self.archetypes, "late": self.late, "evasion_of": self.evasion_of}
        unknown = {key: sorted(set(names) - set(ARCHETYPES)) for key, names in named.items()}
        most = sum(archetype.members[1] for archetype in ARCHETYPES.values()) / len(ARCHETYPES)
        dials = range(len(EVASION))
        return [
            (self.seed < 0, f"world.seed: not below 0, got {self.seed}"),
            (
                not _is_date(self.start),
                f"world.start: expected a date such as 2025-01-06, got {self.start!r}",
            ),
            (
                _is_date(self.start)
                and not (_year(_YEARS[0]) <= self.start_time and self.stop_time <= _year(_YEARS[1])),
                f"world.start, world.days: a period from {_YEARS[0]} until {_YEARS[1]}, got {self.days} days from "
                f"{self.start}",
            ),
            (self.days < 30, f"world.days: at least 30, got {self.days}"),
            (self.users < 200, f"world.users: at least 200, got {self.users}"),
            (self.merchants < 60, f"world.merchants: at least 60, got {self.merchants}"),
            (
                self.payments < self.users,
                f"world.payments: at least one per user ({self.users}), got {self.payments}",
            ),
            (self.rings < 0 or self.look_alikes < 0, "world.rings, world.look_alikes: not below 0"),
            (
                self.rings * most > self.users / 3,
                f"world.rings: {self.rings} need more than a third of the users",
            ),
            *(
                (bool(names), f"world.{key}: unknown {names}, known are {sorted(ARCHETYPES)}")
                for key, names in unknown.items()
            ),
            (
                not self.archetypes or min(self.archetypes.values()) < 0 or sum(self.archetypes.values()) <= 0,
                "world.archetypes: weights must not be below 0 and at least one above",
            ),
            (not all(0 <= share <= 0.9 for share in self.late.values()), "world.late: shares of the period, 0 to 0.9"),
            (self.evasion not in dials, f"world.evasion: 0 to {len(EVASION) - 1}, got {self.evasion}"),
            (
                not set(self.evasion_of.values()) <= set(dials),
                f"world.evasion_of: 0 to {len(EVASION) - 1}, got {dict(self.evasion_of)}",
            ),
            (not 0 <= self.lone_fraud_share <= 0.2, "world.lone_fraud_share: 0 to 0.2"),
            (not 0 <= self.unreported_share < 1, "world.unreported_share: 0 to below 1"),
            (self.books_close_days < 0, "world.books_close_days: not below 0"),
        ]

    @property
    def start_time(self) -> int:
        """µs UTC."""
        return int(datetime.fromisoformat(self.start).replace(tzinfo=UTC).timestamp()) * 1_000_000

    @property
    def stop_time(self) -> int:
        """µs UTC, the first instant after the world."""
        return self.start_time + self.days * DAY


def _year(year: int) -> int:
    """Its first instant, µs UTC."""
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return False
