"""Who lives in the world: people with cards, devices, households and workplaces, and the merchants they
visit.

Ring accounts are people too: they are drawn from the same population, so their everyday life is what
everybody's is, and sharing a device or a card is normal long before any ring does it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from graphs.datasets.rhythm import DAY, PERSONAS
from graphs.datasets.tokens import hashed_uniform

CARD_SLOTS = 4
FRIEND_SLOTS = 4
FAVOURITES = 8
ONLINE_REGION = 0

CATEGORIES = (
    "grocery",
    "restaurant",
    "fuel",
    "fashion",
    "electronics",
    "digital",
    "gift_card",
    "travel",
    "health",
    "home",
)
SHIPPED = ("fashion", "electronics", "health", "home")
"""Categories whose online orders go to an address."""

# Per category: share of merchants, chance to sell online only, median amount, spread of the logarithm.
_CATEGORY = np.array(
    [
        (0.20, 0.15, 34.0, 0.75),
        (0.17, 0.10, 24.0, 0.60),
        (0.07, 0.00, 48.0, 0.40),
        (0.13, 0.50, 52.0, 0.70),
        (0.08, 0.60, 110.0, 0.95),
        (0.11, 1.00, 11.0, 0.80),
        (0.05, 0.70, 40.0, 0.65),
        (0.06, 0.70, 140.0, 0.95),
        (0.07, 0.20, 28.0, 0.70),
        (0.06, 0.40, 60.0, 0.85),
    ]
)


@dataclass(frozen=True)
class Merchants:
    """Merchants in order of region (region 0 sells online everywhere).

    `region_offsets` (regions+1,) delimit the regions; `reach` (merchants+1,) is the cumulative popularity,
    heavy tailed inside each region; `price` scales the amounts of the merchant's category.
    """

    category: np.ndarray
    region: np.ndarray
    region_offsets: np.ndarray
    reach: np.ndarray
    price: np.ndarray
    since: np.ndarray

    def __len__(self) -> int:
        return len(self.category)

    def choose(self, region: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """The merchant at quantile `uniform` of a region's popularity: (rows,) int32."""
        low = self.reach[self.region_offsets[region]]
        high = self.reach[self.region_offsets[region + 1]]
        index = np.searchsorted(self.reach, low + uniform * (high - low), side="right") - 1
        return np.clip(index, self.region_offsets[region], self.region_offsets[region + 1] - 1).astype(np.int32)


