"""The pages one can look at: each is a query, a template and a route, and its whole state is in its URL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from graphs.errors import ConfigError
from graphs.investigation import case_pdf, exports, queries
from graphs.investigation.access import current_actor
from graphs.investigation.answers import Member, QueueFilter, RingSheet
from graphs.investigation.console import actions, state
from graphs.investigation.console.rendering import STATIC, render
from graphs.investigation.console.urls import case_url, entity_url, local, ring_url, with_query
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
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import PERMISSIONS, ROLES, Actor
from graphs.stores.cases import Case
from graphs.stores.errors import ForbiddenError
from graphs.stores.finder_folder import STATUSES
from graphs.stores.lists import Mark
from graphs.stores.people import all_people

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@dataclass(frozen=True)
class Visit:
    """One look of one person: what a page needs to ask and to answer."""

    request: Request
    workspace: Workspace
    actor: Actor

    def page(self, template: str, **values: Any) -> HTMLResponse:
        """The page of `template`."""
        return render(self.request, self.actor, template, values)

    def asked(self, name: str, otherwise: str = "") -> str:
        """A value of the address's query."""
        return self.request.query_params.get(name, otherwise).strip()


def _visit(request: Request, actor: Annotated[Actor, Depends(current_actor)]) -> Visit:
    return Visit(request, request.app.state.workspace, actor)


Here = Annotated[Visit, Depends(_visit)]


def mount(app: FastAPI) -> None:
    """Put the console's pages, forms and files on `app`, and give its errors their page."""
    app.include_router(router)
    app.include_router(actions.router)
    app.mount("/static", _Files(directory=STATIC), name="static")
    app.state.error_page = error_page


class _Files(StaticFiles):
    """Files whose address names their content are kept for ever, the others asked for again."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        kept = "public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else "no-cache"
        response.headers["Cache-Control"] = kept
        return response


_HEADINGS = {
    400: "That can't be read",
    403: "Not allowed",
    404: "Not there",
    409: "Somebody was first",
    412: "It changed meanwhile",
    429: "Too fast",
    500: "Our fault",
}


def error_page(request: Request, status: int, title: str, detail: str) -> Response:
    """What a browser is shown for an error; who isn't signed in is asked to, and comes back to where they were."""
    if status == 401 and request.url.path != "/sign-in":
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = there if request.method == "GET" and there != "/" else None
        return RedirectResponse(with_query("/sign-in", back=back), 303)
    came_from = request.headers.get("referer", "").partition(f"//{request.headers.get('host', '')}")[2]
    values = {"status": status, "heading": _HEADINGS.get(status, title), "detail": detail, "back": local(came_from, "")}
    actor = getattr(request.state, "actor", None)
    return render(request, actor, "error.html", values, status=status)


# ----------------------------------------------------------------------------------------------------- queue


WORKS = (
    ("", "to do"), ("open", "open"), ("in_progress", "in progress"), ("waiting", "waiting"), ("closed", "closed"),
    ("all", "all"),
)  # fmt: skip
SORT_WORDS = {
    "score": "score", "value": "preventable value", "p_ring": "P(ring)", "users": "members", "newest": "newest",
    "active": "last active",
}  # fmt: skip
KINDS = (
    "device_farm", "mule_chain", "fan_in", "takeover", "card_testing", "collusive_merchant", "bust_out", "refund",
    "unknown",
)  # fmt: skip


@router.get("/")
def queue(here: Here) -> Response:
    """The rings to work on, and what changed since yesterday."""
    where, sort = _where(here), here.asked("sort", "score")
    page = queries.ring_queue(here.workspace, here.actor, where=where, sort=sort, cursor=here.asked("cursor") or None)
    newest = next(iter(queries.runs(here.workspace, here.actor, limit=1)), None)
    since = None if newest is None else newest.as_of - timedelta(days=1)
    names = ("work", "owner", "kind", "change", "min_value", "active_since")
    return here.page(
        "queue.html",
        page=page,
        newest=newest,
        since=since and since.isoformat(),
        changes=None if since is None else queries.changes(here.workspace, here.actor, since),
        chosen={name: here.asked(name) for name in names} | {"sort": sort},
        works=WORKS,
        kinds=KINDS,
        ring_statuses=STATUSES,
        sorts=[(name, SORT_WORDS.get(name, name)) for name in queries.SORTS],
    )


