"""`EventLog`: the validated events and entities of one data set, in canonical order, as plain columns.

This is the one value that everything after ingest reads. Ids have become integer codes, times int64 microseconds
UTC, labels int8; the caller's own keys stay beside them as text. Rows stand in canonical order
(event_time, event type, event id), so nothing downstream can depend on the order of the input files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MISSING = -1
"""Code of an absent entity or category: never an index."""

UNLABELLED = -1
"""Label of an event or entity about which nobody has said anything."""

ALWAYS = np.iinfo(np.int64).min
"""A known_time that lies before everything: known from the start."""

NEVER = np.iinfo(np.int64).max
"""A label_known_time that never comes: the label is not known to anyone."""

MICROSECONDS_PER_DAY = 86_400_000_000

MADE_ID = r"^[0-9a-f]{16}-\d+$"
"""What an id looks like that was made of its event's content: digits that equal events share, and a running number."""


@dataclass(frozen=True)
class Role:
    """The part an entity plays in an event: `sender` and `receiver` are two roles of the entity type `user`."""

    name: str
    entity_type: str


@dataclass(frozen=True)
class Categorical:
    """A text column by codes. `codes` (rows,) int32 index `values`; MISSING where there was nothing."""

    codes: np.ndarray
    values: pa.StringArray


@dataclass(frozen=True)
class EntityAttributes:
    """What is recorded of entities of one type, in versions: row j holds from `known_time[j]` on.

    Rows are sorted by (entity, known_time), one of each. `entity` (rows,) int32; `known_time` (rows,) int64 µs UTC,
    ALWAYS where the table has no known time; numeric columns (rows,) float64 with NaN for missing.
    """

    entity: np.ndarray
    known_time: np.ndarray
    numeric: Mapping[str, np.ndarray] = field(default_factory=dict)
    categorical: Mapping[str, Categorical] = field(default_factory=dict)


@dataclass(frozen=True)
class EntityLabels:
    """One verdict per entity of a type: `label` (entities,) int8 in {1, 0, UNLABELLED}, `known_time` (entities,)
    int64 µs UTC from when it may be used (NEVER where nobody will know)."""

    label: np.ndarray
    known_time: np.ndarray


@dataclass(frozen=True)
class EventLog:
    """Events in canonical order with their entities, amounts, features and labels.

    Shapes: `entities` (events, roles) int32 codes into `entity_ids[role.entity_type]`, MISSING where the event has
    no such entity or its type has no such role; `event_type` (events,) int16 into `event_types`; all times
    (events,) int64 µs UTC; `amount` (events,) float64, NaN where an event has none; `label` (events,) int8 in
    {1, 0, UNLABELLED}; `label_known_time` NEVER where the label is UNLABELLED. `entity_ids[type]` holds the
    caller's keys as text, the position is the code; codes are given by first appearance in canonical order
    (roles left to right), then entities known only from entity tables, by id.

    >>> log.entity_ids["user"][log.entities[0, 0]].as_py()
    '007'
    """

    roles: tuple[Role, ...]
    event_types: tuple[str, ...]
    entity_ids: Mapping[str, pa.StringArray]
    event_ids: pa.StringArray
    event_type: np.ndarray
    event_time: np.ndarray
    known_time: np.ndarray
    entities: np.ndarray
    amount: np.ndarray
    label: np.ndarray
    label_known_time: np.ndarray
    numeric: Mapping[str, np.ndarray] = field(default_factory=dict)
    categorical: Mapping[str, Categorical] = field(default_factory=dict)
    attributes: Mapping[str, EntityAttributes] = field(default_factory=dict)
    entity_labels: Mapping[str, EntityLabels] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.event_time)

    @property
    def entity_types(self) -> tuple[str, ...]:
        """Entity types in order of first role, then those known from entity tables only."""
        return tuple(self.entity_ids)

    @property
    def visible_time(self) -> np.ndarray:
        """When an event may first be looked back at: (events,) int64 µs, the later of event_time and known_time.

        An event is in the past of t iff visible_time < t, strictly: events of the same instant never see each
        other, so the order of ties cannot matter.
        """
        return np.maximum(self.event_time, self.known_time)


def places_in(texts: pa.StringArray, among: pa.StringArray) -> np.ndarray:
    """Where each text stands in `among`: (texts,) int32, MISSING where it does not."""
    return pc.fill_null(pc.index_in(texts, value_set=among), MISSING).to_numpy(zero_copy_only=False)
