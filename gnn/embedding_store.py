"""A store of vectors: one folder per space, in it Parquet by entity type and date, and a manifest of what there is.

    STORE/<space_version>/manifest.json
    STORE/<space_version>/space.safetensors                              how each model's vectors are turned into it
    STORE/<space_version>/<entity type>/as_of_date=2025-03-01/<time>-<model_version>-000.parquet
    STORE/<space_version>/events/as_of_date=…

Whoever reads one folder reads one space, so vectors that can't be compared are not met by accident. The store is a
local path or whatever fsspec knows (s3://, gs://). Files are written under another name and moved when all are done.
"""

from __future__ import annotations

import fcntl
import json
import posixpath
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet as pq
from safetensors.numpy import load, save

from gnn.embedding_table import EMBEDDING, Layout, MixedSpacesError, check_one_space, laid_out
from gnn.splits import instant
from graphs.errors import ConfigError, NotFoundError

FORMAT = 1
MANIFEST = "manifest.json"
SPACE = "space.safetensors"
EVENTS = "events"
ROWS_PER_FILE = 1 << 20


@dataclass(frozen=True)
class Folder:
    """A folder on a disk or in a bucket."""

    files: fsspec.AbstractFileSystem
    path: str

    @classmethod
    def at(cls, where: str | Path) -> Folder:
        """The folder at a local path or URL. ConfigError where fsspec has no driver for it installed."""
        try:
            files, path = fsspec.core.url_to_fs(str(where))
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{where}: {error}. Install what fsspec needs for it, such as s3fs or gcsfs") from error
        return cls(files, path.rstrip("/"))

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.files, posixpath.join(self.path, name))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(self.path)

    @property
    def url(self) -> str:
        """Where it is, for other programs: an absolute path or a URL."""
        return self.path if "file" in self.files.protocol else str(self.files.unstrip_protocol(self.path))

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        return bool(self.files.exists(self.path))

    def children(self) -> list[Folder]:
        """What lies in the folder, by name; nothing where there is none."""
        if not self.files.isdir(self.path):
            return []
        return [Folder(self.files, path.rstrip("/")) for path in sorted(self.files.ls(self.path, detail=False))]

    def read(self) -> bytes:
        """The content of a file."""
        with self.files.open(self.path, "rb") as source:
            return bytes(source.read())

    def write(self, content: bytes) -> None:
        """Put a whole file there."""
        self.files.makedirs(posixpath.dirname(self.path), exist_ok=True)
        with self.files.open(self.path, "wb") as target:
            target.write(content)

    def write_whole(self, content: bytes) -> None:
        """Put a file there that nobody ever finds half written: under another name first, then moved."""
        partial = Folder(self.files, posixpath.join(posixpath.dirname(self.path), f".{self.name}.partial"))
        partial.write(content)
        self.files.mv(partial.path, self.path)


@dataclass(frozen=True)
class Space:
    """One space of a store: its folder and its manifest."""

    folder: Folder
    manifest: Mapping[str, Any]

    @classmethod
    def at(cls, folder: Folder) -> Space | None:
        """The space in a folder, None where there is none."""
        if not (folder / MANIFEST).exists():
            return None
        manifest = json.loads((folder / MANIFEST).read())
        if manifest.get("format") != FORMAT:
            raise ConfigError(f"{folder.path}: format {manifest.get('format')}; this version reads {FORMAT}")
        return cls(folder, manifest)

    @property
    def version(self) -> str:
        """The space_version of all its rows."""
        return str(self.manifest["space_version"])

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        return int(self.manifest["dimension"])

    @property
    def rows(self) -> int:
        """How many rows it holds in all tables."""
        return sum(table["total_rows"] for table in self.tables.values())

    @property
    def tables(self) -> Mapping[str, Mapping[str, Any]]:
        """Entity types and "events" to what is held of them."""
        return dict(self.manifest["tables"])

    @cached_property
    def rotations(self) -> Mapping[str, np.ndarray]:
        """Model versions to the maps (dimension, dimension) that turn their vectors into this space."""
        return dict(load((self.folder / SPACE).read()))

    @property
    def snapshots(self) -> set[tuple[str, int]]:
        """(table, instant in µs UTC) of all that is held."""
        return {(name, instant(each["as_of"])) for name, table in self.tables.items() for each in table["files"]}

    @property
    def paths(self) -> set[str]:
        """Where its files lie, below its folder."""
        return {each["path"] for table in self.tables.values() for each in table["files"]}

    def remove_files_not_in(self, other: Space) -> None:
        """Delete files that a later manifest of the same folder no longer lists."""
        for path in sorted(self.paths - other.paths):
            self.folder.files.rm((self.folder / path).path)

    def read(self, table: str, *, newest: bool = False) -> pa.Table:
        """The rows of one table, of its newest snapshot or of all."""
        if table not in self.tables:
            raise NotFoundError(f"{self.folder.path} holds no '{table}'; there are: {', '.join(self.tables)}")
        files = self.tables[table]["files"]
        if newest and files:
            files = [each for each in files if each["as_of"] == max(one["as_of"] for one in files)]
        opened = [self.folder / each["path"] for each in files]
        tables = [pq.read_table(pa.BufferReader(one.read())) for one in opened]
        return pa.concat_tables(tables)


