"""The proof for the downstream modeller: what our vectors and scores add to boosted trees on his own columns.

The same learner on the same forward split, with and without point-in-time aggregates, with and without vectors and
score. Training rows carry what networks said that never saw their labels (gnn/crossfit.py). The line is drawn from two
comparisons: the trees with aggregates alone (on all known rows or on the same rows, whichever is better), and the
network alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from scipy.special import expit

from gnn.boosting import LEARNERS, NO_TREES, Rows, Trees
from gnn.bundle import BUNDLE, EVENTS, Bundle
from gnn.calibration import fit_calibrator
from gnn.crossfit import CrossFitSpec, CrossFitted, Networks, Spoken, cross_fit, in_order, rows_of
from gnn.embedding_table import CLOCK, EMBEDDING, column_names
from gnn.evaluation import Evaluation, EvaluationSpec, best_row, evaluate, short, signed
from gnn.metrics import Interval, Undefined
from gnn.report import write_report
from gnn.workbench import TreeRows, Workbench
from graphs.errors import ConfigError, NotFoundError
from graphs.folders import check_replaceable, whole_file, write_json
from graphs.ingest import ingest
from graphs.schema import DataSchema
from graphs.signatures import check_config
from graphs.store import LOG, fingerprint, save_log

log = logging.getLogger(__name__)

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "raw": ("raw",),
    "raw_embeddings": ("raw", "embedding", "score"),
    "aggregates": ("raw", "aggregates"),
    "same_rows": ("raw", "aggregates"),
    "score": ("raw", "aggregates", "score"),
    "embeddings": ("raw", "aggregates", "embedding", "score"),
}
"""What a learner is given, by variant; the last is what is judged. `same_rows` are the known rows that have a score, as
they were seen when they got it: what is better than this is the network's."""

FLOORS = ("aggregates", "same_rows")
"""Variants without the network that are given all there is beside it; the better one is what has to be beaten."""

GROUPS = {
    "raw": "own columns",
    "aggregates": "point-in-time aggregates",
    "embedding": "embedding",
    "score": "score of the network",
}
"""What a report calls the groups of columns."""

DRAWN = ("embeddings", "aggregates", "raw")
"""Variants of the first learner whose curves a report shows, beside the network alone."""

BADGES = {
    "adds": "The embeddings add",
    "nothing": "No gain from the embeddings",
    "short": "Below what was there",
    "none": "No verdict",
}


@dataclass(frozen=True)
class DownstreamSpec:
    """Which `learners` ("lightgbm", "xgboost"; the first is judged), and how rows are cross-fitted."""

    learners: tuple[str, ...] = ("lightgbm", "xgboost")
    crossfit: CrossFitSpec = field(default_factory=CrossFitSpec)

    def __post_init__(self) -> None:
        unknown = [name for name in self.learners if name not in LEARNERS]
        if unknown or not self.learners:
            known = ", ".join(LEARNERS)
            raise ConfigError(f"learners: got {', '.join(unknown) or 'none'}, expected some of {known}")
        missing = [name for name in self.learners if find_spec(name) is None]
        if missing:
            raise ConfigError(
                f"learners: {', '.join(missing)} needs the extra: pip install 'ringtrace[downstream]'. "
                "Or leave it out: proof.learners=[lightgbm]"
            )


