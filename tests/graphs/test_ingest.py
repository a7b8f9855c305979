"""Tables to a log: canonical order, entities, labels and clocks, duplicates, quarantine, and nothing lost."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.errors import DataError, NotFoundError, RingtraceError
from graphs.events import ALWAYS, MISSING, NEVER, UNLABELLED
from graphs.history import with_labels_of
from graphs.ingest import canonical_order, ingest
from graphs.schema import DataSchema
from graphs.store import fingerprint

HOUR = 3_600_000_000
DAY = 24 * HOUR
PAYMENT = {"id": "id", "time": "t", "roles": {"user": "u", "device": "d"}}


@pytest.fixture
def read(tmp_path):
    """Write tables given as CSV lines and ingest them: files={name: text}, events={name: mapping}, …"""

    def reading(files, *, events=None, **options):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        events = events or {"payment": {**PAYMENT, "path": list(files)}}
        return ingest(DataSchema.from_config({"root": str(tmp_path), "timezone": "UTC", "events": events, **options}))

    return reading


def lines(*rows, header="id,t,u,d"):
    return "\n".join([header, *rows]) + "\n"


def keys(log, role):
    place = [r.name for r in log.roles].index(role)
    ids = log.entity_ids[log.roles[place].entity_type]
    return [None if code == MISSING else ids[int(code)].as_py() for code in log.entities[:, place]]


def faults_of(raised):
    return {(fault.code, fault.column): fault for fault in raised.value.faults}


def test_rows_are_ordered_by_time_type_and_id_and_codes_by_first_appearance(read):
    later = lines("b,2025-03-02,u2,d1", "a,2025-03-02,u3,", "c,2025-03-01,u1,d9")
    log = read({"t.csv": later}).log
    assert log.event_ids.to_pylist() == ["c", "a", "b"]
    assert log.entity_ids["user"].to_pylist() == ["u1", "u3", "u2"]
    assert log.entities.tolist() == [[0, 0], [1, MISSING], [2, 1]]


def test_the_order_of_rows_files_and_columns_does_not_matter(read):
    rows = ["1,2025-03-01,u1,d1", "2,2025-03-01,u2,d1", "3,2025-02-01,u1,", "4,2025-03-01T10:00Z,u3,d2"]
    first = read({"a.csv": lines(*rows)}).log
    turned = ["{3},{2},{1},{0}".format(*row.split(",")) for row in rows[::-1]]
    events = {"payment": {**PAYMENT, "path": ["b.csv", "c.csv"]}}
    files = {"b.csv": lines(*turned[:1], header="d,u,t,id"), "c.csv": lines(*turned[1:], header="d,u,t,id")}
    assert fingerprint(read(files, events=events).log) == fingerprint(first)


def test_event_types_sort_by_name_and_share_entities(read):
    transfer = {"id": "id", "time": "t", "roles": {"sender": {"column": "a", "type": "user"},
                                                   "receiver": {"column": "b", "type": "user"}}}  # fmt: skip
    events = {"transfer": {**transfer, "path": "t.csv"}, "payment": {**PAYMENT, "path": "p.csv"}}
    files = {"t.csv": lines("1,2025-03-01,x,y", header="id,t,a,b"), "p.csv": lines("1,2025-03-01,y,d1")}
    log = read(files, events=events).log
    assert log.event_types == ("payment", "transfer") and log.event_type.tolist() == [0, 1]
    assert [role.name for role in log.roles] == ["sender", "receiver", "user", "device"]
    assert log.entity_ids["user"].to_pylist() == ["y", "x"]
    assert log.entities.tolist() == [[MISSING, MISSING, 0, 0], [1, 0, MISSING, MISSING]]


def test_the_three_clocks(read):
    header = "id,t,u,d,k,l,lk"
    text = lines("1,2025-03-01T10:00Z,u,d,2025-03-02T00:00Z,1,2025-03-05", "2,2025-03-01T10:00Z,u,d,,,", header=header)
    table = {**PAYMENT, "path": "t.csv", "known_time": "k", "label": "l", "label_known": "lk"}
    log = read({"t.csv": text}, events={"payment": table}).log
    assert ((log.known_time - log.event_time) // HOUR).tolist() == [14, 0]
    assert log.label.tolist() == [1, UNLABELLED]
    # A date is known by its last microsecond.
    assert log.label_known_time.tolist() == [log.known_time[0] + 4 * DAY - 1, NEVER]


def test_a_table_read_without_its_label_needs_no_label_columns(read):
    table = {**PAYMENT, "path": "t.csv", "label": None, "label_known": "lk"}
    log = read({"t.csv": lines("1,2025-03-01,u,d")}, events={"payment": table}).log
    assert log.label.tolist() == [UNLABELLED] and log.label_known_time.tolist() == [NEVER]


def test_a_delay_says_when_labels_are_known(read):
    text = lines("1,2025-03-01T10:00Z,u,d,yes", header="id,t,u,d,l")
    events = {"payment": {**PAYMENT, "path": "t.csv", "label": "l", "label_delay_days": 0.5}}
    log = read({"t.csv": text}, events=events).log
    assert log.label_known_time[0] - log.event_time[0] == 12 * HOUR


def test_a_delay_counts_from_when_the_event_was_known(read):
    seen = ["1,2025-03-01T10:00Z,u,d,1,2025-03-01T22:00Z", "2,2025-03-02T10:00Z,u,d,0,", "3,2025-03-03,u,d,0,"]
    table = {**PAYMENT, "path": "t.csv", "known_time": "k", "label": "l", "label_delay_days": 1}
    log = read({"t.csv": lines(*seen, header="id,t,u,d,l,k")}, events={"payment": table}).log
    assert (log.label_known_time - log.event_time).tolist() == [36 * HOUR, 24 * HOUR, 2 * DAY - 1]


def test_rounding_takes_times_down_and_never_forward(read):
    log = read({"t.csv": lines("1,2025-03-01T10:59:59.9Z,u,d")}, round_time="hour").log
    assert log.event_time[0] % DAY == 10 * HOUR and log.known_time[0] == log.event_time[0]


def test_features_over_tables_are_empty_where_a_table_lacks_them(read):
    events = {
        "login": {**PAYMENT, "path": "l.csv", "categorical": ["os"]},
        "payment": {**PAYMENT, "path": "p.csv", "amount": "a", "numeric": ["n"], "categorical": ["os"]},
    }
    files = {
        "l.csv": lines("1,2025-03-01,u,d,linux", header="id,t,u,d,os"),
        "p.csv": lines("1,2025-03-02,u,d,2.50,7,bsd", header="id,t,u,d,a,n,os"),
    }
    log = read(files, events=events).log
    np.testing.assert_array_equal(log.amount, [np.nan, 2.5])
    np.testing.assert_array_equal(log.numeric["n"], [np.nan, 7])
    assert (log.categorical["os"].values.to_pylist(), log.categorical["os"].codes.tolist()) == (
        ["bsd", "linux"],
        [1, 0],
    )


def test_entity_tables_add_entities_attributes_and_labels(read):
    user = {"path": "u.csv", "id": "id", "known_time": "since", "numeric": ["n"], "categorical": ["tier"]}
    table = lines("u9,2025-01-01T00:00Z,1,gold", "u1,,2,", "u1,2025-01-02T00:00Z,3,basic", header="id,since,n,tier")
    events = {"payment": {**PAYMENT, "path": "t.csv"}}
    files = {"t.csv": lines("1,2025-03-01,u1,d"), "u.csv": table}
    ingested = read(files, events=events, entities={"user": user})
    log, held = ingested.log, ingested.log.attributes["user"]
    assert log.entity_ids["user"].to_pylist() == ["u1", "u9"]
    assert held.entity.tolist() == [0, 0, 1]
    assert held.numeric["n"].tolist() == [3, 2, 1] and held.categorical["tier"].codes.tolist() == [0, MISSING, 1]
    # What nobody knows the time of must not be seen by the past.
    assert held.known_time[1] == NEVER
    (warning,) = [warning for warning in ingested.report.warnings if warning.code == "never-known"]
    assert (warning.column, warning.rows) == ("since", (2,)) and "1970-01-01" in warning.remedy


def test_entities_of_a_table_without_a_known_time_hold_from_the_start(read):
    files = {"t.csv": lines("1,2025-03-01,u1,d"), "u.csv": "id,n\nu1,2\n"}
    user = {"path": "u.csv", "id": "id", "numeric": ["n"]}
    log = read(files, events={"payment": {**PAYMENT, "path": "t.csv"}}, entities={"user": user}).log
    assert log.attributes["user"].known_time.tolist() == [ALWAYS]


def test_categories_with_fractions_are_written_out_in_tables_of_both_kinds(read, tmp_path):
    own = {"t": ["2025-03-01", "2025-03-02", "2025-03-03"], "d": ["d"] * 3}
    numbers = {"c": [0.5, 1.5, 2.0], "f": pa.array([0.1, None, 1e20], pa.float32())}
    pq.write_table(pa.table({"id": ["1", "2", "3"], "u": ["u1", "u2", "u3"], **own, **numbers}), tmp_path / "t.parquet")
    events = {"payment": {**PAYMENT, "path": "t.parquet", "categorical": ["c", "f"]}}
    log = read({}, events=events, entities={"user": {"path": "t.parquet", "id": "u", "categorical": ["c"]}}).log
    for column in (log.categorical["c"], log.attributes["user"].categorical["c"]):
        assert column.values.to_pylist() == ["0.5", "1.5", "2"] and column.codes.tolist() == [0, 1, 2]
    assert log.categorical["f"].values.to_pylist() == ["0.1", "1e+20"]
    assert log.categorical["f"].codes.tolist() == [0, MISSING, 1]


def test_categories_that_are_lists_or_structs_are_faults(read, tmp_path):
    columns = {"id": ["1", "2"], "t": ["2025-03-01"] * 2, "u": ["u", "v"], "d": ["d"] * 2}
    pq.write_table(pa.table({**columns, "c": [[1], None], "s": [None, {"a": 1}]}), tmp_path / "t.parquet")
    events = {"payment": {**PAYMENT, "path": "t.parquet", "categorical": ["c"]}}
    with pytest.raises(DataError) as raised:
        read({}, events=events, entities={"user": {"path": "t.parquet", "id": "u", "categorical": ["s"]}})
    found = {key: fault.rows for key, fault in faults_of(raised).items()}
    assert found == {("category-type", "c"): (1,), ("category-type", "s"): (2,)}


def test_entity_labels_are_one_verdict_each(read):
    user = {"path": "u.csv", "id": "id", "label": "l", "label_known": "lk"}
    files = {"t.csv": lines("1,2025-03-01,u1,d"), "u.csv": lines("u1,1,2025-01-01T00:00Z", "u2,0,", header="id,l,lk")}
    labels = read(files, events={"payment": {**PAYMENT, "path": "t.csv"}}, entities={"user": user}).log.entity_labels
    assert labels["user"].label.tolist() == [1, 0]
    assert labels["user"].known_time.tolist() == [1_735_689_600_000_000, NEVER]


def test_labels_may_stand_in_another_table(read):
    label = {"from": "truth.csv", "key": "tx", "column": "fraud", "absent": "negative"}
    events = {"payment": {**PAYMENT, "path": "t.csv", "label": label, "label_delay_days": 0}}
    files = {"t.csv": lines("a,2025-03-01,u,d", "b,2025-03-02,u,d"), "truth.csv": "tx,fraud\nb,true\nz,true\n"}
    assert read(files, events=events).log.label.tolist() == [0, 1]
    files["truth.csv"] = "tx,fraud\nb,true\nb,false\n"
    with pytest.raises(DataError, match="a positive and a negative label"):
        read(files, events=events)
    label["from"] = "*truth.csv"
    files |= {"1truth.csv": "tx,fraud\na,true\n", "truth.csv": "tx,fraud\nc,true\nb,true\nb,false\n"}
    with pytest.raises(DataError) as raised:
        read(files, events=events)
    (fault,) = raised.value.faults
    assert fault.file.endswith("/truth.csv") and (fault.rows, fault.values) == ((2, 3), ("b",))


def test_ids_of_a_label_table_that_meet_no_row_are_told(read):
    label = {"from": "truth.csv", "key": "tx", "column": "fraud", "absent": "negative"}
    payment = {**PAYMENT, "path": "t.csv", "label": label, "label_delay_days": 0}
    files = {
        "t.csv": lines("7,2025-03-01T10:00Z,u,d", "8,2025-03-02T10:00Z,u,d"),
        "truth.csv": "tx,fraud\n8,1\n007,1\n9,0\n",
    }
    (warning,) = read(files, events={"payment": payment}).report.warnings
    assert (warning.code, warning.column, warning.rows, warning.values) == ("label-ids", "tx", (2, 3), ("007", "9"))
    assert warning.file.endswith("truth.csv") and "2 of the 3 ids have no row in data.events.payment" in str(warning)
    files["truth.csv"] = "tx,fraud\n007,1\n"
    (warning,) = read(files, events={"payment": payment}).report.warnings
    assert "no id has a row in data.events.payment" in str(warning)


def test_one_label_table_for_several_tables_is_asked_what_none_of_them_has(read):
    label = {"from": "truth.csv", "key": "tx", "column": "fraud"}
    table = {**PAYMENT, "label": label, "label_delay_days": 0}
    files = {"p.csv": lines("7,2025-03-01T10:00Z,u,d"), "l.csv": lines("8,2025-03-02T10:00Z,u,d")}
    files["truth.csv"] = "tx,fraud\n8,1\n"
    events = {"payment": {**table, "path": "p.csv"}, "login": {**table, "path": "l.csv"}}
    assert read(files, events=events).report.warnings == ()


def told_elsewhere(read, rows, *, header="tx,fraud", **label):
    """Events a to d of one table whose labels stand in another, given as CSV lines."""
    given = {"from": "truth.csv", "key": "tx", "column": "fraud", "absent": "negative"} | label
    payment = {**PAYMENT, "path": "t.csv", "label": given, "label_delay_days": None if "known" in label else 3}
    files = {
        "t.csv": lines(*(f"{name},2025-03-01T10:00Z,u,d" for name in "abcd")),
        "truth.csv": lines(*rows, header=header),
    }
    return lambda **options: read(files, events={"payment": payment}, **options)


def test_a_label_table_without_rows_names_nobody(read):
    log = told_elsewhere(read, [])().log
    assert log.label.tolist() == [0] * 4 and (log.label_known_time - log.event_time == 3 * DAY).all()
    assert told_elsewhere(read, [], absent="unlabelled")().log.label.tolist() == [UNLABELLED] * 4


def test_times_of_labels_are_looked_at_wherever_labels_and_times_stand(read):
    rows = ["1,2025-03-01T10:00Z,u,d,1,", "2,2025-03-01T10:00Z,u,d,0,2025-02-01", "3,2025-03-01T10:00Z,u,d,,"]
    files = {"t.csv": lines(*rows, header="id,t,u,d,l,k"), "l.csv": "tx,y,since\n1,1,\n2,0,2025-02-01\n3,,\n"}
    source = {"from": "l.csv", "key": "tx", "column": "y"}
    for table in ({"label": "l", "label_known": "k"}, {"label": source, "label_known": "k"},
                  {"label": source | {"known": "since"}}):  # fmt: skip
        report = read(files, events={"payment": {**PAYMENT, "path": "t.csv", **table}}).report
        found = {fault.code: fault for fault in report.warnings}
        assert set(found) == {"label-time", "early-label"}, table
        assert found["label-time"].rows == (1,) and found["early-label"].rows == (2,)
        assert (found["label-time"].column, found["early-label"].column) == (
            ("k", "k") if "label_known" in table else ("since", None)
        )
        assert found["early-label"].file.endswith("t.csv")
        assert found["early-label"].values == ("2025-02-01T23:59:59.999999Z",)


def test_whom_a_rejected_row_of_a_label_table_names_has_no_label(read, tmp_path):
    reading = told_elsewhere(read, ["a,1", "b,maybe", "c,1", "c,maybe", "x,0"])
    with pytest.raises(DataError, match="label not understood"):
        reading()
    ingested = reading(quarantine=str(tmp_path / "q"))
    assert ingested.log.label.tolist() == [1, UNLABELLED, UNLABELLED, 0]
    summary = ingested.report.tables[-1]
    assert (summary.name, summary.kind) == ("data.events.payment.label", "labels")
    assert (summary.rows, summary.kept, summary.rejected) == (5, 3, 2)
    (file,) = ingested.report.quarantine
    assert file.endswith("labels.events.payment.parquet")
    assert pq.read_table(file)["tx"].to_pylist() == ["b", "c"]


def test_a_label_whose_known_time_cannot_be_read_is_none(read, tmp_path):
    reading = told_elsewhere(read, ["a,1,soon", "b,1,2025-04-01T00:00Z"], header="tx,fraud,since", known="since")
    log = reading(quarantine=str(tmp_path / "q")).log
    assert log.label.tolist() == [UNLABELLED, 1, 0, 0] and log.label_known_time[0] == NEVER


@pytest.mark.parametrize("row", ["b,1,more", ",1"])
def test_a_row_that_labels_nobody_knows_whom_is_a_fault_where_silence_is_a_verdict(read, tmp_path, row):
    quarantine = str(tmp_path / "q")
    with pytest.raises(DataError) as raised:
        told_elsewhere(read, ["a,1", row])(quarantine=quarantine)
    fault = faults_of(raised)["label-nobody", "tx"]
    assert fault.rows == (2,) and "data.events.payment.label.absent=unlabelled" in fault.remedy
    assert not (tmp_path / "q").exists()
    log = told_elsewhere(read, ["a,1", row], absent="unlabelled")(quarantine=quarantine).log
    assert log.label.tolist() == [1, UNLABELLED, UNLABELLED, UNLABELLED]


def test_an_entity_table_that_has_to_do_with_no_event_is_told(read):
    files = {"t.csv": lines("1,2025-03-01T10:00Z,7,d", "2,2025-03-01T10:00Z,8,d"), "u.csv": "u,n\n007,1\n08,2\n"}
    events, user = {"payment": {**PAYMENT, "path": "t.csv"}}, {"path": "u.csv", "id": "u", "numeric": ["n"]}
    told = read(files, events=events, entities={"user": user, "usr": user}).report.warnings
    assert [(one.code, one.rows, one.values) for one in told] == [("entity-ids", (1, 2), ("007", "08"))] * 2
    assert "no id is that of a user in any event" in told[0].message and "007 is not 7" in told[0].remedy
    assert "no role is of the type usr" in told[1].message and "user, device" in told[1].remedy
    files["u.csv"] += "8,3\n"
    assert read(files, events=events, entities={"user": user}).report.warnings == ()
    files["t.csv"] = lines()
    assert read(files, events=events, entities={"usr": user}).report.warnings == ()


def test_labels_that_are_lists_or_broken_bytes_are_not_understood(read, tmp_path):
    for labels in ([[1], [0]], [b"1", b"\xff"]):
        table = {"id": [1, 2], "t": ["2025-03-01", "2025-03-02"], "u": [7, 8], "d": pa.nulls(2), "y": labels}
        pq.write_table(pa.table(table), tmp_path / "t.parquet")
        payment = {**PAYMENT, "path": "t.parquet", "label": "y", "label_delay_days": 0}
        with pytest.raises(DataError, match=r"column y.*label not understood"):
            read({}, events={"payment": payment})


def test_integer_ids_of_parquet_meet_the_same_ids_of_csv(read, tmp_path):
    pq.write_table(pa.table({"id": [1], "t": ["2025-03-01"], "u": [7], "d": pa.nulls(1)}), tmp_path / "t.parquet")
    (tmp_path / "t2.csv").write_text(lines("2,2025-03-02,7,d1", "3,2025-03-02,007,d1"))
    log = read({}, events={"payment": {**PAYMENT, "path": ["t.parquet", "t2.csv"]}}).log
    assert keys(log, "user") == ["7", "7", "007"] and log.event_ids.to_pylist() == ["1", "2", "3"]


# ------------------------------------------------------------------------------------------- duplicates


def test_equal_rows_count_once_and_are_told(read):
    ingested = read({"a.csv": lines("1,2025-03-01,u,d"), "b.csv": lines("2,2025-03-01,u,d", "1,2025-03-01 ,u,d")})
    assert len(ingested.log) == 2
    told = [warning for warning in ingested.report.warnings if warning.code == "duplicate"]
    assert [(fault.rows, fault.values) for fault in told] == [((2,), ("1",))] and told[0].file.endswith("b.csv")


@pytest.mark.parametrize(("rule", "user"), [("first", "u1"), ("last", "u2")])
def test_different_rows_of_one_id_are_a_fault_or_go_by_the_rule(read, rule, user):
    files = {"a.csv": lines("1,2025-03-01,u1,d", "2,2025-03-01,u1,d"), "b.csv": lines("1,2025-03-01,u2,d")}
    with pytest.raises(DataError) as raised:
        read(files)
    fault = faults_of(raised)["conflict", "u"]
    assert fault.file.endswith("b.csv") and "a.csv, data row 1" in fault.message and fault.values == ("u1", "u2")
    ingested = read(files, events={"payment": {**PAYMENT, "path": list(files), "duplicates": rule}})
    assert keys(ingested.log, "user") == [user, "u1"] and ingested.report.tables[0].replaced == 1


def test_a_conflict_is_told_under_the_columns_that_differ_and_not_under_what_follows_from_them(read):
    header = "id,t,u,d,k,l"
    same = [
        "1,2025-03-01T10:00Z,u,d,,1",
        "1,2025-03-02T10:00Z,u,d,,1",
        "2,2025-03-01T10:00Z,u,d,,",
        "2,2025-03-01T10:00Z,u,d,,1",
    ]
    day = ["3,2025-03-01,u,d,,1", "3,2025-03-01T00:00Z,u,d,,1"]
    table = {**PAYMENT, "path": "t.csv", "label": "l", "label_delay_days": 3}
    for known in (None, "k"):
        events = {"payment": {**table, "known_time": known}}
        with pytest.raises(DataError) as raised:
            read({"t.csv": lines(*same, *day, header=header)}, events=events)
        assert [(fault.column, fault.values) for fault in raised.value.faults] == [
            ("t", ("2025-03-01T10:00:00Z", "2025-03-02T10:00:00Z")),
            ("l", ("", "1")),
            (known or "t", ("2025-03-01T23:59:59.999999Z", "2025-03-01T00:00:00Z")),
        ]


def test_many_conflicts_are_told_in_a_few_lines(read):
    rows = [f"{n},2025-03-0{day},u,d" for day in (1, 2) for n in range(100)]
    with pytest.raises(DataError) as raised:
        read({"a.csv": lines(*rows)})
    assert len(raised.value.faults) == 11 and "90 more rows" in raised.value.faults[-1].message


def test_made_ids_keep_equal_rows_apart_and_stay_the_same(read):
    table = {**PAYMENT, "id": None, "path": "t.csv"}
    text = lines("2025-03-01,u1,d", "2025-03-01,u1,d", "2025-03-01,u2,d", header="t,u,d")
    ids = read({"t.csv": text}, events={"payment": table}).log.event_ids.to_pylist()
    assert ids == ["1b2ec6f5ea657dc6-0", "be8ac70e9ed5842b-0", "be8ac70e9ed5842b-1"]
    more = lines("2025-01-01,u9,d", *text.splitlines()[:0:-1], header="t,u,d")
    assert set(ids) < set(read({"t.csv": more}, events={"payment": table}).log.event_ids.to_pylist())


def test_made_ids_do_not_change_with_labels_or_features(read):
    table = {**PAYMENT, "id": None, "path": "t.csv"}
    files = {"t.csv": lines("2025-03-01,u1,d,1,web", header="t,u,d,l,c")}
    plain = read(files, events={"payment": table}).log.event_ids
    more = {**table, "label": "l", "label_delay_days": 1, "categorical": ["c"]}
    assert read(files, events={"payment": more}).log.event_ids.equals(plain)


@pytest.mark.parametrize(
    ("history", "now", "kept"),
    [
        (["1,web"], ["web"], [1]),
        (["1,web", "1,app"], ["web", "app"], [1, 1]),
        (["1,web", "1,app"], ["app"], [1]),
        (["1,web", "0,app"], ["web", "app"], [UNLABELLED] * 2),
        (["1,web", ",app"], ["web", "app"], [UNLABELLED] * 2),
        (["1,web"], ["web", "app"], [UNLABELLED] * 2),
    ],
)
def test_equal_rows_without_ids_keep_a_label_of_before_only_where_all_had_it(read, caplog, history, now, kept):
    table = {**PAYMENT, "id": None, "categorical": ["c"]}
    rows = {"h.csv": [f"2025-03-01,u,d,{row}" for row in history], "n.csv": [f"2025-03-01,u,d,,{row}" for row in now]}
    files = {name: lines(*found, "2025-03-02,u,d,0,web", header="t,u,d,l,c") for name, found in rows.items()}
    labelled = {**table, "path": "h.csv", "label": "l", "label_delay_days": 1}
    before = read(files, events={"payment": labelled}).log
    again = with_labels_of(read(files, events={"payment": {**table, "path": "n.csv"}}).log, before)
    assert again.label.tolist() == [*kept, 0]
    assert ("keep no label of the history" in caplog.text) == (UNLABELLED in kept)


# ------------------------------------------------------------------------------- faults and quarantine

BROKEN = lines(
    "1,2025-03-01T10:00Z,u1,d1,5,1", "2,soon,u1,d1,5,1", "3,2025-03-01T10:00Z,u1,d1,five,maybe",
    ",2025-03-01,u1,d1,5,0", "5,2025-03-01,u1", "6,2025-03-02,u2,d1,7,0", header="id,t,u,d,a,l",
)  # fmt: skip
FULL = {**PAYMENT, "path": "t.csv", "amount": "a", "label": "l", "label_delay_days": 0}


def test_all_faults_are_told_at_once(read):
    with pytest.raises(DataError) as raised:
        read({"t.csv": BROKEN}, events={"payment": FULL})
    found = {key: fault.rows for key, fault in faults_of(raised).items()}
    assert found == {
        ("time", "t"): (2,), ("number", "a"): (3,), ("label", "l"): (3,), ("no-id", "id"): (4,), ("fields", None): (5,),
    }  # fmt: skip


def test_rows_at_fault_go_to_quarantine_as_they_are_with_reasons(read, tmp_path):
    ingested = read({"t.csv": BROKEN}, events={"payment": FULL}, quarantine=str(tmp_path / "q"))
    assert ingested.log.event_ids.to_pylist() == ["1", "6"]
    table = pq.read_table(tmp_path / "q" / "events.payment.parquet").to_pylist()
    assert [row["rejected_row"] for row in table] == [2, 3, 4, 5]
    assert table[1]["a"] == "five" and "a: not a number" in table[1]["rejected_for"]
    assert [row["raw_line"] for row in table] == [None, None, None, "5,2025-03-01,u1"]
    summary = ingested.report.tables[0]
    assert (summary.rows, summary.kept, summary.rejected) == (6, 2, 4)
    assert [path.name for path in (tmp_path / "q").iterdir()] == ["events.payment.parquet"]


def test_a_row_is_left_out_of_the_table_that_finds_it_at_fault_only(read, tmp_path):
    login = {**PAYMENT, "path": "t.csv"}
    text = lines("1,2025-03-01,u1,d1,5", "2,2025-03-02,u1,d1,zz", "3,2025-03-03,u1", header="id,t,u,d,a")
    events = {"payment": {**login, "amount": "a"}, "login": login}
    ingested = read({"t.csv": text}, events=events, quarantine=str(tmp_path / "q"))
    assert {table.name: (table.kept, table.rejected) for table in ingested.report.tables} == {
        "payment": (1, 2),
        "login": (2, 1),
    }
    reasons = pq.read_table(tmp_path / "q" / "events.payment.parquet")["rejected_for"].to_pylist()
    assert [reason.count(";") for reason in reasons] == [0, 0]


def test_one_cell_that_is_no_text_is_the_fault_of_one_row(read, tmp_path):
    columns = {"id": [b"x", b"\xff", b"y"], "t": ["2025-03-01"] * 3, "u": [b"u", b"u", b"\xfe"], "d": ["d"] * 3}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError) as raised:
        read({}, events={"payment": {**PAYMENT, "path": "t.parquet"}})
    found = {key: fault.rows for key, fault in faults_of(raised).items()}
    assert found == {("id-type", "id"): (2,), ("id-type", "u"): (3,)}


def test_rows_with_other_numbers_of_fields_are_kept_whole_in_quarantine(read, tmp_path):
    odd = ['"1",2025-03-01,u1', '2,2025-03-01,"a,\n""b""",d,"é"', "", '"3"', "4,2025-03-01,u,d,"]
    read({"t.csv": lines(*odd, "5,2025-03-01,u,d", "6").rstrip()}, quarantine=str(tmp_path / "q"))
    table = pq.read_table(tmp_path / "q" / "events.payment.parquet")
    assert table["raw_line"].to_pylist() == [*filter(None, odd), "6"]


