"""Who plays which part and when: ring accounts and innocent groups, laid out over people and time before they act."""

from __future__ import annotations

import numpy as np

from graphs.datasets.archetypes import ARCHETYPES
from graphs.datasets.frames import ENTITY_TYPES, Members, concat, take
from graphs.datasets.look_alikes import LOOK_ALIKES
from graphs.datasets.population import Accounts, Population
from graphs.datasets.rhythm import DAY, HOUR
from graphs.datasets.spec import WorldSpec
from graphs.datasets.staging import EVASION, Plan, Script, Stage

_SOLD_PHONES = 0.33
_FOREVER = np.iinfo(np.int64).max


def plan_rings(rng: np.random.Generator, spec: WorldSpec) -> tuple[list[Plan], Accounts]:
    """Rings in order of their archetypes' turns, and their accounts as the population must know them."""
    people = rng.permutation(spec.users)
    plans: list[Plan] = []
    joins, ends, rates, roots, used = [], [], [], [], 0
    kinds = _ring_kinds(rng, spec)
    for ring, name in enumerate(kinds):
        archetype, dial = ARCHETYPES[name], spec.evasion_of.get(name, spec.evasion)
        evasion, size = EVASION[dial], int(rng.integers(*archetype.members, endpoint=True))
        place, late = (ring + rng.random()) / len(kinds), spec.late.get(name, 0.0) * spec.days
        life = min(rng.uniform(*archetype.life_days) * evasion.stretch, spec.days / 2, 0.9 * (spec.days - late))
        start = spec.start_time + int((late + place * (spec.days - late - life)) * DAY)
        stop = start + int(life * DAY)
        plans.append(Plan(ring, name, people[used : used + size].astype(np.int32), start, stop, dial))
        used += size
        recruited = rng.random(size) < archetype.recruited
        aged = rng.exponential(evasion.aged_days + 200 * recruited, size) * DAY
        joins.append(start - HOUR - aged.astype(np.int64))
        gone = stop + (rng.exponential(15, size) * DAY).astype(np.int64)
        ends.append(np.where(recruited, _FOREVER, gone))
        rates.append(np.where(recruited, 0.9, evasion.camouflage))
        roots.append(recruited | (rng.random(size) < evasion.rooted))
    none = np.empty(0, dtype=np.int64)
    accounts = Accounts(
        users=people[:used],
        join=np.concatenate([none, *joins]),
        end=np.concatenate([none, *ends]),
        rate=np.concatenate([np.empty(0), *rates]),
        rooted=np.concatenate([np.empty(0, dtype=np.bool_), *roots]),
    )
    return plans, accounts


def plan_look_alikes(stage: Stage, spec: WorldSpec) -> list[Plan]:
    """Innocent groups that act, the classes in turn; a class that finds fewer than four users is left out."""
    plans: list[Plan] = []
    names = list(LOOK_ALIKES)
    for turn in range(spec.look_alikes):
        name = names[turn % len(names)]
        life = min(stage.rng.uniform(*LOOK_ALIKES[name].life_days), spec.days / 2)
        start = spec.start_time + int(stage.rng.random() * (spec.days - life) * DAY)
        users = LOOK_ALIKES[name].cast(stage, time=start)
        if len(users) >= 4:
            plans.append(Plan(len(plans), name, users, start, start + int(life * DAY)))
    return plans


def sell_ring_phones(stage: Stage, scripts: list[Script]) -> Population:
    """A third of the rings' own devices end as second-hand phones of honest people, who then look connected."""
    population, rng = stage.population, stage.rng
    tools = concat(Members, [script.members for script in scripts])
    own = (tools.entity_type == ENTITY_TYPES.index("device")) & (tools.code >= population.device_count)
    sold = take(tools, own & (rng.random(len(own)) < _SOLD_PHONES))
    times = sold.until + (rng.exponential(6, len(sold.code)) * DAY).astype(np.int64)
    buyers = rng.choice(stage.honest, len(sold.code), replace=False)
    return population.with_used_phones(sold.code, buyers, times)


def _ring_kinds(rng: np.random.Generator, spec: WorldSpec) -> list[str]:
    """The archetype of every ring: quotas instead of draws, so that a small world too has every one; shuffled, so that
    all are in all periods."""
    weights = {name: weight for name, weight in spec.archetypes.items() if weight > 0}
    share = np.array(list(weights.values())) / sum(weights.values())
    quota = np.floor(np.cumsum(share) * spec.rings + 0.5).astype(int)
    kinds: list[str] = rng.permutation(np.repeat(list(weights), np.diff(quota, prepend=0))).tolist()
    return kinds
