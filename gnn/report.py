"""An evaluation as one HTML page that can be mailed, filed and printed: no script, no link outside, all text escaped.

The verdict comes first, then what it rests on: the floors beside the model, what an alert budget catches, whether a
probability can be taken at its word, how all this holds over weeks and for entities never seen before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gnn.charts import Axis, Chart, interval_bar, log_axis, number_axis, percent_axis
from gnn.evaluation import TITLES, Evaluation, GroupRow, TableRow, short, signed
from gnn.metrics import Interval, Metric, Undefined
from graphs.folders import write_text

if TYPE_CHECKING:
    from gnn.downstream import Part
    from graphs.report import ValidationReport

OUTCOMES = {
    "adds": "The graph adds",
    "nothing": "No gain from the graph",
    "short": "Below a floor",
    "none": "No verdict",
}

PALETTE = {
    "lightgbm_aggregates": "s1",
    "lightgbm_raw": "s2",
    "no_edges": "s3",
    "shuffled_edges": "s4",
    "class_rate": "s5",
    "lightgbm_embeddings": "s6",
    "hetero_sage": "s7",
    "temporal_sage": "s3",
    "lightgbm_score": "s6",
}
"""A colour class per known model, the same in every report; others share the last."""


def write_report(
    evaluation: Evaluation,
    path: Path,
    *,
    title: str = "How well the model finds fraud",
    history: Sequence[Mapping[str, Any]] = (),
    facts: Mapping[str, Any] | None = None,
    validation: ValidationReport | None = None,
    config: str | None = None,
    badges: Mapping[str, str] = OUTCOMES,
    importance: Mapping[str, float] | None = None,
    stacked: Sequence[Part] = (),
) -> None:
    """Write `render_report` to `path`, whole or not at all."""
    page = render_report(
        evaluation, title=title, history=history, facts=facts, validation=validation, config=config, badges=badges,
        importance=importance, stacked=stacked,
    )  # fmt: skip
    write_text(path, page)


def render_report(
    evaluation: Evaluation,
    *,
    title: str,
    history: Sequence[Mapping[str, Any]] = (),
    facts: Mapping[str, Any] | None = None,
    validation: ValidationReport | None = None,
    config: str | None = None,
    badges: Mapping[str, str] = OUTCOMES,
    importance: Mapping[str, float] | None = None,
    stacked: Sequence[Part] = (),
) -> str:
    """The page as text.

    `history` are the epochs ({"epoch", "loss", "valid_ap", …}), `facts` what a repeat of the run needs (nested mappings
    are fine), `validation` what ingest found, `config` the resolved configuration as YAML, `importance` the share of
    each group of columns, `stacked` which network spoke of which rows. What is left out leaves its section out.
    `badges` are the few words of each outcome.
    """
    environment = Environment(
        loader=PackageLoader("gnn", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"short": short, "fine": _fine, "count": _count, "share": _share}
    return environment.get_template("report.html").render(
        title=title,
        outcome=evaluation.outcome,
        badge=badges[evaluation.outcome],
        verdict=evaluation.verdict,
        lines=_headlines(evaluation),
        period=_period(evaluation),
        evaluation=evaluation,
        budget=_budget_words(evaluation),
        tiles=_tiles(evaluation),
        table=_table(evaluation),
        reasons=_reasons(evaluation),
        figures=_figures(evaluation),
        training=_training(history),
        chosen=any(record.get("valid_ap") is not None for record in history),
        weeks=evaluation.by_week,
        importance=importance,
        stacked=stacked,
        groups=_groups(evaluation.by_new_entity),
        floor_title=TITLES.get(evaluation.best_floor or "", evaluation.best_floor or "floor"),
        facts=_flat(facts or {}),
        validation=validation,
        config=config,
    )


# ---------------------------------------------------------------- head


def _headlines(evaluation: Evaluation) -> list[str]:
    """The verdict's sentence cut at its semicolons: the first part is the headline, the rest stands below it."""
    first, *rest = evaluation.verdict.split("; ")
    parts = [first, *(part[0].upper() + part[1:] for part in rest)]
    return [part.removesuffix(".") + "." for part in parts]