def test_columns_that_have_no_text_of_their_own_go_to_quarantine_too(read, tmp_path):
    columns = {"id": ["1", "2"], "t": ["soon", "2025-03-01"], "u": ["u", "u"], "d": ["d", "d"]}
    others = {"l": [[1, None], None], "s": [{"a": "é"}, {"a": None}], "b": [b"\xff", b""], "n": [None, None]}
    twice = pa.table(columns | others).append_column("l", pa.array([1, 2]))
    pq.write_table(twice, tmp_path / "t.parquet")
    read({}, events={"payment": {**PAYMENT, "path": "t.parquet"}}, quarantine=str(tmp_path / "q"))
    (row,) = pq.read_table(tmp_path / "q" / "events.payment.parquet").to_pylist()
    assert [row[name] for name in "lsbn"] == ["[1, null]", '{"a": "é"}', "b'\\xff'", None] and row["l (9)"] == "1"


def test_columns_of_one_name_or_none_are_all_kept_in_quarantine(read, tmp_path):
    text = lines("1,soon,u,d,x,y,z,w,v", header="id,t,u,d,note,note,,note (6),")
    read({"t.csv": text}, quarantine=str(tmp_path / "q"))
    (row,) = pq.read_table(tmp_path / "q" / "events.payment.parquet").to_pylist()
    kept = {name: cell for name, cell in row.items() if cell in tuple("vwxyz")}
    assert kept == {"note": "x", "note (6) (6)": "y", "(7)": "z", "note (6)": "w", "(9)": "v"}


