"""What a workbench lays out: questions about entities are learnt from only once the good news has arrived too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gnn.evaluation import EvaluationSpec, evaluate
from gnn.metrics import Undefined
from gnn.node_task import NodeTask
from gnn.splits import RandomSplit, TimeSplit
from gnn.temporal_sage import SageSpec
from gnn.trainer import EpochRecord, TrainerSpec
from gnn.workbench import NodePhase, Workbench
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError
from graphs.events import EventLog, Role
from graphs.history import known_at

DAY = 86_400_000_000
COUNTS = BehaviourSpec(families=("counts",))
FRAUD_KNOWN, CLEAN_KNOWN = 2, 30
"""Days after which a payment is reported, or counts as clean."""


@pytest.fixture(scope="module")
def laid_out(log_from_rows: Callable[..., EventLog]) -> Workbench:
    """Fifty users who pay on each of 100 days; ten of them are frauds. The model is put to work on day 80."""
    rows = [
        {"id": f"p{day}-{user}", "type": "payment", "time": day * DAY + user, "user": f"u{user}", "amount": 1.0}
        | {"label": int(user < 10), "label_known": (day + (FRAUD_KNOWN if user < 10 else CLEAN_KNOWN)) * DAY + user}
        for day in range(100)
        for user in range(50)
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment",))
    split = TimeSplit(test_from="1970-03-22", valid_share=0.3).apply(log)
    task = NodeTask("user", every_days=5, active_days=5)
    return Workbench.lay_out(log, split, COUNTS, tasks=[task])


def learnt(phase: NodePhase, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Days and labels of the fitted or judged questions."""
    rows = phase.fitted if part == "fitted" else phase.judged
    return phase.questions.as_of[rows] / DAY, phase.label[rows]


def test_users_are_learnt_from_at_the_rate_they_have(laid_out: Workbench) -> None:
    choosing, judged = laid_out.choosing.nodes["user"], laid_out.judged.nodes["user"]
    for phase, part in ((choosing, "fitted"), (choosing, "judged"), (judged, "fitted"), (judged, "judged")):
        # One user of two is asked about when the epoch is chosen, by a hash of the id.
        chance = 0.1 if phase is choosing else 1e-6
        assert learnt(phase, part)[1].mean() == pytest.approx(0.2, abs=chance)


def test_nothing_younger_than_the_maturity_period_is_learnt_from(laid_out: Workbench) -> None:
    assert learnt(laid_out.judged.nodes["user"], "fitted")[0].max() <= 80 - CLEAN_KNOWN
    assert learnt(laid_out.choosing.nodes["user"], "judged")[0].max() <= 80 - CLEAN_KNOWN
    assert learnt(laid_out.judged.nodes["user"], "judged")[0].min() > 80


def test_what_chooses_the_epoch_lies_behind_what_is_fitted(laid_out: Workbench) -> None:
    choosing = laid_out.choosing.nodes["user"]
    assert learnt(choosing, "fitted")[0].max() <= laid_out.split.valid_cut / DAY < learnt(choosing, "judged")[0].min()


def test_no_answer_that_came_later_teaches_the_network_that_is_asked_about_the_same_user(laid_out: Workbench) -> None:
    choosing, valid_cut = laid_out.choosing.nodes["user"], laid_out.split.valid_cut
    asked, task = choosing.questions, laid_out.tasks["user"]
    again = choosing.fitted & np.isin(asked.entity, asked.entity[choosing.judged])
    known = task.answers(laid_out.log, asked.entity, asked.as_of, valid_cut)
    assert (known == choosing.label)[again].all()
    assert 0 < asked.as_of[again].max() <= valid_cut - CLEAN_KNOWN * DAY < asked.as_of[choosing.fitted].max()


def test_the_answer_of_an_entity_table_needs_no_maturity(laid_out: Workbench) -> None:
    split = laid_out.split
    assert NodeTask("user", answer="entity").settled(split.cut, split.maturity) == split.cut
    assert NodeTask("user", horizon_days=2.0).settled(split.cut, split.maturity) == split.settled - 2 * DAY


def test_an_answer_that_lies_beyond_the_tables_is_not_judged(laid_out: Workbench) -> None:
    log, split = laid_out.log, laid_out.split
    task = NodeTask("user", every_days=5, active_days=5, horizon_days=10.0)
    judged = Workbench.lay_out(log, split, COUNTS, tasks=[task]).judged.nodes["user"]
    assert learnt(judged, "judged")[0].max() <= 90
    today = known_at(log, 100 * DAY)
    split = TimeSplit(test_from="1970-02-20", valid_share=0.0).apply(today)
    young = Workbench.lay_out(today, split, COUNTS, tasks=[NodeTask("user", every_days=5, active_days=5)])
    days, label = learnt(young.judged.nodes["user"], "judged")
    assert days.max() < 101 - CLEAN_KNOWN and label.mean() == pytest.approx(0.2)


