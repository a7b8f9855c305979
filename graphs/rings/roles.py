"""Roles: who in a ring is victim, mule, organiser or insider, as far as behaviour tells; else just a member.

The one that matters most is *victim*: an account whose card or password was stolen hangs in the middle of the ring
and must not be treated as part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphs.events import MICROSECONDS_PER_DAY
from graphs.rings.chains import Passes
from graphs.rings.dossier import Dossier
from graphs.rings.ground import Ground

VICTIM, MULE, ORGANISER, MEMBER = "victim", "mule", "organiser", "member"


@dataclass(frozen=True)
class Roles:
    """`of_members` (m,) text for `dossier.members`; `victims`: accounts outside the members whose money or card the
    ring took; `insiders`: identifiers (merchants) at which the ring's payments gather."""

    of_members: list[str]
    victims: np.ndarray
    insiders: np.ndarray


def tell_roles(ground: Ground, dossier: Dossier, passes: Passes, linking: np.ndarray) -> Roles:
    """Tell what can be told.

    A mule passes money on, or receives from two or more outsiders. The organiser is where passed-on money ends, else
    whoever was first on most of what the ring shares, if one account was. A victim sent money into the ring and got
    none back, or owned a card before the ring used it and never met it elsewhere.
    """
    flows, members = ground.flows, dossier.members
    source, target = flows.source[dossier.flows], flows.target[dossier.flows]
    sends_in = ~np.isin(source, members) & np.isin(target, members)
    passed = np.bincount(
        np.searchsorted(members, flows.source[passes.outgoing[dossier.passes]]), minlength=len(members)
    )
    outsiders = np.array([len(np.unique(source[sends_in & (target == member)])) for member in members])
    mule = (passed > 0) | (outsiders >= 2)
    roles = np.where(mule, MULE, MEMBER).astype(object)
    organiser = _organiser(ground, dossier, passed)
    if organiser is not None:
        roles[organiser] = ORGANISER
    suspicious = ground.suspicion.event[flows.event[dossier.flows]] >= 0.3
    into_mules = sends_in & np.isin(target, members[mule]) & (suspicious | ~np.array(ground.suspicion.scored))
    victims = np.setdiff1d(source[into_mules], target[np.isin(source, members)])
    return Roles(roles.tolist(), np.union1d(victims, _robbed(ground, dossier)), _insiders(ground, dossier, linking))


def _organiser(ground: Ground, dossier: Dossier, passed: np.ndarray) -> int | None:
    """Position in the members of the one who stands out, or None."""
    members = dossier.members
    if passed.sum() >= 2:
        ends = np.isin(ground.flows.source[dossier.flows], members[passed > 0])
        received = np.isin(members, ground.flows.target[dossier.flows[ends]]) & (passed == 0)
        return int(np.flatnonzero(received)[0]) if received.sum() == 1 else None
    ties = dossier.ties[np.isin(ground.ties.identifier[dossier.ties], dossier.identifiers)]
    order = np.lexsort((ground.ties.first[ties], ground.ties.identifier[ties]))
    ties = ties[order]
    first = np.flatnonzero(np.diff(ground.ties.identifier[ties], prepend=-1))
    counts = np.bincount(np.searchsorted(members, ground.ties.actor[ties[first]]), minlength=len(members))
    best = np.sort(counts)[::-1]
    return int(counts.argmax()) if len(best) > 1 and best[0] >= 2 and best[0] >= 2 * best[1] else None


def _robbed(ground: Ground, dossier: Dossier) -> np.ndarray:
    """Accounts outside the ring that used one of its cards well before any member did: the cards were stolen.

    Only cards: who had the phone or visited the shop before is a seller or a customer.
    """
    found = []
    kinds = np.array([*ground.parties.identifiers, ""])[ground.parties.type_of(dossier.identifiers)]
    for identifier in dossier.identifiers[kinds == "card"].tolist():
        low, high = np.searchsorted(ground.ties.identifier, [identifier, identifier + 1])
        actor, first = ground.ties.actor[low:high], ground.ties.first[low:high]
        inside = np.isin(actor, dossier.members)
        if not inside.all() and inside.any():
            found.append(actor[~inside & (first < first[inside].min() - MICROSECONDS_PER_DAY)])
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _insiders(ground: Ground, dossier: Dossier, linking: np.ndarray) -> np.ndarray:
    """What doesn't link by itself and still sees half the members, who make up most of its business."""
    candidates = dossier.identifiers[~linking[dossier.identifiers]]
    found = []
    for identifier in candidates.tolist():
        low, high = np.searchsorted(ground.ties.identifier, [identifier, identifier + 1])
        inside = np.isin(ground.ties.actor[low:high], dossier.members)
        mass = ground.ties.events[low:high]
        if inside.sum() * 2 >= len(dossier.members) and mass[inside].sum() >= 0.5 * mass.sum():
            found.append(identifier)
    return np.array(found, np.int64)
