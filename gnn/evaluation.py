"""The judgement: the model and its floors on the same rows, and one plain line on whether the graph adds
anything.

A single AP says nothing about a graph. The line is drawn from three comparisons at once: the best tabular
floor, the same network without edges, and the same network with shuffled edges. The graph is credited only
when the whole interval of every one of these differences lies above zero.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from gnn import metrics
from gnn.calibration import METHODS
from gnn.metrics import CalibrationBins, Interval, Metric, Undefined
from graphs.errors import check_fields
from graphs.events import MICROSECONDS_PER_DAY, MISSING, UNLABELLED

TITLES = {
    "temporal_sage": "Ringtrace, causal GraphSAGE",
    "hetero_sage": "GraphSAGE on a static graph",
    "lightgbm_embeddings": "LightGBM with our embeddings",
    "lightgbm_score": "LightGBM with aggregates and our score",
    "lightgbm_raw_embeddings": "LightGBM on raw columns and our embeddings",
    "xgboost_embeddings": "XGBoost with our embeddings",
    "xgboost_score": "XGBoost with aggregates and our score",
    "xgboost_raw_embeddings": "XGBoost on raw columns and our embeddings",
    "xgboost_same_rows": "XGBoost with aggregates, on the same rows",
    "xgboost_aggregates": "XGBoost with aggregates",
    "xgboost_raw": "XGBoost on raw columns",
    "lightgbm_same_rows": "LightGBM with aggregates, on the same rows",
    "lightgbm_aggregates": "LightGBM with aggregates",
    "lightgbm_raw": "LightGBM on raw columns",
    "no_edges": "the same network without edges",
    "shuffled_edges": "the graph with shuffled edges",
    "class_rate": "class rate",
}
"""How the known models are called in tables and in the verdict; any other goes by its own name."""

USES_THE_GRAPH = (
    "temporal_sage",
    "hetero_sage",
    "lightgbm_embeddings",
    "lightgbm_raw_embeddings",
    "lightgbm_score",
    "xgboost_embeddings",
    "xgboost_raw_embeddings",
    "xgboost_score",
)
"""Comparisons that stand beside the model but are no floors, because they rest on the graph themselves."""

CONTROLS = ("no_edges", "shuffled_edges")
"""Floors that are the model itself with its edges taken away or made meaningless."""

FEWEST_DAYS = 20
"""With fewer days than this a bootstrap over days has too few blocks to resample, and rows are drawn instead.
"""

PERFECT = 0.9995


@dataclass(frozen=True)
class EvaluationSpec:
    """How to judge.

    `alert_budget` alerts are raised per UTC "day", or in "total" (`per`). `calibration` is the method fitted
    on validation. `bootstrap` samples give intervals of `confidence`; with fewer than `fewest_frauds` frauds
    there is no verdict. `bins` for the calibration error.
    """

    alert_budget: int = 100
    per: str = "day"
    calibration: str = "isotonic"
    bootstrap: int = 200
    confidence: float = 0.95
    fewest_frauds: int = 10
    bins: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "alert_budget": (self.alert_budget >= 1, "at least 1"),
            "per": (self.per in ("day", "total"), "'day' or 'total'"),
            "calibration": (self.calibration in METHODS, " or ".join(repr(name) for name in METHODS)),
            "bootstrap": (self.bootstrap >= 20, "at least 20 samples"),
            "confidence": (0.5 <= self.confidence < 1, "a share in [0.5, 1)"),
            "fewest_frauds": (self.fewest_frauds >= 2, "at least 2"),
            "bins": (self.bins >= 2, "at least 2"),
            "seed": (self.seed >= 0, "0 or more"),
        }
        check_fields("evaluation", self, checks)


@dataclass(frozen=True)
class ScoredRows:
    """Test rows with the model's calibrated probability.

    `event_time` (rows,) int64 µs UTC; `label` (rows,) in {1, 0, UNLABELLED}; `score` (rows,) probabilities;
    `amount` (rows,) with NaN where there is none, or None where rows have no amounts; `new_entity[role]`
    (rows,) int8, 1 where the role's entity had not been seen before the row, 0 where it had, MISSING where the row has
    none; `entity` (rows,) which entity the row asks about, by its id, or None where rows are events.
    """

    event_time: np.ndarray
    label: np.ndarray
    score: np.ndarray
    amount: np.ndarray | None = None
    new_entity: Mapping[str, np.ndarray] = field(default_factory=dict)
    entity: np.ndarray | None = None

    def __post_init__(self) -> None:
        columns = [self.event_time, self.label, self.score, *self.new_entity.values()]
        columns += [column for column in (self.amount, self.entity) if column is not None]
        assert len({column.shape for column in columns}) == 1, [column.shape for column in columns]

    def labelled(self) -> ScoredRows:
        """The rows somebody has judged."""
        kept = self.label != UNLABELLED
        return ScoredRows(
            self.event_time[kept],
            self.label[kept],
            self.score[kept],
            None if self.amount is None else self.amount[kept],
            {role: new[kept] for role, new in self.new_entity.items()},
            None if self.entity is None else self.entity[kept],
        )


@dataclass(frozen=True)
class TableRow:
    """One model on all rows. `ap_gain` is what the judged model has over this one; None on its own row."""

    model: str
    title: str
    is_floor: bool
    auc: Metric
    ap: Metric
    hits_at_budget: Metric
    recall_at_budget: Metric
    precision_at_budget: Metric
    value_recall: Metric
    brier: Metric
    log_loss: Metric
    ece: Metric
    ap_gain: Interval | Undefined | None = None


@dataclass(frozen=True)
class GroupRow:
    """AUC and AP on a part of the rows: the model's, and the AP of the floor named in the verdict's table."""

    group: str
    rows: int
    frauds: int
    auc: Metric
    ap: Metric
    floor_ap: Metric


@dataclass(frozen=True)
class Curves:
    """What the plots show: `precision_recall[model]` (n, 2); `budgets` (n,) alerts and `recall_at[model]`
    (n,); `reliability` of the model in bins of equal predicted fraud.
    """

    precision_recall: Mapping[str, np.ndarray]
    budgets: np.ndarray
    recall_at: Mapping[str, np.ndarray]
    reliability: CalibrationBins | Undefined

    def only(self, models: Collection[str]) -> Curves:
        """The curves of these models: many lines say less than few."""
        drawn, caught = (
            {name: curve for name, curve in curves.items() if name in models}
            for curves in (self.precision_recall, self.recall_at)
        )
        return Curves(drawn, self.budgets, caught, self.reliability)


@dataclass(frozen=True)
class Evaluation:
    """The whole judgement. `outcome` is "adds", "nothing", "short" or "none" (no verdict), `verdict` its one
    line.

    `table` has the model first, then the others in the order given; `best_floor` is the tabular floor of
    highest AP, whose AP stands beside the model's in `by_week` (Monday's date, UTC) and `by_new_entity`
    (role, new or known). `resampled` says what the bootstrap drew: "46 days", "11,857 rows" or "400 entities".
    """

    model: str
    spec: EvaluationSpec
    rows: int
    frauds: int
    unlabelled_rows: int
    first_time: int | None
    last_time: int | None
    outcome: str
    verdict: str
    best_floor: str | None
    resampled: str
    table: tuple[TableRow, ...]
    by_week: tuple[GroupRow, ...]
    by_new_entity: tuple[GroupRow, ...]
    curves: Curves

    def __getitem__(self, model: str) -> TableRow:
        """The table's row of that model."""
        return next(row for row in self.table if row.model == model)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dump`; what is undefined is `{"value": null, "reason": why}`, never NaN."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}


# ---------------------------------------------------------------- judging


def evaluate(
    scored: ScoredRows,
    comparisons: Mapping[str, np.ndarray | Undefined],
    spec: EvaluationSpec,
    *,
    model: str = "temporal_sage",
) -> Evaluation:
    """Judge `scored` beside `comparisons` (name -> probabilities, aligned with the same rows) on the labelled
    rows.

    Names in `TITLES` are known; every comparison not in `USES_THE_GRAPH` counts as a floor the graph has to
    beat. A comparison that could not be had is passed as its `Undefined` and stays in the table with its
    reason.
    """
    kept = scored.label != UNLABELLED
    rows = scored.labelled()
    others = {name: score if isinstance(score, Undefined) else score[kept] for name, score in comparisons.items()}
    usable = {name: score for name, score in others.items() if not isinstance(score, Undefined)}
    block, resampled = _blocks(rows)
    gains = metrics.ap_gains(
        rows.label,
        rows.score,
        usable,
        block=block,
        draws=spec.bootstrap,
        confidence=spec.confidence,
        seed=spec.seed,
    )
    table = [_table_row(model, rows, rows.score, spec)]
    for name, score in others.items():
        gain = score if isinstance(score, Undefined) else gains[name]
        table.append(_table_row(name, rows, score, spec, gain=gain))
    frauds = int(rows.label.sum())
    outcome, verdict = judge(table[0], table[1:], spec, frauds=frauds)
    best = best_row(row for row in table[1:] if row.is_floor and row.model not in CONTROLS)
    floor_score = usable[best.model] if best is not None else None
    return Evaluation(
        model=model,
        spec=spec,
        rows=len(rows.label),
        frauds=frauds,
        unlabelled_rows=int(np.sum(~kept)),
        first_time=int(rows.event_time.min()) if len(rows.label) else None,
        last_time=int(rows.event_time.max()) if len(rows.label) else None,
        outcome=outcome,
        verdict=verdict,
        best_floor=None if best is None else best.model,
        resampled=resampled,
        table=tuple(table),
        by_week=_by_week(rows, floor_score),
        by_new_entity=_by_new_entity(rows, floor_score),
        curves=_curves(model, rows, usable, spec),
    )


def without_verdict(judged: Evaluation, reason: str) -> Evaluation:
    """The same table, gains and curves, of which nothing is concluded."""
    return replace(judged, outcome="none", verdict=f"No verdict: {reason}.")


def judge(model: TableRow, others: Iterable[TableRow], spec: EvaluationSpec, *, frauds: int) -> tuple[str, str]:
    """(outcome, one line): "adds" only when the model's AP lies above every floor's with its whole interval."""
    floors = [row for row in others if row.is_floor]
    usable = [row for row in floors if isinstance(row.ap, float)]
    best = best_row(usable)
    if isinstance(model.ap, Undefined):
        return "none", f"No verdict: {model.ap.reason}."
    if best is None:
        return "none", "No verdict: no floor was scored on the same rows."
    assert isinstance(best.ap, float)
    if best.ap >= PERFECT:
        return "nothing", (
            f"The graph adds nothing: {_named(best)} already ranks the test rows perfectly (AP {short(best.ap)}), "
            f"so a perfect score is no merit of the graph."
        )
    if frauds < spec.fewest_frauds:
        noun = "fraud" if frauds == 1 else "frauds"
        return "none", (
            f"No verdict: {frauds} {noun} among the test rows, at least {spec.fewest_frauds} are needed for an "
            f"interval (AP {short(model.ap)} against {short(best.ap)} of {_named(best)})."
        )
    undecided = [row for row in usable if isinstance(row.ap_gain, Undefined)]
    if undecided:
        assert isinstance(undecided[0].ap_gain, Undefined)
        return "none", f"No verdict: {undecided[0].ap_gain.reason}."
    # The floor with the smallest lower bound decides: the claim has to hold against all of them.
    hardest = min(usable, key=_lower)
    if _interval(hardest).high < 0:
        return "short", (
            f"The graph falls short of {_named(hardest)} by {short(-_interval(hardest).value)} AP "
            f"({short(hardest.ap)} → {short(model.ap)}), {_bounds(hardest, spec)}."
        )
    if _lower(hardest) <= 0:
        return "nothing", (
            f"The graph adds nothing that can be told from chance over {_named(hardest)} "
            f"({short(hardest.ap)} → {short(model.ap)}, {signed(_interval(hardest).value)} AP), "
            f"{_bounds(hardest, spec)}."
        )
    return "adds", _what_it_adds(model, usable, spec)


def _what_it_adds(model: TableRow, floors: list[TableRow], spec: EvaluationSpec) -> str:
    tabular = best_row(row for row in floors if row.model not in CONTROLS)
    headline = tabular or best_row(floors)
    assert headline is not None
    kind = "best tabular floor" if tabular is not None else "best floor"
    line = (
        f"The graph adds {signed(_interval(headline).value)} AP over the {kind} "
        f"({_named(headline)} {short(headline.ap)} → {short(model.ap)}), {_bounds(headline, spec)}"
    )
    controls = {row.model: row for row in floors if row.model in CONTROLS and row is not headline}
    beaten = [f"{_named(row)} {short(row.ap)}" for row in controls.values()]
    told = {row.model for row in floors}
    missing = [TITLES[name] for name in (*CONTROLS, "lightgbm_aggregates") if name not in told]
    if beaten:
        line += f"; {' and '.join(beaten)}"
    if missing:
        line += f"; not compared with {' or '.join(missing)}"
    return line + "."


def best_row(rows: Iterable[TableRow]) -> TableRow | None:
    """The row of highest AP, the first of equals; rows whose AP is undefined are out."""
    return max(
        (row for row in rows if isinstance(row.ap, float)),
        key=lambda row: row.ap if isinstance(row.ap, float) else -1.0,
        default=None,
    )


def _interval(row: TableRow) -> Interval:
    assert isinstance(row.ap_gain, Interval)
    return row.ap_gain


def _lower(row: TableRow) -> float:
    return _interval(row).low


# ---------------------------------------------------------------- parts


def _blocks(rows: ScoredRows) -> tuple[np.ndarray | None, str]:
    """What the bootstrap draws whole, (rows,) integers or None for single rows, and what to call it.

    Answers about one entity at several instants are nearly the same answer, so they are drawn together.
    """
    if rows.entity is not None:
        ids, place = np.unique(rows.entity, return_inverse=True)
        return place, f"{len(ids):,} entities"
    day = rows.event_time // MICROSECONDS_PER_DAY
    days = len(np.unique(day))
    return (day, f"{days:,} days") if days >= FEWEST_DAYS else (None, f"{len(rows.label):,} rows")


def _table_row(
    name: str,
    rows: ScoredRows,
    score: np.ndarray | Undefined,
    spec: EvaluationSpec,
    *,
    gain: Interval | Undefined | None = None,
) -> TableRow:
    title, is_floor = TITLES.get(name, name), name not in USES_THE_GRAPH and gain is not None
    if isinstance(score, Undefined):
        names = [item.name for item in fields(TableRow)][3:]
        return TableRow(name, title, is_floor, **dict.fromkeys(names, score))
    top = metrics.at_budget(
        rows.label, score, budget=spec.alert_budget, day=_budget_day(rows, spec), amount=rows.amount
    )
    return TableRow(
        model=name,
        title=title,
        is_floor=is_floor,
        auc=metrics.auc(rows.label, score),
        ap=metrics.average_precision(rows.label, score),
        hits_at_budget=top.hits,
        recall_at_budget=top.recall,
        precision_at_budget=top.precision,
        value_recall=top.value_recall,
        brier=metrics.brier(rows.label, score),
        log_loss=metrics.log_loss(rows.label, score),
        ece=metrics.expected_calibration_error(rows.label, score, bins=spec.bins),
        ap_gain=gain,
    )


def _budget_day(rows: ScoredRows, spec: EvaluationSpec) -> np.ndarray | None:
    return rows.event_time // MICROSECONDS_PER_DAY if spec.per == "day" else None


def _by_week(rows: ScoredRows, floor: np.ndarray | None) -> tuple[GroupRow, ...]:
    # Day 0, 1970-01-01, was a Thursday.
    week = (rows.event_time // MICROSECONDS_PER_DAY + 3) // 7
    monday = {number: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(number) * 7 - 3) for number in set(week)}
    return tuple(_group_row(f"{monday[number]:%Y-%m-%d}", rows, week == number, floor) for number in sorted(monday))


def _by_new_entity(rows: ScoredRows, floor: np.ndarray | None) -> tuple[GroupRow, ...]:
    return tuple(
        _group_row(f"{role}: {word}", rows, new == state, floor)
        for role, new in rows.new_entity.items()
        if (new != MISSING).any()
        for word, state in (("new", 1), ("known", 0))
    )


def _group_row(group: str, rows: ScoredRows, part: np.ndarray, floor: np.ndarray | None) -> GroupRow:
    label, score = rows.label[part], rows.score[part]
    return GroupRow(
        group=group,
        rows=len(label),
        frauds=int(label.sum()),
        auc=metrics.auc(label, score),
        ap=metrics.average_precision(label, score),
        floor_ap=Undefined("no tabular floor") if floor is None else metrics.average_precision(label, floor[part]),
    )


def _curves(model: str, rows: ScoredRows, usable: Mapping[str, np.ndarray], spec: EvaluationSpec) -> Curves:
    scores = {model: rows.score, **usable}
    budgets = np.unique(np.geomspace(1, 20 * spec.alert_budget, 60).round().astype(np.int64))
    return Curves(
        {name: metrics.precision_recall_curve(rows.label, score) for name, score in scores.items()},
        budgets,
        {
            name: metrics.budget_curve(rows.label, score, budgets=budgets, day=_budget_day(rows, spec))
            for name, score in scores.items()
        },
        metrics.calibration_bins(rows.label, rows.score, bins=10, equal="fraud"),
    )


# ---------------------------------------------------------------- words and plain values


def _named(row: TableRow) -> str:
    return row.title


def short(value: Metric) -> str:
    """.745 and 1.000, as in the tables."""
    return "–" if isinstance(value, Undefined) else f"{value:.3f}".removeprefix("0")


def signed(value: float) -> str:
    """+.177 and −.020."""
    sign = "−" if round(value, 3) < 0 else "+"
    return sign + short(abs(value))


def _bounds(row: TableRow, spec: EvaluationSpec) -> str:
    interval = _interval(row)
    return f"{100 * spec.confidence:g} % interval [{signed(interval.low)}, {signed(interval.high)}]"


def _plain(value: Any) -> Any:
    if isinstance(value, Undefined):
        return metrics.as_json(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Interval | EvaluationSpec):
        return asdict(value)
    if isinstance(value, TableRow | GroupRow | Curves | CalibrationBins):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
