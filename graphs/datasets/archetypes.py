"""How rings work: one function per archetype plays a plan out as payments, transfers, logins and card links.

Each leaves the traces that its real counterpart leaves: shared devices, cards tested here and used there,
money that hurries through a chain. None has a column of its own; only how its events hang together gives it
away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphs.datasets.behaviours import choose_cards, send_amounts, shop
from graphs.datasets.frames import PARTS, VERIFICATION, CardLinks, Logins, Payments, Transfers, concat, frame
from graphs.datasets.rhythm import DAY, HOUR
from graphs.datasets.staging import Plan, Script, Stage, crew, members_of

_CASH_OUT = PARTS.index("cash_out")
_CARD_TEST = PARTS.index("card_test")
_COLLUSION = PARTS.index("collusion")
_LAYERING = PARTS.index("layering")
_BUST_OUT = PARTS.index("bust_out")
_TAKEOVER = PARTS.index("takeover")


def device_farm(stage: Stage, plan: Plan) -> Script:
    """Many accounts on few devices buy with a pool of bought cards that neighbours share."""
    rng, members = stage.rng, len(plan.users)
    cell = stage.cells(members)
    devices, device_cell = _tools(stage, plan, per_member=0.3, cell=cell)
    pool = stage.new_cards(members + 1)
    victim = np.resize(np.append(stage.victims(members + 1, time=plan.start), -1), members + 1)
    robbed = (rng.random(members + 1) < 0.25) & (victim >= 0)
    pool = np.where(robbed, stage.population.cards[victim, 0], pool)
    who, times = _sittings(stage, plan, sittings=members * 2, width=3)
    card = pool[who + rng.integers(0, 2, len(who))]
    device = stage.hide(_own_tool(stage, devices, device_cell, cell[who]), ring_devices=devices)
    payments = _buy(stage, plan, who, times, cards=card, devices=device, factor=1.2, part=_CASH_OUT)
    return Script(
        payments=payments,
        links=stage.register(payments, share=0.7),
        members=crew(
            plan,
            members_of(plan, "tool", device=devices, card=np.where(robbed, -1, pool)),
            members_of(plan, "victim", user=victim[robbed], card=pool[robbed]),
        ),
    )


def card_testing_pool(stage: Stage, plan: Plan) -> Script:
    """Stolen cards are tried with tiny payments by one account; the live ones are emptied by another."""
    rng, members = stage.rng, len(plan.users)
    cell = stage.cells(members)
    devices, device_cell = _tools(stage, plan, per_member=0.5, cell=cell)
    victims = stage.victims(int(members * rng.uniform(2, 4)), time=plan.start)
    cards = np.append(stage.population.cards[victims, 0], stage.new_cards(members * 3))
    tester = rng.integers(0, members, len(cards))
    tester[:members] = np.arange(members)
    when = stage.times(len(cards), start=plan.start, stop=plan.stop - DAY)
    test_device = stage.hide(_own_tool(stage, devices, device_cell, cell[tester]), ring_devices=devices)
    tests = _buy(stage, plan, tester, when, cards=cards, devices=test_device, factor=0.25, part=_CARD_TEST)
    checks = rng.random(len(cards)) < 0.25
    tests.kind[checks], tests.amount[checks] = VERIFICATION, 0.0
    # Whoever empties a card sits in the same cell as its tester: the card links the two accounts.
    live = np.flatnonzero(rng.random(len(cards)) < 0.45)
    live = np.repeat(live, rng.integers(1, 4, len(live)))
    emptier = _cell_mate(rng, cell, tester[live])
    later = when[live] + stage.pauses(len(live), minutes=600)
    device = stage.hide(_own_tool(stage, devices, device_cell, cell[emptier]), ring_devices=devices)
    emptied = _buy(stage, plan, emptier, later, cards=cards[live], devices=device, factor=1.2, part=_CASH_OUT)
    payments = concat(Payments, [tests, emptied])
    return Script(
        payments=payments,
        links=stage.register(payments, share=0.7),
        members=crew(
            plan,
            members_of(plan, "tool", device=devices, card=cards[len(victims) :]),
            members_of(plan, "victim", user=victims, card=cards[: len(victims)]),
        ),
    )


def collusive_merchant(stage: Stage, plan: Plan) -> Script:
    """A merchant rings up sales that never were on cards that accounts of the ring bring in."""
    rng, members = stage.rng, len(plan.users)
    cell = stage.cells(members)
    merchant = stage.quiet_shop()
    tills, till_cell = _tools(stage, plan, per_member=0.25, cell=cell)
    who, times = _sittings(stage, plan, sittings=members * 3, width=2)
    fresh = stage.new_cards(members * 2)
    own = choose_cards(rng, stage.population, plan.users[who], times)
    card = np.where(rng.random(len(who)) < 0.4, own, fresh[who * 2 + rng.integers(0, 2, len(who))])
    till = _own_tool(stage, tills, till_cell, cell[who])
    device = np.where(rng.random(len(who)) < 0.55, till, stage.population.phone_at(plan.users[who], times))
    payments = _buy(
        stage,
        plan,
        who,
        times,
        cards=card,
        devices=stage.hide(device, ring_devices=tills),
        factor=1.3,
        part=_COLLUSION,
        merchants=np.full(len(who), merchant, dtype=np.int32),
    )
    return Script(
        payments=payments,
        links=stage.register(payments, share=0.7),
        members=crew(
            plan,
            members_of(plan, "tool", device=tills, card=fresh),
            members_of(plan, "insider", merchant=np.array([merchant])),
        ),
    )


def mule_chain(stage: Stage, plan: Plan) -> Script:
    """Victims are talked into a transfer that hurries from mule to mule and ends in gift cards."""
    rng, hops = stage.rng, len(plan.users)
    devices = stage.devices(max(1, round(0.3 * hops * stage.evasion.rotation)), start=plan.start)
    victims = stage.victims(int(rng.integers(4, 10)), time=plan.start)
    chain = np.roll(plan.users, -1)  # the organiser stands at the end and cashes out
    parts: list[Transfers] = []
    times = stage.times(len(victims), start=plan.start, stop=plan.stop - 2 * DAY)
    amount = send_amounts(rng, len(victims)) * 3 + 40
    sender = victims
    own = stage.population.phone_at(victims, times)
    for hop in range(hops):
        receiver = np.full(len(victims), chain[hop])
        parts.append(
            frame(
                Transfers,
                time=times,
                sender=sender,
                receiver=receiver,
                device=own,
                amount=np.round(amount, 2),
                fraud=True,
                ring=plan.ring,
                part=_LAYERING,
            )
        )
        times = times + stage.pauses(len(victims), minutes=90)
        amount = amount * rng.uniform(0.9, 0.99, len(victims))
        sender = receiver
        shared = rng.random(len(victims)) < 0.45 / stage.evasion.rotation
        own = np.where(shared, rng.choice(devices, len(victims)), stage.population.phone_at(receiver, times))
        own = stage.hide(own, ring_devices=devices)
    who = np.full(len(victims), 0)
    payments = _buy(stage, plan, who, times, cards=None, devices=own, factor=1.4, part=_CASH_OUT)
    return Script(
        payments=payments,
        transfers=concat(Transfers, parts),
        members=crew(plan, members_of(plan, "tool", device=devices), members_of(plan, "victim", user=victims)),
    )


def bust_out(stage: Stage, plan: Plan) -> Script:
    """Accounts set up together behave well for weeks, then all spend to the limit within days."""
    rng, members = stage.rng, len(plan.users)
    cell = stage.cells(members)
    devices, device_cell = _tools(stage, plan, per_member=0.3, cell=cell)
    shared_cards = stage.new_cards(int(cell.max()) + 1)
    opened = stage.times(members, start=plan.start, stop=plan.start + 4 * DAY)
    set_up = frame(
        CardLinks,
        time=opened,
        user=plan.users,
        card=shared_cards[cell],
        device=_own_tool(stage, devices, device_cell, cell),
    )
    who = np.repeat(np.arange(members), rng.integers(5, 11, members))
    times = stage.times(len(who), start=plan.stop - int(5 * stage.evasion.stretch * DAY), stop=plan.stop)
    rng.shuffle(who)
    own = choose_cards(rng, stage.population, plan.users[who], times)
    card = np.where(rng.random(len(who)) < 0.25, shared_cards[cell[who]], own)
    phone = stage.population.phone_at(plan.users[who], times)
    device = np.where(rng.random(len(who)) < 0.4, _own_tool(stage, devices, device_cell, cell[who]), phone)
    payments = _buy(
        stage,
        plan,
        who,
        times,
        cards=card,
        devices=stage.hide(device, ring_devices=devices),
        factor=1.7,
        part=_BUST_OUT,
    )
    return Script(
        payments=payments,
        logins=_sign_in(rng, set_up),
        links=set_up,
        members=crew(plan, members_of(plan, "tool", device=devices, card=shared_cards)),
    )


def takeover_burst(stage: Stage, plan: Plan) -> Script:
    """A few devices get into many honest accounts within days; money and goods go to the ring's mules."""
    rng, members = stage.rng, len(plan.users)
    devices = stage.devices(max(1, round(0.5 * members * stage.evasion.rotation)), start=plan.start)
    victims = stage.victims(int(members * rng.uniform(1.5, 3)), time=plan.start)
    count = len(victims)
    times = stage.times(count, start=plan.start, stop=plan.stop - DAY)
    device = stage.hide(rng.choice(devices, count), ring_devices=devices)
    tries = np.repeat(np.arange(count), rng.integers(1, 4, count))
    logins = frame(
        Logins,
        time=times[tries] - stage.pauses(len(tries), minutes=5),
        user=victims[tries],
        device=device[tries],
        failed=rng.random(len(tries)) < 0.4,
    )
    spree = np.repeat(np.arange(count), rng.integers(1, 4, count))
    bought = shop(
        rng,
        stage.population,
        victims[spree],
        times[spree] + stage.pauses(len(spree), minutes=15),
        devices=device[spree],
        merchants=_fence(stage, victims[spree]),
        factor=1.3,
        fraud=True,
        ring=plan.ring,
        part=_TAKEOVER,
    )
    mule = rng.integers(0, members, count)
    mule[: min(members, count)] = np.arange(min(members, count))
    sent_at = times + stage.pauses(count, minutes=12)
    sent = frame(
        Transfers,
        time=sent_at,
        sender=victims,
        receiver=plan.users[mule],
        device=device,
        amount=np.round(send_amounts(rng, count) * 2.5 + 30, 2),
        fraud=True,
        ring=plan.ring,
        part=_TAKEOVER,
    )
    who = np.repeat(mule, 2)
    cash_at = np.repeat(sent_at, 2) + stage.pauses(2 * count, minutes=240)
    phone = stage.population.phone_at(plan.users[who], cash_at)
    own = np.where(rng.random(len(who)) < 0.5, rng.choice(devices, len(who)), phone)
    cash = _buy(
        stage,
        plan,
        who,
        cash_at,
        cards=None,
        devices=stage.hide(own, ring_devices=devices),
        factor=1.3,
        part=_CASH_OUT,
    )
    return Script(
        payments=concat(Payments, [bought, cash]),
        transfers=sent,
        logins=logins,
        members=crew(plan, members_of(plan, "tool", device=devices), members_of(plan, "victim", user=victims)),
    )


