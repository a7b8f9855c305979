"""Event logs cut at an instant and joined: what was known at t, and what is known once more has come in.

Both give the log that ingest would have made of the same rows, codes included, so a graph cut at t cannot even
tell how many entities there will be.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from graphs.errors import ConfigError, DataError, Fault
from graphs.events import (
    MADE_ID,
    MISSING,
    NEVER,
    UNLABELLED,
    Categorical,
    EntityAttributes,
    EntityLabels,
    EventLog,
    places_in,
)
from graphs.windows import role_columns

logger = logging.getLogger(__name__)


def known_at(log: EventLog, time: int) -> EventLog:
    """Return the log as it stood at `time` (µs UTC): events visible strictly before, labels and attribute versions
    known by then, and the entities these speak of. Later labels are UNLABELLED."""
    events = np.flatnonzero(log.visible_time < time)
    label, label_known_time = _labels_known_at(log.label[events], log.label_known_time[events], time)
    cut = replace(
        _take_events(log, events),
        label=label,
        label_known_time=label_known_time,
        attributes={
            kind: _take_versions(found, np.flatnonzero(found.known_time <= time))
            for kind, found in log.attributes.items()
        },
        entity_labels={
            kind: EntityLabels(*_labels_known_at(found.label, found.known_time, time))
            for kind, found in log.entity_labels.items()
        },
    )
    return _renumber(cut, drop_unheard_of=True)


def without_events_of(log: EventLog, other: EventLog) -> EventLog:
    """Return `log` without the events that `other` holds too, by type and id: what `other` says of them stands."""
    kept = np.flatnonzero(places_in(event_keys(log), event_keys(other)) == MISSING)
    return log if len(kept) == len(log) else _renumber(_take_events(log, kept), drop_unheard_of=True)


def with_labels_of(log: EventLog, other: EventLog) -> EventLog:
    """Return `log`, where events without a label have the one that `other` holds of them, known when it was there: rows
    that come without labels take no verdict back.

    An id made of content names one of several equal events by their other columns, the label among them, so that
    without labels they are numbered otherwise: such an event has a label only where all its equals have the same.
    """
    place = places_in(event_keys(log), event_keys(other))
    rows = np.flatnonzero((log.label == UNLABELLED) & (place != MISSING))
    rows = rows[other.label[place[rows]] != UNLABELLED]
    unsure = _unsure_which(log, other)[rows]
    if unsure.any():
        logger.warning(
            "%d events keep no label of the history: their ids, made of content, do not tell which of several equal "
            "events had which label; map an id column (data.events.<type>.id) to tell them apart",
            unsure.sum(),
        )
    rows = rows[~unsure]
    label, label_known_time = log.label.copy(), log.label_known_time.copy()
    label[rows], label_known_time[rows] = other.label[place[rows]], other.label_known_time[place[rows]]
    return replace(log, label=label, label_known_time=label_known_time)


def event_keys(log: EventLog, ids: pa.StringArray | None = None) -> pa.StringArray:
    """One text per event, unlike any other event's: its type and id, or one of `ids` (events,) in its place."""
    types = pa.array(log.event_types, pa.string()).take(pa.array(log.event_type))
    return pc.binary_join_element_wise(types, log.event_ids if ids is None else ids, "\x1f")


def _equals(log: EventLog) -> pa.StringArray:
    """One text per event that it shares with its equals only: its key, of a made id without the running number."""
    made = pc.match_substring_regex(log.event_ids, MADE_ID)
    return event_keys(log, pc.if_else(made, pc.utf8_slice_codeunits(log.event_ids, 0, 16), log.event_ids))


