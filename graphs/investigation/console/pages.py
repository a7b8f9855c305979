"""The pages one can look at: each is a query, a template and a route, and its whole state is in its URL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from graphs.errors import ConfigError
from graphs.investigation import exports, queries
from graphs.investigation.answers import FinderRun, QueueFilter
from graphs.investigation.console import actions, sheets, state, upkeep
from graphs.investigation.console.rendering import STATIC, render
from graphs.investigation.console.urls import case_url, entity_url, local, ring_url, with_query
from graphs.investigation.console.visits import Here, Visit, as_file, entity_types
from graphs.stores.actors import PERMISSIONS
from graphs.stores.finder_folder import STATUSES

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def mount(app: FastAPI) -> None:
    """Put the console's pages, forms and files on `app`, and give its errors their page."""
    app.include_router(router)
    app.include_router(sheets.router)
    app.include_router(actions.router)
    app.include_router(upkeep.router)
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
    413: "Too large",
    415: "Not what is taken here",
    422: "That can't be read",
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
    newest, since = _newest(here)
    names = ("work", "owner", "kind", "change", "min_value", "active_since")
    return here.page(
        "queue.html",
        page=page,
        newest=newest,
        since=since and since.isoformat(),
        changes=None if since is None else queries.changes(here.workspace, here.actor, since),
        chosen={name: here.asked(name) for name in names} | {"sort": sort},
        works=WORKS,
        kinds=KINDS if here.asked("kind") in ("", *KINDS) else (*KINDS, here.asked("kind")),
        ring_statuses=STATUSES,
        sorts=[(name, SORT_WORDS.get(name, name)) for name in queries.SORTS],
    )


@router.get("/queue.csv")
def queue_csv(here: Here) -> Response:
    """All pages of the queue as CSV."""
    text = exports.queue_csv(here.workspace, here.actor, where=_where(here), sort=here.asked("sort", "score"))
    return as_file(text, "queue.csv", "text/csv; charset=utf-8")


def _newest(here: Visit) -> tuple[FinderRun | None, datetime | None]:
    """The newest finder run and the day before it; None, None before the first."""
    newest = next(iter(queries.runs(here.workspace, here.actor, limit=1)), None)
    return newest, None if newest is None else newest.as_of - timedelta(days=1)


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
    _, usual = _newest(here)
    since = state.moment("since", here.asked("since")) or usual or state.moment("since", "1d")
    assert since is not None
    until, change = state.moment("until", here.asked("until")), here.asked("change")
    found = queries.changes(here.workspace, here.actor, since, until=until)
    chosen = {"since": here.asked("since") or f"{since:%Y-%m-%dT%H:%MZ}", "until": here.asked("until")}
    rows = [one for one in found.changes if change in ("", one.change)]
    return here.page("changes.html", found=found, rows=rows, chosen=chosen | {"change": change})


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
        types=entity_types(here.workspace),
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


@router.get("/sign-in")
def sign_in_page(request: Request) -> Response:
    """Where a key is given."""
    values = {"back": local(request.query_params.get("back")), "refused": ""}
    return render(request, None, "sign_in.html", values)