def spaces_of(store: Folder) -> list[Space]:
    """The spaces in a store, or the one that `store` itself is."""
    own = Space.at(store)
    found = [Space.at(child) for child in store.children()] if own is None else [own]
    return [space for space in found if space is not None]


# ---------------------------------------------------------------- reading


def read_embeddings(store: str | Path, table: str | None = None, *, space_version: str | None = None) -> pa.Table:
    """Rows of one space: from a store, a space's folder, a Parquet file or folder, or a CSV.

    `table` is an entity type or "events" (left out where there is only one). Raises MixedSpacesError where the rows
    lie in several spaces and `space_version` (or model_version, in files without spaces) does not choose one.
    """
    folder = Folder.at(store)
    if not folder.exists():
        raise NotFoundError(f"{store}: nothing is there")
    spaces = spaces_of(folder)
    if not spaces:
        rows = _read_file(folder)
        column = "space_version" if "space_version" in rows.column_names else "model_version"
        if space_version is not None and column in rows.column_names:
            rows = rows.filter(pa.compute.equal(rows[column], space_version))
        check_one_space(rows, str(store))
        return rows
    space = choose_space(folder, space_version)
    names = list(space.tables)
    if table is None and len(names) != 1:
        raise ConfigError(f"table: {store} holds {', '.join(names)}; say which")
    return space.read(table or names[0])


def choose_space(store: Folder, space_version: str | None) -> Space:
    """The space of that version, or the only one. Raises MixedSpacesError where there are several to choose from."""
    spaces = spaces_of(store)
    chosen = [space for space in spaces if space_version in (None, space.version)]
    if len(chosen) > 1:
        told = " and ".join(f"{space.version} ({space.rows:,} rows)" for space in spaces)
        raise MixedSpacesError(f"{store.path} holds the spaces {told}; choose one of them with space_version")
    if not chosen:
        held = ", ".join(space.version for space in spaces) or "none"
        raise NotFoundError(f"{store.path}: no space {space_version or 'of vectors'}; there are: {held}")
    return chosen[0]


def _read_file(folder: Folder) -> pa.Table:
    """A Parquet file or folder, or a CSV whose vectors stand as text, `"[0.1, 0.2]"`."""
    if not folder.path.endswith(".csv"):
        filesystem = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(folder.files))
        return pyarrow.dataset.dataset(folder.path, filesystem=filesystem, format="parquet").to_table()
    text = pyarrow.csv.ConvertOptions(column_types={"entity_id": pa.string(), "model_version": pa.string()})
    rows = pyarrow.csv.read_csv(pa.BufferReader(folder.read()), convert_options=text)
    if EMBEDDING not in rows.column_names:
        return rows
    try:
        vectors = [np.array(json.loads(one), np.float32) for one in rows[EMBEDDING].to_pylist()]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{folder.path}, column {EMBEDDING}: expected lists such as [0.1, 0.2]: {error}") from error
    place = rows.column_names.index(EMBEDDING)
    return rows.set_column(place, EMBEDDING, pa.array(vectors, pa.list_(pa.float32())))


