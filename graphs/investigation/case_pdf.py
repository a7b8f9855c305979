"""The case file as PDF: evidence, members and verdicts, the figures as on the screen, notes, the draft, score last.

Its fonts know Western European letters; any other stands in it as its code point (U+0416), so that no id is ever
silently something else.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, KeepTogether, PageTemplate, Paragraph, Spacer, Table

from graphs.investigation.answers import CaseSheet, Narrative, RingPayment, RingSheet
from graphs.investigation.drawing import Box, Disc, Drawing, Group, Line, Mark, Polygon, Text
from graphs.investigation.figures import LEAD_TIME, draw_lanes, draw_money, draw_ring
from graphs.investigation.narrative import narrate
from graphs.investigation.queries_cases import case_sheet
from graphs.investigation.queries_graph import timeline
from graphs.investigation.queries_rings import ring_money, ring_sheet
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor

MOST_PAYMENTS = 60
"""Payments printed; the CSV has all."""

TONES = {
    "ink": "#16202b", "axis": "#536471", "label": "#3b4956", "grid": "#e3e8ed", "paper": "#ffffff", "on": "#ffffff",
    "member": "#b4332a", "organiser": "#7d1610", "victim": "#23714f", "around": "#6b7885", "device": "#2661a6",
    "card": "#63409f", "merchant": "#8a5a00", "thing": "#4b5a67", "link": "#a3adb8", "flow": "#b4332a",
    "money": "#2f6ea5", "event": "#2f6ea5", "fraud": "#b4332a",
}  # fmt: skip
"""The colours of a drawing's marks on paper."""

_WIDTH = A4[0] - 36 * mm
_BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=8.6, leading=11.6, textColor=HexColor(TONES["ink"]))
_SOFT = ParagraphStyle("soft", _BODY, textColor=HexColor(TONES["axis"]))
_CELL = ParagraphStyle("cell", _BODY, fontSize=7.8, leading=10)
_NUMBER = ParagraphStyle("number", _CELL, alignment=TA_RIGHT)
_HEAD = ParagraphStyle("head", _CELL, fontName="Helvetica-Bold", textColor=HexColor(TONES["axis"]))
_HEAD_NUMBER = ParagraphStyle("head-number", _HEAD, alignment=TA_RIGHT)
_TITLE = ParagraphStyle("title", _BODY, fontName="Helvetica-Bold", fontSize=17, leading=22)
_SECTION = ParagraphStyle("section", _BODY, fontName="Helvetica-Bold", fontSize=11, leading=15, spaceBefore=12)
_QUESTION = ParagraphStyle("question", _BODY, fontName="Helvetica-Bold", spaceBefore=5)


def case_pdf(workspace: Workspace, actor: Actor, name: str) -> bytes:
    """The file of one case, or of the newest one of a ring, masked for who exports it. Raises NotFoundError."""
    actor.must("export")
    case = case_sheet(workspace, actor, name)
    sheet = ring_sheet(workspace, actor, case.ring.ring_id)
    payments = ring_money(workspace, actor, sheet.ring.ring_id, limit=500)
    lanes = None
    if workspace.graph_folder is not None:
        begin = sheet.ring.first_event_time
        since = None if begin is None else begin - LEAD_TIME
        events = timeline(workspace, actor, sheet.ring.ring_id, since=since, limit=500).rows
        members = [one for one in sheet.members if one.part == "member"]
        lanes = draw_lanes(events, members, {one.event_id for one in payments.rows})
    story = [
        *_opening(case),
        *_reasons(sheet),
        *_members(case, sheet),
        *_money(sheet, lanes),
        *_graph(sheet, workspace.person_type),
        *_payments(payments.rows, payments.total),
        *_notes(case),
        *_draft(narrate(case, sheet, workspace.person_type)),
        *_score(sheet),
    ]
    workspace.store.saw(actor, "export", f"case:{case.case.case_id}", {"format": "pdf"})
    return _bound(story, case, actor)


