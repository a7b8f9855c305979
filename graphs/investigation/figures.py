"""The figures of a ring: its picture as laid out by the finder, its money by day, and who did what when."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from graphs.investigation.answers import Day, Link, Member, TimelineEvent
from graphs.investigation.drawing import Box, Disc, Drawing, Group, Line, Mark, Point, Polygon, Text
from graphs.investigation.masking import Entity
from graphs.investigation.moments import long_day

MOST_NODES = 300
"""A picture shows no more unless it is asked to; the table has them all."""
HARD_CAP = 1000
"""A picture never shows more."""
MOST_LANES = 30
LEAD_TIME = timedelta(days=30)
"""Lanes begin so long before the ring's first event: what members did long before would squeeze the rest."""

_LETTERS = {"organiser": "O", "mule": "M", "victim": "V", "insider": "I"}
_WIDTH, _HEIGHT, _SIDE, _TOP, _BOTTOM = 960.0, 560.0, 64.0, 40.0, 48.0


@dataclass(frozen=True)
class RingPicture:
    """`drawing` of the members shown; `badges` are identifiers too common to be drawn as ties, `left_out` how many
    members and identifiers found no room."""

    drawing: Drawing
    badges: tuple[Member, ...]
    left_out: int


def draw_ring(
    members: Sequence[Member],
    links: Sequence[Link],
    *,
    person_type: str,
    href: Callable[[Entity], str] = lambda entity: "",
    hubs: bool = False,
    most: int = MOST_NODES,
) -> RingPicture:
    """A ring where the finder laid it out. `hubs` draws identifiers over the cap as nodes instead of badges."""
    over_cap = [one for one in members if one.part == "peripheral" and one.entity.type != person_type]
    badges = () if hubs else tuple(over_cap)
    able = [one for one in members if one not in badges and one.x is not None and one.y is not None]
    shown = able[: min(most, HARD_CAP)]
    place = {_key(one.entity): _place(one) for one in shown}
    size = max(6.0, min(15.0, 15 - 0.12 * (len(shown) - 16)))
    ties: list[Mark] = []
    for link in links:
        ends = _key(link.source), _key(link.target)
        if ends[0] in place and ends[1] in place:
            directed = link.source.type == link.target.type == person_type
            ties.append(_tie(link, place[ends[0]], place[ends[1]], size, directed=directed))
    nodes = [_node(one, place[_key(one.entity)], size, person_type, href, named=len(shown) <= 60) for one in shown]
    kinds = _counted([one.entity.type for one in shown])
    drawing = Drawing(
        _WIDTH,
        _HEIGHT,
        "Who is joined to whom, and by what",
        f"{kinds}; {len(ties)} ties. The table of members and that of ties say the same.",
        (*ties, *nodes),
    )
    return RingPicture(drawing, badges, len(members) - len(badges) - len(shown))


def legend(members: Sequence[Member], person_type: str) -> tuple[tuple[str, Drawing], ...]:
    """The shapes that a picture of `members` has: (words, a drawing of 28 × 28)."""
    found: dict[str, Member] = {}
    for one in members:
        found.setdefault(_words(one, person_type), one)
    return tuple(
        (words, Drawing(28, 28, "", "", tuple(_outline(one, (14, 14), 9, person_type)))) for words, one in found.items()
    )


def _words(one: Member, person_type: str) -> str:
    if one.role in _LETTERS:
        return f"{one.role} ({_LETTERS[one.role]})"
    if one.part == "peripheral":
        return f"{one.entity.type}, shared too widely to tie"
    return f"suspected {one.entity.type}" if one.entity.type == person_type else one.entity.type


def _key(entity: Entity) -> str:
    return f"{entity.type}:{entity.key}"


def _place(one: Member) -> Point:
    assert one.x is not None and one.y is not None
    return _SIDE + one.x * (_WIDTH - 2 * _SIDE), _TOP + one.y * (_HEIGHT - _TOP - _BOTTOM)