@router.get("/queue.csv")
def queue_csv(here: Here) -> Response:
    """All pages of the queue as CSV."""
    text = exports.queue_csv(here.workspace, here.actor, where=_where(here), sort=here.asked("sort", "score"))
    return _file(text, "queue.csv", "text/csv; charset=utf-8")


def _where(here: Visit) -> QueueFilter:
    work, owner, kind, change = (here.asked(name) for name in ("work", "owner", "kind", "change"))
    usual = QueueFilter()
    everything = ("open", "in_progress", "waiting", "closed")
    return QueueFilter(
        case_status=usual.case_status if not work else everything if work == "all" else (work,),
        owner=here.actor.name if owner == "me" else None if owner in ("", "nobody") else owner,
        unowned=owner == "nobody",
        kinds=(kind,) if kind else (),
        statuses=(change,) if change else None,
        min_value=state.number("min_value", here.asked("min_value")),
        active_since=state.moment("active_since", here.asked("active_since")),
    )


@router.get("/changes")
def changes(here: Here) -> Response:
    """How rings differ from what was known at some time."""
    newest = next(iter(queries.runs(here.workspace, here.actor, limit=1)), None)
    usual = None if newest is None else newest.as_of - timedelta(days=1)
    since = state.moment("since", here.asked("since")) or usual or state.moment("since", "1d")
    assert since is not None
    until, change = state.moment("until", here.asked("until")), here.asked("change")
    found = queries.changes(here.workspace, here.actor, since, until=until)
    chosen = {"since": here.asked("since") or f"{since:%Y-%m-%dT%H:%MZ}", "until": here.asked("until")}
    rows = [one for one in found.changes if change in ("", one.change)]
    return here.page("changes.html", found=found, rows=rows, chosen=chosen | {"change": change})


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
    held = {(entity.type, entity.key): given for entity, given in found.verdicts if given.latest}
    judging = []
    for number, one in enumerate(sheet.members, start=1):
        given = held.pop((one.entity.type, one.entity.key), None)
        if one.part == "member" or given is not None:
            judging.append((number, one, given))
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
        may_work=may_judge(actor, found.case),
        narrative=queries.case_narrative(workspace, actor, found.case.case_id),
        four_eyes=workspace.store.setting("four_eyes"),
        investigators=able,
        tables=exports.RING_TABLES,
    )


@router.get("/cases/{name}/export.json")
def export_json(here: Here, name: str) -> Response:
    """Everything on the case's ring, the format to read back."""
    found = queries.case_sheet(here.workspace, here.actor, name)
    answer = exports.ring_json(here.workspace, here.actor, found.ring.ring_id)
    return _file(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", f"{name}.json", "application/json")


@router.get("/cases/{name}/export.csv")
def export_csv(here: Here, name: str) -> Response:
    """One table of the case's ring, safe in a spreadsheet."""
    found, table = queries.case_sheet(here.workspace, here.actor, name), here.asked("table", "members")
    text = exports.ring_csv(here.workspace, here.actor, found.ring.ring_id, table)
    return _file(text, f"{name}-{table}.csv", "text/csv; charset=utf-8")


@router.get("/cases/{name}/export.pdf")
def export_pdf(here: Here, name: str) -> Response:
    """The case file, with the figures as they are on the screen."""
    return _file(case_pdf.case_pdf(here.workspace, here.actor, name), f"{name}.pdf", "application/pdf")


def _file(content: str | bytes, name: str, media_type: str) -> Response:
    safe = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in ".-_"))
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{safe}"'})


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
        types=_entity_types(workspace),
        chosen={name: here.asked(name) for name in ("type", "since", "until")},
        list_boxes=[(name, title, may, marks.get(name)) for name, title, may in boxes],
    )


def _as_member(one: Any) -> Member:
    return Member(one, "member", "unknown", None, None, None, None, 0, 0.0, None, None, None, (), ())


def _entity_types(workspace: Workspace) -> list[str]:
    return [] if workspace.graph_folder is None else list(workspace.graph.log.entity_ids)


@router.get("/search")
def search(here: Here) -> Response:
    """What an id means; straight to it where it means one thing."""
    text = here.asked("q")
    if not text:
        return RedirectResponse("/", 303)
    found = queries.lookup(here.workspace, here.actor, text)
    targets = [entity_url(one) for one, _ in found.entities] + [ring_url(ring_id) for ring_id, _ in found.payments]
    for one, case_ in zip(found.rings, found.cases, strict=True):
        targets.append(case_url(case_.case_id) if text.upper() == case_.case_id else ring_url(one.ring_id))
    if len(targets) == 1:
        return RedirectResponse(targets[0], 303)
    return here.page("search.html", found=found)


