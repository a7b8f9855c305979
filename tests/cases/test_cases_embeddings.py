"""Reported faults of published vectors, each met with its small input: C26 and C28."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnn.embedding_store import read_embeddings
from gnn.embedding_table import entity_schema
from graphs.config import run

# ---------------------------------------------------------------- C26 vectors from two model generations mixed

HEADER = "model_version,entity_type,entity_id,event_timestamp,embedding"
V1 = [
    'v1,user,u1,2025-03-01T10:00:00Z,"[1.000000, 0.000000, 0.000000]"',
    'v1,user,u2,2025-03-01T10:00:00Z,"[0.800000, 0.600000, 0.000000]"',
    'v1,user,u3,2025-03-01T10:00:00Z,"[0.000000, 0.000000, 1.000000]"',
]
V2 = [
    'v2,user,u1,2025-03-31T10:00:00Z,"[0.000000, 1.000000, 0.000000]"',
    'v2,user,u2,2025-03-31T10:00:00Z,"[-0.600000, 0.800000, 0.000000]"',
    'v2,user,u3,2025-03-31T10:00:00Z,"[0.000000, 0.000000, 1.000000]"',
]


def store(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return f'"{path}"'


@pytest.mark.parametrize("rows", [V1, V2])
def test_c26_similarity_within_a_generation(tmp_path: Path, rows: list[str], capsys: pytest.CaptureFixture) -> None:
    assert run("similar_embeddings", [f"store={store(tmp_path / 'v.csv', rows)}", "id=u1"]) == 0
    assert capsys.readouterr().out.splitlines() == ["u2\t0.8000", "u3\t0.0000"]


def test_c26_a_mixed_store_is_refused_with_its_versions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mixed = store(tmp_path / "mixed.csv", [V1[0], V1[2], V2[1]])
    assert run("similar_embeddings", [f"store={mixed}", "id=u1"]) == 2
    assert "v1 (2 rows) and v2 (1 row)" in caplog.text


def test_c26_a_reader_may_choose_one_generation(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    mixed = store(tmp_path / "mixed.csv", [*V1, *V2])
    assert run("similar_embeddings", [f"store={mixed}", "id=u1", "space_version=v2"]) == 0
    assert capsys.readouterr().out.startswith("u2\t0.8000")


def test_c26_a_turned_generation_is_no_change(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    old, new = store(tmp_path / "v1.csv", V1), store(tmp_path / "v2.csv", V2)
    assert run("compare_embeddings", [f"old={old}", f"new={new}"]) == 0
    assert capsys.readouterr().out.startswith("no change")


# ---------------------------------------------------------------- a small run, exported

PAYMENTS = "txn_id,user_id,device_id,card_id,merchant_id,amount,ts,label,label_known_at"
QUICK = (
    "trainer.epochs=2",
    "evaluation.bootstrap=20",
    "comparison.controls=false",
    "comparison.lightgbm=false",
    "split.test_share=0.3",
)


def payments(count: int = 60) -> list[str]:
    """A payment every twelve hours by users 001 to 008; every sixth is a fraud, known two days later."""
    rows = []
    for i in range(count):
        when = pd.Timestamp("2025-03-01T08:00", tz="UTC") + pd.Timedelta(hours=12 * i)
        known = when + pd.Timedelta(days=2)
        who = f"00{1 + i * 5 % 8}"
        rows.append(
            f"h{i},{who},d{i % 5},c{who},m{i % 4},{5 + i * 37 % 60}.5,{when:%FT%TZ},{int(i % 6 == 5)},{known:%FT%TZ}"
        )
    return rows


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tx.csv and two trainings of it, v1 and v2."""
    folder = tmp_path_factory.mktemp("embeddings")
    (folder / "tx.csv").write_text("\n".join([PAYMENTS, *payments()]) + "\n", encoding="utf-8")
    for seed in (1, 2):
        where = [f'data.path="{folder / "tx.csv"}"', f'output="{folder / f"v{seed}"}"', f"seed={seed}"]
        assert run("train", ["data=payments", *where, *QUICK]) == 0
    return folder


def embed(runs: Path, model: str, output: Path, *overrides: str) -> int:
    where = [f'data.path="{runs / "tx.csv"}"', f'bundle="{runs / model / "bundle"}"', f'output="{output}"']
    return run("export_embeddings", ["data=payments", *where, "events=true", "created=2025-06-01", *overrides])


def test_c26_an_export_of_another_model_adds_a_version(
    runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert embed(runs, "v1", tmp_path) == embed(runs, "v2", tmp_path) == 0
    assert "a reader has to choose one" in caplog.text
    one, two = sorted(child.name for child in tmp_path.iterdir())
    held = [read_embeddings(tmp_path, "user", space_version=version) for version in (one, two)]
    assert [set(rows["model_version"].to_pylist()) for rows in held] == [{one}, {two}]
    caplog.clear()
    assert run("similar_embeddings", [f'store="{tmp_path}"', "table=user", "id='001'"]) == 2
    assert one in caplog.text and two in caplog.text


def test_c26_every_row_says_where_it_comes_from(runs: Path, tmp_path: Path) -> None:
    assert embed(runs, "v1", tmp_path) == 0
    row = read_embeddings(tmp_path, "user").to_pylist()[0]
    assert row["dimension"] == len(row["embedding"]) and row["model_version"] and row["space_version"]
    assert row["event_timestamp"].tzinfo is not None and str(row["created_timestamp"]) == "2025-06-01 00:00:00+00:00"


# ---------------------------------------------------------------- C28 clocks and types other engines cannot read


def files(folder: Path, table: str) -> list[Path]:
    return sorted(folder.glob(f"*/{table}/as_of_date=*/*.parquet"))


def test_c28_stamps_are_microseconds_utc_ids_text_and_vectors_float32(runs: Path, tmp_path: Path) -> None:
    assert embed(runs, "v1", tmp_path) == 0
    for path in files(tmp_path, "user") + files(tmp_path, "events"):
        schema = pq.read_schema(path)
        assert "__index_level_0__" not in schema.names
        assert {str(kind) for kind in schema.types if pa.types.is_timestamp(kind)} == {"timestamp[us, tz=UTC]"}
        assert schema.field("embedding").type.value_type == pa.float32()
        assert all(schema.field(name).type == pa.string() for name in ("user", "model_version"))
    assert pq.read_table(files(tmp_path, "user")[0])["user"].to_pylist()[:2] == ["001", "002"]


def test_c28_ordinary_readers_need_no_flags(runs: Path, tmp_path: Path) -> None:
    assert embed(runs, "v1", tmp_path) == 0
    path = files(tmp_path, "user")[0]
    wanted = pq.read_table(path)["embedding"].to_pylist()
    assert pl.read_parquet(path)["embedding"].to_list() == wanted
    assert duckdb.sql(f"select embedding from '{path}'").to_arrow_table()["embedding"].to_pylist() == wanted
    assert [list(vector) for vector in pd.read_parquet(path)["embedding"]] == wanted


def test_c28_an_empty_export_has_the_same_schema(runs: Path, tmp_path: Path) -> None:
    early = ["schedule=daily", "schedule.start=2001-01-01", "schedule.stop=2001-01-02", "stop=2001-01-01"]
    assert embed(runs, "v1", tmp_path, *early) == 0
    (path,) = files(tmp_path, "user")
    width = pq.read_schema(path).field("embedding").type.list_size
    assert pq.read_metadata(path).num_rows == 0
    assert [f.type for f in pq.read_schema(path)] == [f.type for f in entity_schema("user", width)]
