"""A bundle: everything needed to score, in files that cannot run code.

    bundle.yaml        specs, roles, event types, data mapping, calibrators, version, fingerprint of the data
    weights.safetensors  every member's network
    spaces.safetensors   centres, spreads and bin edges of the encodings
    vocabularies.parquet text columns and their known values

The version is a hash of the contents: the same training gives the same version, anything else another.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from gnn.calibration import Calibrator
from gnn.encoders import FeatureSpace, arrays_of, columns_of, names_of, spaces_from
from gnn.messages import edge_names
from gnn.temporal_sage import SageSpec, TemporalSage
from graphs.behaviour import BehaviourSpec
from graphs.errors import NotFoundError, RingtraceError
from graphs.events import EventLog, Role
from graphs.folders import whole_folder

log = logging.getLogger(__name__)

FORMAT = 5
BUNDLE = ("bundle.yaml", "model bundle")
"""What marks the folder of a bundle, and what that is."""

EVENTS = "events"
"""Name of the event task among spaces and calibrators; node tasks go by their entity type."""


class BundleError(RingtraceError):
    """A folder that is not a bundle of ours, or one written by a version we cannot read."""


@dataclass(frozen=True)
class Bundle:
    """A trained model with all it needs to know of the data it was trained on.

    `members` are networks of one architecture whose logits are averaged; `spaces` and `calibrators` go by task:
    EVENTS or an entity type. `taught` are the event types that labels were fitted on: of other events, logins say, the
    event head knows nothing. `data` is the resolved data mapping, so that scoring reads tables the same way.
    """

    model: SageSpec
    behaviour: BehaviourSpec
    roles: tuple[Role, ...]
    event_types: tuple[str, ...]
    taught: tuple[str, ...]
    spaces: Mapping[str, FeatureSpace]
    calibrators: Mapping[str, Calibrator]
    members: Sequence[TemporalSage]
    data: Mapping[str, Any]
    facts: Mapping[str, Any]
    version: str = ""

    def __post_init__(self) -> None:
        if self.model.edges == "shuffled":
            raise BundleError(
                "model.edges=shuffled: such a network is a control and has no bundle, since its edges are dealt by "
                "chance; train with model.edges=real"
            )

    @property
    def node_types(self) -> tuple[str, ...]:
        """Entity types that the model can score."""
        return tuple(name for name in self.spaces if name != EVENTS)

    def has_score(self, events: EventLog) -> np.ndarray:
        """(events,) bool: those of a type that the model learnt labels of; of the others it knows nothing."""
        return np.isin(events.event_type, [self.event_types.index(name) for name in self.taught])

    def network(self) -> TemporalSage:
        """A network of this bundle's architecture with fresh weights."""
        return build_network(self.model, self.spaces, self.roles, self.event_types)

    def save(self, folder: Path) -> Bundle:
        """Write the bundle to `folder`, whole or not at all; returns it with its version."""
        with whole_folder(folder, *BUNDLE) as made:
            version = self._write(made)
        log.info("bundle %s written", version)
        return Bundle(**{**self.__dict__, "version": version})

    def _write(self, folder: Path) -> str:
        """Put the files into `folder`; returns the version they have."""
        weights = {f"{i}.{name}": t for i, member in enumerate(self.members) for name, t in member.state_dict().items()}
        weights = {name: tensor.contiguous() for name, tensor in weights.items()}
        (folder / "weights.safetensors").write_bytes(save(weights))
        (folder / "spaces.safetensors").write_bytes(save(arrays_of(self.spaces)))
        words = [
            (task, column, word)
            for task, space in self.spaces.items()
            for column, vocabulary in space.vocabularies.items()
            for word in vocabulary
        ]
        table = pa.table(
            {
                name: pa.array([row[j] for row in words], pa.string())
                for j, name in enumerate(("task", "column", "word"))
            }
        )
        pq.write_table(table, folder / "vocabularies.parquet")
        described = self._describe()
        version = _version(folder, described, table.to_pylist())
        text = yaml.safe_dump({**described, "version": version}, sort_keys=False, allow_unicode=True)
        (folder / "bundle.yaml").write_text(text, encoding="utf-8")
        return version

    def _describe(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "model": asdict(self.model),
            "behaviour": asdict(self.behaviour),
            "roles": [asdict(role) for role in self.roles],
            "event_types": list(self.event_types),
            "taught": list(self.taught),
            "members": len(self.members),
            "columns": names_of(columns_of(self.spaces)),
            "calibrators": {task: calibrator.to_dict() for task, calibrator in self.calibrators.items()},
            "data": dict(self.data),
            "facts": dict(self.facts),
        }

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read a bundle. NotFoundError where there is none, BundleError where it is not one we can read."""
        card = folder / "bundle.yaml"
        if not card.is_file():
            raise NotFoundError(f"{folder} is not a model bundle: it has no bundle.yaml. Give the run's bundle folder")
        try:
            described = yaml.safe_load(card.read_text(encoding="utf-8"))
            return cls._restore(folder, described)
        except (yaml.YAMLError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
            said = str(error).partition("\n")[0]
            raise BundleError(f"{folder} cannot be read as a bundle: {type(error).__name__}: {said}") from error

    @classmethod
    def _restore(cls, folder: Path, described: Mapping[str, Any]) -> Bundle:
        if described["format"] != FORMAT:
            raise BundleError(f"{folder} has format {described['format']}; this version reads format {FORMAT}")
        words = pq.read_table(folder / "vocabularies.parquet").to_pylist()
        made_of = _version(folder, described, words)
        if made_of != described["version"]:
            raise BundleError(
                f"{folder} is not what was written: its files make version {made_of}, bundle.yaml says "
                f"{described['version']}. Copy it again whole, or train again"
            )
        arrays = load_file(folder / "spaces.safetensors")
        columns = {
            task: {"numeric": of["numeric"], "text": {name: [] for name in of["text"]}}
            for task, of in described["columns"].items()
        }
        for row in words:
            columns[row["task"]]["text"][row["column"]].append(row["word"])
        spaces = spaces_from(arrays, columns)
        bundle = cls(
            SageSpec(**_hashable(described["model"])),
            BehaviourSpec(**_hashable(described["behaviour"])),
            tuple(Role(**role) for role in described["roles"]),
            tuple(described["event_types"]),
            tuple(described["taught"]),
            spaces,
            {task: Calibrator.from_dict(stored) for task, stored in described["calibrators"].items()},
            [],
            described["data"],
            described["facts"],
            described["version"],
        )
        weights = load_file(folder / "weights.safetensors")
        members = []
        for i in range(described["members"]):
            network = bundle.network()
            prefix = f"{i}."
            network.load_state_dict({n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)})
            members.append(network.eval())
        return Bundle(**{**bundle.__dict__, "members": members})


def _hashable(described: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's fields as they were: YAML knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in described.items()}


def build_network(
    model: SageSpec, spaces: Mapping[str, FeatureSpace], roles: Sequence[Role], event_types: Sequence[str]
) -> TemporalSage:
    """A fresh network for these encodings and roles."""
    return TemporalSage(
        model,
        spaces[EVENTS],
        slots=len(roles),
        edge_width=len(edge_names(roles, event_types)),
        node_spaces={name: space for name, space in spaces.items() if name != EVENTS},
    )


def _version(folder: Path, described: Mapping[str, Any], words: list[dict[str, Any]]) -> str:
    """A short hash of weights, encodings and description (paths and times of the run left out)."""
    digest = hashlib.sha256()
    for name in ("weights.safetensors", "spaces.safetensors"):
        digest.update((folder / name).read_bytes())
    kept = {key: value for key, value in described.items() if key not in ("data", "facts", "version")}
    kept["vocabularies"] = words
    digest.update(yaml.safe_dump(kept, sort_keys=True).encode())
    return digest.hexdigest()[:12]
