"""Quality on public data, by the protocols of docs/benchmarks.md: `python benchmarks/quality.py [--only fdh/strict]`.

Every row is a mean over seeds (and folds) on a test part that nothing was chosen on; rows are merged into
results/quality.json as they are done, so the benchmark can be run in pieces. benchmarks/downstream.py adds the row of
`lightgbm_embeddings`.
"""

from __future__ import annotations

import argparse
import functools
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from results_io import RESULTS, merge_rows
from scipy.special import expit

from gnn import metrics
from gnn.bundle import EVENTS
from gnn.floors import class_rate_floor
from gnn.hetero_sage import HeteroSageSpec
from gnn.metrics import Metric, Undefined
from gnn.pipeline import TaskSpec
from gnn.splits import RandomSplit, TimeSplit
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec
from gnn.workbench import Workbench
from graphs.behaviour import BehaviourSpec
from graphs.config import compose
from graphs.events import MICROSECONDS_PER_DAY, EventLog
from graphs.ingest import ingest
from graphs.schema import DataSchema
from graphs.signatures import check_config

log = logging.getLogger("quality")

KEY = ("dataset", "protocol", "model")
MODELS = (
    "class_rate",
    "lightgbm_raw",
    "lightgbm_aggregates",
    "no_edges",
    "shuffled_edges",
    "temporal_sage",
    "hetero_sage",
)
TREES = ("lightgbm_raw", "lightgbm_aggregates")
EDGES = {"temporal_sage": "real", "no_edges": "none", "shuffled_edges": "shuffled"}

Judge = Callable[[np.ndarray], dict[str, Metric]]


@dataclass(frozen=True)
class Fold:
    """A workbench, the task asked, and how its test scores are judged."""

    bench: Workbench
    task: str
    judge: Judge
    raw_label_rate: np.ndarray


@dataclass(frozen=True)
class Protocol:
    """A named experiment (configs/experiment), with `overrides` of it, and its folds."""

    dataset: str
    name: str
    experiment: str
    overrides: tuple[str, ...] = ()

    @cached_property
    def specs(self) -> Mapping[str, Any]:
        """The experiment's arguments of `gnn.pipeline.train`, checked and built."""
        call = check_config(compose("train", [f"experiment={self.experiment}", *self.overrides]))
        assert isinstance(call, functools.partial)
        return call.keywords

    @cached_property
    def events(self) -> EventLog:
        return ingest(DataSchema.from_config(dict(self.specs["data"]))).log

    def within(self, only: str) -> bool:
        """Whether `only` (datasets or dataset/protocol, with commas; empty: all) asks for it."""
        wanted = {part for part in only.split(",") if part}
        return not wanted or bool({self.dataset, f"{self.dataset}/{self.name}"} & wanted)

    def folds(self) -> Iterator[Fold]:
        split, behaviour, task = (self.specs[group] for group in ("split", "features", "task"))
        if self.dataset == "fdh":
            yield from _handbook_folds(self.events, split, behaviour, strict=self.name == "strict")
            return
        assert isinstance(task, TaskSpec) and isinstance(split, TimeSplit | RandomSplit)
        bench = Workbench.lay_out(
            self.events, split.apply(self.events), behaviour, tasks=task.nodes, ask_events=task.events
        )
        asked = EVENTS if task.events else task.nodes[0].entity_type
        label = bench.labels(asked, bench.judged)
        amount = self.events.amount[bench.split.test] if asked == EVENTS else None
        fitted = bench.label[bench.split.refit] if task.events else bench.judged.nodes[asked].label
        yield Fold(bench, asked, lambda score: _judged(label, score, amount), fitted)


