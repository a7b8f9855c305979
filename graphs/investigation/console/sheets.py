"""The sheets: all there is on one ring, one case, one entity, in the order they should be read; and their exports."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from graphs.investigation import case_pdf, exports, queries
from graphs.investigation.answers import Member, RingSheet
from graphs.investigation.console import state
from graphs.investigation.console.urls import case_url, entity_url, ring_url
from graphs.investigation.console.visits import Here, Visit, as_file, entity_types
from graphs.investigation.drawing import Box, Disc, Drawing, Line, Polygon
from graphs.investigation.figures import (
    HARD_CAP,
    LEAD_TIME,
    MOST_NODES,
    RingPicture,
    draw_lanes,
    draw_money,
    draw_ring,
    legend,
)
from graphs.investigation.masking import Entity
from graphs.investigation.narrative import narrate
from graphs.stores.actors import Actor
from graphs.stores.cases import Case
from graphs.stores.lists import Mark
from graphs.stores.people import all_people

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

# ----------------------------------------------------------------------------------------------------- a ring


_PARTS = (("member", "Members"), ("identifier", "What ties them"), ("peripheral", "Around the ring"))


@router.get("/rings/{ring_id}")
def ring(here: Here, ring_id: str) -> Response:
    """All there is on one ring, in the order it should be read: evidence first, score last."""
    workspace, actor = here.workspace, here.actor
    sheet = queries.ring_sheet(workspace, actor, ring_id)
    name = sheet.ring.ring_id
    if name != ring_id:
        return RedirectResponse(ring_url(name), 303)
    hubs = here.asked("hubs") == "1"
    most = HARD_CAP if here.asked("nodes") == "all" else MOST_NODES
    picture = draw_ring(
        sheet.members, sheet.links, person_type=workspace.person_type, href=entity_url, hubs=hubs, most=most
    )
    shown = [one for one in sheet.members if one not in picture.badges]
    numbered = list(enumerate(sheet.members, start=1))
    case = sheet.cases[0]
    scored = [one for one in sheet.members if one.score is not None]
    return here.page(
        "ring.html",
        sheet=sheet,
        case=case,
        can_judge=may_judge(actor, case),
        reasons=[line for line in sheet.evidence if line.kind not in ("score", "exculpatory")],
        doubts=[line for line in sheet.evidence if line.kind == "exculpatory"],
        scores=[line for line in sheet.evidence if line.kind == "score"],
        parts=[(part, words, [pair for pair in numbered if pair[1].part == part]) for part, words in _PARTS],
        judged=_judged(sheet, workspace.person_type),
        money_plot=draw_money(sheet.days),
        lanes_plot=_lanes(here, sheet),
        payments=queries.ring_money(workspace, actor, name, cursor=here.asked("payments") or None),
        payments_open="payments" in here.request.query_params,
        picture=picture,
        hubs=hubs,
        legend=legend(shown, workspace.person_type),
        arrows=any(link.source.type == link.target.type == workspace.person_type for link in sheet.links),
        graph_data=_graph_data(sheet, picture, workspace.person_type),
        signs=_SIGNS,
        scored=sorted(scored, key=lambda one: -(one.score or 0)),
        similar=queries.similar_rings(workspace, actor, name),
        tables=exports.RING_TABLES,
    )


def may_judge(actor: Actor, case: Case) -> bool:
    """Whether the actor may give verdicts in this case as it stands."""
    return case.status != "closed" and actor.may("verdict") and (case.owner == actor.name or actor.may("assign"))


def _judged(sheet: RingSheet, person_type: str) -> dict[str, Any] | None:
    persons = [one for one in sheet.members if one.part == "member" and one.entity.type == person_type]
    given = [one.verdict for one in sheet.members if one.verdict is not None]
    if not given:
        return None
    done = sum(one.verdict is not None for one in persons)
    return {"all": len(persons), "done": done, "words": {word: given.count(word) for word in dict.fromkeys(given)}}


def _lanes(here: Visit, sheet: RingSheet) -> Drawing | None:
    if here.workspace.graph_folder is None:
        return None
    name, members = sheet.ring.ring_id, [one for one in sheet.members if one.part == "member"]
    begin = sheet.ring.first_event_time
    since = None if begin is None else begin - LEAD_TIME
    events = queries.timeline(here.workspace, here.actor, name, since=since, limit=500).rows
    inside = queries.ring_money(here.workspace, here.actor, name, limit=500).rows
    return draw_lanes(events, members, {one.event_id for one in inside}) if events else None


def _graph_data(sheet: RingSheet, picture: RingPicture, person_type: str) -> str:
    """What the explorer draws: the picture's nodes at their places, as JSON."""
    able = [one for one in sheet.members if one not in picture.badges and one.x is not None and one.y is not None]
    shown = able[: len(able) - picture.left_out] if picture.left_out else able
    keys = {f"{one.entity.type}:{one.entity.key}" for one in shown}
    nodes = [_graph_node(one, person_type) for one in shown]
    edges = [
        {"source": f"{link.source.type}:{link.source.key}", "target": f"{link.target.type}:{link.target.key}",
         "events": link.events, "directed": link.source.type == link.target.type == person_type}
        for link in sheet.links
    ]  # fmt: skip
    return json.dumps(
        {"nodes": nodes, "edges": [edge for edge in edges if edge["source"] in keys and edge["target"] in keys]}
    )


