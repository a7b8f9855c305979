"""`Drawing`: a picture as a list of marks, so that the console's SVG and the PDF show the same one.

A mark has a tone ("member", "axis") and no colour: a stylesheet gives tones their colours, by light and by dark, and
the PDF has its own table of them. No mark carries a style, which a strict content security policy would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line over `points`; `bent`, the middle one of three is where a quadratic curve is pulled to."""

    points: tuple[Point, ...]
    tone: str
    width: float = 1.0
    dashed: bool = False
    arrow: bool = False
    bent: bool = False


@dataclass(frozen=True)
class Disc:
    """A circle."""

    centre: Point
    radius: float
    tone: str
    hollow: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle by its upper left corner, its corners rounded by `radius`."""

    corner: Point
    width: float
    height: float
    tone: str
    radius: float = 0.0
    hollow: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Polygon:
    """A closed outline."""

    points: tuple[Point, ...]
    tone: str
    hollow: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Text:
    """Words; `anchor` start, middle or end."""

    at: Point
    text: str
    tone: str
    size: float = 12.0
    anchor: str = "start"
    bold: bool = False


@dataclass(frozen=True)
class Group:
    """Marks that are one thing, named by `title`; `key` and `href` are for the screen."""

    marks: tuple[Mark, ...]
    title: str
    key: str = ""
    href: str = ""


Mark = Line | Disc | Box | Polygon | Text | Group


@dataclass(frozen=True)
class Drawing:
    """Marks on a sheet of `width` × `height`, y downwards; `title` says what it shows, `text` what can be seen."""

    width: float
    height: float
    title: str
    text: str
    marks: tuple[Mark, ...]


def svg(drawing: Drawing, name: str) -> Markup:
    """The drawing as inline SVG; `name` is unlike that of any other on the page. Groups with `href` become links that
    the Tab key passes by: the table beside a drawing is there for it. One without a title only decorates."""
    size = f'viewBox="0 0 {drawing.width:g} {drawing.height:g}"'
    inner = [*_arrow_head(drawing.marks, name), *_svg(drawing.marks, name), "</svg>"]
    if not drawing.title:
        return Markup("\n".join([f'<svg {size} aria-hidden="true">', *inner]))
    linked = any(isinstance(mark, Group) and mark.href for mark in drawing.marks)
    told = [
        f'<svg {size} role="{"group" if linked else "img"}" aria-labelledby="{escape(name)}-title" '
        f'aria-describedby="{escape(name)}-text">',
        f'<title id="{escape(name)}-title">{escape(drawing.title)}</title>',
        f'<desc id="{escape(name)}-text">{escape(drawing.text)}</desc>',
    ]
    return Markup("\n".join([*told, *inner]))


def _arrow_head(marks: Sequence[Mark], name: str) -> Iterator[str]:
    """What lines with an arrow end in, if there are any."""
    flat = [one for mark in marks for one in (mark.marks if isinstance(mark, Group) else (mark,))]
    if any(isinstance(mark, Line) and mark.arrow for mark in flat):
        yield (
            f'<defs><marker id="{escape(name)}-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto-start-reverse"><path class="tone-flow" d="M0 0 8 4 0 8z"/></marker></defs>'
        )


def _svg(marks: Sequence[Mark], name: str) -> Iterator[str]:
    for mark in marks:
        match mark:
            case Line():
                path = _path(mark)
                head = f' marker-end="url(#{escape(name)}-arrow)"' if mark.arrow else ""
                yield f'<path d="{path}" stroke-width="{mark.width:.1f}" {_classes("line", mark)}{head}/>'
            case Disc(centre=(x, y), radius=r):
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {_classes("shape", mark)}/>'
            case Box(corner=(x, y)):
                yield (
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{mark.width:.1f}" height="{mark.height:.1f}" '
                    f'rx="{mark.radius:.1f}" {_classes("shape", mark)}/>'
                )
            case Polygon():
                points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
                yield f'<polygon points="{points}" {_classes("shape", mark)}/>'
            case Text(at=(x, y)):
                weight = ' font-weight="600"' if mark.bold else ""
                yield (
                    f'<text x="{x:.1f}" y="{y:.1f}" font-size="{mark.size:g}" text-anchor="{mark.anchor}"{weight} '
                    f'class="ink-{mark.tone}">{escape(mark.text)}</text>'
                )
            case Group():
                key = f' data-key="{escape(mark.key)}"' if mark.key else ""
                inner = [f"<title>{escape(mark.title)}</title>", *_svg(mark.marks, name)]
                if mark.href:
                    link = f'<a href="{escape(mark.href)}" tabindex="-1"{key}>'
                    yield "".join([link, *inner, "</a>"])
                else:
                    yield "".join([f"<g{key}>", *inner, "</g>"])


def _path(line: Line) -> str:
    (x, y), *others = line.points
    if line.bent:
        (cx, cy), (ex, ey) = others
        return f"M{x:.1f} {y:.1f}Q{cx:.1f} {cy:.1f} {ex:.1f} {ey:.1f}"
    return f"M{x:.1f} {y:.1f}" + "".join(f"L{px:.1f} {py:.1f}" for px, py in others)


def _classes(kind: str, mark: Line | Disc | Box | Polygon) -> str:
    words = [kind, f"tone-{mark.tone}"]
    words += ["dashed"] if mark.dashed else []
    words += ["hollow"] if not isinstance(mark, Line) and mark.hollow else []
    return f'class="{" ".join(words)}"'
