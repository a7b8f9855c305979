"""The store: what is written, what is refused, and that it is the same whoever reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pytest
import torch

from gnn import embedding_export
from gnn.embed import Embedder
from gnn.embedding_export import event_days, export_embeddings, into_space, snapshots_of, write_vectors
from gnn.embedding_health import HealthSpec, UnhealthyVectorsError
from gnn.embedding_schedule import Schedule
from gnn.embedding_space import AlignmentSpec
from gnn.embedding_store import Folder, Space, read_embeddings
from gnn.embedding_table import MixedSpacesError, entity_schema, vectors_of
from graphs.errors import ConfigError, NotFoundError
from graphs.events import EventLog

DAILY = Schedule("day", only_changed=True)
LENIENT = HealthSpec(fewest_rows=10_000)

Write = Callable[..., Space]


@pytest.fixture(scope="module")
def log(random_log: Callable[..., EventLog]) -> EventLog:
    return random_log(11, 120)


@pytest.fixture(scope="module")
def embedder(log: EventLog, embedder_of: Callable[..., Embedder]) -> Embedder:
    return embedder_of(log)


def test_a_span_of_events_that_ends_before_it_begins_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="start: 2025-05-01 does not lie before stop=2025-01-01"):
        export_embeddings(
            bundle="not there", data={}, schedule=Schedule(), health=HealthSpec(), alignment=AlignmentSpec(),
            output=str(tmp_path / "store"), events=True, start="2025-05-01", stop="2025-01-01",
        )  # fmt: skip


@pytest.fixture
def write(embedder: Embedder, tmp_path: Path) -> Write:
    """A function (store=…, schedule=…, by=…, events=…, …) that exports users, cards and devices into a store."""

    def call(
        store: str | Path = tmp_path / "store",
        schedule: Schedule = DAILY,
        by: Embedder = embedder,
        health: HealthSpec = LENIENT,
        *,
        events: bool = False,
        **how: Any,
    ) -> Space:
        days = event_days(by, None, None) if events else None
        how = {"created": 7, **how}
        return write_vectors(by, Folder.at(store), snapshots_of(by, schedule, None), days, health=health, **how)

    return call


def hashes(folder: str | Path) -> Mapping[str, str]:
    files = sorted(Path(folder).rglob("*"))
    return {
        str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files if each.is_file()
    }


def test_a_repeated_export_is_the_same_to_the_byte(write: Write, tmp_path: Path) -> None:
    one, two = (hashes(write(tmp_path / name, events=True).folder.path) for name in "ab")
    assert one == two and len(one) > 4


def test_the_manifest_counts_what_is_there(write: Write, embedder: Embedder, log: EventLog) -> None:
    space = write(events=True)
    assert set(space.tables) == {"user", "card", "device", "events"}
    assert space.tables["events"]["total_rows"] == len(space.read("events")) == len(log)
    assert space.tables["user"]["last_export"]["norm"]["min"] > 0
    assert list(space.manifest["models"]) == [embedder.bundle.version]
    listed = {each["path"] for table in space.tables.values() for each in table["files"]}
    assert listed == {name for name in hashes(space.folder.path) if name.endswith(".parquet")}


def test_nothing_but_the_space_is_left_in_the_store(write: Write, tmp_path: Path) -> None:
    space = write()
    assert [child.name for child in Folder.at(tmp_path / "store").children()] == [space.version]


def test_every_day_in_one_table_or_one_snapshot(write: Write, embedder: Embedder) -> None:
    rows = write().read("card")
    assert rows["event_timestamp"].to_numpy().astype(np.int64).tolist() == sorted(
        rows["event_timestamp"].to_numpy().astype(np.int64)
    )
    newest = write(schedule=Schedule(), existing="skip").read("card", newest=True)
    assert newest["card"].to_pylist() == sorted(embedder.graph.log.entity_ids["card"].to_pylist())


def test_a_snapshot_that_is_there_is_not_written_over_unasked(write: Write) -> None:
    write(created=1)
    with pytest.raises(ConfigError, match=r"already holds card as of .*existing=skip.*existing=replace"):
        write(created=2)
    created = write(created=2, existing="skip").read("card")["created_timestamp"].cast(pa.int64())
    assert set(created.to_pylist()) == {1}
    created = write(created=3, existing="replace").read("card")["created_timestamp"].cast(pa.int64())
    assert set(created.to_pylist()) == {3}


def test_later_days_join_those_that_are_there(write: Write, log: EventLog) -> None:
    days = [str(np.datetime64(int(t), "us")) for t in DAILY.moments(log)]
    first = write(schedule=Schedule("day", stop=days[1], only_changed=True))
    then = write(schedule=Schedule("day", start=days[2]), created=8)
    assert then.snapshots > first.snapshots
    assert then.tables["user"]["total_rows"] == len(then.read("user")) > first.tables["user"]["total_rows"]


def test_an_export_that_is_not_healthy_leaves_what_was_there(write: Write, embedder: Embedder, tmp_path: Path) -> None:
    before = hashes(write().folder.path)
    broken = embedder.turned(np.full((8, 8), np.nan, np.float32), embedder.space_version)
    with pytest.raises(UnhealthyVectorsError, match="hold NaN"):
        write(by=broken, existing="replace")
    with pytest.raises(UnhealthyVectorsError, match="are the same"):
        write(by=embedder.turned(np.zeros((8, 8), np.float32), "x"), health=HealthSpec(fewest_rows=5))
    assert hashes(tmp_path / "store") == {f"{embedder.space_version}/{name}": each for name, each in before.items()}


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have `act` done once while an export has computed its vectors and not yet published them."""
    checked = embedding_export.refuse_unhealthy

    def interrupted(*args: Any) -> None:
        monkeypatch.setattr(embedding_export, "refuse_unhealthy", checked)
        act()

    monkeypatch.setattr(embedding_export, "refuse_unhealthy", interrupted)


