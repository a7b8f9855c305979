"""Which events are fitted, which choose the epoch, which judge: cut by time, with labels that had matured.

At the moment a model is put to work only labels known by then exist, and the newest of those are the bad news:
frauds are reported within days, while the good name of a payment takes the whole chargeback period. So events
younger than the maturity period are not fitted at all, whatever is known of them; the same gap that production has
stands between fitting and judging, and again behind what is judged, where the tables end. What chooses the epoch lies
right behind what is fitted for it, by all labels known when the judged model is put to work: with a second gap hardly
anything would be left to fit (docs/decisions/0001).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from sklearn.model_selection import train_test_split

from graphs.errors import ConfigError, check_fields
from graphs.events import MICROSECONDS_PER_DAY, NEVER, UNLABELLED, EventLog

UNSETTLED = NEVER // 2
"""A maturity period longer than any (µs)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Boolean masks over events (events,).

    `fit` finds the number of epochs on `valid`, with the labels of `fit_hidden` never shown to anyone; `refit`
    trains the model that is judged on `test`, with those of `refit_hidden` never shown. `cut` (µs UTC) is the
    instant at which the judged model is put to work, `valid_cut` the one of the model that chooses; what is learnt
    begins at `start`, what is judged ends at `end`. Of the labels that were known by the cut nearly all of events
    before `settled` had arrived by then, of every type; of those in the tables, nearly all of events before `told`. In
    data without a single event label the masks are empty and only the instants count.
    """

    fit: np.ndarray
    valid: np.ndarray
    refit: np.ndarray
    test: np.ndarray
    fit_hidden: np.ndarray
    refit_hidden: np.ndarray
    valid_cut: int
    settled: int
    cut: int
    end: int
    start: int
    told: int

    def __post_init__(self) -> None:
        assert not (self.fit & self.valid).any(), "validation rows are never fitted"
        assert not (self.refit & self.test).any(), "test rows are never fitted"
        if not self.test.any() and not self.refit.any() and self.valid_cut <= self.cut < self.end:
            return
        needed = ("fit", "valid", "test") if self.has_validation else ("refit", "test")
        for name in needed:
            if not getattr(self, name).any():
                raise ConfigError(
                    f"split: the {name} part is empty (validation from {_iso(self.valid_cut)}, "
                    f"test from {_iso(self.cut)}; "
                    "a label counts only once it is known). Move the cuts, or check the label delay"
                )

    @property
    def has_validation(self) -> bool:
        """Whether validation rows choose the epoch; without, training runs just as long as it is told."""
        return self.valid_cut < self.cut or bool(self.valid.any())

    @property
    def random(self) -> bool:
        """Whether known and test rows lie among each other, drawn from the same stretch of time."""
        return self.cut == self.end

    @property
    def maturity(self) -> int:
        """µs within which the labels known by the cut had arrived."""
        return self.cut - self.settled

    @property
    def labels_stop(self) -> bool:
        """Whether labels that become known after the cut stay hidden from the test part."""
        return bool(self.refit_hidden.any())

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each part."""
        return {name: int(getattr(self, name).sum()) for name in ("fit", "valid", "refit", "test")}


