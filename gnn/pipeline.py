"""The verbs of modelling: train a model and judge it beside its floors, judge again, score.

tables → event log → graph and columns → split → networks → calibration → floors → verdict → bundle
"""

from __future__ import annotations

import json
import logging
import platform
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from gnn.board import Board
from gnn.bundle import BUNDLE, EVENTS, Bundle
from gnn.calibration import Calibrator, fit_calibrator
from gnn.checkpoint import Checkpoint
from gnn.evaluation import Evaluation, EvaluationSpec, ScoredRows, evaluate, short, without_verdict
from gnn.floors import class_rate_floor
from gnn.hetero_sage import HeteroSageSpec
from gnn.metrics import Undefined, as_json, auc, average_precision
from gnn.node_task import NodeTask
from gnn.report import write_report
from gnn.scoring import check_amounts, past_of, score_tables
from gnn.splits import RandomSplit, TimeSplit
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec
from gnn.workbench import TrainedNetworks, Workbench
from graphs.behaviour import BehaviourSpec
from graphs.errors import ConfigError, NotFoundError, check_fields
from graphs.events import MISSING
from graphs.folders import check_replaceable, whole_file, write_json
from graphs.ingest import Ingested, ingest, ingest_into
from graphs.leaks import refuse_answer_columns
from graphs.schema import DataSchema
from graphs.store import LOG, fingerprint, save_log

log = logging.getLogger(__name__)

CONTROLS: Mapping[str, Literal["none", "shuffled"]] = {"no_edges": "none", "shuffled_edges": "shuffled"}
"""Floors that are the network itself: name to the value of `model.edges`."""

OLDER_WEIGHTS = "the model began at weights of older data that no floor has seen"
"""Why a run that began at weights of other data has no verdict: the graph would be credited with those data."""


@dataclass(frozen=True)
class TaskSpec:
    """What is asked: of events (which payment), and of entities (who), all answered by one encoder in one run."""

    events: bool = True
    nodes: tuple[NodeTask, ...] = ()

    def __post_init__(self) -> None:
        if not self.events and not self.nodes:
            raise ConfigError("task: nothing is asked; set task.events=true or name a node task")
        asked = [node.entity_type for node in self.nodes]
        if EVENTS in asked:
            raise ConfigError(
                f"task.nodes: an entity type called '{EVENTS}' has the name of the questions about events; "
                "rename it in the data configuration"
            )
        twice = sorted({name for name in asked if asked.count(name) > 1})
        if twice:
            raise ConfigError(
                f"task.nodes: {', '.join(twice)} asked about twice; one run asks one question of an entity type"
            )


@dataclass(frozen=True)
class ComparisonSpec:
    """Which floors stand beside the model: LightGBM on raw columns and with aggregates, the network without edges
    and with shuffled ones. `control_epochs` caps the controls (null: as many as the model)."""

    lightgbm: bool = True
    controls: bool = True
    control_epochs: int | None = None

    def __post_init__(self) -> None:
        good = self.control_epochs is None or self.control_epochs >= 1
        check_fields("comparison", self, {"control_epochs": (good, "at least 1, or null")})


