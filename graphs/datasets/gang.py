"""A ring at work: what every kind of ring does with its accounts, devices, cards, drop addresses and stolen money.

An archetype says who does what when; how a careful ring hides while doing so is here, once for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from graphs.datasets.behaviours import choose_cards, round_sums, send_amounts, shop
from graphs.datasets.frames import (
    ENTITY_TYPES,
    PARTS,
    REFUND,
    ROLES,
    CardLinks,
    Frame,
    Logins,
    Members,
    Payments,
    Transfers,
    concat,
    empty,
    frame,
    take,
)
from graphs.datasets.rhythm import DAY, HOUR
from graphs.datasets.staging import EVASION, Evasion, Plan, Script, Stage, members_of

_NOBODY = np.empty(0, dtype=np.int32)
_ORGANISERS_TOOL = 0.12
_TO_DROP = 0.7


@dataclass(frozen=True)
class Gang:
    """One ring with its tools. Members are positions in `plan.users`, `who` (events,) such positions.

    `cell` (members,) numbers the groups of members who share tools directly; `devices` and `device_cell` (devices,)
    are the ring's devices and the cell that uses each, `drops` (cells,) where parcels go. `own_phone` is the share of
    events on the member's own phone.
    """

    stage: Stage
    plan: Plan
    evasion: Evasion
    cell: np.ndarray
    devices: np.ndarray
    device_cell: np.ndarray
    drops: np.ndarray
    own_phone: float

    @classmethod
    def assemble(cls, stage: Stage, plan: Plan, *, devices_per_member: float, own_phone: float) -> Gang:
        evasion, size = EVASION[plan.dial], len(plan.users)
        cells = max(1, round(size / evasion.cell))
        count = max(cells, round(devices_per_member * size * evasion.rotation))
        device_cell = np.arange(count) % cells
        places = np.where(stage.rng.random(count) < evasion.nat, -1, stage.new_ips(cells)[device_cell])
        devices = stage.devices(count, start=plan.start, places=places)
        stage.lent_devices.append(devices)
        cell = np.arange(size) * cells // size
        return cls(stage, plan, evasion, cell, devices, device_cell, stage.new_addresses(cells), own_phone)

    @property
    def rng(self) -> np.random.Generator:
        return self.stage.rng

    @property
    def size(self) -> int:
        return len(self.plan.users)

    def times(self, count: int, *, spare_days: float = 1.0, last_days: float | None = None) -> np.ndarray:
        """Sorted instants of the ring's life but its last `spare_days`, or of its `last_days` only: (count,) µs."""
        plan = self.plan
        start = plan.start if last_days is None else max(plan.start, plan.stop - int(last_days * DAY))
        return self.stage.times(count, start=start, stop=max(start + HOUR, plan.stop - int(spare_days * DAY)))

    def pauses(self, count: int, *, minutes: float) -> np.ndarray:
        """Pauses between events of one sitting, the longer the more careful: (count,) int64 µs."""
        return self.stage.pauses(count, minutes=minutes * self.evasion.stretch)

    def rota(self, count: int) -> np.ndarray:
        """Members in turn at random, everybody at least once where `count` allows: (count,)."""
        who = self.rng.integers(0, self.size, count)
        who[: self.size] = np.arange(self.size)[:count]
        return self.rng.permutation(who)

    def mates(self, who: np.ndarray) -> np.ndarray:
        """Another member of each one's cell (or the next member, where a cell has no other): (events,)."""
        mate = (who + self.rng.integers(1, 3, len(who))) % self.size
        return np.where(self.cell[mate] == self.cell[who], mate, (who + 1) % self.size)

    def sittings(self, *, per_member: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Who acts when: sittings of up to `width` neighbouring members, each with one or two payments.

        Returns members and times, both (events,). Every member opens `per_member` sittings.
        """
        rng, count = self.rng, self.size * per_member
        opens = self.times(count, spare_days=1 / 24)
        first = rng.permutation(np.arange(count) % self.size)
        size = rng.integers(1, width + 1, count)
        sitting = np.repeat(np.arange(count), size)
        place = np.arange(len(sitting)) - np.repeat(np.cumsum(size) - size, size)
        again = np.repeat(np.arange(len(sitting)), rng.integers(1, 3, len(sitting)))
        who = (first[sitting] + place)[again] % self.size
        return who, opens[sitting][again] + self.pauses(len(again), minutes=25)

    def victims(self, low: float, high: float) -> np.ndarray:
        """Between `low` and `high` honest users to rob: (victims,) codes."""
        return self.stage.victims(round(self.rng.uniform(low, high)), time=self.plan.start)

    def bought_cards(self, count: int, *, stolen: float) -> tuple[np.ndarray, np.ndarray]:
        """A pool of card numbers, a share of them stolen in this world: (generations, count) and whose (victims,).

        A careful ring goes through several generations.
        """
        generations = max(1, round(self.evasion.rotation))
        pool = self.stage.new_cards(generations * count)
        victims = self.stage.victims(round(stolen * len(pool)), time=self.plan.start)
        robbed = self.rng.choice(len(pool), len(victims), replace=False)
        pool[robbed] = self.stage.population.cards[victims, 0]
        return pool.reshape(generations, count), victims

    def draw_card(self, pool: np.ndarray, places: np.ndarray) -> np.ndarray:
        """A card at each of `places` (events,) of the pool's second dimension, of any generation: (events,)."""
        return pool[self.rng.integers(0, len(pool), len(places)), places]

    def devices_of(self, who: np.ndarray, times: np.ndarray, *, own_phone: float | None = None) -> np.ndarray:
        """What members act on: the own phone, a tool of their cell, or something that hides them: (events,) int32."""
        own_phone = self.own_phone if own_phone is None else own_phone
        phone = self.stage.population.phone_at(self.plan.users[who], times)
        device = np.where(self.rng.random(len(who)) < own_phone, phone, self._tools(self.cell[who]))
        return self._hide(device, self.plan.users[who], times)

    def buy(
        self,
        who: np.ndarray,
        times: np.ndarray,
        *,
        part: str,
        factor: float = 1.2,
        cards: np.ndarray | None = None,
        devices: np.ndarray | None = None,
        shop_at: int | None = None,
        fraud: bool = True,
    ) -> Payments:
        """Purchases of members, on their own cards unless told otherwise, at one shop if told."""
        users = self.plan.users[who]
        merchants = self.fences(users) if shop_at is None else np.full(len(who), shop_at, dtype=np.int32)
        return shop(
            self.rng,
            self.stage.population,
            users,
            times,
            cards=cards,
            devices=self.devices_of(who, times) if devices is None else devices,
            merchants=merchants,
            addresses=self._drops(self.cell[who]),
            factor=factor,
            fraud=fraud,
            ring=self.plan.owner,
            part=PARTS.index(part),
        )

    def send(
        self,
        sender: np.ndarray,
        receiver: np.ndarray,
        times: np.ndarray,
        *,
        amount: np.ndarray,
        devices: np.ndarray,
        part: str,
        fraud: bool = True,
    ) -> Transfers:
        """Transfers between users (codes), (events,) each."""
        return frame(
            Transfers,
            time=times,
            sender=sender,
            receiver=receiver,
            device=devices,
            amount=round_sums(self.rng, amount),
            fraud=fraud,
            ring=self.plan.owner,
            part=PARTS.index(part),
        )

    def loot(self, count: int) -> np.ndarray:
        """What a victim is brought to send: (count,) float64, larger than most sums among friends but not than all."""
        return send_amounts(self.rng, count) * self.rng.uniform(1, 2.5, count)

    def fences(self, users: np.ndarray) -> np.ndarray:
        """Where stolen money is spent: at shops whose goods sell on, or wherever anybody shops: (events,) int32."""
        rng, count = self.rng, len(users)
        population = self.stage.population
        region = np.where(rng.random(count) < 0.5, 0, population.region[users])
        anywhere = population.merchants.choose(region, rng.random(count))
        hidden = rng.random(count) < self.evasion.popular
        return np.where(hidden, anywhere, self.stage.gift_shops(count)).astype(np.int32)

    def own_cards(self, who: np.ndarray, times: np.ndarray) -> np.ndarray:
        return choose_cards(self.rng, self.stage.population, self.plan.users[who], times)

    def refund(self, bought: Payments, *, cards: np.ndarray, devices: np.ndarray) -> Payments:
        """The amounts of purchases back, hours to days later, on other `cards`: a fraud as well."""
        later = self.rng.gamma(2.0, 2.0, len(bought.time)) * self.evasion.stretch
        rows = replace(bought, time=bought.time + (later * DAY).astype(np.int64) + HOUR)
        return replace(rows, card=cards, device=devices, amount=-bought.amount, kind=np.full_like(bought.kind, REFUND))

    def script(
        self,
        *,
        payments: Payments,
        transfers: Transfers | None = None,
        logins: Logins | None = None,
        links: CardLinks | None = None,
        victims: np.ndarray = _NOBODY,
        insiders: int = 0,
        insider_shop: int = -1,
    ) -> Script:
        """All that the ring did in this world, with its members in their roles from first to last event.

        The first of the accounts is the organiser, the last `insiders` work at the `insider_shop`.
        """
        population, users = self.stage.population, self.plan.users
        registered = self.stage.register(payments, share=0.7)
        links = registered if links is None else concat(CardLinks, [links, registered])
        done = Script(
            payments=self._in_time(payments),
            transfers=self._in_time(empty(Transfers) if transfers is None else transfers),
            logins=self._in_time(empty(Logins) if logins is None else logins),
            links=self._in_time(links),
        )
        cards = np.append(done.payments.card, done.links.card)
        stolen = population.cards[victims, 0]
        roles = (
            members_of(self.plan, "organiser", user=users[:1]),
            members_of(self.plan, "mule", user=users[1 : self.size - insiders]),
            members_of(self.plan, "insider", user=users[self.size - insiders :], merchant=np.array([insider_shop])),
            members_of(self.plan, "victim", user=victims, card=stolen[np.isin(stolen, cards)]),
            members_of(self.plan, "tool", device=self.devices, card=cards[cards >= population.card_count]),
            members_of(self.plan, "tool", address=self.drops),
        )
        return replace(done, members=_lifetimes(concat(Members, roles), done))

    def _in_time(self, rows: Frame) -> Frame:
        """Rows up to the end of the world."""
        return take(rows, rows.time < self.stage.rhythms[0].edges[-1])

    def _tools(self, cell: np.ndarray) -> np.ndarray:
        """For each event a device of its cell, and now and then the organiser's, which keeps the cells one ring."""
        wanted = np.where(self.rng.random(len(cell)) < _ORGANISERS_TOOL, 0, cell)
        # Devices are dealt to the cells in turn, so those of cell c are c, c + cells, c + 2 cells …
        cells = int(self.device_cell.max()) + 1
        count = (len(self.devices) - 1 - wanted) // cells + 1
        return self.devices[wanted + (self.rng.random(len(cell)) * count).astype(np.int64) * cells]

    def _hide(self, devices: np.ndarray, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Some events move to public devices, to the phones of honest friends, or to the ring played before."""
        rng, stage, count = self.rng, self.stage, len(devices)
        friend = stage.population.friends[users, 0]
        phone = np.where(stage.is_honest[friend], stage.population.phone_at(friend, times), -1)
        other = rng.choice(stage.lent_devices[-2], count) if len(stage.lent_devices) > 1 else np.full(count, -1)
        for share, instead in (
            (self.evasion.public, stage.public_devices(count)),
            (self.evasion.friends, phone),
            (self.evasion.bridge, other),
        ):
            devices = np.where((rng.random(count) < share) & (instead >= 0), instead, devices)
        return devices.astype(np.int32)

    def _drops(self, cell: np.ndarray) -> np.ndarray:
        """Where parcels of the cells go: a drop, a public locker, or (MISSING) the home of the account: (events,)."""
        rng = self.rng
        lockers = self.stage.population.locker[rng.choice(self.stage.honest, len(cell))]
        public = np.where(rng.random(len(cell)) < 10 * self.evasion.public, lockers, -1)
        dropped = np.where(rng.random(len(cell)) < _TO_DROP, self.drops[cell], -1)
        return np.where(public >= 0, public, dropped)


def _lifetimes(members: Members, done: Script) -> Members:
    """Members from their first to their last event; those without any are left out, but for robbed card holders.

    A victim whose card alone acts keeps the life span of the ring.
    """
    acts = [
        ("user", done.payments.user, done.payments.time),
        ("user", done.transfers.sender, done.transfers.time),
        ("user", done.transfers.receiver, done.transfers.time),
        ("user", done.logins.user, done.logins.time),
        ("user", done.links.user, done.links.time),
        ("device", done.payments.device, done.payments.time),
        ("device", done.transfers.device, done.transfers.time),
        ("device", done.logins.device, done.logins.time),
        ("device", done.links.device, done.links.time),
        ("card", done.payments.card, done.payments.time),
        ("card", done.links.card, done.links.time),
        ("merchant", done.payments.merchant, done.payments.time),
        ("address", done.payments.address, done.payments.time),
    ]
    key = np.concatenate([_key(ENTITY_TYPES.index(kind), code) for kind, code, _ in acts])
    time = np.concatenate([times for *_, times in acts])
    order = np.lexsort((time, key))
    known, first, count = np.unique(key[order], return_index=True, return_counts=True)
    place = np.searchsorted(known, _key(members.entity_type, members.code)).clip(0, len(known) - 1)
    acted = known[place] == _key(members.entity_type, members.code)
    time = time[order]
    lived = replace(
        members,
        time=np.where(acted, time[first[place]], members.time),
        until=np.where(acted, time[(first + count - 1)[place]] + 1, members.until),
    )
    robbed = (members.role == ROLES.index("victim")) & (members.entity_type == ENTITY_TYPES.index("user"))
    return take(lived, acted | robbed)


def _key(entity_type: np.ndarray | int, code: np.ndarray) -> np.ndarray:
    return np.asarray(entity_type, dtype=np.int64) * (1 << 40) + code
