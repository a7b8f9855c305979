"""Mappings as YAML gives them: short forms, defaults, and every problem at once under its own key."""

import math

import pytest
import yaml

from graphs.errors import ConfigError
from graphs.schema import DataSchema

SMALL = """
path: tx.csv
events:
  payment:
    time: ts
    roles: {user: user_id}
"""


def schema(text=SMALL, **changes):
    mapping = yaml.safe_load(text)
    table = mapping["events"]["payment"]
    for key, value in changes.items():
        (table if key not in TOP else mapping)[key] = value
    return DataSchema.from_config(mapping)


TOP = {
    "timezone", "dst", "csv", "null_values", "extra_null_values", "round_time", "root", "path", "time_unit",
    "id_normalisation", "max_rejects", "quarantine", "entities", "placeholders",
}  # fmt: skip


def problems(text=SMALL, **changes):
    with pytest.raises(ConfigError) as caught:
        schema(text, **changes)
    return str(caught.value).splitlines()


def test_short_forms_stand_for_the_long_ones():
    table = schema(roles={"user": "u", "receiver": {"column": "v", "type": "user"}}, label="l").events[0]
    assert [(role.name, role.column, role.entity_type) for role in table.roles] == [
        ("user", "u", "user"),
        ("receiver", "v", "user"),
    ]
    assert table.label.column == "l" and table.time.unit == "iso"


def test_a_table_without_a_path_takes_the_shared_one():
    assert schema(path=["a.csv", "b.csv"]).events[0].path == ("a.csv", "b.csv")
    assert schema(**{"root": "/data"}).resolve("tx.csv").as_posix() == "/data/tx.csv"


def test_a_role_or_table_set_to_null_is_not_there():
    assert [role.name for role in schema(roles={"user": "u", "device": None}).events[0].roles] == ["user"]


def test_yaml_booleans_in_label_words_mean_what_was_written():
    label = (
        schema(label=yaml.safe_load("{column: l, positive: [Yes, chargeback, '1'], negative: [No, 0]}")).events[0].label
    )
    assert {"yes", "true", "chargeback", "1"} <= label.positive
    assert {"no", "false", "0"} <= label.negative and "legit" not in label.negative


def test_a_word_given_for_one_side_leaves_the_default_of_the_other():
    label = schema(label={"column": "l", "negative": ["fraud"]}).events[0].label
    assert "fraud" in label.negative and "fraud" not in label.positive and "chargeback" in label.positive


def test_the_empty_text_is_always_null_and_extra_words_are_added():
    assert schema(null_values=["-"], extra_null_values=["Unknown"]).null_values == {"-", "unknown", ""}


def test_a_format_makes_a_column_text_whatever_the_unit_of_the_others():
    table = schema(time={"column": "t", "format": "%d/%m/%Y"}, known_time="k", time_unit="s").events[0]
    assert (table.time.unit, table.known_time.unit) == ("iso", "s")


@pytest.mark.parametrize("mark", [" ", "\u00a0", "\u202f"])
def test_every_space_may_be_declared_as_the_mark_of_thousands(mark):
    assert schema(csv={"thousands": mark}).csv.thousands == " "