PROTOCOLS = (
    Protocol("fdh", "strict", "fdh_strict"),
    Protocol("fdh", "open", "fdh_open"),
    Protocol("sffsd", "forward", "sffsd_forward"),
    Protocol("sffsd", "gtan_split", "sffsd_gtan_split"),
    Protocol("p2p", "new_users_2017-11-01", "p2p_2017_11"),
    Protocol("p2p", "new_users_2018-01-01", "p2p_2018_01"),
    Protocol("p2p", "new_users_2018-06-01", "p2p_2018_06"),
    Protocol("graphfaker_medium", "time_60_20_20", "graphfaker_medium"),
    Protocol("world", "time_60_20_20", "world"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="dataset, dataset/protocol, several with commas")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="seeds and folds side by side, one thread each")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    for protocol in PROTOCOLS:
        if not protocol.within(arguments.only):
            continue
        place = f"{protocol.dataset}/{protocol.name}"
        folds = list(protocol.folds())
        for model in arguments.models.split(","):
            row = _row(protocol, folds, model, seeds, jobs=arguments.jobs)
            if isinstance(row, Undefined):  # users of p2p have no columns of their own
                log.info("%s %s: %s", place, model, row)
                continue
            log.info("%s %s: %s", place, model, {name: row.get(name) for name in ("auc", "ap", "cp100", "hits100")})
            merge_rows(RESULTS / "quality.json", [row], KEY)


def _row(
    protocol: Protocol, folds: list[Fold], model: str, seeds: list[int], *, jobs: int
) -> dict[str, Any] | Undefined:
    """Mean over folds for each seed, then mean and standard deviation over seeds."""
    used = seeds[:1] if model == "class_rate" else seeds
    began = time.perf_counter()

    def judged_fold(seed: int, fold: Fold) -> dict[str, Metric] | Undefined:
        score = _scores(protocol, fold, model, seed)
        if isinstance(score, Undefined):
            return score
        found = fold.judge(score)
        if protocol.name == "gtan_split" and model in (*TREES, *EDGES):
            found["macro_f1"] = _macro_f1(protocol, fold, model, seed, score)
        log.info("%s/%s %s seed %d: %s", protocol.dataset, protocol.name, model, seed, found)
        return found

    work = [(seed, fold) for seed in used for fold in folds]
    judged = _side_by_side(judged_fold, work, jobs)
    undefined = next((found for found in judged if isinstance(found, Undefined)), None)
    if undefined is not None:
        return undefined
    by_seed = []
    for place in range(len(used)):
        of_seed = judged[place * len(folds) : (place + 1) * len(folds)]
        by_seed.append({name: _mean([found[name] for found in of_seed]) for name in of_seed[0]})
    seconds = (time.perf_counter() - began) / len(used) / len(folds)
    row: dict[str, Any] = {"dataset": protocol.dataset, "protocol": protocol.name, "model": model}
    spread = {}
    for name in by_seed[0]:
        values = [judged[name] for judged in by_seed if judged[name] is not None]
        row[name] = round(float(np.mean(values)), 4) if values else None
        spread[name] = round(float(np.std(values)), 4) if values else None
    return row | {"seeds": used, "std": spread, "train_seconds": round(seconds, 1)}


def _side_by_side(call: Callable[..., Any], work: Sequence[tuple[Any, ...]], jobs: int) -> list[Any]:
    """`call(*each)` for each of `work`, in `jobs` forked processes, which share the data laid out before."""
    if jobs == 1:
        return [call(*each) for each in work]
    global _do
    _do = functools.partial(_nth, call, work)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        return pool.map(_do_in_child, range(len(work)), chunksize=1)


_do: Callable[[int], Any]
"""What the forked children do; inherited, since neither folds nor closures can be sent."""


def _nth(call: Callable[..., Any], work: Sequence[tuple[Any, ...]], place: int) -> Any:
    return call(*work[place])


def _do_in_child(place: int) -> Any:
    return _do(place)


def _scores(protocol: Protocol, fold: Fold, model: str, seed: int) -> np.ndarray | Undefined:
    bench, task = fold.bench, fold.task
    sage, trainer = protocol.specs["model"], protocol.specs["trainer"]
    assert isinstance(sage, SageSpec) and isinstance(trainer, TrainerSpec)
    if model == "class_rate":
        return class_rate_floor(fold.raw_label_rate, len(bench.labels(task, bench.judged)))
    if model in TREES:
        return bench.lightgbm(task, seed=seed, aggregates=model == "lightgbm_aggregates", threads=trainer.threads)
    if model == "hetero_sage":
        reference = HeteroSageSpec(width=sage.width, bins=sage.bins, binned=sage.binned, dropout=sage.dropout)
        return expit(reference.train(bench, replace(trainer, members=1), seed=seed).test[task])
    return expit(bench.train_networks(sage.with_edges(EDGES[model]), trainer, seed=seed).test[task])


