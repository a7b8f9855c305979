"""Two questions to an embedding store: who is most like this one, and do two exports say the same."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa

from gnn.embedding_space import compare_spaces
from gnn.embedding_store import EVENTS, read_embeddings
from gnn.embedding_table import vectors_of
from graphs.errors import ConfigError, NotFoundError


def similar(*, store: str, id: str, table: str | None = None, space_version: str | None = None, most: int = 10) -> None:
    """Print the entities whose newest vectors are most like that of `id`, with the cosine.

    `store` is a store, a space's folder, a Parquet file or a CSV; `table` the entity type, where it holds several.
    """
    rows = read_embeddings(store, table, space_version=space_version)
    # An answer to whoever asked, not a log: the ids are his own.
    for other, cosine in most_similar(rows, id, key=key_of(rows, table), most=most):
        sys.stdout.write(f"{other}\t{cosine:.4f}\n")


def compare(
    *,
    old: str,
    new: str,
    table: str | None = None,
    old_space: str | None = None,
    new_space: str | None = None,
) -> None:
    """Print whether two exports say the same of the things that both hold, whichever way each is turned."""
    one = read_embeddings(old, table, space_version=old_space)
    two = read_embeddings(new, table, space_version=new_space)
    drift = compare_spaces(one, two, key_of(one, table))
    turned = "" if drift.residual is None else f"; an orthogonal map leaves {drift.residual:.3f} over"
    sys.stdout.write(f"{drift.verdict}; {drift.neighbours_kept:.0%} of the nearest ten are the same{turned}\n")


def most_similar(rows: pa.Table, id: str, *, key: str, most: int = 10) -> list[tuple[str, float]]:
    """The (id, cosine) of the `most` things nearest to `id`, each by its newest vector."""
    newest = rows.sort_by("event_timestamp") if "event_timestamp" in rows.column_names else rows
    last_row = {name: row for row, name in enumerate(newest[key].to_pylist())}
    if id not in last_row:
        raise NotFoundError(f"id: no {key} has the id given")
    vectors = vectors_of(newest)[list(last_row.values())].astype(np.float64)
    names, place = list(last_row), list(last_row).index(id)
    lengths = np.linalg.norm(vectors, axis=1)
    cosine = vectors @ vectors[place] / np.maximum(lengths * lengths[place], 1e-12)
    others = np.delete(np.arange(len(names)), place)
    nearest = others[np.argsort(-cosine[others], kind="stable")[:most]]
    return [(names[row], float(cosine[row])) for row in nearest]


def key_of(rows: pa.Table, table: str | None) -> str:
    """The column that names the things of a table of vectors: the entity type's, or `entity_id`."""
    known = ["event_id" if table == EVENTS else table, "entity_id", rows.column_names[0]]
    key = next((name for name in known if name in rows.column_names), None)
    if key is None or not pa.types.is_string(rows.schema.field(key).type):
        raise ConfigError(f"no text column names the rows; there are: {', '.join(rows.column_names)}")
    return key
