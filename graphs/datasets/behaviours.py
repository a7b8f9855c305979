"""Everyday life: what honest people pay, send and log in to between two instants.

All columns of a payment are drawn here, for honest people and for rings alike, so a single row of a ring
looks like a single row of anybody.
"""

from __future__ import annotations

import numpy as np

from graphs.datasets.frames import (
    APP,
    PURCHASE,
    REFUND,
    STORE,
    VERIFICATION,
    WEB,
    CardLinks,
    Logins,
    Payments,
    Transfers,
    concat,
    frame,
    take,
)
from graphs.datasets.population import (
    CARD_SLOTS,
    CATEGORIES,
    FAVOURITES,
    FRIEND_SLOTS,
    ONLINE_REGION,
    SHIPPED,
    Population,
    draw_amounts,
    favourite_uniform,
    round_prices,
)
from graphs.datasets.rhythm import DAY, HOUR, MINUTE, Rhythm

TRANSFER_SHARE = 0.12
"""Transfers per payment."""

REFUND_SHARE = 0.025
"""Refunds per purchase."""

_SESSION_SHARE = 0.14
_VERIFICATION_SHARE = 0.03
_REGISTERED_SHARE = 0.75
_ONLINE_SHARE = 0.45
_FAVOURITE_SHARE = 0.6
_FAVOURITE_WEIGHT = 0.75 ** np.arange(FAVOURITES) / (0.75 ** np.arange(FAVOURITES)).sum()


def payments_between(
    rng: np.random.Generator,
    population: Population,
    rhythms: tuple[Rhythm, ...],
    *,
    start: int,
    stop: int,
    scale: float,
) -> Payments:
    """Honest payments that begin in [start, stop): about `scale` × rate × share of the rhythm per user.

    Unsorted. Follow-ups of a shopping trip and refunds may lie after `stop`.
    """
    users, times = _visits(rng, population, rhythms, start=start, stop=stop, scale=scale / (1 + _SESSION_SHARE * 1.4))
    follow_ups = np.where(rng.random(len(users)) < _SESSION_SHARE, rng.geometric(0.7, len(users)), 0)
    again = np.repeat(np.arange(len(users)), follow_ups)
    pause = (rng.exponential(18, len(again)) * MINUTE).astype(np.int64) + MINUTE
    users, times = np.append(users, users[again]), np.append(times, times[again] + pause)
    rows = shop(rng, population, users, times)
    return concat(Payments, [rows, refunds_of(rng, rows)])


def shop(
    rng: np.random.Generator,
    population: Population,
    users: np.ndarray,
    times: np.ndarray,
    *,
    cards: np.ndarray | None = None,
    devices: np.ndarray | None = None,
    merchants: np.ndarray | None = None,
    addresses: np.ndarray | None = None,
    factor: float = 1.0,
    online_share: float = _ONLINE_SHARE,
    fraud: bool = False,
    ring: int = -1,
    group: int = -1,
    part: int = 0,
) -> Payments:
    """Payments of `users` at `times` (rows,) each; what is not given is drawn from the user's own habits.

    `factor` multiplies the amounts. A device given for a payment makes it an app or web payment, unless it
    happens in a shop, where most payments show none. A device or an address of MISSING is drawn as well; only orders
    that are shipped have an address.
    """
    if merchants is None:
        merchants = choose_merchants(rng, population, users, online_share=online_share)
    in_shop = (population.merchants.region[merchants] != ONLINE_REGION) & (rng.random(len(users)) < 0.85)
    channel = np.where(in_shop, STORE, np.where(rng.random(len(users)) < 0.6, APP, WEB))
    own = choose_devices(rng, population, users, times)
    device = own if devices is None else np.where(devices >= 0, devices, own)
    unseen = np.where(in_shop, 0.45, 0.03)
    check = rng.random(len(users)) < _VERIFICATION_SHARE
    amount = draw_amounts(rng, population, merchants, users)
    if factor != 1.0:
        amount = round_prices(rng, amount * factor)
    return frame(
        Payments,
        time=times,
        user=users,
        card=choose_cards(rng, population, users, times) if cards is None else cards,
        device=np.where(rng.random(len(users)) < unseen, -1, device),
        merchant=merchants,
        address=_delivery(rng, population, users, addresses, shipped=~in_shop & ~check & _ships(population, merchants)),
        amount=np.where(check, np.where(rng.random(len(users)) < 0.6, 0.0, 1.0), amount),
        kind=np.where(check, VERIFICATION, PURCHASE),
        channel=channel,
        fraud=fraud,
        ring=ring,
        group=group,
        part=part,
    )