def test_tables_of_one_name_have_files_of_their_own_in_quarantine(read, tmp_path):
    files = {"t.csv": lines("1,soon,c1", header="id,t,card"), "c.csv": "card,n\nc1,many\nc2,3\n"}
    events = {"card": {"path": "t.csv", "id": "id", "time": "t", "roles": {"card": "card"}}}
    entities = {"card": {"path": "c.csv", "id": "card", "numeric": ["n"]}}
    report = read(files, events=events, entities=entities, quarantine=str(tmp_path / "q")).report
    assert report.quarantine == tuple(str(tmp_path / "q" / f"{kind}.card.parquet") for kind in ("events", "entities"))
    assert [len(pq.read_table(file)) for file in report.quarantine] == [1, 1]


def test_what_an_earlier_run_put_into_quarantine_goes_with_its_faults(read, tmp_path):
    quarantine = tmp_path / "q"
    read({"t.csv": BROKEN}, events={"payment": FULL}, quarantine=str(quarantine))
    (quarantine / "notes.txt").touch()
    mended = lines("1,2025-03-01T10:00Z,u1,d1,5,1", header="id,t,u,d,a,l")
    assert read({"t.csv": mended}, events={"payment": FULL}, quarantine=str(quarantine)).report.quarantine == ()
    assert [path.name for path in quarantine.iterdir()] == ["notes.txt"]


