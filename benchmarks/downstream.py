"""What our vectors add to boosted trees, by the protocols of docs/benchmarks.md: `python benchmarks/downstream.py`.

The network is trained, the known rows are cross-fitted in time, trees are grown with and without what networks said.
One seed on one fold is a part by itself, kept in results/downstream_parts.json; rows of results/downstream.json are
means over the seeds all of whose folds are done.
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import replace
from typing import Any

import pandas as pd
from quality import HANDBOOK_FOLDS, PROTOCOLS, Fold, Protocol
from results_io import RESULTS, merge_rows, read_rows
from scipy.special import expit

from gnn.boosting import LEARNERS
from gnn.crossfit import CrossFitSpec, Networks, cross_fit
from gnn.downstream import VARIANTS, Stacked, grow
from gnn.metrics import Metric, Undefined
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec

log = logging.getLogger("downstream")

KEY = ("dataset", "protocol", "model")
METRICS = ("auc", "ap", "hits100", "recall_at_budget", "cp100")
PARTS = RESULTS / "downstream_parts.json"
"""One seed of one fold each, so that a day of work can be done in pieces; the rows of downstream.json are their
means."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="dataset, dataset/protocol, several with commas")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--folds", help="only these folds, counted from 1, with commas (fdh has four)")
    parser.add_argument("--members", type=int, help="members of every network (default: the experiment's)")
    parser.add_argument("--learners", default=",".join(LEARNERS))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--world", help="folder of the generated world (default: data/world)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("gnn.trainer").setLevel(logging.WARNING)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    only = [int(fold) for fold in arguments.folds.split(",")] if arguments.folds else None
    learners, variants = arguments.learners.split(","), arguments.variants.split(",")
    for protocol in PROTOCOLS:
        if protocol.within(arguments.only):
            overrides = []
            if protocol.dataset == "world" and arguments.world:
                overrides.append(f"data.root={arguments.world}")
            if arguments.members:
                overrides.append(f"trainer.members={arguments.members}")
            protocol = replace(protocol, overrides=tuple(overrides))
            for number, fold in enumerate(protocol.folds(), start=1):
                if only and number not in only:
                    continue
                for seed in seeds:
                    merge_rows(PARTS, _parts(protocol, fold, number, seed, learners, variants), (*KEY, "seed", "fold"))
                    _sum_up(protocol)


def _parts(
    protocol: Protocol, fold: Fold, number: int, seed: int, learners: list[str], variants: list[str]
) -> list[dict[str, Any]]:
    """A row per model of one seed on one fold."""
    began = time.perf_counter()
    judged = _judged(protocol, fold, seed, learners, variants)
    told = {model: metrics["ap"] for model, metrics in judged.items()}
    log.info("%s/%s seed %d fold %d: AP %s", protocol.dataset, protocol.name, seed, number, told)
    shared = {"dataset": protocol.dataset, "protocol": protocol.name, "seed": seed, "fold": number}
    shared["members"] = protocol.specs["trainer"].members
    shared["seconds"] = round(time.perf_counter() - began, 1)
    return [
        {**shared, "model": model}
        | {name: round(value, 4) for name, value in metrics.items() if not isinstance(value, Undefined)}
        for model, metrics in judged.items()
    ]


def _sum_up(protocol: Protocol) -> None:
    members, folds = protocol.specs["trainer"].members, len(HANDBOOK_FOLDS) if protocol.dataset == "fdh" else 1
    wanted = {"dataset": protocol.dataset, "protocol": protocol.name, "members": members}
    rows = means([part for part in read_rows(PARTS) if wanted.items() <= part.items()], folds)
    merge_rows(RESULTS / "downstream.json", [wanted | row for row in rows], KEY)
    named = [wanted | row for row in rows if row["model"] == "lightgbm_embeddings" and len(row["seeds"]) >= 3]
    merge_rows(RESULTS / "quality.json", named, KEY)


def means(parts: list[dict[str, Any]], folds: int) -> list[dict[str, Any]]:
    """A row per model: the mean over folds of each seed that has them all, then mean and deviation over these seeds."""
    rows = []
    for model, of_model in pd.DataFrame(parts).groupby("model"):
        seeds = of_model.groupby("seed").filter(lambda of_seed: len(of_seed) == folds).groupby("seed")
        if not len(seeds):
            continue
        judged = seeds[[name for name in METRICS if name in of_model and of_model[name].notna().any()]].mean()
        row = {"model": model, **_rounded(judged.mean()), "seeds": judged.index.tolist(), "folds": folds}
        rows.append(row | {"std": _rounded(judged.std(ddof=0)), "seconds_a_seed": round(seeds.seconds.sum().mean(), 1)})
    return rows


def _rounded(values: pd.Series[float]) -> dict[str, float]:
    return {str(name): round(float(value), 4) for name, value in values.items()}


def _judged(
    protocol: Protocol, fold: Fold, seed: int, learners: list[str], variants: list[str]
) -> dict[str, dict[str, Metric]]:
    """Metrics on the fold's test rows of the network alone and of trees, by learner and variant."""
    specs, bench = protocol.specs, fold.bench
    model, trainer = specs["model"], specs["trainer"]
    assert isinstance(model, SageSpec) and isinstance(trainer, TrainerSpec)
    networks = bench.train_networks(model, trainer, seed=seed)
    said = cross_fit(
        bench,
        fold.task,
        Networks(networks.members, networks.spaces),
        model,
        trainer,
        specs["features"],
        CrossFitSpec(),
        seed=seed,
        epochs=networks.best_epoch,
    )
    stacked = Stacked.of(bench, fold.task, said)
    judged = {"temporal_sage": fold.judge(expit(networks.test[fold.task]))}
    for learner in learners:
        for variant, forest in grow(stacked, learner, variants, seed=seed, threads=trainer.threads).items():
            if isinstance(forest, Undefined):  # users of p2p have no columns of their own
                log.info("%s on %s: %s", learner, variant, forest)
                continue
            judged[f"{learner}_{variant}"] = fold.judge(forest.scores(stacked.test(variant)))
    return judged


if __name__ == "__main__":
    main()
