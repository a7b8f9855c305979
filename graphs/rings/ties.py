"""`Ties`: which account used which identifier, how often, how suspiciously, since when; and who sent money to whom.

This is the graph that everything after works on. A device in an event belongs to whoever acted, the event's first
account: the receiver of a transfer never touched the sender's phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from graphs.errors import ConfigError
from graphs.events import MISSING, EventLog
from graphs.rings.window import Window

_PEOPLE = ("user", "account", "customer", "source")
"""Entity types that are taken for the suspects, the first that there is."""


@dataclass(frozen=True)
class Parties:
    """Who can be in a ring and what can link them.

    `actor`: the entity type of suspects; `identifiers`: the other types, in the log's order; `offsets`
    (identifiers + 1,) int64: an identifier's number is its code plus the offset of its type.
    """

    actor: str
    identifiers: tuple[str, ...]
    offsets: np.ndarray

    @classmethod
    def of(cls, log: EventLog, actor: str | None) -> Parties:
        """The parties of a log; without `actor`, users or accounts, else the type of the first role."""
        types = log.entity_types
        if actor is not None and actor not in types:
            raise ConfigError(f"finder.actor: no entities of type '{actor}'; there are: {', '.join(types)}")
        known = [kind for kind in _PEOPLE if kind in types]
        chosen = actor or (known or [log.roles[0].entity_type])[0]
        identifiers = tuple(kind for kind in types if kind != chosen)
        counts = [len(log.entity_ids[kind]) for kind in identifiers]
        return cls(chosen, identifiers, np.cumsum([0, *counts]).astype(np.int64))

    def type_of(self, identifiers: np.ndarray) -> np.ndarray:
        """Position in `identifiers` of each number's type."""
        return np.searchsorted(self.offsets, identifiers, side="right") - 1

    def name(self, log: EventLog, identifier: int) -> tuple[str, str]:
        """(type, the caller's key) of one identifier."""
        place = int(self.type_of(np.array([identifier]))[0])
        kind = self.identifiers[place]
        return kind, log.entity_ids[kind][int(identifier - self.offsets[place])].as_py()


@dataclass(frozen=True)
class Uses:
    """One row per event and identifier in it: `event` (positions in the window), `actor`, `identifier`, all (uses,)."""

    event: np.ndarray
    actor: np.ndarray
    identifier: np.ndarray


@dataclass(frozen=True)
class Ties:
    """One row per (actor, identifier) that met, sorted by identifier, then actor.

    `events` (ties,) how many; `mass` (ties,) the same, decayed; `value` (ties,) money in them, refunds counted as
    money, too; `score` (ties,) in [0, 1], how suspicious they were; `first`, `last` (ties,) int64 µs; `latest`
    (ties,) position in the window of the last event.
    """

    actor: np.ndarray
    identifier: np.ndarray
    events: np.ndarray
    mass: np.ndarray
    value: np.ndarray
    score: np.ndarray
    first: np.ndarray
    last: np.ndarray
    latest: np.ndarray

    def where(self, kept: np.ndarray) -> Ties:
        """The ties for which `kept` (ties,) bool holds."""
        return Ties(*(getattr(self, column.name)[kept] for column in fields(self)))


@dataclass(frozen=True)
class Flows:
    """One row per event between two actors, in time order: `event` (position in the window), `source`, `target`."""

    event: np.ndarray
    source: np.ndarray
    target: np.ndarray


def acting(window: Window, parties: Parties) -> np.ndarray:
    """Who acted in each event: (n,) codes of the first role of the actor's type that is filled."""
    found = np.full(len(window.events), MISSING, np.int32)
    for slot in reversed(_slots(window.log, parties.actor)):
        codes = window.of_role(slot)
        found = np.where(codes == MISSING, found, codes)
    return found


def uses_of(window: Window, parties: Parties, actors: np.ndarray) -> Uses:
    """Every identifier of every event, with the actor to whom it belongs there."""
    events, identifiers = [], []
    for slot, role in enumerate(window.log.roles):
        if role.entity_type != parties.actor:
            codes = window.of_role(slot)
            there = np.flatnonzero((codes != MISSING) & (actors != MISSING))
            events.append(there)
            identifiers.append(codes[there] + parties.offsets[parties.identifiers.index(role.entity_type)])
    event = _joined(events)
    return Uses(event, actors[event], _joined(identifiers))


def flows_of(window: Window, parties: Parties) -> Flows:
    """Every event that joins two different actors, from the earlier role to the later."""
    slots = _slots(window.log, parties.actor)
    events, sources, targets = [], [], []
    for place, left in enumerate(slots):
        for right in slots[place + 1 :]:
            source, target = window.of_role(left), window.of_role(right)
            there = np.flatnonzero((source != MISSING) & (target != MISSING) & (source != target))
            events.append(there)
            sources.append(source[there])
            targets.append(target[there])
    event = _joined(events)
    order = np.argsort(event, kind="stable")
    return Flows(event[order], _joined(sources)[order], _joined(targets)[order])


def tie(window: Window, uses: Uses, event_score: np.ndarray) -> Ties:
    """Sum up the uses of each (actor, identifier); `event_score` (n,) in [0, 1] by event of the window.

    A tie is as suspicious as the mean of its worst event and of all its events: one bad payment tells, a hundred good
    ones beside it tell too.
    """
    # int32 actors fit below 2**31: one sort by a joint key instead of two. Columns of all uses are large: each goes as
    # soon as it has served.
    key = uses.identifier << 31 | uses.actor
    order = np.argsort(key, kind="stable")
    key, event = key[order], uses.event[order]
    del order
    starts = np.flatnonzero(np.diff(key, prepend=-1)) if len(key) else np.empty(0, np.int64)
    if not len(starts):
        none = np.empty(0, np.int64)
        return Ties(none, none, none, np.empty(0), np.empty(0), np.empty(0), none, none, none)
    events = np.diff(starts, append=len(key))
    actor, identifier = key[starts] & ((1 << 31) - 1), key[starts] >> 31
    del key
    score = event_score[event]
    worst, mean = np.maximum.reduceat(score, starts), np.add.reduceat(score, starts) / events
    del score
    time = window.time[event]
    first, last = np.minimum.reduceat(time, starts), np.maximum.reduceat(time, starts)
    del time
    return Ties(
        actor=actor,
        identifier=identifier,
        events=events,
        mass=np.add.reduceat(window.decay[event], starts),
        value=np.add.reduceat(np.abs(window.amount)[event], starts),
        score=(worst + mean) / 2,
        first=first,
        last=last,
        latest=np.maximum.reduceat(event, starts),  # events stand in time order
    )


def degrees(ties: Ties, count: int) -> np.ndarray:
    """How many actors used each identifier: (count,) int64."""
    return np.bincount(ties.identifier, minlength=count)


def _slots(log: EventLog, kind: str) -> list[int]:
    return [slot for slot, role in enumerate(log.roles) if role.entity_type == kind]


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)