def test_rows_out_of_quarantine_have_the_reasons_of_now(read, tmp_path):
    quarantine = [tmp_path / "q", tmp_path / "q2"]
    read({"t.csv": BROKEN}, events={"payment": FULL}, quarantine=str(quarantine[0]))
    again = {**FULL, "path": str(quarantine[0] / "events.payment.parquet")}
    read({}, events={"payment": {**again, "time": "d", "label": None}}, quarantine=str(quarantine[1]))
    reasons = pq.read_table(quarantine[1] / "events.payment.parquet")["rejected_for"].to_pylist()
    assert all("d: not a time" in reason for reason in reasons[:3]) and not any("t: not" in row for row in reasons)


def test_a_file_that_is_read_is_not_written_over_by_its_own_quarantine(read, tmp_path):
    read({"t.csv": BROKEN}, events={"payment": FULL}, quarantine=str(tmp_path / "q"))
    file = tmp_path / "q" / "events.payment.parquet"
    before = file.read_bytes()
    with pytest.raises(DataError) as raised:
        read({}, events={"payment": {**FULL, "path": str(file)}}, quarantine=str(tmp_path / "q"))
    assert ("quarantine", None) in faults_of(raised) and file.read_bytes() == before


@pytest.mark.parametrize("text", [BROKEN, BROKEN.splitlines()[0]])
@pytest.mark.parametrize("other", ["table", "text", "folder"])
def test_quarantine_touches_no_file_that_it_did_not_write(read, tmp_path, text, other):
    file = tmp_path / "q" / "events.payment.parquet"
    file.parent.mkdir()
    {
        "table": lambda: pq.write_table(pa.table({"x": [1]}), file),
        "text": lambda: file.write_text("x"),
        "folder": file.mkdir,
    }[other]()
    with pytest.raises(DataError, match="holds something else") as raised:
        read({"t.csv": text}, events={"payment": FULL}, quarantine=str(file.parent))
    assert faults_of(raised)["quarantine", None].file == str(file)
    assert other != "table" or pq.read_table(file).to_pydict() == {"x": [1]}


