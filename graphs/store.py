"""An `EventLog` on disk: one file per column, mapped into memory on loading, and a fingerprint of the content.

Numbers are plain .npy, text is Arrow; nothing in the folder can run code. A folder is complete or not there: it is
written under another name and moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from graphs.errors import ConfigError
from graphs.events import Categorical, EntityAttributes, EntityLabels, EventLog, Role
from graphs.folders import read_whole, whole_folder

FORMAT = 1
LOG = ("log.json", "event log")
"""What marks the folder of a log, and what that is."""

_ARRAYS = ("event_type", "event_time", "known_time", "entities", "amount", "label", "label_known_time")


def save_log(log: EventLog, folder: Path) -> None:
    """Write `log` into `folder`, in place of a log that is there. Raises ConfigError if something else is."""
    with whole_folder(Path(folder), *LOG) as made:
        for name, column in _columns(log):
            _write(made / name, column)
        facts = {**_facts(log), "fingerprint": fingerprint(log)}
        (made / "log.json").write_text(json.dumps(facts, indent=1) + "\n")


def load_log(folder: Path) -> EventLog:
    """The log that `save_log` wrote, its columns mapped from the files.

    Raises NotFoundError if there is none, ConfigError if it cannot be read.
    """
    folder = Path(folder)
    return read_whole(folder, *LOG, lambda: _load(folder))


def _load(folder: Path) -> EventLog:
    facts = json.loads((folder / "log.json").read_text())
    if facts["format"] != FORMAT:
        raise ConfigError(f"{folder}: written in format {facts['format']}, this version reads {FORMAT}; ingest again")

    def text(name: str) -> pa.StringArray:
        with pa.memory_map(str(folder / f"{name}.arrow")) as source:
            return pa.ipc.open_file(source).read_all().column(0).combine_chunks()

    def array(name: str) -> np.ndarray:
        return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def category(name: str) -> Categorical:
        return Categorical(array(f"{name}.codes"), text(f"{name}.values"))

    return EventLog(
        roles=tuple(Role(name, kind) for name, kind in facts["roles"]),
        event_types=tuple(facts["event_types"]),
        entity_ids={kind: text(f"entity_ids.{place}") for place, kind in enumerate(facts["entity_types"])},
        event_ids=text("event_ids"),
        **{name: array(name) for name in _ARRAYS},
        numeric={name: array(f"numeric.{place}") for place, name in enumerate(facts["numeric"])},
        categorical={name: category(f"categorical.{place}") for place, name in enumerate(facts["categorical"])},
        attributes={
            kind: EntityAttributes(
                array(f"attributes.{at}.entity"),
                array(f"attributes.{at}.known_time"),
                {
                    name: array(f"attributes.{at}.numeric.{place}")
                    for place, name in enumerate(facts["attributes"][kind][0])
                },
                {
                    name: category(f"attributes.{at}.categorical.{place}")
                    for place, name in enumerate(facts["attributes"][kind][1])
                },
            )
            for at, kind in enumerate(facts["attributes"])
        },
        entity_labels={
            kind: EntityLabels(array(f"entity_labels.{at}.label"), array(f"entity_labels.{at}.known_time"))
            for at, kind in enumerate(facts["entity_labels"])
        },
    )


def fingerprint(log: EventLog) -> str:
    """64 hex digits (SHA-256) over everything in the log. Rows stand in canonical order, so the order of the input
    files does not matter; a changed value, id or name does."""
    digest = hashlib.sha256(json.dumps(_facts(log), sort_keys=True).encode())
    for name, column in _columns(log):
        digest.update(name.encode())
        if isinstance(column, np.ndarray):
            digest.update(np.ascontiguousarray(column).data)
            continue
        lengths, text = _text_parts(column)
        digest.update(lengths.data)
        digest.update(text)
    return digest.hexdigest()


def _facts(log: EventLog) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "events": len(log),
        "roles": [[role.name, role.entity_type] for role in log.roles],
        "event_types": list(log.event_types),
        "entity_types": list(log.entity_ids),
        "numeric": list(log.numeric),
        "categorical": list(log.categorical),
        "attributes": {kind: [list(held.numeric), list(held.categorical)] for kind, held in log.attributes.items()},
        "entity_labels": list(log.entity_labels),
    }


def _columns(log: EventLog) -> Iterator[tuple[str, np.ndarray | pa.StringArray]]:
    """All columns with their file names. Names that users chose stand in log.json only, never in a path."""
    yield "event_ids", log.event_ids
    for name in _ARRAYS:
        yield name, getattr(log, name)
    for place, ids in enumerate(log.entity_ids.values()):
        yield f"entity_ids.{place}", ids
    yield from _features("", log.numeric, log.categorical)
    for at, held in enumerate(log.attributes.values()):
        yield f"attributes.{at}.entity", held.entity
        yield f"attributes.{at}.known_time", held.known_time
        yield from _features(f"attributes.{at}.", held.numeric, held.categorical)
    for at, labels in enumerate(log.entity_labels.values()):
        yield f"entity_labels.{at}.label", labels.label
        yield f"entity_labels.{at}.known_time", labels.known_time


def _features(
    prefix: str, numeric: Mapping[str, np.ndarray], categorical: Mapping[str, Categorical]
) -> Iterator[tuple[str, np.ndarray | pa.StringArray]]:
    for place, values in enumerate(numeric.values()):
        yield f"{prefix}numeric.{place}", values
    for place, key in enumerate(categorical.values()):
        yield f"{prefix}categorical.{place}.codes", key.codes
        yield f"{prefix}categorical.{place}.values", key.values


def _write(path: Path, column: np.ndarray | pa.StringArray) -> None:
    if isinstance(column, np.ndarray):
        with pa.OSFile(f"{path}.npy", "wb") as sink:  # into a file of Python's own NumPy tells a full disk by no errno
            np.save(sink, column, allow_pickle=False)
        return
    table = pa.table({"text": column})
    with pa.OSFile(f"{path}.arrow", "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _text_parts(array: pa.StringArray) -> tuple[np.ndarray, memoryview]:
    """(lengths, bytes) of a text column without nulls, the same however the array was cut."""
    _, offsets, data = array.buffers()
    cut = (
        np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        if offsets
        else np.zeros(1, np.int32)
    )
    text = memoryview(data)[cut[0] : cut[-1]] if data is not None and len(cut) else memoryview(b"")
    return np.ascontiguousarray(np.diff(cut)), text
