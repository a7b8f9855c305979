"""Write the tables of README and docs from benchmarks/results: `python benchmarks/readme_table.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results_io import RESULTS, read_rows
from ring_pages import ring_summary, ring_tables

ROOT = Path(__file__).parents[1]
START = "<!-- results: made by benchmarks/readme_table.py from benchmarks/results/{name} -->\n"
END = "<!-- end of results -->"

COLUMNS = {
    "lightgbm_raw": "LightGBM, raw columns",
    "lightgbm_aggregates": "LightGBM, point-in-time aggregates",
    "no_edges": "our network without edges",
    "temporal_sage": "**Ringtrace**",
    "lightgbm_embeddings": "LightGBM, with our embeddings",
}
LEARNERS = {"lightgbm": "LightGBM", "xgboost": "XGBoost"}
VARIANTS = {
    "raw": "own columns",
    "raw_embeddings": "own columns, embeddings",
    "aggregates": "aggregates",
    "same_rows": "aggregates, same rows",
    "score": "aggregates, score",
    "embeddings": "aggregates, embeddings",
}
DATASETS = {
    "fdh": "card payments (Fraud Detection Handbook)",
    "sffsd": "S-FFSD",
    "p2p": "P2P platform",
    "graphfaker_medium": "simulated bank",
    "world": "generated world",
}


def results_table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown with a line per data set and protocol, and AUC / AP of each model in a cell."""
    rows = [row for row in rows if row["model"] in COLUMNS]
    if not rows:
        return ""
    tasks = list(dict.fromkeys((row["dataset"], row["protocol"]) for row in rows))
    tasks.sort(key=lambda task: [*DATASETS, task[0]].index(task[0]))
    cells = {(row["dataset"], row["protocol"], row["model"]): _cell(row) for row in rows}
    lines = [
        f"| test part, AUC / AP | {' | '.join(COLUMNS.values())} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for dataset, protocol in tasks:
        name = f"{DATASETS.get(dataset, dataset)}, {protocol.replace('_', ' ')}"
        results = [cells.get((dataset, protocol, model), "–") for model in COLUMNS]
        lines.append(f"| {name} | {' | '.join(results)} |")
    seeds = min(len(row["seeds"]) for row in rows)
    note = f"Mean of {seeds} or more seeds; the same rows for every model. `make bench-quality` makes it again."
    return "\n".join([*lines, "", note, ""])


def downstream_table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown with a line per protocol and learner, and the AP of each of its variants beside the network alone."""
    by_key = {(row["dataset"], row["protocol"], row["model"]): row for row in rows}
    tasks = list(dict.fromkeys((row["dataset"], row["protocol"]) for row in rows))
    tasks.sort(key=lambda task: [*DATASETS, task[0]].index(task[0]))
    names = " | ".join(VARIANTS.values())
    lines = [f"| test part, AP | learner | {names} | the network alone | seeds |", "|---" * (len(VARIANTS) + 4) + "|"]
    for dataset, protocol in tasks:
        network = by_key[dataset, protocol, "temporal_sage"]
        for learner, title in LEARNERS.items():
            found = [by_key.get((dataset, protocol, f"{learner}_{variant}")) for variant in VARIANTS]
            if not any(found):
                continue
            cells = [*(_number(row["ap"]) if row else "–" for row in found), _number(network["ap"])]
            name = f"{DATASETS.get(dataset, dataset)}, {protocol.replace('_', ' ')}"
            lines.append(f"| {name} | {title} | {' | '.join(cells)} | {len(network['seeds'])} |")
    return "\n".join([*lines, ""])


def _cell(row: dict[str, Any]) -> str:
    return " / ".join(_number(row[key]) for key in ("auc", "ap"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".lstrip("0")


def with_table(page: str, table: str, name: str) -> str:
    """`page` with what stands between the two marks of the result file `name` replaced."""
    start = START.format(name=name)
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(END)
    return f"{before}{start}{table}{END}{after}"


TABLES = (
    (ROOT / "README.md", "quality.json", results_table),
    (ROOT / "docs" / "benchmarks.md", "downstream.json", downstream_table),
    (ROOT / "docs" / "benchmarks.md", "rings.json", ring_summary),
    (ROOT / "docs" / "rings.md", "rings.json", ring_tables),
)
"""Pages, the result files they show, and how."""

if __name__ == "__main__":
    for page, name, table in TABLES:
        page.write_text(with_table(page.read_text(), table(read_rows(RESULTS / name)), name))