@dataclass(frozen=True)
class Archetype:
    """How to play a plan, and the range of its members and of its life in days."""

    play: Callable[[Stage, Plan], Script]
    members: tuple[int, int]
    life_days: tuple[float, float]


ARCHETYPES = {
    "device_farm": Archetype(device_farm, (5, 14), (14, 50)),
    "card_testing_pool": Archetype(card_testing_pool, (3, 8), (6, 25)),
    "collusive_merchant": Archetype(collusive_merchant, (4, 10), (20, 60)),
    "mule_chain": Archetype(mule_chain, (3, 8), (10, 40)),
    "bust_out": Archetype(bust_out, (3, 8), (40, 80)),
    "takeover_burst": Archetype(takeover_burst, (3, 6), (4, 12)),
}


def _tools(stage: Stage, plan: Plan, *, per_member: float, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Devices of a ring and the cell that uses each: (devices,) both. Every cell has at least one."""
    cells = int(cell.max()) + 1
    count = max(cells, round(per_member * len(plan.users) * stage.evasion.rotation))
    return stage.devices(count, start=plan.start), np.arange(count) % cells


def _own_tool(stage: Stage, devices: np.ndarray, device_cell: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """For each event a device of its cell, and now and then of the organiser's, which keeps the cells one
    ring."""
    wanted = np.where(stage.rng.random(len(cell)) < 0.12, 0, cell)
    order = np.argsort(device_cell, kind="stable")
    first = np.searchsorted(device_cell[order], wanted)
    count = np.searchsorted(device_cell[order], wanted, side="right") - first
    return devices[order[first + (stage.rng.random(len(cell)) * count).astype(np.int64)]]


def _cell_mate(rng: np.random.Generator, cell: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Another member of each member's cell (or the next one, where a cell has no other)."""
    mate = (member + rng.integers(1, 3, len(member))) % len(cell)
    return np.where(cell[mate] == cell[member], mate, (member + 1) % len(cell))


def _sittings(stage: Stage, plan: Plan, *, sittings: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Who acts when: sittings of up to `width` neighbouring members, each with one to three payments.

    Returns member positions and times, both (events,). Every member takes part in at least two sittings.
    """
    rng, members = stage.rng, len(plan.users)
    opens = stage.times(sittings, start=plan.start, stop=plan.stop - HOUR)
    first = rng.permutation(np.arange(sittings) % members)
    size = rng.integers(1, width + 1, sittings)
    sitting = np.repeat(np.arange(sittings), size)
    place = np.arange(len(sitting)) - np.repeat(np.cumsum(size) - size, size)
    again = np.repeat(np.arange(len(sitting)), rng.integers(1, 3, len(sitting)))
    who = (first[sitting] + place)[again] % members
    return who, opens[sitting][again] + stage.pauses(len(again), minutes=25)


def _fence(stage: Stage, users: np.ndarray) -> np.ndarray:
    """Where stolen money is spent: half at shops whose goods sell on, half wherever anybody shops."""
    rng, count = stage.rng, len(users)
    anywhere = stage.population.merchants.choose(
        np.where(rng.random(count) < 0.5, 0, stage.population.region[users]), rng.random(count)
    )
    return np.where(rng.random(count) < 0.5, stage.gift_shops(count), anywhere).astype(np.int32)


def _buy(
    stage: Stage,
    plan: Plan,
    who: np.ndarray,
    times: np.ndarray,
    *,
    cards: np.ndarray | None,
    devices: np.ndarray,
    factor: float,
    part: int,
    merchants: np.ndarray | None = None,
) -> Payments:
    users = plan.users[who]
    return shop(
        stage.rng,
        stage.population,
        users,
        times,
        cards=cards,
        devices=devices,
        merchants=_fence(stage, users) if merchants is None else merchants,
        factor=factor,
        fraud=True,
        ring=plan.ring,
        part=part,
    )


def _sign_in(rng: np.random.Generator, links: CardLinks) -> Logins:
    return frame(
        Logins,
        time=links.time - 60_000_000,
        user=links.user,
        device=links.device,
        failed=rng.random(len(links.time)) < 0.05,
    )
