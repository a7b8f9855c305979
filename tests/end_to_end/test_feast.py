"""Vectors in Feast: applied, joined as of a time, materialized, served and pushed, with SQLite and with Redis."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast_apply import apply
from services import redis_server

from gnn.embedding_store import Folder, Space, Staging, write_manifest
from gnn.embedding_table import MixedSpacesError, Provenance, entity_schema, entity_table
from gnn.feast_repo import push_vectors, write_feature_repository

if importlib.util.find_spec("feast") is None:
    pytest.skip("Feast is not installed (extra: feast)", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")
FEATURES = ["user_vectors:user_embedding", "user_vectors:user_events_seen", "user_vectors:user_space_version"]


def at(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").value // 1000)


def vectors(
    entity_type: str, rows: list[tuple[str, str, float]], space: str = "s1", created: str = "2025-06-01"
) -> pa.Table:
    """Rows (id, as of, x) with the vector [x, 1] and x as the number of events seen."""
    times, x = np.array([at(when) for _, when, _ in rows]), np.array([value for *_, value in rows])
    numbers = np.column_stack([x, np.ones(len(x))]).astype(np.float32)
    seen, made = x.astype(np.int32), Provenance("v1", space, at(created))
    return entity_table(entity_type, pa.array([key for key, *_ in rows]), times, numbers, x / 10, seen, times, made)


USERS = [
    ("007", "2025-03-02", 1.0),
    ("007", "2025-03-03", 2.0),
    ("7", "2025-03-02", 3.0),
    ("new", "2025-03-05", 4.0),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users and cards; the snapshot of 03-03 was made again later, with another number for user 007."""
    where = tmp_path_factory.mktemp("feast") / "store"
    staged = Staging(Folder.at(where), "list")
    again = vectors("user", [("007", "2025-03-03", 5.0)], created="2025-06-02")
    for moment, rows in (("2025-03-02", vectors("user", USERS)), ("2025-03-03", again)):
        staged.write("user", at(moment), "v1", entity_schema("user", 2), iter([rows]))
    cards = vectors("card", [("c1", "2025-03-01", 1.0)])
    staged.write("card", at("2025-03-01"), "v1", entity_schema("card", 2), iter([cards]))
    folder = Folder.at(where / "s1")
    staged.publish(folder)
    staged.drop()
    tables = {name: {"key": [name], "total_rows": 1, "files": files} for name, files in staged.written.items()}
    manifest = {"format": 1, "space_version": "s1", "dimension": 2, "layout": "list", "models": {"v1": {}}}
    write_manifest(folder, {**manifest, "tables": tables}, {"v1": np.eye(2, dtype=np.float32)})
    assert Space.at(folder) is not None
    return where