def train(
    *,
    data: Mapping[str, Any],
    task: TaskSpec,
    split: TimeSplit | RandomSplit,
    features: BehaviourSpec,
    model: SageSpec | HeteroSageSpec,
    trainer: TrainerSpec,
    evaluation: EvaluationSpec,
    comparison: ComparisonSpec,
    allow_columns: list[str],
    seed: int,
    output: str,
    resume_from: str | None = None,
) -> Path:
    """Train on the tables of `data`, judge on the test part, and leave a run folder.

    `allow_columns` names columns that may be used although they alone give the label away; `resume_from` is a run
    folder whose training was interrupted: it goes on where it was. On other data, of which that run can have learnt
    nothing that is judged now, a new training begins at its weights; its verdict is "none". The folder holds
    config.yaml, run.json, validation.json, metrics.json, report.html, test_scores.parquet, TensorBoard events, the
    bundle, and the history that scoring looks back at.
    """
    if resume_from is not None and isinstance(model, HeteroSageSpec):
        raise ConfigError("resume_from: model=hetero_sage keeps no checkpoints; start it anew without resume_from")
    if trainer.device != "cpu" and isinstance(model, HeteroSageSpec):
        raise ConfigError(f"trainer.device: got {trainer.device}, but model=hetero_sage is trained on the CPU")
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    check_replaceable(folder / "bundle", *BUNDLE)
    check_replaceable(folder / "history", *LOG)
    begun = _checkpoints(resume_from)
    ingested = ingest_into(DataSchema.from_config(dict(data)), folder)
    refuse_answer_columns(ingested.log, allowed=allow_columns)
    facts = _facts(ingested, seed, trainer)
    events = ingested.log
    bench = Workbench.lay_out(events, split.apply(events), features, tasks=task.nodes, ask_events=task.events)
    log.info("rows: %s", ", ".join(f"{name} {count:,}" for name, count in bench.counts.items()))
    specs = {"task": task, "split": split, "features": features, "model": model, "trainer": trainer}
    told = json.loads(json.dumps({name: asdict(spec) for name, spec in specs.items()}))
    checkpoint = Checkpoint(folder / "training.safetensors", facts["fingerprint"], _by_key({"seed": seed, **told}))
    _lay_checkpoints(checkpoint, begun)
    write_json(folder / "run.json", facts)
    with Board(folder / "tensorboard") as board:
        networks = _trained(bench, model, trainer, seed, checkpoint, board)
        if networks.began_at is not None:
            facts["began_at"] = networks.began_at
        calibrators = {name: _calibrator(bench, networks, name, evaluation) for name in networks.test}
        outcomes = _judge(bench, networks, calibrators, model, trainer, comparison, evaluation, seed=seed)
        for name, outcome in outcomes.items():
            board.judgement(name, outcome.judged, outcome.scored)
        if isinstance(model, SageSpec):
            for name, vectors in bench.test_embeddings(model, networks, seed=seed).items():
                board.embeddings(name, vectors, np.where(outcomes[name].scored.label == 1, "fraud", "clean").tolist())
    if isinstance(model, SageSpec) and model.edges != "shuffled":
        version = Bundle(
        model, features, events.roles, events.event_types, bench.taught, networks.spaces, calibrators,
        networks.members, dict(data), facts,
    ).save(folder / "bundle").version  # fmt: skip
    else:
        version = "control or reference, no bundle"
        shutil.rmtree(folder / "bundle", ignore_errors=True)  # one that is there is an earlier run's
    save_log(events, folder / "history")
    config = yaml.safe_dump(told, sort_keys=False)
    _write_outcomes(folder, version, networks, bench, outcomes, ingested, facts, config)
    for outcome in outcomes.values():
        _tell(outcome.judged)
        if outcome.calibrator.reason is not None:
            log.warning("calibration: %s", _fitted_on(outcome.calibrator))
    return folder


def evaluate_run(*, run: str, evaluation: EvaluationSpec, output: str) -> Path:
    """Judge the test scores of a finished run again, for instance at another alert budget: of every task it had.

    Writes metrics.json and a report per task, named as the run's are.
    """
    source, folder = Path(run), Path(output)
    told = source / "metrics.json"
    if not told.is_file() or not any(source.glob("test_scores*.parquet")):
        raise NotFoundError(
            f"run: {source} is not a finished training run: it has no metrics.json or no test_scores.parquet"
        )
    metrics, judged = json.loads(told.read_text(encoding="utf-8")), {}
    began_at = metrics.get("began_at")
    for task, before in metrics["evaluation"].items():
        scored, compared = _read_scores(source, task, before["table"][1:])
        again = evaluate(scored, compared, evaluation, model=before["model"])
        judged[task] = without_verdict(again, OLDER_WEIGHTS) if began_at else again
    folder.mkdir(parents=True, exist_ok=True)
    _drop_other_tasks(folder, judged)
    results = {task: again.to_json() for task, again in judged.items()}
    write_json(folder / "metrics.json", {"began_at": began_at, "evaluation": results})
    for task, again in judged.items():
        title, facts = f"{_title(task)}: {source.name}, judged again", {"began_at": began_at} if began_at else {}
        write_report(again, folder / f"report{_suffix(task)}.html", title=title, facts=facts)
        _tell(again)
    return folder