@dataclass(frozen=True)
class Stacked:
    """One task's rows for trees, known ones and test ones in the order of `gnn.crossfit.rows_of`.

    `raw` and `full` hold all known rows, without and with aggregates; `said` what networks said of those of them that
    they had not learnt from, and of the test rows.
    """

    raw: TreeRows
    full: TreeRows
    said: CrossFitted

    @classmethod
    def of(cls, bench: Workbench, task: str, said: CrossFitted) -> Stacked:
        """Lay out the rows of the judged phase."""
        known = rows_of(bench, task)[0]
        raw, full = (
            in_order(bench.tree_rows(task, bench.judged, aggregates=aggregates), known) for aggregates in (False, True)
        )
        return cls(raw, full, said)

    def known(self, variant: str) -> Rows:
        """What a variant is grown on: all known rows, or those that have a score where that is asked.

        With the score the trees start from it, so that they learn only what the network missed (docs/decisions/0011).
        """
        table, seen_then = self._table(variant), self.said.tabular
        if not self.speaks(variant) and variant != "same_rows":
            return table.fit
        own = Rows(seen_then.fit.x[:, [seen_then.names.index(name) for name in table.names]], seen_then.fit.y)
        return self._spoken(variant, own, self.said.known) if self.speaks(variant) else own

    def test(self, variant: str) -> Rows:
        """The test rows as a variant's trees are asked about them."""
        own = self._table(variant).judge
        return self._spoken(variant, own, self.said.test) if self.speaks(variant) else own

    def names(self, variant: str) -> list[tuple[str, str]]:
        """(group, name) of every column of a variant."""
        groups = VARIANTS[variant]
        named = [("raw" if name in self.raw.names else "aggregates", name) for name in self._table(variant).names]
        if "embedding" in groups:
            named += [("embedding", name) for name in column_names(self.said.test.vectors.shape[1])]
        return named + ([("score", "score")] if "score" in groups else [])

    def categorical(self, variant: str) -> tuple[int, ...]:
        """Places of the columns whose numbers are codes without an order."""
        return self._table(variant).categorical

    def speaks(self, variant: str) -> bool:
        """Whether the network has a say in a variant."""
        return "score" in VARIANTS[variant]

    def _table(self, variant: str) -> TreeRows:
        return self.full if "aggregates" in VARIANTS[variant] else self.raw

    def _spoken(self, variant: str, own: Rows, said: Spoken) -> Rows:
        """A variant's `own` columns and what networks said beside them."""
        columns = {"embedding": said.vectors, "score": said.logits[:, None]}
        beside = [columns[group] for group in VARIANTS[variant] if group in columns]
        return Rows(np.hstack([own.x, *beside]), own.y, said.logits)


@dataclass(frozen=True)
class Grown:
    """Trees that read the first `columns` of a variant, and whether they start from the score."""

    trees: Trees
    columns: int
    starts: bool

    def log_odds(self, rows: Rows) -> np.ndarray:
        """Log-odds of fraud (rows,)."""
        return self.trees.log_odds(rows.x[:, : self.columns], rows.start if self.starts else None)


@dataclass(frozen=True)
class Forest:
    """All that is grown on a variant; log-odds are averaged."""

    grown: tuple[Grown, ...]

    def scores(self, rows: Rows) -> np.ndarray:
        """Fraud probabilities (rows,) float64."""
        return expit(np.mean([one.log_odds(rows) for one in self.grown], axis=0))


def grow(
    stacked: Stacked, learner: str, variants: Iterable[str], *, seed: int, threads: int = 1
) -> dict[str, Forest | Undefined]:
    """One learner on each of some variants: rounds chosen on the last of the known rows, then grown on all of them.

    Rows that every network learnt from have no score to start from. Where they were seen as all others were (0007),
    three speak: trees that start from the score, trees on the own columns of all known rows, and the network itself
    (docs/decisions/0012).
    """

    @cache
    def grown(variant: str) -> Grown | Undefined:
        known = stacked.known(variant)
        fit, valid = known.held_back()
        trees = LEARNERS[learner](fit, valid, seed=seed, categorical=stacked.categorical(variant), threads=threads)
        if isinstance(trees, Undefined):
            return trees
        return Grown(trees.anew(known), known.x.shape[1], starts=known.start is not None)

    def forest(variant: str) -> Forest | Undefined:
        trees = grown(variant)
        if not (stacked.speaks(variant) and stacked.said.alike):
            return trees if isinstance(trees, Undefined) else Forest((trees,))
        own = grown("aggregates" if "aggregates" in VARIANTS[variant] else "raw")
        if isinstance(trees, Undefined):
            return own if isinstance(own, Undefined) else Forest((own,))
        network = Grown(NO_TREES, 0, starts=True)
        return Forest((trees,) if isinstance(own, Undefined) else (trees, own, network))

    return {variant: forest(variant) for variant in variants}