def _opening(case: CaseSheet) -> list[Flowable]:
    held, ring = case.case, case.ring
    facts = [
        ("Ring", f"{ring.ring_id}, {ring.kind.replace('_', ' ')}, as found on {_clock(ring.as_of)}"),
        ("Status", held.status.replace("_", " ") + (f", waiting for {held.waiting_for}" if held.waiting_for else "")),
        ("Owner", held.owner or "nobody"),
        ("Opened", f"{_clock(held.opened_at)}, {held.opened_because}"),
    ]
    if held.outcome:
        word = "Outcome" if held.status == "closed" else "Asked to close as"
        facts.append((word, f"{held.outcome.replace('_', ' ')}: {held.outcome_reason}"))
    if held.closed_at is not None:
        facts.append(("Closed", f"{_clock(held.closed_at)} by {held.closed_by}, evidence {(held.evidence or '')[:16]}"))
    rows = [[_p(name, _HEAD), _p(value, _CELL)] for name, value in facts]
    return [
        _p(f"Case {held.case_id}", _TITLE),
        _p(ring.headline, _BODY),
        Spacer(1, 6),
        Table(rows, colWidths=[32 * mm, _WIDTH - 32 * mm], style=_PLAIN, hAlign="LEFT", splitInRow=1),
    ]


def _reasons(sheet: RingSheet) -> list[Flowable]:
    lines = [line for line in sheet.evidence if line.kind not in ("score", "exculpatory")]
    rows = [
        (
            str(number),
            line.text[:1].upper() + line.text[1:],
            "" if line.others is None else f"{line.others:,}",
            _day(line.since),
        )
        for number, line in enumerate(lines, start=1)
    ]
    found = [_p("Why they are taken together", _SECTION)]
    found += [_table(("#", "What was seen", "Others", "Since"), rows, (8, None, 16, 24), numbers=(0, 2, 3))]
    doubts = [line.text for line in sheet.evidence if line.kind == "exculpatory"]
    if doubts:
        found.append(_p("What speaks for innocence", _QUESTION))
        found += [_p(f"- {text}", _BODY) for text in doubts]
    return found


def _members(case: CaseSheet, sheet: RingSheet) -> list[Flowable]:
    why = {(entity.type, entity.key): given for entity, given in case.verdicts if given.latest}
    rows = []
    for one in sheet.members:
        given = why.get((one.entity.type, one.entity.key))
        role = "" if one.role in ("identifier", "unknown") else one.role
        verdict = "" if given is None else f"{given.verdict}: {given.reason}"
        amounts = f"{one.payments:,}", f"{one.value:,.2f}"
        rows.append((f"{one.entity.type} {one.entity.text}", one.part, role, verdict, *amounts))
    head = ("Entity", "Part", "Role", "Verdict and why", "Payments", "Amount")
    return [_p("Who is in it", _SECTION), _table(head, rows, (40, 20, 20, None, 18, 22), numbers=(4, 5))]


def _money(sheet: RingSheet, lanes: Drawing | None) -> list[Flowable]:
    found: list[Flowable] = [_figure("Money and time", draw_money(sheet.days))]
    return found if lanes is None else [*found, _figure("Who did what when", lanes)]


def _graph(sheet: RingSheet, person_type: str) -> list[Flowable]:
    picture = draw_ring(sheet.members, sheet.links, person_type=person_type)
    found = [_figure("How they hang together", picture.drawing)]
    if picture.badges:
        named = ", ".join(f"{one.entity.type} {one.entity.text}" for one in picture.badges)
        found.append(_p(f"Shared by members, but by too many others to tie them: {named}.", _SOFT))
    return found


def _payments(payments: Sequence[RingPayment], total: int) -> list[Flowable]:
    if not payments:
        return []
    rows = [
        (_clock(one.event_time), one.event_type, one.event_id, "" if one.amount is None else f"{one.amount:,.2f}")
        for one in payments[:MOST_PAYMENTS]
    ]
    found = [_p("Payments inside the ring", _SECTION)]
    found.append(_table(("Time (UTC)", "Kind", "Key", "Amount"), rows, (34, 24, None, 28), numbers=(3,)))
    if total > len(rows):
        found.append(_p(f"The newest {len(rows):,} of {total:,}; the CSV export has all.", _SOFT))
    return found


