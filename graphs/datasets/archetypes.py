"""How rings work: one short function per archetype plays a plan out as payments, transfers, logins and card links.

Each leaves the traces that its real counterpart leaves: shared devices, cards tested here and used there,
money that hurries through a chain. None has a column of its own; only how its events hang together gives it
away. What they have in common, hiding above all, is in `gang`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphs.datasets.behaviours import shop
from graphs.datasets.frames import (
    PARTS,
    PURCHASE,
    VERIFICATION,
    CardLinks,
    Logins,
    Payments,
    Transfers,
    concat,
    frame,
    take,
)
from graphs.datasets.gang import Gang
from graphs.datasets.rhythm import DAY
from graphs.datasets.staging import Plan, Script, Stage


def device_farm(gang: Gang) -> Script:
    """Many accounts on few devices buy with a pool of bought and stolen cards that neighbours share."""
    pool, victims = gang.bought_cards(gang.size + 1, stolen=0.2)
    who, times = gang.sittings(per_member=2, width=3)
    cards = gang.draw_card(pool, who + gang.rng.integers(0, 2, len(who)))
    return gang.script(payments=gang.buy(who, times, cards=cards, part="cash_out"), victims=victims)


def card_testing_pool(gang: Gang) -> Script:
    """Stolen cards are tried with tiny payments by one account; the live ones are emptied by another."""
    rng = gang.rng
    victims = gang.victims(2 * gang.size, 4 * gang.size)
    cards = np.append(gang.stage.population.cards[victims, 0], gang.stage.new_cards(3 * gang.size))
    tester, times = gang.rota(len(cards)), gang.times(len(cards))
    tests = gang.buy(tester, times, cards=cards, factor=0.25, part="card_test")
    checks = rng.random(len(cards)) < 0.25
    tests.kind[checks], tests.amount[checks], tests.address[checks] = VERIFICATION, 0.0, -1
    # Whoever empties a card sits in the same cell as its tester: the card links the two accounts.
    live = np.flatnonzero(rng.random(len(cards)) < 0.45)
    live = np.repeat(live, rng.integers(1, 4, len(live)))
    later = times[live] + gang.pauses(len(live), minutes=600)
    emptied = gang.buy(gang.mates(tester[live]), later, cards=cards[live], part="cash_out")
    return gang.script(payments=concat(Payments, [tests, emptied]), victims=victims)


def refund_ring(gang: Gang) -> Script:
    """Somebody at a shop waves refunds through: goods bought on other people's cards, money back on the ring's own."""
    shop_at = gang.stage.quiet_shop()
    pool, victims = gang.bought_cards(gang.size + 1, stolen=0.3)
    who, times = gang.sittings(per_member=3, width=2)
    cards = gang.draw_card(pool, who + gang.rng.integers(0, 2, len(who)))
    bought = gang.buy(who, times, cards=cards, shop_at=shop_at, part="refund_abuse")
    returned = np.flatnonzero((gang.rng.random(len(who)) < 0.5) & (bought.kind == PURCHASE))
    till = gang.devices_of(np.full(len(returned), gang.size - 1), times[returned])
    own = gang.own_cards(who[returned], times[returned])
    back = gang.refund(take(bought, returned), cards=own, devices=till)
    return gang.script(payments=concat(Payments, [bought, back]), victims=victims, insiders=1, insider_shop=shop_at)


def collusive_merchant(gang: Gang) -> Script:
    """A merchant rings up sales that never were on cards that accounts of the ring bring in."""
    shop_at = gang.stage.quiet_shop()
    pool, victims = gang.bought_cards(2 * gang.size, stolen=0.1)
    who, times = gang.sittings(per_member=3, width=2)
    fresh = gang.draw_card(pool, (2 * who + gang.rng.integers(0, 3, len(who))) % pool.shape[1])
    cards = np.where(gang.rng.random(len(who)) < 0.4, gang.own_cards(who, times), fresh)
    sales = gang.buy(who, times, cards=cards, shop_at=shop_at, part="collusion")
    return gang.script(payments=sales, victims=victims, insider_shop=shop_at)


def mule_chain(gang: Gang) -> Script:
    """Victims are talked into a transfer that hurries from mule to mule and ends in gift cards."""
    victims = gang.victims(4, 9)
    count = len(victims)
    times, amount = gang.times(count, spare_days=2), gang.loot(count)
    sender, device = victims, gang.stage.population.phone_at(victims, times)
    sent: list[Transfers] = []
    for hop in [*range(1, gang.size), 0]:  # the organiser stands at the end and cashes out
        receiver = np.full(count, hop)
        sent.append(gang.send(sender, gang.plan.users[receiver], times, amount=amount, devices=device, part="layering"))
        times = times + gang.pauses(count, minutes=90)
        amount = amount * gang.rng.uniform(0.9, 0.99, count)
        sender, device = gang.plan.users[receiver], gang.devices_of(receiver, times)
    cash = gang.buy(receiver, times, devices=device, part="cash_out")
    return gang.script(payments=cash, transfers=concat(Transfers, sent), victims=victims)


def fan_in(gang: Gang) -> Script:
    """Many mules are paid by victims for goods that never come; all pass it on to the organiser, who cashes out."""
    victims = gang.victims(2 * gang.size, 3 * gang.size)
    count, users = len(victims), gang.plan.users
    mule = 1 + gang.rota(count) % (gang.size - 1)
    times, amount = gang.times(count, spare_days=2), gang.loot(count)
    phone = gang.stage.population.phone_at(victims, times)
    paid = gang.send(victims, users[mule], times, amount=amount, devices=phone, part="layering")
    later = times + gang.pauses(count, minutes=400)
    device, kept = gang.devices_of(mule, later), gang.rng.uniform(0.85, 0.98, count)
    passed = gang.send(
        users[mule], users[:1].repeat(count), later, amount=amount * kept, devices=device, part="layering"
    )
    organiser = np.zeros(count // 2, dtype=np.int64)
    cash = gang.buy(organiser, later[: count // 2] + gang.pauses(count // 2, minutes=600), part="cash_out")
    return gang.script(payments=cash, transfers=concat(Transfers, [paid, passed]), victims=victims)


def fan_out(gang: Gang) -> Script:
    """A few large hits reach the organiser, who scatters each in small sums over the mules, who spend them."""
    victims = gang.victims(4, 8)
    users, hits = gang.plan.users, len(victims)
    times, amount = gang.times(hits, spare_days=2), gang.loot(hits) * 1.5
    phone = gang.stage.population.phone_at(victims, times)
    caught = gang.send(victims, users[:1].repeat(hits), times, amount=amount, devices=phone, part="layering")
    hit, mule = np.nonzero(gang.rng.random((hits, gang.size - 1)) < 0.8)
    mule += 1
    later = times[hit] + gang.pauses(len(hit), minutes=300)
    organiser = np.zeros(len(hit), dtype=np.int64)
    scattered = gang.send(
        users[organiser],
        users[mule],
        later,
        amount=amount[hit] / gang.size * gang.rng.uniform(0.7, 1.1, len(hit)),
        devices=gang.devices_of(organiser, later),
        part="layering",
    )
    spent = gang.buy(mule, later + gang.pauses(len(hit), minutes=500), part="cash_out")
    return gang.script(payments=spent, transfers=concat(Transfers, [caught, scattered]), victims=victims)


def bust_out(gang: Gang) -> Script:
    """Accounts set up together behave well for weeks, then all spend to the limit within days."""
    shared = gang.stage.new_cards(int(gang.cell.max()) + 1)
    set_up = _open_accounts(gang, shared[gang.cell], within_days=4)
    stolen, victims = gang.bought_cards(gang.size, stolen=0.3)
    who = gang.rota(gang.size * 7)
    times = gang.times(len(who), last_days=5 * gang.evasion.stretch, spare_days=0)
    pick = gang.rng.random(len(who))
    cards = np.where(pick < 0.25, shared[gang.cell[who]], gang.own_cards(who, times))
    cards = np.where(pick > 0.8, gang.draw_card(stolen, who), cards)
    spree = gang.buy(who, times, cards=cards, factor=1.5, part="bust_out")
    return gang.script(payments=spree, logins=_sign_in(gang, set_up), links=set_up, victims=victims)


def synthetic_identities(gang: Gang) -> Script:
    """Invented people at shared addresses build a history with small payments and money in circles, then spend."""
    fresh, users = gang.stage.new_cards(gang.size), gang.plan.users
    stolen, victims = gang.bought_cards(gang.size, stolen=0.3)
    opened = _open_accounts(gang, fresh, within_days=10)
    who = gang.rota(gang.size * 3)
    small = gang.buy(who, gang.times(len(who)), cards=fresh[who], factor=0.6, part="build_up", fraud=False)
    giver = gang.rota(gang.size * 2)
    when, amount = gang.times(len(giver)), gang.loot(len(giver))
    circle = gang.send(
        users[giver],
        users[gang.mates(giver)],
        when,
        amount=amount,
        devices=gang.devices_of(giver, when),
        part="build_up",
        fraud=False,
    )
    spender = gang.rota(gang.size * 5)
    times = gang.times(len(spender), last_days=12 * gang.evasion.stretch, spare_days=0)
    pick = gang.rng.random(len(spender))
    cards = fresh[np.where(pick < 0.15, gang.mates(spender), spender)]
    cards = np.where(pick > 0.85, gang.draw_card(stolen, spender), cards)
    spree = gang.buy(spender, times, cards=cards, factor=1.4, part="bust_out")
    return gang.script(
        payments=concat(Payments, [small, spree]),
        transfers=circle,
        logins=_sign_in(gang, opened),
        links=opened,
        victims=victims,
    )


def takeover_burst(gang: Gang) -> Script:
    """A few devices get into many honest accounts within days; money and goods go to the ring's mules."""
    rng, victims = gang.rng, gang.victims(1.5 * gang.size, 3 * gang.size)
    count, mule = len(victims), gang.rota(len(victims))
    times = gang.times(count)
    device = gang.devices_of(mule, times, own_phone=0.0)
    tries = np.repeat(np.arange(count), rng.integers(1, 4, count))
    logins = frame(
        Logins,
        time=times[tries] - gang.pauses(len(tries), minutes=5),
        user=victims[tries],
        device=device[tries],
        failed=rng.random(len(tries)) < 0.4,
    )
    spree = np.repeat(np.arange(count), rng.integers(1, 4, count))
    bought = shop(
        rng,
        gang.stage.population,
        victims[spree],
        times[spree] + gang.pauses(len(spree), minutes=15),
        devices=device[spree],
        merchants=gang.fences(victims[spree]),
        addresses=gang.drops[gang.cell[mule[spree]]],
        factor=1.2,
        fraud=True,
        ring=gang.plan.owner,
        part=PARTS.index("takeover"),
    )
    sent_at = times + gang.pauses(count, minutes=12)
    sent = gang.send(victims, gang.plan.users[mule], sent_at, amount=gang.loot(count), devices=device, part="takeover")
    casher = np.repeat(mule, 2)
    cash = gang.buy(casher, np.repeat(sent_at, 2) + gang.pauses(2 * count, minutes=240), part="cash_out")
    return gang.script(payments=concat(Payments, [bought, cash]), transfers=sent, logins=logins, victims=victims)


