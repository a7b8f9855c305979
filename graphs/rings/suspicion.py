"""`Suspicion`: how suspicious each event and each account is, from scores if there are any, and from known labels.

Scores come from a folder that `ringtrace score` wrote, from any table a user brings, or from nowhere: then every
account is as suspicious as the next and structure alone decides.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from graphs.errors import ConfigError, DataError, Fault, NotFoundError
from graphs.events import EventLog
from graphs.history import event_keys
from graphs.rings.window import Window

log = logging.getLogger(__name__)

PRIOR = 0.02
"""Suspicion of an account or event of which nothing is known: about the share of fraudsters among accounts."""

_CLEARED = 0.3
"""What is left of the suspicion of an event that matured clean: fraud that nobody reports ends as clean, too."""


@dataclass(frozen=True)
class ScoreTable:
    """Scores by the caller's keys: `events` (type, id, score) and `actors` (id, score), each a table or None.

    `source` tells in a word where they came from; `model_version` is the bundle's, if the tables name one.
    """

    source: str
    events: pa.Table | None = None
    actors: pa.Table | None = None
    model_version: str | None = None


NO_SCORES = ScoreTable("none")


@dataclass(frozen=True)
class Suspicion:
    """`event` (n,) in [0, 1] by event of the window, `actor` (actors,) in [0, 1] by code; `scored`: whether any score
    or known label stands behind them (else all are PRIOR).

    `grouping` (n,) is `event` as far as it counts when groups are formed: of an account with a score of its own, only
    what is known of its events. That score has weighed them already; the worst of many guesses is mostly error.
    """

    event: np.ndarray
    grouping: np.ndarray
    actor: np.ndarray
    scored: bool


def read_scores(path: Path | None, actor: str, as_of: int) -> ScoreTable:
    """Read a `ringtrace score` folder or one Parquet or CSV file with a `score` column and a key.

    The key is `event_id` (with `event_type`, if there are several types) or a column named after the actor's type or
    `entity_id`. Raises NotFoundError, DataError, and ConfigError where scores of accounts are of a later instant than
    `as_of`: they would know the future.
    """
    if path is None:
        return NO_SCORES
    if not path.exists():
        raise NotFoundError(f"scores: {path} does not exist; give a folder of `ringtrace score`, a Parquet or CSV file")
    if path.is_dir():
        tables = {name: path / f"{name}.parquet" for name in ("events", actor)}
        found = {name: pq.read_table(file) for name, file in tables.items() if file.is_file()}
        if not found:
            raise NotFoundError(f"scores: {path} has neither events.parquet nor {actor}.parquet; is it a score folder?")
    else:
        table = _read_csv(path, actor) if path.suffix == ".csv" else pq.read_table(path)
        found = {"events" if "event_id" in table.column_names else actor: table}
    events = _checked(found["events"], path, ("event_id",)) if "events" in found else None
    actors = None
    if actor in found:
        key = actor if actor in found[actor].column_names else "entity_id"
        actors = _checked(found[actor], path, (key,)).rename_columns(
            ["id" if name == key else name for name in found[actor].column_names]
        )
        _refuse_future(actors, as_of)
    versions = [table["model_version"][0].as_py() for table in found.values() if _has_version(table)]
    return ScoreTable(str(path.name), events, actors, versions[0] if versions else None)


def suspect(window: Window, actors: np.ndarray, scores: ScoreTable, actor: str) -> Suspicion:
    """Put scores and known labels on the window's events and accounts.

    A confirmed fraud counts 1; an event that matured clean keeps little of its score. An account is as suspicious as
    its own score (see `plausible`) or the mean of its two worst events, whichever is more; money received is an event
    of the receiver, too. `actors` (n,): who acted in each event.
    """
    count = len(window.log.entity_ids[actor])
    own = _actor_scores(window.log, scores, actor)
    said = _event_scores(window, scores)
    event, grouping = (
        np.where(window.label == 1, 1.0, np.where(window.label == 0, _CLEARED * each, each))
        for each in (said, np.where(np.append(~np.isnan(own), False)[actors], PRIOR, said))
    )
    involved = [actors, *_receivers(window, actor)]
    worst = _mean_of_two_worst(np.concatenate(involved), np.tile(grouping, len(involved)), count)
    known_fraud = bool((window.label == 1).any())
    scored = scores.events is not None or scores.actors is not None or known_fraud
    return Suspicion(event, grouping, np.maximum(np.where(np.isnan(own), PRIOR, plausible(own)), worst), scored)


def plausible(score: np.ndarray) -> np.ndarray:
    """Scores of accounts, brought down to what they can be if a share PRIOR of accounts is fraudulent: (accounts,).

    Of calibrated scores with mean m at most a share m / s reaches s (Markov), so a score that a share q of all reach
    or pass is at most PRIOR / q. Calibrated scores pass unchanged but for rounding; scores that call half the world
    fraudulent keep their order and lose their certainty. NaN stays NaN.
    """
    known = np.sort(score[~np.isnan(score)])
    share = 1 - np.searchsorted(known, score, side="left") / max(len(known), 1)
    return np.minimum(score, PRIOR / np.maximum(share, 1e-12))


def _receivers(window: Window, actor: str) -> list[np.ndarray]:
    """Accounts in each further role of their type, (n,) each: who did not act but was sent something."""
    slots = [slot for slot, role in enumerate(window.log.roles) if role.entity_type == actor]
    return [window.of_role(slot) for slot in slots[1:]]


def _event_scores(window: Window, scores: ScoreTable) -> np.ndarray:
    if scores.events is None:
        return np.full(len(window.events), PRIOR)
    ids = scores.events["event_id"].cast(pa.string())
    if "event_type" in scores.events.column_names:
        kinds = scores.events["event_type"].cast(pa.string())
        keys = pc.binary_join_element_wise(kinds, ids, "\x1f")
        asked = event_keys(window.log)
    elif len(window.log.event_types) == 1:
        keys, asked = ids, window.log.event_ids
    else:
        expected = ", ".join(window.log.event_types)
        raise ConfigError(f"scores: with several types of events an event_type column is needed; types: {expected}")
    found = _look_up(asked.take(pa.array(window.events)), keys, scores.events["score"])
    missing = int(np.isnan(found).sum())
    if missing:
        log.info("%d of %d events in the window have no score and count as ordinary", missing, len(found))
    return np.where(np.isnan(found), PRIOR, found)


def _actor_scores(events: EventLog, scores: ScoreTable, actor: str) -> np.ndarray:
    """(actors,) float64, NaN where the table has no score."""
    ids = events.entity_ids[actor]
    if scores.actors is None:
        return np.full(len(ids), np.nan)
    return _look_up(ids, scores.actors["id"].cast(pa.string()), scores.actors["score"])


def _look_up(asked: pa.Array, keys: pa.ChunkedArray, values: pa.ChunkedArray) -> np.ndarray:
    """The value of each key asked for, NaN where there is none; of a key given twice the first counts."""
    place = pc.index_in(asked, value_set=keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys)
    numbers = values.cast(pa.float64()).to_numpy()
    at = place.fill_null(-1).to_numpy()
    return np.where(at < 0, np.nan, numbers[at]) if len(numbers) else np.full(len(at), np.nan)


def _mean_of_two_worst(actors: np.ndarray, score: np.ndarray, count: int) -> np.ndarray:
    """Per actor the mean of its two most suspicious events, a missing second one counting PRIOR: (count,)."""
    there = np.flatnonzero(actors >= 0)
    first = np.full(count, PRIOR)
    np.maximum.at(first, actors[there], score[there])
    order = there[np.lexsort((-score[there], actors[there]))]
    seconds = order[1:][actors[order][1:] == actors[order][:-1]]
    starts = np.ones(len(seconds), bool)
    starts[1:] = actors[seconds][1:] != actors[seconds][:-1]
    second = np.full(count, PRIOR)
    second[actors[seconds[starts]]] = score[seconds[starts]]
    return (first + np.maximum(second, PRIOR)) / 2


def _read_csv(path: Path, actor: str) -> pa.Table:
    """Keys stay text: '007' is not 7."""
    keys = {name: pa.string() for name in (actor, "entity_id", "event_id", "event_type")}
    return pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=keys))


def _checked(table: pa.Table, path: Path, keys: tuple[str, ...]) -> pa.Table:
    lacking = [name for name in (*keys, "score") if name not in table.column_names]
    if lacking:
        there = ", ".join(table.column_names)
        what = f"has no column {' and no column '.join(lacking)}; there are: {there}"
        raise DataError([Fault("column_missing", path.name, None, what, "Name the key and the score like that")])
    score = table["score"].cast(pa.float64()).to_numpy()
    wrong = np.flatnonzero(~((score >= 0) & (score <= 1)))
    if len(wrong):
        fault = Fault(
            "score_range", path.name, "score", "not a probability", "Scores lie between 0 and 1: calibrate them first",
            len(wrong), tuple((wrong[:3] + 1).tolist()), tuple(str(score[row]) for row in wrong[:3]),
        )  # fmt: skip
        raise DataError([fault])
    return table


def _refuse_future(actors: pa.Table, as_of: int) -> None:
    if "event_timestamp" in actors.column_names and len(actors):
        latest = pc.max(actors["event_timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())).as_py()
        if latest > as_of:
            then, now = (np.datetime64(moment, "us") for moment in (latest, as_of))
            raise ConfigError(
                f"scores: of accounts as of {then}Z, later than as_of {now}Z; score again with that as_of"
            )


def _has_version(table: pa.Table) -> bool:
    return "model_version" in table.column_names and len(table) > 0
