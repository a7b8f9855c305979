"""Pictures and plots as marks: what is drawn, what becomes a badge, and that nothing in SVG can break out."""

from datetime import timedelta
from xml.etree import ElementTree

import pytest
from finder_runs import day

from graphs.investigation.answers import Day, Link, Member, TimelineEvent
from graphs.investigation.drawing import Drawing, Group, Text, svg
from graphs.investigation.figures import draw_lanes, draw_money, draw_ring, legend, nice_ticks, short
from graphs.investigation.masking import Entity


def entity(kind, key):
    return Entity(kind, key, key, False)


def member(kind, key, part="member", role="member", x=0.5, y=0.5):
    return Member(entity(kind, key), part, role, 0.9, 1.0, day(0), day(5), 2, 20.0, x, y, None, (), ())


def link(left, right, kind="payment"):
    return Link(entity(*left), entity(*right), kind, 2, 20.0, day(0), day(5))


def event(key, user, *, time=1.0, kind="payment", label=None):
    return TimelineEvent(kind, key, day(time), day(time), 10.0, label, (("sender", entity("user", user)),), {})


def keys(drawing):
    return [mark.key for mark in drawing.marks if isinstance(mark, Group) and mark.key]


def test_identifiers_over_the_cap_are_badges_until_asked_for():
    members = [member("user", "u1"), member("device", "kiosk", "peripheral", "identifier")]
    picture = draw_ring(members, [link(("user", "u1"), ("device", "kiosk"))], person_type="user")
    assert keys(picture.drawing) == ["user:u1"] and [one.entity.key for one in picture.badges] == ["kiosk"]
    assert keys(draw_ring(members, [], person_type="user", hubs=True).drawing) == ["user:u1", "device:kiosk"]


@pytest.mark.parametrize(("asked", "shown"), [(300, 300), (5000, 1000)])
def test_a_picture_has_no_more_nodes_than_asked_for_and_never_a_thousand_more(asked, shown):
    members = [member("user", f"u{number}") for number in range(1200)]
    picture = draw_ring(members, [], person_type="user", most=asked)
    assert len(keys(picture.drawing)) == shown and picture.left_out == 1200 - shown


def test_the_picture_stands_where_the_finder_laid_it_out():
    left, right = member("user", "u1", x=0.0), member("user", "u2", x=1.0)
    drawing = draw_ring([left, right], [], person_type="user").drawing
    x = [mark.marks[0].centre[0] for mark in drawing.marks]
    assert x == [64.0, 896.0]


def test_money_between_persons_is_an_arrow_and_shared_things_are_lines():
    members = [member("user", "u1"), member("user", "u2"), member("device", "d1", "identifier", "identifier")]
    ties = [link(("user", "u1"), ("user", "u2"), "transfer"), link(("user", "u1"), ("device", "d1"))]
    drawn = draw_ring(members, ties, person_type="user").drawing.marks
    assert [mark.marks[0].arrow for mark in drawn[:2]] == [True, False]
    assert drawn[0].title == "u1 to u2: 2 transfers"


def test_an_arrow_has_its_head_and_what_only_decorates_is_hidden():
    members = [member("user", "u1", x=0.1), member("user", "u2", x=0.9)]
    flow = draw_ring(members, [link(("user", "u1"), ("user", "u2"))], person_type="user").drawing
    assert 'id="g-arrow"' in svg(flow, "g") and 'marker-end="url(#g-arrow)"' in svg(flow, "g")
    assert 'aria-hidden="true"' in svg(Drawing(28, 28, "", "", ()), "sign")


def test_the_legend_has_what_is_there_and_no_more():
    words = [word for word, _ in legend([member("user", "u1", role="mule"), member("card", "c", "identifier")], "user")]
    assert words == ["mule (M)", "card"]


def test_days_without_money_keep_their_room():
    drawing = draw_money([Day(day(0), 1, 10.0), Day(day(3), 2, 30.0)])
    bars = [mark for mark in drawing.marks if isinstance(mark, Group)]
    assert [bar.title for bar in bars] == ["01 Mar 2025: 10.00 in 1 payment", "04 Mar 2025: 30.00 in 2 payments"]
    assert bars[1].marks[0].height == pytest.approx(3 * bars[0].marks[0].height)


def test_a_long_life_is_told_by_week():
    assert "by week" in draw_money([Day(day(0), 1, 10.0), Day(day(200), 1, 10.0)]).title


def test_events_stand_in_the_lane_of_their_member_at_their_time():
    events = [event("e2", "u1", time=9.0), event("e1", "u2", time=0.0, label="fraud"), event("e0", "stranger")]
    drawing = draw_lanes(events, [member("user", "u1"), member("user", "u2")], inside={"e1"})
    dots = {mark.title.split()[5].strip(","): mark.marks[0] for mark in drawing.marks if isinstance(mark, Group)}
    assert set(dots) == {"e1", "e2"} and dots["e1"].centre[0] < dots["e2"].centre[0]
    assert dots["e1"].tone == "fraud" and not dots["e1"].hollow and dots["e2"].hollow


@pytest.mark.parametrize("days", [1, 3, 12, 60, 200, 800, 4000, 20000])
def test_a_time_axis_has_a_handful_of_ticks(days):
    drawing = draw_money([Day(day(0), 1, 1.0), Day(day(0) + timedelta(days=days - 1), 1, 1.0)])
    words = [mark for mark in drawing.marks if isinstance(mark, Text) and mark.at[1] > 200]
    assert 2 <= len(words) <= 13


@pytest.mark.parametrize(("highest", "last"), [(0.004, 0.004), (7, 8), (930, 1000), (1e9, 1e9)])
def test_round_steps_reach_the_top(highest, last):
    ticks = nice_ticks(highest)
    assert ticks[-1] == pytest.approx(last) and 4 <= len(ticks) <= 6


def test_nothing_in_svg_breaks_out_or_carries_a_style():
    hostile = "\"><script>alert(1)</script>'&"
    group = Group((Text((0, 0), hostile, "axis"),), hostile, hostile, f"/entity/{hostile}")
    text = str(svg(Drawing(10, 10, hostile, hostile, (group,)), "x"))
    tree = ElementTree.fromstring(text)
    assert {element.tag for element in tree.iter()} == {"svg", "title", "desc", "a", "text"}
    assert tree.find("a").get("data-key") == hostile and "style=" not in text


def test_numbers_on_an_axis_are_short():
    assert [short(number) for number in (950, 1500, 2e6, 0.25)] == ["950", "1.5k", "2M", "0.25"]
