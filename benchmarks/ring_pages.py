"""What the pages show of benchmarks/results/rings.json: tables (put there by readme_table.py) and the plot of recall by
dial, which `python benchmarks/ring_pages.py` draws as docs/images/ring_recall.svg: same results, same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from results_io import RESULTS, read_rows

ROOT = Path(__file__).parents[1]
Row = dict[str, Any]

FINDERS = {
    ("communities", "model"): "communities, model",
    ("communities", "stand_in"): "communities, stand-in of AUC .95",
    ("communities", "oracle"): "communities, oracle",
    ("communities", "shuffled"): "communities, shuffled",
    ("communities", "known_fraud"): "communities, known fraud alone",
    ("communities", "none"): "communities, nothing",
    ("components", "model"): "components",
    ("components", "none"): "components",
    ("transfers", "oracle"): "transfers, told which are fraud",
    ("transfers", "stand_in"): "transfers, stand-in of AUC .95",
}
METRICS = {
    "ring_recall": "ring recall",
    "ring_recall_begun_later": "of rings begun after training",
    "worst_archetype_recall": "worst archetype",
    "precision_at_50": "P@50",
    "b3_f1": "B³ F1",
    "innocents_per_100": "innocents per 100",
    "worst_hard_negative_rate": "worst hard-negative rate",
    "kept_at_5_percent_loss": "kept at 5 % loss",
}
PLOTTED = {
    ("communities", "model"): ("#c2372e", "the model's scores", -4),
    ("communities", "shuffled"): ("#2b6cb0", "shuffled scores", 14),
    ("components", "model"): ("#5b6670", "components", 4),
}
"""The curves of the plot: colour, name and how far below its end the name stands."""

_CELL, _TOP, _LEFT = 46, 84, 190


def ring_tables(rows: Sequence[Row]) -> str:
    """Markdown: finders on worlds by dial, the model's recall by archetype and dial, and the simulated bank."""
    worlds = [row for row in rows if row["dataset"] == "world"]
    if not worlds:
        return ""
    bank = [row for row in rows if row["dataset"] == "graphfaker_medium"]
    parts = ["Worlds, means over judging seeds:", "", *_finders(worlds), ""]
    parts += ["Ring recall of each archetype with the model's scores, by dial:", "", *_archetypes(worlds)]
    if bank:
        parts += ["", "The simulated bank (`graphfaker_medium`), judged half:", "", *_bank(bank)]
    return "\n".join([*parts, ""])


def ring_summary(rows: Sequence[Row]) -> str:
    """Markdown: the model's scores beside shuffled ones and components, by dial."""
    shown = [row for row in rows if row["dataset"] == "world" and (row["finder"], row["scores"]) in PLOTTED]
    return "\n".join([*_finders(shown), ""]) if shown else ""


def _finders(rows: Sequence[Row]) -> list[str]:
    told = [row for row in rows if row["archetype"] == "all"]
    lines = [f"| dial | finder, scores | seeds | {' | '.join(METRICS.values())} |", "|---" * (len(METRICS) + 3) + "|"]
    for dial in sorted({row["dial"] for row in told}):
        for key, name in FINDERS.items():
            mine = [row for row in told if (row["dial"], row["finder"], row["scores"]) == (dial, *key)]
            if mine:
                cells = " | ".join(_number(_mean(mine, metric)) for metric in METRICS)
                lines.append(f"| {dial} | {name} | {_spans(row['seed'] for row in mine)} | {cells} |")
    return lines


def _archetypes(rows: Sequence[Row]) -> list[str]:
    found = _by_archetype(rows)
    dials = sorted({dial for dial, _ in found})
    lines = [f"| archetype | {' | '.join(f'dial {dial}' for dial in dials)} |", "|---" * (len(dials) + 1) + "|"]
    for name in sorted({name for _, name in found}):
        lines.append(f"| {name} | {' | '.join(_number(found.get((dial, name))) for dial in dials)} |")
    return lines


def _bank(rows: Sequence[Row]) -> list[str]:
    shown = [key for key in FINDERS if any((row["finder"], row["scores"]) == key for row in rows)]
    lines = [f"| | {' | '.join(FINDERS[key] for key in shown)} |", "|---" * (len(shown) + 1) + "|"]
    cells = {(row["finder"], row["scores"], row["archetype"]): row for row in rows}
    names = {"ring_recall": "ring recall", "precision_at_50": "P@50", "b3_f1": "B³ F1"}
    names["worst_hard_negative_rate"] = "decoys in the first 50"
    for metric, name in names.items():
        lines.append(f"| {name} | {' | '.join(_number(cells[(*key, 'all')][metric]) for key in shown)} |")
    for kind in sorted({row["archetype"] for row in rows} - {"all"}):
        lines.append(f"| {kind} | {' | '.join(_number(cells[(*key, kind)]['ring_recall']) for key in shown)} |")
    return lines


def _by_archetype(rows: Sequence[Row]) -> dict[tuple[int, str], float | None]:
    """Share of all true rings of an archetype, over the seeds of a dial, that the finder finds with the model's
    scores."""
    mine = [row for row in rows if (row["finder"], row["scores"]) == ("communities", "model")]
    mine = [row for row in mine if row["archetype"] != "all"]
    found: dict[tuple[int, str], float | None] = {}
    for key in sorted({(row["dial"], row["archetype"]) for row in mine}):
        those = [row for row in mine if (row["dial"], row["archetype"]) == key]
        found[key] = sum(row["ring_recall"] * row["true_rings"] for row in those) / sum(
            row["true_rings"] for row in those
        )
    return found