def test_an_entity_that_only_a_rejected_row_has_is_left_out(read, tmp_path):
    files = {"t.csv": lines("1,2025-03-01,u1,d"), "u.csv": "u,n\nu9,bad\nu1,2\n"}
    events, user = {"payment": {**PAYMENT, "path": "t.csv"}}, {"path": "u.csv", "id": "u", "numeric": ["n"]}
    log = read(files, events=events, entities={"user": user}, quarantine=str(tmp_path / "q")).log
    assert log.entity_ids["user"].to_pylist() == ["u1"] and log.attributes["user"].entity.tolist() == [0]


def test_too_many_rejects_are_an_error_and_nothing_is_written(read, tmp_path):
    with pytest.raises(DataError, match="4 rows would be rejected, 3 may be"):
        read({"t.csv": BROKEN}, events={"payment": FULL}, quarantine=str(tmp_path / "q"), max_rejects=3)
    assert not (tmp_path / "q").exists()


def test_faults_of_a_whole_file_are_not_for_quarantine(read, tmp_path):
    with pytest.raises(DataError, match="never closed"):
        read({"t.csv": BROKEN + '9,"'}, events={"payment": FULL}, quarantine=str(tmp_path / "q"))


def test_the_reasons_in_quarantine_identify_nobody(read, tmp_path):
    text = lines("1,4111111111111111,ana@example.org,d1", "2,2025-03-01,u1,d1")
    report = read({"t.csv": text}, quarantine=str(tmp_path / "q")).report
    reasons = pq.read_table(tmp_path / "q" / "events.payment.parquet")["rejected_for"].to_pylist()
    for told in (str(report), json.dumps(report.to_json()), str(reasons)):
        assert "4111111111111111" not in told and "ana@" not in told


