"""A picture of a ring as SVG: accounts, devices, cards and merchants in shapes that read without colour.

Circles are accounts, phones devices, rectangles with a stripe cards, houses merchants, hexagons anything else; dashed
outlines are entities around the ring. Every shape says in text what it is, so a screen reader reads it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import escape

WIDTH, HEIGHT, _LEFT, _TOP, _BOTTOM = 1000, 640, 80, 104, 96
_INK, _PALE, _PAPER = "#1f2933", "#8592a0", "#ffffff"
_RED, _AMBER, _BLUE, _GREEN, _VIOLET, _GREY = "#c2372e", "#b7791f", "#2b6cb0", "#2f7d5b", "#6b46a8", "#a0aab4"


@dataclass(frozen=True)
class Shape:
    """One entity: its place in [0, 1] × [0, 1]; `part` and `role` as in members.parquet; `score` None if unknown."""

    entity_type: str
    entity_id: str
    part: str
    role: str
    score: float | None
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """A link between two shapes by their positions; `directed` where money went from the first to the second."""

    source: int
    target: int
    events: int
    directed: bool


def draw(title: str, subtitle: str, shapes: Sequence[Shape], lines: Sequence[Line]) -> str:
    """The SVG document, 1000 × 640; same input, same text."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="Inter, Helvetica, Arial, sans-serif" fill="{_INK}">',
        f"<title>{escape(title)}</title><desc>{escape(subtitle)}</desc>",
        f'<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="{_RED}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="{_PAPER}"/>',
        f'<text x="32" y="44" font-size="22" font-weight="700">{escape(title)}</text>',
        *_wrapped(subtitle),
    ]
    parts += [text for line in lines for text in _line(line, shapes)]
    for shape in shapes:
        parts += _shape(shape, size=_size(len(shapes)), named=len(shapes) <= 44)
    parts += _legend(shapes, directed=any(line.directed for line in lines))
    return "\n".join([*parts, "</svg>\n"])


def _wrapped(text: str, *, at: int = 124) -> Iterator[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= at and len(lines) < 2:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    for row, line in enumerate(lines):
        shown = line if len(line) <= at + 12 else f"{line[: at + 10]} …"
        yield f'<text x="32" y="{68 + 19 * row}" font-size="14" fill="#52606d">{escape(shown)}</text>'


def _at(shape: Shape) -> tuple[float, float]:
    return (
        _LEFT + shape.x * (WIDTH - 2 * _LEFT),
        _TOP + 24 + shape.y * (HEIGHT - _TOP - _BOTTOM - 36),
    )


def _size(shapes: int) -> float:
    return max(8.0, min(17.0, 17 - 0.16 * (shapes - 16)))


def _line(line: Line, shapes: Sequence[Shape]) -> Iterator[str]:
    (x1, y1), (x2, y2) = _at(shapes[line.source]), _at(shapes[line.target])
    width = min(5.0, 1.1 + 0.8 * math.log2(max(line.events, 1)))
    around = "peripheral" in (shapes[line.source].part, shapes[line.target].part)
    dash = ' stroke-dasharray="3 4"' if around else ""
    if not line.directed:
        yield (
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_GREY}" '
            f'stroke-width="{width:.1f}" stroke-opacity=".75"{dash}/>'
        )
        return
    # A money line ends at the rim of its target and bends a little, so that there and back are two lines.
    length = max(math.hypot(x2 - x1, y2 - y1), 1e-6)
    rim = _size(len(shapes)) + 5
    x2, y2 = x2 - (x2 - x1) / length * rim, y2 - (y2 - y1) / length * rim
    bend = min(28.0, length / 7)
    cx, cy = (x1 + x2) / 2 - (y2 - y1) / length * bend, (y1 + y2) / 2 + (x2 - x1) / length * bend
    yield (
        f'<path d="M{x1:.1f} {y1:.1f}Q{cx:.1f} {cy:.1f} {x2:.1f} {y2:.1f}" fill="none" stroke="{_RED}" '
        f'stroke-width="{min(width, 2.6):.1f}" stroke-opacity=".85"{dash} marker-end="url(#arrow)"/>'
    )