@dataclass(frozen=True)
class TimeSplit:
    """Cut by instants, or by shares of the labelled events where instants are left out.

    `train_from`, `valid_from`, `test_from`, `test_until` are ISO dates or times (UTC), half-open. Without
    `test_from` the last `test_share` of the labelled events is the test part; without `valid_from` the last
    `valid_share` of what is known by then chooses the epoch (0: nothing does, training runs all its epochs).
    `maturity_days`: events younger than this at `test_from` are left out, and from the test part those younger than
    this when the newest label became known (null: of each type, the time within which 95 % of the labels known by then
    had arrived). `labels_stop`: no label that becomes known after a part's cut is shown to it at
    all; else labels go on showing as they mature, as they do in production.
    """

    train_from: str | None = None
    valid_from: str | None = None
    test_from: str | None = None
    test_until: str | None = None
    test_share: float = 0.2
    valid_share: float = 0.15
    maturity_days: float | None = None
    labels_stop: bool = False

    def __post_init__(self) -> None:
        days = self.maturity_days
        checks = {
            "test_share": (0 < self.test_share < 1, "a share in (0, 1)"),
            "valid_share": (0 <= self.valid_share < 1, "a share in [0, 1)"),
            "maturity_days": (days is None or 0 <= days < np.inf, "0 or more, or null"),
        }
        check_fields("split", self, checks)
        cuts = [instant(cut) for cut in (self.train_from, self.valid_from, self.test_from, self.test_until) if cut]
        if cuts != sorted(cuts):
            raise ConfigError("split: train_from, valid_from, test_from, test_until must be in order of time")

    def apply(self, log: EventLog) -> Split:
        """Masks for `log`; ConfigError where a part would be empty, naming it."""
        if not len(log):
            raise ConfigError("split: there is no event in the data; look into validation.json, which counts the rows")
        time, known = log.event_time, log.label_known_time
        labelled = log.label != UNLABELLED
        if not labelled.any() and not (self.test_from and (self.valid_from or self.valid_share == 0)):
            raise ConfigError(
                "split: no labelled event in the data; map a label column in the data config, or name valid_from and "
                "test_from for a task that asks about entities only"
            )
        start = instant(self.train_from) if self.train_from else int(time[0])
        stop = instant(self.test_until) if self.test_until else int(time[-1]) + 1
        in_range = labelled & (time >= start) & (time < stop)
        if labelled.any() and not in_range.any():
            first, last = time[labelled][[0, -1]]
            raise ConfigError(
                f"split: no labelled event from {_iso(start)} until {_iso(stop)}; they lie from {_iso(first)} to "
                f"{_iso(last)}. Move split.train_from or split.test_until"
            )
        newest, told_at = np.full(len(log.event_types), time[-1]), np.where(known == NEVER, time, known)
        for code in np.unique(log.event_type[labelled]):
            newest[code] = told_at[labelled & (log.event_type == code)].max()
        told = newest - self._maturity(log, in_range & (known < NEVER))
        judgeable = in_range & (time <= told[log.event_type])
        if in_range.any() and not judgeable.any():
            raise ConfigError(
                f"split.maturity_days: got {self.maturity_days:g}; all labelled events are younger than that when the "
                f"newest label became known ({_iso(newest[log.event_type[in_range]].max())}). Lower it, or bring older "
                "events"
            )
        cut = instant(self.test_from) if self.test_from else _at_share(time[judgeable], 1 - self.test_share)
        test = judgeable & (time >= cut)
        if left_out := int((in_range & (time >= cut) & ~test).sum()):
            _log.warning(
                "split: %d labelled events are too young to be judged: of events like them only the bad news has "
                "arrived; split.maturity_days says how long labels take", left_out,
            )  # fmt: skip
        refit = in_range & (log.visible_time < cut) & (known <= cut)
        settled = cut - self._maturity(log, refit)
        refit &= time <= settled[log.event_type]
        if labelled.any() and not refit.any():
            raise ConfigError(
                f"split: nothing to train on: no label of an event before {_iso(cut)} had settled by then. Move "
                "split.test_from, or check the label delay in the data config"
            )
        if self.valid_from is None and self.valid_share == 0:
            valid_cut = cut
        else:
            valid_cut = instant(self.valid_from) if self.valid_from else _at_share(time[refit], 1 - self.valid_share)
        valid = refit & (time >= valid_cut)
        fit = refit & (log.visible_time < valid_cut)
        nobody = np.zeros(len(log), bool)
        fit_hidden, refit_hidden = (known > valid_cut, known > cut) if self.labels_stop else (nobody, nobody)
        if left_out and not test.any():
            raise ConfigError(
                f"split: the test part is empty: all {left_out:,} labelled events from {_iso(cut)} on are too young to "
                "be judged, since of events like them only the bad news has arrived. Move split.test_from, or say by "
                "split.maturity_days how long labels take"
            )
        return Split(
            fit, valid, refit, test, fit_hidden, refit_hidden, valid_cut, _least(settled, cut), cut, stop, start,
            min(_least(told, int(time[-1])), int(time[-1])) + 1,
        )  # fmt: skip

    def _maturity(self, log: EventLog, known: np.ndarray) -> np.ndarray:
        """(event types,) µs after which a label counts as settled, from the delays of the `known` ones (events,). Of a
        type of which bad news alone is known nothing has settled, unless that is so of all: UNSETTLED."""
        found = np.zeros(len(log.event_types), np.int64)
        if self.maturity_days is not None:
            found[:] = round(self.maturity_days * MICROSECONDS_PER_DAY)
            return found
        delay, clean = log.label_known_time - log.event_time, known & (log.label == 0)
        for code in np.unique(log.event_type[known]):
            of_type = known & (log.event_type == code)
            found[code] = np.quantile(delay[of_type], 0.95, method="higher")
            if clean.any() and not clean[of_type].any():
                found[code] = UNSETTLED
        return found


