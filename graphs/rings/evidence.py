"""Evidence in plain words: what ties a ring together, what its money did, and why it may be innocent after all.

People who are given a bare score decide worse. Each line names one thing that can be looked up, with how many
others share it and since when.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from graphs.rings.bursts import Bursts
from graphs.rings.chains import Passes
from graphs.rings.dossier import Dossier
from graphs.rings.ground import Ground
from graphs.rings.roles import MULE, Roles

_MOST_SHARED = 8
_EPOCH_DAY = "datetime64[D]"


@dataclass(frozen=True)
class Evidence:
    """One line: `kind` as in the contract of evidence.parquet, `text`, and the thing it speaks of, if it is one.

    `value`: a number that goes with it (money, a count, a probability); `others`: accounts outside the ring that
    share the thing; `since` µs UTC.
    """

    kind: str
    text: str
    entity_type: str | None = None
    entity_id: str | None = None
    value: float | None = None
    others: int | None = None
    since: int | None = None


def evidence_for(
    ground: Ground, dossier: Dossier, roles: Roles, bursts: Bursts, passes: Passes, *, p_ring: float
) -> list[Evidence]:
    """All lines on one ring, the strongest kind first and what speaks for innocence last."""
    return [
        *_shared(ground, dossier),
        *_money_flow(ground, dossier, roles, passes),
        *_bursts(ground, dossier, bursts),
        *_known_fraud(ground, dossier),
        *_scores(ground, dossier, p_ring),
        *_timing(ground, dossier),
        *_exculpatory(ground, dossier, roles),
    ]


def day(time: int) -> str:
    """`2025-03-01` of µs UTC."""
    return str(np.datetime64(time, "us").astype(_EPOCH_DAY))


def _shared(ground: Ground, dossier: Dossier) -> Iterator[Evidence]:
    order = np.lexsort((dossier.identifiers, -dossier.users))
    for place in order[:_MOST_SHARED].tolist():
        identifier, users = int(dossier.identifiers[place]), int(dossier.users[place])
        ties = dossier.ties[ground.ties.identifier[dossier.ties] == identifier]
        kind, key = ground.parties.name(ground.window.log, identifier)
        others = int(ground.hubs.degree[identifier]) - users
        first, last = int(ground.ties.first[ties].min()), int(ground.ties.last[ties].max())
        beside = "and nobody else" if others == 0 else f"and {_count(others, 'other account')}"
        text = (
            f"{users} of {len(dossier.members)} members used {kind} {key} {beside}, "
            f"{_count(int(ground.ties.events[ties].sum()), 'time')} from {day(first)} to {day(last)}"
        )
        yield Evidence("shared_identifier", text, kind, key, float(users), others, first)
    if len(order) > _MOST_SHARED:
        more = len(order) - _MOST_SHARED
        yield Evidence("shared_identifier", f"{more} further identifiers are shared by members", value=float(more))


def _money_flow(ground: Ground, dossier: Dossier, roles: Roles, passes: Passes) -> Iterator[Evidence]:
    out = passes.outgoing[dossier.passes]
    if len(out):
        incoming = passes.incoming[dossier.passes]
        amount = ground.window.amount[ground.flows.event]
        time = ground.window.time[ground.flows.event]
        hours = np.median(time[out] - time[incoming]) / 3.6e9
        kept = amount[out].sum() / max(amount[incoming].sum(), 1e-9)
        text = (
            f"{_count(len(np.unique(ground.flows.source[out])), 'member')} passed on {_count(len(out), 'transfer')}, "
            f"typically within {hours:.1f} hours and {kept:.0%} of the amount, {amount[out].sum():,.2f} in all"
        )
        yield Evidence("money_flow", text, value=float(amount[out].sum()), since=int(time[incoming].min()))
    source, target = ground.flows.source[dossier.flows], ground.flows.target[dossier.flows]
    into = np.isin(target, dossier.members) & ~np.isin(source, dossier.members)
    if MULE in roles.of_members and into.any():
        total = float(ground.window.amount[ground.flows.event[dossier.flows[into]]].sum())
        senders = len(np.unique(source[into]))
        text = f"{_count(senders, 'account')} outside sent {total:,.2f} to members"
        yield Evidence("money_flow", text, value=total)


def _bursts(ground: Ground, dossier: Dossier, bursts: Bursts) -> Iterator[Evidence]:
    if not len(dossier.bursts):
        return
    identifiers, counts = np.unique(bursts.identifier[dossier.bursts], return_counts=True)
    for place in np.lexsort((identifiers, -counts))[:3].tolist():
        identifier, times = int(identifiers[place]), int(counts[place])
        kind, key = ground.parties.name(ground.window.log, identifier)
        at = dossier.bursts[bursts.identifier[dossier.bursts] == identifier]
        people = len(np.unique(np.concatenate([bursts.left[at], bursts.right[at]])))
        first = int(ground.window.time[bursts.event[at]].min())
        text = (
            f"{people} members met within minutes of each other at {kind} {key}, {_count(times, 'time')}, where on "
            f"an ordinary day nobody follows so soon"
        )
        yield Evidence("burst", text, kind, key, float(times), since=first)


def _known_fraud(ground: Ground, dossier: Dossier) -> Iterator[Evidence]:
    fraud = dossier.events[ground.window.label[dossier.events] == 1]
    if len(fraud):
        total = float(np.abs(ground.window.amount[fraud]).sum())  # refunds move money, too
        first = int(ground.window.time[fraud].min())
        text = f"{_count(len(fraud), 'payment')} inside are confirmed fraud, {total:,.2f} in all, since {day(first)}"
        yield Evidence("known_fraud", text, value=total, since=first)


def _scores(ground: Ground, dossier: Dossier, p_ring: float) -> Iterator[Evidence]:
    suspicion = ground.suspicion.actor[dossier.members]
    if ground.suspicion.scored:
        high = int((suspicion >= 0.5).sum())
        text = f"{high} of {len(suspicion)} members have a fraud score of one half or more; P(ring) is {p_ring:.2f}"
        yield Evidence("score", text, value=float(p_ring))
    else:
        yield Evidence(
            "score", f"found by structure alone, no scores were given; P(ring) is {p_ring:.2f}", value=p_ring
        )


def _timing(ground: Ground, dossier: Dossier) -> Iterator[Evidence]:
    if len(dossier.events):
        time = ground.window.time[dossier.events]
        recent = int((time >= ground.window.as_of - 14 * 86_400_000_000).sum())
        text = (
            f"{_count(len(time), 'event')} inside from {day(int(time.min()))} to {day(int(time.max()))}, "
            f"{recent} of them in the last 14 days"
        )
        yield Evidence("timing", text, value=float(len(time)), since=int(time.min()))


def _exculpatory(ground: Ground, dossier: Dossier, roles: Roles) -> Iterator[Evidence]:
    """What an honest explanation would build on."""
    for hub in dossier.hubs[np.argsort(-ground.hubs.degree[dossier.hubs], kind="stable")][:3].tolist():
        kind, key = ground.parties.name(ground.window.log, hub)
        degree = int(ground.hubs.degree[hub])
        if ground.hubs.hub[hub]:
            cap = int(ground.hubs.cap[hub])
            text = f"members share {kind} {key}, too, but so do {degree} accounts (more than {cap}): it was not counted"
            yield Evidence("exculpatory", text, kind, key, float(cap), degree)
    clean = int((ground.window.label[dossier.events] == 0).sum())
    if clean:
        text = f"{_count(clean, 'payment')} inside were never complained of and count as clean by now"
        yield Evidence("exculpatory", text, value=float(clean))
    low = int((ground.suspicion.actor[dossier.members] < 0.1).sum())
    if ground.suspicion.scored and low:
        yield Evidence("exculpatory", f"{_count(low, 'member')} score below 0.1 alone", value=float(low))
    if len(dossier.identifiers) == 1 and len(dossier.members) <= 5 and not len(dossier.passes):
        yield Evidence("exculpatory", "a household or flat sharing one thing would look the same")
    if len(roles.victims):
        text = f"{_count(len(roles.victims), 'account')} around the ring look like its victims and are not counted in"
        yield Evidence("exculpatory", text, value=float(len(roles.victims)))


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
