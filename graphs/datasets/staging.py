"""What every scheme needs to play: its accounts, life span, tools, and how hard it hides.

A `Plan` is fixed before the population exists (ring accounts join as its plan says), a `Stage` is the world
in which plans are played out, a `Script` is what one plan did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from graphs.datasets.frames import (
    ENTITY_TYPES,
    ROLES,
    CardLinks,
    Logins,
    Members,
    Payments,
    Transfers,
    concat,
    empty,
    frame,
)
from graphs.datasets.population import CATEGORIES, ONLINE_REGION, Population
from graphs.datasets.rhythm import MINUTE, Rhythm


@dataclass(frozen=True)
class Evasion:
    """How hard rings hide.

    camouflage: everyday payments of ring accounts, as a multiple of the average person's; rotation: how many
    times as many devices and cards a ring goes through; public: share of ring events on a kiosk or workplace
    device of strangers; aged_days: mean age of accounts before the ring uses them; stretch: life span and
    pauses; cell: most members that share tools directly (splits a ring below size gates); bridge: share of
    events on a tool of another ring.
    """

    camouflage: float
    rotation: float
    public: float
    aged_days: float
    stretch: float
    cell: int
    bridge: float


EVASION = (
    Evasion(camouflage=0.08, rotation=1.0, public=0.005, aged_days=6, stretch=1.0, cell=99, bridge=0.0),
    Evasion(camouflage=0.3, rotation=1.0, public=0.015, aged_days=15, stretch=1.0, cell=99, bridge=0.0),
    Evasion(camouflage=0.8, rotation=1.6, public=0.06, aged_days=30, stretch=1.2, cell=8, bridge=0.0),
    Evasion(camouflage=1.0, rotation=2.2, public=0.12, aged_days=90, stretch=1.6, cell=5, bridge=0.01),
    Evasion(camouflage=1.2, rotation=3.0, public=0.2, aged_days=180, stretch=2.0, cell=4, bridge=0.03),
)
"""By the dial of the world, 0 (careless) to 4 (careful)."""


@dataclass(frozen=True)
class Plan:
    """One ring to be: `users` (members,) codes, the first is the organiser; [start, stop) µs UTC."""

    ring: int
    archetype: str
    users: np.ndarray
    start: int
    stop: int


@dataclass(frozen=True)
class Script:
    """What a plan did."""

    payments: Payments = field(default_factory=lambda: empty(Payments))
    transfers: Transfers = field(default_factory=lambda: empty(Transfers))
    logins: Logins = field(default_factory=lambda: empty(Logins))
    links: CardLinks = field(default_factory=lambda: empty(CardLinks))
    members: Members = field(default_factory=lambda: empty(Members))


@dataclass
class Stage:
    """The world while schemes are played out; the only changing state is what has been handed out."""

    rng: np.random.Generator
    population: Population
    rhythms: tuple[Rhythm, ...]
    evasion: Evasion
    honest: np.ndarray
    device_count: int
    card_count: int
    lent_devices: list[np.ndarray] = field(default_factory=list)
    used_shops: set[int] = field(default_factory=set)
    robbed: set[int] = field(default_factory=set)

    def devices(self, count: int, *, start: int) -> np.ndarray:
        """Devices for a scheme: mostly new, some second-hand phones that honest people gave up before
        `start`."""
        fresh = np.arange(self.device_count, self.device_count + count, dtype=np.int32)
        self.device_count += count
        seller = self.rng.choice(self.honest, count)
        sold = (self.population.phone_change[seller] < start) & (self.rng.random(count) < 0.9)
        devices = np.where(sold, self.population.phone[seller], fresh).astype(np.int32)
        self.lent_devices.append(devices)
        return devices

    def new_cards(self, count: int) -> np.ndarray:
        """Cards of nobody in the world: bought numbers, prepaid cards."""
        self.card_count += count
        return np.arange(self.card_count - count, self.card_count, dtype=np.int32)

    def victims(self, count: int, *, time: int) -> np.ndarray:
        """Honest users who have an account at `time` and whom no ring has robbed: (count or fewer,) codes."""
        candidates = np.unique(self.rng.choice(self.honest, 4 * count + 8))
        active = candidates[self.population.active(candidates, np.array(time))]
        # One victim of two rings would tie them together for every finder; rare enough to leave out.
        fresh = [user for user in self.rng.permutation(active).tolist() if user not in self.robbed][:count]
        self.robbed.update(fresh)
        return np.array(fresh, dtype=np.int32)

    def times(self, count: int, *, start: int, stop: int) -> np.ndarray:
        """Instants in [start, stop) in somebody's daily rhythm, sorted: (count,) int64 µs."""
        rhythm = self.rhythms[self.rng.integers(len(self.rhythms))]
        return np.sort(rhythm.draw(self.rng, count, start=start, stop=stop))

    def pauses(self, count: int, *, minutes: float) -> np.ndarray:
        """Pauses between events of one sitting, the longer the more careful: (count,) int64 µs."""
        return (self.rng.exponential(minutes * self.evasion.stretch, count) * MINUTE).astype(np.int64) + MINUTE // 12

    def hide(self, devices: np.ndarray, *, ring_devices: np.ndarray) -> np.ndarray:
        """Some events move to public devices of strangers and, for careful rings, to another ring's
        devices."""
        kiosks = self.population.kiosk[self.rng.choice(self.honest, 3)]
        offices = self.population.work_device[self.rng.choice(self.honest, 2)]
        public = np.append(kiosks, offices)
        public = public[public >= 0]
        if len(public):
            out = self.rng.random(len(devices)) < self.evasion.public
            devices = np.where(out, self.rng.choice(public, len(devices)), devices)
        others = [lent for lent in self.lent_devices[-4:] if lent is not ring_devices and len(lent)]
        if others and self.evasion.bridge > 0:
            bridge = self.rng.random(len(devices)) < self.evasion.bridge
            devices = np.where(bridge, self.rng.choice(others[0], len(devices)), devices)
        return devices.astype(np.int32)

    def register(self, payments: Payments, *, share: float) -> CardLinks:
        """A share of (user, card) pairs is registered on the device of their first use, shortly before it."""
        pairs = np.unique(np.stack([payments.user, payments.card]), axis=1, return_index=True)[1]
        chosen = pairs[self.rng.random(len(pairs)) < share]
        return frame(
            CardLinks,
            time=payments.time[chosen] - self.pauses(len(chosen), minutes=30),
            user=payments.user[chosen],
            card=payments.card[chosen],
            device=payments.device[chosen],
        )

    def cells(self, members: int) -> np.ndarray:
        """Members into cells that share tools directly: (members,) int64 cell numbers, at least 2 to a
        cell."""
        count = max(1, round(members / self.evasion.cell))
        return np.arange(members) * count // members

    def gift_shops(self, count: int) -> np.ndarray:
        """Merchants whose goods turn into money again: gift cards, electronics, digital goods."""
        return self.rng.choice(self._gift_shops, count).astype(np.int32)

    def quiet_shop(self) -> int:
        """A merchant of below-median popularity in some region, as far as possible not used before."""
        for _ in range(20):
            chosen = int(self.rng.choice(self._quiet_shops))
            if chosen not in self.used_shops:
                break
        self.used_shops.add(chosen)
        return chosen

    def colleagues(self) -> np.ndarray:
        """The honest users of a random workplace."""
        codes = self.population.workplace
        workplace = codes[self._at_work[self.rng.integers(len(self._at_work))]]
        low, high = np.searchsorted(codes[self._at_work], [workplace, workplace + 1])
        return self._at_work[low:high]

    @cached_property
    def is_honest(self) -> np.ndarray:
        """(users,) bool."""
        mask = np.zeros(len(self.population), dtype=np.bool_)
        mask[self.honest] = True
        return mask

    @cached_property
    def _at_work(self) -> np.ndarray:
        employed = self.honest[self.population.workplace[self.honest] >= 0]
        return employed[np.argsort(self.population.workplace[employed], kind="stable")]

    @cached_property
    def _gift_shops(self) -> np.ndarray:
        shop = self.population.merchants
        sells = np.isin(shop.category, [CATEGORIES.index(c) for c in ("gift_card", "electronics", "digital")])
        wanted = np.flatnonzero(sells & (shop.region == ONLINE_REGION))
        return wanted if len(wanted) else np.arange(len(shop))

    @cached_property
    def _quiet_shops(self) -> np.ndarray:
        shop = self.population.merchants
        popularity = np.diff(shop.reach)
        return np.flatnonzero((popularity <= np.median(popularity)) & (shop.region != ONLINE_REGION))