def _notes(case: CaseSheet) -> list[Flowable]:
    found = [_p("Notes", _SECTION)] if case.notes else []
    for note in case.notes:
        found += [_p(note.text, _BODY), _p(f"{note.written_by}, {_clock(note.written_at)}", _SOFT)]
    return found


def _draft(narrative: Narrative) -> list[Flowable]:
    found = [_p("Draft of a report", _SECTION)]
    for part in narrative.parts:
        found.append(_p(part.question, _QUESTION))
        found += [_p(f"- {fact}", _BODY) for fact in part.facts]
    return found


def _score(sheet: RingSheet) -> list[Flowable]:
    ring = sheet.ring
    text = (
        f"Probability of being a ring {ring.p_ring:.1%}, preventable value {ring.preventable_value:,.2f}, score "
        f"{ring.score:,.2f}, place {ring.rank}. The score orders the queue; it is no evidence."
    )
    told = [_p(line.text, _BODY) for line in sheet.evidence if line.kind == "score"]
    return [KeepTogether([_p("Score", _SECTION), _p(text, _BODY), *told])]


# --------------------------------------------------------------------------------------------- paper and ink


_PLAIN = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 6),
    ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]  # fmt: skip
_RULED = [
    *_PLAIN, ("LINEBELOW", (0, 0), (-1, 0), 0.7, HexColor("#9aa5b1")),
    ("LINEBELOW", (0, 1), (-1, -1), 0.35, HexColor(TONES["grid"])),
]  # fmt: skip


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[float | None], numbers: Sequence[int]
) -> Flowable:
    """Rows under a head that comes again on each page; `widths` in mm, None takes what is left."""
    left = _WIDTH - sum(width * mm for width in widths if width is not None)
    columns = [left if width is None else width * mm for width in widths]
    cells = [[_p(text, _HEAD_NUMBER if place in numbers else _HEAD) for place, text in enumerate(head)]]
    for row in rows:
        cells.append([_p(text, _NUMBER if place in numbers else _CELL) for place, text in enumerate(row)])
    # A reason may be longer than a page.
    return Table(cells, colWidths=columns, repeatRows=1, style=_RULED, hAlign="LEFT", splitInRow=1)


def _figure(heading: str, drawing: Drawing) -> Flowable:
    return KeepTogether([_p(heading, _SECTION), _Picture(drawing), _p(drawing.text, _SOFT)])


def _p(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(printable(text)).replace("\n", "<br/>"), style)


def printable(text: str) -> str:
    """`text` in letters that the fonts of the file have; any other as its code point.

    >>> printable("Ж1 → €")
    'U+04161 U+2192 €'
    """
    # Line separators end a line like any line break; control characters would end the file.
    plain = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\u2212", "-")
    return "".join(letter if _has(letter) else f"U+{ord(letter):04X}" for letter in plain)


def _has(letter: str) -> bool:
    if letter == "\n":
        return True
    try:
        return letter.encode("cp1252") is not None and not unicodedata.category(letter).startswith("C")
    except UnicodeEncodeError:
        return False


class _Picture(Flowable):
    """A drawing across the page."""

    def __init__(self, drawing: Drawing) -> None:
        super().__init__()
        self.drawing = drawing
        self.scale = _WIDTH / drawing.width
        self.width, self.height = _WIDTH, drawing.height * self.scale

    def draw(self) -> None:
        canvas: Canvas = self.canv
        canvas.saveState()
        canvas.scale(self.scale, self.scale)
        for mark in self.drawing.marks:
            _ink(canvas, mark, self.drawing.height)
        canvas.restoreState()


