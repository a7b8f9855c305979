"""Write README's results table from benchmarks/results/quality.json: `python benchmarks/readme_table.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START = "<!-- results: made by benchmarks/readme_table.py from benchmarks/results/quality.json -->\n"
END = "<!-- end of results -->"

COLUMNS = {
    "lightgbm_raw": "LightGBM, raw columns",
    "lightgbm_aggregates": "LightGBM, point-in-time aggregates",
    "no_edges": "our network without edges",
    "temporal_sage": "**Ringtrace**",
    "lightgbm_embeddings": "LightGBM, with our embeddings",
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


def _cell(row: dict[str, Any]) -> str:
    return " / ".join("–" if row[key] is None else f"{row[key]:.3f}".lstrip("0") for key in ("auc", "ap"))


def with_table(readme: str, table: str) -> str:
    """`readme` with what stands between the two marks replaced."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{table}{END}{after}"


def read_rows(results: Path = ROOT / "benchmarks" / "results" / "quality.json") -> list[dict[str, Any]]:
    """The rows of the result file; none where the benchmark hasn't been run."""
    return json.loads(results.read_text())["rows"] if results.exists() else []


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(), results_table(read_rows())))