def _unsure_which(log: EventLog, other: EventLog) -> np.ndarray:
    """(events of `log`,) bool: whose equals in `other` have different labels or known times, or are fewer than in
    `log`."""
    groups = _equals(other).dictionary_encode()
    theirs, mine = groups.indices.to_numpy(), places_in(_equals(log), groups.dictionary)
    one = np.zeros(len(groups.dictionary), np.int64)
    one[theirs] = np.arange(len(other))
    one = one[theirs]
    differs = (other.label != other.label[one]) | (other.label_known_time != other.label_known_time[one])
    unsure = np.bincount(theirs[differs], minlength=len(groups.dictionary)) > 0
    held, asked = (np.bincount(of[of != MISSING], minlength=len(unsure)) for of in (theirs, mine))
    return np.append(unsure | (asked > held), False)[mine]


def union(log: EventLog, more: EventLog) -> EventLog:
    """Return the log of both, in canonical order. Both must come from the same data configuration.

    Of two verdicts on one entity the one known first stays; of two attribute versions of the same instant that of
    `more` holds. Raises ConfigError where columns differ, DataError where both have an event of the same id.
    """
    _check_same_columns(log, more)
    _check_no_event_twice(log, more)
    ids, codes = _join_ids(log, more)
    entities = more.entities.copy()
    for place, role in enumerate(more.roles):
        entities[:, place] = _look_up(codes[role.entity_type], more.entities[:, place])
    joined = EventLog(
        roles=log.roles,
        event_types=log.event_types,
        entity_ids=ids,
        event_ids=_concat(log.event_ids, more.event_ids),
        event_type=np.concatenate([log.event_type, more.event_type]),
        event_time=np.concatenate([log.event_time, more.event_time]),
        known_time=np.concatenate([log.known_time, more.known_time]),
        entities=np.concatenate([log.entities, entities]),
        amount=np.concatenate([log.amount, more.amount]),
        label=np.concatenate([log.label, more.label]),
        label_known_time=np.concatenate([log.label_known_time, more.label_known_time]),
        numeric=_join_numeric(log.numeric, more.numeric),
        categorical=_join_categorical(log.categorical, more.categorical),
        attributes=_join_attributes(log, more, codes),
        entity_labels=_join_entity_labels(log, more, ids, codes),
    )
    in_order = len(log) == 0 or len(more) == 0 or log.event_time[-1] < more.event_time[0]
    return _renumber(joined if in_order else _take_events(joined, _canonical_order(joined)), drop_unheard_of=False)


def _labels_known_at(label: np.ndarray, known_time: np.ndarray, time: int) -> tuple[np.ndarray, np.ndarray]:
    known = known_time <= time
    return np.where(known, label, UNLABELLED).astype(np.int8), np.where(known, known_time, NEVER)


def _take_events(log: EventLog, events: np.ndarray) -> EventLog:
    return replace(
        log,
        event_ids=log.event_ids.take(pa.array(events)),
        event_type=log.event_type[events],
        event_time=log.event_time[events],
        known_time=log.known_time[events],
        entities=log.entities[events],
        amount=log.amount[events],
        label=log.label[events],
        label_known_time=log.label_known_time[events],
        numeric={name: column[events] for name, column in log.numeric.items()},
        categorical={name: _take_texts(column, events) for name, column in log.categorical.items()},
    )


def _take_versions(found: EntityAttributes, rows: np.ndarray) -> EntityAttributes:
    return EntityAttributes(
        found.entity[rows],
        found.known_time[rows],
        {name: column[rows] for name, column in found.numeric.items()},
        {name: _take_texts(column, rows) for name, column in found.categorical.items()},
    )


def _take_texts(column: Categorical, rows: np.ndarray) -> Categorical:
    """The rows with the values they use and no others, which may not have been heard of yet."""
    codes = column.codes[rows]
    used = np.zeros(len(column.values), bool)
    used[codes[codes != MISSING]] = True
    place = np.where(used, np.cumsum(used) - 1, MISSING).astype(np.int32)
    return Categorical(_look_up(place, codes), column.values.filter(pa.array(used)))