@dataclass(frozen=True)
class Archetype:
    """How a ring acts, the range of its members and of its life in days, and what it works with.

    `devices` per member; `own_phone`: share of events on the members' own phones; `recruited`: share of accounts that
    belong to real people who go on living, while the others exist for the ring only.
    """

    act: Callable[[Gang], Script]
    members: tuple[int, int]
    life_days: tuple[float, float]
    devices: float = 0.3
    own_phone: float = 0.0
    recruited: float = 0.0

    def play(self, stage: Stage, plan: Plan) -> Script:
        return self.act(Gang.assemble(stage, plan, devices_per_member=self.devices, own_phone=self.own_phone))


ARCHETYPES = {
    "device_farm": Archetype(device_farm, (5, 14), (14, 50)),
    "card_testing_pool": Archetype(card_testing_pool, (3, 8), (6, 25), devices=0.5),
    "refund_ring": Archetype(refund_ring, (4, 9), (20, 50), own_phone=0.3, recruited=0.3),
    "collusive_merchant": Archetype(collusive_merchant, (4, 10), (20, 60), own_phone=0.45, recruited=0.4),
    "mule_chain": Archetype(mule_chain, (3, 8), (10, 40), own_phone=0.55, recruited=0.8),
    "fan_in": Archetype(fan_in, (5, 12), (8, 30), own_phone=0.6, recruited=0.5),
    "fan_out": Archetype(fan_out, (5, 12), (8, 30), own_phone=0.6, recruited=0.5),
    "bust_out": Archetype(bust_out, (3, 8), (40, 80), own_phone=0.4, recruited=0.3),
    "takeover_burst": Archetype(takeover_burst, (3, 6), (4, 12), devices=0.5, own_phone=0.5, recruited=0.4),
    "synthetic_identities": Archetype(synthetic_identities, (5, 12), (60, 90), own_phone=0.4),
}


def _open_accounts(gang: Gang, cards: np.ndarray, *, within_days: float) -> CardLinks:
    """Each member registers its card (members,) on a device of the ring in the first days of the scheme."""
    start = gang.plan.start
    who, times = np.arange(gang.size), gang.stage.times(gang.size, start=start, stop=start + int(within_days * DAY))
    devices = gang.devices_of(who, times, own_phone=0.0)
    return frame(CardLinks, time=times, user=gang.plan.users, card=cards, device=devices)


def _sign_in(gang: Gang, links: CardLinks) -> Logins:
    before = gang.pauses(len(links.time), minutes=1)
    failed = gang.rng.random(len(links.time)) < 0.05
    return frame(Logins, time=links.time - before, user=links.user, device=links.device, failed=failed)