def _shape(shape: Shape, *, size: float, named: bool) -> Iterator[str]:
    x, y = _at(shape)
    colour = _colour(shape)
    dashed = ' stroke-dasharray="4 3"' if shape.part == "peripheral" else ""
    fill = _PAPER if shape.part == "peripheral" or shape.role == "victim" else colour
    score = "" if shape.score is None else f", score {shape.score:.2f}"
    role = "" if shape.role in ("identifier", "unknown") else f", {shape.role}"
    yield f"<g><title>{escape(f'{shape.entity_type} {shape.entity_id}{role}{score}')}</title>"
    style = f'fill="{fill}" stroke="{colour}" stroke-width="2.2"{dashed}'
    yield _outline(shape.entity_type, shape.part, x, y, size, style)
    if shape.part == "member":
        letter = {"victim": "V", "organiser": "O", "mule": "M", "insider": "I"}.get(shape.role, "")
        ink = colour if shape.role == "victim" else _PAPER
        yield (
            f'<text x="{x:.1f}" y="{y + size * 0.36:.1f}" font-size="{size:.0f}" font-weight="700" '
            f'text-anchor="middle" fill="{ink}">{letter}</text>'
        )
    elif shape.role == "victim":
        yield (
            f'<text x="{x:.1f}" y="{y + size * 0.36:.1f}" font-size="{size:.0f}" font-weight="700" '
            f'text-anchor="middle" fill="{colour}">V</text>'
        )
    if named:
        yield (
            f'<text x="{x:.1f}" y="{y + size + 13:.1f}" font-size="10.5" text-anchor="middle" fill="#52606d" '
            f'stroke="{_PAPER}" stroke-width="3" paint-order="stroke">{escape(_short(shape.entity_id))}</text>'
        )
    yield "</g>"


def _outline(kind: str, part: str, x: float, y: float, size: float, style: str) -> str:
    s = size
    if part == "member" or kind in ("user", "account", "customer"):
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}" {style}/>'
    if kind == "device":
        return (
            f'<rect x="{x - 0.58 * s:.1f}" y="{y - s:.1f}" width="{1.16 * s:.1f}" height="{2 * s:.1f}" '
            f'rx="{0.25 * s:.1f}" {style}/>'
            f'<circle cx="{x:.1f}" cy="{y + 0.68 * s:.1f}" r="{0.14 * s:.1f}" fill="{_PAPER}" stroke="none"/>'
        )
    if kind == "card":
        return (
            f'<rect x="{x - 1.1 * s:.1f}" y="{y - 0.72 * s:.1f}" width="{2.2 * s:.1f}" height="{1.44 * s:.1f}" '
            f'rx="{0.2 * s:.1f}" {style}/>'
            f'<rect x="{x - 1.1 * s:.1f}" y="{y - 0.42 * s:.1f}" width="{2.2 * s:.1f}" height="{0.34 * s:.1f}" '
            f'fill="{_PAPER}" fill-opacity=".85"/>'
        )
    if kind == "merchant":
        points = [(-1.0, 1.0), (-1.0, -0.15), (0.0, -1.05), (1.0, -0.15), (1.0, 1.0)]
    else:
        points = [(math.cos(turn), math.sin(turn)) for turn in (math.pi / 3 * k for k in range(6))]
    path = " ".join(f"{x + s * dx:.1f},{y + s * dy:.1f}" for dx, dy in points)
    return f'<polygon points="{path}" stroke-linejoin="round" {style}/>'


def _colour(shape: Shape) -> str:
    if shape.role == "victim":
        return _GREEN
    if shape.part == "peripheral":
        return _PALE
    if shape.part == "member":
        return _RED if shape.role == "organiser" or shape.score is None or shape.score >= 0.5 else "#dd7a4a"
    return {"device": _BLUE, "card": _VIOLET, "merchant": _AMBER}.get(shape.entity_type, "#5a6772")


def _legend(shapes: Sequence[Shape], *, directed: bool) -> Iterator[str]:
    """Only what the picture has."""
    entries: dict[str, Shape] = {}
    for shape in shapes:
        name = shape.entity_type if shape.part == "identifier" else f"{shape.part} {shape.entity_type}"
        if shape.role == "victim":
            name = "victim (V)"
        elif shape.role in ("organiser", "mule"):
            name = f"{shape.role} ({shape.role[0].upper()})"
        elif shape.part == "member":
            name = f"suspected {shape.entity_type}"
        elif shape.part == "peripheral":
            name = "shared, too common to count"
        entries.setdefault(name, shape)
    x = 40.0
    y = HEIGHT - 28
    yield f'<line x1="32" x2="{WIDTH - 32}" y1="{y - 26}" y2="{y - 26}" stroke="#e4e7eb"/>'
    for name, shape in entries.items():
        colour = _colour(shape)
        hollow = shape.part == "peripheral" or shape.role == "victim"
        dashed = ' stroke-dasharray="3 2"' if shape.part == "peripheral" else ""
        style = f'fill="{_PAPER if hollow else colour}" stroke="{colour}" stroke-width="1.8"{dashed}'
        yield _outline(shape.entity_type, shape.part, x + 4, y - 4, 8, style)
        yield f'<text x="{x + 20}" y="{y}" font-size="12.5">{escape(name)}</text>'
        x += 38 + 7.0 * len(name)
    if directed:
        yield (
            f'<line x1="{x}" y1="{y - 4}" x2="{x + 26}" y2="{y - 4}" stroke="{_RED}" stroke-width="1.8" '
            f'marker-end="url(#arrow)"/><text x="{x + 34}" y="{y}" font-size="12.5">money sent</text>'
        )


def _short(name: str) -> str:
    return name if len(name) <= 11 else f"{name[:9]}…"
