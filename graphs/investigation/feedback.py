"""What investigators decided, as labels that training reads and as hints for the next finder run.

A verdict counts from the moment it was given, like any other late label. Verdicts on entities are labels of these;
payments that stood in the ring when its members were judged get theirs from them, and beat what the books say.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from sqlalchemy import select

from graphs.errors import ConfigError
from graphs.events import MISSING, NEVER, UNLABELLED, EventLog
from graphs.folders import whole_folder
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.cases import GivenVerdict, verdicts_of
from graphs.stores.lists import marks_of
from graphs.stores.models import frozen_evidence, micros

POSITIVE = ("fraud", "mule")
NEGATIVE = ("victim", "legitimate")
_FACTS = "labels.json"
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Exported:
    """What was written: rows by table, and the name for `data=` if a mapping was given."""

    folder: Path
    rows: Mapping[str, int]
    data: str | None


def export_labels(workspace: Workspace, actor: Actor, folder: Path, *, data: Path | None = None) -> Exported:
    """Write labels and hints into `folder`, in place of earlier ones.

    `entities/<type>.parquet`: entity_id, label (1 fraud or mule, 0 victim or legitimate, null unsure), known_time,
    verdict, ring_id, case_id, source. `events/<type>.parquet`, with a graph: event_id, label, known_time and source
    (verdict, or books where nobody ruled otherwise). `hints.parquet`: see `hints_from`. With `data`, the YAML of a data
    set, `data/verdicts.yaml` beside it maps that data set with these labels:
    `ringtrace train --config-dir FOLDER data=verdicts`.
    """
    actor.must("export_labels")
    folder = Path(folder)
    with workspace.store.read() as connection:
        given = [one for one in verdicts_of(connection) if one.latest]
        tagged = [mark for mark in marks_of(connection, datetime.now(UTC)) if mark.list == "benign"]
        frozen = {
            digest: content["payments"]
            for digest, content in connection.execute(select(frozen_evidence.c.digest, frozen_evidence.c.content))
        }
    newest = {(one.entity_type, one.entity_id): one for one in given}
    tables = {f"entities/{kind}": _entity_labels(list(ones)) for kind, ones in _by_type(newest).items()}
    if workspace.graph_folder is not None:
        tables |= _event_labels(workspace.graph.log, newest, frozen, workspace.person_type)
    tables["hints"] = hints_from(given, [(mark.entity_type, mark.entity_id, mark.set_at) for mark in tagged])
    with whole_folder(folder, _FACTS, "set of labels") as made:
        for name, table in tables.items():
            (made / name).parent.mkdir(exist_ok=True)
            pq.write_table(table, made / f"{name}.parquet")
        if data is not None:
            (made / "data").mkdir()
            mapping = _mapping(Path(data), folder.absolute(), tables)
            (made / "data" / "verdicts.yaml").write_text(yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True))
        rows = {name: len(table) for name, table in tables.items()}
        (made / _FACTS).write_text(json.dumps({"format": 1, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    workspace.store.saw(actor, "export_labels", "labels", {"rows": rows})
    return Exported(folder, rows, None if data is None else "verdicts")


def labels_zip(workspace: Workspace, actor: Actor) -> bytes:
    """The folder of `export_labels` as a zip."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = export_labels(workspace, actor, Path(temporary) / "labels").folder
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:  # Parquet is compressed already
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
    return packed.getvalue()


def hints_from(given: Sequence[GivenVerdict], benign: Sequence[tuple[str, str, datetime]] = ()) -> pa.Table:
    """What verdicts say of who belongs together: hint, left_type, left_id, right_type, right_id, known_time, ring_id.

    must_link: those judged fraud or mule in one ring, each with the first of them. cannot_link: those judged victim
    or legitimate in it, each with that first one. never_link: an entity tagged benign joins nobody (right is null).
    """
    rows: list[dict[str, Any]] = []
    by_ring: dict[str, list[GivenVerdict]] = {}
    for one in given:
        if one.latest:
            by_ring.setdefault(one.ring_id, []).append(one)
    for ring_id, ones in sorted(by_ring.items()):
        guilty = sorted((one for one in ones if one.verdict in POSITIVE), key=lambda one: one.verdict_id)
        innocent = sorted((one for one in ones if one.verdict in NEGATIVE), key=lambda one: one.verdict_id)
        for hint, others in (("must_link", guilty[1:]), ("cannot_link", innocent if guilty else [])):
            rows += [_hint(hint, guilty[0], other, ring_id) for other in others]
    rows += [
        {"hint": "never_link", "left_type": kind, "left_id": key, "known_time": since}
        for kind, key, since in sorted(benign)
    ]
    names = ("hint", "left_type", "left_id", "right_type", "right_id", "ring_id")
    return pa.Table.from_pylist(rows, pa.schema([*((name, pa.string()) for name in names), ("known_time", _TIME)]))