def _tie(link: Link, start: Point, end: Point, size: float, *, directed: bool) -> Mark:
    width = min(4.5, 1.0 + 0.7 * math.log2(max(link.events, 1)))
    times = f"{link.events:,} {link.kind}{'' if link.events == 1 else 's'}"
    title = f"{link.source.text} {'to' if directed else 'and'} {link.target.text}: {times}"
    if not directed:
        return Group((Line((start, end), "link", width),), title)
    # A money line ends at the rim of its target and bends a little, so that there and back are two lines.
    (x1, y1), (x2, y2) = start, end
    length = max(math.hypot(x2 - x1, y2 - y1), 1e-6)
    x2, y2 = x2 - (x2 - x1) / length * (size + 5), y2 - (y2 - y1) / length * (size + 5)
    bend = min(28.0, length / 7)
    pull = (x1 + x2) / 2 - (y2 - y1) / length * bend, (y1 + y2) / 2 + (x2 - x1) / length * bend
    return Group((Line((start, pull, (x2, y2)), "flow", min(width, 2.4), arrow=True, bent=True),), title)


def _node(
    one: Member, at: Point, size: float, person_type: str, href: Callable[[Entity], str], *, named: bool
) -> Group:
    marks = list(_outline(one, at, size, person_type))
    if named:
        text = one.entity.text if len(one.entity.text) <= 12 else f"{one.entity.text[:10]}…"
        marks.append(Text((at[0], at[1] + size + 12), text, "label", 10.5, "middle"))
    role = "" if one.role in ("identifier", "member", "unknown") else f", {one.role}"
    verdict = "" if one.verdict is None else f", judged {one.verdict}"
    return Group(
        tuple(marks), f"{one.entity.type} {one.entity.text}{role}{verdict}", _key(one.entity), href(one.entity)
    )


def _outline(one: Member, at: Point, size: float, person_type: str) -> Iterator[Mark]:
    """The shape says the type, the letter in it the role, an empty one that it stands beside the ring."""
    x, y = at
    kind, victim = one.entity.type, one.role == "victim"
    person = kind == person_type
    tone = "victim" if victim else "around" if one.part == "peripheral" else _tone(one, person_type)
    hollow, dashed = victim or one.part == "peripheral", one.part == "peripheral"
    letter = _LETTERS.get(one.role, "") if person else ""
    if person:
        yield Disc(at, size, tone, hollow, dashed)
    elif kind == "device":
        yield Box((x - 0.6 * size, y - size), 1.2 * size, 2 * size, tone, 0.25 * size, hollow, dashed)
        yield Disc((x, y + 0.66 * size), 0.14 * size, "paper")
    elif kind == "card":
        yield Box((x - 1.1 * size, y - 0.72 * size), 2.2 * size, 1.44 * size, tone, 0.2 * size, hollow, dashed)
        yield Box((x - 1.1 * size, y - 0.4 * size), 2.2 * size, 0.34 * size, "paper")
    elif kind == "merchant":
        house = ((-1.0, 0.9), (-1.0, -0.2), (0.0, -1.0), (1.0, -0.2), (1.0, 0.9))
        yield Polygon(tuple((x + size * dx, y + size * dy) for dx, dy in house), tone, hollow, dashed)
    else:
        turns = [math.pi / 3 * k for k in range(6)]
        yield Polygon(
            tuple((x + size * math.cos(turn), y + size * math.sin(turn)) for turn in turns), tone, hollow, dashed
        )
        letter = kind[:1].upper()
    if letter:
        yield Text((x, y + size * 0.36), letter, tone if hollow else "on", round(size * 1.0, 1), "middle", bold=True)


def _tone(one: Member, person_type: str) -> str:
    if one.entity.type == person_type:
        return "organiser" if one.role == "organiser" else "member"
    return one.entity.type if one.entity.type in ("device", "card", "merchant") else "thing"


# --------------------------------------------------------------------------------------------------- over time