def _judged(label: np.ndarray, score: np.ndarray, amount: np.ndarray | None = None) -> dict[str, Metric]:
    alerts = max(100, len(label) // 100)
    found: dict[str, Metric] = {
        "auc": metrics.auc(label, score),
        "ap": metrics.average_precision(label, score),
        "hits100": metrics.hits_at_k(label, score, k=100),
        "recall_at_budget": metrics.at_budget(label, score, budget=alerts, amount=amount).recall,
    }
    return found


def _macro_f1(protocol: Protocol, fold: Fold, model: str, seed: int, score: np.ndarray) -> Metric:
    """Macro F1 of the test scores at the threshold that is best on the validation rows, by a model that never saw
    those: the same candidate, judged on them."""
    bench = replace(fold.bench, judged=fold.bench.choosing)
    valid = _scores(protocol, replace(fold, bench=bench), model, seed)
    if isinstance(valid, Undefined):
        return valid
    threshold = metrics.best_threshold(bench.labels(fold.task, bench.judged), valid)
    label = fold.bench.labels(fold.task, fold.bench.judged)
    return threshold if isinstance(threshold, Undefined) else metrics.macro_f1(label, score, threshold=threshold)


def _mean(values: list[Metric]) -> float | None:
    usable = [value for value in values if not isinstance(value, Undefined)]
    return float(np.mean(usable)) if usable else None


# ---------------------------------------------------------------- the Fraud Detection Handbook's prequential test

HANDBOOK_FOLDS = ("2018-07-25", "2018-08-01", "2018-08-08", "2018-08-15")


def _handbook_folds(events: EventLog, split: TimeSplit, behaviour: BehaviourSpec, *, strict: bool) -> Iterator[Fold]:
    """Train 7 days, wait 7, test 7; customers known to be compromised leave the test part (CP@100: per day)."""
    first = None
    for start in HANDBOOK_FOLDS:
        day_of = np.datetime64(start, "D").astype(int)
        cut, end = (str(np.datetime64(start, "D") + days) for days in (14, 21))
        train_from = start if strict else split.train_from
        parts = replace(split, train_from=train_from, test_from=cut, test_until=end).apply(events)
        first = first or Workbench.lay_out(events, parts, behaviour)
        bench = replace(
            first,
            split=parts,
            choosing=replace(first.choosing, fitted=parts.fit, judged=parts.valid, cut=parts.valid_cut),
            judged=replace(first.judged, fitted=parts.refit, judged=parts.test, cut=parts.cut),
        )
        kept = handbook_rows(events, int(day_of))[parts.test]
        yield Fold(bench, EVENTS, handbook_judge(events, parts.test, kept), bench.label[parts.refit])


def handbook_rows(events: EventLog, first_day: int) -> np.ndarray:
    """(events,) bool: test rows of the fold whose training starts on `first_day` (days since 1970), without the
    customers that were known to be compromised."""
    day, customer, fraud = events.event_time // MICROSECONDS_PER_DAY, events.entities[:, 0], events.label == 1
    compromised = np.unique(customer[fraud & (day >= first_day) & (day < first_day + 7)])
    kept = np.zeros(len(events), bool)
    for test_day in range(7):
        newly = customer[fraud & (day == first_day + 7 + test_day - 1)]
        compromised = np.union1d(compromised, newly)
        kept |= (day == first_day + 14 + test_day) & ~np.isin(customer, compromised)
    return kept


def handbook_judge(events: EventLog, test: np.ndarray, kept: np.ndarray) -> Judge:
    """How scores of the test rows (`test`, a mask) are judged on those of them that are `kept`."""
    label = (events.label[test] == 1).astype(np.int8)[kept]
    day = (events.event_time[test] // MICROSECONDS_PER_DAY)[kept]
    customer = events.entities[test, 0][kept]

    def judge(score: np.ndarray) -> dict[str, Metric]:
        found = _judged(label, score[kept])
        found["cp100"] = metrics.card_precision_at_k(day, customer, score[kept], label, k=100)
        return found

    return judge


if __name__ == "__main__":
    main()
