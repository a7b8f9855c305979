"""Labels that another table holds bring the time they became known along."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.errors import ConfigError, DataError
from graphs.events import NEVER
from graphs.ingest import ingest
from graphs.schema import DataSchema
from graphs.stores.models import instant, micros


def mapping(tmp_path, **label):
    given = {"from": "labels.parquet", "key": "event_id", "column": "label"} | label
    payment = {"path": "tx.parquet", "id": "id", "time": "ts", "roles": {"user": "user"}, "label": given}
    return {"root": str(tmp_path), "events": {"payment": payment}}


@pytest.fixture
def tables(tmp_path):
    days = [instant(day * 86_400_000_000) for day in range(10)]
    pq.write_table(pa.table({"id": ["a", "b", "c"], "ts": days[:3], "user": ["u", "u", "v"]}), tmp_path / "tx.parquet")
    told = pa.table({"event_id": ["a", "a", "b"], "label": [1, 1, 0], "since": [days[7], days[5], days[9]]})
    pq.write_table(told, tmp_path / "labels.parquet")
    return days


def test_a_label_counts_from_when_the_other_table_first_knew_it(tables, tmp_path):
    made = ingest(DataSchema.from_config(mapping(tmp_path, known="since")))
    assert made.log.label.tolist() == [1, 0, -1]
    assert made.log.label_known_time.tolist() == [micros(tables[5]), micros(tables[9]), NEVER]
    assert not [warning for warning in made.report.warnings if warning.code == "label-delay"]


def test_two_answers_to_when_are_one_too_many(tmp_path):
    both = mapping(tmp_path, known="since")
    both["events"]["payment"]["label_known"] = "ts"
    with pytest.raises(ConfigError, match=r"label.known: give this or label_known"):
        DataSchema.from_config(both)


def test_known_belongs_to_another_table(tmp_path):
    own = mapping(tmp_path)
    own["events"]["payment"]["label"] = {"column": "label", "known": "since"}
    with pytest.raises(ConfigError, match="known: is a column of the table that `from` names"):
        DataSchema.from_config(own)


def test_rows_the_other_table_does_not_mention_are_negative_a_delay_after_the_event(tables, tmp_path):
    config = mapping(tmp_path, known="since", absent="negative")
    config["events"]["payment"]["label_delay_days"] = 3
    made = ingest(DataSchema.from_config(config))
    assert made.log.label.tolist() == [1, 0, 0]
    assert made.log.label_known_time.tolist() == [micros(tables[day]) for day in (5, 9, 2 + 3)]
    assert not made.report.warnings


def test_without_a_delay_such_rows_are_never_known_and_the_report_says_what_to_set(tables, tmp_path):
    made = ingest(DataSchema.from_config(mapping(tmp_path, known="since", absent="negative")))
    assert made.log.label.tolist() == [1, 0, 0] and made.log.label_known_time[2] == NEVER
    (warning,) = made.report.warnings
    assert (warning.code, warning.rows) == ("label-time", (3,))
    assert "data.events.payment.label_delay_days" in warning.remedy


def test_a_delay_for_absent_rows_needs_absent_rows_with_a_label(tmp_path):
    config = mapping(tmp_path, known="since")
    config["events"]["payment"]["label_delay_days"] = 3
    with pytest.raises(ConfigError, match=r"payment\.label_delay_days: beside label\.known it is for the rows"):
        DataSchema.from_config(config)


def test_faults_of_the_other_table_name_the_keys_that_mend_them(tables, tmp_path):
    told = pa.table({"event_id": ["a", None], "label": ["perhaps", "1"], "since": ["2025-03-01T10:00Z"] * 2})
    pq.write_table(told, tmp_path / "labels.parquet")
    with pytest.raises(DataError) as raised:
        ingest(DataSchema.from_config(mapping(tmp_path, known="since")))
    label, nobody = sorted(raised.value.faults, key=lambda fault: fault.code)
    assert "data.events.payment.label.positive, negative" in label.remedy
    assert "data.events.payment.label.unknown=drop" in label.remedy
    assert nobody.message == "a row without an id"


@pytest.mark.parametrize(
    ("given", "key"), [("key", "label.key to"), ("column", "label.column to"), ("known", "label.known.column to")]
)
def test_a_column_that_the_other_table_lacks_is_told_under_its_key(tables, tmp_path, given, key):
    config = mapping(tmp_path, **({"known": "since"} | {given: "nowhere"}))
    with pytest.raises(DataError) as raised:
        ingest(DataSchema.from_config(config))
    (fault,) = raised.value.faults
    assert f"data.events.payment.{key} the right column" in fault.remedy
    assert ("null" in fault.remedy) == (given == "known")


def test_the_id_of_an_entity_table_cannot_be_null_and_nobody_is_told_to(tables, tmp_path):
    config = mapping(tmp_path)
    with pytest.raises(DataError) as raised:
        ingest(DataSchema.from_config(config | {"entities": {"user": {"path": "tx.parquet", "id": "nobody"}}}))
    assert raised.value.faults[0].remedy == "Set data.entities.user.id to the right column."