def score(
    *,
    bundle: str,
    data: Mapping[str, Any],
    output: str,
    as_of: str | None = None,
    start: str | None = None,
    stop: str | None = None,
    entities: list[str] | None = None,
    history: bool = True,
) -> Path:
    """Score the events of `data` (those in [start, stop)), and entities of the types `entities` as of `as_of`.

    `history`: look back at the events the model was trained on, too (the run's history folder beside the bundle).
    Writes events.parquet, one <type>.parquet per entity type, and summary.json.
    """
    model = Bundle.load(Path(bundle))
    schema = DataSchema.from_config(dict(data))
    check_amounts(model, schema)
    past = past_of(model, Path(bundle)) if history else None
    tables = score_tables(
        model,
        ingest(schema),
        past,
        start=start,
        stop=stop,
        as_of=as_of,
        entity_types=entities or [],
    )
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for other in _named(folder / "summary.json") - tables.tables.keys():
        (folder / f"{other}.parquet").unlink(missing_ok=True)  # an earlier run's, which would pass for this one's
    for name, table in tables.tables.items():
        _write_table(folder / f"{name}.parquet", table)
    write_json(folder / "summary.json", tables.summary)
    log.info("scored: %s", ", ".join(f"{len(table):,} {name}" for name, table in tables.tables.items()))
    return folder


# ---------------------------------------------------------------- parts of train


def _checkpoints(resume_from: str | None) -> list[Path]:
    """The checkpoints of the interrupted run; none if there is nothing to go on from."""
    if resume_from is None:
        return []
    found = sorted(Path(resume_from).glob("training*.safetensors"))
    if not found:
        where = Path(resume_from).resolve()
        raise NotFoundError(f"resume_from: no training.safetensors in {where}; give the interrupted run's folder")
    return found


def _lay_checkpoints(checkpoint: Checkpoint, begun: list[Path]) -> None:
    """Copy what was `begun` to the place of `checkpoint` once it is known to be of this training; an older run's
    checkpoints there go."""
    for path in begun:
        replace(checkpoint, path=path).check()
    folder = checkpoint.path.parent
    kept = [path for path in begun if path.resolve().parent == folder.resolve()]
    if not kept:
        for path in folder.glob("training*.safetensors"):
            path.unlink()
        for path in begun:
            shutil.copy2(path, folder / path.name)