def _mean(rows: Iterable[Row], metric: str) -> float | None:
    values = [row[metric] for row in rows if row.get(metric) is not None]
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 10:
        return f"{value:.0f}"
    return f"{value:.2f}" if value > 1 else "1" if value > 0.9995 else f"{value:.3f}".lstrip("0").replace(".000", "0")


def _spans(seeds: Iterable[int]) -> str:
    """`100–104` or `100, 102`."""
    told = sorted(seeds)
    whole = len(told) > 2 and told == list(range(told[0], told[-1] + 1))
    return f"{told[0]}–{told[-1]}" if whole else ", ".join(map(str, told))


def draw(rows: Sequence[Row]) -> str:
    """SVG: ring recall by dial, of the model's scores, shuffled ones and components; beside it the model's by
    archetype."""
    worlds = [row for row in rows if row["dataset"] == "world"]
    found = _by_archetype(worlds)
    dials, names = sorted({dial for dial, _ in found}), sorted({name for _, name in found})
    height, width = _TOP + 28 * len(names) + 40, 470 + _LEFT + _CELL * len(dials) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" fill="#1f2933" '
        f'font-family="Inter, Helvetica, Arial, sans-serif" font-size="13">',
        "<title>Ring recall by evasion dial, and by archetype with the model's scores</title>",
        f'<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>',
        '<text x="24" y="34" font-size="17" font-weight="700">Ring recall by evasion dial</text>',
        '<text x="470" y="34" font-size="17" font-weight="700">By archetype, the model\'s scores</text>',
        *_axes(dials, height),
    ]
    for key in PLOTTED:
        parts += _curve(worlds, key, dials, height)
    for at, dial in enumerate(dials):
        parts.append(f'<text x="{470 + _LEFT + _CELL * at + 21}" y="{_TOP - 12}" text-anchor="middle">{dial}</text>')
    parts.append(f'<text x="{470 + _LEFT - 12}" y="{_TOP - 12}" text-anchor="end">dial</text>')
    for line, name in enumerate(names):
        y = _TOP + 28 * line
        parts.append(f'<text x="{470 + _LEFT - 12}" y="{y + 18}" text-anchor="end">{name.replace("_", " ")}</text>')
        for at, dial in enumerate(dials):
            parts += _box(470 + _LEFT + _CELL * at, y, found.get((dial, name)))
    return "\n".join([*parts, "</svg>\n"])


def _place(dial: int, value: float, dials: Sequence[int], height: int) -> tuple[float, float]:
    across = 64 + 250 * dials.index(dial) / max(len(dials) - 1, 1)
    return round(across, 1), round(height - 40 - (height - 40 - _TOP) * value, 1)


def _axes(dials: Sequence[int], height: int) -> list[str]:
    parts = []
    for tenth in (0, 5, 10):
        y = _place(dials[0], tenth / 10, dials, height)[1]
        parts.append(
            f'<path d="M56 {y}H322" stroke="#d9dee3"/><text x="48" y="{y + 4}" text-anchor="end">{tenth / 10:g}</text>'
        )
    for dial in dials:
        x = _place(dial, 0, dials, height)[0]
        parts.append(f'<text x="{x}" y="{height - 18}" text-anchor="middle">{dial}</text>')
    parts.append(f'<text x="48" y="{height - 18}" text-anchor="end">dial</text>')
    return parts


def _curve(rows: Sequence[Row], key: tuple[str, str], dials: Sequence[int], height: int) -> list[str]:
    """The mean over seeds as a line, each seed as a dot."""
    told = [row for row in rows if (row["finder"], row["scores"]) == key and row["archetype"] == "all"]
    means = {dial: _mean((row for row in told if row["dial"] == dial), "ring_recall") for dial in dials}
    places = [_place(dial, value, dials, height) for dial, value in means.items() if value is not None]
    if not places:
        return []
    path = "L".join(f"{x} {y}" for x, y in places)
    dots = [_place(row["dial"], row["ring_recall"], dials, height) for row in told if row["dial"] in dials]
    x, y = places[-1]
    colour, name, below = PLOTTED[key]
    words = [f'<text x="{x + 10}" y="{round(y + below, 1)}" fill="{colour}">{name}</text>']
    spots = [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in dots]
    return [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *spots, *words]


def _box(x: int, y: int, value: float | None) -> list[str]:
    if value is None:
        return [f'<text x="{x + 21}" y="{y + 18}" text-anchor="middle">–</text>']
    ink = "#ffffff" if value > 0.6 else "#1f2933"
    return [
        f'<rect x="{x}" y="{y}" width="42" height="25" rx="3" fill="#2f7d5b" fill-opacity="{max(value, 0.05):.2f}"/>',
        f'<text x="{x + 21}" y="{y + 17}" text-anchor="middle" fill="{ink}">{_number(value)}</text>',
    ]


if __name__ == "__main__":
    picture = draw(read_rows(RESULTS / "rings.json"))
    (ROOT / "docs" / "images" / "ring_recall.svg").write_text(picture, encoding="utf-8")
