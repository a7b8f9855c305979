"""The CSV reader beside Python's own, block borders included, and what it says of broken files."""

import bz2
import csv
import gzip
import io
import lzma

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import readers
from graphs.readers import find_files, read_blocks
from graphs.report import Findings
from graphs.schema import CsvFormat

FUZZ = settings(max_examples=150)


@pytest.fixture
def read(tmp_path):
    """Write text or bytes into a file and read it: (rows as dicts, data row of each, faults)."""

    def reading(content, *, columns=None, name="t.csv", **options):
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        findings = Findings()
        wanted = None if columns is None else {column: f"data.x.{column}" for column in columns}
        blocks = list(read_blocks(file, wanted, csv=CsvFormat(**options), findings=findings))
        rows = [row for block in blocks for row in pa.table(block.columns).to_pylist()]
        numbers = [n for block in blocks for n in range(block.first_row, block.first_row + len(block.broken))]
        return rows, numbers, [*findings.file_faults, *findings.row_faults]

    return reading


def test_cells_are_the_text_they_are(read):
    rows, numbers, faults = read("a,b\n007,1e5\n ,\n")
    assert rows == [{"a": "007", "b": "1e5"}, {"a": " ", "b": ""}]
    assert (numbers, faults) == ([1, 2], [])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_last_line_without_one(read, end):
    assert read(f"a,b{end}1,2{end}3,4")[0] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_quotes_hold_delimiters_line_breaks_and_doubled_quotes(read):
    rows = read('a,b\n"x,y","Bar ""Sol""\r\nNorte"\n"",5" disk\n')[0]
    assert rows == [{"a": "x,y", "b": 'Bar "Sol"\r\nNorte'}, {"a": "", "b": '5" disk'}]


def test_empty_lines_are_no_rows(read):
    rows, numbers, _ = read("\n\na,b\n\n1,2\n\n3,4\n\n")
    assert [row["a"] for row in rows] == ["1", "3"]
    assert numbers == [1, 2]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ('a,b\n1,"x\n2,y\n', "data row 1 (line 2"),
        ('a,b\n1,x\n2,"y\n3,"z"\n', "data row 2 (line 3"),
        ('a,"b\n1,x\n', "in the header (line 1"),
        ('a,b\n1,x\n\n"p\nq",5\n3,"y', "data row 3 (line 6"),
    ],
)
def test_a_quote_that_stays_open_is_told_where_it_opens(read, content, where):
    _, _, faults = read(content)
    assert [fault.code for fault in faults] == ["open-quote"]
    assert where in faults[0].message


def test_an_open_quote_ends_the_reading_before_it_fills_the_memory(read, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 16)
    monkeypatch.setattr(readers, "LONGEST_RECORD", 64)
    faults = read('a,b\n1,x\n2,"' + "y" * 500 + '"\n')[2]
    assert "data row 2 (line 3 of the file) is never closed" in faults[0].message


def test_rows_with_other_numbers_of_fields_are_told_and_the_rest_is_read(read):
    rows, numbers, faults = read("a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert [row["a"] for row in rows] == ["1", "", "", "7"] and numbers == [1, 2, 3, 4]
    assert (faults[0].rows, faults[0].values) == ((2, 3), ("1 fields", "3 fields"))


def test_a_missing_column_is_named_with_the_nearest_one_and_the_key(read):
    fault = read("usr_id,ts\n1,2\n", columns=["user_id"])[2][0]
    assert fault.column == "user_id" and "did you mean usr_id" in fault.message and "data.x.user_id" in fault.remedy


def test_a_column_named_twice_is_a_fault_only_where_it_is_wanted(read):
    assert read("a,a,b\n1,2,3\n", columns=["b"])[0] == [{"b": "3"}]
    assert read("a,a,b\n1,2,3\n", columns=["a"])[2][0].code == "double-column"


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_told(read, content):
    assert read(content)[2][0].code == "empty"


def test_a_header_alone_is_a_table_without_rows(read):
    assert read("a,b\n") == ([], [], [])


def test_a_delimiter_that_was_not_declared_is_named_with_the_override(read):
    assert 'data.csv.delimiter=";"' in read("a;b\n1;2\n")[2][0].remedy
    assert read("a;b\n1;2\n", delimiter=";")[0] == [{"a": "1", "b": "2"}]
    assert read("a\tb\n1\t2\n", name="t.tsv")[0] == [{"a": "1", "b": "2"}]
    # Where another file needed the delimiter that was declared, the remedy for this one would undo that of the other.
    fault = read("a,b\n1,2\n", delimiter=";")[2][0]
    assert "other text files of the data set have ';', export this one or those again" in fault.remedy


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=,", "sep=\t"])
@pytest.mark.parametrize("delimiter", [None, ";", "\t"])
def test_a_line_that_tells_excel_the_delimiter_is_to_be_deleted(read, first, delimiter):
    (fault,) = read(f"{first}\na;b\n1;2\n", delimiter=delimiter)[2]
    assert (fault.code, fault.remedy) == ("sep", "Delete that line.")
    assert read("sep=,b\n1,2\n")[0] == [{"sep=": "1", "b": "2"}]


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_a_mark_at_the_start_tells_the_encoding(read, encoding):
    content = "\ufeffä,b\n€,😀\n" if encoding.endswith("e") else "ä,b\n€,😀\n"
    assert read(content.encode(encoding))[0] == [{"ä": "€", "b": "😀"}]


def test_a_byte_that_is_no_text_is_told_with_its_place_and_the_remedy(read, monkeypatch):
    content = "a,b\n1,é\n2,Caña €\n".encode("cp1252")
    for size in (5, 1 << 24):
        monkeypatch.setattr(readers, "BLOCK_BYTES", size)
        fault = read(content)[2][0]
        assert "byte 6 (0xe9, line 2 of the file)" in fault.message and "data.csv.encoding=cp1252" in fault.remedy
    assert read(content, encoding="cp1252")[0][1] == {"a": "2", "b": "Caña €"}


def test_utf_16_without_its_mark_is_told(read):
    content = "a,b\n1,2\n".encode("utf-16-le")
    assert "data.csv.encoding=utf-16-le" in read(content)[2][0].remedy
    assert read(content, encoding="utf-16-le")[0] == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize(
    ("encoding", "order"), [("utf-16", "le"), ("utf-16", "be"), ("utf-32", "le"), ("utf-32", "be")]
)
def test_an_encoding_that_needs_a_mark_is_told_where_there_is_none(read, encoding, order):
    fault = read("a,b\n1,2\n".encode(f"{encoding}-{order}"), encoding=encoding)[2][0]
    assert fault.code == "encoding" and f"data.csv.encoding={encoding}-le (or {encoding}-be)" in fault.remedy


def parquet():
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind", "remedy"),
    [
        ("t.csv.bz2", bz2.compress(b"a\n1\n"), "packed by bzip2", "Unpack it"),
        ("t.csv", bz2.compress(b"a\n1\n"), "packed by bzip2", "Unpack it"),
        ("t.csv", lzma.compress(b"a\n1\n"), "packed by xz", "Unpack it"),
        ("t.csv", gzip.compress(b"a\n1\n", mtime=0), "packed by gzip", "end in .csv.gz"),
        ("t.csv", parquet(), "a Parquet file", "end in .parquet"),
        ("t.csv.gz", parquet(), "a Parquet file", "end in .parquet"),
        ("t.parquet.gz", gzip.compress(parquet(), mtime=0), "a Parquet file", "Unpack it"),
        ("t.csv", b"PK\x03\x04xl", "a zip file or a spreadsheet", "save its sheet"),
    ],
)
def test_a_file_of_another_kind_is_told_what_it_is(read, name, content, kind, remedy):
    fault = read(content, name=name)[2][0]
    assert kind in fault.message and remedy in fault.remedy


