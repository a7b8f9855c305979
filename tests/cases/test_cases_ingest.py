"""C01, C03, C05, C06, C08, C10, C12, C14, C18 and C28 as far as they touch ingest: `data=payments data.path=…`.

The inputs are the cases' own files, written out here so that the tests run anywhere.
"""

import json
import shlex

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.config import compose
from graphs.errors import DataError
from graphs.events import MISSING
from graphs.ingest import ingest
from graphs.leaks import refuse_answer_columns, suspicious_columns
from graphs.schema import DataSchema

HEADER = "txn_id,user_id,device_id,card_id,merchant_id,amount,ts,label,label_known_at"
KNOWN = "2025-04-15T00:00:00Z"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Ingest as `ringtrace ingest data=payments data.path=… …` would, from the folder with the files."""
    monkeypatch.chdir(tmp_path)

    def running(path, *overrides):
        data = compose("ingest", ["data=payments", f"data.path={path}", *overrides])["data"]
        return ingest(DataSchema.from_config(data))

    return running


@pytest.fixture
def fails(run):
    """As `run`, where faults are expected: gives them by (code, column), and the whole message."""

    def failing(path, *overrides):
        with pytest.raises(DataError) as raised:
            run(path, *overrides)
        return {(fault.code, fault.column): fault for fault in raised.value.faults}, str(raised.value)

    return failing


def write(path, *rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")


def advised(fault):
    """The overrides that a remedy prints, as the shell would give them on."""
    return [word.rstrip(",.") for word in shlex.split(fault.remedy) if word.startswith("data.csv.")]


def warnings(ingested):
    return {(fault.code, fault.column): fault for fault in ingested.report.warnings}


def ids(log, kind):
    return log.entity_ids[kind].to_pylist()


# ---- C01 missing ids become one shared node


@pytest.fixture
def c01(tmp_path):
    devices = ["dA", "", "nan", "NaN", "NULL", "None", "N/A", "unknown", "unknown", "dA", "dB", "dB"]
    for n, device in enumerate(devices, 1):
        user, card = ("" if n == 11 else f"u{n}"), ("" if n == 12 else f"c{n}")
        devices[n - 1] = f"t{n:02},{user},{device},{card},m1,20.00,2025-03-{n:02}T10:00:00Z,0,{KNOWN}"
    write(tmp_path / "tx.csv", *devices)


def test_c01_missing_ids_make_no_node(c01, run):
    ingested = run("tx.csv")
    assert len(ingested.log) == 12 and ids(ingested.log, "device") == ["dA", "unknown", "dB"]
    assert ingested.report.tables[0].missing == {"device_id": 6, "user_id": 1, "card_id": 1}
    assert (ingested.log.entities[:, 1] == MISSING).sum() == 6
    warning = warnings(ingested)["placeholder", "device_id"]
    assert "'unknown' appears for 2 users and looks like a placeholder" in warning.message and warning.rows == (8, 9)


def test_c01_a_stand_in_can_be_declared_null(c01, run):
    ingested = run("tx.csv", "data.extra_null_values=[unknown]")
    assert ids(ingested.log, "device") == ["dA", "dB"] and ingested.report.tables[0].missing["device_id"] == 8
    assert ("placeholder", "device_id") not in warnings(ingested)


# ---- C03 leading zeros and spreadsheet-mangled ids


def test_c03_leading_zeros_stay(tmp_path, run):
    rows = [("007", "00123456"), ("7", "123456"), ("0007", "000123456"), ("007", "00123456")]
    lines = [f"t{n},{user},d,{card},m,1,2025-03-0{n + 1}T10:00:00Z,0,{KNOWN}" for n, (user, card) in enumerate(rows)]
    write(tmp_path / "tx.csv", *lines)
    log = run("tx.csv").log
    assert ids(log, "user") == ["007", "7", "0007"] and log.entities[:, 0].tolist() == [0, 1, 2, 0]
    assert ids(log, "card") == ["00123456", "123456", "000123456"]


def test_c03_mangled_ids_are_told_certain_and_possible_apart(tmp_path, run):
    cards = ("4.11111E+15", "4.11111E+15", "12E4")
    rows = [f"t{n},u{n},d{n},{card},m1,14,2025-03-0{n}T10:00:00Z,0,{KNOWN}" for n, card in enumerate(cards, 1)]
    write(tmp_path / "excel_mangled.csv", *rows)
    found = warnings(run("excel_mangled.csv"))
    certain, possible = found["shortened", "card_id"], found["maybe-shortened", "card_id"]
    assert certain.rows == (1, 2) and "looks like a number shortened by a spreadsheet" in certain.message
    assert certain.file.endswith("excel_mangled.csv") and "Re-export the column as text" in certain.remedy
    assert possible.rows == (3,) and possible.values == ("12E4",)


def test_c03_mangled_ids_of_events_are_told_as_those_of_entities_are(tmp_path, run):
    events = ("4.11111E+15", "12E4", " 7.0", "plain")
    rows = [f"{event},u1,d1,c1,m1,14,2025-03-0{n}T10:00:00Z,0,{KNOWN}" for n, event in enumerate(events, 1)]
    write(tmp_path / "tx.csv", *rows)
    found = {code: fault.rows for (code, column), fault in warnings(run("tx.csv")).items() if column == "txn_id"}
    assert found == {"shortened": (1,), "maybe-shortened": (2,), "through-float": (3,), "normalised": (3,)}


# ---- C05 duplicates dropped too little or too much

T04 = f"t04,u3,d3,c3,m2,80.00,2025-03-03T10:00:00Z,1,{KNOWN}"


@pytest.fixture
def c05(tmp_path):
    t03 = f"t03,u2,d2,c2,m2,15.00,2025-03-02T10:00:00Z,0,{KNOWN}"
    tram = f"u1,d1,c1,tram,2.40,2025-03-01T10:00:00Z,0,{KNOWN}"
    twins = [f"t0{n},u1,d1,c1,m1,5.00,2025-03-01T10:00:00Z,0,{KNOWN}" for n in (1, 2)]
    write(tmp_path / "part1.csv", *twins, t03, T04)
    write(tmp_path / "part2.csv", t03, T04, f"t05,u4,d4,c4,m3,33.00,2025-03-04T10:00:00Z,0,{KNOWN}")
    write(tmp_path / "part2_conflict.csv", T04.replace("80.00", "800.00"))
    write(tmp_path / "no_txn_id.csv", tram, tram, tram.replace("1,d1,c1", "2,d2,c2"), header=HEADER[7:])


def test_c05_exact_duplicates_count_once_and_look_alikes_twice(c05, run):
    ingested = run("[part1.csv,part2.csv]")
    assert ingested.log.event_ids.to_pylist() == ["t01", "t02", "t03", "t04", "t05"]
    assert ingested.log.amount[:2].sum() == 10.0
    told = warnings(ingested)["duplicate", None]
    assert told.file.endswith("part2.csv") and told.rows == (1, 2) and told.values == ("t03", "t04")


def test_c05_a_conflict_names_files_rows_column_and_values(c05, fails, run):
    fault = fails("[part1.csv,part2_conflict.csv]")[0]["conflict", "amount"]
    assert fault.file.endswith("part2_conflict.csv") and fault.rows == (1,) and fault.values == ("80.0", "800.0")
    assert "part1.csv, data row 4" in fault.message
    kept = run("[part1.csv,part2_conflict.csv]", "data.events.payment.duplicates=first")
    assert kept.log.amount.tolist() == [5, 5, 15, 80] and warnings(kept)["conflict", "amount"].values == fault.values


def test_c05_rows_without_ids_are_all_kept_under_stable_ids(c05, fails, run):
    assert "data.events.payment.id" in fails("no_txn_id.csv")[0]["missing-column", "txn_id"].remedy
    first, again = (run("no_txn_id.csv", "data.events.payment.id=null").log for _ in range(2))
    assert len(first) == 3 and len(set(first.event_ids.to_pylist())) == 3
    assert first.event_ids.equals(again.event_ids)


# ---- C06 zone-less, zoned and daylight-saving times in one column


def timed(path, *moments):
    write(path, *(f"t{n},u{n},d1,c{n},m1,10.00,{t},0,{KNOWN}" for n, t in enumerate(moments, 1)))


def test_c06_a_time_without_a_zone_is_told_and_then_read(tmp_path, fails, run):
    timed(tmp_path / "mixed.csv", "2025-03-01T10:00:00Z", "2025-03-01T12:00:00+02:00", "2025-03-01T05:00:00-05:00",
          "2025-03-01 10:00:00")  # fmt: skip
    fault = fails("mixed.csv")[0]["zone", "ts"]
    assert fault.rows == (4,) and fault.values == ("2025-03-01 10:00:00",) and "data.timezone=UTC" in fault.remedy
    log = run("mixed.csv", "data.timezone=UTC").log
    assert set(log.event_time.tolist()) == {1_740_823_200_000_000}


def test_c06_clock_changes_are_told_in_one_message_with_the_choices(tmp_path, fails, run):
    timed(tmp_path / "dst.csv", "2024-03-31 00:59:59", "2024-03-31 01:30:00", "2024-10-27 01:30:00",
          "2024-10-27 02:30:00")  # fmt: skip
    london = "data.timezone=Europe/London"
    fault = fails("dst.csv", london)[0]["clock-change", "ts"]
    assert fault.rows == (2, 3) and "data.dst=earlier or data.dst=later" in fault.remedy
    for dst, instant in (("earlier", 1_729_989_000), ("later", 1_729_992_600)):
        log = run("dst.csv", london, f"data.dst={dst}").log
        times = dict(zip(log.event_ids.to_pylist(), (log.event_time // 1_000_000).tolist(), strict=True))
        assert (times["t1"], times["t3"], times["t4"]) == (1_711_846_799, instant, 1_729_996_200)


# ---- C08 card number or e-mail repeated in an error or a log


def test_c08_a_bad_row_is_told_without_identities(tmp_path, fails, run, caplog):
    write(
        tmp_path / "bad_row.csv",
        f"t01,ana@example.org,d1,4111111111111111,m1,10.00,2025-03-01T10:00:00Z,0,{KNOWN}",
        f"t02,bo@example.org,d2,5555555555554444,m1,twelve,2025-03-01T11:00:00Z,0,{KNOWN}",
    )
    faults, message = fails("bad_row.csv")
    fault = faults["number", "amount"]
    assert fault.rows == (2,) and fault.values == ("twelve",) and fault.file.endswith("bad_row.csv")
    report = run("bad_row.csv", "data.quarantine=q").report
    reasons = pq.read_table(tmp_path / "q" / "events.payment.parquet")["rejected_for"].to_pylist()
    for told in (message, caplog.text, str(report), json.dumps(report.to_json()), str(reasons)):
        assert not any(secret in told for secret in ("4111111111111111", "5555555555554444", "@example"))


def test_c08_a_fault_in_the_id_itself_is_masked(tmp_path, fails):
    row = "t01,u,d1,c,m1,1,ana@example.org 4111111111111111,0,"
    write(tmp_path / "tx.csv", row)
    assert fails("tx.csv")[0]["time", "ts"].values == ("***@*** 411111******1111",)


# ---- C10 semicolons, decimal commas, thousands marks, currency signs


def test_c10_a_european_file_is_told_and_then_read(tmp_path, fails, run):
    amounts = ("1.234,56", "1.000", "12,5", "0,99")
    rows = [f"t0{n};u{n};d1;c{n};m1;{a};2025-03-0{n}T10:00:00Z;0;{KNOWN}" for n, a in enumerate(amounts, 1)]
    write(tmp_path / "eu.csv", *rows, header=HEADER.replace(",", ";"))
    fault = fails("eu.csv")[0]["delimiter", None]
    assert "one column was found, but the header holds ';'" in fault.message
    log = run("eu.csv", 'data.csv.delimiter=";"', 'data.csv.decimal=","', 'data.csv.thousands="."').log
    assert log.amount.tolist() == [1234.56, 1000.0, 12.5, 0.99] and log.amount.sum() == pytest.approx(2248.05)
    assert fails("eu.csv", 'data.csv.delimiter=";"')[0]["number", "amount"].rows == (1, 3, 4)


@pytest.mark.parametrize(
    ("amounts", "value"),
    [
        (["12,5"], 12.5), (["1.234.567"], 1234567), (["1\u202f234,50", "5"], 1234.5), (["1'234.50", "7.5"], 1234.5),
        (["1 234.50"], 1234.5), (["1.234,50", "2,5"], 1234.5),
    ],
)  # fmt: skip
def test_c10_what_is_printed_about_marks_is_enough_when_pasted(tmp_path, fails, run, amounts, value):
    rows = [f"t{n}\tu1\td1\tc1\tm1\t{amount}\t2025-03-01T10:00:00Z\t0\t{KNOWN}" for n, amount in enumerate(amounts)]
    write(tmp_path / "eu.csv", *rows, header=HEADER.replace(",", "\t"))
    told = advised(fails("eu.csv")[0]["delimiter", None])[:1]
    assert told == ['data.csv.delimiter="\\t"']
    told += advised(fails("eu.csv", *told)[0]["number", "amount"])
    assert run("eu.csv", *told).log.amount[0] == value


@pytest.mark.parametrize("amounts", [["5-"], ["EUR 5"], ["2,5", "7.5"], ["12 50"]])
def test_c10_no_mark_is_advised_that_would_not_help(tmp_path, fails, amounts):
    rows = [f"t{n};u1;d1;c1;m1;{amount};2025-03-01T10:00:00Z;0;{KNOWN}" for n, amount in enumerate(amounts)]
    write(tmp_path / "eu.csv", *rows, header=HEADER.replace(",", ";"))
    assert advised(fails("eu.csv", 'data.csv.delimiter=";"')[0]["number", "amount"]) == []


def test_c10_money_is_read_by_the_stated_rule(tmp_path, run):
    amounts = ('"1,234.56"', '"$1,000"', "(25.00)", "€12.50")
    write(
        tmp_path / "us.csv", *(f"t{n},u,d,c,m,{a},2025-03-0{n}T10:00:00Z,0,{KNOWN}" for n, a in enumerate(amounts, 1))
    )
    ingested = run("us.csv")
    assert ingested.log.amount.tolist() == [1234.56, 1000.0, -25.0, 12.5]
    assert {code for code, _ in warnings(ingested)} == {"thousands", "currencies", "negative-amount"}


# ---- C12 byte-order mark, encodings, a newline inside quotes


def test_c12_a_mark_and_quoted_line_breaks(tmp_path, run):
    rows = [f't01,u1,d1,c1,"Bar ""Sol""\r\nNorte",10.00,2025-03-01T10:00:00Z,0,{KNOWN}',
            f"t02,u2,d1,c2,m2,11.00,2025-03-01T11:00:00Z,1,{KNOWN}",
            f'"t03",u3,d2,c3,"a,b",12.00,2025-03-02T10:00:00Z,0,{KNOWN}']  # fmt: skip
    (tmp_path / "bom.csv").write_bytes("\r\n".join(["\ufeff" + HEADER, *rows, ""]).encode())
    log = run("bom.csv").log
    assert log.event_ids.to_pylist() == ["t01", "t02", "t03"]
    assert ids(log, "merchant") == ['Bar "Sol"\r\nNorte', "m2", "a,b"]


def test_c12_another_encoding_is_told_and_then_read(tmp_path, fails, run):
    row = f"t04,u4,d2,c4,Caña €,10.00,2025-03-03T10:00:00Z,0,{KNOWN}"
    (tmp_path / "cp1252.csv").write_bytes(f"{HEADER}\n{row}\n".encode("cp1252"))
    fault = fails("cp1252.csv")[0]["encoding", None]
    assert "byte 91 (0xf1, line 2" in fault.message and "data.csv.encoding=cp1252" in fault.remedy
    assert ids(run("cp1252.csv", "data.csv.encoding=cp1252").log, "merchant") == ["Caña €"]
    (tmp_path / "utf16.csv").write_bytes(f"{HEADER}\n{row}\n".encode("utf-16"))
    assert ids(run("utf16.csv").log, "merchant") == ["Caña €"]


def test_c12_an_open_quote_is_told_where_it_opens(tmp_path, fails):
    rows = [f"t0{n},u{n},d3,c{n},{m},10.00,2025-03-05T10:00:00Z,0,{KNOWN}" for n, m in ((6, '"Bar Sol'), (7, "m7"))]
    write(tmp_path / "open_quote.csv", *rows)
    fault = fails("open_quote.csv")[0]["open-quote", None]
    assert "data row 1 (line 2 of the file)" in fault.message


# ---- C14 label words, blanks counted as clean

MAP = (
    "data.events.payment.label.positive=[Yes,chargeback,'1','TRUE']",
    "data.events.payment.label.negative=[No,legit,'0']",
    "data.events.payment.label.unlabelled=['',NA]",
)


@pytest.fixture
def c14(tmp_path):
    words = ["Yes", "No", "chargeback", "legit", "1", "0", "", "TRUE", "disputed", "no ", "NA", "2"]
    rows = [f"t{n:02},u{n},d,c{n},m,10,2025-03-{n:02}T10:00:00Z,{w},{KNOWN if w.strip('NA') else ''}"
            for n, w in enumerate(words, 1)]  # fmt: skip
    write(tmp_path / "tx.csv", *rows)


def test_c14_words_that_are_not_understood_are_listed_with_counts(c14, fails):
    for overrides in ((), MAP):
        fault = fails("tx.csv", *overrides)[0]["label", "label"]
        assert fault.rows == (9, 12) and fault.values == ("2 (1×)", "disputed (1×)")
        assert "data.events.payment.label.positive" in fault.remedy


def test_c14_unknown_words_can_be_dropped_and_blanks_stay_unlabelled(c14, run):
    ingested = run("tx.csv", *MAP, "data.events.payment.label.unknown=drop")
    by_label = {label: [] for label in (1, 0, -1)}
    for event, label in zip(ingested.log.event_ids.to_pylist(), ingested.log.label.tolist(), strict=True):
        by_label[label].append(event)
    assert by_label == {1: ["t01", "t03", "t05", "t08"], 0: ["t02", "t04", "t06", "t10"], -1: ["t07", "t11"]}
    assert ingested.report.tables[0].dropped == 2 and warnings(ingested)["label", "label"].count == 2


# ---- C18 a column that is the answer


@pytest.fixture
def c18(tmp_path):
    rows = []
    for n in range(40):
        fraud = n in (3, 11, 19, 27, 35)
        status, dispute = ("refund_issued", f"CB-{n}") if fraud else ("none", "")
        ts = f"2025-03-{1 + n // 2:02}T{9 + n % 2:02}:00:00Z"
        rows.append(f"t{n:02},u{n % 9},d{n % 7},c{n % 9},m{n % 5},{100 + n},{ts},{int(fraud)},{ts},{status},{dispute}")
    write(tmp_path / "tx.csv", *rows, header=f"{HEADER},case_status,dispute_ref")


ANSWERS = "data.events.payment.categorical=[case_status,dispute_ref]"


def test_c18_columns_that_are_the_answer_are_refused_by_name(c18, run):
    log = run("tx.csv", ANSWERS).log
    found = suspicious_columns(log)
    assert [(one.column, one.auc, one.rows, one.positives) for one in found] == [
        ("case_status", 1.0, 40, 5),
        ("dispute_ref", 1.0, 40, 5),
    ]
    with pytest.raises(DataError, match=r"(?s)case_status.*dispute_ref.*allow_columns"):
        refuse_answer_columns(log)
    refuse_answer_columns(log, allowed=["case_status", "dispute_ref"])


def test_c18_columns_can_be_declared_as_known_only_afterwards(c18, run):
    assert not run("tx.csv", "data.events.payment.post_event=[case_status,dispute_ref]").log.categorical


# ---- C28 Parquet clocks


@pytest.mark.parametrize("kind", [pa.timestamp("ns", tz="UTC"), pa.timestamp("us", tz="America/New_York"), "int96"])
def test_c28_clocks_of_every_make_are_the_same_instants(tmp_path, run, kind):
    stamp = pa.timestamp("ns") if kind == "int96" else kind
    instants = pa.array([1_740_823_200, 1_740_826_800]).cast(pa.timestamp("s", tz="UTC"))
    ts = instants.cast(pa.timestamp("ns", tz="UTC")).cast(stamp)
    write_parquet(tmp_path / "in.parquet", ts, int96=kind == "int96")
    assert (run("in.parquet").log.event_time // 1_000_000).tolist() == [1_740_823_200, 1_740_826_800]


def test_c28_dates_are_told(tmp_path, fails, run):
    write_parquet(tmp_path / "in.parquet", pa.array([20_148, 20_148], pa.int32()).cast(pa.date32()))
    assert fails("in.parquet")[0]["zone", "ts"].count == 2
    ingested = run("in.parquet", "data.timezone=UTC")
    assert "the order within a day is lost" in warnings(ingested)["date-only", "ts"].message


def write_parquet(path, ts, *, int96=False):
    columns = {name: ["x", "y"] for name in HEADER.split(",")[:5]}
    table = pa.table(
        columns | {"amount": [10.0, 11.0], "ts": ts, "label": pa.array([0, 1], pa.int8()), "label_known_at": ts}
    )
    pq.write_table(table, path, use_deprecated_int96_timestamps=int96)