def test_missing_files_are_all_named_before_anything_else(read, tmp_path):
    events = {"payment": {**PAYMENT, "path": ["no.csv", str(tmp_path / "nor.csv")]}}
    with pytest.raises(NotFoundError, match=r"(?s)no\.csv.*nor\.csv"):
        read({}, events=events)


def test_the_remedy_for_a_missing_column_keeps_what_stands_beside_its_name(read):
    table = {
        **PAYMENT, "path": "t.csv", "time": {"column": "when", "unit": "s"},
        "roles": {"user": {"column": "who", "type": "person"}}, "label_delay_days": 0,
        "label": {"column": "verdict", "positive": ["F"]}, "amount": "sum",
    }  # fmt: skip
    with pytest.raises(DataError) as raised:
        read({"t.csv": lines("1,2,3,4")}, events={"payment": table})
    assert {fault.column: fault.remedy.removeprefix("Set data.events.payment.") for fault in raised.value.faults} == {
        "when": "time.column to the right column.",
        "who": "roles.user.column to the right column, or data.events.payment.roles.user to null where the table has "
        "none.",
        "verdict": "label.column to the right column, or data.events.payment.label to null where the table has none.",
        "sum": "amount to the right column, or to null where the table has none; a model that was trained on amounts "
        "needs it, if empty.",
    }


def test_a_missing_file_of_events_and_an_entity_table_are_read_together(read):
    events = {"payment": {**PAYMENT, "path": "t.csv"}, "login": {**PAYMENT, "path": "no.csv"}}
    with pytest.raises(NotFoundError):
        read(
            {"t.csv": lines("1,2025-03-01,,d"), "u.csv": "u\n1\n"},
            events=events,
            entities={"user": {"path": "u.csv", "id": "u"}},
        )


def test_a_missing_file_hides_no_other_fault(read):
    events = {"payment": {**PAYMENT, "path": ["t.csv", "no.csv"]}}
    with pytest.raises(DataError) as raised:
        read({"t.csv": lines("1,soon,u,d")}, events=events)
    assert set(faults_of(raised)) == {("missing-file", None), ("time", "t")}


def test_ids_with_two_contents_are_told_beside_faults_of_other_rows(read):
    with pytest.raises(DataError) as raised:
        read({"t.csv": lines("1,2025-03-01,u1,d", "1,2025-03-01,u2,d", "2,soon,u,d", "1,soon,u3,d")})
    found = faults_of(raised)
    assert set(found) == {("conflict", "u"), ("time", "t")} and found["conflict", "u"].rows == (2,)


def test_what_is_no_table_is_told_with_what_to_do(read, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=r"empty: the folder holds no table\. Put files into it .*\.parquet"):
        read({}, events={"payment": {**PAYMENT, "path": str(tmp_path / "empty")}})
    with pytest.raises(DataError, match=r"1 fault .*\n.*tx\.xlsx: this is a spreadsheet\. Save its sheet as CSV"):
        read({"tx.xlsx": "PK"})


def test_an_event_without_an_entity_is_kept(read):
    log = read({"t.csv": lines("1,2025-03-01,,", "2,2025-03-02,nan,null")}).log
    assert len(log) == 2 and (log.entities == MISSING).all() and len(log.entity_ids["user"]) == 0