def _look_up(table: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """table[codes] as int32, MISSING staying MISSING."""
    padded = np.append(table, MISSING).astype(np.int32)
    return padded[codes]


def _renumber(log: EventLog, *, drop_unheard_of: bool) -> EventLog:
    """Give entities the codes of first appearance, then by id the others, or those alone of which an attribute version
    or a verdict speaks."""
    ids, entities = dict(log.entity_ids), log.entities.copy()
    attributes, labels = dict(log.attributes), dict(log.entity_labels)
    for kind, keys in log.entity_ids.items():
        columns = role_columns(log, kind)
        codes, count = _number_by_appearance(log.entities, columns, len(keys))
        others = np.full(len(keys), not drop_unheard_of)
        if kind in attributes:
            others[attributes[kind].entity] = True
        if kind in labels:
            others |= labels[kind].label != UNLABELLED
        rest = np.flatnonzero(others & (codes == MISSING))
        rest = rest[pc.sort_indices(keys.take(pa.array(rest))).to_numpy()]
        codes[rest] = np.arange(count, count + len(rest))
        former = np.argsort(codes, kind="stable")[np.count_nonzero(codes == MISSING) :]
        ids[kind] = keys.take(pa.array(former))
        for column in columns:
            entities[:, column] = _look_up(codes, log.entities[:, column])
        if kind in attributes:
            found = replace(attributes[kind], entity=codes[attributes[kind].entity])
            attributes[kind] = _take_versions(found, np.lexsort((found.known_time, found.entity)))
        if kind in labels:
            labels[kind] = EntityLabels(labels[kind].label[former], labels[kind].known_time[former])
    return replace(log, entity_ids=ids, entities=entities, attributes=attributes, entity_labels=labels)


@njit(cache=True, nogil=True)
def _number_by_appearance(entities: np.ndarray, columns: np.ndarray, entity_count: int) -> tuple[np.ndarray, int]:
    codes = np.full(entity_count, MISSING, np.int32)
    count = 0
    for event in range(len(entities)):
        for column in columns:
            entity = entities[event, column]
            if entity >= 0 and codes[entity] < 0:
                codes[entity] = count
                count += 1
    return codes, count


def _check_same_columns(log: EventLog, more: EventLog) -> None:
    faults = [
        f"{what}: the graph has {list(mine)}, the new events have {list(theirs)}"
        for what, mine, theirs in (
            (
                "roles",
                [f"{r.name}: {r.entity_type}" for r in log.roles],
                [f"{r.name}: {r.entity_type}" for r in more.roles],
            ),
            ("event types", log.event_types, more.event_types),
            ("numeric columns", log.numeric, more.numeric),
            ("categorical columns", log.categorical, more.categorical),
            *(
                (f"columns of the {kind} table", _column_names(found), _column_names(more.attributes[kind]))
                for kind, found in log.attributes.items()
                if kind in more.attributes
            ),
        )
        if list(mine) != list(theirs)
    ]
    if faults:
        raise ConfigError("; ".join([*faults, "read both with the same data configuration"]))


def _column_names(found: EntityAttributes) -> list[str]:
    return [*found.numeric, *found.categorical]


def _check_no_event_twice(log: EventLog, more: EventLog) -> None:
    place = pc.index_in(more.event_ids, value_set=log.event_ids)
    if place.null_count == len(more):
        return
    seen = set(zip(log.event_type.tolist(), log.event_ids.to_pylist(), strict=True))
    keys = zip(more.event_type.tolist(), more.event_ids.to_pylist(), strict=True)
    twice = [key[1] for key in keys if key in seen]
    if twice:
        remedy = "Append only events that are new, or rebuild the graph from all tables."
        message = "the graph already has an event of this type and id"
        raise DataError(
            [Fault("duplicate_event", "appended events", None, message, remedy, len(twice), values=tuple(twice[:5]))]
        )


def _canonical_order(log: EventLog) -> np.ndarray:
    keys = {"time": log.event_time, "type": log.event_type, "id": log.event_ids}
    return pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys]).to_numpy()


