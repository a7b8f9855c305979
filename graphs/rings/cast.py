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
    nodes = [_account(ground, dossier, roles, place, int(code)) for place, code in enumerate(actors.tolist())]
    nodes += [_thing(ground, dossier, roles, int(code), hubs) for code in things.tolist()]
    left = np.array([edge.source for edge in edges], np.int64)
    right = np.array([edge.target for edge in edges], np.int64)
    return Cast(tuple(nodes), tuple(edges), lay_out(len(nodes), left, right))


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


def _account(ground: Ground, dossier: Dossier, roles: Roles, place: int, code: int) -> Node:
    window, member = ground.window, place < len(dossier.members)
    sent = dossier.flows[ground.flows.source[dossier.flows] == code]
    received = dossier.flows[ground.flows.target[dossier.flows] == code]
    acted = dossier.events[ground.actors[dossier.events] == code]
    flows = ground.flows.event[np.concatenate([sent, received])]
    seen = np.concatenate([window.time[acted], window.time[flows]])
    ties = dossier.ties[ground.ties.actor[dossier.ties] == code]
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


def _thing(ground: Ground, dossier: Dossier, roles: Roles, code: int, hubs: np.ndarray) -> Node:
    kind, key = ground.parties.name(ground.window.log, code)
    ties = dossier.ties[ground.ties.identifier[dossier.ties] == code]
    role = "insider" if code in roles.insiders else "identifier"
    return Node(
        entity_type=kind,
        entity_id=key,
        part="peripheral" if code in hubs else "identifier",
        role=role,
        score=None,
        attachment=len(ties) / len(dossier.members),
        first_seen=int(ground.ties.first[ties].min()) if len(ties) else None,
        last_seen=int(ground.ties.last[ties].max()) if len(ties) else None,
        payments=int(ground.ties.events[ties].sum()),
        value=float(ground.ties.value[ties].sum()),
    )
