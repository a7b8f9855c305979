"""Which events are fitted, which choose the epoch, which judge: cut by time, with labels that had matured.

At the moment a model is put to work only labels known by then exist. The training part keeps events whose label
was known when the validation part began, the validation part those known when the test part began: the same gap
that production has stands between fitting and judging.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from graphs.errors import ConfigError
from graphs.events import UNLABELLED, EventLog


@dataclass(frozen=True)
class Split:
    """Boolean masks (events,) and the instants (µs UTC) up to which labels may be looked at.

    `fit` with `fit_labels_until` finds the number of epochs on `valid`; `refit` with `refit_labels_until` trains
    the model that is judged on `test`. No mask of an earlier part meets a later one's events.
    """

    fit: np.ndarray
    valid: np.ndarray
    refit: np.ndarray
    test: np.ndarray
    fit_labels_until: int
    refit_labels_until: int

    def __post_init__(self) -> None:
        assert not (self.fit & self.valid).any() and not (self.refit & self.test).any()

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Events of each part, for the run record."""
        return {name: {"events": int(getattr(self, name).sum())} for name in ("fit", "valid", "refit", "test")}


@dataclass(frozen=True)
class TimeSplit:
    """Cut by instants, or by shares of the labelled events where instants are left out.

    `train_from`, `valid_from`, `test_from`, `test_until` are ISO dates or times (UTC), half-open. Without
    `test_from` the last `test_share` of the labelled events is the test part; without `valid_from` the last
    `valid_share` of what is known by then chooses the epoch. `labels_visible`: "matured" (as in production, a
    label shows once it is known) or "train" (no label that became known after `test_from` shows at all).
    """

    train_from: str | None = None
    valid_from: str | None = None
    test_from: str | None = None
    test_until: str | None = None
    test_share: float = 0.2
    valid_share: float = 0.15

    def __post_init__(self) -> None:
        for name in ("test_share", "valid_share"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"split.{name}: got {getattr(self, name)}, expected a share in (0, 1)")
        cuts = [
            instant(value) for value in (self.train_from, self.valid_from, self.test_from, self.test_until) if value
        ]
        if cuts != sorted(cuts):
            raise ConfigError("split: train_from, valid_from, test_from, test_until must be in order of time")

    def apply(self, log: EventLog) -> Split:
        """Masks for `log`; ConfigError where a part would be empty, naming it and the labels there are."""
        time, known = log.event_time, log.label_known_time
        labelled = log.label != UNLABELLED
        if not labelled.any():
            raise ConfigError("split: no labelled event in the data; map a label column in the data config")
        start = instant(self.train_from) if self.train_from else int(time[0])
        stop = instant(self.test_until) if self.test_until else int(time[-1]) + 1
        in_range = labelled & (time >= start) & (time < stop)
        test_from = instant(self.test_from) if self.test_from else _cut(time[in_range], 1 - self.test_share)
        test = in_range & (time >= test_from)
        refit = in_range & (time < test_from) & (known <= test_from)
        valid_from = instant(self.valid_from) if self.valid_from else _cut(time[refit], 1 - self.valid_share)
        valid = refit & (time >= valid_from)
        fit = refit & (time < valid_from) & (known <= valid_from)
        for name, mask in (("training", fit), ("validation", valid), ("test", test)):
            if not mask.any():
                raise ConfigError(
                    f"split: the {name} part is empty (labelled events {_iso(time[labelled][0])} to "
                    f"{_iso(time[labelled][-1])}; training before {_iso(valid_from)} with labels known by then, test "
                    f"from {_iso(test_from)}). Move the cuts, or check the label delay"
                )
        return Split(fit, valid, refit, test, valid_from, test_from)


def instant(text: str) -> int:
    """An ISO date or time as µs UTC; a zone-less one is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"'{text}' is not an ISO date or time such as 2018-07-25 or 2018-07-25T12:00:00Z") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


def _cut(times: np.ndarray, share: float) -> int:
    return int(times[min(int(len(times) * share), len(times) - 1)]) if len(times) else 0


def _iso(micros: int) -> str:
    return datetime.fromtimestamp(int(micros) / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