def test_two_exports_at_once_both_stay(write: Write, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [str(np.datetime64(int(t), "us")) for t in DAILY.moments(log)]
    early, late = (Schedule("day", stop=days[1], only_changed=True), Schedule("day", start=days[2]))
    first = []
    meanwhile(monkeypatch, lambda: first.append(write(schedule=early)))
    space = write(schedule=late)
    assert space.snapshots > first[0].snapshots
    assert space.paths == {name for name in hashes(space.folder.path) if name.endswith(".parquet")}


@pytest.mark.parametrize(("existing", "created"), [("skip", 1), ("replace", 2)])
def test_a_snapshot_that_another_export_wrote_meanwhile_is_treated_as_any_other(
    write: Write, monkeypatch: pytest.MonkeyPatch, existing: str, created: int
) -> None:
    meanwhile(monkeypatch, lambda: write(created=1))
    rows = write(created=2, existing=existing).read("card")
    assert set(rows["created_timestamp"].cast(pa.int64()).to_pylist()) == {created}


def test_a_snapshot_that_another_export_wrote_meanwhile_is_not_written_over_unasked(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: write(created=1))
    with pytest.raises(ConfigError, match="already holds card as of"):
        write(created=2)


def test_a_write_that_fails_half_way_leaves_the_maps_whole(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    space = write()

    def half(folder: Folder, content: bytes) -> None:
        Path(folder.path).write_bytes(content[:10])
        raise OSError("disk full")

    monkeypatch.setattr(Folder, "write", half)
    with pytest.raises(OSError, match="disk full"):
        write(existing="replace")
    assert list(Space(space.folder, space.manifest).rotations) == [space.version]


def test_an_empty_export_has_the_same_schema(write: Write) -> None:
    space = write(schedule=Schedule("day", start="1970-01-01", stop="1970-01-01"))
    table = space.read("user")
    assert len(table) == 0 and table.schema.remove_metadata() == entity_schema("user", 8)


def test_a_bucket_is_as_good_as_a_disk(write: Write, tmp_path: Path) -> None:
    local, remote = write(events=True), write("memory://bucket/store", events=True)
    for name in local.tables:
        assert remote.read(name).equals(local.read(name))
    assert read_embeddings("memory://bucket/store", "user").equals(read_embeddings(tmp_path / "store", "user"))


@pytest.mark.parametrize("layout", ["list", "columns", "both"])
def test_ordinary_readers_read_it_without_flags(write: Write, layout: str) -> None:
    space = write(layout=layout)
    folder = f"{space.folder.path}/user"
    wanted = vectors_of(space.read("user").sort_by([("user", "ascending"), ("event_timestamp", "ascending")]))
    order = 'order by "user", event_timestamp'
    by_duckdb = duckdb.sql(f"select * from read_parquet('{folder}/**/*.parquet') {order}").to_arrow_table()
    by_pandas = pd.read_parquet(folder).sort_values(["user", "event_timestamp"])
    assert (vectors_of(by_duckdb) == wanted).all() and by_duckdb["user"].type == pa.string()
    assert (vectors_of(pa.Table.from_pandas(by_pandas, preserve_index=False)) == wanted).all()
    assert str(by_pandas["event_timestamp"].dtype) == "datetime64[us, UTC]"
    assert pyarrow.dataset.dataset(folder, partitioning="hive").schema.get_field_index("as_of_date") >= 0


# ---------------------------------------------------------------- spaces


@pytest.fixture(scope="module")
def retrained(log: EventLog, embedder_of: Callable[..., Embedder], bundle_of: Any) -> Embedder:
    """A network that found the same geometry turned the other way round."""
    bundle = bundle_of(log, version="v2")
    with torch.no_grad():
        for norm in (bundle.members[0].sage[-1].norm,):
            norm.weight.neg_()
            norm.bias.neg_()
    return embedder_of(log, bundle)


def test_another_model_gets_a_space_of_its_own_and_a_reader_has_to_choose(
    write: Write, retrained: Embedder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write()
    turned, told = into_space(retrained, Folder.at(tmp_path / "store"), AlignmentSpec(), None)
    assert told is None and "a reader has to choose one" in caplog.text
    write(by=turned)
    with pytest.raises(MixedSpacesError, match=r"v1 \([\d,]+ rows\) and v2 \([\d,]+ rows\)"):
        read_embeddings(tmp_path / "store", "user")
    assert set(read_embeddings(tmp_path / "store", "user", space_version="v2")["model_version"].to_pylist()) == {"v2"}


def test_a_retrained_model_goes_on_in_the_space_it_is_aligned_to(
    write: Write, retrained: Embedder, tmp_path: Path
) -> None:
    space, store = write(schedule=Schedule()), Folder.at(tmp_path / "store")
    turned, told = into_space(retrained, store, AlignmentSpec(fewest_anchors=5), space.folder.path)
    assert told is not None and told["residual"] < 0.01 < told["unaligned"]
    before = space.read("user").sort_by("user")
    joined = write(by=turned, schedule=Schedule(), existing="replace")
    after = joined.read("user").sort_by("user")
    assert set(after["model_version"].to_pylist()) == {"v2"} and joined.version == "v1"
    np.testing.assert_allclose(vectors_of(after), vectors_of(before), atol=1e-3)
    assert set(joined.rotations) == {"v1", "v2"}


def test_a_model_that_is_known_in_the_space_is_turned_as_before(
    write: Write, retrained: Embedder, tmp_path: Path
) -> None:
    space, store = write(schedule=Schedule()), Folder.at(tmp_path / "store")
    turned, _ = into_space(retrained, store, AlignmentSpec(fewest_anchors=5), space.folder.path)
    write(by=turned, schedule=Schedule(), existing="replace")
    again, _ = into_space(retrained, store, AlignmentSpec(max_residual=0.0), space.folder.path)
    assert again.rotation is not None and (again.rotation == turned.rotation).all()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [(AlignmentSpec(fewest_anchors=10_000), "at least 10000 are needed"), (AlignmentSpec(0.0, 5), "is allowed")],
)
def test_a_model_that_cannot_be_aligned_gets_its_own_space_and_the_reason_is_told(
    write: Write, retrained: Embedder, tmp_path: Path, spec: AlignmentSpec, reason: str, caplog: Any
) -> None:
    space = write(schedule=Schedule())
    turned, told = into_space(retrained, Folder.at(tmp_path / "store"), spec, space.folder.path)
    assert turned.space_version == "v2" and told is not None and "refused" in told
    assert reason in caplog.text


def test_what_is_not_there_is_told(tmp_path: Path, write: Write, embedder: Embedder) -> None:
    with pytest.raises(NotFoundError, match="nothing is there"):
        read_embeddings(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="say which"):
        read_embeddings(write().folder.path)
    with pytest.raises(NotFoundError, match="holds no 'shop'"):
        write(existing="skip").read("shop")
    with pytest.raises(NotFoundError, match="is no space of a store"):
        into_space(embedder, Folder.at(tmp_path), AlignmentSpec(), str(tmp_path))


def test_a_driver_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigError, match=r"fsspec needs for it"):
        Folder.at("nosuchscheme://bucket/store")


def test_another_layout_in_the_same_space_is_refused(write: Write) -> None:
    write()
    with pytest.raises(ConfigError, match="holds vectors as list, got columns"):
        write(layout="columns", existing="replace")
