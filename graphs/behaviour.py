"""Point-in-time behaviour features: what was known of an event's entities, and of its pairs, just before it.

The tabular floor and the graph network read the same numbers, so what the graph adds can be told apart. For an
instant t a past event is one with visible_time < t, and its clock is that visible_time: windows are [t - length, t)
in it. A label counts from when it is known, at the earliest just after its event is visible; label windows are
(t - length, t] in that clock. Under one fixed delay this is the handbook's terminal risk: the events of a window
that ended `delay` ago (Le Borgne et al., Reproducible Machine Learning for Credit Card Fraud Detection, ch. 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from graphs.errors import ConfigError, NotFoundError
from graphs.events import MISSING, UNLABELLED, EventLog
from graphs.habits import habit_names, habits
from graphs.ids import encode_pairs
from graphs.tallies import (
    LIFETIME,
    PER_EVENT,
    PER_LIFE,
    PER_WINDOW,
    tally_entities,
    tally_labels,
    tally_pairs,
    tally_streaks,
    tally_usual,
)
from graphs.temporal_graph import TemporalGraph
from graphs.windows import in_order, incidences, order_by_time, role_columns, types_with_roles

FAMILIES = ("counts", "amounts", "distinct", "recency", "own_history", "labels", "pairs", "calendar")
ASKED_FOR = ("habits", "streaks", "usual")
"""Families that only a spec which names them has."""

_CENTURY_HOURS = 100 * 365 * 24

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


@dataclass(frozen=True)
class BehaviourSpec:
    """Which features, over which windows.

    Families, per role (`sender.count_7d`; without a suffix: over the whole past):
      counts       count_<w>; per role where the type has several, count_as_<role>_<w>; lifetime count_<event type>
      amounts      sum_<w>, mean_<w>, sum_as_<role>_<w>; lifetime max, std
      distinct     distinct_<type>_<w>: counterparties of each entity type (never the entity itself)
      recency      seconds_since_last, age_seconds (since first seen)
      own_history  amount_to_mean, amount_z, amount_to_max, same_amount (as the last one); events only
      labels       fraud_count_<w>, fraud_rate_<w>: (frauds + prior_weight * prior) / (labels + prior_weight)
                   where prior is the share of fraud among all labels known then
    and per event: pairs (`sender+card.count`, .seconds_since_last, .same_amount) and calendar (event.hour_sin,
    event.hour_cos, event.day_of_week with Monday 0, UTC). Families that only a spec which names them has:
      streaks      fraud_streak: of the labels known, in the order in which they became known, how many of the last
                   are fraud in a row; fraud_streak_seconds: since the first event of these; innocent_seconds: since
                   the newest event known not to be. What was compromised is so for a time, which windows of fixed
                   length see the ends of only
      usual        amount_to_median, amount_to_deviation: the amount over the median of the last 100, and its distance
                   from it in median absolute deviations (events only); largest_to_median_<w>: the largest of these
                   100 that lies in the window, over their median. A few frauds move a mean, not a median
      habits       amounts, gaps, hours, busiest windows, who else holds its things: graphs/habits.py; entities only
    """

    windows_hours: tuple[int, ...] = (1, 24, 168, 720)
    label_windows_hours: tuple[int, ...] = (24, 168, 720)
    prior_weight: float = 5.0
    families: tuple[str, ...] = FAMILIES

    def __post_init__(self) -> None:
        faults = [
            f"{name}: {values} must be positive whole hours, ascending, a century ({_CENTURY_HOURS}) at most"
            for name, values in (
                ("windows_hours", self.windows_hours),
                ("label_windows_hours", self.label_windows_hours),
            )
            if any(hours not in range(1, _CENTURY_HOURS + 1) for hours in values) or sorted(set(values)) != list(values)
        ]
        if not 0 <= self.prior_weight < np.inf:
            faults.append(f"prior_weight: {self.prior_weight} must be a number, not negative")
        known = (*FAMILIES, *ASKED_FOR)
        unknown = [family for family in self.families if family not in known]
        if unknown:
            faults.append(f"families: unknown {', '.join(unknown)}; choose from {', '.join(known)}")
        if faults:
            raise ConfigError("behaviour features: " + "; ".join(faults))


@dataclass(frozen=True)
class FeatureTable:
    """Named feature columns: `values` (rows, features) float32, NaN where a feature is undefined."""

    names: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        assert self.values.ndim == 2 and self.values.shape[1] == len(self.names)
        assert len(set(self.names)) == len(self.names)

    def column(self, name: str) -> np.ndarray:
        """Return one feature (rows,)."""
        return self.values[:, self.names.index(name)]


def behaviour_features(graph: TemporalGraph, spec: BehaviourSpec) -> FeatureTable:
    """Return the features of every event at its own event_time: values (events, features).

    A role without an entity has NaN throughout.
    """
    log = graph.log
    plans = {kind: _Plan.of(log, spec, kind, of_events=True) for kind in types_with_roles(log)}
    pairs = list(combinations(range(len(log.roles)), 2)) if "pairs" in spec.families else []
    names: list[str] = []
    base = np.zeros(len(log.roles), np.int64)
    for place, role in enumerate(log.roles):
        base[place] = len(names)
        names += [f"{role.name}.{name}" for name in plans[role.entity_type].names]
    first_pair = len(names)
    for left, right in pairs:
        pair = f"{log.roles[left].name}+{log.roles[right].name}"
        names += [f"{pair}.count", f"{pair}.seconds_since_last", f"{pair}.same_amount"]
    first_calendar = len(names)
    if "calendar" in spec.families:
        names += ["event.hour_sin", "event.hour_cos", "event.day_of_week"]

    values = np.full((len(log), len(names)), np.nan, np.float32)
    labels = _Labels.of(log)
    for kind, plan in plans.items():
        queries = _group(log.entities, plan.columns, len(log.entity_ids[kind]), log.event_time)
        _answer(graph, spec, plan, queries, log.amount, labels, log.event_time, base, values)
    for number, pair_roles in enumerate(pairs):
        _answer_pairs(log, pair_roles, first_pair + 3 * number, values)
    if "calendar" in spec.families:
        values[:, first_calendar:] = calendar(log.event_time)
    return FeatureTable(tuple(names), values)


def entity_features(
    graph: TemporalGraph,
    spec: BehaviourSpec,
    entity_type: str,
    entities: np.ndarray,
    times: np.ndarray,
) -> FeatureTable:
    """Return the features of entities[i] as of times[i]: what an event of that entity at that time would see.

    `entities` (n,) codes of `entity_type`, `times` (n,) int64 µs UTC, in any order. Names carry the entity type
    instead of the role (`user.count_7d`); what needs an event (own_history, pairs, calendar) is left out.
    """
    log = graph.log
    if entity_type not in log.entity_ids:
        raise NotFoundError(f"entity type '{entity_type}': the graph has {', '.join(log.entity_types)}")
    graph.check_codes(entity_type, entities)
    plan = _Plan.of(log, spec, entity_type, of_events=False)
    values = np.full((len(entities), len(plan.names)), np.nan, np.float32)
    column = np.asarray(entities, np.int32)[:, None]
    queries = _group(column, np.zeros(1, np.int64), len(log.entity_ids[entity_type]), np.asarray(times, np.int64))
    nothing = np.full(len(entities), np.nan)
    labels = _Labels.of(log)
    _answer(graph, spec, plan, queries, nothing, labels, times, np.zeros(1, np.int64), values)
    names = plan.names
    if "habits" in spec.families:
        suffixes = tuple(map(_suffix, spec.windows_hours))
        own = habits(graph, entity_type, column[:, 0], np.asarray(times, np.int64), _lengths(spec.windows_hours)[:-1])
        names, values = (*names, *habit_names(log, entity_type, suffixes)), np.hstack([values, own])
    return FeatureTable(tuple(f"{entity_type}.{name}" for name in names), values)


@dataclass(frozen=True)
class _Plan:
    """What is asked of one entity type: the names in order and where the kernels put and find things.

    `first_of` is the place of the first column of each asked family that has a kernel of its own.
    """

    entity_type: str
    of_events: bool
    columns: np.ndarray
    names: tuple[str, ...]
    first_of: Mapping[str, int]
    keep: np.ndarray
    role_place: np.ndarray
    type_count: int
    partners: np.ndarray
    partner_count: int
    own_partner: int

    @classmethod
    def of(cls, log: EventLog, spec: BehaviourSpec, entity_type: str, *, of_events: bool) -> _Plan:
        own = [place for place, role in enumerate(log.roles) if role.entity_type == entity_type]
        several = own if len(own) > 1 else []
        role_place = np.full(len(log.roles), MISSING, np.int64)
        role_place[several] = np.arange(len(several))
        type_names = log.event_types if len(log.event_types) > 1 else ()
        targets = _partner_types(log, entity_type) if "distinct" in spec.families else []
        tallied = _tallied_names(log, spec, several, targets, type_names)
        keep = [
            place
            for place, (family, _) in enumerate(tallied)
            if family in spec.families and (of_events or family != "own_history")
        ]
        names = [tallied[place][1] for place in keep]
        first_of = {}
        for family, block in _appended_names(spec, of_events=of_events).items():
            if family in spec.families:
                first_of[family] = len(names)
                names += block
        columns = [role_columns(log, target) for target in targets]
        partners = np.full((len(targets), max(map(len, columns), default=0)), MISSING, np.int64)
        for place, found in enumerate(columns):
            partners[place, : len(found)] = found
        return cls(
            entity_type=entity_type,
            of_events=of_events,
            columns=role_columns(log, entity_type),
            names=tuple(names),
            first_of=first_of,
            keep=np.array(keep, np.int64),
            role_place=role_place,
            type_count=len(type_names),
            partners=partners,
            partner_count=max((len(log.entity_ids[target]) for target in targets), default=0),
            own_partner=targets.index(entity_type) if entity_type in targets else MISSING,
        )


def _tallied_names(
    log: EventLog, spec: BehaviourSpec, several: list[int], targets: list[str], type_names: tuple[str, ...]
) -> list[tuple[str, str]]:
    """(family, name) of everything `tally_entities` writes into its row, in its order."""
    found = []
    for suffix in [*map(_suffix, spec.windows_hours), ""]:
        window = [("counts", "count"), ("amounts", "sum"), ("amounts", "mean")]
        assert len(window) == PER_WINDOW
        for place in several:
            role = log.roles[place].name
            window += [("counts", f"count_as_{role}"), ("amounts", f"sum_as_{role}")]
        window += [("distinct", f"distinct_{target}") for target in targets]
        found += [(family, name + suffix) for family, name in window]
    life = [("amounts", "max"), ("amounts", "std"), ("recency", "seconds_since_last"), ("recency", "age_seconds")]
    own = [("own_history", name) for name in ("amount_to_mean", "amount_z", "amount_to_max", "same_amount")]
    assert len(life) == PER_LIFE and len(own) == PER_EVENT
    return [*found, *life, *(("counts", f"count_{name}") for name in type_names), *own]


def _appended_names(spec: BehaviourSpec, *, of_events: bool) -> dict[str, list[str]]:
    """What each family with a kernel of its own writes, in its order."""
    matured = [*map(_suffix, spec.label_windows_hours), ""]
    paid = ["amount_to_median", "amount_to_deviation"] if of_events else []
    return {
        "labels": [f"fraud_{what}{suffix}" for suffix in matured for what in ("count", "rate")],
        "streaks": ["fraud_streak", "fraud_streak_seconds", "innocent_seconds"],
        "usual": [*paid, *(f"largest_to_median{suffix}" for suffix in map(_suffix, spec.windows_hours))],
    }


class _Queries(NamedTuple):
    """Questions (entity, time) in CSR form by entity, ascending in time: rows of the answer, roles, times."""

    offsets: np.ndarray
    rows: np.ndarray
    roles: np.ndarray
    times: np.ndarray


def _group(entities: np.ndarray, columns: np.ndarray, entity_count: int, times: np.ndarray) -> _Queries:
    order = order_by_time(times)
    offsets, rows, roles, _ = incidences(in_order(entities, order), order, columns, entity_count)
    return _Queries(offsets, rows, roles, times.take(rows))


class _KnownOf(NamedTuple):
    """Labels in CSR form by entity, ascending in when they may first be used: `times`; `visible` when their events
    were, both µs."""

    offsets: np.ndarray
    times: np.ndarray
    positive: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class _Labels:
    """The labels that may ever be used, ascending by when: `events` (labels,), `times` int64 µs, `positive` int8.

    A label is usable at t iff it is known by t and its event is in the past of t, that is from
    max(label_known_time, visible_time + 1 µs) on.
    """

    events: np.ndarray
    times: np.ndarray
    positive: np.ndarray

    @classmethod
    def of(cls, log: EventLog) -> _Labels:
        events = np.flatnonzero(log.label != UNLABELLED)
        times = np.maximum(log.label_known_time[events], log.visible_time[events] + 1)
        order = order_by_time(times)
        events, times = in_order(events, order), in_order(times, order)
        return cls(events, times, log.label[events])

    def prior(self, times: np.ndarray) -> np.ndarray:
        """The share of fraud among all labels usable at each time; NaN while there is none."""
        count = np.searchsorted(self.times, times, side="right")
        frauds = np.concatenate([[0], np.cumsum(self.positive, dtype=np.int64)])[count]
        return np.where(count > 0, frauds / np.maximum(count, 1), np.nan)

    def timeline(self, log: EventLog, columns: np.ndarray, entity_count: int) -> _KnownOf:
        """The labels by entity. An event with an entity in two roles counts once."""
        entities = log.entities[self.events][:, columns]
        for place in range(1, len(columns)):
            again = (entities[:, :place] == entities[:, place : place + 1]).any(axis=1)
            entities[again, place] = MISSING
        every, as_they_stand = np.arange(len(columns)), np.empty(0, np.int32)
        offsets, places, *_ = incidences(entities, as_they_stand, every, entity_count)
        return _KnownOf(offsets, self.times[places], self.positive[places], log.visible_time[self.events[places]])


def _answer(
    graph: TemporalGraph,
    spec: BehaviourSpec,
    plan: _Plan,
    queries: _Queries,
    query_amount: np.ndarray,
    labels: _Labels,
    row_times: np.ndarray,
    base: np.ndarray,
    out: np.ndarray,
) -> None:
    log, line = graph.log, graph.timelines[plan.entity_type]
    windows, visible_times = _lengths(spec.windows_hours), graph.visible_times.take(line.ranks)
    tally_entities(
        line.offsets, line.events, line.roles, visible_times, *queries, query_amount,
        log.entities, log.amount, log.event_type, plan.role_place, plan.type_count,
        plan.partners, plan.partner_count, plan.own_partner, windows, plan.keep, base, out,
    )  # fmt: skip
    first_of = plan.first_of
    if "labels" in first_of or "streaks" in first_of:
        known = labels.timeline(log, plan.columns, len(log.entity_ids[plan.entity_type]))
        matured = known.offsets, known.times, known.positive
        if "labels" in first_of:
            prior, label_windows = labels.prior(row_times), _lengths(spec.label_windows_hours)
            at = base + first_of["labels"]
            tally_labels(*matured, *queries, prior, label_windows, spec.prior_weight, at, out)
        if "streaks" in first_of:
            tally_streaks(*matured, known.visible, *queries, base + first_of["streaks"], out)
    if "usual" in first_of:
        at = base + first_of["usual"]
        timeline = line.offsets, line.events, visible_times
        tally_usual(*timeline, *queries, query_amount, log.amount, windows[:-1], plan.of_events, at, out)


def _answer_pairs(log: EventLog, pair_roles: tuple[int, int], base: int, out: np.ndarray) -> None:
    pairs, count = encode_pairs(log.entities[:, pair_roles[0]], log.entities[:, pair_roles[1]])
    column, only = pairs[:, None], np.zeros(1, np.int64)
    past = _group(column, only, count, log.visible_time)
    queries = _group(column, only, count, log.event_time)
    tally_pairs(
        past.offsets, past.rows, past.times, queries.offsets, queries.rows, queries.times,
        log.amount, base, out,
    )  # fmt: skip


def calendar(times: np.ndarray) -> np.ndarray:
    """Sine and cosine of the hour, and the day of the week with Monday 0, UTC: (n, 3) of times (n,) µs."""
    angle = (times % _DAY) * (2 * np.pi / _DAY)
    day_of_week = (times // _DAY + 3) % 7  # 1 January 1970 was a Thursday
    return np.stack([np.sin(angle), np.cos(angle), day_of_week], axis=1)


def _partner_types(log: EventLog, entity_type: str) -> list[str]:
    """Entity types an entity can meet in an event: all others, and its own where it has two roles."""
    alone = len(role_columns(log, entity_type)) < 2
    return [kind for kind in types_with_roles(log) if kind != entity_type or not alone]


def _lengths(hours: tuple[int, ...]) -> np.ndarray:
    return np.array([*(one * _HOUR for one in hours), LIFETIME], np.int64)


def _suffix(hours: int) -> str:
    return f"_{hours}h" if hours % 24 else f"_{hours // 24}d"