def _ink(canvas: Canvas, mark: Mark, height: float) -> None:
    """One mark; paper counts upwards, drawings downwards."""
    if isinstance(mark, Group):
        for inner in mark.marks:
            _ink(canvas, inner, height)
        return
    colour = HexColor(TONES[mark.tone])
    canvas.setStrokeColor(colour)
    canvas.setFillColor(HexColor(TONES["paper"]) if getattr(mark, "hollow", False) else colour)
    canvas.setDash(*((4, 3) if getattr(mark, "dashed", False) else ()))
    canvas.setLineWidth(mark.width if isinstance(mark, Line) else 1.6)
    match mark:
        case Text(at=(x, y)):
            canvas.setFont("Helvetica-Bold" if mark.bold else "Helvetica", mark.size)
            write = {"start": canvas.drawString, "middle": canvas.drawCentredString, "end": canvas.drawRightString}
            write[mark.anchor](x, height - y, printable(mark.text))
        case Disc(centre=(x, y)):
            canvas.circle(x, height - y, mark.radius, stroke=1, fill=1)
        case Box(corner=(x, y)):
            top = height - y - mark.height
            canvas.roundRect(x, top, mark.width, mark.height, mark.radius, stroke=int(mark.hollow), fill=1)
        case Polygon():
            canvas.drawPath(_outline(canvas, mark.points, height), stroke=1, fill=1)
        case Line():
            _stroke(canvas, mark, height)


def _outline(canvas: Canvas, points: Sequence[tuple[float, float]], height: float) -> Any:
    path = canvas.beginPath()
    path.moveTo(points[0][0], height - points[0][1])
    for x, y in points[1:]:
        path.lineTo(x, height - y)
    path.close()
    return path


def _stroke(canvas: Canvas, line: Line, height: float) -> None:
    points = [(x, height - y) for x, y in line.points]
    path = canvas.beginPath()
    path.moveTo(*points[0])
    if line.bent:
        (x0, y0), (cx, cy), (x1, y1) = points
        # A quadratic curve as the cubic one that PDF has.
        path.curveTo(
            x0 + 2 / 3 * (cx - x0), y0 + 2 / 3 * (cy - y0), x1 + 2 / 3 * (cx - x1), y1 + 2 / 3 * (cy - y1), x1, y1
        )  # fmt: skip
    else:
        for point in points[1:]:
            path.lineTo(*point)
    canvas.drawPath(path, stroke=1, fill=0)
    if line.arrow:
        (bx, by), (x, y) = points[-2:]
        far = max(((x - bx) ** 2 + (y - by) ** 2) ** 0.5, 1e-6)
        dx, dy = (x - bx) / far * 8, (y - by) / far * 8
        head = ((x, y), (x - dx - dy / 2, y - dy + dx / 2), (x - dx + dy / 2, y - dy - dx / 2))
        canvas.setFillColor(HexColor(TONES[line.tone]))
        canvas.drawPath(_outline(canvas, [(px, height - py) for px, py in head], height), stroke=0, fill=1)


def _bound(story: Sequence[Flowable], case: CaseSheet, actor: Actor) -> bytes:
    """The pages, each with a foot that says what it is of, who exported it and when."""
    foot = f"Ringtrace, case {case.case.case_id}, exported by {actor.name} on {_clock(datetime.now(UTC))}"
    held = io.BytesIO()

    def on_page(canvas: Canvas, document: BaseDocTemplate) -> None:
        canvas.setFont("Helvetica", 7.5)
        canvas.setFillColor(HexColor(TONES["axis"]))
        canvas.drawString(18 * mm, 10 * mm, printable(foot))
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"page {document.page}")

    document = BaseDocTemplate(
        held, pagesize=A4, title=f"Case {case.case.case_id}", author="Ringtrace", lang="en", leftMargin=18 * mm,
        rightMargin=18 * mm, topMargin=16 * mm, bottomMargin=18 * mm,
    )  # fmt: skip
    frame = Frame(18 * mm, 18 * mm, _WIDTH, A4[1] - 34 * mm, leftPadding=0, rightPadding=0, topPadding=0)
    document.addPageTemplates([PageTemplate(frames=[frame], onPage=on_page)])
    document.build(list(story))
    return held.getvalue()


def _clock(moment: datetime) -> str:
    return f"{moment:%d %b %Y %H:%M} UTC"


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%d %b %Y}"
