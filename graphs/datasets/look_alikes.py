"""Innocent groups that look like rings: shared devices, many cards on one account, bursts at one merchant.

A finder that flags every dense corner flags these first; each is a labelled group, so that its errors can be
counted by class. Some act here; the others (families, offices, kiosks …) simply live in the population.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphs.datasets.behaviours import shop
from graphs.datasets.frames import ENTITY_TYPES, PARTS, ROLES, CardLinks, Members, concat, frame, take
from graphs.datasets.population import CATEGORIES, Population
from graphs.datasets.rhythm import DAY, HOUR
from graphs.datasets.staging import Plan, Script, Stage, members_of

_LOOK_ALIKE = PARTS.index("look_alike")


def gift_card_reseller(stage: Stage, plan: Plan) -> Script:
    """One busy account buys gift cards for its customers, on their cards and its own."""
    rng = stage.rng
    seller, customers = plan.users[0], plan.users[1:]
    cards = np.append(stage.population.cards[customers, 0], stage.new_cards(3))
    count = int(rng.integers(25, 60))
    times = stage.times(count, start=plan.start, stop=plan.stop)
    payments = shop(
        rng,
        stage.population,
        np.full(count, seller),
        times,
        cards=rng.choice(cards, count),
        merchants=stage.gift_shops(count),
        group=plan.ring,
        part=_LOOK_ALIKE,
    )
    links = frame(
        CardLinks,
        time=stage.times(len(cards), start=plan.start, stop=plan.stop),
        user=np.full(len(cards), seller),
        card=cards,
        device=np.full(len(cards), stage.population.phone_at(plan.users[:1], np.array([plan.start]))[0]),
    )
    return Script(payments=payments, links=links, members=_group(plan, card=cards))


def travel_group(stage: Stage, plan: Plan) -> Script:
    """Travellers pay in turns on one phone for some days at the same few places."""
    rng, count = stage.rng, len(plan.users) * 4
    phone = stage.population.phone_at(plan.users[:1], np.array([plan.start]))
    shops = stage.population.merchants
    travel = np.flatnonzero(shops.category == CATEGORIES.index("travel"))
    places = rng.choice(travel if len(travel) else np.arange(len(shops)), 4).astype(np.int32)
    users = rng.choice(plan.users, count)
    times = stage.times(count, start=plan.start, stop=min(plan.stop, plan.start + 8 * DAY))
    payments = shop(
        rng,
        stage.population,
        users,
        times,
        devices=np.where(rng.random(count) < 0.6, phone[0], -1),
        merchants=rng.choice(places, count),
        group=plan.ring,
        part=_LOOK_ALIKE,
    )
    return Script(payments=payments, members=_group(plan, device=phone))


def flash_sale(stage: Stage, plan: Plan) -> Script:
    """Dozens of strangers buy at one quiet merchant within two hours."""
    rng = stage.rng
    merchant = stage.quiet_shop()
    count = len(plan.users)
    opens = int(stage.times(1, start=plan.start, stop=plan.stop)[0])
    times = opens + (rng.exponential(0.5, count) * HOUR).astype(np.int64)
    payments = shop(
        rng,
        stage.population,
        plan.users,
        times,
        merchants=np.full(count, merchant, dtype=np.int32),
        group=plan.ring,
        part=_LOOK_ALIKE,
    )
    return Script(payments=payments, members=_group(plan, merchant=np.array([merchant])))


def call_centre_agent(stage: Stage, plan: Plan) -> Script:
    """An agent places orders on one desk computer for many customers, each with the own card."""
    rng = stage.rng
    desk = stage.devices(1, start=plan.start)
    users = np.repeat(plan.users, rng.integers(1, 3, len(plan.users)))
    times = stage.times(len(users), start=plan.start, stop=plan.stop)
    payments = shop(
        rng,
        stage.population,
        users,
        times,
        devices=np.full(len(users), desk[0]),
        online_share=0.9,
        group=plan.ring,
        part=_LOOK_ALIKE,
    )
    return Script(payments=payments, members=_group(plan, device=desk))


def corporate_card(stage: Stage, plan: Plan) -> Script:
    """Colleagues share a company card, each on the own phone."""
    rng = stage.rng
    card = stage.new_cards(1)
    users = np.repeat(plan.users, rng.integers(2, 6, len(plan.users)))
    times = stage.times(len(users), start=plan.start, stop=plan.stop)
    payments = shop(
        rng,
        stage.population,
        users,
        times,
        cards=np.full(len(users), card[0]),
        group=plan.ring,
        part=_LOOK_ALIKE,
    )
    links = frame(
        CardLinks,
        time=np.full(len(plan.users), plan.start) + stage.pauses(len(plan.users), minutes=900),
        user=plan.users,
        card=np.full(len(plan.users), card[0]),
        device=stage.population.phone_at(plan.users, np.full(len(plan.users), plan.start)),
    )
    return Script(payments=payments, links=links, members=_group(plan, card=card))


LOOK_ALIKES: dict[str, tuple[Callable[[Stage, Plan], Script], tuple[int, int], tuple[float, float]]] = {
    # class: (how to play it, its members, its life in days)
    "gift_card_reseller": (gift_card_reseller, (8, 20), (20, 60)),
    "travel_group": (travel_group, (4, 12), (4, 10)),
    "flash_sale": (flash_sale, (25, 60), (1, 2)),
    "call_centre_agent": (call_centre_agent, (15, 40), (20, 60)),
    "corporate_card": (corporate_card, (4, 12), (30, 80)),
}


def living_groups(population: Population, *, first: int, start: int, stop: int) -> tuple[np.ndarray, Members]:
    """Groups that need no script: families, flatmates, offices, campuses, kiosks, second-hand phones.

    Returns their classes (groups,) text and their members; the groups are numbered from `first` on.
    """
    classes: list[np.ndarray] = []
    members: list[Members] = []
    for codes, device, names in (
        (population.household, population.home_device, np.where(population.flatmates, "flatmates", "family")),
        (population.workplace, population.work_device, np.where(population.campus, "campus", "office")),
        (population.kiosk, population.kiosk, np.full(len(population), "kiosk")),
        _used_phones(population, stop=stop),
    ):
        users = _shared(codes)
        if not len(users):
            continue
        _, leader, group = np.unique(codes[users], return_index=True, return_inverse=True)
        owner = first + sum(map(len, classes)) + group
        classes.append(names[users[leader]])
        tool = device[users[leader]]
        life = {"time": start, "until": stop}
        everyone = {"entity_type": ENTITY_TYPES.index("user"), "role": ROLES.index("member")}
        # A buyer of a second-hand phone stands in the rows after the population: see `_used_phones`.
        members.append(frame(Members, owner=owner, code=users % len(population), **everyone, **life))
        tools = {"entity_type": ENTITY_TYPES.index("device"), "role": ROLES.index("tool")}
        whole = frame(Members, owner=owner[leader], code=tool, **tools, **life)
        members.append(take(whole, tool >= 0))
    return np.concatenate(classes), concat(Members, members)


def _used_phones(population: Population, *, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First owners in the first half of the rows, later owners in the second, by the phone that both have used."""
    later = np.where(population.phone_change < stop, population.next_phone, -1)
    phones = np.concatenate([population.phone, later])
    return phones, phones, np.full(len(phones), "resold_phone")


def _shared(codes: np.ndarray) -> np.ndarray:
    """Rows whose code, other than MISSING, at least one other row has too."""
    _, inverse, count = np.unique(codes, return_inverse=True, return_counts=True)
    return np.flatnonzero((codes >= 0) & (count[inverse] > 1))


def _group(plan: Plan, **tools: np.ndarray) -> Members:
    return concat(Members, [members_of(plan, "member", user=plan.users), members_of(plan, "tool", **tools)])
