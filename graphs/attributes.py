"""Entity attributes as of an instant: of each entity's versions, the last one known by then."""

from __future__ import annotations

import numpy as np
from numba import njit

from graphs.errors import NotFoundError
from graphs.events import MISSING, Categorical, EventLog
from graphs.windows import first_not_before


def attributes_as_of(
    log: EventLog, entity_type: str, entities: np.ndarray, times: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, Categorical]]:
    """Return the numeric (n,) float64 and categorical columns of entities[i] as known at times[i].

    `entities` (n,) codes, `times` (n,) int64 µs UTC. A version holds from its known_time on, that instant
    included, as a whole: an empty cell in it does not fall back to an older one. NaN and MISSING where there is
    no version yet or no entity; both dicts are empty for a type without an entity table.

    >>> numeric, categorical = attributes_as_of(log, "user", log.entities[:, 0], log.event_time)
    """
    if entity_type not in log.entity_ids:
        raise NotFoundError(f"entity type '{entity_type}': the log has {', '.join(log.entity_types)}")
    if entity_type not in log.attributes:
        return {}, {}
    found = log.attributes[entity_type]
    version = _version_at(found.entity, found.known_time, np.asarray(entities), np.asarray(times))
    known = version >= 0
    numeric = {}
    for name, column in found.numeric.items():
        numeric[name] = np.full(len(version), np.nan)
        numeric[name][known] = column[version[known]]
    categorical = {}
    for name, texts in found.categorical.items():
        codes = np.full(len(version), MISSING, np.int32)
        codes[known] = texts.codes[version[known]]
        categorical[name] = Categorical(codes, texts.values)
    return numeric, categorical


@njit(cache=True, nogil=True)
def _version_at(
    version_entity: np.ndarray, known_time: np.ndarray, entities: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """The row of the version that holds (n,) int64, MISSING if none; versions sorted by (entity, known_time)."""
    version = np.full(len(entities), MISSING, np.int64)
    for row in range(len(entities)):
        entity = entities[row]
        if entity < 0:
            continue
        start = first_not_before(version_entity, 0, len(version_entity), entity)
        stop = first_not_before(version_entity, start, len(version_entity), entity + 1)
        after = first_not_before(known_time, start, stop, times[row] + 1)
        if after > start:
            version[row] = after - 1
    return version