def draw_money(days: Sequence[Day]) -> Drawing:
    """Money inside a ring by day (UTC), by week where it lived longer than 120 days."""
    width, height, left, right, top, bottom = 960.0, 230.0, 64.0, 12.0, 26.0, 42.0
    if not days:
        return _nothing(width, "Money inside the ring", "No payments are known inside this ring.")
    step = timedelta(days=1 if (days[-1].day - days[0].day).days <= 120 else 7)
    first = days[0].day if step.days == 1 else days[0].day - timedelta(days=days[0].day.weekday())
    count = (days[-1].day - first) // step + 1
    value, payments = [0.0] * count, [0] * count
    for day in days:
        place = (day.day - first) // step
        value[place] += abs(day.value)
        payments[place] += day.payments
    highest = max(max(value), 1e-9)
    ticks = nice_ticks(highest)
    up = (height - top - bottom) / ticks[-1]
    across = (width - left - right) / count
    floor = height - bottom
    unit = "day" if step.days == 1 else "week"
    marks: list[Mark] = [Text((0, 12), f"Amount per {unit}", "axis", 11.5)]
    for tick in ticks:
        y = floor - tick * up
        marks += [
            Line(((left, y), (width - right, y)), "grid"),
            Text((left - 8, y + 4), short(tick), "axis", 11, "end"),
        ]
    for place, amount in enumerate(value):
        if payments[place]:
            day_text = f"{first + place * step:%d %b %Y}"
            title = f"{day_text}: {amount:,.2f} in {payments[place]:,} payment{'s' if payments[place] > 1 else ''}"
            tall = max(amount * up, 1.0)
            gap = min(across * 0.18, 3.0)
            bar = Box((left + place * across + gap / 2, floor - tall), across - gap, tall, "money", min(1.5, gap))
            marks.append(Group((bar,), title))
    marks += _time_axis(first, first + count * step, left, width - right, floor)
    busiest = first + value.index(max(value)) * step
    text = (
        f"{sum(payments):,} payments over {sum(value):,.2f} from {long_day(days[0].day)} to {long_day(days[-1].day)}; "
        f"most, {max(value):,.2f}, in the {unit} of {long_day(busiest)}."
    )
    return Drawing(width, height, f"Money inside the ring by {unit}", text, tuple(marks))


def draw_lanes(events: Sequence[TimelineEvent], lanes: Sequence[Member], inside: Collection[str] = ()) -> Drawing:
    """A lane for each of `lanes` (at most MOST_LANES) with its events; those whose ids are `inside` the ring are full.

    A circle is a payment, a triangle money sent or received, a bar anything else; a cross on it is known fraud.
    """
    lanes = lanes[:MOST_LANES]
    width, left, right, top, row = 960.0, 150.0, 12.0, 10.0, 22.0
    floor = top + row * len(lanes)
    place = {_key(one.entity): top + row * (number + 0.5) for number, one in enumerate(lanes)}
    dots = [
        (event, role, place[_key(entity)])
        for event in reversed(events)
        for role, entity in event.parties
        if _key(entity) in place
    ]
    if not dots:
        return _nothing(width, "Who did what when", "No events are known of these.")
    first = min(event.event_time for event, _, _ in dots)
    last = max(event.event_time for event, _, _ in dots)
    first = first.replace(hour=0, minute=0, second=0, microsecond=0)
    last = last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    marks: list[Mark] = []
    for number, one in enumerate(lanes):
        y = top + row * (number + 0.5)
        role = f"{_LETTERS[one.role]}  " if one.role in _LETTERS else ""
        name = one.entity.text if len(one.entity.text) <= 18 else f"{one.entity.text[:16]}…"
        marks += [
            Line(((left, y), (width - right, y)), "grid"),
            Text((left - 10, y + 4), f"{role}{name}", "label", 11.5, "end"),
        ]
    span = (last - first) / timedelta(seconds=1)
    for event, role, y in dots:
        x = left + (event.event_time - first) / timedelta(seconds=1) / span * (width - right - left)
        marks.append(_dot(event, role, (x, y), full=event.event_id in inside))
    marks += _time_axis(first, last, left, width - right, floor)
    frauds = sum(event.label == "fraud" for event in events)
    text = (
        f"{len(events):,} event{'s' * (len(events) > 1)} from {long_day(first)} to {long_day(last)}; "
        f"{frauds} known to be fraud."
    )
    return Drawing(width, floor + 42, "Who did what when", text, tuple(marks))