# ---------------------------------------------------------------- writing


class Staging:
    """Where an export writes before anything is published: the store's folder `.partial-…`."""

    def __init__(self, store: Folder, layout: Layout) -> None:
        self.store, self.layout = store, layout
        self.folder = store / f".partial-{uuid.uuid4().hex[:12]}"
        self.written: dict[str, list[dict[str, Any]]] = {}

    def write(self, table: str, as_of: int, model_version: str, schema: pa.Schema, parts: Iterator[pa.Table]) -> None:
        """Write one snapshot of one table, in files of at most ROWS_PER_FILE rows, a row group for each part.

        A snapshot without rows leaves no file.
        """
        date, _, clock = iso(as_of).removesuffix("Z").partition("T")
        clock = clock.replace(":", "").removesuffix(".000000")
        writer, number, rows = None, 0, 0
        for part in parts:
            if writer is None or rows + len(part) > ROWS_PER_FILE:
                if writer is not None:
                    writer.close()
                path = f"{table}/as_of_date={date}/{clock}-{model_version}-{number:03d}.parquet"
                entry = {"path": path, "as_of": iso(as_of), "model_version": model_version, "rows": 0}
                self.written.setdefault(table, []).append(entry)
                writer, number, rows = self._open(path, schema), number + 1, 0
            writer.write_table(laid_out(part, self.layout))
            rows += len(part)
            entry["rows"] = rows
        if writer is not None:
            writer.close()

    def _open(self, path: str, schema: pa.Schema) -> pq.ParquetWriter:
        target = self.folder / path
        target.files.makedirs(posixpath.dirname(target.path), exist_ok=True)
        numbers = [name for name in schema.names if name.startswith(EMBEDDING)]
        return pq.ParquetWriter(
            target.path,
            schema,
            filesystem=pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(target.files)),
            compression="zstd",
            compression_level=1,
            # Vectors have no words in common; text and stamps do.
            use_dictionary=[name for name in schema.names if name not in numbers],
            coerce_timestamps="us",
        )

    def leave_out(self, held: set[tuple[str, int]]) -> None:
        """Forget snapshots, (table, instant in µs UTC), that are not to be published."""
        for table, listed in self.written.items():
            self.written[table] = [each for each in listed if (table, instant(each["as_of"])) not in held]

    def publish(self, space: Folder) -> None:
        """Move every file to its place below `space`."""
        for listed in self.written.values():
            for each in listed:
                target = space / each["path"]
                target.files.makedirs(posixpath.dirname(target.path), exist_ok=True)
                target.files.mv((self.folder / each["path"]).path, target.path)

    def drop(self) -> None:
        """Remove what is left of it."""
        if self.folder.exists():
            self.folder.files.rm(self.folder.path, recursive=True)


@contextmanager
def staging(store: Folder, layout: Layout) -> Iterator[Staging]:
    """A `Staging` that leaves nothing behind, whatever happens."""
    staged = Staging(store, layout)
    try:
        yield staged
    finally:
        staged.drop()


def write_manifest(folder: Folder, manifest: Mapping[str, Any], rotations: Mapping[str, np.ndarray]) -> None:
    """Write a space's maps and then its manifest, which makes what is new part of the store."""
    (folder / SPACE).write_whole(save({name: np.ascontiguousarray(each) for name, each in rotations.items()}))
    (folder / MANIFEST).write_whole((json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())


@contextmanager
def one_writer(folder: Folder) -> Iterator[None]:
    """Hold a space for oneself while files are moved into it and its manifest is written.

    On a local disk by a lock on the file `.lock` in it, which a writer that is killed gives up. A bucket has no locks:
    there the manifest is still read again just before it is written, but of two exports that end in the same moment
    one may lose its snapshots from the manifest. Let exports into a bucket follow one another.
    """
    if "file" not in folder.files.protocol:
        yield
        return
    folder.files.makedirs(folder.path, exist_ok=True)
    with Path(folder.path, ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def iso(moment: int) -> str:
    """µs UTC as text that sorts like the instant."""
    return f"{np.datetime64(moment, 'us')}Z"
