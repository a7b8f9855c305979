"""`Cast`: the entities of one ring as a small graph with places on paper: members, what they share, who stands by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphs.rings.dossier import Dossier
from graphs.rings.ground import Ground
from graphs.rings.layout import lay_out
from graphs.rings.roles import Roles

_MOST_VICTIMS, _MOST_HUBS = 12, 3
"""How many of those around a ring are shown with it."""


@dataclass(frozen=True)
class Node:
    """One entity: `part` member, identifier or peripheral; `role` of roles.py, identifier or unknown; `attachment` in
    [0, 1], for an identifier the share of members that use it; times µs UTC, of what it did inside the ring."""

    entity_type: str
    entity_id: str
    part: str
    role: str
    score: float | None
    attachment: float
    first_seen: int | None
    last_seen: int | None
    payments: int
    value: float


@dataclass(frozen=True)
class Edge:
    """Events between two nodes by their positions; `directed` where money went from source to target."""

    source: int
    target: int
    kind: str
    events: int
    value: float
    first_time: int
    last_time: int
    directed: bool


@dataclass(frozen=True)
class Cast:
    """`places` (nodes, 2) in [0, 1]."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    places: np.ndarray


def cast_of(ground: Ground, dossier: Dossier, roles: Roles, linking: np.ndarray) -> Cast:
    """Members first, then victims, then what ties the members, then hubs that would link if they were rarer."""
    victims = roles.victims[:_MOST_VICTIMS]
    actors = np.concatenate([dossier.members, victims]).astype(np.int64)
    hubs = dossier.hubs[ground.hubs.hub[dossier.hubs] & linking[dossier.hubs]]
    hubs = hubs[np.argsort(-ground.hubs.degree[hubs], kind="stable")][:_MOST_HUBS]
    things = np.concatenate([dossier.identifiers, hubs]).astype(np.int64)
    edges = [*_uses(ground, actors, things), *_transfers(ground, dossier, actors)]
    deeds = _Deeds.of(ground, dossier)
    nodes = [_account(ground, dossier, roles, deeds, place, code) for place, code in enumerate(actors.tolist())]
    nodes += [_thing(ground, dossier, roles, deeds, code, hub=code in hubs) for code in things.tolist()]
    left = np.array([edge.source for edge in edges], np.int64)
    right = np.array([edge.target for edge in edges], np.int64)
    return Cast(tuple(nodes), tuple(edges), lay_out(len(nodes), left, right))


@dataclass(frozen=True)
class _Deeds:
    """A ring's events, flows and ties by who or what they are of, so that a large ring costs no square."""

    acted: _ByCode
    sent: _ByCode
    received: _ByCode
    ties: _ByCode
    shared: _ByCode

    @classmethod
    def of(cls, ground: Ground, dossier: Dossier) -> _Deeds:
        return cls(
            _ByCode(ground.actors, dossier.events),
            _ByCode(ground.flows.source, dossier.flows),
            _ByCode(ground.flows.target, dossier.flows),
            _ByCode(ground.ties.actor, dossier.ties),
            _ByCode(ground.ties.identifier, dossier.ties),
        )


class _ByCode:
    """`of(code)`: those of the given rows whose code it is, in their order."""

    def __init__(self, codes: np.ndarray, rows: np.ndarray) -> None:
        order = np.argsort(codes[rows], kind="stable")
        self._rows, self._codes = rows[order], codes[rows][order]

    def of(self, code: int) -> np.ndarray:
        low, high = np.searchsorted(self._codes, [code, code + 1])
        return self._rows[low:high]


def _uses(ground: Ground, actors: np.ndarray, things: np.ndarray) -> list[Edge]:
    ties, log, window = ground.ties, ground.window.log, ground.window
    place = {int(code): at for at, code in enumerate(actors.tolist())}
    found = []
    for at, thing in enumerate(things.tolist()):
        low, high = np.searchsorted(ties.identifier, [thing, thing + 1])
        for row in range(low, high):
            if int(ties.actor[row]) in place:
                kind = log.event_types[log.event_type[window.events[ties.latest[row]]]]
                found.append(
                    Edge(
                        place[int(ties.actor[row])], len(actors) + at, kind, int(ties.events[row]),
                        float(ties.value[row]), int(ties.first[row]), int(ties.last[row]), directed=False,
                    )
                )  # fmt: skip
    return found


def _transfers(ground: Ground, dossier: Dossier, actors: np.ndarray) -> list[Edge]:
    """Money between two actors, summed up per direction."""
    window, log = ground.window, ground.window.log
    place = {int(code): at for at, code in enumerate(actors.tolist())}
    sums: dict[tuple[int, int], list[int]] = {}
    for flow in dossier.flows.tolist():
        pair = int(ground.flows.source[flow]), int(ground.flows.target[flow])
        if pair[0] in place and pair[1] in place:
            sums.setdefault((place[pair[0]], place[pair[1]]), []).append(int(ground.flows.event[flow]))
    return [
        Edge(
            source, target, log.event_types[log.event_type[window.events[events[0]]]], len(events),
            float(np.abs(window.amount[events]).sum()), int(window.time[events].min()),
            int(window.time[events].max()), directed=True,
        )
        for (source, target), events in sorted(sums.items())
    ]  # fmt: skip


def _account(ground: Ground, dossier: Dossier, roles: Roles, deeds: _Deeds, place: int, code: int) -> Node:
    window, member = ground.window, place < len(dossier.members)
    sent, received, acted = deeds.sent.of(code), deeds.received.of(code), deeds.acted.of(code)
    flows = ground.flows.event[np.concatenate([sent, received])]
    seen = np.concatenate([window.time[acted], window.time[flows]])
    ties = deeds.ties.of(code)
    seen = np.concatenate([seen, ground.ties.first[ties], ground.ties.last[ties]])
    return Node(
        entity_type=ground.parties.actor,
        entity_id=window.log.entity_ids[ground.parties.actor][code].as_py(),
        part="member" if member else "peripheral",
        role=roles.of_members[place] if member else "victim",
        score=float(ground.suspicion.actor[code]) if ground.suspicion.scored else None,
        attachment=float(dossier.attachment[place]) if member else 0.0,
        first_seen=int(seen.min()) if len(seen) else None,
        last_seen=int(seen.max()) if len(seen) else None,
        payments=len(acted) if member else len(sent),
        value=float(np.abs(window.amount[acted if member else ground.flows.event[sent]]).sum()),
    )


def _thing(ground: Ground, dossier: Dossier, roles: Roles, deeds: _Deeds, code: int, *, hub: bool) -> Node:
    kind, key = ground.parties.name(ground.window.log, code)
    ties = deeds.shared.of(code)
    role = "insider" if code in roles.insiders else "identifier"
    return Node(
        entity_type=kind,
        entity_id=key,
        part="peripheral" if hub else "identifier",
        role=role,
        score=None,
        attachment=len(ties) / len(dossier.members),
        first_seen=int(ground.ties.first[ties].min()) if len(ties) else None,
        last_seen=int(ground.ties.last[ties].max()) if len(ties) else None,
        payments=int(ground.ties.events[ties].sum()),
        value=float(ground.ties.value[ties].sum()),
    )
