"""What stands behind the rings: which runs found them, with which model, how good it is, and what ties nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping, select

from graphs.investigation.answers import Board, BoardRow, FinderRun, Hub, Models
from graphs.investigation.masking import Masker
from graphs.investigation.rows import check_limit
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.models import finder_runs, instant


def runs(workspace: Workspace, actor: Actor, *, limit: int = 20) -> tuple[FinderRun, ...]:
    """The newest `limit` finder runs that were taken in."""
    actor.must("view")
    found = _newest(workspace, limit)
    workspace.store.saw(actor, "view", "runs", {"runs": len(found)})
    return tuple(_run(row) for row in found)


def models(workspace: Workspace, actor: Actor, *, limit: int = 20) -> Models:
    """The newest `limit` finder runs, the hubs that the newest named, and the scoreboard of the workspace's model."""
    actor.must("view")
    masker = workspace.masker(actor)
    rows = _newest(workspace, limit)
    version, boards = _scoreboard(workspace.model_folder)
    workspace.store.saw(actor, "view", "models", {"runs": len(rows)})
    return Models(
        runs=tuple(_run(row) for row in rows),
        hubs=tuple(_hub(hub, masker) for hub in rows[0]["facts"].get("hubs", ())) if rows else (),
        model_version=version,
        boards=boards,
    )


def _newest(workspace: Workspace, limit: int) -> Sequence[RowMapping]:
    check_limit(limit)
    wanted = select(finder_runs).order_by(finder_runs.c.as_of.desc(), finder_runs.c.run_id.desc()).limit(limit)
    with workspace.store.read() as connection:
        return connection.execute(wanted).mappings().all()


def _run(row: RowMapping) -> FinderRun:
    facts = row["facts"]
    kept = ("run_id", "as_of", "previous_as_of", "rings", "imported_at", "imported_by")
    return FinderRun(
        **{name: row[name] for name in kept},
        model_version=facts.get("model_version"),
        score_source=facts.get("score_source"),
        counts=facts.get("counts", {}),
        finder=facts.get("finder", {}),
    )


def _hub(hub: Mapping[str, Any], masker: Masker) -> Hub:
    return Hub(masker.entity(hub["entity_type"], hub["entity_id"]), int(hub["degree"]), int(hub["cap"]))


def _scoreboard(folder: Path | None) -> tuple[str | None, tuple[Board, ...]]:
    """The model's version and figures, of a training run or a later evaluation of it; nothing where there are none."""
    if folder is None or not (folder / "metrics.json").is_file():
        return None, ()
    judged = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return judged.get("model_version"), tuple(_board(task, one) for task, one in judged["evaluation"].items())


def _board(task: str, judged: Mapping[str, Any]) -> Board:
    return Board(
        task=task,
        verdict=judged["verdict"],
        outcome=judged["outcome"],
        events=judged["rows"],
        frauds=judged["frauds"],
        first_time=_moment(judged["first_time"]),
        last_time=_moment(judged["last_time"]),
        rows=tuple(_row(row) for row in judged["table"]),
    )


def _row(row: Mapping[str, Any]) -> BoardRow:
    # A figure that means nothing on these rows is told with its reason in place of a number.
    figures = {name: None if isinstance(row.get(name), Mapping) else row.get(name) for name in _FIGURES}
    return BoardRow(title=row["title"], is_floor=row["is_floor"], **figures)


_FIGURES = ("auc", "ap", "recall_at_budget", "precision_at_budget", "value_recall")


def _moment(us: int | None) -> datetime | None:
    return None if us is None else instant(us)