def grouped_importance(forest: Forest, stacked: Stacked, variant: str, *, most: int = 20_000) -> dict[str, float]:
    """Share of each group of columns in what moves the test rows' log-odds (mean |SHAP|, columns of a group summed
    first, so that numbers of one vector that cancel each other count for nothing). What the trees start from counts
    for the score."""
    test = stacked.test(variant)
    taken = np.linspace(0, len(test) - 1, min(len(test), most)).round().astype(np.int64)
    groups = np.array([group for group, _ in stacked.names(variant)])
    by_group = {name: np.zeros(len(taken)) for name in VARIANTS[variant]}
    for one in forest.grown:
        moved = one.trees.contributions(test.x[taken, : one.columns])
        for name in by_group:
            by_group[name] += moved[:, groups[: one.columns] == name].sum(1)
        if one.starts and test.start is not None:
            by_group["score"] += test.start[taken] - test.start.mean()
    size = {name: float(np.abs(each).mean()) for name, each in by_group.items()}
    total = sum(size.values())
    return {name: each / total if total else 0.0 for name, each in size.items()}


# ---------------------------------------------------------------- judging


@dataclass(frozen=True)
class Part:
    """Rows that one network scored: how many it had learnt from before, how many it scored, and frauds among these."""

    learnt: int
    scored: int
    frauds: int


@dataclass(frozen=True)
class Proof:
    """The judgement of one task, what the judged trees rest on by group of columns, and which network scored which
    rows, the test rows last."""

    judged: Evaluation
    importance: Mapping[str, float]
    parts: Sequence[Part]


def prove(
    bench: Workbench,
    task: str,
    stacked: Stacked,
    network: np.ndarray,
    spec: DownstreamSpec,
    evaluation: EvaluationSpec,
    *,
    seed: int,
    threads: int = 1,
) -> Proof:
    """Grow every learner on every variant and judge the first learner's last variant beside all others.

    `network` (test rows,) are the probabilities of the network alone.
    """
    compared: dict[str, np.ndarray | Undefined] = {"temporal_sage": network}
    importance: dict[str, float] = {}
    for learner in spec.learners:
        for variant, forest in grow(stacked, learner, VARIANTS, seed=seed, threads=threads).items():
            name = f"{learner}_{variant}"
            compared[name] = forest if isinstance(forest, Undefined) else forest.scores(stacked.test(variant))
            if name == f"{spec.learners[0]}_embeddings" and isinstance(forest, Forest):
                importance = grouped_importance(forest, stacked, variant)
    model = f"{spec.learners[0]}_embeddings"
    score = compared.pop(model)
    if isinstance(score, Undefined):
        raise ConfigError(f"downstream: no trees could be grown: {score.reason}")
    judged = evaluate(bench.scored(task, score), compared, evaluation, model=model)
    outcome, line = verdict(judged, learner=spec.learners[0])
    shown = {"temporal_sage", *(f"{spec.learners[0]}_{variant}" for variant in DRAWN)}
    return Proof(
        replace(judged, outcome=outcome, verdict=line, curves=judged.curves.only(shown)),
        importance,
        _parts(stacked.said, judged.frauds),
    )


def _parts(said: CrossFitted, test_frauds: int) -> list[Part]:
    parts, learnt = [], said.first
    for fold in range(int(said.fold[-1]) + 1):
        scored = said.fold == fold
        rows = int(scored.sum())
        parts.append(Part(learnt, rows, int(said.tabular.fit.y[scored].sum())))
        learnt += rows
    return [*parts, Part(learnt, len(said.test.logits), test_frauds)]


