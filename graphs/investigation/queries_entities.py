"""What an id means, and what is known of one entity."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from graphs.errors import ConfigError, NotFoundError
from graphs.investigation.answers import (
    EntitySheet,
    Found,
    RingPayment,
)
from graphs.investigation.rows import (
    as_answer,
    briefs_of,
    masked,
    ring_row,
    ring_rows,
)
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.cases import Case, find_case, verdicts_of
from graphs.stores.lists import marks_of
from graphs.stores.models import (
    instant,
    ring_members,
    ring_payments,
    rings,
)


def lookup(workspace: Workspace, actor: Actor, asked: str) -> Found:
    """Whatever is called `asked`: entities of any type, rings (by any name they had), cases, payments inside rings.

    Nothing found is an empty answer, not an error.
    """
    actor.must("view")
    masker = workspace.masker(actor)
    text = asked.strip()
    entity_id = masker.open(text)
    with workspace.store.read() as connection:
        named = select(ring_members.c.entity_type).where(ring_members.c.entity_id == entity_id).distinct()
        types = set(connection.execute(named).scalars())
        if workspace.graph_folder is not None:
            types |= {kind for kind in workspace.graph.log.entity_ids if workspace.code(kind, entity_id) is not None}
        keys = [(kind, entity_id) for kind in sorted(types)]
        briefs = briefs_of(connection, keys)
        ring, case = _ring_or_case(connection, text)
        paid = select(ring_payments).where(ring_payments.c.event_id == text).order_by(ring_payments.c.ring_id)
        found = Found(
            asked=masker.entity("", text).text if types else masker.prose(text),
            entities=tuple((masker.entity(*key), briefs.get(key, ())) for key in keys),
            rings=() if ring is None else (ring_row(ring, masker),),
            cases=() if case is None else masked(connection, masker, [case]),
            payments=tuple((row.ring_id, as_answer(RingPayment, row)) for row in connection.execute(paid)),
        )
    workspace.store.saw(actor, "view", f"lookup:{text}", {"found": bool(found)})
    return found


def _ring_or_case(connection: Connection, text: str) -> tuple[Row[Any] | None, Case | None]:
    """The ring and its newest case, or the case named and its ring."""
    try:
        case = find_case(connection, text)
    except NotFoundError:
        return None, None
    return connection.execute(ring_rows().where(rings.c.ring_id == case.ring_id)).one(), case


def entity_sheet(workspace: Workspace, actor: Actor, entity_type: str, key: str) -> EntitySheet:
    """What is known of one entity, by its id or handle. Raises NotFoundError where neither graph nor store has it."""
    actor.must("view")
    masker = workspace.masker(actor)
    entity_id = masker.open(key)
    with workspace.store.read() as connection:
        briefs = briefs_of(connection, [(entity_type, entity_id)]).get((entity_type, entity_id), ())
        given = masked(connection, masker, verdicts_of(connection, entity=(entity_type, entity_id)))
        held = masked(connection, masker, marks_of(connection, datetime.now(UTC), entity=(entity_type, entity_id)))
    code = workspace.code(entity_type, entity_id)
    if code is None and not (briefs or given or held):
        raise NotFoundError(f"no {entity_type} has the id given")
    events, first, last, attributes = (0, None, None, {}) if code is None else _facts(workspace, entity_type, code)
    shown = {name: masker.prose(value) if isinstance(value, str) else value for name, value in attributes.items()}
    workspace.store.saw(actor, "view", f"{entity_type}:{entity_id}")
    return EntitySheet(
        entity=masker.entity(entity_type, entity_id),
        in_graph=code is not None,
        events=events,
        first_event=first,
        last_event=last,
        attributes=shown,
        rings=briefs,
        verdicts=given,
        marks=held,
    )


def _facts(
    workspace: Workspace, entity_type: str, code: int
) -> tuple[int, datetime | None, datetime | None, dict[str, str | float | None]]:
    graph = workspace.graph
    line = graph.timelines[entity_type]
    events = line.events[line.offsets[code] : line.offsets[code + 1]]
    times = graph.log.event_time[events]
    span = (instant(int(times.min())), instant(int(times.max()))) if len(times) else (None, None)
    held = graph.log.attributes.get(entity_type)
    attributes: dict[str, str | float | None] = {}
    if held is not None:
        versions = np.flatnonzero(held.entity == code)
        if len(versions):
            newest = versions[-1]
            for name, column in held.categorical.items():
                value = int(column.codes[newest])
                attributes[name] = None if value < 0 else column.values[value].as_py()
            for name, numbers in held.numeric.items():
                attributes[name] = None if math.isnan(numbers[newest]) else float(numbers[newest])
    return len(np.unique(events)), *span, attributes


def unmask(workspace: Workspace, actor: Actor, entity_type: str, key: str, *, reason: str) -> str:
    """The whole id of an entity, for a reason that goes into the audit."""
    entity_id = workspace.masker(actor).open(key)
    if not reason.strip():
        raise ConfigError("reason: say why the whole id is needed; it is kept in the audit")
    actor.must("unmask")
    entity_sheet(workspace, actor, entity_type, entity_id)  # only what exists is shown
    workspace.store.saw(actor, "unmask", f"{entity_type}:{entity_id}", {"reason": reason.strip()})
    return entity_id
