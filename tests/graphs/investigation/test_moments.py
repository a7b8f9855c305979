"""Instants as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from graphs.errors import ConfigError
from graphs.investigation.moments import long_clock, read_moment


@pytest.mark.parametrize(("text", "hour"), [
    ("2025-03-01", 0), ("2025-03-01T10:00", 10), ("2025-03-01T10:00Z", 10), (" 2025-03-01T12:00+02:00 ", 10),
])  # fmt: skip
def test_times_are_in_utc_unless_they_say_otherwise(text, hour):
    assert read_moment(text) == datetime(2025, 3, 1, hour, tzinfo=UTC)


@pytest.mark.parametrize(("text", "ago"), [("36h", timedelta(hours=36)), ("7d", timedelta(days=7))])
def test_how_long_ago_counts_from_now(text, ago):
    assert abs(datetime.now(UTC) - ago - read_moment(text)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "text", ["", "soon", "7", "7w", "-1d", "99999999999d", "999999d", "2025-02-30", "0001-01-01T00:00+14:00"]
)
def test_what_is_no_time_is_told(text):
    with pytest.raises(ConfigError, match="write a time like"):
        read_moment(text)


def test_a_sentence_has_the_day_without_a_zero():
    assert long_clock(datetime(2025, 3, 1, 9, 5)) == "1 March 2025 09:05 UTC"
