"""Behaviour features: worked by hand, then every one of them against a naive quadratic twin on random logs."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import numpy as np
import pytest

from graphs.behaviour import FAMILIES, BehaviourSpec, behaviour_features, entity_features
from graphs.errors import ConfigError, NotFoundError
from graphs.events import MISSING, UNLABELLED, EventLog
from graphs.temporal_graph import TemporalGraph

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_SPEC = BehaviourSpec(families=(*FAMILIES, "streaks", "usual"))
_NEVER_MET = float("nan")


def _payment(number: int, day: float, amount: float, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "payment", "time": int(day * _DAY), "amount": amount, **more}


def _column(log: EventLog, name: str) -> list[float]:
    return behaviour_features(TemporalGraph.build(log), _SPEC).column(name).tolist()


class Twin:
    """The definitions, read off one event at a time."""

    def __init__(self, log: EventLog) -> None:
        self.log, self.visible = log, log.visible_time
        self.usable = {
            event: max(int(log.label_known_time[event]), int(self.visible[event]) + 1)
            for event in range(len(log))
            if log.label[event] != UNLABELLED
        }

    def columns(self, kind: str) -> list[int]:
        return [place for place, role in enumerate(self.log.roles) if role.entity_type == kind]

    def past(self, kind: str, entity: int, now: int, length: float = math.inf) -> list[int]:
        events = [
            event
            for event in range(len(self.log))
            if now - length <= self.visible[event] < now
            and any(self.log.entities[event, place] == entity for place in self.columns(kind))
        ]
        return sorted(events, key=lambda event: (self.visible[event], event))

    def entity(self, kind: str, entity: int, now: int) -> dict[str, float]:
        found: dict[str, float] = {}
        for suffix, length in self._windows(_SPEC.windows_hours):
            found |= {k + suffix: v for k, v in self._window(kind, entity, now, length).items()}
        for suffix, length in self._windows(_SPEC.label_windows_hours):
            found |= {k + suffix: v for k, v in self._labels(kind, entity, now, length).items()}
        found |= self.streak(kind, entity, now)
        found |= self.largest(kind, entity, now)
        past = self.past(kind, entity, now)
        paid = [self.log.amount[event] for event in past if not math.isnan(self.log.amount[event])]
        found["max"] = max(paid, default=math.nan)
        found["std"] = float(np.std(paid, ddof=1)) if len(paid) > 1 else math.nan
        found["seconds_since_last"] = (now - self.visible[past[-1]]) / 1e6 if past else math.nan
        found["age_seconds"] = (now - self.visible[past[0]]) / 1e6 if past else math.nan
        for code, name in enumerate(self.log.event_types):
            found[f"count_{name}"] = sum(self.log.event_type[event] == code for event in past)
        return found

    def streak(self, kind: str, entity: int, now: int) -> dict[str, float]:
        known = sorted(
            (time, event)
            for event, time in self.usable.items()
            if time <= now and any(self.log.entities[event, place] == entity for place in self.columns(kind))
        )
        last = list(takewhile(lambda event: self.log.label[event] == 1, (event for _, event in reversed(known))))
        since = min((int(self.visible[event]) for event in last), default=None)
        return {
            "fraud_streak": len(last),
            "fraud_streak_seconds": math.nan if since is None else (now - since) / 1e6,
            "innocent_seconds": min(
                ((now - self.visible[event]) / 1e6 for _, event in known if self.log.label[event] == 0),
                default=math.nan,
            ),
        }

    def largest(self, kind: str, entity: int, now: int) -> dict[str, float]:
        amount = self.log.amount
        last = [event for event in self.past(kind, entity, now) if not math.isnan(amount[event])][-100:]
        usual = float(np.median(amount[last])) if last else 0.0
        found = {}
        for suffix, length in self._windows(_SPEC.windows_hours)[:-1]:
            paid = [amount[event] for event in last if self.visible[event] >= now - length]
            found[f"largest_to_median{suffix}"] = max(paid) / usual if paid and usual else math.nan
        return found

    def own_history(self, kind: str, entity: int, now: int, amount: float) -> dict[str, float]:
        past = self.past(kind, entity, now)
        paid = [self.log.amount[event] for event in past if not math.isnan(self.log.amount[event])]
        known = bool(paid) and not math.isnan(amount)
        deviation = np.std(paid, ddof=1) if len(paid) > 1 else 0.0
        usual = float(np.median(paid[-100:])) if known else 0.0
        far = float(np.median(np.abs(np.array(paid[-100:]) - usual))) if known else 0.0
        return {
            "amount_to_median": amount / usual if usual else math.nan,
            "amount_to_deviation": (amount - usual) / far if far else math.nan,
            "amount_to_mean": amount / np.mean(paid) if known and np.mean(paid) else math.nan,
            "amount_z": (amount - np.mean(paid)) / deviation if known and deviation > 0 else math.nan,
            "amount_to_max": amount / max(paid) if known and max(paid) else math.nan,
            "same_amount": float(amount == paid[-1]) if known else math.nan,
        }

    def pair(self, event: int, left: int, right: int) -> dict[str, float]:
        mine = self.log.entities[event, [left, right]]
        if (mine == MISSING).any():
            return dict.fromkeys(("count", "seconds_since_last", "same_amount"), math.nan)
        now, amount = self.log.event_time[event], self.log.amount
        met = [
            (self.visible[other], other)
            for other in range(len(self.log))
            if (self.log.entities[other, [left, right]] == mine).all() and self.visible[other] < now
        ]
        last = max(met)[1] if met else None
        known = last is not None and not math.isnan(amount[event]) and not math.isnan(amount[last])
        return {
            "count": len(met),
            "seconds_since_last": (now - max(met)[0]) / 1e6 if met else math.nan,
            "same_amount": float(amount[event] == amount[last]) if known else math.nan,
        }

    def _windows(self, hours: tuple[int, ...]) -> list[tuple[str, float]]:
        named = [(f"_{one // 24}d" if one % 24 == 0 else f"_{one}h", one * _HOUR) for one in hours]
        return [*named, ("", math.inf)]

    def _window(self, kind: str, entity: int, now: int, length: float) -> dict[str, float]:
        log, events = self.log, self.past(kind, entity, now, length)
        amounts = log.amount[events]
        found = {"count": float(len(events)), "sum": np.nansum(amounts)}
        found["mean"] = float(np.nanmean(amounts)) if not np.isnan(amounts).all() else math.nan
        if len(self.columns(kind)) > 1:
            for place in self.columns(kind):
                mine = [event for event in events if log.entities[event, place] == entity]
                found[f"count_as_{log.roles[place].name}"] = len(mine)
                found[f"sum_as_{log.roles[place].name}"] = np.nansum(log.amount[mine])
        for other in {role.entity_type for role in log.roles}:
            if other != kind or len(self.columns(kind)) > 1:
                met = {code for event in events for code in log.entities[event, self.columns(other)]}
                met -= {MISSING} | ({entity} if other == kind else set())
                found[f"distinct_{other}"] = len(met)
        return found

    def _labels(self, kind: str, entity: int, now: int, length: float) -> dict[str, float]:
        of_all = [self.log.label[event] for event, time in self.usable.items() if time <= now]
        mine = [
            self.log.label[event]
            for event, time in self.usable.items()
            if now - length < time <= now
            and any(self.log.entities[event, place] == entity for place in self.columns(kind))
        ]
        prior = float(np.mean(of_all)) if of_all else math.nan
        weight = _SPEC.prior_weight
        return {"fraud_count": sum(mine), "fraud_rate": (sum(mine) + prior * weight) / (len(mine) + weight)}


def test_counts_sums_and_means_are_of_the_window_before(log_from_rows: Callable[..., EventLog]) -> None:
    log = log_from_rows([_payment(i, day, 10.0 * (i + 1), card="c") for i, day in enumerate([0, 6, 8])])
    assert _column(log, "card.count_7d") == [0, 1, 1]
    assert _column(log, "card.sum_7d") == [0, 10, 20]
    assert _column(log, "card.sum") == [0, 10, 30]
    assert _column(log, "card.mean_30d")[1:] == [10, 15]
    assert math.isnan(_column(log, "card.mean_30d")[0])


def test_one_huge_amount_does_not_swallow_those_after_it(log_from_rows: Callable[..., EventLog]) -> None:
    paid = [(0, 1e17), (40, 5.0), (40.5, 0.1), (40.9, 1.0)]
    log = log_from_rows([_payment(i, day, amount, sender="u") for i, (day, amount) in enumerate(paid)])
    for name in ("sender.sum_1d", "sender.sum_as_sender_1d"):
        assert _column(log, name)[2:] == pytest.approx([5.0, 5.1])
    assert _column(log, "sender.mean_1d")[3] == pytest.approx(2.55)


def test_there_is_no_ratio_to_a_mean_of_nothing(log_from_rows: Callable[..., EventLog]) -> None:
    paid = [0.1, 0.7, 0.2, -0.2, -0.7, -0.1, 5.0]
    log = log_from_rows([_payment(i, i, amount, card="c") for i, amount in enumerate(paid)])
    assert _column(log, "card.mean")[-1] == 0
    assert math.isnan(_column(log, "card.amount_to_mean")[-1])


def test_a_window_holds_its_start_and_not_its_end(log_from_rows: Callable[..., EventLog]) -> None:
    log = log_from_rows([_payment(i, day, 1.0, card="c") for i, day in enumerate([0, 1, 1, 2])])
    assert _column(log, "card.count_1d") == [0, 1, 1, 2]


def test_distinct_counterparties_leave_the_window(log_from_rows: Callable[..., EventLog]) -> None:
    users = ["a", "b", "a", "b", "b"]
    rows = [_payment(i, 3 * i, 1.0, sender=user, device="d") for i, user in enumerate(users)]
    log = log_from_rows(rows)
    assert _column(log, "device.distinct_user_7d") == [0, 1, 2, 2, 2]
    assert _column(log, "device.distinct_user_1d") == [0, 0, 0, 0, 0]
    assert _column(log, "device.distinct_user") == [0, 1, 2, 2, 2]


def test_an_entity_is_no_counterparty_of_itself(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [
        {"id": "e0", "type": "transfer", "time": 1, "sender": "u", "receiver": "u"},
        {"id": "e1", "type": "transfer", "time": 2, "sender": "u", "receiver": "v"},
        {"id": "e2", "type": "transfer", "time": 3, "sender": "u", "receiver": "v"},
    ]
    log = log_from_rows(rows)
    assert _column(log, "sender.distinct_user") == [0, 0, 1]
    assert _column(log, "sender.count") == [0, 1, 2]
    assert _column(log, "sender.count_as_receiver") == [0, 1, 1]


def test_the_amount_is_set_against_the_entitys_own_history(log_from_rows: Callable[..., EventLog]) -> None:
    log = log_from_rows([_payment(i, i, amount, card="c") for i, amount in enumerate([10, 20, 20, 50])])
    assert _column(log, "card.amount_to_mean")[3] == pytest.approx(3.0)
    assert _column(log, "card.amount_z")[3] == pytest.approx((50 - 50 / 3) / math.sqrt(100 / 3))
    assert _column(log, "card.amount_to_max")[3] == 2.5
    assert _column(log, "card.same_amount")[1:] == [0, 1, 0]


def test_labels_count_once_known_and_shrink_to_the_rate_then(log_from_rows: Callable[..., EventLog]) -> None:
    labels = [(1, 3), (0, 4), (0, 40)]
    rows = [_payment(i, i, 1.0, card="c", label=label, label_known=day * _DAY) for i, (label, day) in enumerate(labels)]
    log = log_from_rows([*rows, _payment(3, 3, 1.0, card="c"), _payment(4, 5, 1.0, card="new")])
    assert _column(log, "card.fraud_count") == [0, 0, 0, 1, 0]
    # As of day 3 one label is known and it is fraud; as of day 5 it is one of two, and the card has none.
    assert _column(log, "card.fraud_rate")[3:] == [1.0, 0.5]
    assert all(math.isnan(rate) for rate in _column(log, "card.fraud_rate")[:3])


def test_a_label_waits_for_its_late_event(log_from_rows: Callable[..., EventLog]) -> None:
    late = _payment(0, 0, 1.0, card="c", label=1, label_known=1, known=2 * _DAY)
    log = log_from_rows([late, *(_payment(day, day, 1.0, card="c") for day in (1, 2, 3))])
    assert _column(log, "card.fraud_count") == [0, 0, 0, 1]


def test_a_streak_ends_with_the_first_innocent_label(log_from_rows: Callable[..., EventLog]) -> None:
    labels = [(0, 3), (1, 4), (1, 5), (0, 6)]
    rows = [_payment(i, i, 1.0, card="c", label=label, label_known=day * _DAY) for i, (label, day) in enumerate(labels)]
    log = log_from_rows([*rows, *(_payment(day, day, 1.0, card="c") for day in (4, 5, 6))])
    assert _column(log, "card.fraud_streak")[4:] == [1, 2, 0]
    np.testing.assert_equal(_column(log, "card.fraud_streak_seconds")[4:], [3 * 86400, 4 * 86400, math.nan])
    np.testing.assert_equal(_column(log, "card.innocent_seconds")[4:], [4 * 86400, 5 * 86400, 3 * 86400])


def test_what_is_usual_is_the_median_of_the_last_hundred(log_from_rows: Callable[..., EventLog]) -> None:
    amounts = [1000.0] * 60 + [8.0, 12.0] * 50 + [20.0]
    log = log_from_rows([_payment(i, i, amount, card="c") for i, amount in enumerate(amounts)])
    assert _column(log, "card.amount_to_median")[-1] == 2.0
    assert _column(log, "card.amount_to_deviation")[-1] == 5.0
    assert _column(log, "card.largest_to_median_30d")[-1] == pytest.approx(1.2)


def test_pairs_remember_when_they_met(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [_payment(0, 0, 5.0, sender="a", card="c"), _payment(1, 1, 5.0, sender="b", card="c")]
    log = log_from_rows([*rows, _payment(2, 2, 5.0, sender="a", card="c"), _payment(3, 3, 5.0, sender="a")])
    np.testing.assert_equal(_column(log, "sender+card.count"), [0, 0, 1, _NEVER_MET])
    np.testing.assert_equal(
        _column(log, "sender+card.seconds_since_last"), [_NEVER_MET, _NEVER_MET, 2 * 86400, _NEVER_MET]
    )


def test_the_calendar_is_utc(log_from_rows: Callable[..., EventLog]) -> None:
    log = log_from_rows([_payment(0, 0.25, 1.0), _payment(1, 4.5, 1.0)])
    assert _column(log, "event.day_of_week") == [3, 0]
    assert _column(log, "event.hour_sin") == pytest.approx([1, 0], abs=1e-6)


def test_a_role_without_entity_has_no_features(log_from_rows: Callable[..., EventLog]) -> None:
    table = behaviour_features(TemporalGraph.build(log_from_rows([_payment(0, 1, 1.0, card="c")])), _SPEC)
    of_device = [name.startswith("device.") for name in table.names]
    assert any(of_device) and np.isnan(table.values[:, of_device]).all()


@pytest.mark.parametrize("seed", range(6))
def test_event_features_equal_a_naive_twin(seed: int, random_log: Callable[..., EventLog]) -> None:
    log = random_log(seed)
    table = behaviour_features(TemporalGraph.build(log), _SPEC)
    twin = Twin(log)
    for event in range(len(log)):
        expected = dict.fromkeys(table.names, math.nan) | _of_event(twin, event)
        np.testing.assert_allclose(table.values[event], [expected[n] for n in table.names], 1e-6, 1e-6)
        assert set(expected) == set(table.names)


def _of_event(twin: Twin, event: int) -> dict[str, float]:
    log, found = twin.log, {}
    now, amount = int(log.event_time[event]), float(log.amount[event])
    for place, role in enumerate(log.roles):
        entity = int(log.entities[event, place])
        if entity != MISSING:
            mine = twin.entity(role.entity_type, entity, now)
            mine |= twin.own_history(role.entity_type, entity, now, amount)
            found |= {f"{role.name}.{name}": value for name, value in mine.items()}
        for other in range(place + 1, len(log.roles)):
            pair = f"{role.name}+{log.roles[other].name}"
            found |= {f"{pair}.{name}": v for name, v in twin.pair(event, place, other).items()}
    hour = now % _DAY / _DAY * 2 * math.pi
    calendar = {"hour_sin": math.sin(hour), "hour_cos": math.cos(hour), "day_of_week": (now // _DAY + 3) % 7}
    return found | {f"event.{name}": value for name, value in calendar.items()}


@pytest.mark.parametrize("seed", range(3))
def test_entity_features_are_what_an_event_then_would_see(seed: int, random_log: Callable[..., EventLog]) -> None:
    log = random_log(seed)
    graph = TemporalGraph.build(log)
    of_events = behaviour_features(graph, _SPEC)
    for place, role in enumerate(log.roles):
        rows = np.random.default_rng(seed).permutation(len(log))
        table = entity_features(graph, _SPEC, role.entity_type, log.entities[rows, place], log.event_time[rows])
        for name in table.names:
            twin = of_events.column(f"{role.name}.{name.split('.', 1)[1]}")
            np.testing.assert_array_equal(table.column(name), twin[rows])


def test_families_and_windows_can_be_chosen(random_log: Callable[..., EventLog]) -> None:
    spec = BehaviourSpec(windows_hours=(2,), families=("counts",))
    table = behaviour_features(TemporalGraph.build(random_log(0)), spec)
    full = behaviour_features(TemporalGraph.build(random_log(0)), BehaviourSpec(windows_hours=(2,)))
    assert [name for name in table.names if name.startswith("card")] == [
        "card.count_2h",
        "card.count",
        "card.count_login",
        "card.count_payment",
        "card.count_transfer",
    ]
    for name in table.names:
        np.testing.assert_array_equal(table.column(name), full.column(name))


def test_bad_choices_are_all_told() -> None:
    with pytest.raises(ConfigError, match=r"(?s)windows_hours.*prior_weight.*unknown degrees"):
        BehaviourSpec(windows_hours=(24, 1), prior_weight=-1, families=("degrees",))


@pytest.mark.parametrize(
    "spec", [{"windows_hours": (3_000_000_000,)}, {"label_windows_hours": (0.5,)}, {"prior_weight": math.nan}]
)
def test_what_no_window_or_weight_can_be_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(spec))):
        BehaviourSpec(**spec)


def test_an_unknown_entity_type_is_named(random_log: Callable[..., EventLog]) -> None:
    graph = TemporalGraph.build(random_log(0))
    with pytest.raises(NotFoundError, match="'phone'"):
        entity_features(graph, _SPEC, "phone", np.zeros(1, np.int32), np.zeros(1, np.int64))


def test_an_empty_log_has_no_rows(log_from_rows: Callable[..., EventLog]) -> None:
    assert behaviour_features(TemporalGraph.build(log_from_rows([])), _SPEC).values.shape[0] == 0