def applied(store: Path, output: Path, online: dict[str, Any], **how: Any) -> Any:
    """A repository generated, applied and materialized: Feast's FeatureStore."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from feast import FeatureStore

        write_feature_repository(
            store=str(store), online_store=online, offline_store={"type": "duckdb"}, output=str(output), **how
        )
        apply(output)
        features = FeatureStore(str(output))
        features.materialize(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC))
    return features


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def features(request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    output = tmp_path_factory.mktemp("repo") / "repo"
    if request.param == "sqlite":
        yield applied(store, output, {"type": "sqlite", "path": "data/online.db"})
        return
    with redis_server() as url:
        yield applied(store, output, {"type": "redis", "connection_string": url.removeprefix("redis://")})


@pytest.fixture(scope="module")
def offline(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return applied(store, tmp_path_factory.mktemp("offline") / "repo", {"type": "sqlite", "path": "data/online.db"})


Joined = Callable[..., pd.DataFrame]


@pytest.fixture
def joined(offline: Any) -> Joined:
    """A function (users, times) -> the training set that Feast joins, in the order asked."""

    def call(users: list[Any], times: list[Any], names: list[str] = FEATURES, **more: list[Any]) -> pd.DataFrame:
        asked = pd.DataFrame({"user": users, "event_timestamp": times, "place": range(len(users)), **more})
        return offline.get_historical_features(asked, features=names).to_df().sort_values("place")

    return call


def seen(frame: pd.DataFrame) -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in frame["user_events_seen"]]


# ---------------------------------------------------------------- traps of joins as of a time


def test_a_row_is_joined_from_its_instant_on_and_not_before(joined: Joined) -> None:
    times = pd.to_datetime(
        ["2025-03-01T23:59:59.999999Z", "2025-03-02T00:00:00.000000Z", "2025-03-02T23:59:59.000000Z"]
    )
    assert seen(joined(["007"] * 3, list(times))) == [None, 1.0, 1.0]


def test_of_two_rows_of_one_instant_the_one_made_last_counts(joined: Joined) -> None:
    assert seen(joined(["007"], [pd.Timestamp("2025-03-04T12:00:00Z")])) == [5.0]


def test_time_zones_are_honoured_and_a_bare_time_is_utc(joined: Joined) -> None:
    # 19:30 in New York on 03-01 is 00:30 on 03-02 in London.
    assert seen(joined(["7"], [pd.Timestamp("2025-03-01T19:30:00", tz="America/New_York")])) == [3.0]
    assert seen(joined(["7"], [pd.Timestamp("2025-03-01T19:30:00")])) == [None]


def test_ids_stay_text(joined: Joined) -> None:
    assert seen(joined(["007", "7"], [pd.Timestamp("2025-03-02T12:00:00Z")] * 2)) == [1.0, 3.0]


def test_numbers_for_ids_do_not_silently_find_somebody(joined: Joined) -> None:
    with pytest.raises(Exception, match=r"(?i)string|int|type|compar"):
        joined([7], [pd.Timestamp("2025-03-02T12:00:00Z")])


def test_the_same_question_twice_has_two_answers(joined: Joined) -> None:
    assert seen(joined(["7", "7"], [pd.Timestamp("2025-03-02T12:00:00Z")] * 2)) == [3.0, 3.0]


def test_a_stranger_is_null_and_keeps_its_row(joined: Joined) -> None:
    frame = joined(["nobody", "7"], [pd.Timestamp("2025-03-02T12:00:00Z")] * 2)
    assert seen(frame) == [None, 3.0] and frame["user_embedding"].iloc[0] is None


def test_vectors_come_out_as_they_went_in_and_say_their_space(joined: Joined) -> None:
    row = joined(["7"], [pd.Timestamp("2025-03-02T12:00:00Z")]).iloc[0]
    assert list(row["user_embedding"]) == [3.0, 1.0] and row["user_space_version"] == "s1"


def test_a_pair_is_compared_on_demand(joined: Joined) -> None:
    names = ["user_vectors:user_embedding", "card_vectors:card_embedding", "user_card:user_card_cosine"]
    frame = joined(["7", "7"], [pd.Timestamp("2025-03-02T12:00:00Z")] * 2, names, card=["c1", "c9"])
    assert frame["user_card_cosine"].iloc[0] == pytest.approx(4 / np.sqrt(10 * 2))
    assert np.isnan(frame["user_card_cosine"].iloc[1])


def test_a_vector_older_than_its_time_to_live_is_not_joined(store: Path, tmp_path: Path) -> None:
    features = applied(store, tmp_path / "repo", {"type": "sqlite", "path": "data/online.db"}, ttl_days=2, pairs=[])
    times = pd.to_datetime(["2025-03-03T12:00:00Z", "2025-03-09T12:00:00Z"])
    asked = pd.DataFrame({"user": ["7", "7"], "event_timestamp": times})
    found = features.get_historical_features(asked, features=FEATURES).to_df().sort_values("event_timestamp")
    assert seen(found) == [3.0, None]


# ---------------------------------------------------------------- online


def served(features: Any, *users: str) -> dict[str, list[Any]]:
    return features.get_online_features(features=FEATURES, entity_rows=[{"user": user} for user in users]).to_dict()


def test_the_newest_vector_is_served_and_a_stranger_is_none(features: Any) -> None:
    found = served(features, "007", "7", "nobody")
    assert found["user_embedding"] == [[5.0, 1.0], [3.0, 1.0], None]
    assert found["user_events_seen"] == [5, 3, None]


def test_a_pair_is_compared_online(features: Any) -> None:
    names = ["user_vectors:user_embedding", "card_vectors:card_embedding", "user_card:user_card_cosine"]
    found = features.get_online_features(features=names, entity_rows=[{"user": "7", "card": "c1"}]).to_dict()
    assert found["user_card_cosine"] == [pytest.approx(4 / np.sqrt(10 * 2))]


def test_a_fresh_vector_is_pushed(features: Any) -> None:
    push_vectors(features.repo_path, vectors("user", [("fresh", "2025-07-01", 8.0)]), "user")
    assert served(features, "fresh")["user_embedding"] == [[8.0, 1.0]]


def test_a_vector_of_another_space_is_not_pushed(features: Any) -> None:
    with pytest.raises(MixedSpacesError, match=r"s1 \(1 row\) and s2 \(1 row\)"):
        push_vectors(features.repo_path, vectors("user", [("7", "2025-07-01", 8.0)], space="s2"), "user")
    assert served(features, "7")["user_embedding"] == [[3.0, 1.0]]


def test_versions_stand_on_the_views(features: Any) -> None:
    assert features.get_feature_view("user_vectors").tags == {
        "space_version": "s1", "model_versions": "v1", "dimension": "2",
    }  # fmt: skip
