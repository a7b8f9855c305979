"""Habits of entities: worked by hand, then against the definitions read off one event at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from graphs.behaviour import BehaviourSpec, FeatureTable, entity_features
from graphs.events import MISSING, EventLog
from graphs.temporal_graph import TemporalGraph

_HOUR = 3_600_000_000
_SPEC = BehaviourSpec(windows_hours=(2, 24), families=("habits",))


def habits_of(log: EventLog, kind: str, entities: list[int], hours: list[float]) -> FeatureTable:
    times = np.array([int(hour * _HOUR) for hour in hours])
    return entity_features(TemporalGraph.build(log), _SPEC, kind, np.array(entities, np.int32), times)


def payment(number: int, hour: float, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "payment", "time": int(hour * _HOUR), **more}


def test_amounts_gaps_and_the_busiest_hours_by_hand(log_from_rows: Callable[..., EventLog]) -> None:
    amounts = {1: 100.0, 2: 100.0, 2.5: 12.5, 30: 7.0}
    log = log_from_rows([payment(int(2 * h), h, sender="u1", amount=a) for h, a in amounts.items()])
    table = habits_of(log, "user", [0], [31])
    found = {
        name.split(".")[1].removesuffix("_payment_as_sender"): value
        for name, value in zip(table.names, table.values[0].tolist(), strict=True)
    }
    assert (found["mean"], found["max"], found["min"]) == (54.875, 100.0, 7.0)
    assert (found["round_share"], found["whole_share"], found["repeat_share"]) == (0.5, 0.75, 0.25)
    assert (found["gap_min"], found["seconds_since_first"]) == (1800.0, 30 * 3600.0)
    assert (found["busiest_count_2h"], found["busiest_sum_2h"], found["busiest_count_1d"]) == (3.0, 212.5, 3.0)


def test_who_else_holds_what_it_uses(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [payment(0, 1, sender="u1", card="c1"), payment(1, 2, sender="u1", card="c2")]
    rows += [payment(2 + n, 3 + n, sender=f"u{2 + n}", card="c1") for n in range(3)]
    table = habits_of(log_from_rows(rows), "user", [0, 0, 0], [2.5, 4.5, 9])
    assert table.column("user.shared_card").tolist() == [0.0, 1.0, 1.0]
    assert table.column("user.others_card").tolist() == [0.0, 2.0, 3.0]


def test_nobody_and_somebody_without_a_past_have_none(log_from_rows: Callable[..., EventLog]) -> None:
    log = log_from_rows([payment(0, 1, sender="u1", amount=3.0)])
    assert np.isnan(habits_of(log, "user", [MISSING, 0], [9, 1]).values).all()


def test_a_type_without_a_role_has_no_habits(log_from_rows: Callable[..., EventLog]) -> None:
    shop = {"type": "shop", "id": "s", "known": 0, "tier": "gold", "limit": 1.0}
    assert habits_of(log_from_rows([payment(0, 1, sender="u1")], [shop]), "shop", [0], [9]).names == ()


@pytest.mark.parametrize("seed", range(3))
def test_every_habit_equals_its_definition(seed: int, random_log: Callable[..., EventLog]) -> None:
    log = random_log(seed)
    entities = list(range(len(log.entity_ids["user"])))
    table = habits_of(log, "user", entities, [200.0] * len(entities))
    for entity in entities:
        expected = dict(twin(log, entity, 200 * _HOUR))
        row = [expected.get(name.split(".")[1], math.nan) for name in table.names]
        np.testing.assert_allclose(table.values[entity], row, 1e-4, 1e-4)


def twin(log: EventLog, user: int, now: int) -> Iterator[tuple[str, float]]:
    slots = [slot for slot, role in enumerate(log.roles) if role.entity_type == "user"]
    past = sorted((e for e in range(len(log)) if log.visible_time[e] < now), key=lambda e: (log.visible_time[e], e))
    for slot in slots:
        for kind, name in enumerate(log.event_types):
            way = f"_{name}_as_{log.roles[slot].name}"
            mine = [e for e in past if log.entities[e, slot] == user and log.event_type[e] == kind]
            yield from ((what + way, value) for what, value in of_way(log, mine, now))
    for kind in ("card", "device"):
        column = [role.name for role in log.roles].index(kind)
        met = {(int(log.entities[e, s]), int(log.entities[e, column])) for e in past for s in slots}
        held = {thing for who, thing in met if who == user and thing != MISSING}
        others = [len({who for who, what in met if what == thing and who not in (user, MISSING)}) for thing in held]
        if any(who == user for who, _ in met) and held:
            yield from ((f"shared_{kind}", float(sum(n > 0 for n in others))), (f"others_{kind}", float(max(others))))


def of_way(log: EventLog, mine: list[int], now: int) -> Iterator[tuple[str, float]]:
    if not mine:
        return
    when, paid = log.visible_time[mine].astype(float), log.amount[mine].astype(float)
    there = paid[~np.isnan(paid)]
    if len(there):
        yield from (("mean", there.mean()), ("max", there.max()), ("min", there.min()))
        repeats = float((there[1:] == there[:-1]).sum())
        shares = ((there % 50 == 0).sum(), (there % 1 == 0).sum(), repeats)
        yield from zip(("round_share", "whole_share", "repeat_share"), (s / len(there) for s in shares), strict=True)
    angle = when % (24 * _HOUR) / (24 * _HOUR) * 2 * math.pi
    yield from (("hour_sin", np.sin(angle).mean()), ("hour_cos", np.cos(angle).mean()))
    gaps = np.diff(when) / 1e6
    if len(gaps):
        yield from (("gap_mean", np.expm1(np.log1p(gaps).mean())), ("gap_min", gaps.min()))
    yield "seconds_since_first", (now - when[0]) / 1e6
    for hours, suffix in zip(_SPEC.windows_hours, ("2h", "1d"), strict=True):
        windows = [(when >= end - hours * _HOUR) & (when <= end) & (np.arange(len(when)) <= n)
                   for n, end in enumerate(when)]  # fmt: skip
        yield f"busiest_count_{suffix}", float(max(window.sum() for window in windows))
        yield f"busiest_sum_{suffix}", max(0.0, *(np.nansum(paid[window]) for window in windows))
