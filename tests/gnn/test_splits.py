"""Splits by hand: what is fitted, what chooses, what judges, and which labels stay hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gnn.splits import RandomSplit, TimeSplit, hide_labels, instant
from graphs.errors import ConfigError
from graphs.events import NEVER, UNLABELLED, EventLog, Role
from graphs.history import known_at

DAY = 86_400_000_000


@pytest.fixture
def ten_days(log_from_rows: Callable[..., EventLog]) -> EventLog:
    """One payment a day from 2025-01-01, each label known three days later."""
    start = instant("2025-01-01")
    rows = [
        {
            "id": f"p{d}",
            "type": "payment",
            "time": start + d * DAY,
            "label": d % 2,
            "label_known": start + (d + 3) * DAY,
        }
        for d in range(10)
    ]
    return log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment",))


def days(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def test_the_label_delay_stands_between_the_parts(ten_days: EventLog) -> None:
    split = TimeSplit(valid_from="2025-01-05", test_from="2025-01-09").apply(ten_days)
    assert days(split.fit) == [0, 1, 2, 3]
    assert days(split.valid) == [4, 5]
    assert days(split.refit) == [0, 1, 2, 3, 4, 5]
    assert days(split.test) == [8, 9]


def test_an_event_that_was_not_seen_by_the_cut_is_not_fitted(ten_days: EventLog) -> None:
    known = ten_days.event_time.copy()
    known[[1, 4, 5]] += np.array([5, 1, 5]) * DAY
    late = replace(ten_days, known_time=known)
    split = TimeSplit(valid_from="2025-01-05", test_from="2025-01-09").apply(late)
    assert days(split.fit) == [0, 2, 3] and days(split.valid) == [4] and days(split.refit) == [0, 1, 2, 3, 4]


def test_bad_news_that_came_early_is_not_fitted_alone(log_from_rows: Callable[..., EventLog]) -> None:
    """Frauds are known after a day, the rest after five: the newest known labels are all frauds."""
    rows = [
        {"id": f"{f}{d}", "type": "payment", "time": d * DAY, "label": f, "label_known": (d + (1 if f else 5)) * DAY}
        for d in range(20)
        for f in (0, 1)
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment",))
    refit = TimeSplit(test_from="1970-01-16").apply(log).refit
    assert log.event_time[refit].max() == 10 * DAY
    assert log.label[refit].mean() == 0.5


def young(log_from_rows: Callable[..., EventLog]) -> EventLog:
    """A fraud and an innocent payment a day, known after two days and after thirty: the tables of day 100."""
    rows = [
        {"id": f"{f}{d}", "type": "payment", "time": d * DAY, "label": f, "label_known": (d + (2 if f else 30)) * DAY}
        for d in range(100)
        for f in (0, 1)
    ]
    return known_at(log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment",)), 100 * DAY)


def test_what_only_bad_news_has_come_of_is_not_judged(
    log_from_rows: Callable[..., EventLog], caplog: pytest.LogCaptureFixture
) -> None:
    log = young(log_from_rows)
    split = TimeSplit(valid_share=0.0).apply(log)
    assert log.label[split.test].mean() == pytest.approx(0.5, abs=0.05)
    assert log.event_time[split.test].max() < split.told <= 71 * DAY
    assert "too young to be judged" in caplog.text
    with pytest.raises(ConfigError, match=r"the test part is empty: all 19 .*too young.*split.maturity_days"):
        TimeSplit(valid_share=0.0, test_from="1970-03-22").apply(log)


def test_labels_that_take_longer_than_there_are_days_are_told(log_from_rows: Callable[..., EventLog]) -> None:
    with pytest.raises(ConfigError, match=r"split.maturity_days: got 400; all labelled events are younger"):
        TimeSplit(maturity_days=400).apply(young(log_from_rows))


def test_labels_of_each_type_take_their_own_time(log_from_rows: Callable[..., EventLog]) -> None:
    """Few transfers among many payments: frauds among them are known after two days, innocents after sixty."""
    rows = [
        {"id": f"p{d}-{n}", "type": "payment", "time": d * DAY + n, "label": n % 2, "label_known": (d + 1) * DAY + n}
        for d in range(200)
        for n in range(30)
    ]
    rows += [
        {"id": f"t{f}{d}", "type": "transfer", "time": d * DAY, "label": f, "label_known": (d + (2 if f else 60)) * DAY}
        for d in range(200)
        for f in (0, 1)
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment", "transfer"))
    split = TimeSplit(test_from="1970-06-10").apply(log)
    transfer = log.event_type == 1
    assert log.label[split.refit & transfer].mean() == 0.5
    assert log.event_time[split.refit & ~transfer].max() >= 159 * DAY
    assert split.settled == 100 * DAY


def test_where_labels_end_before_the_events_the_test_part_does_too(log_from_rows: Callable[..., EventLog]) -> None:
    log = young(log_from_rows)
    cut = replace(log, label=np.where(log.label_known_time > 60 * DAY, UNLABELLED, log.label).astype(np.int8))
    split = TimeSplit(valid_share=0.0).apply(cut)
    assert split.told <= 31 * DAY and cut.label[split.test].mean() == pytest.approx(0.5, abs=0.1)


def test_of_a_type_with_bad_news_alone_nothing_has_settled(log_from_rows: Callable[..., EventLog]) -> None:
    """Transfers are new: frauds among them are known after two days, innocents after sixty."""
    rows = [
        {"id": f"p{d}-{f}", "type": "payment", "time": d * DAY, "label": f, "label_known": (d + 5) * DAY}
        for d in range(140)
        for f in (0, 1)
    ]
    rows += [
        {"id": f"t{f}{d}", "type": "transfer", "time": d * DAY, "label": f, "label_known": (d + (2 if f else 60)) * DAY}
        for d in range(60, 140)
        for f in (0, 1)
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment", "transfer"))
    split = TimeSplit(test_from="1970-04-11").apply(log)
    transfer = log.event_type == 1
    assert not (split.refit & transfer).any() and log.label[split.test & transfer].mean() == 0.5
    assert split.settled == 95 * DAY and split.told == 139 * DAY + 1
    today = known_at(log, 110 * DAY)
    judged = TimeSplit(valid_share=0.0).apply(today).test
    assert judged.any() and not (judged & (today.event_type == 1)).any()


def test_labels_that_stop_coming_are_hidden_from_each_part(ten_days: EventLog) -> None:
    split = TimeSplit(valid_from="2025-01-05", test_from="2025-01-09", labels_stop=True).apply(ten_days)
    assert days(split.fit_hidden) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert days(split.refit_hidden) == [6, 7, 8, 9]


def test_hidden_labels_are_never_known(ten_days: EventLog) -> None:
    hidden = hide_labels(ten_days, np.arange(10) == 4)
    assert days(hidden.label_known_time == NEVER) == [4]


def test_without_validation_the_epochs_are_fixed(ten_days: EventLog) -> None:
    split = TimeSplit(test_from="2025-01-09", valid_share=0).apply(ten_days)
    assert not split.has_validation
    assert days(split.refit) == [0, 1, 2, 3, 4, 5]


def test_an_empty_part_is_named(ten_days: EventLog) -> None:
    with pytest.raises(ConfigError, match="the fit part is empty"):
        TimeSplit(valid_from="2025-01-01", test_from="2025-01-09").apply(ten_days)


def test_nothing_settled_by_the_cut_is_said_so(ten_days: EventLog) -> None:
    with pytest.raises(ConfigError, match="nothing to train on"):
        TimeSplit(test_from="2025-01-02").apply(ten_days)


def test_a_range_without_labelled_events_is_told_with_where_they_lie(ten_days: EventLog) -> None:
    with pytest.raises(ConfigError, match=r"no labelled event from 2030.* they lie from 2025-01-01.* to 2025-01-10"):
        TimeSplit(train_from="2030-01-01").apply(ten_days)


def test_no_event_at_all_is_said_so(log_from_rows: Callable[..., EventLog]) -> None:
    nothing = log_from_rows([], roles=(Role("user", "user"),), event_types=("payment",))
    with pytest.raises(ConfigError, match="no event in the data"):
        TimeSplit(valid_from="2025-01-05", test_from="2025-01-09").apply(nothing)


@pytest.mark.parametrize("labels", [[0], [0, 1, 0, 0, 1], [0] * 30 + [1]])
def test_too_few_rows_to_draw_from_are_counted(labels: list[int], log_from_rows: Callable[..., EventLog]) -> None:
    rows = [
        {"id": f"p{i}", "type": "payment", "time": i * DAY, "label": label, "label_known": (i + 1) * DAY}
        for i, label in enumerate(labels)
    ]
    log = log_from_rows(rows, roles=(Role("user", "user"),), event_types=("payment",))
    counts = f"{sum(labels)} fraud, {len(labels) - sum(labels)} clean and 0 unlabelled rows are too few"
    with pytest.raises(ConfigError, match=counts):
        RandomSplit().apply(log)


def test_settings_of_a_split_are_told_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        RandomSplit(test_share=1.0, random_state=-1)
    assert str(caught.value).splitlines() == [
        "split.test_share: got 1.0, expected a share in (0, 1)",
        "split.random_state: got -1, expected 0 to 4294967295",
    ]
    with pytest.raises(ConfigError, match=r"split\.maturity_days: got -5, expected 0 or more, or null"):
        TimeSplit(maturity_days=-5)


def test_cuts_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="order of time"):
        TimeSplit(valid_from="2025-01-09", test_from="2025-01-05")


def test_a_random_split_hides_the_labels_it_judges_on(random_log: Callable[..., EventLog]) -> None:
    log = random_log(1, 400)
    split = RandomSplit(test_share=0.3).apply(log)
    assert split.test.sum() > 20
    assert (split.refit_hidden[split.test]).all()
    assert not split.refit_hidden[split.refit].any()


@pytest.mark.parametrize("text", ["2025-13-01", "yesterday", ""])
def test_what_is_no_instant_is_said_so(text: str) -> None:
    with pytest.raises(ConfigError, match="ISO date"):
        instant(text)