def test_where_no_answer_lies_within_the_tables_nobody_is_judged_and_that_is_told(
    laid_out: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    task = NodeTask("user", every_days=5, active_days=5, horizon_days=25.0)
    bench = Workbench.lay_out(laid_out.log, laid_out.split, COUNTS, tasks=[task])
    assert not bench.judged.nodes["user"].judged.any() and "nodes.user: nobody is judged" in caplog.text
    judged = evaluate(bench.scored("user", np.zeros(0)), {"class_rate": np.zeros(0)}, EvaluationSpec())
    assert judged.outcome == "none" and isinstance(judged["temporal_sage"].ap, Undefined)


def test_members_that_no_refit_would_make_are_refused(laid_out: Workbench) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.members: got 3, but with trainer\.refit=false"):
        laid_out.train_networks(SageSpec(width=8), TrainerSpec(refit=False, members=3), seed=0)


def test_nothing_before_the_first_day_of_training_answers_a_question(laid_out: Workbench) -> None:
    split = TimeSplit(train_from="1970-01-21", test_from="1970-03-22", valid_share=0.3).apply(laid_out.log)
    task = NodeTask("user", every_days=5, active_days=5)
    bench = Workbench.lay_out(laid_out.log, split, COUNTS, tasks=[task])
    assert all(learnt(phase.nodes["user"], "fitted")[0].min() > 25 for phase in (bench.choosing, bench.judged))


def test_new_users_are_told_from_older_events_by_no_late_label(log_from_rows: Callable[..., EventLog]) -> None:
    """They are new by their first transfer, and have paid before."""
    rows = [
        {"id": f"p{user}-{n}", "type": "payment", "time": (user + n) * DAY, "user": f"u{user}", "label": user % 2}
        | {"label_known": (user + n + 20) * DAY}
        for user in range(100)
        for n in range(5)
    ]
    rows += [
        {"id": f"t{user}", "type": "transfer", "time": (user + 9) * DAY, "user": f"u{user}"} for user in range(100)
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment", "transfer"))
    split = TimeSplit(test_from="1970-04-01", valid_share=0.3).apply(log)
    task = NodeTask("user", active_days=40, new_after_days=1, first_seen_in="transfer")
    bench = Workbench.lay_out(log, split, COUNTS, tasks=[task])
    node = bench.choosing.nodes["user"]
    of_asked = np.isin(log.entities[:, 0], node.questions.entity[node.judged])
    assert (split.fit & of_asked).any() and not (bench.choosing.fitted & of_asked).any()


def test_a_random_split_judges_no_entity(laid_out: Workbench) -> None:
    split = RandomSplit().apply(laid_out.log)
    with pytest.raises(ConfigError, match=r"split=random judges no entity.*split=time"):
        Workbench.lay_out(laid_out.log, split, COUNTS, tasks=[NodeTask("user")])


@pytest.mark.parametrize("horizon", [0.0, 3.0])
def test_the_network_that_chooses_has_learnt_no_answer_it_is_asked_for(laid_out: Workbench, horizon: float) -> None:
    """Labels that came after its cut: of users asked about there, and of all events that are asked about. Bad news that
    came before goes with the good news that did not."""
    task = NodeTask("user", every_days=5, active_days=10, horizon_days=horizon)
    log, split = laid_out.log, laid_out.split
    bench = Workbench.lay_out(log, split, COUNTS, tasks=[task])
    node = bench.choosing.nodes["user"]
    asked = np.isin(log.entities[:, 0], node.questions.entity[node.judged])
    late = asked & (log.event_time >= node.questions.as_of[node.judged].min() - 10 * DAY)
    assert {0, 1} <= set(log.label[split.fit & late]) and not (bench.choosing.fitted & late).any()
    assert (bench.choosing.fitted == (split.fit & ~late)).all()
    assert bench.counts["fit"] == (split.fit & ~late).sum()
    turned = replace(log, label=np.where(late | split.valid, 1 - log.label, log.label).astype(np.int8))
    again = Workbench.lay_out(turned, split, COUNTS, tasks=[task]).choosing
    assert (again.nodes["user"].label != node.label)[node.judged].any()
    same = again.nodes["user"]
    assert (same.label[same.fitted] == node.label[node.fitted]).all() or horizon == 0
    assert (again.fitted == bench.choosing.fitted).all()


def test_only_events_with_a_label_are_taught(log_from_rows: Callable[..., EventLog]) -> None:
    rows = [{"id": f"l{day}", "type": "login", "time": day * DAY, "user": "u"} for day in range(10)]
    rows += [
        {
            "id": f"p{day}",
            "type": "payment",
            "time": day * DAY + 1,
            "user": "u",
            "label": day % 2,
            "label_known": (day + 1) * DAY,
        }
        for day in range(10)
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("login", "payment"))
    split = TimeSplit(test_share=0.3, valid_share=0.0).apply(log)
    bench = Workbench.lay_out(log, split, COUNTS)
    assert bench.taught == ("payment",)
    task = NodeTask("user", every_days=1, active_days=1)
    assert Workbench.lay_out(log, split, COUNTS, tasks=[task], ask_events=False).taught == ()


def test_a_training_without_validation_is_recorded_too(laid_out: Workbench) -> None:
    split = TimeSplit(test_from="1970-03-22", valid_share=0.0).apply(laid_out.log)
    task = NodeTask("user", every_days=5, active_days=5)
    bench = Workbench.lay_out(laid_out.log, split, COUNTS, tasks=[task])
    told: list[EpochRecord] = []
    trainer = TrainerSpec(epochs=2, members=2)
    networks = bench.train_networks(SageSpec(width=8, k=2, node_k=2), trainer, seed=0, on_epoch=told.append)
    assert len(networks.members) == 2 and [record.epoch for record in networks.history] == [1, 2]
    assert told == list(networks.history)
