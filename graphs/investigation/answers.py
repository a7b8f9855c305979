"""What questions are answered with: plain frozen values, masked for the person who asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from graphs.investigation.masking import Entity
from graphs.stores.cases import Case, GivenVerdict, Note, Status
from graphs.stores.lists import Mark

T = TypeVar("T")


@dataclass(frozen=True)
class RingRow:
    """A ring as a line of a list: its newest figures, and the newest case on it."""

    ring_id: str
    rank: int
    status: str
    kind: str
    headline: str
    p_ring: float
    score: float
    preventable_value: float
    value_total: float
    value_fraud: float
    payments: int
    users: int
    first_event_time: datetime | None
    last_event_time: datetime | None
    first_seen: datetime | None
    as_of: datetime
    merged_into: str | None
    case_id: str
    case_status: Status
    owner: str | None
    outcome: str | None
    version: int


@dataclass(frozen=True)
class QueueFilter:
    """Which rings: every condition given must hold. `statuses` None leaves out the dormant, and those that went into
    another ring."""

    case_status: tuple[str, ...] = ("open", "in_progress", "waiting")
    owner: str | None = None
    unowned: bool = False
    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] | None = None
    min_value: float | None = None
    min_p: float | None = None
    active_since: datetime | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows of many: `total` fit the question, `next` (None at the end) asks for those after these."""

    rows: tuple[T, ...]
    total: int
    next: str | None = None


@dataclass(frozen=True)
class Brief:
    """Where an entity stands: a ring it is in, the ring's case and who has it."""

    ring_id: str
    part: str
    role: str
    case_id: str
    case_status: Status
    owner: str | None
    outcome: str | None


@dataclass(frozen=True)
class Member:
    """One entity of a ring; `verdict` is the latest on it in the ring's newest case, `lists` where it is marked."""

    entity: Entity
    part: str
    role: str
    score: float | None
    attachment: float | None
    first_seen: datetime | None
    last_seen: datetime | None
    payments: int
    value: float
    x: float | None
    y: float | None
    verdict: str | None
    lists: tuple[str, ...]
    other_rings: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """One reason in plain words; `others` is how many outside the ring share the entity."""

    place: int
    kind: str
    text: str
    entity: Entity | None
    value: float | None
    others: int | None
    since: datetime | None


@dataclass(frozen=True)
class Link:
    """What passes between two entities of a ring."""

    source: Entity
    target: Entity
    kind: str
    events: int
    value: float | None
    first_time: datetime | None
    last_time: datetime | None


@dataclass(frozen=True)
class RingPayment:
    """A payment inside a ring, by the caller's own key."""

    event_type: str
    event_id: str
    event_time: datetime
    amount: float | None
    score: float | None


@dataclass(frozen=True)
class Day:
    """What happened inside a ring on one day (UTC); `value` counts money that came back as moved, too."""

    day: datetime
    payments: int
    value: float


@dataclass(frozen=True)
class Lineage:
    """One line of a ring's history."""

    as_of: datetime
    change: str
    other_ring_id: str | None
    jaccard: float | None


@dataclass(frozen=True)
class Version:
    """The figures of a ring as one finder run saw it."""

    as_of: datetime
    status: str
    rank: int
    p_ring: float
    score: float
    preventable_value: float
    value_total: float
    payments: int
    users: int


@dataclass(frozen=True)
class RingSheet:
    """All there is on one ring, newest version, in the order it should be read."""

    ring: RingRow
    aliases: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    members: tuple[Member, ...]
    links: tuple[Link, ...]
    days: tuple[Day, ...]
    versions: tuple[Version, ...]
    lineage: tuple[Lineage, ...]
    cases: tuple[Case, ...]
    picture: str | None


@dataclass(frozen=True)
class AuditLine:
    """Who did or saw what, when and through which door."""

    audit_id: int
    at: datetime
    actor: str
    role: str
    channel: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseSheet:
    """One case with its verdicts (superseded ones too), notes, and its lines in the audit."""

    case: Case
    ring: RingRow
    verdicts: tuple[tuple[Entity, GivenVerdict], ...]
    notes: tuple[Note, ...]
    audit: tuple[AuditLine, ...]


