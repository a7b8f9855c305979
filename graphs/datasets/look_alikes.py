"""Innocent groups that look like rings: shared devices, many cards on one account, bursts at one merchant.

A finder that flags every dense corner flags these first; each is a labelled group, so that its errors can be
counted by class. These act for a while; those that simply live in the population are in `living_groups`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphs.datasets.behaviours import round_sums, send_amounts, shop
from graphs.datasets.frames import PARTS, CardLinks, Members, Payments, Transfers, concat, frame
from graphs.datasets.population import CATEGORIES
from graphs.datasets.rhythm import HOUR
from graphs.datasets.staging import Plan, Script, Stage, members_of

_LOOK_ALIKE = PARTS.index("look_alike")


@dataclass(frozen=True)
class Circle:
    """One innocent group at its business."""

    stage: Stage
    plan: Plan

    @property
    def rng(self) -> np.random.Generator:
        return self.stage.rng

    def turns(self, low: int, high: int) -> np.ndarray:
        """Each user from `low` to `high` times: (events,) codes."""
        return np.repeat(self.plan.users, self.rng.integers(low, high + 1, len(self.plan.users)))

    def times(self, count: int) -> np.ndarray:
        return self.stage.times(count, start=self.plan.start, stop=self.plan.stop)

    def phones(self, users: np.ndarray) -> np.ndarray:
        """What these users carry when it begins: (rows,) int32."""
        return self.stage.population.phone_at(users, np.full(len(users), self.plan.start))

    def shop(
        self,
        users: np.ndarray,
        times: np.ndarray,
        *,
        cards: np.ndarray | None = None,
        devices: np.ndarray | None = None,
        merchants: np.ndarray | None = None,
    ) -> Payments:
        return shop(
            self.rng,
            self.stage.population,
            users,
            times,
            cards=cards,
            devices=devices,
            merchants=merchants,
            group=self.plan.owner,
            part=_LOOK_ALIKE,
        )

    def send(self, sender: np.ndarray, receiver: np.ndarray, times: np.ndarray) -> Transfers:
        amount = send_amounts(self.rng, len(times)) * self.rng.uniform(1, 2.5, len(times))
        phone = self.stage.population.phone_at(sender, times)
        return frame(
            Transfers,
            time=times,
            sender=sender,
            receiver=receiver,
            device=phone,
            amount=round_sums(self.rng, amount),
            fraud=False,
            group=self.plan.owner,
            part=_LOOK_ALIKE,
        )

    def register(self, users: np.ndarray, cards: np.ndarray) -> CardLinks:
        return frame(CardLinks, time=self.times(len(cards)), user=users, card=cards, device=self.phones(users))

    def members(self, **tools: np.ndarray) -> Members:
        everyone = members_of(self.plan, "member", user=self.plan.users)
        return concat(Members, [everyone, members_of(self.plan, "tool", **tools)] if tools else [everyone])


def gift_card_reseller(circle: Circle) -> Script:
    """One busy account buys gift cards for its customers, on their cards and its own."""
    seller, customers = circle.plan.users[:1], circle.plan.users[1:]
    cards = np.append(circle.stage.population.cards[customers, 0], circle.stage.new_cards(3))
    count = int(circle.rng.integers(25, 60))
    bought = circle.shop(
        seller.repeat(count),
        circle.times(count),
        cards=circle.rng.choice(cards, count),
        merchants=circle.stage.gift_shops(count),
    )
    links = circle.register(seller.repeat(len(cards)), cards)
    return Script(payments=bought, links=links, members=circle.members(card=cards))


def travel_group(circle: Circle) -> Script:
    """Travellers pay in turns, mostly on one phone, for some days at the same few places."""
    count, shops = 4 * len(circle.plan.users), circle.stage.population.merchants
    travel = np.flatnonzero(shops.category == CATEGORIES.index("travel"))
    places = circle.rng.choice(travel if len(travel) else np.arange(len(shops)), 4).astype(np.int32)
    phone = circle.phones(circle.plan.users[:1])
    trips = circle.shop(
        circle.rng.choice(circle.plan.users, count),
        circle.times(count),
        devices=np.where(circle.rng.random(count) < 0.6, phone, -1),
        merchants=circle.rng.choice(places, count),
    )
    return Script(payments=trips, members=circle.members(device=phone))


def flash_sale(circle: Circle) -> Script:
    """Dozens of strangers buy at one quiet merchant within two hours."""
    count = len(circle.plan.users)
    merchant = np.full(count, circle.stage.quiet_shop(), dtype=np.int32)
    times = circle.times(1) + (circle.rng.exponential(0.5, count) * HOUR).astype(np.int64)
    rush = circle.shop(circle.plan.users, times, merchants=merchant)
    return Script(payments=rush, members=circle.members(merchant=merchant))


def call_centre_agent(circle: Circle) -> Script:
    """An agent places orders on one desk computer for many customers, each with the own card."""
    desk = circle.stage.devices(1, start=circle.plan.start, places=circle.stage.new_ips(1))
    users = circle.turns(1, 2)
    orders = circle.shop(users, circle.times(len(users)), devices=desk.repeat(len(users)))
    return Script(payments=orders, members=circle.members(device=desk))


def corporate_card(circle: Circle) -> Script:
    """Colleagues share a company card, each on the own phone."""
    card, users = circle.stage.new_cards(1), circle.turns(2, 5)
    spent = circle.shop(users, circle.times(len(users)), cards=card.repeat(len(users)))
    links = circle.register(circle.plan.users, card.repeat(len(circle.plan.users)))
    return Script(payments=spent, links=links, members=circle.members(card=card))


def marketplace_seller(circle: Circle) -> Script:
    """Strangers send money to one seller, who pays a handful of suppliers: fan-in and fan-out as trade."""
    seller, others = circle.plan.users[:1], circle.plan.users[1:]
    suppliers, buyers = others[:3], np.repeat(others[3:], circle.rng.integers(1, 3, max(len(others) - 3, 0)))
    paid = circle.send(buyers, seller.repeat(len(buyers)), circle.times(len(buyers)))
    count = max(len(buyers) // 3, 1)
    passed = circle.send(seller.repeat(count), circle.rng.choice(suppliers, count), circle.times(count))
    return Script(transfers=concat(Transfers, [paid, passed]), members=circle.members())


@dataclass(frozen=True)
class LookAlike:
    """How a group acts, the range of its members and of its life in days, and how its members know each other:
    `strangers`, `colleagues` or `neighbours`, each a method of `Stage`."""

    act: Callable[[Circle], Script]
    members: tuple[int, int]
    life_days: tuple[float, float]
    are: str = "strangers"

    def cast(self, stage: Stage, *, time: int) -> np.ndarray:
        """Users of one such group: (members or fewer,) int32."""
        found: np.ndarray = getattr(stage, self.are)(int(stage.rng.integers(*self.members, endpoint=True)), time=time)
        return found

    def play(self, stage: Stage, plan: Plan) -> Script:
        return self.act(Circle(stage, plan))


LOOK_ALIKES = {
    "gift_card_reseller": LookAlike(gift_card_reseller, (8, 20), (20, 60)),
    "travel_group": LookAlike(travel_group, (4, 12), (4, 10), are="neighbours"),
    "flash_sale": LookAlike(flash_sale, (25, 60), (1, 2)),
    "call_centre_agent": LookAlike(call_centre_agent, (15, 40), (20, 60)),
    "corporate_card": LookAlike(corporate_card, (4, 12), (30, 80), are="colleagues"),
    "marketplace_seller": LookAlike(marketplace_seller, (12, 40), (20, 90)),
}