def test_a_table_without_rows_is_a_log_without_events(read):
    ingested = read({"t.csv": lines()})
    assert len(ingested.log) == 0 and ingested.report.tables[0].rows == 0


def test_the_report_says_where_every_row_went_as_text_and_as_json(read):
    report = read({"t.csv": lines("1,2025-03-01,u,", "1,2025-03-01,u,")}).report
    assert "payment: 2 rows read, 1 kept, 1 exact duplicates" in str(report) and "d in 1" in str(report)
    assert json.loads(json.dumps(report.to_json()))["tables"][0]["missing"] == {"d": 1}


def test_ties_are_ordered_by_the_bytes_of_ids():
    ids = pa.array(["b", "a", "ä", "Z", "aa"])
    order = canonical_order(np.zeros(5, np.int64), np.zeros(5, np.int16), ids)
    assert ids.take(pa.array(order)).to_pylist() == ["Z", "a", "aa", "b", "ä"]


@pytest.mark.parametrize("seed", range(5))
def test_canonical_order_is_that_of_sorted_tuples(seed):
    rng = np.random.default_rng(seed)
    times, types = rng.integers(0, 4, 60), rng.integers(0, 2, 60).astype(np.int16)
    ids = [f"e{n}" for n in rng.permutation(60)]
    order = canonical_order(times, types, pa.array(ids))
    assert order.tolist() == sorted(range(60), key=lambda row: (times[row], types[row], ids[row]))


CELL = st.sampled_from(
    ["u1", "u2", "", "nan", "2025-03-01", "2025-03-01 10:00Z", "5", "1,5", "x", '"', "1", "0", "4.1E+9"]
)


@settings(max_examples=120)
@given(rows=st.lists(st.lists(CELL, min_size=5, max_size=7).map(",".join), max_size=6), quarantine=st.booleans())
def test_any_table_is_kept_or_told_row_by_row(read, tmp_path, rows, quarantine):
    where = str(tmp_path / "q") if quarantine else None
    try:
        report = read({"t.csv": lines(*rows, header="id,t,u,d,a,l")}, events={"payment": FULL}, quarantine=where).report
    except RingtraceError as error:
        assert str(error)
        return
    table = report.tables[0]
    assert table.rows == table.kept + table.exact_duplicates + table.replaced + table.dropped + table.rejected
    assert table.rows == len([row for row in rows if row]) or any('"' in row for row in rows)


def test_every_order_of_three_rows_gives_one_log(read):
    rows = ["1,2025-03-01,u1,d1", "2,2025-03-01,u2,d1", "3,2025-03-01,u1,"]
    made = {fingerprint(read({"t.csv": lines(*turn)}).log) for turn in itertools.permutations(rows)}
    assert len(made) == 1


def test_the_warning_about_a_stand_in_says_what_takes_it_away(read):
    text = lines("1,2025-03-01,u1,000000000000000", "2,2025-03-01,u2,000000000000000")
    (warning,) = [one for one in read({"t.csv": text}).report.warnings if one.code == "placeholder"]
    assert "'data.extra_null_values=[\"000000000000000\"]'" in warning.remedy
    after = read({"t.csv": text}, extra_null_values=["000000000000000"])
    assert keys(after.log, "device") == [None, None]


@pytest.mark.parametrize(
    ("cells", "message", "remedy"),
    [
        ([1.0, np.inf], "an infinite number", "empty cells"),
        (["True", "false"], "a truth value", "under categorical"),
        ([[1], [2]], "of the type list<element: int64>", "leave it out"),
        (["1,5", "True"], "decimal mark '.'", "data.csv.decimal"),
    ],
)
def test_what_is_no_number_is_told_with_a_remedy_that_helps(tmp_path, cells, message, remedy):
    table = {"id": ["1", "2"], "t": ["2025-03-01"] * 2, "u": ["a", "b"], "d": ["x", "y"], "n": cells}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    events = {"payment": {**PAYMENT, "path": str(tmp_path / "t.parquet"), "numeric": ["n"]}}
    with pytest.raises(DataError) as raised:
        ingest(DataSchema.from_config({"timezone": "UTC", "events": events}))
    fault = faults_of(raised)["number", "n"]
    assert message in fault.message and remedy in fault.remedy


COUNT, ISO = "1740823200000", "2025-03-02T00:00Z"


@pytest.mark.parametrize(
    ("time", "rows", "remedies"),
    [
        ({"column": "t", "unit": "s"}, [f"{COUNT},", f"{COUNT},"], {"t": "data.events.payment.time.unit=ms"}),
        ("t", [f"{COUNT},{ISO}", f"{COUNT},"], {"t": "data.events.payment.time.unit=ms"}),
        ("t", [f"{ISO},{COUNT}", f"{ISO},"], {"k": "data.events.payment.known_time.unit=ms"}),
        ({"column": "t", "unit": "s"}, [f"{ISO},"], {"t": "data.events.payment.time.unit=iso"}),
        # Another unit would not help the rest of the column, or not this cell.
        ("t", [f"{COUNT},", f"{ISO},"], {"t": "Write 2025-03-01T10:00:00Z"}),
        ({"column": "t", "unit": "s"}, ["soon,"], {"t": "Write 2025-03-01T10:00:00Z"}),
        ("t", ["9999999999,"], {"t": "Write 2025-03-01T10:00:00Z"}),
    ],
)
def test_the_remedy_for_times_of_another_unit_names_the_unit_of_that_column(read, time, rows, remedies):
    table = {"id": "id", "time": time, "known_time": "k", "roles": {"user": "u"}, "path": "t.csv"}
    text = lines(*(f"{n},u,{row}" for n, row in enumerate(rows)), header="id,u,t,k")
    with pytest.raises(DataError) as raised:
        read({"t.csv": text}, events={"payment": table})
    found = {fault.column: fault.remedy for fault in raised.value.faults}
    assert found.keys() == remedies.keys()
    assert all(remedy in found[column] for column, remedy in remedies.items()), found


def test_the_remedy_for_times_in_a_label_table_names_the_key_of_the_label(read):
    label = {"from": "l.csv", "key": "id", "column": "y", "known": "k"}
    files = {"t.csv": lines("1,2025-03-01,u,d"), "l.csv": f"id,y,k\n1,1,{COUNT}\n"}
    with pytest.raises(DataError, match=r"set data\.events\.payment\.label\.known\.unit=ms"):
        read(files, events={"payment": {**PAYMENT, "path": "t.csv", "label": label}})