def refunds_of(rng: np.random.Generator, rows: Payments) -> Payments:
    """Refunds of a small share of purchases, days later, with a negative amount; never fraud themselves."""
    chosen = take(rows, (rng.random(len(rows.time)) < REFUND_SHARE) & (rows.kind == PURCHASE))
    count = len(chosen.time)
    part_only = np.where(rng.random(count) < 0.3, rng.uniform(0.2, 0.9, count), 1.0)
    return frame(
        Payments,
        time=chosen.time + (rng.gamma(2.0, 3.0, count) * DAY).astype(np.int64) + HOUR,
        user=chosen.user,
        card=chosen.card,
        device=np.where(rng.random(count) < 0.5, -1, chosen.device),
        merchant=chosen.merchant,
        address=chosen.address,
        amount=-np.round(chosen.amount * part_only, 2),
        kind=REFUND,
        channel=chosen.channel,
        fraud=False,
        ring=chosen.ring,
        group=chosen.group,
        part=0,
    )


def transfers_between(rng: np.random.Generator, population: Population, payments: Payments) -> Transfers:
    """Money between friends, and to sellers and landlords who hear from many: by people active in
    `payments`."""
    chosen = np.flatnonzero(rng.random(len(payments.time)) < TRANSFER_SHARE * 1.1)
    sender = payments.user[chosen]
    time = payments.time[chosen] + (rng.exponential(3, len(chosen)) * HOUR).astype(np.int64)
    slot = np.minimum(rng.geometric(0.45, len(chosen)) - 1, FRIEND_SLOTS - 1)
    seller = np.minimum(rng.zipf(1.6, len(chosen)), len(population)) - 1
    # Sellers are spread over the codes by a stride, so that their households are not neighbours.
    seller = (seller * 7919 + 13) % len(population)
    receiver = np.where(rng.random(len(chosen)) < 0.15, seller, population.friends[sender, slot])
    keep = (receiver != sender) & population.active(receiver, time) & population.active(sender, time)
    rows = frame(
        Transfers,
        time=time,
        sender=sender,
        receiver=receiver,
        device=population.phone_at(sender, time),
        amount=send_amounts(rng, len(chosen)),
        fraud=False,
        part=0,
    )
    return take(rows, keep)


def send_amounts(rng: np.random.Generator, count: int) -> np.ndarray:
    """Amounts that people send each other: (count,) float64."""
    return round_sums(rng, rng.lognormal(3.7, 1.1, count) + 1)


def round_sums(rng: np.random.Generator, amount: np.ndarray) -> np.ndarray:
    """Amounts as people type them, half of them in fives, the others to the cent: (rows,) float64."""
    return np.where(rng.random(len(amount)) < 0.5, np.maximum(np.round(amount / 5), 1) * 5, np.round(amount, 2))


def logins_of(rng: np.random.Generator, payments: Payments, transfers: Transfers) -> Logins:
    """Sessions around payments and transfers on a visible device, and some that led to nothing."""
    seen = np.flatnonzero((payments.device >= 0) & (payments.kind != REFUND) & (rng.random(len(payments.time)) < 0.5))
    sent = np.flatnonzero((transfers.device >= 0) & (rng.random(len(transfers.time)) < 0.9))
    idle = seen[rng.random(len(seen)) < 0.35]
    time = np.concatenate([payments.time[seen], transfers.time[sent], payments.time[idle]])
    before = (rng.exponential(6, len(time)) * MINUTE).astype(np.int64) + MINUTE // 6
    before[len(time) - len(idle) :] = (rng.uniform(-48, 0, len(idle)) * HOUR).astype(np.int64)
    return frame(
        Logins,
        time=time - np.minimum(before, HOUR),
        user=np.concatenate([payments.user[seen], transfers.sender[sent], payments.user[idle]]),
        device=np.concatenate([payments.device[seen], transfers.device[sent], payments.device[idle]]),
        failed=rng.random(len(time)) < 0.05,
    )


def card_registrations(rng: np.random.Generator, population: Population) -> CardLinks:
    """Most cards of every user, registered when new, on the phone of that day; the rest pay as guests."""
    user, slot = np.nonzero((population.cards >= 0) & (rng.random(population.cards.shape) < _REGISTERED_SHARE))
    time = population.card_since[user, slot]
    return frame(
        CardLinks,
        time=time,
        user=user,
        card=population.cards[user, slot],
        device=population.phone_at(user, time),
    )