@dataclass(frozen=True)
class RandomSplit:
    """Rows drawn at random, stratified by label, unlabelled ones included: the split of several published papers.

    It puts the future into training and is here to stand beside published numbers, not to judge a model. Labels
    of validation and test rows are never shown.
    """

    test_share: float = 0.2
    valid_share: float = 0.15
    random_state: int = 2

    def __post_init__(self) -> None:
        checks = {name: (0 < getattr(self, name) < 1, "a share in (0, 1)") for name in ("test_share", "valid_share")}
        checks["random_state"] = (0 <= self.random_state < 2**32, "0 to 4294967295")
        check_fields("split", self, checks)

    def apply(self, log: EventLog) -> Split:
        """Masks for `log`, drawn with scikit-learn's `train_test_split` over the rows in canonical order."""
        labelled = _labelled(log)
        rows = np.arange(len(log))
        classes = _classes(log)
        try:
            known, test_rows = train_test_split(
                rows, test_size=self.test_share, random_state=self.random_state, stratify=classes
            )
            _, valid_rows = train_test_split(
                known, test_size=self.valid_share, random_state=self.random_state, stratify=classes[known]
            )
        except ValueError as error:
            clean, fraud, unlabelled = np.bincount(classes, minlength=3)
            raise ConfigError(
                f"split: {fraud} fraud, {clean} clean and {unlabelled} unlabelled rows are too few for three parts "
                f"with rows of each (test_share={self.test_share:g}, valid_share={self.valid_share:g}). Set other "
                "shares, bring more rows, or cut by time with split=time"
            ) from error
        test, valid = np.zeros(len(log), bool), np.zeros(len(log), bool)
        test[test_rows], valid[valid_rows] = True, True
        end = int(log.event_time[-1]) + 1
        fit, refit = labelled & ~test & ~valid, labelled & ~test
        start = int(log.event_time[0])
        return Split(fit, valid & labelled, refit, test & labelled, test | valid, test, end, end, end, end, start, end)


def hide_labels(log: EventLog, hidden: np.ndarray) -> EventLog:
    """The same events with the labels of `hidden` (events,) never becoming known."""
    if not hidden.any():
        return log
    return replace(log, label_known_time=np.where(hidden, NEVER, log.label_known_time))


def _labelled(log: EventLog) -> np.ndarray:
    labelled = log.label != UNLABELLED
    if not labelled.any():
        raise ConfigError("split: no labelled event in the data; map a label column in the data config")
    return labelled


def _classes(log: EventLog) -> np.ndarray:
    """Labels with unlabelled as a class of its own, coded as published S-FFSD files do (0, 1, 2)."""
    return np.where(log.label == UNLABELLED, 2, log.label)


def instant(text: str) -> int:
    """An ISO date or time as µs UTC; a zone-less one is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"'{text}' is not an ISO date or time such as 2018-07-25 or 2018-07-25T12:00:00Z") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


def _at_share(times: np.ndarray, share: float) -> int:
    return int(times[min(int(len(times) * share), len(times) - 1)]) if len(times) else 0


def _least(settled: np.ndarray, otherwise: int) -> int:
    """The earliest instant of the types of which something has settled."""
    return int(settled[settled > -UNSETTLED // 2].min(initial=otherwise))


def _iso(micros: int) -> str:
    return datetime.fromtimestamp(int(micros) / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