def _period(evaluation: Evaluation) -> str:
    if evaluation.first_time is None or evaluation.last_time is None:
        return "no rows"
    first, last = (_day(micros) for micros in (evaluation.first_time, evaluation.last_time))
    return first if first == last else f"{first} to {last}"


def _day(micros: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros):%Y-%m-%d}"


def _budget_words(evaluation: Evaluation) -> str:
    spec = evaluation.spec
    return f"{spec.alert_budget:,} alerts a day" if spec.per == "day" else f"{spec.alert_budget:,} alerts in all"


@dataclass(frozen=True)
class _Tile:
    name: str
    value: str
    note: str


def _tiles(evaluation: Evaluation) -> list[_Tile]:
    model = evaluation.table[0]
    floor = None if evaluation.best_floor is None else evaluation[evaluation.best_floor]

    def note(metric: Metric, words: str) -> str:
        return metric.reason if isinstance(metric, Undefined) else words

    ap_note = auc_note = ""
    if floor is not None:
        ap_note, auc_note = (f"best tabular floor {short(value)}" for value in (floor.ap, floor.auc))
    budget = _budget_words(evaluation)
    return [
        _Tile("Average precision", short(model.ap), note(model.ap, ap_note)),
        _Tile("AUC", short(model.auc), note(model.auc, auc_note)),
        _Tile("Fraud caught", _share(model.recall_at_budget), note(model.recall_at_budget, f"at {budget}")),
        _Tile("Alerts right", _share(model.precision_at_budget), note(model.precision_at_budget, f"at {budget}")),
        _Tile("Value caught", _share(model.value_recall), note(model.value_recall, "of the fraudulent amount")),
        _Tile("Calibration error", _fine(model.ece), note(model.ece, "promised against observed")),
    ]


# ---------------------------------------------------------------- table


@dataclass(frozen=True)
class _Line:
    row: TableRow
    title: str
    css: str
    is_model: bool
    bar: float | None
    gain: str
    interval: Markup | None


def _table(evaluation: Evaluation) -> list[_Line]:
    # The class rate is so far off that on its scale the other intervals would shrink to dots.
    drawn = {row.model: row.ap_gain for row in evaluation.table if isinstance(row.ap_gain, Interval)}
    drawn.pop("class_rate", None)
    left = min([gain.low for gain in drawn.values()] + [-0.02])
    right = max([gain.high for gain in drawn.values()] + [0.02])
    lines = []
    for row in _ranked(evaluation):
        css = _css(evaluation, row.model)
        gain, interval = "", None
        if isinstance(row.ap_gain, Interval):
            gain = f"{signed(row.ap_gain.value)} [{signed(row.ap_gain.low)}, {signed(row.ap_gain.high)}]"
        if row.model in drawn:
            known = drawn[row.model]
            tone = "good" if known.low > 0 else "bad" if known.high < 0 else "even"
            interval = interval_bar(known.value, known.low, known.high, scale=(left, right), css=tone)
        if isinstance(row.ap_gain, Undefined):
            gain = "–"
        bar = None if isinstance(row.ap, Undefined) else row.ap
        lines.append(
            _Line(row, row.title[0].upper() + row.title[1:], css, row.model == evaluation.model, bar, gain, interval)
        )
    return lines


def _ranked(evaluation: Evaluation) -> list[TableRow]:
    """The judged model, then the floors from the strongest down, then what rests on the graph itself."""
    model, *others = evaluation.table
    return [model, *sorted(others, key=lambda row: (not row.is_floor, -np.nan_to_num(_or_nan(row.ap))))]


def _reasons(evaluation: Evaluation) -> list[str]:
    """Why a dash stands in the table of models, each reason once."""
    found: dict[str, None] = {}
    for row in evaluation.table:
        for value in vars(row).values():
            if isinstance(value, Undefined):
                found.setdefault(value.reason)
    return list(found)


def _css(evaluation: Evaluation, model: str) -> str:
    return "model" if model == evaluation.model else PALETTE.get(model, "s7")