def members_of(plan: Plan, role: str, **codes: np.ndarray) -> Members:
    """Entities of a ring or group in one role for its whole life, by type: `user=`, `device=`, `card=`, `merchant=`.

    Each distinct code once, MISSING left out.
    """
    distinct = {name: np.unique(given[given >= 0]) for name, given in codes.items()}
    kinds = [ENTITY_TYPES.index(name) for name in distinct]
    return frame(
        Members,
        owner=plan.ring,
        entity_type=np.repeat(kinds, [len(each) for each in distinct.values()]),
        code=np.concatenate(list(distinct.values())),
        role=ROLES.index(role),
        time=plan.start,
        until=plan.stop,
    )


def crew(plan: Plan, *others: Members) -> Members:
    """The organiser and the mules of a plan, and the others below them."""
    organiser = members_of(plan, "organiser", user=plan.users[:1])
    return concat(Members, [organiser, members_of(plan, "mule", user=plan.users[1:]), *others])


def joined(scripts: Sequence[Script]) -> Script:
    """Scripts of many schemes as one."""
    return Script(
        payments=concat(Payments, [script.payments for script in scripts]),
        transfers=concat(Transfers, [script.transfers for script in scripts]),
        logins=concat(Logins, [script.logins for script in scripts]),
        links=concat(CardLinks, [script.links for script in scripts]),
        members=concat(Members, [script.members for script in scripts]),
    )


def life_days(low: float, high: float, rng: np.random.Generator, *, evasion: Evasion, days: int) -> float:
    """A life span in days: stretched by evasion, at most half the world."""
    return float(min(rng.uniform(low, high) * evasion.stretch, days / 2))