def verdict(judged: Evaluation, *, learner: str) -> tuple[str, str]:
    """(outcome, one line): "adds" when trees with vectors and score beat the better of the same trees with aggregates
    by their whole interval; how they stand to the network alone is said beside it."""
    if judged.outcome == "none":
        return "none", judged.verdict
    floors = [judged[f"{learner}_{variant}"] for variant in FLOORS]
    floor = best_row(floors) or floors[0]
    network = judged["temporal_sage"]
    gain, over_network = floor.ap_gain, network.ap_gain
    if not isinstance(gain, Interval) or not isinstance(over_network, Interval):
        reason = gain.reason if isinstance(gain, Undefined) else "the network alone has no score"
        return "none", f"No verdict: {reason}."
    own = judged[judged.model]
    level = f"{100 * judged.spec.confidence:g}\u00a0% interval"
    told = f"{signed(gain.value)} AP ({short(floor.ap)} → {short(own.ap)}), {level} {_bounds(gain)}"
    others = [row for row in judged.table if row.model.endswith("_aggregates") and not row.model.startswith(learner)]
    beside = f"; against the network alone ({short(network.ap)}) {signed(over_network.value)}, {_bounds(over_network)}"
    for other in others:
        with_ours = judged[other.model.replace("_aggregates", "_embeddings")]
        beside += f"; {other.title} {short(other.ap)} → {short(with_ours.ap)}"
    beside += "; training rows were scored by networks that never saw their labels."
    if gain.high < 0:
        return "short", f"The embeddings make {floor.title} worse: {told}{beside}"
    if gain.low <= 0:
        return "nothing", f"The embeddings add nothing to {floor.title} that can be told from chance: {told}{beside}"
    return "adds", f"The embeddings add to {floor.title}: {told}{beside}"


def _bounds(interval: Interval) -> str:
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


# ---------------------------------------------------------------- the verb


