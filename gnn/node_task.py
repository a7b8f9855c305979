"""Who is asked about, when, and what the right answer was as far as it was known: examples for node heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gnn.nodes import NodeQuestions
from gnn.splits import Split
from graphs.errors import ConfigError, check_fields
from graphs.events import MICROSECONDS_PER_DAY, MISSING, NEVER, UNLABELLED, EventLog


@dataclass(frozen=True)
class NodeExamples:
    """Questions with answers: `label` (questions,) float32 in {0, 1}; `beside` (questions,) bool marks those that are
    only learnt from, beside another question about the same entity."""

    questions: NodeQuestions
    label: np.ndarray
    beside: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def only(self, kept: np.ndarray) -> NodeExamples:
        """Those of the mask `kept` (questions,)."""
        asked = self.questions
        questions = NodeQuestions(asked.entity_type, asked.entity[kept], asked.as_of[kept])
        return NodeExamples(questions, self.label[kept], self.beside[kept])


@dataclass(frozen=True)
class NodeTask:
    """Is this entity a fraud, as of T? Asked at regular snapshots.

    `answer`: "events" calls an entity fraudulent if one of its events in [T - active_days, T + horizon_days) was a
    fraud, clean if it is known of one that it was none, or it took part in none of a type that has labels; "entity"
    takes the label of the entity table. Asked of entities with an event in the last `active_days`; `every_days` lies
    between snapshots. A question that nobody can answer yet is left out, whether its labels come later or never.
    `unknown`: "clean" calls entities clean whose label in the table is not known, since it names frauds only.

    `new_after_days` asks of new entities instead: each once, so many days after it was first seen (in events of type
    `first_seen_in`), or at the part's end where that comes first. All are then looked at in the same phase of life.
    `also_after_days` are further ages at which they are learnt from: an answer that is rare teaches more that way.
    """

    entity_type: str
    answer: Literal["events", "entity"] = "events"
    unknown: Literal["left_out", "clean"] = "left_out"
    every_days: float = 7.0
    active_days: float = 30.0
    horizon_days: float = 0.0
    new_after_days: float | None = None
    first_seen_in: str | None = None
    also_after_days: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        days = ("every_days", "active_days")
        checks = {name: (0 < getattr(self, name) < np.inf, "more than 0") for name in days}
        check_fields(f"nodes.{self.entity_type}", self, checks)
        if self.also_after_days and self.new_after_days is None:
            raise ConfigError(
                f"nodes.{self.entity_type}.also_after_days: only new entities have ages; "
                "set new_after_days, the age at which they are judged"
            )

    def first_asked(self, log: EventLog, start: int) -> int:
        """The instant (µs UTC) after which is asked where only events from `start` on may be learnt from."""
        of_events = self.answer == "events" and self.new_after_days is None
        before = self.looks_back if of_events and log.event_time[0] < start else 0
        return start + before

    def last_judged(self, split: Split) -> int:
        """The last instant (µs UTC) that is judged: afterwards the answer lies beyond the tables, or only bad news of
        it has arrived."""
        return split.end if self.answer == "entity" else min(split.end, split.told - self._horizon)

    def last_fitted(self, split: Split) -> int:
        """The last instant (µs UTC) that the network which chooses the epoch learns from: what comes after the cut of
        the validation part answers no question before it."""
        return split.valid_cut if self.answer == "entity" else split.valid_cut - self._horizon

    @property
    def looks_back(self) -> int:
        """How long before an instant the events that are asked about begin (µs)."""
        return round(self.active_days * MICROSECONDS_PER_DAY)

    @property
    def _horizon(self) -> int:
        return round(self.horizon_days * MICROSECONDS_PER_DAY)

    def settled(self, cut: int, maturity: int) -> int:
        """The last instant (µs UTC) whose answers may be learnt from at `cut`, where labels of events take `maturity`
        (µs). After it only the bad news has arrived, and whoever has any label would look like fraud."""
        if self.answer == "entity":
            return cut
        return cut - maturity - self._horizon

    def examples(
        self, log: EventLog, start: int, stop: int, *, known_by: int = NEVER - 1, learn: bool = False
    ) -> NodeExamples:
        """Examples at snapshots T in (start, stop], the last one at `stop`, with labels known by `known_by`
        (all µs UTC). `learn`: with those that are learnt from beside others."""
        slots = self.slots(log)
        if not slots:
            raise ConfigError(f"nodes: no role of type '{self.entity_type}'; there are {', '.join(log.entity_types)}")
        first_seen = self._first_seen(log, slots)
        if self.new_after_days is not None:
            return self._of_new(log, slots, first_seen, start, stop, known_by, self.also_after_days if learn else ())
        step = round(self.every_days * MICROSECONDS_PER_DAY)
        moments = np.arange(stop, start, -step)[::-1]
        asked = [self._asked_at(log, slots, first_seen, int(moment)) for moment in moments]
        entities = np.concatenate([np.zeros(0, np.int32), *asked])
        times = np.repeat(moments, [len(each) for each in asked]).astype(np.int64)
        label = self.answers(log, entities, times, known_by)
        there = np.isfinite(label)
        questions = NodeQuestions(self.entity_type, entities[there], times[there])
        return NodeExamples(questions, label[there], np.zeros(len(questions), bool))

    def _of_new(
        self,
        log: EventLog,
        slots: list[int],
        first_seen: np.ndarray,
        start: int,
        stop: int,
        known_by: int,
        also_after_days: Sequence[float],
    ) -> NodeExamples:
        """A question for every entity first seen in [start, stop), and one beside it at every other age that it
        reaches."""
        assert self.new_after_days is not None
        entities = np.flatnonzero((first_seen >= start) & (first_seen < stop)).astype(np.int32)
        ages = np.array([self.new_after_days, *also_after_days]) * MICROSECONDS_PER_DAY
        # (ages, entities): the age that is judged first, so that it is the one to stay where two fall on `stop`.
        as_of = np.minimum(first_seen[entities] + ages.round().astype(np.int64)[:, None], stop)
        again = np.array([(as_of[:age] == as_of[age]).any(0) for age in range(len(ages))])
        age, place = np.nonzero(~again)
        order = np.argsort(as_of[age, place], kind="stable")
        age, place = age[order], place[order]
        # What is judged of an entity is learnt of it at every age: the answer at the first.
        label = self.answers(log, entities, as_of[0], known_by)[place]
        there = np.isfinite(label)
        age, place = age[there], place[there]
        questions = NodeQuestions(self.entity_type, entities[place], as_of[age, place])
        return NodeExamples(questions, label[there], beside=age > 0)

    def slots(self, log: EventLog) -> list[int]:
        """Places of the roles that the entity type has in `log`."""
        return [slot for slot, role in enumerate(log.roles) if role.entity_type == self.entity_type]

    def _first_seen(self, log: EventLog, slots: list[int]) -> np.ndarray:
        """(entities,) µs UTC of the first visible event, NEVER for none."""
        first = np.full(len(log.entity_ids[self.entity_type]), NEVER)
        counts = np.ones(len(log), bool)
        if self.first_seen_in is not None:
            if self.first_seen_in not in log.event_types:
                raise ConfigError(
                    f"nodes: no event type '{self.first_seen_in}'; there are {', '.join(log.event_types)}"
                )
            counts = log.event_type == log.event_types.index(self.first_seen_in)
        for slot in slots:
            rows = counts & (log.entities[:, slot] != MISSING)
            np.minimum.at(first, log.entities[rows, slot], log.visible_time[rows])
        return first

    def _asked_at(self, log: EventLog, slots: list[int], first_seen: np.ndarray, moment: int) -> np.ndarray:
        since = moment - self.looks_back
        low, high = np.searchsorted(log.event_time, [since, moment])
        seen = log.entities[low:high][log.visible_time[low:high] < moment][:, slots].reshape(-1)
        entities = np.unique(seen[seen != MISSING])
        return entities[first_seen[entities] < moment].astype(np.int32)

    def settled_answers(self, log: EventLog, asked: NodeQuestions, cut: int, maturity: int) -> np.ndarray:
        """What may be learnt at `cut` about `asked`: (questions,) float32, NaN where it had not settled."""
        then = self.answers(log, asked.entity, asked.as_of, cut)
        return np.where(asked.as_of <= self.settled(cut, maturity), then, np.float32(np.nan))

    def answers(self, log: EventLog, entities: np.ndarray, as_of: np.ndarray, known_by: int) -> np.ndarray:
        """What was known by `known_by` of `entities` (questions,) at the instants `as_of`: (questions,) float32, 1, 0,
        or NaN where nobody could know."""
        if self.answer == "entity":
            labels = log.entity_labels.get(self.entity_type)
            if labels is None:
                raise ConfigError(
                    f"nodes: entity table '{self.entity_type}' has no label; map one or use answer: events"
                )
            value = labels.label[entities]
            known = (value != UNLABELLED) & (labels.known_time[entities] <= known_by)
            return np.where(known, value == 1, np.nan if self.unknown == "left_out" else 0.0).astype(np.float32)
        seen = log.visible_time < known_by
        known = seen & (log.label != UNLABELLED) & (log.label_known_time <= known_by)
        has_labels = seen & np.isin(log.event_type, np.unique(log.event_type[known]))
        since = as_of - self.looks_back
        until = as_of + self._horizon
        low, high = np.searchsorted(log.event_time, since), np.searchsorted(log.event_time, until)
        fraud, clean, asked = (np.zeros(len(entities), np.int64) for _ in range(3))
        for slot in self.slots(log):
            rows = np.flatnonzero(log.entities[:, slot] != MISSING)
            # Events of an entity stand together, in order of time.
            place = np.sort(log.entities[rows, slot].astype(np.int64) * len(log) + rows)
            event = place % max(1, len(log))
            first, last = (np.searchsorted(place, entities.astype(np.int64) * len(log) + at) for at in (low, high))
            for count, counted in (
                (fraud, known & (log.label == 1)),
                (clean, known & (log.label == 0)),
                (asked, has_labels),
            ):
                running = np.concatenate([[0], np.cumsum(counted[event])])
                count += running[last] - running[first]
        return np.where(fraud > 0, 1.0, np.where((clean > 0) | (asked == 0), 0.0, np.nan)).astype(np.float32)
