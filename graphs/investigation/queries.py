"""All questions under one name: `queries.ring_queue(workspace, actor)`. What they answer with is in `answers`."""

from graphs.investigation.narrative import case_narrative
from graphs.investigation.queries_cases import audit_trail, case_sheet
from graphs.investigation.queries_entities import entity_sheet, lookup, unmask
from graphs.investigation.queries_graph import (
    block_dry_run,
    near_fraud,
    neighbours,
    paths,
    shared_by,
    timeline,
)
from graphs.investigation.queries_history import changes, similar_rings
from graphs.investigation.queries_lists import marked
from graphs.investigation.queries_models import models, runs
from graphs.investigation.queries_rings import SORTS, open_rings, ring_money, ring_queue, ring_sheet

__all__ = [
    "SORTS",
    "audit_trail",
    "block_dry_run",
    "case_narrative",
    "case_sheet",
    "changes",
    "entity_sheet",
    "lookup",
    "marked",
    "models",
    "near_fraud",
    "neighbours",
    "open_rings",
    "paths",
    "ring_money",
    "ring_queue",
    "ring_sheet",
    "runs",
    "shared_by",
    "similar_rings",
    "timeline",
    "unmask",
]
