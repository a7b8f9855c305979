"""A Feast feature repository over one space of an embedding store: generated, complete, and ready for `feast apply`.

One feature view per entity type reads the store's Parquet as it is, views on demand compare the vectors of a pair, and
fresh vectors can be pushed past the Parquet. Views carry the versions as tags, and features the entity type in front
(`user_embedding`), so that a training set can hold several. Needs the extra `feast` to be used, not to be written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from gnn.embedding_store import EVENTS, Folder, Space, choose_space
from gnn.embedding_table import EMBEDDING, check_one_space, column_names
from graphs.errors import ConfigError
from graphs.folders import whole_folder

log = logging.getLogger(__name__)

CONFIG = "feature_store.yaml"

COLUMNS = {"score": "Float64", "space_version": "String"}
OF_ENTITIES = {"is_new": "Bool", "events_seen": "Int32"}
"""Columns of the contract that become features, with their Feast types."""


@dataclass(frozen=True)
class _Field:
    column: str
    name: str
    type: str


@dataclass(frozen=True)
class _View:
    name: str
    keys: Sequence[str]
    path: str
    fields: Sequence[_Field]


def write_feature_repository(
    *,
    store: str,
    online_store: Mapping[str, Any],
    offline_store: Mapping[str, Any],
    output: str,
    space_version: str | None = None,
    project: str = "ringtrace",
    ttl_days: int = 0,
    pairs: list[tuple[str, str]] | None = None,
) -> Path:
    """Write a feature repository for one space of `store` into the folder `output`.

    `online_store` and `offline_store` are Feast's own settings of them. `ttl_days`: how old a vector may be in a join
    (0: any age, right where only changes were exported). `pairs` of entity types to compare on demand (null: all).
    """
    space = choose_space(Folder.at(store), space_version)
    views = [_view(space, name) for name in space.tables]
    types = [view.name for view in views if view.name != "event"]
    chosen = [tuple(pair) for pair in combinations(types, 2)] if pairs is None else pairs
    unknown = sorted({name for pair in chosen for name in pair} - set(types))
    if unknown or (space.manifest["layout"] == "columns" and chosen):
        raise ConfigError(
            f"pairs: no vectors of {', '.join(unknown)}; there are {', '.join(types)}"
            if unknown
            else "pairs: comparing needs vectors as lists; export with layout=list, or set pairs=[]"
        )
    config = {
        "project": project,
        "registry": "data/registry.db",
        "provider": "local",
        "offline_store": dict(offline_store),
        "online_store": dict(online_store),
        "entity_key_serialization_version": 3,
    }
    code = _template().render(
        tags={
            "space_version": space.version,
            "model_versions": ",".join(space.manifest["models"]),
            "dimension": str(space.dimension),
        },
        ttl_days=ttl_days,
        keys=list(dict.fromkeys(key for view in views for key in view.keys)),
        views=views,
        pairs=chosen,
    )
    with whole_folder(Path(output), CONFIG, "Feast feature repository") as made:
        (made / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        (made / "features.py").write_text(code, encoding="utf-8")
        (made / "data").mkdir()
    log.info("feature repository of space %s: %s. Next: feast -c %s apply", space.version, ", ".join(types), output)
    return Path(output)


def push_vectors(repository: Path, table: pa.Table, entity_type: str) -> None:
    """Put fresh vectors, as `Embedder.embed` gives them, into the online store of a repository that was applied.

    Raises MixedSpacesError where they lie in another space than the repository's, ConfigError without Feast.
    """
    try:
        from feast import FeatureStore
    except ImportError as error:
        raise ConfigError("pushing vectors needs Feast: pip install 'ringtrace[feast]'") from error
    registry = FeatureStore(str(repository))
    view = registry.get_feature_view(f"{entity_type}_vectors")
    served = pa.table({"space_version": [view.tags["space_version"]]})
    check_one_space(pa.concat_tables([served, table.select(["space_version"])]), f"push to {repository}")
    assert view.batch_source is not None
    frame = table.to_pandas().rename(columns=view.batch_source.field_mapping)
    registry.write_to_online_store(view.name, frame)


def _view(space: Space, table: str) -> _View:
    name = "event" if table == EVENTS else table
    if not name.isidentifier():
        raise ConfigError(f"entity type '{name}' cannot be the name of a Feast entity; rename it in the data config")
    columns = COLUMNS if table == EVENTS else COLUMNS | OF_ENTITIES
    if space.manifest["layout"] in ("list", "both"):
        columns = columns | {EMBEDDING: "Array(Float32)"}
    else:
        columns = columns | dict.fromkeys(column_names(space.dimension), "Float32")
    fields = [_Field(column, f"{name}_{column}", kind) for column, kind in columns.items()]
    return _View(name, space.tables[table]["key"], (space.folder / table).url, fields)


def _template() -> Any:
    # What comes out is Python: values go in as literals, through `repr`.
    environment = Environment(loader=PackageLoader("gnn", "templates"), undefined=StrictUndefined)
    environment.filters["literal"] = repr
    return environment.get_template("feast_features.py.jinja")