@dataclass(frozen=True)
class Population:
    """Users (first dimension of everything without a remark) and what they own.

    Times are µs UTC. `cards` and `card_since` (users, CARD_SLOTS): slot 0 is there from the start, MISSING
    where a user has fewer. `phone` is used until `phone_change`, `next_phone` after; `tablet`, `home_device`
    and `work_device` MISSING where there is none; `kiosk` and `locker` (an address) likewise. `home` is an address too,
    one for all households of an apartment house. `home_ip`, `work_ip` (MISSING without a workplace) and `carrier_ip`
    (hundreds of phones behind one) are where a user logs in from, `device_ip` (device_count,) where a device that
    stays in its place does, MISSING for all others. Group codes are MISSING outside any group.
    """

    join: np.ndarray
    leave: np.ndarray
    rate: np.ndarray
    persona: np.ndarray
    region: np.ndarray
    spend: np.ndarray
    household: np.ndarray
    flatmates: np.ndarray
    workplace: np.ndarray
    campus: np.ndarray
    cards: np.ndarray
    card_since: np.ndarray
    phone: np.ndarray
    next_phone: np.ndarray
    phone_change: np.ndarray
    tablet: np.ndarray
    home_device: np.ndarray
    work_device: np.ndarray
    kiosk: np.ndarray
    home: np.ndarray
    locker: np.ndarray
    home_ip: np.ndarray
    work_ip: np.ndarray
    carrier_ip: np.ndarray
    device_ip: np.ndarray
    friends: np.ndarray
    card_count: int
    device_count: int
    address_count: int
    ip_count: int
    merchants: Merchants
    taste_seed: int

    def __len__(self) -> int:
        return len(self.join)

    def phone_at(self, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Each user's own phone at a time: (rows,) int32."""
        return np.where(times >= self.phone_change[users], self.next_phone[users], self.phone[users])

    def active(self, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Whether an account exists at a time: (rows,) bool."""
        return (self.join[users] <= times) & (times < self.leave[users])

    def with_used_phones(self, devices: np.ndarray, users: np.ndarray, times: np.ndarray) -> Population:
        """The same people, but `users` buy used `devices` as their next phones at `times`."""
        next_phone, phone_change = self.next_phone.copy(), self.phone_change.copy()
        next_phone[users], phone_change[users] = devices, times
        return replace(self, next_phone=next_phone, phone_change=phone_change)


@dataclass(frozen=True)
class Accounts:
    """Ring accounts as the population must know them: who, from and until when (µs UTC), and how lively.

    `rate` is a multiple of the average person's; `end` NEVER for people who stay; `rooted` whether family, colleagues
    and a favourite kiosk come with the account, as they do when its holder is real.
    """

    users: np.ndarray
    join: np.ndarray
    end: np.ndarray
    rate: np.ndarray
    rooted: np.ndarray


def populate(
    rng: np.random.Generator, users: int, *, merchants: int, start: int, stop: int, accounts: Accounts
) -> Population:
    """Draw a population whose ring accounts join, live and leave as `accounts` says."""
    join = np.where(
        rng.random(users) < 0.65,
        start - (rng.random(users) * 900 * DAY).astype(np.int64),
        start + (rng.random(users) * (stop - start)).astype(np.int64),
    )
    leave = np.where(
        rng.random(users) < 0.15,
        join + (rng.exponential(200, users) * DAY).astype(np.int64) + DAY,
        stop + DAY,
    )
    rate = rng.lognormal(0.0, 1.0, users)
    rate /= rate.mean()
    join[accounts.users], leave[accounts.users] = accounts.join, np.minimum(accounts.end, stop + DAY)
    rate[accounts.users] = accounts.rate * rng.lognormal(-0.18, 0.6, len(accounts.users))

    rooted = np.ones(users, dtype=np.bool_)
    rooted[accounts.users] = accounts.rooted

    regions = max(3, users // 1500)
    household, household_size = _partition(rng, users, np.array([0.36, 0.3, 0.14, 0.12, 0.08]))
    region = _zipf(rng, regions, len(household_size))[household] + 1
    cards, card_since, card_count = _cards(rng, join, household, rooted)
    flatmates = np.where(rng.random(len(household_size)) < 0.3, household_size >= 3, False)[household]
    workplace, campus = _workplaces(rng, np.flatnonzero(rooted), users=users)

    supply, addresses, ips = _Supply(), _Supply(), _Supply()
    phone, next_phone = supply.new(users), supply.new(users)
    phone_change = join + (rng.exponential(500, users) * DAY).astype(np.int64) + 20 * DAY
    next_phone, phone_change = _hand_down(rng, phone, next_phone, phone_change, share=0.08)
    tablet = np.where(rng.random(users) < 0.4, supply.new(users), -1)
    shares_at_home = (household_size >= 2) & (rng.random(len(household_size)) < 0.5)
    homes = np.where(shares_at_home, supply.new(len(household_size)), -1)
    workplaces = supply.new(int(workplace.max()) + 1)
    kiosks = supply.new(max(2, users // 120))
    kiosk = np.where(rooted & (rng.random(users) < 0.12), kiosks[_zipf(rng, len(kiosks), users)], -1)
    house, _ = _partition(rng, len(household_size), np.array([0.9, *[0.0] * 5, *[0.1 / 9] * 9]))
    lockers = addresses.new(max(2, users // 100))
    locker = np.where(rng.random(users) < 0.15, lockers[_zipf(rng, len(lockers), users)], -1)
    home_ip, work_ip, kiosk_ip = ips.new(len(homes)), ips.new(len(workplaces)), ips.new(len(kiosks))
    device_ip = np.full(supply.made, -1, dtype=np.int32)
    for devices, where in ((homes, home_ip), (workplaces, work_ip), (kiosks, kiosk_ip)):
        device_ip[devices[devices >= 0]] = where[devices >= 0]
    step = rng.geometric(1 / 40, (users, FRIEND_SLOTS)) * rng.choice([-1, 1], (users, FRIEND_SLOTS))

    return Population(
        join=join,
        leave=leave,
        rate=rate,
        persona=rng.choice(PERSONAS, users, p=[0.4, 0.35, 0.25]).astype(np.int8),
        region=region.astype(np.int32),
        spend=rng.lognormal(0.0, 0.45, users),
        household=household,
        flatmates=flatmates,
        workplace=workplace,
        campus=campus,
        cards=cards,
        card_since=card_since,
        phone=phone,
        next_phone=next_phone,
        phone_change=phone_change,
        tablet=tablet.astype(np.int32),
        home_device=np.where(rooted, homes[household], -1).astype(np.int32),
        work_device=np.where(workplace >= 0, workplaces[workplace], -1).astype(np.int32),
        kiosk=kiosk.astype(np.int32),
        home=addresses.new(int(house.max()) + 1)[house[household]],
        locker=locker.astype(np.int32),
        home_ip=home_ip[household],
        work_ip=np.where(workplace >= 0, work_ip[workplace], -1).astype(np.int32),
        carrier_ip=_carriers(rng, region, ips),
        device_ip=device_ip,
        friends=((np.arange(users)[:, None] + step) % users).astype(np.int32),
        card_count=card_count,
        device_count=supply.made,
        address_count=addresses.made,
        ip_count=ips.made,
        merchants=_merchants(rng, merchants, regions=regions, start=start),
        taste_seed=int(rng.integers(1 << 30)),
    )


def favourite_uniform(population: Population, users: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Where in a region's popularity a user's lasting favourite lies: (rows,) float64."""
    return hashed_uniform(users.astype(np.int64) * FAVOURITES + slots, seed=population.taste_seed)


def draw_amounts(
    rng: np.random.Generator, population: Population, merchants: np.ndarray, users: np.ndarray
) -> np.ndarray:
    """Amounts as these users spend at these merchants, rounded to cents: (rows,) float64 above 0."""
    shop = population.merchants
    category = shop.category[merchants]
    median, spread = _CATEGORY[category, 2], _CATEGORY[category, 3]
    amount = median * shop.price[merchants] * np.sqrt(population.spend[users])
    return round_prices(rng, amount * rng.lognormal(0.0, 1.0, len(users)) ** spread)


def round_prices(rng: np.random.Generator, amount: np.ndarray) -> np.ndarray:
    """Amounts to cents, a share of them to price tags that end in .00, .50 or .99."""
    tag = rng.choice(np.array([-1.0, 0.0, 0.5, 0.99]), len(amount), p=[0.55, 0.2, 0.08, 0.17])
    return np.maximum(np.where(tag < 0, np.round(amount, 2), np.floor(amount) + tag), 0.5)


class _Supply:
    """Hands out codes of one kind in sequence; the token of a code tells nothing about its order."""

    def __init__(self) -> None:
        self.made = 0

    def new(self, count: int) -> np.ndarray:
        self.made += count
        return np.arange(self.made - count, self.made, dtype=np.int32)


def _partition(rng: np.random.Generator, users: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring users into households of 1 to len(shares): household (users,) int32 and sizes
    (households,)."""
    sizes = rng.choice(np.arange(1, len(shares) + 1), users, p=shares)
    households = int(np.searchsorted(np.cumsum(sizes), users)) + 1
    sizes = sizes[:households]
    sizes[-1] -= sizes.sum() - users
    return np.repeat(np.arange(households, dtype=np.int32), sizes), sizes


def _zipf(rng: np.random.Generator, choices: int, count: int) -> np.ndarray:
    weight = 1.0 / np.arange(1, choices + 1) ** 0.8
    return rng.choice(choices, count, p=weight / weight.sum())


def _cards(
    rng: np.random.Generator, join: np.ndarray, household: np.ndarray, rooted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    users = len(join)
    owned = np.minimum(1 + rng.poisson(0.7, users), CARD_SLOTS)
    has = np.arange(CARD_SLOTS) < owned[:, None]
    cards = np.full((users, CARD_SLOTS), -1, dtype=np.int32)
    cards[has] = np.arange(has.sum(), dtype=np.int32)
    later = (rng.exponential(150, (users, CARD_SLOTS)) * DAY).astype(np.int64)
    since = join[:, None] + np.where(np.arange(CARD_SLOTS) == 0, 0, later)
    # A family card: the next person of the household also carries a card of the one before.
    family = (household[1:] == household[:-1]) & rooted[1:] & rooted[:-1]
    follower = np.flatnonzero(family & (rng.random(users - 1) < 0.2)) + 1
    cards[follower, -1] = cards[follower - 1, 0]
    since[follower, -1] = np.maximum(join[follower], join[follower - 1]) + later[follower, -1] // 10
    return cards, since, int(has.sum())


def _workplaces(rng: np.random.Generator, people: np.ndarray, *, users: int) -> tuple[np.ndarray, np.ndarray]:
    """Offices of 6 to 60 for about a third of the `people`, campuses of 60 to 300 for a twelfth.

    Returns the workplace of each user (MISSING for none) and whether it is a campus, both (users,).
    """
    order = rng.permutation(people)
    workplace = np.full(users, -1, dtype=np.int32)
    campus = np.zeros(users, dtype=np.bool_)
    used, code = 0, 0
    for share, low, high, is_campus in ((0.33, 6, 60, False), (0.08, 60, 300, True)):
        limit = used + int(share * len(people))
        sizes = np.exp(rng.uniform(np.log(low), np.log(high), int(share * len(people)) // low + 1)).astype(np.int64)
        sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), limit - used)) + 1]
        members = order[used : min(used + int(sizes.sum()), len(people))]
        workplace[members] = code + np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[: len(members)]
        campus[members] = is_campus
        used, code = used + len(members), code + len(sizes)
    return workplace, campus


def _carriers(rng: np.random.Generator, region: np.ndarray, ips: _Supply) -> np.ndarray:
    """Mobile phones of a region behind shared addresses, about 150 on each: (users,) int32."""
    shared = np.maximum(np.bincount(region) // 150, 1)
    first = np.cumsum(shared) - shared
    codes = ips.new(int(shared.sum()))
    return codes[first[region] + (rng.random(len(region)) * shared[region]).astype(np.int64)]


def _hand_down(
    rng: np.random.Generator, phone: np.ndarray, next_phone: np.ndarray, change: np.ndarray, *, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """A share of users buys the phone that somebody else has just given up."""
    pairs = rng.permutation(len(phone))[: int(share * len(phone)) * 2].reshape(2, -1)
    seller, buyer = pairs
    next_phone, change = next_phone.copy(), change.copy()
    next_phone[buyer] = phone[seller]
    change[buyer] = np.maximum(change[buyer], change[seller] + (rng.exponential(20, len(buyer)) * DAY).astype(np.int64))
    return next_phone, change


def _merchants(rng: np.random.Generator, count: int, *, regions: int, start: int) -> Merchants:
    category = rng.choice(len(CATEGORIES), count, p=_CATEGORY[:, 0] / _CATEGORY[:, 0].sum())
    region = np.where(rng.random(count) < _CATEGORY[category, 1], ONLINE_REGION, 1 + _zipf(rng, regions, count))
    region[: regions + 1] = np.arange(regions + 1)  # no region without a shop
    order = np.argsort(region, kind="stable")
    category, region = category[order], region[order]
    offsets = np.searchsorted(region, np.arange(regions + 2))
    rank = np.arange(count) - offsets[region] + 1
    return Merchants(
        category=category.astype(np.int8),
        region=region.astype(np.int32),
        region_offsets=offsets,
        reach=np.concatenate([[0.0], np.cumsum(rank**-0.9)]),
        price=rng.lognormal(0.0, 0.3, count),
        since=start - (rng.random(count) * 1500 * DAY).astype(np.int64),
    )
