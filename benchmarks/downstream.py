"""What our vectors add to boosted trees, by the protocols of docs/benchmarks.md: `python benchmarks/downstream.py`.

The network is trained, the known rows are cross-fitted in time, trees are grown with and without what networks said.
Every row is a mean over seeds (and folds); rows are merged into results/downstream.json as they are done.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from quality import PROTOCOLS, Fold, Protocol
from results_io import RESULTS, merge_rows
from scipy.special import expit

from gnn.boosting import LEARNERS
from gnn.crossfit import CrossFitSpec, Networks, cross_fit
from gnn.downstream import VARIANTS, Stacked, grow
from gnn.metrics import Metric, Undefined
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec

log = logging.getLogger("downstream")

KEY = ("dataset", "protocol", "model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="sffsd/forward,world,p2p,fdh", help="dataset or dataset/protocol, with commas"
    )
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--folds", type=int, help="only the first so many folds (fdh has four)")
    parser.add_argument("--members", type=int, help="members of every network (default: the experiment's)")
    parser.add_argument("--learners", default=",".join(LEARNERS))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--world", help="folder of the generated world (default: data/world)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("gnn.trainer").setLevel(logging.WARNING)
    wanted = arguments.only.split(",")
    for protocol in PROTOCOLS:
        if {protocol.dataset, f"{protocol.dataset}/{protocol.name}"} & set(wanted):
            overrides = []
            if protocol.dataset == "world" and arguments.world:
                overrides.append(f"data.root={arguments.world}")
            if arguments.members:
                overrides.append(f"trainer.members={arguments.members}")
            protocol = replace(protocol, overrides=tuple(overrides))
            seeds = [int(seed) for seed in arguments.seeds.split(",")]
            grown = list(itertools.product(arguments.learners.split(","), arguments.variants.split(",")))
            for rows in _rows(protocol, seeds, grown, folds=arguments.folds):
                merge_rows(RESULTS / "downstream.json", rows, KEY)
                # What docs/benchmarks.md calls by the same name is the same thing; fewer seeds are no result there.
                same = ("lightgbm_embeddings",) if arguments.members else ("lightgbm_embeddings", "temporal_sage")
                named = [row for row in rows if row["model"] in same and len(row["seeds"]) >= 3]
                if named and arguments.folds is None:
                    merge_rows(RESULTS / "quality.json", named, KEY)


def _rows(
    protocol: Protocol, seeds: list[int], grown: list[tuple[str, str]], *, folds: int | None = None
) -> Iterator[list[dict[str, Any]]]:
    """After each seed a row per model: mean over folds for each seed, then mean and deviation over the seeds so far."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    began = time.perf_counter()
    for count, seed in enumerate(seeds, start=1):
        of_seed: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for number, fold in enumerate(itertools.islice(protocol.folds(), folds), start=1):
            for model, metrics in _judged(protocol, fold, seed, grown).items():
                for name, value in metrics.items():
                    if not isinstance(value, Undefined):
                        of_seed[model][name].append(value)
            told = {model: round(metrics["ap"][-1], 4) for model, metrics in of_seed.items()}
            log.info("%s/%s seed %d fold %d: AP %s", protocol.dataset, protocol.name, seed, number, told)
        for model, metrics in of_seed.items():
            for name, values in metrics.items():
                found[model][name].append(float(np.mean(values)))
        yield [
            {
                "dataset": protocol.dataset,
                "protocol": protocol.name,
                "model": model,
                **{name: round(float(np.mean(values)), 4) for name, values in metrics.items()},
                "seeds": seeds[:count],
                "folds": number,
                "members": protocol.specs["trainer"].members,
                "std": {name: round(float(np.std(values)), 4) for name, values in metrics.items()},
                "seconds_a_seed": round((time.perf_counter() - began) / count, 1),
            }
            for model, metrics in found.items()
        ]


def _judged(protocol: Protocol, fold: Fold, seed: int, grown: list[tuple[str, str]]) -> dict[str, dict[str, Metric]]:
    """Metrics on the fold's test rows of the network alone and of the trees `grown`, by learner and variant."""
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
    for learner, variant in grown:
        trees = grow(stacked, learner, variant, seed=seed, threads=trainer.threads)
        if isinstance(trees, Undefined):  # users of p2p have no columns of their own
            log.info("%s on %s: %s", learner, variant, trees)
            continue
        judged[f"{learner}_{variant}"] = fold.judge(trees.scores(stacked.rows(variant)[1]))
    return judged


if __name__ == "__main__":
    main()
