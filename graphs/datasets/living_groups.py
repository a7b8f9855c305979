"""Innocent groups that need no script: who lives, works, logs in or picks up parcels together, and whose phone had
another owner or whose card a ring stole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphs.datasets.frames import ENTITY_TYPES, ROLES, Members, concat, frame, take
from graphs.datasets.population import Population

_USER, _CARD = ENTITY_TYPES.index("user"), ENTITY_TYPES.index("card")
_MEMBER, _TOOL, _VICTIM = (ROLES.index(role) for role in ("member", "tool", "victim"))


def living_groups(
    population: Population, honest: np.ndarray, *, first: int, start: int, stop: int
) -> tuple[np.ndarray, Members]:
    """Families, flatmates, offices, campuses, kiosks, apartment houses, parcel lockers, carrier addresses (CGNAT) and
    second-hand phones, each of two users or more, ring accounts (not `honest` (users,) bool) left out.

    Returns their classes (groups,) text and their members; the groups are numbered from `first` on.
    """
    classes: list[np.ndarray] = []
    members: list[Members] = []
    for codes, names, tool_type, tool in _ties(population, stop=stop):
        users = _shared(codes)
        users = users[honest[users % len(population)]]
        if not len(users):
            continue
        _, leader, group = np.unique(codes[users], return_index=True, return_inverse=True)
        owner = first + sum(map(len, classes)) + group
        classes.append(names[users[leader]])
        life = {"time": start, "until": stop}
        # A buyer of a second-hand phone stands in the rows after the population: see `_used_phones`.
        people = {"code": users % len(population), "entity_type": _USER, "role": _MEMBER}
        members.append(frame(Members, owner=owner, **people, **life))
        tools = {"code": tool[users[leader]], "entity_type": ENTITY_TYPES.index(tool_type), "role": _TOOL}
        whole = frame(Members, owner=owner[leader], **tools, **life)
        members.append(take(whole, whole.code >= 0))
    return np.concatenate(classes), concat(Members, members)


def robbed_groups(ring_members: Members, *, first: int) -> tuple[np.ndarray, Members]:
    """The people whose cards one ring stole, innocent and yet tied to it, for every ring with two or more of them.

    Returns classes and members as `living_groups` does.
    """
    stolen = (ring_members.role == _VICTIM) & (ring_members.entity_type == _CARD)
    robbers, count = np.unique(ring_members.owner[stolen], return_counts=True)
    robbers = robbers[count >= 2]
    robbed = take(ring_members, (ring_members.role == _VICTIM) & np.isin(ring_members.owner, robbers))
    owner = first + np.searchsorted(robbers, robbed.owner)
    role = np.where(robbed.entity_type == _USER, _MEMBER, _TOOL)
    facts = {"entity_type": robbed.entity_type, "code": robbed.code, "time": robbed.time, "until": robbed.until}
    return np.full(len(robbers), "card_victims"), frame(Members, owner=owner, role=role, **facts)


def _ties(population: Population, *, stop: int) -> Iterator[tuple[np.ndarray, np.ndarray, str, np.ndarray]]:
    """What ties people: its code per user, the class per user, and what they share: its type and code per user."""
    everyone = len(population)
    families = np.where(population.flatmates, "flatmates", "family")
    yield population.household, families, "device", population.home_device
    yield population.workplace, np.where(population.campus, "campus", "office"), "device", population.work_device
    yield population.kiosk, np.full(everyone, "kiosk"), "device", population.kiosk
    households = np.bincount(population.home, np.diff(population.household, prepend=-1) != 0)
    block = np.where(households[population.home] > 1, population.home, -1)
    yield block, np.full(everyone, "apartment_house"), "address", population.home
    yield population.locker, np.full(everyone, "parcel_locker"), "address", population.locker
    yield population.carrier_ip, np.full(everyone, "cgnat"), "ip", population.carrier_ip
    phones = _used_phones(population, stop=stop)
    yield phones, np.full(len(phones), "resold_phone"), "device", phones


def _used_phones(population: Population, *, stop: int) -> np.ndarray:
    """First owners in the first half of the rows, later owners in the second, by the phone that both have used."""
    later = np.where(population.phone_change < stop, population.next_phone, -1)
    return np.concatenate([population.phone, later])


def _shared(codes: np.ndarray) -> np.ndarray:
    """Rows whose code, other than MISSING, at least one other row has too."""
    _, inverse, count = np.unique(codes, return_inverse=True, return_counts=True)
    return np.flatnonzero((codes >= 0) & (count[inverse] > 1))
