"""Cells to values, each by a rule that can be checked by hand."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.events import MISSING, UNLABELLED
from graphs.schema import NULL_WORDS, CsvFormat, LabelColumn, TimeColumn
from graphs.values import as_text, category_text, parse_labels, parse_numbers, parse_times, read_keys

NULLS = frozenset(NULL_WORDS)
HOUR = 3_600_000_000
DAY = 24 * HOUR


def times(cells, *, timezone="UTC", dst="error", kind=None, nulls=NULLS, **column):
    return parse_times(pa.array(cells, kind), TimeColumn("t", **column), timezone=timezone, dst=dst, nulls=nulls)


def instant(text):
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


@pytest.mark.parametrize(
    "cell",
    [
        "2025-03-01T10:00:00Z",
        "2025-03-01t10:00z",
        "2025-03-01 10:00:00+00:00",
        "2025/03/01 10:00 UTC",
        " 2025-03-01T12:00:00+0200 ",
        "2025-03-01T05:00:00-05",
        "2025-03-01T15:30:00.000000 +05:30",
    ],
)
def test_ways_of_writing_one_instant(cell):
    assert times([cell], timezone=None).micros.tolist() == [1_740_823_200_000_000]


@pytest.mark.parametrize(
    "cell",
    [
        "2025-02-29T10:00:00Z", "2025-13-01T10:00:00Z", "2025-03-01T24:00:00Z", "2025-03-01T10:00:60Z", "01/03/2025",
        "2025-03-01T10:00:00.Z", "2025-03-01T10:00:00 Europe/London", "2025-3-1", "20250301", "yesterday", "1740823200",
        "2025-03-01T10", "0000-01-01", "1850-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "2025-03-01T10:00:00+9:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_bad_and_not_missing(cell):
    found = times([cell])
    assert found.bad.tolist() == [True]
    assert found.missing.tolist() == [False]


def test_digits_beyond_microseconds_are_cut_off():
    assert times(["1970-01-01T00:00:00.1234569Z"]).micros.tolist() == [123_456]


@pytest.mark.parametrize("cell", ["", " ", "NaN", "null", "N/A", None])
def test_null_words_are_missing_times(cell):
    assert times([cell], kind=pa.string()).missing.tolist() == [True]


def test_a_date_declared_as_null_is_missing():
    assert times(["1900-01-01", "2025-03-01"], nulls=NULLS | {"1900-01-01"}).missing.tolist() == [True, False]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        (["1900-01-01 00:00:00", "1900-01-01 00:00:01"], {}),
        (["1900/01/01T00:00:00.000Z", "1900-01-01 10:00Z"], {}),
        (["01.01.1900", "02.01.1900"], {"format": "%d.%m.%Y"}),
        ([datetime(1900, 1, 1), datetime(1900, 1, 2)], {}),
        ([datetime(1900, 1, 1, tzinfo=UTC), datetime(1900, 1, 2, tzinfo=UTC)], {}),
        ([datetime(1900, 1, 1).date(), datetime(1900, 1, 2).date()], {}),
        ([-2_208_988_800, -2_208_988_799], {"unit": "s"}),
    ],
)
@pytest.mark.parametrize("word", ["1900-01-01", "1900-01-01t00:00"])
def test_a_declared_date_is_missing_however_it_is_written(cells, column, word):
    found = times(cells, timezone="Europe/Madrid", nulls=NULLS | {word, "007", "x"}, **column)
    assert (found.missing.tolist(), found.bad.tolist()) == ([True, False], [False, False])


@pytest.mark.parametrize("word", ["1970-01-01 00:00:00 utc", "1970-01-01t02:00+02:00", "1970-01-01 00:00 gmt"])
def test_a_declared_instant_is_missing_however_it_is_written(word):
    cells = ["1970-01-01T00:00:00Z", "1970-01-01 00:00:00 UTC", "1970-01-01 01:00+01:00", "1970-01-02T00:00Z"]
    assert times(cells, nulls=NULLS | {word}).missing.tolist() == [True, True, True, False]
    assert times(["1970-01-01Z"], nulls=NULLS | {word}, format="%F%z").missing.tolist() == [True]


@pytest.mark.parametrize("unit", ["s", "ms", "ns"])
def test_a_declared_count_is_missing_however_it_is_written(unit):
    cells = ["-1", "-1.0", " -01.00", "0000", "0", "-2", "-1.5", "(1)"]
    found = times(cells, unit=unit, nulls=NULLS | {"-1", "0000"})
    assert found.missing.tolist() == [True] * 4 + [False] * 4 and found.bad.tolist() == [False] * 7 + [True]


def test_a_declared_time_that_no_event_can_have_is_missing():
    found = times(
        ["9999-12-31 00:00:00", "0001-01-01T00:00Z", "9999-12-30"], nulls=NULLS | {"9999-12-31", "0001-01-01"}
    )
    assert (found.missing.tolist(), found.bad.tolist()) == ([True, True, False], [False, False, True])


def test_a_time_without_a_zone_needs_one():
    found = times(["2025-03-01 10:00:00", "2025-03-01T10:00:00Z"], timezone=None)
    assert found.zoneless.tolist() == [True, False]
    assert times(["2025-03-01 10:00:00"], timezone="America/New_York").micros[0] == instant("2025-03-01T15:00:00Z")


def test_clock_times_shown_twice_or_never_are_told_apart_from_the_rest():
    found = times(
        ["2024-03-31 00:59:59", "2024-03-31 01:30:00", "2024-10-27 01:30:00", "2024-10-27 02:30:00"],
        timezone="Europe/London",
    )
    assert found.nonexistent.tolist() == [False, True, False, False]
    assert found.ambiguous.tolist() == [False, False, True, False]
    assert found.micros[[0, 3]].tolist() == [instant("2024-03-31T00:59:59Z"), instant("2024-10-27T02:30:00Z")]


@pytest.mark.parametrize(("dst", "hour"), [("earlier", "00"), ("later", "01")])
def test_a_choice_takes_the_earlier_or_the_later_instant(dst, hour):
    found = times(["2024-03-31 01:30:00", "2024-10-27 01:30:00"], timezone="Europe/London", dst=dst)
    assert found.micros.tolist() == [instant(f"2024-03-31T{hour}:30:00Z"), instant(f"2024-10-27T{hour}:30:00Z")]


def test_a_date_is_the_start_of_its_day_and_known_by_its_end():
    found = times(["2025-03-01"], timezone="Europe/Berlin")
    assert found.micros[0] == instant("2025-03-01T00:00:00+01:00")
    assert found.last[0] == found.micros[0] + DAY - 1


@pytest.mark.parametrize("cell", ["2025-03-10Z", "2025-03-10+02:00", "2025-03-10 UTC"])
def test_a_date_with_a_zone_is_known_by_the_end_of_its_day_there(cell):
    found = times([cell, "soon", ""], format="%Y-%m-%d %z", timezone="Europe/Madrid")
    start = instant("2025-03-10T00:00:00Z") - (2 * HOUR if "+" in cell else 0)
    assert (found.micros.tolist(), found.last.tolist()) == ([start, 0, 0], [start + DAY - 1, 0, 0])
    assert found.date_only.tolist() == [True, False, False] and found.fine.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("date", "zone", "start", "end"),
    [
        ("2025-10-26", "Europe/Madrid", "2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z"),
        ("2025-03-30", "Europe/Madrid", "2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z"),
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        ("2018-11-03", "America/Sao_Paulo", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
        ("2018-02-17", "America/Sao_Paulo", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"),
        ("2025-11-02", "America/Havana", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"),
        ("2025-03-09", "America/Havana", "2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"),
        ("2006-10-28", "America/St_Johns", "2006-10-28T02:30:00Z", "2006-10-29T03:30:00Z"),
    ],
)
def test_a_day_has_the_hours_that_its_zone_gives_it(date, zone, start, end):
    found = times([date, "2025-06-01"], timezone=zone)
    assert found.fine.all()
    assert (found.micros[0], found.last[0]) == (instant(start), instant(end) - 1)


@settings(max_examples=60)
@given(
    st.integers(-7_000, 24_000),
    st.sampled_from(["America/Havana", "Asia/Amman", "America/St_Johns", "Africa/Cairo", "Asia/Beirut", "Etc/UTC"]),
)
def test_a_day_is_where_the_zone_shows_its_date(day, zone):
    around = np.arange(day * DAY - DAY, day * DAY + 2 * DAY, 60_000_000)
    dates = [datetime.fromtimestamp(micros // 1_000_000, ZoneInfo(zone)).date() for micros in around.tolist()]
    shown = around[[(date - datetime(1970, 1, 1).date()).days == day for date in dates]]
    found = times(pa.array([day], pa.int32()).cast(pa.date32()), timezone=zone)
    assert (found.micros[0], found.last[0]) == (shown[0], shown[-1] + 60_000_000 - 1)


def test_a_day_that_a_zone_skipped_does_not_exist():
    assert times(["2011-12-30", "2011-12-31"], timezone="Pacific/Apia").nonexistent.tolist() == [True, False]


@pytest.mark.parametrize(
    ("cell", "unit", "micros"),
    [
        ("1740823200", "s", 1_740_823_200_000_000),
        ("29013720", "min", 1_740_823_200_000_000),
        ("1740823200.5", "s", 1_740_823_200_500_000),
        ("1740823200123", "ms", 1_740_823_200_123_000),
        ("1740823200123456", "us", 1_740_823_200_123_456),
        ("1740823200123456789", "ns", 1_740_823_200_123_456),
        ("-1", "s", -1_000_000),
        ("-1", "ns", -1),
        ("0", "s", 0),
    ],
)
def test_counts_since_1970_in_their_unit_as_text_and_as_numbers(cell, unit, micros):
    assert times([cell], unit=unit).micros.tolist() == [micros]
    if "." not in cell:
        assert times([int(cell)], unit=unit).micros.tolist() == [micros]


@pytest.mark.parametrize("kind", [pa.decimal128(38, 0), pa.decimal128(20, 6), pa.decimal256(60, 2)])
def test_counts_in_decimals_are_read_exactly(kind):
    cells = [Decimal("1740823200.5") if kind.scale else Decimal("1740823200"), None]
    found = times(cells, kind=kind, unit="s")
    assert found.micros[0] == 1_740_823_200_000_000 + (500_000 if kind.scale else 0)
    assert (found.missing.tolist(), found.bad.tolist()) == ([False, True], [False, False])
    assert times(cells, kind=kind).bad.tolist() == [True, False]
    assert times([Decimal(-1)], kind=kind, unit="s", nulls=NULLS | {"-1"}).missing.all()


@pytest.mark.parametrize("cell", ["1.7E9", "2025-03-01", "99999999999999999999", "1740823200000"])
def test_what_is_no_count_of_seconds_is_bad(cell):
    assert times([cell], unit="s").bad.tolist() == [True]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_what_is_too_large_for_an_instant_is_bad_and_no_other_instant(unit):
    count = 1_740_823_200 * 10 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    found = times([2**64 - 1, 2**63, count, None], kind=pa.uint64(), unit=unit)
    assert (found.bad.tolist(), found.missing.tolist()) == ([True, True, False, False], [False, False, False, True])
    assert found.micros[2] == instant("2025-03-01T10:00:00Z")
    assert times([2**64 - 1], kind=pa.uint64(), unit=unit, nulls=NULLS | {str(2**64 - 1)}).missing.all()


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_instants_of_parquet_that_do_not_fit_are_bad(unit):
    wrapping = 1_740_823_200_000_000 // 10 ** {"s": 6, "ms": 3}[unit] + 2**64 // 10 ** {"s": 6, "ms": 3}[unit] + 1
    found = times(pa.array([wrapping, None, 1_740_823_200]).cast(pa.timestamp(unit)))
    assert found.bad[0] and found.missing.tolist() == [False, True, False] and not found.bad[2]


def test_a_number_is_no_time_unless_a_unit_is_declared():
    assert times([1_740_823_200]).bad.tolist() == [True]


def test_own_formats():
    found = times(["01/03/2025 10:00", "2025-03-01"], format="%d/%m/%Y %H:%M")
    assert found.micros[0] == instant("2025-03-01T10:00:00Z")
    assert found.bad.tolist() == [False, True]
    assert times(["01.03.2025"], format="%d.%m.%Y").date_only.tolist() == [True]


@pytest.mark.parametrize(
    ("cell", "format"),
    [
        ("1/3/2025 9:05", "%d/%m/%Y %H:%M"), ("1/3/25 9:05 AM", "%d/%m/%y %I:%M %p"),
        ("1 MARCH 2025 09:05", "%d %B %Y %R"),
        ("Sat Mar  1 09:05:00 2025", "%a %b %e %H:%M:%S %Y"), ("20250301T090500.000", "%Y%m%dT%H%M%S.%f"),
        ("2025-060 9:05", "%Y-%j %k:%M"), ("03/01/25 09:05:00 am", "%D %r"), ("1740819900", "%s"),
        ("20250301T090500Z", "%Y%m%dT%H%M%S%z"), ("01.03.2025 09:05 utc", "%d.%m.%Y %H:%M %z"),
        ("Sat Mar 01 2025 10:05:00 GMT+0100", "%a %b %d %Y %T GMT%z"), ("2025-03-01 09:05 GMT", "%F %R %z"),
        ("2025-03-01 11:05:00 +02:00", "%F %T %z"), ("2025-03-01 04:05-0500", "%F %R%z"),
        ("100% 2025-03-01 9:05", "100%% %F %R"),
    ],
)  # fmt: skip
def test_one_instant_by_many_formats(cell, format):
    found = times([cell], format=format)
    assert found.micros.tolist() == [instant("2025-03-01T09:05:00Z")] and not found.date_only.any()


@pytest.mark.parametrize(
    ("cell", "format"),
    [
        ("31/02/2025 10:00", "%d/%m/%Y %H:%M"), ("29/02/2025", "%d/%m/%Y"), ("31/04/2025", "%d/%m/%Y"),
        ("00/04/2025", "%d/%m/%Y"), ("01/13/2025", "%d/%m/%Y"), ("2025-366", "%Y-%j"),
        ("01/03/2025 24:00", "%d/%m/%Y %R"),
        ("01/03/2025 10:60", "%d/%m/%Y %R"), ("01/03/2025 13:00 PM", "%d/%m/%Y %I:%M %p"), ("1032025", "%d%m%Y"),
        ("01/03/2025 10:00 +25:00", "%d/%m/%Y %R %z"), ("01/03/2025 10:00x", "%d/%m/%Y %R"),
    ],
)  # fmt: skip
def test_what_a_format_does_not_say_is_bad_and_never_another_day(cell, format):
    assert times([cell], format=format).bad.tolist() == [True]


def test_a_fraction_of_a_second_by_a_format_is_cut_to_microseconds():
    found = times(["01/03/2025 00:00:00.5", "01/03/2025 00:00:00.1234567"], format="%d/%m/%Y %T.%f")
    assert (found.micros - instant("2025-03-01T00:00:00Z")).tolist() == [500_000, 123_456]


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)),
    st.sampled_from(["%d/%m/%y %H:%M:%S.%f", "%B %d %Y %I:%M:%S.%f%p", "%Y%j%H%M%S%f"]),
)
def test_what_the_standard_library_writes_by_a_format_comes_back(moment, format):
    expected = round((moment - datetime(1970, 1, 1)).total_seconds() * 1e6)
    assert times([moment.strftime(format)], format=format).micros.tolist() == [expected]


@pytest.mark.parametrize("cells", [[20_250_228, None, 20_250_230], [20_250_228.0, math.nan, 20_250_230.5]])
def test_numbers_go_by_a_format_as_their_digits(cells):
    found = times(cells, format="%Y%m%d")
    assert found.micros[0] == instant("2025-02-28T00:00:00Z")
    assert (found.missing.tolist(), found.bad.tolist()) == ([False, True, False], [False, False, True])


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ns", tz="UTC"), pa.timestamp("us", tz="America/New_York"), pa.timestamp("s", tz="+05:30")]
)
def test_typed_instants_with_a_zone_are_taken_as_they_are(kind):
    array = pa.array([1_740_823_200, None]).cast(pa.timestamp("s", tz="UTC")).cast(kind)
    found = parse_times(array, TimeColumn("t"), timezone=None, dst="error", nulls=NULLS)
    assert found.micros.tolist() == [1_740_823_200_000_000, 0]
    assert found.missing.tolist() == [False, True]


def test_typed_dates_lose_the_time_of_day():
    array = pa.array([20_148], pa.int32()).cast(pa.date32())
    found = parse_times(array, TimeColumn("t"), timezone="UTC", dst="error", nulls=NULLS)
    assert (found.micros[0], found.date_only[0]) == (20_148 * DAY, True)


@settings(max_examples=200)
@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2037, 1, 1)),
    st.sampled_from(
        ["UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca"]
    ),
)
def test_clock_times_agree_with_the_standard_library(moment, zone):
    found = times([moment.isoformat(sep=" ")], timezone=zone, dst="earlier").micros[0]
    both = [moment.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    assert found == min(round((one - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) for one in both)


# ---------------------------------------------------------------------------------------------- numbers


def numbers(cells, *, nulls=NULLS, **csv):
    return parse_numbers(pa.array(cells), CsvFormat(**csv), nulls=nulls)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12.50", 12.5), ("-3", -3.0), ("+3", 3.0), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("1.5E-2", 0.015),
        ("1,234.56", 1234.56), ("$1,000", 1000.0), ("(25.00)", -25.0), ("€12.50", 12.5), ("12.50 €", 12.5),
        ("-£1,234,567", -1234567.0), ("($ 5)", -5.0), ("−7", -7.0), ("0.00", 0.0), ("007", 7.0),
        ("123456789012345678901", 123456789012345678901.0), ("0.1234567890123456789", 0.1234567890123456789),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(cell, value):
    assert numbers([cell]).values.tolist() == [value]


@pytest.mark.parametrize(("cell", "value"), [("1.234,56", 1234.56), ("1.000", 1000.0), ("12,5", 12.5), ("0,99", 0.99)])
def test_decimal_commas_when_declared(cell, value):
    assert numbers([cell], decimal=",").values.tolist() == [value]


@pytest.mark.parametrize(
    "cell",
    ["twelve", "12,5", "1,00", "1,0000", ",5", "1.2.3", "1,234,5", "1234,567", "$", "()", "(5", "5)", "--5", "$5€",
     "inf", "1e999", "0x10", "5%", "1 000", "e5", "1e", ".", "0,123", "-0,000", "00,123", "012,345.6"],
)  # fmt: skip
def test_what_is_no_number_is_bad_and_never_a_guess(cell):
    found = numbers([cell])
    assert found.bad.tolist() == [True]
    assert math.isnan(found.values[0])


@pytest.mark.parametrize(
    ("cell", "value"),
    [("12 €", 12.0), ("1 234 €", 1234.0), ("1\u00a0234,50\u00a0€", 1234.5), ("1\u202f234\u202f567", 1234567.0),
     ("€\u00a0-5", -5.0), ("-1 234,5 ", -1234.5), ("12345678901\u00a0€", 12345678901.0),
     ("1\u00a0234\u00a0567\u00a0890\u00a0123\u00a0456,75", 1234567890123456.75)],
)  # fmt: skip
def test_spaces_mark_thousands_when_declared(cell, value):
    found = numbers([cell], decimal=",", thousands=" ")
    assert found.values.tolist() == [value]


@pytest.mark.parametrize("cell", ["12 34", "1 234 5", "1  234", "0 123", "1 234\u00a05678", "1.234"])
def test_spaces_elsewhere_are_no_marks(cell):
    assert numbers([cell], decimal=",", thousands=" ").bad.tolist() == [True]


def test_a_no_break_space_before_a_sign_needs_no_declaration():
    assert numbers(["12,50\u00a0€", "1\u00a0000"], decimal=",").bad.tolist() == [False, True]


def test_a_fraction_with_the_wrong_mark_is_bad_and_not_a_thousandfold():
    assert numbers(["0.123", "1.123"], decimal=",").bad.tolist() == [True, False]


def test_null_words_are_missing_and_not_zero():
    found = numbers(["", "n/a", "0"])
    assert found.missing.tolist() == [True, True, False]
    assert found.bad.tolist() == [False, False, False]


def test_thousands_marks_and_currencies_are_noted():
    found = numbers(["1,000", "$5", "€5", "10"])
    assert found.grouped.tolist() == [True, False, False, False]
    assert found.currencies == {"$", "€"}


def test_a_declared_number_is_nothing():
    assert numbers(["-1", "1"], nulls=NULLS | {"-1"}).missing.tolist() == [True, False]
    assert numbers([-1, 1], nulls=NULLS | {"-1"}).missing.tolist() == [True, False]
    assert numbers(["-1.00", "9.50"], nulls=NULLS | {"-1", "9.5"}).missing.tolist() == [True, True]


@pytest.mark.parametrize("word", ["0000", "000000000000000", "00.0", "1e-400"])
def test_a_word_for_ids_takes_no_amount_away(word):
    assert not numbers([0, 0.0], nulls=NULLS | {word}).missing.any()
    assert numbers(["0", "0.00", word], nulls=NULLS | {word}).missing.tolist() == [False, False, True]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_python_wrote_is_read_exactly(value):
    assert numbers([repr(value)]).values.tolist() == [value]


@given(st.lists(st.text(alphabet="0123456789,.-+()$€ \u00a0\u202feE−'\x00x", max_size=12), min_size=1))
def test_any_text_is_a_number_or_missing_or_bad(cells):
    found = numbers(cells)
    assert (np.isfinite(found.values) ^ found.missing ^ found.bad).all()


@given(st.lists(st.text(alphabet="0123456789-/:TtZz+. UTC", max_size=30), min_size=1))
def test_any_text_is_a_time_or_missing_or_bad(cells):
    found = times(cells)
    assert (found.fine.astype(int) + found.missing + found.bad == 1).all()


# ---------------------------------------------------------------------------------------------- verdicts


def test_label_words_count_without_case_and_outer_spaces():
    label, unknown = parse_labels(pa.array(["Yes", "no ", "CHARGEBACK", "0", "", None]), LabelColumn("l"), nulls=NULLS)
    assert label.tolist() == [1, 0, 1, 0, UNLABELLED, UNLABELLED]
    assert not unknown.any()


@pytest.mark.parametrize("cells", [["1", "0"], [1, 0], [1.0, 0.0], [True, False], ["1.0", "0.0"]])
def test_labels_of_every_type(cells):
    assert parse_labels(pa.array(cells), LabelColumn("l"), nulls=NULLS)[0].tolist() == [1, 0]


def test_a_label_that_is_not_a_number_is_missing():
    label, unknown = parse_labels(pa.array([1.0, math.nan, None, 0.7]), LabelColumn("l"), nulls=frozenset({""}))
    assert label.tolist() == [1, UNLABELLED, UNLABELLED, UNLABELLED]
    assert unknown.tolist() == [False, False, False, True]


def test_a_word_that_is_not_listed_is_unknown_and_not_negative():
    label, unknown = parse_labels(pa.array(["disputed", "2", "0.7"]), LabelColumn("l"), nulls=NULLS)
    assert unknown.all() and (label == UNLABELLED).all()


# --------------------------------------------------------------------------------------------------- ids


def keys(cells, *, normalisation="trim", kind=None):
    found = read_keys(pa.array(cells, kind), nulls=NULLS, normalisation=normalisation)
    return [None if code == MISSING else found.values[int(code)].as_py() for code in found.codes]


def test_ids_stay_the_text_they_are():
    assert keys(["007", "7", "0007", "007", "7.0", "1e5"]) == ["007", "7", "0007", "007", "7.0", "1e5"]


def test_null_words_make_no_id():
    assert keys(["", "nan", "NaN", "NULL", "None", "N/A", None, " null ", "unknown"]) == [None] * 8 + ["unknown"]


def test_ids_are_trimmed_of_spaces_and_of_nothing_else():
    assert keys([" u1", "u1\u00a0", "U1", "\tu1"]) == ["u1", "u1", "U1", "\tu1"]
    assert keys([" u1", "U1"], normalisation="trim_lower") == ["u1", "u1"]
    assert keys([" u1", "null "], normalisation="none") == [" u1", None]


def test_whole_numbers_become_their_digits():
    assert keys([7, None, 12_345_678_901]) == ["7", None, "12345678901"]
    assert keys([7.0, None]) == ["7", None]


def test_decimals_are_ids_unless_they_have_a_fraction():
    text, bad = as_text(pa.array([Decimal("7.00"), None, Decimal("7.50")]))
    assert (text.to_pylist(), bad.tolist()) == (["7", None, None], [False, False, True])
    assert category_text(pa.array([Decimal("7.00"), None, Decimal("70.50")])).to_pylist() == ["7", None, "70.5"]
    labels, unknown = parse_labels(pa.array([Decimal("1.00"), Decimal("0.70")]), LabelColumn("l"), nulls=NULLS)
    assert (labels.tolist(), unknown.tolist()) == ([1, UNLABELLED], [False, True])


@pytest.mark.parametrize("cells", [[7.5], [1e300], [b"\xff"]])
def test_what_cannot_be_an_id_is_bad(cells):
    assert as_text(pa.array(cells))[1].tolist() == [True]


@given(st.lists(st.text(max_size=8)))
def test_ids_differ_exactly_where_their_trimmed_texts_do(cells):
    found = keys(cells, kind=pa.string())
    for cell, key in zip(cells, found, strict=True):
        assert key == cell.strip(" \u00a0") or cell.strip().lower() in NULLS