def _by_key(told: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key, but for how much memory they may take, which changes no result."""
    found: dict[str, Any] = {}
    for name, value in told.items():
        found |= _by_key(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    found.pop("trainer.keep_gb", None)
    return found


def _facts(ingested: Ingested, seed: int, trainer: TrainerSpec) -> dict[str, Any]:
    """What a repeat of this run would need to know."""
    packages = ("torch", "torch-geometric", "numpy", "numba", "lightgbm", "scikit-learn", "pandas", "pyarrow")
    return {
        "fingerprint": fingerprint(ingested.log),
        "events": len(ingested.log),
        "entities": {name: len(ids) for name, ids in ingested.log.entity_ids.items()},
        "seed": seed,
        "threads": trainer.threads,
        "workers": 0,
        "python": platform.python_version(),
        "versions": {name: version_of(name) for name in ("ringtrace", *packages)},
    }


def _trained(
    bench: Workbench,
    model: SageSpec | HeteroSageSpec,
    trainer: TrainerSpec,
    seed: int,
    checkpoint: Checkpoint,
    board: Board,
) -> TrainedNetworks:
    if isinstance(model, HeteroSageSpec):
        return model.train(bench, trainer, seed=seed, on_epoch=board.epoch)
    networks = bench.train_networks(model, trainer, seed=seed, checkpoint=checkpoint, on_epoch=board.epoch)
    if not all(np.isfinite(logits).all() for logits in networks.test.values()):
        raise ConfigError(f"trainer.lr: got {trainer.lr:g}, with which the training diverged; lower it or trainer.clip")
    return networks


@dataclass(frozen=True)
class Outcome:
    """One task's test rows, what stood beside the model, the judgement, the rows' keys for the caller, and what made
    probabilities of logits."""

    scored: ScoredRows
    compared: Mapping[str, np.ndarray | Undefined]
    judged: Evaluation
    keys: Mapping[str, pa.Array]
    calibrator: Calibrator


def _calibrator(bench: Workbench, networks: TrainedNetworks, task: str, spec: EvaluationSpec) -> Calibrator:
    logits = networks.valid.get(task, np.zeros(0, np.float32))
    label = bench.labels(task, bench.choosing) if len(logits) else np.zeros(0, np.int8)
    return fit_calibrator(logits, label, method=spec.calibration)


def _judge(
    bench: Workbench,
    networks: TrainedNetworks,
    calibrators: Mapping[str, Calibrator],
    model: SageSpec | HeteroSageSpec,
    trainer: TrainerSpec,
    comparison: ComparisonSpec,
    spec: EvaluationSpec,
    *,
    seed: int,
) -> dict[str, Outcome]:
    """Every task judged beside what can be had without the graph, on the same rows."""
    controls = {}
    if comparison.controls and isinstance(model, SageSpec):
        capped = trainer.capped(comparison.control_epochs)
        for name, edges in CONTROLS.items():
            log.info("training the control %s", name)
            controls[name] = bench.train_networks(model.with_edges(edges), capped, seed=seed)
    outcomes = {}
    for task, logits in networks.test.items():
        fitted = bench.answers(task, bench.judged)[bench.judged.part(task).fitted]
        compared: dict[str, np.ndarray | Undefined] = {"class_rate": class_rate_floor(fitted, len(logits))}
        if comparison.lightgbm:
            for name, aggregates in (("lightgbm_raw", False), ("lightgbm_aggregates", True)):
                compared[name] = bench.lightgbm(
                    task, seed=seed, aggregates=aggregates, threads=trainer.threads, calibration=spec.calibration
                )
        for name, control in controls.items():
            compared[name] = _calibrator(bench, control, task, spec)(control.test[task])
        scored = bench.scored(task, calibrators[task](logits))
        judged = evaluate(scored, compared, spec, model=name_of(model))
        if networks.began_at is not None:
            judged = without_verdict(judged, OLDER_WEIGHTS)
        keys = bench.keys(task, bench.judged_rows(task))
        outcomes[task] = Outcome(scored, compared, judged, keys, calibrators[task])
    return outcomes


def name_of(model: SageSpec | HeteroSageSpec) -> str:
    """What tables call the model."""
    return "hetero_sage" if isinstance(model, HeteroSageSpec) else "temporal_sage"


def _write_outcomes(
    folder: Path,
    version: str,
    networks: TrainedNetworks,
    bench: Workbench,
    outcomes: Mapping[str, Outcome],
    ingested: Ingested,
    facts: Mapping[str, Any],
    config: str,
) -> None:
    history = [asdict(record) for record in networks.history]
    metrics: dict[str, Any] = {
        "model_version": version,
        "rows": bench.counts,
        "best_epoch": networks.best_epoch,
        "train_seconds": round(networks.seconds, 2),
        "began_at": networks.began_at,
        "validation": _validation(bench, networks),
        "calibration": {name: _fitted_on(outcome.calibrator) for name, outcome in outcomes.items()},
        "history": history,
        "evaluation": {name: outcome.judged.to_json() for name, outcome in outcomes.items()},
    }
    _drop_other_tasks(folder, outcomes)
    write_json(folder / "metrics.json", metrics)
    for name, outcome in outcomes.items():
        _write_scores(folder / f"test_scores{_suffix(name)}.parquet", outcome)
        write_report(
            outcome.judged,
            folder / f"report{_suffix(name)}.html",
            title=_title(name),
            history=history,
            facts={**facts, "calibration": _fitted_on(outcome.calibrator)},
            validation=ingested.report,
            config=config,
        )


def _drop_other_tasks(folder: Path, tasks: Collection[str]) -> None:
    """Remove what an earlier run left in `folder` of tasks that this one has not: it would pass for this one's."""
    for task in _named(folder / "metrics.json", "evaluation") - set(tasks):
        for name in (f"test_scores{_suffix(task)}.parquet", f"report{_suffix(task)}.html"):
            (folder / name).unlink(missing_ok=True)


def _named(path: Path, *keys: str) -> set[str]:
    """The names below `keys` in a file of JSON that an earlier run has left; none where there is no such file."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            told = told[key]
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    return set(told) if isinstance(told, dict) else set()


def _suffix(task: str) -> str:
    """What the files of a task have in their names."""
    return "" if task == EVENTS else f"_{task}"


def _title(task: str) -> str:
    return "Which payment" if task == EVENTS else f"Which {task}"


def _tell(judged: Evaluation) -> None:
    """The table and the verdict on the console."""
    for row in judged.table:
        figures = f"AUC {short(row.auc)}  AP {short(row.ap)}  recall at budget {short(row.recall_at_budget)}"
        log.info("%-42s %s", row.title, figures)
    log.info("%s", judged.verdict)


def _fitted_on(calibrator: Calibrator) -> str:
    """What the probabilities rest on."""
    on = f"{calibrator.fitted} on {calibrator.rows:,} validation rows, {calibrator.frauds:,} of them fraud"
    return on if calibrator.reason is None else f"{calibrator.fitted}: {calibrator.reason}"


def _validation(bench: Workbench, networks: TrainedNetworks) -> dict[str, Any]:
    """AUC and AP on the validation part: of the first task at the top, of all by name."""
    by_task = {}
    for task, logits in networks.valid.items():
        label = bench.labels(task, bench.choosing)
        by_task[task] = {"auc": as_json(auc(label, logits)), "ap": as_json(average_precision(label, logits))}
    return {**next(iter(by_task.values()), {}), "by_task": by_task}


def _write_scores(path: Path, outcome: Outcome) -> None:
    scored = outcome.scored
    amount = scored.amount if scored.amount is not None else np.full(len(scored.score), np.nan)
    columns: dict[str, Any] = dict(outcome.keys)
    columns |= {
        "event_time": pa.array(scored.event_time, pa.timestamp("us", tz="UTC")),
        "label": scored.label,
        "amount": amount,
        "score": scored.score,
    }
    columns |= {f"new.{role}": pa.array(new == 1, mask=new == MISSING) for role, new in scored.new_entity.items()}
    columns |= {f"compared.{n}": said for n, said in outcome.compared.items() if not isinstance(said, Undefined)}
    _write_table(path, pa.table(columns))


def _read_scores(
    run: Path, task: str, others: Sequence[Mapping[str, Any]]
) -> tuple[ScoredRows, dict[str, np.ndarray | Undefined]]:
    """The test rows of a task, and what stood beside the model: `others` are these rows of the run's own table, which
    tell why one could not be had."""
    table = pq.read_table(run / f"test_scores{_suffix(task)}.parquet")

    def column(name: str) -> np.ndarray:
        return table[name].to_numpy()

    amount = column("amount")
    new = {
        name.removeprefix("new."): table[name].cast(pa.int8()).fill_null(MISSING).to_numpy()
        for name in table.column_names
        if name.startswith("new.")
    }
    times = table["event_time"].cast(pa.int64()).to_numpy()
    known = amount if np.isfinite(amount).any() else None
    entity = None if task == EVENTS else column(task)
    scored = ScoredRows(times, column("label"), column("score"), known, new, entity)
    compared: dict[str, np.ndarray | Undefined] = {}
    for row in others:
        name, there = row["model"], f"compared.{row['model']}" in table.column_names
        compared[name] = column(f"compared.{name}") if there else Undefined(row["ap"]["reason"])
    return scored, compared


def _write_table(path: Path, table: pa.Table) -> None:
    with whole_file(path) as made:
        pq.write_table(table, made, coerce_timestamps="us")
