"""The report: one file, nothing from outside, everything escaped, and no section that has nothing to say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from gnn.charts import Chart, log_axis, number_axis, percent_axis
from gnn.evaluation import Evaluation, EvaluationSpec, ScoredRows, evaluate
from gnn.metrics import Undefined
from gnn.report import render_report, write_report
from graphs.errors import Fault
from graphs.events import MICROSECONDS_PER_DAY
from graphs.report import TableSummary, ValidationReport

START = 1_740_960_000_000_000  # Monday 2025-03-03T00:00Z
SPEC = EvaluationSpec(alert_budget=5, bootstrap=20)
HISTORY = [{"epoch": epoch, "loss": 1 / epoch, "valid_ap": None if epoch == 1 else 0.5} for epoch in range(1, 5)]


def judged(**more: np.ndarray | Undefined) -> Evaluation:
    rng = np.random.default_rng(0)
    label = (rng.random(600) < 0.1).astype(int)
    time = START + np.sort(rng.integers(0, 30 * MICROSECONDS_PER_DAY, 600))
    score = np.clip(0.6 * label + rng.normal(0.2, 0.1, 600), 0, 1)
    rows = ScoredRows(time, label, score, rng.exponential(9, 600), {"card": rng.random(600) < 0.3})
    return evaluate(rows, {"lightgbm_raw": rng.random(600), **more}, SPEC)


def no_fraud() -> Evaluation:
    rows = ScoredRows(START + np.arange(3), np.zeros(3, dtype=int), np.array([0.3, 0.2, 0.1]))
    return evaluate(rows, {"no_edges": np.zeros(3)}, SPEC)


class Tags(HTMLParser):
    """Checks that tags close in order and remembers them with their attributes."""

    VOID = ("meta", "br", "circle", "path", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parse(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def test_the_verdict_and_every_model_are_on_the_page() -> None:
    evaluation = judged(no_edges=np.full(600, 0.1), lightgbm_embeddings=np.full(600, 0.1))
    page = render_report(evaluation, title="Spring")
    assert evaluation.outcome == "adds" and "The graph adds +" in page
    for title in ("Ringtrace, causal GraphSAGE", "LightGBM on raw columns", "The same network without edges"):
        assert title in page
    assert page.count("uses the graph too") == 1


def test_nothing_comes_from_outside_and_nothing_runs() -> None:
    tags = parse(render_report(judged(), title="Spring", history=HISTORY))
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in tags.seen}
    assert not [name for _, attrs in tags.seen for name in attrs if name.startswith("on") or name in ("src", "href")]
    assert "url(" not in render_report(judged(), title="Spring")


def test_all_text_is_escaped() -> None:
    attack = "<script>alert('x')</script>"
    summary = TableSummary(attack, "events", (attack,), 2, 1)
    fault = Fault("c", attack, attack, attack, attack, 1, (1,), (attack,))
    validation = ValidationReport((summary,), {attack: 1}, (fault,), (fault,))
    evaluation = judged(**{attack: np.full(600, 0.5)})
    page = render_report(evaluation, title=attack, facts={attack: attack}, validation=validation, config=attack)
    assert "<script" not in page and "&lt;script&gt;" in page
    parse(page)


def test_undefined_numbers_are_dashes_with_their_reason() -> None:
    page = render_report(no_fraud(), title="Nothing")
    assert "No verdict: no fraud among the 3 rows." in page
    assert "A dash means undefined: no fraud among the 3 rows" in page
    assert "nan" not in page.lower().replace("finance", "") and "Undefined(" not in page
    parse(page)


def test_sections_without_content_are_left_out() -> None:
    page = render_report(no_fraud(), title="Nothing")
    for heading in ("Training", "The data behind it", "To repeat this run", "Entities never seen before"):
        assert f"<h2>{heading}</h2>" not in page
    assert "<h2>Training</h2>" in render_report(no_fraud(), title="Nothing", history=HISTORY)


def test_a_training_without_validation_was_not_chosen_by_it() -> None:
    chosen, kept = "Chosen on the validation part", "the last one was kept"
    last = [{**record, "valid_ap": None} for record in HISTORY]
    for history, there, absent in ((HISTORY, chosen, kept), (last, kept, chosen)):
        page = render_report(judged(), title="Spring", history=history)
        assert there in page and absent not in page


def test_facts_and_configuration_are_shown() -> None:
    facts = {"fingerprint": "9c1f", "seed": 20250, "entities": {"user": 41210}}
    page = render_report(judged(), title="Spring", facts=facts, config="model:\n  k: 8\n")
    assert "<code>9c1f</code>" in page and "<dd>20250</dd>" in page and "user 41,210" in page
    assert "model:\n  k: 8" in page


def test_every_plot_is_well_formed_svg() -> None:
    page = render_report(judged(), title="Spring", history=HISTORY)
    plots = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(plots) >= 7
    for plot in plots:
        ElementTree.fromstring(plot)
        assert "nan" not in plot


def test_the_same_evaluation_gives_the_same_page(tmp_path: Path) -> None:
    write_report(judged(), tmp_path / "report.html", title="Spring")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render_report(judged(), title="Spring")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("high", [1.0, 0.37, 0.05, 0.004, 0.0003])
def test_percent_axes_have_round_ticks_that_reach_the_top(high: float) -> None:
    axis = percent_axis("", high)
    assert axis.high >= high * (1 - 1e-9) and 3 <= len(axis.ticks) <= 6
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.71), (5.0, 5.0), (0.0, 1e-5), (-3.0, 900.0)])
def test_number_axes_hold_what_they_show(low: float, high: float) -> None:
    axis = number_axis("", low, high)
    assert axis.low <= low + 1e-9 and axis.high >= high - 1e-9 and axis.high > axis.low


def test_log_axis_places_powers_of_ten_evenly() -> None:
    axis = log_axis("", 1, 1000)
    assert [text for _, text in axis.ticks] == ["1", "10", "100", "1,000"]
    assert axis.place(np.array([1, 10, 100, 1000])) == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_line_breaks_where_a_value_is_missing() -> None:
    chart = Chart(percent_axis("x"), percent_axis("y"))
    chart.line(np.array([[0.0, 0.1], [0.5, np.nan], [0.7, 0.2], [1.0, 0.3]]), "model")
    path = re.search(r'<path class="line model" d="([^"]*)"', chart.svg("test"))
    assert path is not None and path[1].count("M") == 2 and path[1].count("L") == 1
