"""Cross-fitting never shows a network the labels of the rows it speaks of, and the verdict says what was measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import expit, logit

from gnn.boosting import NO_TREES
from gnn.bundle import EVENTS, Bundle
from gnn.crossfit import CrossFitSpec, CrossFitted, Networks, _before, cross_fit, rows_of
from gnn.downstream import (
    VARIANTS,
    DownstreamSpec,
    Forest,
    Grown,
    Stacked,
    grouped_importance,
    grow,
    prove,
    stacked_table,
    verdict,
)
from gnn.embed import Embedder
from gnn.evaluation import EvaluationSpec, ScoredRows, evaluate
from gnn.metrics import Undefined
from gnn.node_task import NodeTask
from gnn.splits import RandomSplit, TimeSplit
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec
from gnn.workbench import Workbench
from graphs.behaviour import BehaviourSpec
from graphs.config import run
from graphs.errors import ConfigError
from graphs.events import MICROSECONDS_PER_DAY as DAY
from graphs.events import EventLog, Role
from graphs.store import load_log

BEHAVIOUR = BehaviourSpec(windows_hours=(24,), label_windows_hours=(24,))
MODEL, TRAINER = SageSpec(width=8, layers=1, k=3, node_k=4), TrainerSpec(epochs=2, block=64)
FOLDS = CrossFitSpec(folds=2, first_share=0.5)

Logs = Callable[..., EventLog]


def known_at_once(log: EventLog) -> EventLog:
    """Every event labelled, at its own time."""
    label = (np.arange(len(log)) % 4 == 0).astype(np.int8)
    return replace(log, label=label, label_known_time=log.event_time + 1)


def bench_of(log: EventLog, *, labels_stop: bool = False) -> Workbench:
    split = TimeSplit(test_share=0.3, valid_share=0.0, maturity_days=0.0, labels_stop=labels_stop)
    return Workbench.lay_out(log, split.apply(log), BEHAVIOUR)


def fitted(bench: Workbench, final: Workbench | None = None, folds: CrossFitSpec = FOLDS) -> CrossFitted:
    networks = (final or bench).train_networks(MODEL, TRAINER, seed=0)
    last = Networks(networks.members, networks.spaces)
    return cross_fit(bench, EVENTS, last, MODEL, TRAINER, BEHAVIOUR, folds, seed=0, epochs=2)


@pytest.fixture(scope="module")
def log(random_log: Logs) -> EventLog:
    return known_at_once(random_log(21, 200))


@pytest.fixture(scope="module")
def bench(log: EventLog) -> Workbench:
    return bench_of(log)


@pytest.fixture(scope="module")
def said(bench: Workbench) -> CrossFitted:
    return fitted(bench)


def test_folds_are_cut_in_order_of_time() -> None:
    assert CrossFitSpec(folds=3, first_share=0.4).cuts(10).tolist() == [4, 6, 8, 10]
    with pytest.raises(ConfigError, match="first_share"):
        CrossFitSpec(first_share=1.0)


def test_known_rows_behind_the_first_cut_and_all_test_rows_are_spoken_of(bench: Workbench, said: CrossFitted) -> None:
    known, test = int(bench.judged.fitted.sum()), int(bench.judged.judged.sum())
    assert said.first == known // 2 and len(said.known.logits) == len(said.fold) == known - said.first
    assert said.test.vectors.shape == (test, MODEL.width) and np.isfinite(said.known.vectors).all()
    assert len(said.tabular.fit.x) == known - said.first


def test_what_is_said_of_a_row_does_not_change_with_its_label(
    bench: Workbench, said: CrossFitted, log: EventLog
) -> None:
    # The label of the last known row enters no window of a known row, so only fitting could carry it.
    last = int(np.flatnonzero(bench.judged.fitted)[-1])
    label = log.label.copy()
    label[last] = 1 - label[last]
    flipped = bench_of(replace(log, label=label))
    again = fitted(flipped, final=bench)
    assert (again.known.logits == said.known.logits).all() and (again.known.vectors == said.known.vectors).all()


def test_all_vectors_are_of_the_first_network(bench: Workbench, said: CrossFitted) -> None:
    one_fold = fitted(bench, folds=CrossFitSpec(folds=1, first_share=FOLDS.first_share))
    assert (one_fold.known.vectors == said.known.vectors).all() and (one_fold.test.vectors == said.test.vectors).all()
    assert (one_fold.known.logits != said.known.logits).any()


def test_the_network_of_the_run_speaks_of_the_test_rows(bench: Workbench, said: CrossFitted) -> None:
    assert (bench.train_networks(MODEL, TRAINER, seed=0).test[EVENTS] == said.test.logits).all()


def test_where_labels_stop_the_trees_see_folds_as_they_will_see_the_test_rows(log: EventLog) -> None:
    fresh, stopped = fitted(bench_of(log)).tabular, fitted(bench_of(log, labels_stop=True)).tabular
    labels = [place for place, name in enumerate(fresh.names) if ".fraud_" in name]
    others = [place for place in range(len(fresh.names)) if place not in labels]
    assert (np.nan_to_num(fresh.fit.x[:, others]) == np.nan_to_num(stopped.fit.x[:, others])).all()
    counts = [place for place, name in enumerate(fresh.names) if name.endswith(".fraud_count")]
    assert (np.nan_to_num(fresh.fit.x[:, counts]) >= np.nan_to_num(stopped.fit.x[:, counts])).all()
    assert np.nansum(fresh.fit.x[:, counts]) > np.nansum(stopped.fit.x[:, counts])


def test_rows_have_the_columns_of_their_variant(bench: Workbench, said: CrossFitted) -> None:
    stacked = Stacked.of(bench, EVENTS, said)
    for variant in VARIANTS:
        assert stacked.known(variant).x.shape[1] == stacked.test(variant).x.shape[1] == len(stacked.names(variant))
        assert {group for group, _ in stacked.names(variant)} == set(VARIANTS[variant])
    known = stacked.known("aggregates")
    assert len(known) == int(bench.judged.fitted.sum()) and known.start is None


def test_the_same_rows_are_those_that_have_a_score_as_they_were_seen_then(log: EventLog) -> None:
    stopped = bench_of(log, labels_stop=True)
    stacked = Stacked.of(stopped, EVENTS, fitted(stopped))
    same, score = stacked.known("same_rows"), stacked.known("score")
    np.testing.assert_array_equal(same.x, score.x[:, :-1])
    assert (same.y == score.y).all() and same.start is None and score.start is not None
    fresh = stacked.known("aggregates").x[-len(same) :]
    assert fresh.shape == same.x.shape and (np.nan_to_num(fresh) != np.nan_to_num(same.x)).any()


@pytest.mark.parametrize("variant", ["score", "embeddings", "raw_embeddings"])
def test_with_the_score_trees_start_from_it(bench: Workbench, said: CrossFitted, variant: str) -> None:
    stacked, label = Stacked.of(bench, EVENTS, said), bench.label[bench.judged.fitted]
    scored = stacked.known(variant)
    assert (scored.x[:, -1] == said.known.logits).all() and (scored.start == said.known.logits).all()
    assert (scored.y == label[said.first :]).all()
    assert (stacked.test(variant).start == said.test.logits).all()


@pytest.mark.parametrize(
    ("variant", "own"), [("score", "aggregates"), ("embeddings", "aggregates"), ("raw_embeddings", "raw")]
)
def test_trees_from_the_score_trees_on_own_columns_and_the_network_speak_together(
    bench: Workbench, said: CrossFitted, variant: str, own: str
) -> None:
    stacked = Stacked.of(bench, EVENTS, said)
    both = grow(stacked, "lightgbm", [variant], seed=0)[variant]
    alone = grow(Stacked.of(bench, EVENTS, replace(said, alike=False)), "lightgbm", [variant], seed=0)[variant]
    beside = grow(stacked, "lightgbm", [own], seed=0)[own]
    assert isinstance(both, Forest) and isinstance(alone, Forest) and isinstance(beside, Forest)
    test = stacked.test(variant)
    mean = (logit(alone.scores(test)) + logit(beside.scores(stacked.test(own))) + said.test.logits) / 3
    np.testing.assert_allclose(both.scores(test), expit(mean))


def test_nobody_stands_beside_them_where_those_rows_were_seen_under_fresher_labels(log: EventLog) -> None:
    stopped = bench_of(log, labels_stop=True)
    said = fitted(stopped)
    stacked = Stacked.of(stopped, EVENTS, said)
    assert len(stacked.known("embeddings")) == len(said.fold)
    forest = grow(stacked, "lightgbm", ["embeddings"], seed=0)["embeddings"]
    assert isinstance(forest, Forest) and len(forest.grown) == 1 and forest.grown[0].starts


def test_where_one_class_has_scores_own_columns_are_left(bench: Workbench, said: CrossFitted) -> None:
    clean = replace(said.tabular.fit, y=np.zeros_like(said.tabular.fit.y))
    innocent = replace(said, tabular=replace(said.tabular, fit=clean))
    stacked = Stacked.of(bench, EVENTS, innocent)
    found = grow(stacked, "lightgbm", ["score", "aggregates"], seed=0)
    score, own = found["score"], found["aggregates"]
    assert isinstance(score, Forest) and isinstance(own, Forest) and len(score.grown) == 1
    assert (score.scores(stacked.test("score")) == own.scores(stacked.test("aggregates"))).all()
    fresher = Stacked.of(bench, EVENTS, replace(innocent, alike=False))
    assert isinstance(grow(fresher, "lightgbm", ["score"], seed=0)["score"], Undefined)


def test_trees_that_learn_nothing_say_what_the_network_said(bench: Workbench, said: CrossFitted) -> None:
    stacked = Stacked.of(bench, EVENTS, said)
    forest = Forest((Grown(NO_TREES, 0, starts=True),))
    assert (forest.scores(stacked.test("score")) == expit(said.test.logits)).all()
    assert grouped_importance(forest, stacked, "score") == {"raw": 0, "aggregates": 0, "score": 1}


def test_importance_is_shared_out_among_groups(bench: Workbench, said: CrossFitted) -> None:
    stacked = Stacked.of(bench, EVENTS, said)
    forest = grow(stacked, "lightgbm", ["embeddings"], seed=0)["embeddings"]
    shares = grouped_importance(forest, stacked, "embeddings")  # type: ignore[arg-type]
    assert set(shares) == set(VARIANTS["embeddings"]) and sum(shares.values()) == pytest.approx(1)


def test_the_proof_sets_every_learner_and_variant_beside_the_network(bench: Workbench, said: CrossFitted) -> None:
    stacked, spec = Stacked.of(bench, EVENTS, said), DownstreamSpec(learners=("lightgbm", "xgboost"))
    network = 1 / (1 + np.exp(-said.test.logits))
    found = prove(bench, EVENTS, stacked, network, spec, EvaluationSpec(bootstrap=20, fewest_frauds=2), seed=0)
    models = {f"{learner}_{variant}" for learner in spec.learners for variant in VARIANTS}
    known = int(bench.judged.fitted.sum())
    assert {row.model for row in found.judged.table} == models | {"temporal_sage"}
    assert "networks that never saw their labels" in found.judged.verdict and len(found.parts) == FOLDS.folds + 1
    assert [part.learnt for part in found.parts] == [said.first, said.first + int((said.fold == 0).sum()), known]


# ---------------------------------------------------------------- random splits


def drawn(log: EventLog) -> Workbench:
    return Workbench.lay_out(log, RandomSplit(test_share=0.3, valid_share=0.2).apply(log), BEHAVIOUR)


@pytest.fixture(scope="module")
def mixed(log: EventLog) -> tuple[Workbench, CrossFitted]:
    bench = drawn(log)
    return bench, fitted(bench)


def test_known_rows_of_a_random_split_are_cut_in_random_order(mixed: tuple[Workbench, CrossFitted]) -> None:
    bench, said = mixed
    known, spoken = rows_of(bench, EVENTS)[0], rows_of(bench, EVENTS)[0][said.first :]
    assert set(known) == set(np.flatnonzero(bench.judged.fitted)) and (rows_of(bench, EVENTS)[0] == known).all()
    for fold in range(FOLDS.folds):
        rows = spoken[said.fold == fold]
        assert rows.min() < np.quantile(known, 0.2) and rows.max() > np.quantile(known, 0.8)
    stacked = Stacked.of(bench, EVENTS, said)
    assert (stacked.known("score").y == bench.label[spoken]).all()
    assert (stacked.known("aggregates").y == bench.label[known]).all()
    raw = bench.tree_rows(EVENTS, bench.judged, aggregates=False)
    sorted_rows = np.argsort(np.argsort(known))
    np.testing.assert_array_equal(stacked.known("raw").x, raw.fit.x[sorted_rows])
    np.testing.assert_array_equal(
        stacked.known("same_rows").x[:, : raw.fit.x.shape[1]], raw.fit.x[sorted_rows[said.first :]]
    )


def test_labels_of_a_fold_say_nothing_about_it_in_a_random_split(
    mixed: tuple[Workbench, CrossFitted], log: EventLog
) -> None:
    bench, said = mixed
    last = said.fold == FOLDS.folds - 1
    label = log.label.copy()
    rows = rows_of(bench, EVENTS)[0][said.first :][last]
    label[rows] = 1 - label[rows]
    split = bench.split
    flipped = Workbench.lay_out(replace(log, label=label), split, BEHAVIOUR)
    again = fitted(flipped, final=bench)
    assert (again.known.logits[last] == said.known.logits[last]).all()
    assert (again.tabular.fit.y[last] != said.tabular.fit.y[last]).all()
    np.testing.assert_array_equal(again.tabular.fit.x[last], said.tabular.fit.x[last])
    assert (again.known.vectors[last] == said.known.vectors[last]).all()
    # Rows of the other fold were shown these labels, as test rows are shown those of all known rows.
    assert (again.known.logits[~last] != said.known.logits[~last]).any()


# ---------------------------------------------------------------- entities


@pytest.fixture(scope="module")
def users(log: EventLog) -> Workbench:
    """Only users are asked about, each at snapshots, by the labels of their events."""
    split = TimeSplit(test_share=0.3, valid_share=0.0, maturity_days=0.0).apply(log)
    task = NodeTask("user", every_days=1.0, active_days=1.0)
    return Workbench.lay_out(log, split, BEHAVIOUR, tasks=[task], ask_events=False)


def spoken_of_users(bench: Workbench, final: Workbench) -> CrossFitted:
    networks = final.train_networks(MODEL, TRAINER, seed=0)
    last = Networks(networks.members, networks.spaces)
    return cross_fit(bench, "user", last, MODEL, TRAINER, BEHAVIOUR, FOLDS, seed=0, epochs=2)


def test_users_are_spoken_of_by_networks_that_never_saw_their_answers(users: Workbench) -> None:
    node = users.judged.nodes["user"]
    said, last = spoken_of_users(users, users), int(np.flatnonzero(node.fitted)[-1])
    label = node.label.copy()
    label[last] = 1 - label[last]
    flipped = replace(users, judged=replace(users.judged, nodes={"user": replace(node, label=label)}))
    assert (spoken_of_users(flipped, users).known.logits == said.known.logits).all()
    assert (users.train_networks(MODEL, TRAINER, seed=0).test["user"] == said.test.logits).all()
    assert len(said.fold) == node.fitted.sum() - said.first and len(said.test.logits) == node.judged.sum()


def test_no_network_has_learnt_the_answer_of_a_user_at_another_age(log: EventLog) -> None:
    split = TimeSplit(test_share=0.3, valid_share=0.0, maturity_days=0.0).apply(log)
    task = NodeTask("user", active_days=100.0, new_after_days=1.0, also_after_days=(0.1, 2.0))
    bench = Workbench.lay_out(log, split, BEHAVIOUR, tasks=[task], ask_events=False)
    node, known = bench.judged.nodes["user"], rows_of(bench, "user")[0]
    said = spoken_of_users(bench, bench)
    assert node.beside.sum() > 0 and len(said.fold) == len(known) - said.first
    assert (said.tabular.fit.y == node.label[known[said.first :]]).all()
    assert (Stacked.of(bench, "user", said).full.fit.y == node.label[known]).all()
    # Answers of the users that are spoken of last, at every age: what was said of anybody hangs on none of them.
    last = node.fitted & np.isin(node.questions.entity, node.questions.entity[known[said.first :][said.fold == 1]])
    flipped = replace(node, label=np.where(last, 1 - node.label, node.label).astype(np.float32))
    changed = replace(bench, judged=replace(bench.judged, nodes={"user": flipped}))
    assert (spoken_of_users(changed, bench).known.logits == said.known.logits).all()


def test_trees_are_proved_on_users_too(users: Workbench) -> None:
    said = spoken_of_users(users, users)
    stacked, spec = Stacked.of(users, "user", said), DownstreamSpec(learners=("lightgbm",))
    network = 1 / (1 + np.exp(-said.test.logits))
    found = prove(users, "user", stacked, network, spec, EvaluationSpec(bootstrap=20, fewest_frauds=2), seed=0)
    rows = stacked_table(users, "user", said, "v1")
    assert found.judged.rows == len(said.test.logits) and set(found.importance) == set(VARIANTS["embeddings"])
    assert rows["part"].to_pylist().count("known") == len(said.fold) and rows.column_names[0] == "user"


# ---------------------------------------------------------------- the line


def judged(stacked: float, aggregates: float, network: float, same_rows: float = 9.0) -> Any:
    """An evaluation in which the models rank with so much noise."""
    rng = np.random.default_rng(0)
    label = (np.arange(2000) % 10 == 0).astype(np.int8)
    noise = rng.normal(size=(4, 2000))
    sizes = (stacked, aggregates, network, same_rows)
    score = [1 / (1 + np.exp(-(label * 3 - 1 + noise[i] * size))) for i, size in enumerate(sizes)]
    rows = ScoredRows(np.zeros(2000, np.int64), label, score[0])
    others = {"lightgbm_aggregates": score[1], "temporal_sage": score[2], "lightgbm_same_rows": score[3]}
    return evaluate(rows, others, EvaluationSpec(bootstrap=100), model="lightgbm_embeddings")


@pytest.mark.parametrize(
    ("noise", "outcome", "words"),
    [
        ((0.5, 3.0, 2.0), "adds", "The embeddings add to LightGBM with aggregates: +"),
        ((1.0, 1.0, 2.0), "nothing", "add nothing to LightGBM with aggregates that can be told from chance"),
        ((3.0, 0.5, 2.0), "short", "make LightGBM with aggregates worse: −"),
        ((1.0, 3.0, 2.0, 1.0), "nothing", "add nothing to LightGBM with aggregates, on the same rows that"),
    ],
)
def test_the_line_says_what_was_measured(noise: tuple[float, ...], outcome: str, words: str) -> None:
    found, line = verdict(judged(*noise), learner="lightgbm")
    assert found == outcome and words in line and "against the network alone (." in line


def test_learners_that_are_none_are_named() -> None:
    with pytest.raises(ConfigError, match="got forest, expected some of lightgbm, xgboost"):
        DownstreamSpec(learners=("forest",))


def test_a_learner_that_is_not_installed_is_missed_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ConfigError, match="xgboost needs the extra"):
        DownstreamSpec()


# ---------------------------------------------------------------- the verb


def payments(count: int = 160) -> list[str]:
    """A payment every three hours; every fifth a fraud, known two hours later."""
    rows = []
    for i in range(count):
        day, hour = 1 + i // 8, 3 * (i % 8)
        when, known = f"2025-03-{day:02d}T{hour:02d}:00:00Z", f"2025-03-{day:02d}T{hour + 2:02d}:00:00Z"
        rows.append(
            f"h{i},u{i * 5 % 12},d{i % 7},c{i % 11},m{i % 4},{5 + i * 37 % 60}.5,{when},{int(i % 5 == 0)},{known}"
        )
    return rows


def test_the_verb_leaves_a_report_and_the_vectors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table, output = tmp_path / "tx.csv", tmp_path / "proof"
    header = "txn_id,user_id,device_id,card_id,merchant_id,amount,ts,label,label_known_at"
    table.write_text("\n".join([header, *payments()]) + "\n", encoding="utf-8")
    quick = ["trainer.epochs=2", "evaluation.bootstrap=20", "comparison.controls=false", "comparison.lightgbm=false"]
    where = [f'data.path="{table}"', f'output="{tmp_path / "run"}"', "evaluation.fewest_frauds=2"]
    assert run("train", ["data=payments", *where, *quick]) == 0
    asked = [f'run="{tmp_path / "run"}"', f'output="{output}"', "proof.learners=[lightgbm]"]
    assert run("downstream", [*asked, "about=user"]) == 2
    assert "about: the run was asked about events; got user" in caplog.text
    assert run("downstream", [*asked, "about=events"]) == 0
    told, rows = json.loads((output / "metrics.json").read_text()), pq.read_table(output / "vectors.parquet")
    assert told["evaluation"]["model"] == "lightgbm_embeddings" and set(told["importance"]) == set(
        VARIANTS["embeddings"]
    )
    assert rows["fold"].null_count == rows["part"].to_pylist().count("test")
    # Tomorrow's rows get their vectors from that bundle, and the same ones.
    embed = ["data=payments", f'data.path="{table}"', f'bundle="{output / "bundle"}"', f'output="{tmp_path / "store"}"']
    assert run("export_embeddings", [*embed, "health.least_directions=0"]) == 0
    embedder = Embedder.of(Bundle.load(output / "bundle"), load_log(output / "history"))
    (served,) = embedder.event_batches(np.arange(len(embedder.graph.log)), embedder.provenance(0))
    vector_of = dict(zip(served["event_id"].to_pylist(), served["embedding"].to_pylist(), strict=True))
    assert rows["embedding"].to_pylist() == [vector_of[key] for key in rows["event_id"].to_pylist()]
    assert set(rows["space_version"].to_pylist()) == {embedder.space_version}
    page = (output / "report.html").read_text()
    assert "What the trees rest on" in page and "Known rows, part 3" in page
    # Cut anew, the older half of the tables would be judged by a network that has learnt its labels.
    table.write_text("\n".join([header, *payments(80)]) + "\n", encoding="utf-8")
    assert run("downstream", asked) == 2
    assert "run: the tables have changed since" in caplog.text


def test_answers_that_came_later_are_not_learnt_about_users_still_to_be_spoken_of(
    log_from_rows: Callable[..., EventLog],
) -> None:
    """Ten users pay daily; verdicts of the table are known late, on day 30 of 40."""
    rows = [
        {"id": f"p{day}-{user}", "type": "payment", "time": day * DAY + user, "user": f"u{user}", "amount": 1.0}
        for day in range(40)
        for user in range(10)
    ]
    told = [{"type": "user", "id": f"u{i}", "label": int(i < 3), "label_known": 30 * DAY} for i in range(10)]
    log = log_from_rows(rows, told, roles=(Role("user", "user"),), event_types=("payment",))
    split = TimeSplit(test_from="1970-02-05", valid_share=0.0).apply(log)
    task = NodeTask("user", answer="entity", unknown="clean", every_days=5.0, active_days=5.0)
    bench = Workbench.lay_out(log, split, BEHAVIOUR, tasks=[task], ask_events=False)
    node, known = bench.judged.nodes["user"], rows_of(bench, "user")[0]
    cut = int(node.questions.as_of[known[len(known) // 2]])
    before = _before(bench, "user", BEHAVIOUR, known, len(known) // 2, len(known), cut).nodes["user"]
    assert node.label[node.fitted].sum() > 0 and cut < 30 * DAY
    assert before.fitted.any() and before.label[before.fitted].sum() == 0


def test_where_labels_stop_users_are_seen_as_they_will_be_at_the_test(log: EventLog) -> None:
    split = TimeSplit(test_share=0.3, valid_share=0.0, maturity_days=0.0, labels_stop=True).apply(log)
    task = NodeTask("user", every_days=1.0, active_days=1.0)
    bench = Workbench.lay_out(log, split, BEHAVIOUR, tasks=[task], ask_events=False)
    node, said = bench.judged.nodes["user"], spoken_of_users(bench, bench)
    known = rows_of(bench, "user")[0]
    fresh = bench.tree_rows("user", bench.judged, aggregates=True)
    counts = [place for place, name in enumerate(fresh.names) if name.endswith(".fraud_count")]
    shown, stopped = fresh.fit.x[said.first :][:, counts], said.tabular.fit.x[:, counts]
    assert (np.nan_to_num(shown) >= np.nan_to_num(stopped)).all() and np.nansum(shown) > np.nansum(stopped)
    assert (said.tabular.fit.y == node.label[known[said.first :]]).all()
