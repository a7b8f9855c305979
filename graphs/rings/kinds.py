"""What kind of ring it looks like: a best guess from what its members did, for a headline and a filter."""

from __future__ import annotations

import numpy as np

from graphs.rings.dossier import Dossier
from graphs.rings.ground import Ground
from graphs.rings.roles import Roles


def guess_kind(ground: Ground, dossier: Dossier, roles: Roles) -> str:
    """One of the kinds of rings.parquet; the first rule that fits, `unknown` if none does."""
    members, users = dossier.members, len(dossier.members)
    types = np.array([*ground.parties.identifiers, ""])[ground.parties.type_of(dossier.identifiers)]
    source, target = ground.flows.source[dossier.flows], ground.flows.target[dossier.flows]
    into = np.isin(target, members) & ~np.isin(source, members)
    passing = len(np.unique(ground.flows.source[dossier.flows][np.isin(source, members) & np.isin(target, members)]))
    amount, events = ground.window.amount[dossier.events], len(dossier.events)
    devices, cards = int((types == "device").sum()), int((types == "card").sum())
    if len(roles.insiders):
        return "collusive_merchant"
    if _gathers(ground, dossier):
        return "fan_in"
    if len(dossier.passes) >= 2 and passing * 2 >= users:
        return "mule_chain"
    if len(np.unique(source[into])) >= 2 * users and devices:
        return "takeover"
    if len(np.unique(source[into])) >= 2 * users:
        return "fan_in"
    if events and (amount < 0).mean() > 0.3:
        return "refund"
    if cards > devices and cards >= users and events and (np.abs(amount) < 5).mean() > 0.15:
        return "card_testing"
    if events and _late_burst(ground, dossier):
        return "bust_out"
    return "device_farm" if devices else "unknown"


def _gathers(ground: Ground, dossier: Dossier) -> bool:
    """Whether three or more members, and more than half of all, send to one and the same member."""
    source, target = ground.flows.source[dossier.flows], ground.flows.target[dossier.flows]
    inside = np.isin(source, dossier.members) & np.isin(target, dossier.members)
    pairs = np.unique(np.stack([target[inside], source[inside]]), axis=1)
    widest = int(np.unique(pairs[0], return_counts=True)[1].max(initial=0))
    return widest >= 3 and widest * 2 > len(dossier.members)


def _late_burst(ground: Ground, dossier: Dossier) -> bool:
    """Whether most of the money went within the last fifth of the ring's life, which lasted a month or more."""
    time, amount = ground.window.time[dossier.events], np.abs(ground.window.amount[dossier.events])
    span = int(time[-1] - time[0])
    late = amount[time >= time[-1] - span // 5].sum()
    return span >= 30 * 86_400_000_000 and late >= 0.6 * max(amount.sum(), 1e-9)
