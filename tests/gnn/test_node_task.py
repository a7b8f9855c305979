"""Questions about entities, by hand: who is asked, when, and what was known of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from gnn.node_task import NodeExamples, NodeTask
from gnn.pipeline import TaskSpec
from graphs.errors import ConfigError
from graphs.events import EventLog, Role

DAY = 86_400_000_000


@pytest.fixture
def log(log_from_rows: Callable[..., EventLog]) -> EventLog:
    """u0 pays on day 0 (clean, known day 2), u1 on day 1 (fraud, known day 5), u0 again on day 6 (open until 20)."""
    rows = [
        {"id": "a", "type": "payment", "time": 0 * DAY, "user": "u0", "label": 0, "label_known": 2 * DAY},
        {"id": "b", "type": "payment", "time": 1 * DAY, "user": "u1", "label": 1, "label_known": 5 * DAY},
        {"id": "c", "type": "payment", "time": 6 * DAY, "user": "u0", "label": 1, "label_known": 20 * DAY},
    ]
    return log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment",))


def told(examples: NodeExamples) -> list[tuple[int, int, float]]:
    days = (examples.questions.as_of // DAY).tolist()
    return list(zip(days, examples.questions.entity.tolist(), examples.label.tolist(), strict=True))


def test_entities_with_events_in_the_window_are_asked_about(log: EventLog) -> None:
    task = NodeTask("user", every_days=3, active_days=3)
    assert told(task.examples(log, 0, 9 * DAY)) == [(3, 0, 0.0), (3, 1, 1.0), (9, 0, 1.0)]


def test_an_answer_nobody_knows_yet_is_left_out(log: EventLog) -> None:
    task = NodeTask("user", every_days=3, active_days=3)
    assert told(task.examples(log, 0, 9 * DAY, known_by=9 * DAY)) == [(3, 0, 0.0), (3, 1, 1.0)]


def test_fraud_that_is_known_later_is_not_known_now(log: EventLog) -> None:
    task = NodeTask("user", every_days=3, active_days=3)
    assert told(task.examples(log, 0, 3 * DAY, known_by=4 * DAY)) == [(3, 0, 0.0)]


def test_new_entities_are_asked_about_once_in_the_same_phase_of_life(log: EventLog) -> None:
    task = NodeTask("user", active_days=9, new_after_days=4)
    assert told(task.examples(log, 0, 9 * DAY)) == [(4, 0, 0.0), (5, 1, 1.0)]
    assert told(task.examples(log, 1 * DAY, 3 * DAY, known_by=6 * DAY)) == [(3, 1, 1.0)]


def test_new_entities_are_learnt_from_at_other_ages_too(log: EventLog) -> None:
    task = NodeTask("user", active_days=9, new_after_days=4, also_after_days=(1, 8))
    learnt = task.examples(log, 0, 9 * DAY, learn=True)
    assert told(learnt) == [(1, 0, 0.0), (2, 1, 1.0), (4, 0, 0.0), (5, 1, 1.0), (8, 0, 0.0), (9, 1, 1.0)]
    assert learnt.beside.tolist() == [True, True, False, False, True, True]
    assert told(task.examples(log, 0, 9 * DAY)) == [(4, 0, 0.0), (5, 1, 1.0)]


def test_an_age_that_is_not_reached_asks_no_second_time(log: EventLog) -> None:
    task = NodeTask("user", active_days=9, new_after_days=4, also_after_days=(2, 8))
    learnt = task.examples(log, 1 * DAY, 3 * DAY, known_by=6 * DAY, learn=True)
    assert told(learnt) == [(3, 1, 1.0)] and not learnt.beside.any()


def test_other_ages_need_one_that_is_judged() -> None:
    with pytest.raises(ConfigError, match=r"nodes\.user\.also_after_days.*set new_after_days"):
        NodeTask("user", also_after_days=(7,))


@pytest.mark.parametrize("answer", ["events", "entity"])
def test_a_label_that_comes_later_is_as_unknown_as_one_that_never_comes(
    log_from_rows: Callable[..., EventLog], answer: Literal["events", "entity"]
) -> None:
    """u0 is known to be clean, u1 to be a fraud; nothing is known of u2, u3 and u4, of whom two will be."""
    label, known = [0, 1, 1, 0, -1], [2, 2, 30, 30, 40]
    told_of = [{"label": label[i], "label_known": known[i] * DAY} for i in range(5)]
    pays = [{"id": f"p{i}", "type": "payment", "time": i, "user": f"u{i}"} for i in range(5)]
    users = [{"type": "user", "id": f"u{i}"} for i in range(5)]
    if answer == "events":
        pays = [row | of for row, of in zip(pays, told_of, strict=True)]
    else:
        users = [row | of for row, of in zip(users, told_of, strict=True)]
    log = log_from_rows(pays, users, roles=(Role("user", "user"),), event_types=("payment",))
    task = NodeTask("user", answer=answer, every_days=10, active_days=20)
    assert told(task.examples(log, 0, 10 * DAY, known_by=10 * DAY)) == [(10, 0, 0.0), (10, 1, 1.0)]
    assert told(task.examples(log, 0, 10 * DAY)) == [(10, 0, 0.0), (10, 1, 1.0), (10, 2, 1.0), (10, 3, 0.0)]
    clean = NodeTask("user", answer="entity", unknown="clean", every_days=10, active_days=20)
    if answer == "entity":
        assert [label for _, _, label in told(clean.examples(log, 0, 10 * DAY, known_by=10 * DAY))] == [0, 1, 0, 0, 0]


def test_who_takes_part_only_in_what_has_no_labels_is_clean(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [
        {"id": "a", "type": "payment", "time": 1, "user": "u0", "label": 1, "label_known": DAY},
        {"id": "b", "type": "login", "time": 2, "user": "u1"},
        {"id": "c", "type": "payment", "time": 3, "user": "u2"},
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment", "login"))
    assert told(NodeTask("user").examples(log, 0, 2 * DAY, known_by=2 * DAY)) == [(2, 0, 1.0), (2, 1, 0.0)]


def test_what_had_not_come_into_sight_answers_nothing(log_from_rows: Callable[..., EventLog]) -> None:
    late = {"type": "payment", "time": 2, "known": 5 * DAY}
    rows = [
        {"id": "a", "type": "payment", "time": 1, "user": "u0", "label": 1, "label_known": DAY},
        {"id": "b", "type": "login", "time": 1, "user": "u1"},
        {"id": "c", "type": "login", "time": 1, "user": "u2"},
        late | {"id": "d", "user": "u1"},
        late | {"id": "e", "user": "u2", "label": 1, "label_known": DAY},
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment", "login"))
    seen = told(NodeTask("user").examples(log, 0, 2 * DAY, known_by=2 * DAY))
    assert seen == [(2, 0, 1.0), (2, 1, 0.0), (2, 2, 0.0)]


def test_an_entity_in_two_roles_answers_for_both(log_from_rows: Callable[..., EventLog]) -> None:
    sends = {"type": "transfer", "sender": "u0", "receiver": "u1"}
    rows = [
        sends | {"id": "a", "time": 1, "label": 0, "label_known": 2},
        sends | {"id": "b", "time": 3, "sender": "u1", "receiver": "u2", "label": 1, "label_known": 4},
    ]
    roles = (Role("sender", "user"), Role("receiver", "user"))
    log = log_from_rows(rows, roles=roles, event_types=("transfer",))
    assert told(NodeTask("user").examples(log, 0, DAY)) == [(1, 0, 0.0), (1, 1, 1.0), (1, 2, 1.0)]


def test_the_horizon_looks_ahead_of_the_snapshot(log: EventLog) -> None:
    task = NodeTask("user", every_days=4, active_days=4, horizon_days=3)
    assert (4, 0, 1.0) in told(task.examples(log, 0, 4 * DAY))


def test_a_type_without_a_role_is_named(log: EventLog) -> None:
    with pytest.raises(ConfigError, match="no role of type 'ip'"):
        NodeTask("ip").examples(log, 0, DAY)


def test_a_missing_entity_label_is_named(log: EventLog) -> None:
    with pytest.raises(ConfigError, match="has no label"):
        NodeTask("user", answer="entity").examples(log, 0, 9 * DAY)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ((), "nothing is asked"),
        ((NodeTask("user"), NodeTask("user", every_days=1)), "user asked about twice"),
        ((NodeTask("events"),), "name of the questions about events"),
    ],
)
def test_a_task_asks_something_and_each_question_by_its_own_name(nodes: tuple[NodeTask, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TaskSpec(events=False, nodes=nodes)