def _graph_node(one: Member, person_type: str) -> dict[str, Any]:
    return {
        "id": f"{one.entity.type}:{one.entity.key}", "label": one.entity.text, "type": one.entity.type,
        "person": one.entity.type == person_type, "part": one.part, "role": one.role, "x": one.x, "y": one.y,
        "href": entity_url(one.entity),
    }  # fmt: skip


def _sign(*marks: Any) -> Drawing:
    return Drawing(28, 28, "", "", marks)


_SIGNS = {
    "payment": _sign(Disc((14, 14), 6, "event")),
    "transfer": _sign(Polygon(((7, 20), (21, 20), (14, 7)), "event")),
    "other": _sign(Box((12, 7), 4, 14, "event")),
    "fraud": _sign(
        Disc((14, 14), 6, "fraud"), Line(((5, 5), (23, 23)), "fraud", 2), Line(((5, 23), (23, 5)), "fraud", 2)
    ),
    "flow": _sign(Line(((2, 14), (25, 14)), "flow", 2, arrow=True)),
}


# ----------------------------------------------------------------------------------------------------- a case


@router.get("/cases/{name}")
def case(here: Here, name: str) -> Response:
    """One case: verdicts, notes, the draft of a report, what was done."""
    workspace, actor = here.workspace, here.actor
    found = queries.case_sheet(workspace, actor, name)
    if found.case.case_id != name:
        return RedirectResponse(case_url(found.case.case_id), 303)
    sheet = queries.ring_sheet(workspace, actor, found.ring.ring_id)
    held = {(entity.type, entity.key): (entity, given) for entity, given in found.verdicts if given.latest}
    judging = []
    for number, one in enumerate(sheet.members, start=1):
        _, given = held.pop((one.entity.type, one.entity.key), (None, None))
        if one.part == "member" or given is not None:
            judging.append((number, one, given))
    # Who was judged and is in the ring no more.
    judging += [(0, _as_member(entity), given) for entity, given in held.values()]
    people = all_people(workspace.store) if actor.may("assign") else ()
    able = [one.name for one in people if one.active and Actor(one.name, one.role).may("claim")]
    newest = sheet.cases[0].case_id == found.case.case_id
    return here.page(
        "case.html",
        sheet=found,
        case=found.case,
        newest=newest,
        judging=judging,
        superseded=[(entity, given) for entity, given in found.verdicts if not given.latest],
        can_judge=may_judge(actor, found.case),
        narrative=narrate(found, sheet, workspace.person_type),
        four_eyes=workspace.store.setting("four_eyes"),
        investigators=able,
        tables=exports.RING_TABLES,
    )


@router.get("/cases/{name}/export.json")
def export_json(here: Here, name: str) -> Response:
    """Everything on the case's ring, the format to read back."""
    found = queries.case_sheet(here.workspace, here.actor, name)
    answer = exports.ring_json(here.workspace, here.actor, found.ring.ring_id)
    return as_file(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", f"{name}.json", "application/json")


@router.get("/cases/{name}/export.csv")
def export_csv(here: Here, name: str) -> Response:
    """One table of the case's ring, safe in a spreadsheet."""
    found, table = queries.case_sheet(here.workspace, here.actor, name), here.asked("table", "members")
    text = exports.ring_csv(here.workspace, here.actor, found.ring.ring_id, table)
    return as_file(text, f"{name}-{table}.csv", "text/csv; charset=utf-8")


@router.get("/cases/{name}/export.pdf")
def export_pdf(here: Here, name: str) -> Response:
    """The case file, with the figures as they are on the screen."""
    return as_file(case_pdf.case_pdf(here.workspace, here.actor, name), f"{name}.pdf", "application/pdf")


# ------------------------------------------------------------------------------------------------- an entity


@router.get("/entity/{kind}/{key:path}")
def entity(here: Here, kind: str, key: str) -> Response:
    """What is known of one entity: rings, verdicts, whom it met, what happened."""
    workspace, actor = here.workspace, here.actor
    sheet = queries.entity_sheet(workspace, actor, kind, key or here.request.query_params.get("key", ""))
    near = events = lane = None
    if sheet.in_graph:
        one = (sheet.entity.type, sheet.entity.key)
        types = [here.asked("type")] if here.asked("type") else []
        window: dict[str, Any] = {name: state.moment(name, here.asked(name)) for name in ("since", "until")}
        near = queries.neighbours(workspace, actor, one, types=types, cursor=here.asked("near") or None, **window)
        events = queries.timeline(
            workspace, actor, one, limit=50, cursor=here.asked("events") or None, **window
        )  # fmt: skip
        lane = draw_lanes(events.rows, [_as_member(sheet.entity)], {row.event_id for row in events.rows})
    marks: dict[str, Mark] = {mark.list: mark for mark in sheet.marks}
    boxes = (
        ("watch", "Watch list", "watch"),
        ("benign", "Innocently shared", "tag_benign"),
        ("block", "Block list", "block"),
    )
    return here.page(
        "entity.html",
        sheet=sheet,
        near=near,
        events=events,
        lane=lane,
        person_type=workspace.person_type,
        types=entity_types(workspace),
        chosen={name: here.asked(name) for name in ("type", "since", "until")},
        list_boxes=[(name, title, may, marks.get(name)) for name, title, may in boxes],
    )


def _as_member(one: Entity) -> Member:
    return Member(one, "member", "unknown", None, None, None, None, 0, 0.0, None, None, None, (), ())
