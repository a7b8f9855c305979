"""The contract: schema, layouts, and one space to a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from gnn.embedding_table import (
    MixedSpacesError,
    check_one_space,
    column_names,
    entity_schema,
    event_schema,
    laid_out,
    vectors_of,
)
from graphs.errors import ConfigError
from graphs.events import Role

Tables = Callable[..., pa.Table]


def test_the_schema_is_what_engines_read_without_flags() -> None:
    schema = entity_schema("user", 3)
    assert str(schema.field("event_timestamp").type) == str(schema.field("created_timestamp").type)
    assert str(schema.field("event_timestamp").type) == "timestamp[us, tz=UTC]"
    assert schema.field("user").type == pa.string()
    assert schema.field("embedding").type == pa.list_(pa.float32(), 3)


def test_an_event_is_told_with_its_keys_and_parties() -> None:
    names = event_schema([Role("sender", "user"), Role("receiver", "user")], 2, "columns").names
    assert names[:4] == ["event_type", "event_id", "sender", "receiver"]
    assert names[-2:] == ["embedding_000", "embedding_001"]


@pytest.mark.parametrize("layout", ["list", "columns", "both"])
def test_vectors_are_the_same_however_they_are_laid_out(vectors_table: Tables, layout: str) -> None:
    vectors = np.arange(36, dtype=np.float32).reshape(3, 12)
    table = laid_out(vectors_table(vectors), layout)  # type: ignore[arg-type]
    assert table.schema == entity_schema("user", 12, layout)  # type: ignore[arg-type]
    assert (vectors_of(table) == vectors).all()


def test_columns_stand_in_order_beyond_ten() -> None:
    assert sorted(column_names(120)) == column_names(120)


def test_a_part_of_a_table_has_its_own_vectors(vectors_table: Tables) -> None:
    table = vectors_table(np.arange(8).reshape(4, 2))
    assert vectors_of(table.slice(2, 1)).tolist() == [[4.0, 5.0]]


def test_one_space_is_told(vectors_table: Tables) -> None:
    table = vectors_table(np.eye(2), space="s7")
    assert check_one_space(table) == check_one_space(table.to_pandas()) == "s7"


def test_two_spaces_in_one_training_set_are_refused_with_their_counts(vectors_table: Tables) -> None:
    mixed = pa.concat_tables([vectors_table(np.eye(2), space="s1"), vectors_table(np.ones((1, 2)), space="s2")])
    with pytest.raises(MixedSpacesError, match=r"s1 \(2 rows\) and s2 \(1 row\).*Choose one space_version"):
        check_one_space(mixed.to_pandas(), "training set")


def test_a_join_that_found_nothing_is_no_space_of_its_own(vectors_table: Tables) -> None:
    frame = vectors_table(np.eye(2)).to_pandas()
    frame.loc[1, "space_version"] = None
    assert check_one_space(frame) == "s1"


def test_a_table_that_does_not_say_its_space_is_refused() -> None:
    with pytest.raises(ConfigError, match="no column space_version or model_version"):
        check_one_space(pa.table({"user": ["u1"]}))


def test_vectors_of_different_lengths_are_refused() -> None:
    ragged = pa.table({"embedding": pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32()))})
    with pytest.raises(ConfigError, match="different lengths"):
        vectors_of(ragged)