def test_all_problems_are_told_at_once_with_their_keys_and_suggestions():
    told = problems(tiem="ts", label={"column": 3, "unknown": "dropp"}, timezone="Europe/Londn", csv={"decimal": ";"})
    assert any(line.startswith("data.events.payment.tiem: no such key; did you mean time?") for line in told)
    assert any(line.startswith("data.events.payment.label.column: expected text, got 3") for line in told)
    assert any(line.startswith("data.events.payment.label.unknown:") and "drop?" in line for line in told)
    assert any(line.startswith("data.timezone: 'Europe/Londn' is not a time zone") for line in told)
    assert any(line.startswith("data.csv.decimal: expected one of ., ,") for line in told)
    assert len(told) == 5


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"time": None}, "data.events.payment.time: missing"),
        ({"roles": {}}, "data.events.payment.roles: missing"),
        ({"path": None}, "data.events.payment.path: missing"),
        ({"path": "???"}, "data.path: required"),
        ({"numeric": "a", "post_event": ["a"]}, "data.events.payment.numeric: a is declared in post_event"),
        ({"categorical": ["l"], "label": "l"}, "data.events.payment.categorical: l is the label"),
        ({"numeric": ["a", "a"]}, "data.events.payment.numeric: names a twice"),
        ({"label": {"column": "l", "from": "t.csv"}}, "data.events.payment.label.key:"),
        ({"label_known": "k", "label_delay_days": 3}, "data.events.payment.label_delay_days: give this or"),
        ({"label_delay_days": -1}, "data.events.payment.label_delay_days: expected a number from 0 to 36525, got -1"),
        ({"label_delay_days": 1e9}, "data.events.payment.label_delay_days: expected a number from 0 to 36525"),
        ({"label_delay_days": math.inf}, "data.events.payment.label_delay_days: expected a number from 0 to 36525"),
        ({"label_delay_days": math.nan}, "data.events.payment.label_delay_days: expected a number from 0 to 36525"),
        ({"max_rejects": -1}, "data.max_rejects: expected a whole number from 0 on"),
        (
            {"label": {"column": "l", "positive": ["x"], "negative": ["X"]}},
            "data.events.payment.label.negative: 'x' is",
        ),
        ({"time": {"column": "t", "unit": "day"}}, "data.events.payment.time.unit: expected one of iso, min,"),
        ({"time": {"column": "t", "format": "%F %T %Z"}}, "data.events.payment.time.format: '%F %T %Z': %Z: names of"),
        ({"time": {"column": "t", "format": "%Q"}}, "data.events.payment.time.format: '%Q': %Q is not known"),
        ({"time": {"column": "t", "format": "%d/%m/%Y %"}}, "data.events.payment.time.format: '%d/%m/%Y %': % is not"),
        ({"time": {"column": "t", "format": ""}}, "data.events.payment.time.format: '': says no day"),
        ({"time": {"column": "t", "format": "%Y-%m"}}, "data.events.payment.time.format: '%Y-%m': says no day"),
        ({"time": {"column": "t", "format": "%F %I:%M"}}, "data.events.payment.time.format: '%F %I:%M': %I does not"),
        ({"time": {"column": "t", "format": "%F :%M"}}, "data.events.payment.time.format: '%F :%M': has minutes"),
        ({"time": {"column": "t", "format": "%F %H:%M %p"}}, "data.events.payment.time.format: '%F %H:%M %p': %p goes"),
        ({"time": {"column": "t", "format": "%F %p"}}, "data.events.payment.time.format: '%F %p': has minutes,"),
        ({"time": {"column": "t", "format": "%F %d"}}, "data.events.payment.time.format: '%F %d': names %d twice"),
        ({"time": {"column": "t", "unit": "s", "format": "%s"}}, "data.events.payment.time.format: give this or unit"),
        ({"extra_null_values": yaml.safe_load("[0000]")}, "data.extra_null_values: expected words, got the number 0;"),
        ({"null_values": [-1.5]}, "data.null_values: expected words, got the number -1.5; write it in quotes"),
        ({"placeholders": 7}, "data.placeholders: expected words, got the number 7; write it in quotes"),
        ({"csv": {"delimiter": ";;"}}, "data.csv.delimiter: expected one plain character"),
        ({"csv": {"encoding": "latin-99"}}, "data.csv.encoding: 'latin-99' is not an encoding"),
        ({"csv": {"thousands": "."}}, "data.csv.thousands:"),
        ({"round_time": "week"}, "data.round_time: expected one of second,"),
        ({"max_rejects": 1.5}, "data.max_rejects: expected a whole number"),
        ({"entities": {"user": {"path": "u.csv"}}}, "data.entities.user.id: missing"),
        ({"roles": {"score": "s"}}, "data.events.payment.roles.score: score is the name of a column"),
        (
            {"roles": {"buyer": {"column": "b", "type": "logit"}}},
            "data.events.payment.roles.buyer.type: logit is the name of a column that scoring or embedding writes; "
            "take another name than event_type, event_id, event_time,",
        ),
        (
            {"entities": {"is_new": {"path": "u.csv", "id": "i"}}},
            "data.entities.is_new: is_new is the name of a column",
        ),
        (
            {"roles": {"a/b": "x"}},
            "data.events.payment.roles.a/b: 'a/b' names files and pages, and so can hold none of / ",
        ),
        (
            {"roles": {"buyer": {"column": "b", "type": "a\\b"}}},
            "data.events.payment.roles.buyer.type: 'a\\\\b' names files",
        ),
        ({"entities": {"../x": {"path": "u.csv", "id": "i"}}}, "data.entities.../x: '../x' names files and pages"),
        ({"id": 7}, "data.events.payment.id: expected text, got 7; as text it is written"),
    ],
)
def test_a_problem_is_told_under_its_key(changes, start):
    assert any(line.startswith(start) for line in problems(**changes)), problems(**changes)


@pytest.mark.parametrize(
    ("format", "zone"),
    [("%Y%m%dT%H%M%SZ", "Z"), ("%d.%m.%Y %H:%M UTC", "UTC"), ("%T.%f gmt %F", "gmt"), ("%F %T+00", "+00"),
     ("%F %R -05:00", "-05:00"), ("%FZ", "Z"), ("(UTC) %F %R", "UTC"), ("%F-00 UTC", "UTC")],
)  # fmt: skip
def test_a_zone_in_a_format_is_no_plain_text(format, zone):
    (told,) = problems(time={"column": "t", "format": format})
    assert f"{zone} is a zone" in told and "write %z in its place" in told


@pytest.mark.parametrize(
    "format", ["%a %b %d %Y %T GMT%z", "%FT%T", "%d-%m-20%y %Hh%M", "%Y-%m%d:%H%M", "Z%Y%m%d", "%Y-%j-00"]
)
def test_other_plain_text_in_a_format_is_no_zone(format):
    assert schema(time={"column": "t", "format": format}).events[0].time.format == format


def test_the_name_of_an_event_table_is_no_path():
    told = problems(
        "path: x.csv\nevents: {payment: {time: t, roles: {user: u}}, pay/ment: {time: t, roles: {user: u}}}"
    )
    assert told == ["data.events.pay/ment: 'pay/ment' names files and pages, and so can hold none of / \\"]


def test_a_role_with_a_type_of_its_own_may_be_called_anything():
    assert schema(roles={"from/to": {"column": "u", "type": "user"}}).events[0].roles[0].name == "from/to"


def test_one_role_cannot_be_of_two_types():
    text = SMALL + "  transfer: {time: ts, roles: {user: {column: u, type: account}}}\n"
    assert "name the roles apart" in problems(text)[0]


@pytest.mark.parametrize("mapping", [{}, {"events": None}, {"events": []}, {"events": {}}, {"events": {"p": 3}}])
def test_a_mapping_that_is_none_is_told(mapping):
    with pytest.raises(ConfigError, match=r"data\.events"):
        DataSchema.from_config(mapping)


def test_a_value_that_identifies_somebody_is_masked():
    assert "4111111111111111" not in problems(timezone="4111111111111111")[0]