def test_a_row_counts_once_where_its_column_is_used_twice(read, tmp_path):
    table = {**PAYMENT, "path": "t.csv", "amount": "a", "numeric": ["a"]}
    rows = ["1,2025-03-01T10:00Z,u,d,", "2,2025-03-01T10:00Z,u,d,x", "3,2025-03-01T10:00Z, u,d,1.5,"]
    files = {"t.csv": lines(*rows, '4,2025-03-01T10:00Z,u,d,"1,500"', header="id,t,u,d,a")}
    events = {"payment": table, "login": {**PAYMENT, "path": "t.csv"}}
    report = read(files, events=events, quarantine=str(tmp_path / "q")).report
    assert {(fault.code, fault.rows, fault.count) for fault in report.rejected} == {
        ("number", (2,), 1),
        ("fields", (3,), 1),
    }
    assert {(fault.code, fault.rows, fault.count) for fault in report.warnings} == {("thousands", (4,), 1)}
    assert report.tables[0].missing == {"a": 1} and report.tables[1].missing == {}
    reasons = pq.read_table(tmp_path / "q" / "events.payment.parquet")["rejected_for"].to_pylist()
    assert [reason.count(";") for reason in reasons] == [0, 0]


def test_faults_of_a_file_that_is_read_for_several_tables_are_told_once(read):
    label = {"from": "l.csv", "key": "id", "column": "y"}
    table = {**PAYMENT, "label": label, "label_delay_days": 1}
    files = {"p.csv": lines("1,bad,u,d", "2,bad, u,d"), "l.csv": "id,y\n1,maybe\n2,maybe\n3,perhaps\n"}
    events = {
        "payment": {**table, "path": "p.csv"},
        "login": {**table, "path": "p.csv", "time": {"column": "t", "unit": "s"}},
    }
    with pytest.raises(DataError) as raised:
        read(files, events=events)
    found = faults_of(raised)
    assert (found["time", "t"].rows, found["time", "t"].count) == ((1, 2), 2)
    assert (found["label", "y"].count, found["label", "y"].values) == (3, ("maybe (2×)", "perhaps (1×)"))


def test_one_label_file_of_two_tables_is_mended_for_both_and_counts_once(read, tmp_path):
    table = {**PAYMENT, "path": "t.csv", "label": {"from": "l.csv", "key": "id", "column": "y"}, "label_delay_days": 1}
    events = {name: {**table, "label": dict(table["label"])} for name in ("login", "payment")}
    files = {"t.csv": lines("1,2025-03-01T10:00Z,u,d"), "l.csv": "id,y\n1,1\n7,maybe\n8,maybe\n"}
    ingested = read(files, events=events, quarantine=str(tmp_path / "q"), max_rejects=2)
    assert [(fault.count, fault.rows, fault.values) for fault in ingested.report.rejected] == [
        (2, (2, 3), ("maybe (2×)",)),
    ]
    with pytest.raises(DataError) as raised:
        read(files, events=events)
    for name in events:
        remedy = raised.value.faults[0].remedy
        assert remedy.count(f"Add these words to data.events.{name}.label.positive, negative or unlabelled") == 1
        events[name]["label"]["unlabelled"] = ["maybe"]
    assert read(files, events=events).log.label.tolist() == [1, 1]


def test_each_table_of_one_file_has_its_own_key_in_the_remedy(read):
    rows = lines("1,2025-03-01T10:00Z,u,d", "1,2025-03-01T10:00Z,v,d", "2,2025-03-01T10:00Z,u,d")
    events = {name: {**PAYMENT, "path": "t.csv"} for name in ("login", "payment")}
    with pytest.raises(DataError) as raised:
        read({"t.csv": rows}, events=events)
    (fault,) = raised.value.faults
    assert fault.remedy == " ".join(
        f"Mend the tables, or set data.events.{name}.duplicates=first (or last) to keep that one." for name in events
    )


def test_what_is_missing_is_counted_in_the_rows_kept(read, tmp_path):
    rows = ["1,2025-03-01T10:00Z,,d", "1,2025-03-01T10:00Z,,d", "2,bad,,d", "3,2025-03-01T10:00Z,u,"]
    report = read({"t.csv": lines(*rows)}, quarantine=str(tmp_path / "q")).report
    assert report.tables[0].missing == {"u": 1, "d": 1}


def test_rows_of_several_files_are_told_file_by_file(read):
    label = {"from": "l*.csv", "key": "tx", "column": "y", "known": "k", "absent": "negative"}
    payment = {**PAYMENT, "path": ["a.csv", "b.csv"], "label": label}
    files = {
        "a.csv": lines("1,2025-03-01T10:00Z,u1,?"),
        "b.csv": lines("2,2025-03-01T10:00Z,u2,?", "3,2025-03-01T10:00Z,u3,?"),
    }
    files |= {
        "l1.csv": "tx,y,k\n3,1,2025-04-01T10:00Z\n9,1,2025-04-01T10:00Z\n",
        "l2.csv": "tx,y,k\n8,1,2025-04-01T10:00Z\n",
    }
    found = {
        (one.code, one.file[-6:]): (one.rows, one.values)
        for one in read(files, events={"payment": payment}).report.warnings
    }
    assert found == {
        ("placeholder", "/a.csv"): ((1,), ()), ("placeholder", "/b.csv"): ((1, 2), ()),
        ("label-ids", "l1.csv"): ((2,), ("9",)), ("label-ids", "l2.csv"): ((1,), ("8",)),
        ("label-time", "/a.csv"): ((1,), ()), ("label-time", "/b.csv"): ((1,), ()),
    }  # fmt: skip
    files["l2.csv"] = "tx,y,k\n5,1,2025-04-01T10:00Z\n3,0,2025-04-01T10:00Z\n9,,\n"
    with pytest.raises(DataError) as raised:
        read(files, events={"payment": payment})
    assert [(one.file[-6:], one.rows, one.values) for one in raised.value.faults] == [
        ("l1.csv", (1,), ("3",)),
        ("l2.csv", (2,), ("3",)),
    ]


@pytest.mark.parametrize("dst", ["error", "earlier"])
def test_a_day_that_a_zone_skipped_is_told_as_such(read, dst):
    rows = ["1,2011-12-30,u,d", "2,2011-12-29,u,d"]
    with pytest.raises(DataError) as raised:
        read({"t.csv": lines(*rows)}, timezone="Pacific/Apia", dst=dst)
    (fault,) = raised.value.faults
    assert (fault.code, fault.message, fault.remedy) == (
        "skipped-day",
        "a day that Pacific/Apia skipped",
        "Correct it.",
    )