def _concat(texts: pa.StringArray, more: pa.StringArray) -> pa.StringArray:
    return pa.concat_arrays([texts, more])


def _extend(texts: pa.StringArray, more: pa.StringArray) -> tuple[pa.StringArray, np.ndarray]:
    """The distinct texts of both, first come first, and where those of `more` stand among them."""
    codes = places_in(more, texts).astype(np.int32)
    fresh = np.flatnonzero(codes == MISSING)
    codes[fresh] = np.arange(len(texts), len(texts) + len(fresh))
    return _concat(texts, more.take(pa.array(fresh))), codes


def _join_ids(log: EventLog, more: EventLog) -> tuple[dict[str, pa.StringArray], dict[str, np.ndarray]]:
    ids, codes = {}, {}
    for kind in dict.fromkeys([*log.entity_ids, *more.entity_ids]):
        nothing = pa.array([], pa.string())
        ids[kind], codes[kind] = _extend(log.entity_ids.get(kind, nothing), more.entity_ids.get(kind, nothing))
    return ids, codes


def _join_numeric(mine: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([mine[name], theirs[name]]) for name in mine}


def _join_categorical(mine: Mapping[str, Categorical], theirs: Mapping[str, Categorical]) -> dict[str, Categorical]:
    joined = {}
    for name, column in mine.items():
        values, codes = _extend(column.values, theirs[name].values)
        both = np.concatenate([column.codes, _look_up(codes, theirs[name].codes)])
        by_text = pc.sort_indices(values).to_numpy()
        joined[name] = Categorical(_look_up(np.argsort(by_text), both), values.take(pa.array(by_text)))
    return joined


def _join_attributes(log: EventLog, more: EventLog, codes: Mapping[str, np.ndarray]) -> dict[str, EntityAttributes]:
    joined = {**log.attributes}
    for kind, theirs in more.attributes.items():
        theirs = replace(theirs, entity=codes[kind][theirs.entity])
        mine = log.attributes.get(kind, _take_versions(theirs, np.empty(0, np.int64)))
        both = EntityAttributes(
            np.concatenate([mine.entity, theirs.entity]),
            np.concatenate([mine.known_time, theirs.known_time]),
            _join_numeric(mine.numeric, theirs.numeric),
            _join_categorical(mine.categorical, theirs.categorical),
        )
        joined[kind] = _take_versions(both, _last_of_each_instant(both))
    return joined


def _last_of_each_instant(found: EntityAttributes) -> np.ndarray:
    """Rows by (entity, known time), the last one alone of those that have both in common."""
    order = np.lexsort((found.known_time, found.entity))
    last = np.ones(len(order), bool)
    last[:-1] = (np.diff(found.entity[order]) != 0) | (np.diff(found.known_time[order]) != 0)
    return order[last]


def _join_entity_labels(
    log: EventLog,
    more: EventLog,
    ids: Mapping[str, pa.StringArray],
    codes: Mapping[str, np.ndarray],
) -> dict[str, EntityLabels]:
    joined = {}
    for kind in dict.fromkeys([*log.entity_labels, *more.entity_labels]):
        label = np.full(len(ids[kind]), UNLABELLED, np.int8)
        known = np.full(len(ids[kind]), NEVER, np.int64)
        if kind in log.entity_labels:
            mine = log.entity_labels[kind]
            label[: len(mine.label)], known[: len(mine.label)] = mine.label, mine.known_time
        if kind in more.entity_labels:
            theirs = more.entity_labels[kind]
            rows = codes[kind]
            holds = (theirs.known_time < known[rows]) | (label[rows] == UNLABELLED)
            rows = rows[holds]
            label[rows], known[rows] = theirs.label[holds], theirs.known_time[holds]
        joined[kind] = EntityLabels(label, known)
    return joined