def downstream(*, run: str, proof: DownstreamSpec, output: str, about: str | None = None) -> Path:
    """Prove on the data and split of a finished training run what its vectors add to boosted trees.

    `about`: "events" or an entity type that the run was asked about (null: its first). Writes into `output`
    report.html, metrics.json, vectors.parquet (test rows, and known rows by networks that never saw their labels), the
    bundle whose space these vectors are of, and the history that `ringtrace embed` looks back at with it.
    """
    source, folder = Path(run), Path(output)
    check_replaceable(folder / "bundle", *BUNDLE)
    check_replaceable(folder / "history", *LOG)
    if not (source / "bundle" / "bundle.yaml").is_file():
        raise NotFoundError(f"run: {source} is no finished training run: it has no bundle")
    bundle, metrics = Bundle.load(source / "bundle"), json.loads((source / "metrics.json").read_text())
    if metrics.get("began_at"):
        raise ConfigError(
            f"run: {source} began at weights of older data, of which the networks that score the known rows, and the "
            "trees, know nothing: nothing could be told of its gain. Train anew without resume_from"
        )
    config = yaml.safe_load((source / "config.yaml").read_text(encoding="utf-8"))
    trained = check_config({key: value for key, value in config.items() if key != "hydra"}).keywords  # type: ignore[attr-defined]
    asked, seed = trained["task"], trained["seed"]
    events = ingest(DataSchema.from_config(dict(trained["data"]))).log
    if fingerprint(events) != bundle.facts["fingerprint"]:
        raise ConfigError(
            f"run: the tables have changed since {source} was trained on them; cut anew, they may be judged by what it "
            "has learnt. Bring the tables back as they were, or train again"
        )
    bench = Workbench.lay_out(
        events, trained["split"].apply(events), trained["features"], tasks=asked.nodes, ask_events=asked.events
    )
    names = [*([EVENTS] if asked.events else []), *(node.entity_type for node in asked.nodes)]
    if about is not None and about not in names:
        raise ConfigError(f"about: the run was asked about {', '.join(names)}; got {about}")
    chosen = about or names[0]
    if not len(bench.judged_rows(chosen)):
        raise ConfigError(f"run: {source} judged nothing about {chosen}, so nothing could be proved; its log says why")
    said = cross_fit(
        bench,
        chosen,
        Networks(bundle.members, bundle.spaces),
        bundle.model,
        trained["trainer"],
        bundle.behaviour,
        proof.crossfit,
        seed=seed,
        epochs=metrics["best_epoch"],
    )
    stacked = Stacked.of(bench, chosen, said)
    network = bundle.calibrators[chosen](said.test.logits)
    found = prove(
        bench, chosen, stacked, network, proof, trained["evaluation"], seed=seed, threads=trained["trainer"].threads
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_log(events, folder / "history")
    _write(folder, found, bundle, chosen)
    space = _space_bundle(bundle, bench, chosen, said, trained["evaluation"]).save(folder / "bundle")
    with whole_file(folder / "vectors.parquet") as made:
        pq.write_table(stacked_table(bench, chosen, said, space.version), made)
    log.info("%s", found.judged.verdict)
    return folder


def _space_bundle(run: Bundle, bench: Workbench, task: str, said: CrossFitted, evaluation: EvaluationSpec) -> Bundle:
    """The networks of all vectors as a bundle of their own, calibrated on the rows that they scored: what serves the
    trees tomorrow must lie in the space they were grown in."""
    first = said.fold == 0
    calibrator = fit_calibrator(
        said.known.logits[first], said.tabular.fit.y[first].astype(np.int8), method=evaluation.calibration
    )
    return replace(
        run,
        taught=bench.taught if task == EVENTS else (),
        spaces=said.space.spaces,
        calibrators={task: calibrator},
        members=said.space.members,
    )


def stacked_table(bench: Workbench, task: str, said: CrossFitted, version: str) -> pa.Table:
    """What networks said of known and test rows, ready to be joined by key to somebody's own columns.

    `part` is "known" or "test", `fold` which network scored the row (null: that of the run), `logit` its score; the
    vectors are all of the space `version`.
    """
    known, test, times = rows_of(bench, task)
    rows = np.concatenate([known[said.first :], test])
    label = bench.answers(task, bench.judged)[rows]
    of_known, of_test = len(said.fold), len(said.test.logits)
    vectors = np.concatenate([said.known.vectors, said.test.vectors]).astype(np.float32)
    fold = np.concatenate([said.fold, np.zeros(of_test, np.int64)])
    return pa.table(
        {
            **bench.keys(task, rows),
            "event_timestamp": pa.array(times[rows], CLOCK),
            "space_version": pa.repeat(pa.scalar(version), len(rows)),
            "part": pa.array(["known"] * of_known + ["test"] * of_test),
            "fold": pa.array(fold, pa.int16(), mask=np.arange(len(rows)) >= of_known),
            "label": pa.array(label, pa.int8()),
            "logit": pa.array(np.concatenate([said.known.logits, said.test.logits]), pa.float32()),
            EMBEDDING: pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
        }
    )


def _write(folder: Path, proof: Proof, bundle: Bundle, task: str) -> None:
    facts = {
        "model version": bundle.version,
        "task": task,
        **bundle.facts,
    }
    told = {
        "model_version": bundle.version,
        "task": task,
        "importance": dict(proof.importance),
        "parts": [asdict(part) for part in proof.parts],
        "evaluation": proof.judged.to_json(),
    }
    write_json(folder / "metrics.json", told)
    write_report(
        proof.judged,
        folder / "report.html",
        title="What the embeddings add to boosted trees",
        facts=facts,
        badges=BADGES,
        importance={GROUPS[name]: share for name, share in proof.importance.items()},
        stacked=proof.parts,
    )