@dataclass(frozen=True)
class EntitySheet:
    """What is known of one entity, before its events."""

    entity: Entity
    in_graph: bool
    events: int
    first_event: datetime | None
    last_event: datetime | None
    attributes: Mapping[str, str | float | None]
    rings: tuple[Brief, ...]
    verdicts: tuple[GivenVerdict, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Found:
    """All that an id may mean."""

    asked: str
    entities: tuple[tuple[Entity, tuple[Brief, ...]], ...] = ()
    rings: tuple[RingRow, ...] = ()
    cases: tuple[Case, ...] = ()
    payments: tuple[tuple[str, RingPayment], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.entities or self.rings or self.cases or self.payments)


@dataclass(frozen=True)
class RingChange:
    """How a ring differs from what it was: members who joined and left, money then and now."""

    ring: RingRow
    change: str
    joined: int
    left: int
    value_before: float | None
    value_now: float
    other_ring_id: str | None


@dataclass(frozen=True)
class Changes:
    """What changed in (since, until], by kind of change, rings in order of score."""

    since: datetime
    until: datetime
    changes: tuple[RingChange, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class SimilarRing:
    """Another ring, how alike it is (0 to 1) and in what, with its outcome if it was decided."""

    ring: RingRow
    similarity: float
    because: tuple[str, ...]
    verdicts: Mapping[str, int]


@dataclass(frozen=True)
class Neighbour:
    """An entity in events with the one asked about. `persons` use it in the window (`MANY_PERSONS` + 1: any more);
    `share` is the part of its own events that it has with the one asked about."""

    entity: Entity
    events: int
    value: float
    first_time: datetime
    last_time: datetime
    event_types: tuple[str, ...]
    persons: int
    share: float
    rings: tuple[Brief, ...]
    lists: tuple[str, ...]


@dataclass(frozen=True)
class Join:
    """What joins one entity of a path to the next."""

    events: int
    value: float
    first_time: datetime
    last_time: datetime
    event_types: tuple[str, ...]


@dataclass(frozen=True)
class Path:
    """A way from one entity to another: `joins[i]` lies between `entities[i]` and `entities[i + 1]`. `cost` is the
    sum of log2(1 + persons) of what lies between: low where few others share it."""

    entities: tuple[Entity, ...]
    joins: tuple[Join, ...]
    cost: float


@dataclass(frozen=True)
class Paths:
    """Fewest hops first, rarest first among equals. Not `complete`: the search was cut short, there may be more."""

    paths: tuple[Path, ...]
    complete: bool


@dataclass(frozen=True)
class TimelineEvent:
    """One event. `label` is what was known of it by then (None: nothing); `parties` are (role, entity)."""

    event_type: str
    event_id: str
    event_time: datetime
    known_time: datetime
    amount: float | None
    label: str | None
    parties: tuple[tuple[str, Entity], ...]
    details: Mapping[str, str | float]


@dataclass(frozen=True)
class NearFraud:
    """An entity nobody has judged, and how near it is to confirmed fraud: personalised PageRank per event."""

    entity: Entity
    nearness: float
    events: int
    rings: tuple[Brief, ...]


@dataclass(frozen=True)
class Touched:
    """Whom blocking one entity would touch besides those judged fraud or mule: `innocents` persons of `persons` used
    it in the window, with so many payments; `warnings` say what speaks against it."""

    entity: Entity
    persons: int
    innocents: int
    shown: tuple[Entity, ...]
    events: int
    value: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class BlockPlan:
    """A dry run of a block: nothing was changed."""

    since: datetime
    touched: tuple[Touched, ...]
    innocents: int


@dataclass(frozen=True)
class Marked:
    """An entity on a list; `mark.entity_id` is as its reader may see it."""

    entity: Entity
    mark: Mark


@dataclass(frozen=True)
class FinderRun:
    """One imported run of the finder: when it looked, with which scores and settings, and how much it found."""

    run_id: int
    as_of: datetime
    previous_as_of: datetime | None
    rings: int
    imported_at: datetime
    imported_by: str
    model_version: str | None
    score_source: str | None
    counts: Mapping[str, int]
    finder: Mapping[str, Any]


@dataclass(frozen=True)
class Hub:
    """An identifier that `persons` accounts used, more than `cap`: it ties nobody together."""

    entity: Entity
    persons: int
    cap: int


@dataclass(frozen=True)
class BoardRow:
    """One model on a scoreboard; a floor is what a simpler way reaches. Shares are within the alert budget."""

    title: str
    is_floor: bool
    auc: float | None
    ap: float | None
    recall_at_budget: float | None
    precision_at_budget: float | None
    value_recall: float | None


@dataclass(frozen=True)
class Board:
    """How well one task was answered on its test period, in the words of the run that was judged."""

    task: str
    verdict: str
    outcome: str
    events: int
    frauds: int
    first_time: datetime | None
    last_time: datetime | None
    rows: tuple[BoardRow, ...]


@dataclass(frozen=True)
class Models:
    """What stands behind the rings: finder runs, newest first; the hub register of the newest; the model's figures."""

    runs: tuple[FinderRun, ...]
    hubs: tuple[Hub, ...]
    model_version: str | None
    boards: tuple[Board, ...]


@dataclass(frozen=True)
class NarrativePart:
    """One question of a narrative and the facts that answer it, each a sentence."""

    question: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Narrative:
    """A draft for a report on a case: who, what, when, where, why, how, and what speaks against it. Facts only."""

    case_id: str
    ring_id: str
    as_of: datetime
    parts: tuple[NarrativePart, ...]
