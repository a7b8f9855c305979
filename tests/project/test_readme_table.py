import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "benchmarks")
    readme_table = importlib.import_module("readme_table")
    ring_pages = importlib.import_module("ring_pages")
    results_io = importlib.import_module("results_io")


def row(model, auc, ap):
    return {"dataset": "sffsd", "protocol": "forward", "model": model, "auc": auc, "ap": ap, "seeds": [0, 1, 2]}


def test_each_model_stands_in_its_column_and_what_is_not_known_is_a_dash():
    rows = [row("lightgbm_raw", 0.565, 0.316), row("temporal_sage", 0.931, None)]
    lines = readme_table.results_table(rows).splitlines()
    assert lines[2] == "| S-FFSD, forward | .565 / .316 | – | – | .931 / – | – |"


def test_a_learner_that_was_grown_has_a_line_with_what_each_variant_reached():
    rows = [row("temporal_sage", 0.9, 0.5), row("lightgbm_raw", 0.8, 0.25), row("lightgbm_embeddings", 0.9, 0.625)]
    lines = readme_table.downstream_table(rows).splitlines()
    assert lines[2:] == ["| S-FFSD, forward | LightGBM | .250 | – | – | – | – | .625 | .500 | 3 |"]


def test_the_pages_show_the_committed_results():
    for page, name, table in readme_table.TABLES:
        shown = page.read_text()
        wanted = readme_table.with_table(shown, table(results_io.read_rows(results_io.RESULTS / name)), name)
        assert shown == wanted, "run: python benchmarks/readme_table.py"


def ring_row(dial, seed, recall, archetype="all", **more):
    place = {"dataset": "world", "finder": "communities", "scores": "model", "archetype": archetype}
    return {**place, "dial": dial, "seed": seed, "ring_recall": recall, **more}


def test_rings_found_are_means_over_seeds_by_dial():
    rows = [ring_row(2, 100, 0.5), ring_row(2, 101, 1.0), ring_row(2, 102, 0.75), ring_row(4, 100, None)]
    lines = ring_pages.ring_summary(rows).splitlines()
    assert lines[2].startswith("| 2 | communities, model | 100–102 | .750 | – |")
    assert lines[3].startswith("| 4 | communities, model | 100 | – |")


def test_an_archetype_counts_each_true_ring_once():
    rows = [ring_row(2, 100, 1.0, "bust_out", true_rings=3), ring_row(2, 101, 0.0, "bust_out", true_rings=1)]
    assert "| bust_out | .750 |" in ring_pages.ring_tables(rows)


def test_the_plot_is_of_the_committed_results():
    committed = (ROOT / "docs" / "images" / "ring_recall.svg").read_text(encoding="utf-8")
    assert committed == ring_pages.draw(results_io.read_rows(results_io.RESULTS / "rings.json")), (
        "run: python benchmarks/ring_pages.py"
    )