def choose_merchants(
    rng: np.random.Generator, population: Population, users: np.ndarray, *, online_share: float
) -> np.ndarray:
    """Favourites mostly, else whatever is popular in the user's region or online: (rows,) int32."""
    slots = rng.choice(FAVOURITES, len(users), p=_FAVOURITE_WEIGHT)
    lasting = favourite_uniform(population, users, slots)
    loyal = rng.random(len(users)) < _FAVOURITE_SHARE
    # A favourite's place is lasting too: the digits that did not choose the shop choose online or not.
    place = np.where(loyal, (lasting * 1e6) % 1.0, rng.random(len(users)))
    region = np.where(place < online_share, ONLINE_REGION, population.region[users])
    return population.merchants.choose(region, np.where(loyal, lasting, rng.random(len(users))))


def choose_cards(rng: np.random.Generator, population: Population, users: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The usual card mostly, another registered one at times: (rows,) int32."""
    slot = rng.choice(CARD_SLOTS, len(users), p=[0.66, 0.16, 0.08, 0.10])
    usable = (population.cards[users, slot] >= 0) & (population.card_since[users, slot] <= times)
    return population.cards[users, np.where(usable, slot, 0)]


def choose_devices(
    rng: np.random.Generator, population: Population, users: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """The own phone mostly; else tablet, home, workplace (in its hours), kiosk, or a friend's phone: (rows,)
    int32."""
    pick = rng.random(len(users))
    friend = population.friends[users, rng.integers(0, FRIEND_SLOTS, len(users))]
    hour, weekday = (times // HOUR) % 24, (times // DAY + 3) % 7
    at_work = (hour >= 8) & (hour < 18) & (weekday < 5)
    device = population.phone_at(users, times)
    for low, high, other, allowed in (
        (0.00, 0.14, population.tablet[users], True),
        (0.14, 0.27, population.home_device[users], True),
        (0.27, 0.42, population.work_device[users], at_work),
        (0.42, 0.50, population.kiosk[users], True),
        (0.50, 0.508, population.phone_at(friend, times), True),
    ):
        device = np.where((pick >= low) & (pick < high) & (other >= 0) & allowed, other, device)
    return device.astype(np.int32)


def choose_ips(rng: np.random.Generator, population: Population, sites: np.ndarray, rows: Logins) -> np.ndarray:
    """Where logins come from: (rows,) int32.

    A device that stays in its place has the address of the place; `sites` (devices of schemes,) tells it for those that
    the population does not know, MISSING for none. A phone is at home, at work, or behind its carrier with hundreds
    of others.
    """
    fixed = np.append(population.device_ip, sites)[rows.device]
    pick = rng.random(len(rows.time))
    own = np.where(pick < 0.5, population.home_ip[rows.user], population.carrier_ip[rows.user])
    own = np.where((pick > 0.85) & (population.work_ip[rows.user] >= 0), population.work_ip[rows.user], own)
    return np.where((fixed >= 0) & (rng.random(len(own)) < 0.9), fixed, own).astype(np.int32)


def _ships(population: Population, merchants: np.ndarray) -> np.ndarray:
    return np.isin(population.merchants.category[merchants], [CATEGORIES.index(name) for name in SHIPPED])


def _delivery(
    rng: np.random.Generator,
    population: Population,
    users: np.ndarray,
    addresses: np.ndarray | None,
    *,
    shipped: np.ndarray,
) -> np.ndarray:
    """Home mostly, else a parcel locker, unless an address is given; MISSING where nothing is shipped."""
    locker = population.locker[users]
    own = np.where((locker >= 0) & (rng.random(len(users)) < 0.5), locker, population.home[users])
    chosen = own if addresses is None else np.where(addresses >= 0, addresses, own)
    return np.where(shipped, chosen, -1)


def _visits(
    rng: np.random.Generator,
    population: Population,
    rhythms: tuple[Rhythm, ...],
    *,
    start: int,
    stop: int,
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    users, times = [], []
    for persona, rhythm in enumerate(rhythms):
        people = np.flatnonzero(population.persona == persona)
        low = rhythm.mass_at(np.clip(population.join[people], start, stop))
        high = rhythm.mass_at(np.clip(population.leave[people], start, stop))
        length = np.maximum(high - low, 0.0)
        count = rng.poisson(scale * population.rate[people] * length)
        row = np.repeat(np.arange(len(people)), count)
        users.append(people[row])
        times.append(rhythm.time_at(low[row] + rng.random(len(row)) * length[row]))
    return np.concatenate(users).astype(np.int32), np.concatenate(times)