def _groups(rows: Sequence[GroupRow]) -> list[tuple[str, GroupRow]]:
    """The groups "card: new", "card: known" as "New card", "Known card"."""
    named = []
    for row in rows:
        role, word = row.group.rsplit(": ", 1)
        named.append((f"{word.capitalize()} {role}", row))
    return named


# ---------------------------------------------------------------- figures


@dataclass(frozen=True)
class _Figure:
    title: str
    note: str
    svg: Markup
    legend: list[tuple[str, str]]


def _figures(evaluation: Evaluation) -> list[_Figure]:
    drawn = (_precision_recall, _budget_curve, _reliability, _weeks)
    return [figure for draw in drawn if (figure := draw(evaluation)) is not None]


def _precision_recall(evaluation: Evaluation) -> _Figure | None:
    curves = {name: curve for name, curve in evaluation.curves.precision_recall.items() if len(curve)}
    if not curves:
        return None
    chart = Chart(percent_axis("share of all fraud found"), percent_axis("share of alerts that are fraud"))
    for name, curve in reversed(curves.items()):
        # From recall 0, at the precision of the first step.
        chart.line(np.vstack([[0.0, curve[0, 1]], curve]), _css(evaluation, name))
    return _Figure(
        "Precision against recall",
        "How many alerts are right (up), while more and more of the fraud is found (right).",
        chart.svg("Precision against recall of " + ", ".join(TITLES.get(name, name) for name in curves)),
        _legend(evaluation, curves),
    )


def _budget_curve(evaluation: Evaluation) -> _Figure | None:
    budgets = evaluation.curves.budgets
    curves = {name: curve for name, curve in evaluation.curves.recall_at.items() if len(curve)}
    if not curves:
        return None
    top = max(float(np.max(curve)) for curve in curves.values())
    every = " a day" if evaluation.spec.per == "day" else ""
    chart = Chart(
        log_axis(f"alerts{every}", float(budgets[0]), float(budgets[-1])), percent_axis("", min(1.0, max(top, 0.05)))
    )
    chart.rule(evaluation.spec.alert_budget, "your budget", at="top")
    for name, curve in reversed(curves.items()):
        chart.line(np.column_stack([budgets, curve]), _css(evaluation, name))
    return _Figure(
        "What an alert budget catches",
        f"Share of the fraud that is found with that many alerts{every}.",
        chart.svg("Share of fraud found against the number of alerts"),
        _legend(evaluation, curves),
    )


def _reliability(evaluation: Evaluation) -> _Figure | None:
    bins = evaluation.curves.reliability
    if isinstance(bins, Undefined):
        return None
    top = float(max(bins.mean_probability.max(), bins.rate.max(), 1e-4))
    x, y = percent_axis("probability the model gave", top), percent_axis("", min(1.0, max(top, bins.high.max())))
    chart = Chart(x, y)
    reach = min(x.high, y.high)
    chart.line(np.array([[0.0, 0.0], [reach, reach]]), "ideal")
    chart.whiskers(bins.mean_probability, bins.low, bins.high, "model")
    points = np.column_stack([bins.mean_probability, bins.rate])
    chart.line(points, "model thin")
    titles = [
        f"{count:,} rows: {_share(said)} promised, {_share(was)} were fraud"
        for count, said, was in zip(bins.rows, bins.mean_probability, bins.rate, strict=True)
    ]
    chart.dots(points, "model", titles)
    return _Figure(
        "Are the probabilities right?",
        "Share of rows that were fraud, where the model promised that probability. Bars: 95 % interval.",
        chart.svg("Observed fraud rate against predicted probability"),
        [("model", TITLES.get(evaluation.model, evaluation.model)), ("ideal", "promised = observed")],
    )