@router.get("/path")
def path(here: Here) -> Response:
    """How two entities hang together."""
    ends = here.asked("from"), here.asked("to")
    k, hops = state.whole("k", here.asked("k", "3")), state.whole("hops", here.asked("hops", "6"))
    chosen = {"source": ends[0], "target": ends[1], "k": k, "hops": hops, "hubs": here.asked("hubs") == "1"}
    window: dict[str, Any] = {name: state.moment(name, here.asked(name)) for name in ("since", "until")}
    found = None
    if all(ends):
        source, target = (state.entity(end) for end in ends)
        found = queries.paths(
            here.workspace, here.actor, source, target, k=k, max_hops=hops, hubs=bool(chosen["hubs"]), **window
        )
    chosen |= {name: here.asked(name) for name in window}
    return here.page("path.html", found=found, chosen=chosen)


@router.get("/near-fraud")
def near_fraud(here: Here) -> Response:
    """Who stands nearest to confirmed fraud and was not judged yet."""
    kind = here.asked("type", here.workspace.person_type)
    window: dict[str, Any] = {name: state.moment(name, here.asked(name)) for name in ("since", "until")}
    rows = queries.near_fraud(here.workspace, here.actor, types=[kind], limit=50, **window)
    return here.page(
        "near_fraud.html",
        rows=rows,
        types=_entity_types(here.workspace),
        judged=bool(rows),
        chosen={"type": kind} | {name: here.asked(name) for name in window},
    )


# --------------------------------------------------------------------------------------- models, lists, audit


@router.get("/models")
def models(here: Here) -> Response:
    """How good the scores are, which runs found the rings, and what ties nobody."""
    found = queries.models(here.workspace, here.actor)
    newest = found.runs[0] if found.runs else None
    return here.page(
        "models.html",
        found=found,
        settings=[] if newest is None else _settings(newest.finder),
        total_hubs=None if newest is None else newest.counts.get("hubs"),
    )


def _settings(finder: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, value in finder.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {one}" for key, one in value.items()) or "none"
        rows.append((name, "none" if value is None else str(value)))
    return rows


LIST_WORDS = (("", "All"), ("watch", "Watched"), ("benign", "Innocently shared"), ("block", "Blocked"))


@router.get("/lists")
def lists(here: Here) -> Response:
    """Who is watched, tagged benign or blocked."""
    chosen = here.asked("list")
    rows = queries.marked(here.workspace, here.actor, chosen or None)
    batches: dict[str, int] = {}
    for one in rows:
        if one.mark.batch:
            batches[one.mark.batch] = batches.get(one.mark.batch, 0) + 1
    return here.page("lists.html", rows=rows, lists=LIST_WORDS, chosen=chosen, batches=list(batches.items()))


@router.get("/lists/block")
def block(here: Here) -> Response:
    """Whom a block would touch; nothing is changed."""
    names = [one for text in here.request.query_params.getlist("entity") for one in text.split()]
    if not names:
        raise ConfigError("entity: name at least one as type:id")
    plan = queries.block_dry_run(here.workspace, here.actor, [state.entity(name) for name in names])
    return here.page("block.html", plan=plan)


@router.get("/audit")
def audit(here: Here) -> Response:
    """Who did and saw what."""
    subject, who, action = (here.asked(name) for name in ("subject", "who", "action"))
    page = queries.audit_trail(
        here.workspace, here.actor, subject=subject or None, who=who or None, action=action or None,
        cursor=here.asked("cursor") or None,
    )  # fmt: skip
    chosen = {"subject": subject, "who": who, "action": action}
    return here.page("audit.html", page=page, chosen=chosen, actions=sorted(PERMISSIONS))


@router.get("/people")
def people(here: Here) -> Response:
    """Who may act, for those who look after it."""
    if not here.actor.may("set_person"):
        raise ForbiddenError("people: this takes an admin")
    everybody = all_people(here.workspace.store)
    return here.page("people.html", people=everybody, roles=ROLES, four_eyes=here.workspace.store.setting("four_eyes"))


@router.get("/sign-in")
def sign_in_page(request: Request) -> Response:
    """Where a key is given."""
    values = {"back": local(request.query_params.get("back")), "refused": ""}
    return render(request, None, "sign_in.html", values)
