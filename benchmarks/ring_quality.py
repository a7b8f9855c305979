"""Rings found in generated worlds beside the truth: `python benchmarks/ring_quality.py [--seeds 100,101 --dials 2]`.

The model is in the loop: it is trained on the early weeks of each world, with labels as late as they are, and scores
what comes after; the finder looks at the last 90 days, nearly all of them later than the training cut. Beside it stand
capped components, shuffled scores, no scores at all, and an oracle. `--fit` makes the coefficients of P(ring) anew, on
the tuning seeds 0 to 9; the judging seeds are 100 and more.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from results_io import RESULTS, merge_rows
from ring_truth import BankTruth, RingTruth, WorldTruth
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from graphs.config import check_config, compose
from graphs.events import MISSING, NEVER, UNLABELLED, EventLog
from graphs.history import event_keys
from graphs.ingest import ingest
from graphs.rings import metrics
from graphs.rings.features import FEATURES
from graphs.rings.finders import Finder
from graphs.rings.metrics import Alert, Ring
from graphs.rings.run import Rated, find, lay_ground, rate
from graphs.rings.suspicion import NO_SCORES, ScoreTable, read_scores
from graphs.schema import DataSchema

log = logging.getLogger("ring_quality")

KEY = ("dataset", "finder", "scores", "seed", "dial", "archetype")
SIZE = {"payments": 250_000, "users": 20_000, "merchants": 1_200, "rings": 130, "look_alikes": 150}
TRAINED_UNTIL = "2025-04-16"
"""The model is put to work on day 100 of 180; labels known by then, of payments 60 days older, are what it learns."""

K = 50
WINDOW_DAYS = 90.0
BANK_DAYS = 45.0
DAY = 86_400_000_000
STAND_IN_SHIFT = 2.33
"""Two normal distributions so far apart have an AUC of .95."""


@dataclass(frozen=True)
class World:
    """One generated world in `folder`."""

    seed: int
    dial: int
    folder: Path

    @classmethod
    def make(cls, seed: int, dial: int, root: Path) -> World:
        folder = root / f"seed{seed}_dial{dial}"
        if not (folder / "world.json").is_file():
            size = [f"world.{name}={value}" for name, value in SIZE.items()]
            _verb(
                "make_world", "world=default", f"world.seed={seed}", f"world.evasion={dial}", f"output={folder}", *size
            )
        return cls(seed, dial, folder)

    @cached_property
    def events(self) -> EventLog:
        data = compose("ingest", ["data=world", f"data.root={self.folder}"])["data"]
        return ingest(DataSchema.from_config(data)).log

    @cached_property
    def truth(self) -> WorldTruth:
        return WorldTruth(self.folder)

    @cached_property
    def end(self) -> int:
        return int(self.events.visible_time.max()) + 1

    @cached_property
    def fraud(self) -> np.ndarray:
        return self.truth.fraud(event_keys(self.events).to_pylist())

    @cached_property
    def model_scores(self) -> ScoreTable:
        """Scores of a model trained on the early weeks: of events as of their own time, of users as of the end, with
        labels as they had become known by then."""
        run, scored = (
            self.folder.with_name(f"{self.folder.name}_model"),
            self.folder.with_name(f"{self.folder.name}_scores"),
        )
        data = ["data=world", f"data.root={self.folder}"]
        if not (run / "bundle").is_dir():
            _verb(
                "train", *data, "experiment=world", f"split.test_from={TRAINED_UNTIL}", "split.labels_stop=false",
                "comparison.lightgbm=false", "comparison.controls=false", f"output={run}",
            )  # fmt: skip
        if not scored.is_dir():
            end = datetime.fromtimestamp(self.end / 1e6, UTC).replace(tzinfo=None).isoformat()
            asked = ["history=false", "entities=[user]", f"as_of='{end}'", f"start={TRAINED_UNTIL}"]
            _verb("score", *data, f"bundle={run}/bundle", *asked, f"output={scored}")
        return read_scores(scored, "user", self.end)

    def scores(self, name: str) -> ScoreTable:
        """model, shuffled (the model's, in another order), stand_in (AUC .95), oracle, known_fraud, none."""
        rng = np.random.default_rng(self.seed)
        if name == "model":
            return self.model_scores
        if name == "shuffled":
            model = self.model_scores
            return ScoreTable("shuffled", _shuffled(model.events, rng), _shuffled(model.actors, rng))
        if name == "stand_in":
            return stand_in_scores(self.events, self.fraud, seed=self.seed)
        if name == "oracle":
            return of_events(self.events, name, np.where(self.fraud, 0.95, 0.01))
        return NO_SCORES


def of_events(events: EventLog, name: str, score: np.ndarray) -> ScoreTable:
    """(events,) scores as a table."""
    kinds = pa.array([events.event_types[code] for code in events.event_type], pa.string())
    return ScoreTable(name, pa.table({"event_type": kinds, "event_id": events.event_ids, "score": score}))


def stand_in_scores(events: EventLog, fraud: np.ndarray, *, seed: int) -> ScoreTable:
    """Calibrated scores of AUC .95: two normal distributions of unit width."""
    place = np.random.default_rng(seed).standard_normal(len(fraud)) + STAND_IN_SHIFT * fraud
    score = expit(STAND_IN_SHIFT * (place - STAND_IN_SHIFT / 2) + logit(fraud.mean()))
    return of_events(events, "stand_in", score)


def unlabelled(events: EventLog) -> EventLog:
    """The log as if nobody had ever complained: structure is all that is left."""
    count = len(events)
    return replace(events, label=np.full(count, UNLABELLED, np.int8), label_known_time=np.full(count, NEVER))


def shipped(name: str) -> Finder:
    """A finder as configured."""
    finder = check_config(compose("find_rings", [f"finder={name}"])).keywords["finder"]
    assert isinstance(finder, Finder)
    return finder


def rings_of(rated: Rated, finder: Finder) -> list[Ring]:
    """The rings told, best first."""
    keys = rated.ground.window.log.entity_ids[rated.ground.parties.actor]
    return [
        frozenset(keys.take(pa.array(rated.groups.members(group))).to_pylist()) for group in rated.best(finder).tolist()
    ]


def judged(predicted: Sequence[Ring], truth: RingTruth) -> dict[str, float]:
    """The metrics of docs/rings.md that need one run."""
    cubed = metrics.b_cubed(predicted, truth.rings)
    by_kind = metrics.recall_by_kind(predicted, truth.rings, truth.archetypes)
    hit = metrics.hard_negative_rates(predicted, truth.rings, truth.groups, K)
    return {
        "true_rings": len(truth.rings),
        "predicted_rings": len(predicted),
        "ring_recall": metrics.ring_recall(predicted, truth.rings),
        "worst_archetype_recall": min(by_kind.values()),
        f"precision_at_{K}": metrics.precision_at(predicted, truth.rings, K),
        "b3_f1": cubed.f1,
        "b3_precision": cubed.precision,
        "b3_recall": cubed.recall,
        "pairwise_f1": metrics.pairwise(predicted, truth.rings).f1,
        "over_merge": metrics.over_merge(predicted, truth.rings),
        "fragmentation": metrics.fragmentation(predicted, truth.rings),
        "innocents_per_100": metrics.innocents_per_100(predicted, truth.guilty, K),
        "worst_hard_negative_rate": max(hit.values()),
        **{f"hard_negative_rate.{name}": rate for name, rate in hit.items() if rate},
    }


def compare(world: World, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of every finder and kind of scores on one world: all archetypes together, and the recall of each."""
    truth = world.truth.as_of(world.end, window_days=WINDOW_DAYS)
    later = world.truth.as_of(world.end, window_days=WINDOW_DAYS, begun_after=_micros(TRAINED_UNTIL))
    for finder_name, scores in [*(("communities", name) for name in names), ("components", names[0])]:
        finder = shipped(finder_name)
        events = unlabelled(world.events) if scores == "none" else world.events
        rated = rate(lay_ground(events, finder, world.scores(scores), as_of=world.end), finder, seed=0)
        predicted = rings_of(rated, finder)
        place = {"dataset": "world", "finder": finder_name, "scores": scores, "seed": world.seed, "dial": world.dial}
        new = {"ring_recall_begun_later": metrics.ring_recall(predicted, later.rings)}
        yield _rounded({**place, "archetype": "all", **judged(predicted, truth), **new})
        for kind, recall in metrics.recall_by_kind(predicted, truth.rings, truth.archetypes).items():
            count = sum(its == kind for its in truth.archetypes)
            yield _rounded({**place, "archetype": kind, "ring_recall": recall, "true_rings": count})


def stability(world: World) -> dict[str, float]:
    """Rerun and loss of 5 % of the links between events and entities, with the model's scores."""
    finder, scores = shipped("communities"), world.scores("model")
    first, again, thinned = (
        rings_of(rate(lay_ground(events, finder, scores, as_of=world.end), finder, seed=0), finder)
        for events in (world.events, world.events, _thinned(world.events, world.seed))
    )
    return {"rerun_identical": float(first == again), "kept_at_5_percent_loss": metrics.kept_share(first, thinned)}


def daily(world: World, days: int) -> dict[str, float]:
    """Runs day by day, each going on from the last, as an office would do it; the model's scores of events only,
    since each is as of its own time."""
    finder, scores = shipped("communities"), world.scores("model")
    alerts, before = [], None
    for back in range(days, -1, -1):
        as_of = world.end - back * DAY
        before = find(world.events, finder, as_of=as_of, scores=ScoreTable("model", scores.events), previous=before)
        alerts.append(_alert(before, as_of))
    truth = world.truth.as_of(world.end, window_days=WINDOW_DAYS)
    fresh = world.truth.as_of(world.end, window_days=WINDOW_DAYS, begun_after=alerts[0].as_of)
    waits = np.array(metrics.detection_days(alerts, fresh.rings, fresh.begun, K))
    losses = [loss for loss in truth.losses if loss.time >= alerts[0].as_of]
    return {
        "id_switches_per_100": metrics.id_switches_per_100(alerts, truth.rings),
        f"value_recall_at_{K}": metrics.value_recall_at(alerts, losses, K),
        "new_rings": len(waits),
        "new_rings_detected": float(np.isfinite(waits).mean()) if len(waits) else float("nan"),
        "median_days_to_detection": float(np.median(waits)) if len(waits) else float("nan"),
    }


def fit(root: Path, seeds: Sequence[int], dials: Sequence[int]) -> None:
    """Print the coefficients of P(ring), fitted on every group of the tuning worlds."""
    finder = shipped("communities")
    for name, kinds in (("SCORED", ("stand_in", "oracle", "known_fraud")), ("STRUCTURE", ("none",))):
        columns, answers = [], []
        for world in (World.make(seed, dial, root) for seed in seeds for dial in dials):
            true = world.truth.as_of(world.end, window_days=WINDOW_DAYS).rings
            for kind in kinds:
                events = unlabelled(world.events) if kind == "none" else world.events
                rated = rate(lay_ground(events, finder, world.scores(kind), as_of=world.end), finder, seed=0)
                found = rings_of(rated, replace(finder, least_p=0.0, max_rings=10**6))
                columns.append(rated.features[rated.best(replace(finder, least_p=0.0, max_rings=10**6))])
                answers += [metrics.ring_recall(true, [ring]) for ring in found]
        model = LogisticRegression(C=0.3, max_iter=5000).fit(np.concatenate(columns), np.array(answers) > 0)
        weights = dict(zip(FEATURES, model.coef_[0].tolist(), strict=True))
        told = {"bias": float(model.intercept_[0]), **weights}
        print(
            name,
            "=",
            {key: round(value, 2) for key, value in told.items()},
            f"{np.mean(answers):.2f} of {len(answers)}",
        )


def graphfaker() -> Iterator[dict[str, Any]]:
    """Rings of the simulated bank, among its accounts, in the second half of its days; the settings of `transfers` were
    chosen on the first. Its labels come without a delay, so that with them the finder is told which transactions are
    fraud (`oracle`); `stand_in` has scores of AUC .95 and no labels, `none` has neither."""
    data = compose("find_rings", ["data=graphfaker_medium"])["data"]
    events = ingest(DataSchema.from_config(data)).log
    end, bank = int(events.visible_time.max()) + 1, BankTruth(Path(data["root"]))
    truth = bank.between(end - round(BANK_DAYS * DAY), end)
    fraud = np.array([key.split("\x1f")[1] in bank.fraud for key in event_keys(events).to_pylist()])
    stand_in = stand_in_scores(events, fraud, seed=0)
    told = {"oracle": (events, NO_SCORES), "stand_in": (unlabelled(events), stand_in)}
    told["none"] = (unlabelled(events), NO_SCORES)
    asked = [("transfers", "oracle"), ("transfers", "stand_in"), ("communities", "oracle"), ("components", "none")]
    for finder_name, scores in asked:
        finder = replace(shipped(finder_name), actor="account", window_days=BANK_DAYS, max_rings=5000)
        known, table = told[scores]
        ground = lay_ground(known, finder, table, as_of=end)
        predicted = rings_of(rate(ground, finder, seed=0), finder)
        place = {"dataset": "graphfaker_medium", "finder": finder_name, "scores": scores, "seed": 0, "dial": None}
        yield _rounded({**place, "archetype": "all", **judged(predicted, truth)})
        for kind, recall in metrics.recall_by_kind(predicted, truth.rings, truth.archetypes).items():
            count = truth.archetypes.count(kind)
            yield _rounded({**place, "archetype": kind, "ring_recall": recall, "true_rings": count})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="100,101,102,103,104")
    parser.add_argument("--dials", default="2")
    parser.add_argument("--scores", default="model,shuffled,known_fraud,none,oracle", help="which kinds, with commas")
    parser.add_argument(
        "--days", type=int, default=30, help="daily runs on each world with the model's scores; 0: no further runs"
    )
    parser.add_argument("--worlds", type=Path, help="where worlds are kept from run to run (default: nowhere)")
    parser.add_argument("--fit", action="store_true", help="print coefficients of P(ring) from these seeds and dials")
    parser.add_argument("--graphfaker", action="store_true", help="the simulated bank instead of worlds")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    seeds, dials = ([int(part) for part in text.split(",")] for text in (options.seeds, options.dials))
    if options.graphfaker:
        merge_rows(RESULTS / "rings.json", graphfaker(), KEY)
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = options.worlds or Path(temporary)
        if options.fit:
            fit(root, seeds, dials)
            return
        for world in (World.make(seed, dial, root) for seed in seeds for dial in dials):
            rows = list(compare(world, options.scores.split(",")))
            if "model" in options.scores.split(",") and options.days:
                rows[0] |= _rounded({**stability(world), **daily(world, options.days)})
            merge_rows(RESULTS / "rings.json", rows, KEY)
            for row in rows:
                if row["archetype"] == "all":
                    log.info("%s", row)


def _verb(config: str, *overrides: str) -> None:
    log.info("%s %s", config, " ".join(overrides))
    check_config(compose(config, overrides))()


def _alert(found: Any, as_of: int) -> Alert:
    """The rings of a run that are awake, in order of rank."""
    told = [row for row in found.tables["rings"].sort_by("rank").to_pylist() if row["status"] != "dormant"]
    members: dict[str, set[str]] = {row["ring_id"]: set() for row in told}
    for row in found.tables["members"].select(["ring_id", "part", "entity_id"]).to_pylist():
        if row["part"] == "member" and row["ring_id"] in members:
            members[row["ring_id"]].add(row["entity_id"])
    ids = [row["ring_id"] for row in told]
    return Alert(as_of, [frozenset(members[name]) for name in ids], ids, [row["aliases"] for row in told])


def _thinned(events: EventLog, seed: int) -> EventLog:
    lost = np.random.default_rng(seed).random(events.entities.shape) < 0.05
    return replace(events, entities=np.where(lost, MISSING, events.entities).astype(np.int32))


def _shuffled(table: pa.Table | None, rng: np.random.Generator) -> pa.Table | None:
    if table is None:
        return None
    mixed = pa.array(rng.permutation(table["score"].to_numpy()))
    return table.set_column(table.column_names.index("score"), "score", mixed)


def _micros(date: str) -> int:
    return round(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1_000_000)


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Four digits; what is undefined or infinite is null, since JSON knows neither."""
    return {
        name: (round(float(value), 4) if np.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in row.items()
    }


if __name__ == "__main__":
    sys.exit(main())