def _weeks(evaluation: Evaluation) -> _Figure | None:
    weeks = evaluation.by_week
    if len(weeks) < 2:
        return None
    place = np.arange(len(weeks), dtype=np.float64)
    model, floor = ([_or_nan(getattr(week, name)) for week in weeks] for name in ("ap", "floor_ap"))
    if np.isnan(model).all():
        return None
    every = math.ceil(len(weeks) / 6)
    ticks = [(float(i), week.group[5:]) for i, week in enumerate(weeks) if i % every == 0]
    shares = [(value, short(value) if value else "0") for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
    chart = Chart(Axis("week from", -0.5, len(weeks) - 0.5, ticks), Axis("", 0.0, 1.0, shares))
    chart.bars(
        np.array([week.frauds for week in weeks]), "frauds",
        [f"week from {week.group}: {week.frauds:,} frauds among {week.rows:,} rows" for week in weeks],
    )  # fmt: skip
    legend = [("model", TITLES.get(evaluation.model, evaluation.model))]
    if evaluation.best_floor is not None:
        css = _css(evaluation, evaluation.best_floor)
        chart.line(np.column_stack([place, floor]), css)
        legend.append((css, evaluation[evaluation.best_floor].title))
    chart.line(np.column_stack([place, model]), "model")
    chart.dots(
        np.column_stack([place, model]), "model", [f"week from {week.group}: AP {short(week.ap)}" for week in weeks]
    )
    most = max(week.frauds for week in weeks)
    return _Figure(
        "Average precision by week",
        "Does it hold, or does it fade with the distance from training?",
        chart.svg("Average precision by week"),
        [*legend, ("frauds", f"frauds in the week (at most {most:,})")],
    )


def _training(history: Sequence[Mapping[str, Any]]) -> list[_Figure]:
    """Loss and validation AP by epoch, each on its own axis."""
    if len(history) < 2:
        return []
    epochs = np.array([record["epoch"] for record in history], dtype=np.float64)
    x = number_axis("epoch", float(epochs[0]), float(epochs[-1]))
    x = Axis(
        "epoch", float(epochs[0]), float(epochs[-1]),
        [tick for tick in x.ticks if epochs[0] <= tick[0] <= epochs[-1] and tick[0] == round(tick[0])],
    )  # fmt: skip
    figures = []
    for key, title, note in (
        ("loss", "Training loss", "Mean loss of each epoch."),
        ("valid_ap", "Validation AP", "The epoch with the highest value is the one that was kept."),
    ):
        values = np.array([_or_nan(record.get(key)) for record in history])
        if np.isnan(values).all():
            continue
        chart = Chart(x, number_axis("", float(np.nanmin(values)), float(np.nanmax(values))))
        chart.line(np.column_stack([epochs, values]), "model")
        if key == "valid_ap":
            best = int(np.nanargmax(values))
            chart.rule(float(epochs[best]), f"epoch {epochs[best]:.0f}: {short(float(values[best]))}")
        figures.append(_Figure(title, note, chart.svg(f"{title} by epoch"), []))
    return figures


def _legend(evaluation: Evaluation, curves: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    return [(_css(evaluation, row.model), row.title) for row in _ranked(evaluation) if row.model in curves]


# ---------------------------------------------------------------- words


def _or_nan(value: Metric | None) -> float:
    return float("nan") if value is None or isinstance(value, Undefined) else float(value)


def _share(value: Metric) -> str:
    """62.1 % and 0.03 %: at least two digits that say something."""
    if isinstance(value, Undefined):
        return "–"
    share = 100 * float(value)
    return f"{share:.1f} %" if share >= 1 or share == 0 else f"{share:.2g} %"


def _fine(value: Metric) -> str:
    """.0042: a decimal more than `short`, for numbers that are small when fraud is rare."""
    return "–" if isinstance(value, Undefined) else f"{value:.4f}".removeprefix("0")


def _count(value: int | float | Undefined) -> str:
    return "–" if isinstance(value, Undefined) else f"{value:,.0f}"


def _flat(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts as (name, text); a nested mapping becomes one line of its items."""
    return [(name.replace("_", " "), _words(name, value)) for name, value in facts.items()]


def _words(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return " · ".join(f"{key} {_words(key, item)}" for key, item in value.items())
    # A seed is a name, not an amount.
    return f"{value:,}" if isinstance(value, int) and name != "seed" else str(value)