def test_columns_with_the_names_of_marks_are_columns(read):
    assert read("PAR1,BZh9\n1,2\n")[0] == [{"PAR1": "1", "BZh9": "2"}]


def test_compressed_files_are_read_and_damaged_ones_told(read):
    packed = gzip.compress(b"a,b\n1,2\n")
    assert read(packed, name="t.csv.gz")[0] == [{"a": "1", "b": "2"}]
    assert read(packed[:-9], name="t.csv.gz")[2][0].code == "unreadable"


def test_a_file_that_is_no_parquet_is_told(read):
    assert read("a,b\n", name="t.parquet")[2][0].code == "unreadable"


def test_parquet_columns_keep_their_types(tmp_path):
    table = pa.table({"a": pa.array(["x", "y"]).dictionary_encode(), "b": pa.array([1, 2], pa.int8()), "c": [0, 0]})
    pq.write_table(table, tmp_path / "t.parquet")
    (block,) = read_blocks(tmp_path / "t.parquet", {"b": "", "a": ""}, csv=CsvFormat(), findings=Findings())
    assert {name: str(array.type) for name, array in block.columns.items()} == {"b": "int8", "a": "string"}


def test_files_come_in_order_of_name_and_each_once(tmp_path):
    for name in ("b.csv", "a.csv", "_tmp.csv", "x/c.parquet", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = find_files([tmp_path / "b.csv", tmp_path, tmp_path / "*.csv"], Findings())
    assert [str(file.relative_to(tmp_path)) for file in found] == ["b.csv", "a.csv", "x/c.parquet", "_tmp.csv"]


def test_paths_that_lead_nowhere_are_all_told(tmp_path):
    findings = Findings()
    find_files([tmp_path / "no.csv", tmp_path / "*.parquet"], findings)
    assert len(findings.missing_files) == 2


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "tx[1].csv").write_text("")
    assert find_files([tmp_path / "tx[1].csv"], Findings()) == [tmp_path / "tx[1].csv"]


@FUZZ
@given(st.lists(st.lists(st.text(max_size=6), min_size=2, max_size=2), min_size=1, max_size=8), st.integers(3, 40))
def test_what_the_standard_writer_writes_comes_back(read, cells, size):
    kept = readers.BLOCK_BYTES
    readers.BLOCK_BYTES = size
    try:
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *cells])
        rows, _, faults = read(text.getvalue().encode("utf-8", "surrogatepass"))
    finally:
        readers.BLOCK_BYTES = kept
    assert [[row["a"], row["b"]] for row in rows] == cells and faults == []


@FUZZ
@given(st.text(alphabet='a,"\n\r; é', max_size=40), st.integers(3, 50))
def test_any_text_is_read_or_told_the_same_wherever_blocks_end(read, body, size):
    content = f"x,y\n{body}"
    whole = read(content)
    kept = readers.BLOCK_BYTES
    readers.BLOCK_BYTES = size
    try:
        pieces = read(content)
    finally:
        readers.BLOCK_BYTES = kept
    if any(fault.code == "open-quote" for fault in whole[2]):
        assert [fault.message for fault in pieces[2] if fault.code == "open-quote"]
    else:
        assert pieces[:2] == whole[:2]


@FUZZ
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_told(read, body):
    rows, numbers, faults = read(b"x,y\n" + body)
    assert faults or numbers == list(range(1, len(rows) + 1))
    assert np.all(np.diff(numbers) == 1)
