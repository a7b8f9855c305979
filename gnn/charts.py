"""Plots as inline SVG that take their colours from the page, so that one drawing serves light, dark and paper.

An SVG inside HTML obeys the page's stylesheet: lines carry a class, the page gives it a colour. Nothing here sets
a colour or a font, and nothing is interactive beyond the browser's own tooltips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 46


@dataclass(frozen=True)
class Axis:
    """One side of a plot from `low` to `high` (data units), with `ticks` as (value, text)."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def place(self, value: np.ndarray) -> np.ndarray:
        """Where values lie along the axis: 0 at low, 1 at high, held inside."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = np.log10(np.maximum(value, 1e-300)), math.log10(low), math.log10(high)
        return np.clip((value - low) / (high - low), 0.0, 1.0)


def percent_axis(label: str, high: float = 1.0) -> Axis:
    """An axis of shares from 0 to at least `high`, with round ticks in per cent."""
    step = _round_step(high / 4)
    count = max(1, math.ceil(high / step - 1e-9))
    digits = max(0, -math.floor(math.log10(step * 100) + 1e-9))
    return Axis(label, 0.0, count * step, [(i * step, f"{100 * i * step:.{digits}f} %") for i in range(count + 1)])


def number_axis(label: str, low: float, high: float) -> Axis:
    """A linear axis with round ticks that spans `low` to `high`."""
    step = _round_step((high - low) / 4 or 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    last = max(last, first + 1)
    ticks = [(i * step, f"{i * step:,.{digits}f}") for i in range(first, last + 1)]
    return Axis(label, first * step, last * step, ticks)


def log_axis(label: str, low: float, high: float) -> Axis:
    """A logarithmic axis from `low` to `high` with a tick per power of ten (1, 2, 5 of it on short ones)."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) < 2 else (1,)
    values = [step * 10.0**power for power in decades for step in steps]
    return Axis(label, low, high, [(value, f"{value:,.0f}") for value in values if low <= value <= high], log=True)


class Chart:
    """A plot under construction: axes first, then layers in the order they are added."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self.x, self.y = x, y
        self._layers: list[str] = []

    def line(self, points: np.ndarray, css: str) -> None:
        """A line through `points` (n, 2) in data units; NaN in either column breaks it."""
        pen, path = "M", []
        for (x, y), (px, py) in zip(points, self._at(points), strict=True):
            if math.isnan(x) or math.isnan(y):
                pen = "M"
                continue
            path.append(f"{pen}{px:.1f} {py:.1f}")
            pen = "L"
        if path:
            self._layers.append(f'<path class="line {css}" d="{"".join(path)}"/>')

    def dots(self, points: np.ndarray, css: str, titles: Sequence[str]) -> None:
        """A dot at each of `points` (n, 2) without NaN, with a tooltip each."""
        for (x, y), (px, py), title in zip(points, self._at(points), titles, strict=True):
            if not (math.isnan(x) or math.isnan(y)):
                self._layers.append(
                    f'<circle class="dot {css}" cx="{px:.1f}" cy="{py:.1f}" r="3.4">'
                    f"<title>{escape(title)}</title></circle>"
                )

    def whiskers(self, x: np.ndarray, low: np.ndarray, high: np.ndarray, css: str) -> None:
        """A vertical bar from low to high at each x."""
        ends = zip(self._at(np.column_stack([x, low])), self._at(np.column_stack([x, high])), strict=True)
        for (px, bottom), (_, top) in ends:
            self._layers.append(f'<path class="whisker {css}" d="M{px:.1f} {bottom:.1f}V{top:.1f}"/>')

    def bars(self, heights: np.ndarray, css: str, titles: Sequence[str]) -> None:
        """Bars behind the lines, one per whole x from 0, at most a fifth of the plot high, on a scale of their own."""
        most = max(float(np.max(heights, initial=0.0)), 1.0)
        wide = 0.6 * (WIDTH - LEFT - RIGHT) / max(self.x.high - self.x.low, 1.0)
        for place, (height, title) in enumerate(zip(heights, titles, strict=True)):
            px = self._at(np.array([[place, self.y.low]]))[0, 0]
            tall = 0.2 * (HEIGHT - TOP - BOTTOM) * float(height) / most
            self._layers.append(
                f'<rect class="bar {css}" x="{px - wide / 2:.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" '
                f'width="{wide:.1f}" height="{tall:.1f}"><title>{escape(title)}</title></rect>'
            )

    def rule(self, x: float, text: str, *, at: str = "bottom") -> None:
        """A vertical line at x with a note on its left (near the left edge: right), at the "top" or the "bottom"."""
        px = self._at(np.array([[x, self.y.low]]))[0, 0]
        anchor, shift = ("end", -6) if px > WIDTH * 0.3 else ("start", 6)
        py = TOP + 12 if at == "top" else HEIGHT - BOTTOM - 8
        self._layers.append(
            f'<path class="rule" d="M{px:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            f'<text class="note" x="{px + shift:.1f}" y="{py}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def svg(self, description: str) -> Markup:
        """The finished plot; `description` is what a screen reader says."""
        return Markup(
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(description)}">'
            f"{self._grid()}{''.join(self._layers)}</svg>"
        )

    def _at(self, points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return np.column_stack(
            [
                LEFT + self.x.place(points[:, 0]) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - self.y.place(points[:, 1]) * (HEIGHT - TOP - BOTTOM),
            ]
        )

    def _grid(self) -> str:
        parts = []
        for value, text in self.y.ticks:
            y = self._at(np.array([[self.x.low, value]]))[0, 1]
            css = "grid axis" if value == self.y.low else "grid"
            parts.append(f'<path class="{css}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
        for value, text in self.x.ticks:
            x = self._at(np.array([[value, self.y.low]]))[0, 0]
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(
            f'<text class="label" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(self.x.label)}</text>'
        )
        return "".join(parts)


def interval_bar(value: float, low: float, high: float, *, scale: tuple[float, float], css: str) -> Markup:
    """A difference with its interval on a line through zero; all rows of a table share `scale` (left, right)."""
    wide, tall = 150, 22
    axis = Axis("", *scale, ticks=())
    zero, left, right, dot = (axis.place(np.array([0.0, low, high, value])) * (wide - 12) + 6).tolist()
    return Markup(
        f'<svg class="interval" viewBox="0 0 {wide} {tall}" aria-hidden="true">'
        f'<path class="zero" d="M{zero:.1f} 1V{tall - 1}"/>'
        f'<path class="span {css}" d="M{left:.1f} {tall / 2}H{right:.1f}"/>'
        f'<circle class="dot {css}" cx="{dot:.1f}" cy="{tall / 2}" r="3.6"/></svg>'
    )


def _round_step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5 × 10ⁿ at or above `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * (1 - 1e-9))
