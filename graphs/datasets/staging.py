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
    """How hard a ring hides.

    camouflage: everyday payments of its accounts, as a multiple of the average person's; rotation: how many times as
    many devices and cards it goes through; public: share of its events on a kiosk or workplace device of strangers;
    friends: share of its events on the phone of an honest friend; nat: share of its devices that log in through a
    carrier's address instead of one place; popular: share of its purchases where anybody shops instead of where goods
    turn into money; aged_days: mean age of accounts before the ring uses them; rooted: share of its accounts that come
    with a real holder's family, colleagues and kiosk; stretch: life span and pauses; cell: most members that share
    tools directly (splits a ring below size gates); bridge: share of events on a tool of another ring.
    """

    camouflage: float
    rotation: float
    public: float
    friends: float
    nat: float
    popular: float
    aged_days: float
    rooted: float
    stretch: float
    cell: int
    bridge: float


_SECOND_HAND = 0.7
"""Chance that a phone of a scheme is one that somebody gave up before."""

EVASION = tuple(
    Evasion(*row)
    for row in (
        # camouflage, rotation, public, friends, nat, popular, aged, rooted, stretch, cell, bridge
        (0.08, 1.0, 0.01, 0.006, 0.1, 0.35, 6, 0.4, 1.0, 99, 0.0),
        (0.3, 1.0, 0.02, 0.01, 0.2, 0.5, 15, 0.6, 1.0, 99, 0.0),
        (0.8, 1.4, 0.04, 0.012, 0.4, 0.55, 30, 0.7, 1.2, 8, 0.002),
        (1.0, 1.8, 0.08, 0.015, 0.6, 0.65, 90, 0.8, 1.6, 6, 0.01),
        (1.2, 2.4, 0.14, 0.02, 0.8, 0.75, 180, 0.9, 2.0, 5, 0.02),
    )
)
"""By the dial, 0 (careless) to 4 (careful)."""


@dataclass(frozen=True)
class Plan:
    """One ring or innocent group to be: `users` (members,) codes, a ring's first is the organiser; [start, stop) µs
    UTC; `dial` of a ring's evasion."""

    owner: int
    kind: str
    users: np.ndarray
    start: int
    stop: int
    dial: int = 0


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
    honest: np.ndarray
    device_count: int
    card_count: int
    address_count: int
    ip_count: int
    lent_devices: list[np.ndarray] = field(default_factory=list)
    sites: list[np.ndarray] = field(default_factory=list)
    used_shops: set[int] = field(default_factory=set)
    robbed: set[int] = field(default_factory=set)

    def devices(self, count: int, *, start: int, places: np.ndarray | int = -1) -> np.ndarray:
        """Devices for a scheme: mostly new, some second-hand phones that honest people gave up before `start`.

        `places` (count,) are the addresses that new ones log in from, MISSING where they have none of their own.
        """
        fresh = np.arange(self.device_count, self.device_count + count, dtype=np.int32)
        self.device_count += count
        self.sites.append(np.broadcast_to(places, count).astype(np.int32))
        seller = self.rng.choice(self.honest, count)
        sold = (self.population.phone_change[seller] < start) & (self.rng.random(count) < _SECOND_HAND)
        return np.where(sold, self.population.phone[seller], fresh).astype(np.int32)

    def new_cards(self, count: int) -> np.ndarray:
        """Cards of nobody in the world: bought numbers, prepaid cards."""
        self.card_count += count
        return np.arange(self.card_count - count, self.card_count, dtype=np.int32)

    def new_addresses(self, count: int) -> np.ndarray:
        """Postal addresses where nobody in the world lives: empty flats, forwarders."""
        self.address_count += count
        return np.arange(self.address_count - count, self.address_count, dtype=np.int32)

    def new_ips(self, count: int) -> np.ndarray:
        self.ip_count += count
        return np.arange(self.ip_count - count, self.ip_count, dtype=np.int32)

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
        """Pauses between events of one sitting: (count,) int64 µs, `minutes` on average."""
        return (self.rng.exponential(minutes, count) * MINUTE).astype(np.int64) + MINUTE // 12

    def public_devices(self, count: int) -> np.ndarray:
        """Kiosk and workplace devices of a few strangers: (count,) int32; MISSING where the strangers have none."""
        kiosks = self.population.kiosk[self.rng.choice(self.honest, 12)]
        offices = self.population.work_device[self.rng.choice(self.honest, 3)]
        some = np.concatenate([kiosks[kiosks >= 0][:3], offices[offices >= 0][:2]])
        return self.rng.choice(some, count) if len(some) else np.full(count, -1, dtype=np.int32)

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

    def strangers(self, count: int, *, time: int) -> np.ndarray:
        """Honest users who have an account at `time` and nothing to do with each other: (count or fewer,) int32."""
        return self._some(np.unique(self.rng.choice(self.honest, 2 * count)), count, time=time)

    def neighbours(self, count: int, *, time: int) -> np.ndarray:
        """Honest users who know each other: (count or fewer,) int32."""
        near = (int(self.rng.choice(self.honest)) + np.arange(6 * count)) % len(self.population)
        return self._some(near[self.is_honest[near]], count, time=time)

    def colleagues(self, count: int, *, time: int) -> np.ndarray:
        """Honest users of a random workplace: (count or fewer,) int32."""
        codes = self.population.workplace[self._at_work]
        workplace = codes[self.rng.integers(len(codes))]
        low, high = np.searchsorted(codes, [workplace, workplace + 1])
        return self._some(self._at_work[low:high], count, time=time)

    def _some(self, users: np.ndarray, count: int, *, time: int) -> np.ndarray:
        users = self.rng.permutation(users)
        return users[self.population.active(users, np.array(time))][:count].astype(np.int32)

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
    """Entities of a ring or group in one role for its whole life, by type: `user=`, `device=`, `card=`, `merchant=` …

    Each distinct code once, MISSING left out.
    """
    distinct = {name: np.unique(given[given >= 0]) for name, given in codes.items()}
    kinds = [ENTITY_TYPES.index(name) for name in distinct]
    return frame(
        Members,
        owner=plan.owner,
        entity_type=np.repeat(kinds, [len(each) for each in distinct.values()]),
        code=np.concatenate(list(distinct.values())),
        role=ROLES.index(role),
        time=plan.start,
        until=plan.stop,
    )


def joined(scripts: Sequence[Script]) -> Script:
    """Scripts of many schemes as one."""
    return Script(
        payments=concat(Payments, [script.payments for script in scripts]),
        transfers=concat(Transfers, [script.transfers for script in scripts]),
        logins=concat(Logins, [script.logins for script in scripts]),
        links=concat(CardLinks, [script.links for script in scripts]),
        members=concat(Members, [script.members for script in scripts]),
    )