def _dot(event: TimelineEvent, role: str, at: Point, *, full: bool) -> Group:
    x, y = at
    fraud = event.label == "fraud"
    tone = "fraud" if fraud else "event"
    marks: list[Mark] = []
    if event.event_type == "transfer":
        points = (
            [(-4.6, -3.8), (4.6, -3.8), (0.0, 4.6)] if role == "receiver" else [(-4.6, 3.8), (4.6, 3.8), (0.0, -4.6)]
        )
        marks.append(Polygon(tuple((x + dx, y + dy) for dx, dy in points), tone, hollow=not full))
    elif event.amount is not None:
        marks.append(Disc(at, 4.2, tone, hollow=not full))
    else:
        marks.append(Box((x - 1.2, y - 4), 2.4, 8, tone, hollow=not full))
    if fraud:
        marks += [
            Line(((x - 6, y - 6), (x + 6, y + 6)), "fraud", 1.3),
            Line(((x - 6, y + 6), (x + 6, y - 6)), "fraud", 1.3),
        ]
    amount = "" if event.amount is None else f", {event.amount:,.2f}"
    known = "" if event.label is None else f", {event.label}"
    title = f"{event.event_time:%d %b %Y %H:%M} {event.event_type} {event.event_id}{amount}{known}"
    return Group(tuple(marks), title)


def _nothing(width: float, title: str, text: str) -> Drawing:
    return Drawing(width, 48, title, text, (Text((0, 28), text, "axis", 13),))


def _time_axis(first: datetime, last: datetime, left: float, right: float, floor: float) -> Iterator[Mark]:
    """Ticks at days, months or years, whichever gives about ten, with the words below."""
    yield Line(((left, floor), (right, floor)), "axis")
    span = (last - first) / timedelta(seconds=1)
    for moment, words in _ticks(first, last):
        x = left + (moment - first) / timedelta(seconds=1) / span * (right - left)
        if left <= x <= right - 8:
            yield Line(((x, floor), (x, floor + 5)), "axis")
            yield Text((x, floor + 18), words, "axis", 11, "start" if x < left + 12 else "middle")
    yield Text((right, floor + 36), "date (UTC)", "axis", 11.5, "end")


def _ticks(first: datetime, last: datetime) -> list[tuple[datetime, str]]:
    days = max((last - first).days, 1)
    step = next((step for step in (1, 2, 7, 14) if days / step <= 11), None)
    if step is not None:
        moments = [first + timedelta(days=step * number) for number in range(days // step + 1)]
        return [(moment, f"{moment.day} {moment:%b}") for moment in moments]
    months = next((step for step in (1, 2, 3, 6, 12, 24, 60, 120) if days / (30.4 * step) <= 11), 240)
    month = datetime(first.year, first.month, 1, tzinfo=UTC)
    found = []
    while month < last:
        if month >= first:
            found.append((month, f"{month:%b %Y}"))
        year, number = divmod(month.month - 1 + months, 12)
        month = month.replace(year=month.year + year, month=number + 1)
    return found


def nice_ticks(highest: float) -> list[float]:
    """0 and up to five round steps that reach `highest`.

    >>> nice_ticks(930)
    [0.0, 250.0, 500.0, 750.0, 1000.0]
    """
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def short(number: float) -> str:
    """A number for an axis: 950, 1.5k, 2M.

    >>> short(1500)
    '1.5k'
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.4g}{letter}"
    return f"{number:.4g}"


def _counted(words: Sequence[str]) -> str:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items()) or "nothing drawn"
