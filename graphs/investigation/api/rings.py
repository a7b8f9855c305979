"""Rings: the queue, one ring's sheet and its parts, what changed, what stands behind them, and their exports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from graphs.investigation import case_pdf, exports, queries
from graphs.investigation.answers import (
    Changes,
    Evidence,
    Models,
    Page,
    QueueFilter,
    RingPayment,
    RingRow,
    RingSheet,
    SimilarRing,
    TimelineEvent,
)
from graphs.investigation.api.parts import (
    Asking,
    Csv,
    Cursor,
    Instant,
    Limit,
    Name,
    Pdf,
    Served,
    Since,
    Until,
    lists_of,
    set_etag,
    words,
)
from graphs.stores.cases import STATUSES
from graphs.stores.finder_folder import STATUSES as RING_STATUSES

router = APIRouter(tags=["rings"])


async def _where(
    actor: Asking,
    mine: Annotated[bool, Query(description="Only my cases.")] = False,
    free: Annotated[bool, Query(description="Only those nobody has.")] = False,
    owner: Annotated[Name | None, Query(description="Only those of this person.")] = None,
    kind: Annotated[tuple[Name, ...], Query(description="Like device_farm; may repeat.")] = (),
    ring_status: Annotated[tuple[Name, ...], Query(json_schema_extra=lists_of(RING_STATUSES))] = (),
    case_status: Annotated[tuple[Name, ...], Query(json_schema_extra=lists_of(STATUSES))] = (),
    min_value: Annotated[float | None, Query(allow_inf_nan=False, description="Least preventable value.")] = None,
    min_p: Annotated[float | None, Query(ge=0, le=1, description="Least probability of being a ring.")] = None,
    active_since: Annotated[Instant | None, Query(description="With a payment since.")] = None,
) -> QueueFilter:
    """Which rings; what is not given is as in QueueFilter."""
    given: dict[str, Any] = {"statuses": ring_status} if ring_status else {}
    if case_status:
        given["case_status"] = case_status
    return QueueFilter(
        owner=actor.name if mine else owner, unowned=free, kinds=kind, min_value=min_value, min_p=min_p,
        active_since=active_since, **given,
    )  # fmt: skip


Where = Annotated[QueueFilter, Depends(_where)]
Sort = Annotated[Name, Query(json_schema_extra=words(queries.SORTS), description="Highest first.")]


@router.get("/rings")
def ring_queue(
    workspace: Served, actor: Asking, where: Where, sort: Sort = "score", limit: Limit = 25, cursor: Cursor = None
) -> Page[RingRow]:
    """The rings to work on, best first."""
    return queries.ring_queue(workspace, actor, where=where, sort=sort, limit=limit, cursor=cursor)


@router.get("/rings/{ring}")
def ring_sheet(workspace: Served, actor: Asking, ring: Name, response: Response) -> RingSheet:
    """One ring: why, who, how much. An earlier name leads to what the ring has become."""
    sheet = queries.ring_sheet(workspace, actor, ring)
    set_etag(response, sheet.ring.version)
    return sheet


@router.get("/rings/{ring}/evidence")
def ring_evidence(workspace: Served, actor: Asking, ring: Name) -> tuple[Evidence, ...]:
    """The reasons, in plain words."""
    return queries.ring_sheet(workspace, actor, ring).evidence


@router.get("/rings/{ring}/payments")
def ring_money(
    workspace: Served, actor: Asking, ring: Name, limit: Limit = 100, cursor: Cursor = None
) -> Page[RingPayment]:
    """The payments inside a ring, newest first."""
    return queries.ring_money(workspace, actor, ring, limit=limit, cursor=cursor)


@router.get("/rings/{ring}/timeline")
def ring_timeline(
    workspace: Served, actor: Asking, ring: Name, since: Since = None, until: Until = None, limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[TimelineEvent]:  # fmt: skip
    """The events of a ring's members, newest first."""
    return queries.timeline(workspace, actor, ring, since=since, until=until, limit=limit, cursor=cursor)


@router.get("/rings/{ring}/similar")
def similar_rings(workspace: Served, actor: Asking, ring: Name, limit: Limit = 5) -> tuple[SimilarRing, ...]:
    """Rings of the past like this one, and what became of them."""
    return queries.similar_rings(workspace, actor, ring, limit=limit)


@router.get("/changes")
def changes(workspace: Served, actor: Asking, since: Since = None, until: Until = None) -> Changes:
    """Rings born, grown, merged, split, gone since then (a day ago, if nothing is said)."""
    since = since or datetime.now(UTC) - timedelta(days=1)
    return queries.changes(workspace, actor, since, until=until)


@router.get("/open-rings")
def open_rings(workspace: Served, actor: Asking) -> tuple[str, ...]:
    """The rings with an open case, as the finder wants them."""
    return queries.open_rings(workspace, actor)


@router.get("/models")
def models(workspace: Served, actor: Asking) -> Models:
    """What stands behind the rings: finder runs, the model's figures, the hub register."""
    return queries.models(workspace, actor)


@router.get("/exports/rings.csv", response_class=Csv)
def queue_csv(workspace: Served, actor: Asking, where: Where, sort: Sort = "score") -> Csv:
    """The whole queue as CSV that no spreadsheet runs."""
    return Csv(exports.queue_csv(workspace, actor, where=where, sort=sort), name="rings")


@router.get("/exports/rings/{ring}")
def ring_json(workspace: Served, actor: Asking, ring: Name) -> dict[str, Any]:
    """Everything on a ring, with its newest case and all payments; ids as they are, masked ones masked."""
    return exports.ring_json(workspace, actor, ring)


@router.get("/exports/rings/{ring}/{table}.csv", response_class=Csv)
def ring_csv(
    workspace: Served, actor: Asking, ring: Name,
    table: Literal["members", "evidence", "links", "payments", "verdicts", "notes"],
) -> Csv:  # fmt: skip
    """One table of a ring as CSV that no spreadsheet runs."""
    return Csv(exports.ring_csv(workspace, actor, ring, table), name=f"{ring}-{table}")


@router.get("/exports/cases/{case}.pdf", response_class=Pdf)
def case_file(workspace: Served, actor: Asking, case: Name) -> Pdf:
    """The case file: evidence, verdicts, the figures as the console shows them, notes, the draft of a report."""
    return Pdf(case_pdf.case_pdf(workspace, actor, case), name=case)