def _hint(hint: str, left: GivenVerdict, right: GivenVerdict, ring_id: str) -> dict[str, Any]:
    return {
        "hint": hint,
        "left_type": left.entity_type,
        "left_id": left.entity_id,
        "right_type": right.entity_type,
        "right_id": right.entity_id,
        "ring_id": ring_id,
        "known_time": max(left.decided_at, right.decided_at),
    }


def _by_type(newest: Mapping[tuple[str, str], GivenVerdict]) -> dict[str, list[GivenVerdict]]:
    found: dict[str, list[GivenVerdict]] = {}
    for (kind, _), one in sorted(newest.items()):
        found.setdefault(kind, []).append(one)
    return found


def _label(verdict: str) -> int | None:
    return 1 if verdict in POSITIVE else 0 if verdict in NEGATIVE else None


def _entity_labels(ones: Sequence[GivenVerdict]) -> pa.Table:
    return pa.table(
        {
            "entity_id": pa.array([one.entity_id for one in ones], pa.string()),
            "label": pa.array([_label(one.verdict) for one in ones], pa.int8()),
            "known_time": pa.array([one.decided_at for one in ones], _TIME),
            "verdict": pa.array([one.verdict for one in ones], pa.string()),
            "ring_id": pa.array([one.ring_id for one in ones], pa.string()),
            "case_id": pa.array([one.case_id for one in ones], pa.string()),
            "source": pa.array(["verdict"] * len(ones), pa.string()),
        }
    )


def _event_labels(
    log: EventLog,
    newest: Mapping[tuple[str, str], GivenVerdict],
    frozen: Mapping[str, Sequence[Mapping[str, Any]]],
    person_type: str,
) -> dict[str, pa.Table]:
    """Per event type the labels of the books, with those that follow from verdicts in their place."""
    label, known = np.array(log.label), np.array(log.label_known_time)
    ruled = np.zeros(len(log), bool)
    persons = [place for place, role in enumerate(log.roles) if role.entity_type == person_type]
    ids = log.entity_ids.get(person_type, pa.array([], pa.string()))
    verdict_of = {key: one for (kind, key), one in newest.items() if kind == person_type}
    inside = {(row["event_type"], row["event_id"]) for one in newest.values() for row in frozen[one.evidence]}
    for event in _positions(log, inside):
        keys = [ids[int(code)].as_py() for code in log.entities[event, persons] if code != MISSING]
        verdicts = [verdict_of[key] for key in keys if key in verdict_of]
        guilty = [one for one in verdicts if one.verdict in POSITIVE]
        cleared = [one for one in verdicts if one.verdict == "legitimate"]
        if guilty:
            label[event], known[event], ruled[event] = 1, micros(min(one.decided_at for one in guilty)), True
        elif cleared and len(cleared) == len(keys):
            label[event], known[event], ruled[event] = 0, micros(max(one.decided_at for one in cleared)), True
    found = {}
    for place, kind in enumerate(log.event_types):
        rows = np.flatnonzero((log.event_type == place) & (label != UNLABELLED))
        if len(rows):
            found[f"events/{kind}"] = pa.table(
                {
                    "event_id": log.event_ids.take(pa.array(rows)),
                    "label": pa.array(label[rows], pa.int8()),
                    "known_time": pa.array(known[rows], _TIME, mask=known[rows] == NEVER),
                    "source": pa.array(np.where(ruled[rows], "verdict", "books")),
                }
            )
    return found


def _positions(log: EventLog, wanted: set[tuple[str, str]]) -> list[int]:
    """The events of these (type, id)."""
    ids = pa.array(sorted({key for _, key in wanted}), pa.string())
    near = np.flatnonzero(pc.is_in(log.event_ids, value_set=ids).to_numpy(zero_copy_only=False))
    return [
        int(event)
        for event in near
        if (log.event_types[int(log.event_type[event])], log.event_ids[int(event)].as_py()) in wanted
    ]


def _mapping(data: Path, folder: Path, tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The mapping of the data set at `data`, its labels taken from `tables` where there are any."""
    mapping = yaml.safe_load(data.read_text(encoding="utf-8"))
    if not isinstance(mapping, dict) or not isinstance(mapping.get("events"), dict):
        raise ConfigError(f"{data}: expected the mapping of a data set, with a key `events`")
    for name in tables:
        group, _, kind = name.partition("/")
        key = "event_id" if group == "events" else "entity_id"
        path = str(folder / f"{name}.parquet")
        label = {"from": path, "key": key, "column": "label", "known": "known_time"}
        if kind in (mapping.get(group) or {}):
            table = mapping[group][kind]
            table["label"] = label
            for when in ("label_known", "label_delay_days"):
                table.pop(when, None)
        elif group == "entities":
            alone = {"path": path, "id": "entity_id", "label": "label", "label_known": "known_time"}
            mapping.setdefault("entities", {})[kind] = alone
    return mapping
