import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("readme_table", ROOT / "benchmarks" / "readme_table.py")
readme_table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(readme_table)


def row(model, auc, ap):
    return {"dataset": "sffsd", "protocol": "forward", "model": model, "auc": auc, "ap": ap, "seeds": [0, 1, 2]}


def test_each_model_stands_in_its_column_and_what_is_not_known_is_a_dash():
    rows = [row("lightgbm_raw", 0.565, 0.316), row("temporal_sage", 0.931, None)]
    lines = readme_table.results_table(rows).splitlines()
    assert lines[2] == "| S-FFSD, forward | .565 / .316 | – | – | .931 / – | – |"


def test_a_learner_has_a_line_with_what_each_variant_reached():
    rows = [row("temporal_sage", 0.9, 0.5), row("lightgbm_raw", 0.8, 0.25), row("lightgbm_embeddings", 0.9, 0.625)]
    lines = readme_table.downstream_table(rows).splitlines()
    assert lines[2] == "| S-FFSD, forward | LightGBM | .250 | – | – | – | .625 | .500 | 3 |"
    assert lines[3] == "| S-FFSD, forward | XGBoost | – | – | – | – | – | .500 | 3 |"


def test_the_pages_show_the_committed_results():
    for page, name, table in readme_table.TABLES:
        shown = page.read_text()
        wanted = readme_table.with_table(shown, table(readme_table.read_rows(name)), name)
        assert shown == wanted, "run: python benchmarks/readme_table.py"
