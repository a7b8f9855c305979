"""Where a training keeps its state, so that a killed one goes on, and one on newer data begins where it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gnn.encoders import FeatureSpace, arrays_of, columns_of, names_of, spaces_from
from graphs.errors import ConfigError
from graphs.folders import whole_file

WARM = ("model.", "features.", "task.")
"""What must be as it was where a training on other data begins at the weights of an older one."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: tensors, facts of the training, and whether it learnt from the same data."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    same_data: bool

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, by the rest of their names."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


@dataclass(frozen=True)
class Checkpoint:
    """A file of a training's state, and what it is a training of: `data` (a fingerprint) and what it was `told`, by
    dotted key and as JSON has it. What it is fitted on happened before `cut`, what is judged comes later; labels that
    it learns from, or that choose its epoch, are known by `known_by` where that is later (both µs UTC). By `spaces` its
    columns are encoded, of events and of every entity type that is asked about."""

    path: Path
    data: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    cut: int = 0
    known_by: int = 0
    spaces: Mapping[str, FeatureSpace] = field(default_factory=dict)

    def of_member(self, number: int) -> Checkpoint:
        """The checkpoint of one of the networks that are judged."""
        return replace(self, path=self.path.with_stem(f"{self.path.stem}-{number}"))

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write the state as safetensors, whole or not at all."""
        kept = {name: value.cpu().contiguous() for name, value in tensors.items()}
        kept |= {f"space.{name}": array for name, array in arrays_of(self.spaces).items()}
        own = {"data": self.data, "told": dict(self.told), "cut": self.cut, "known_by": self.known_by}
        own["columns"] = columns_of(self.spaces)
        with whole_file(self.path) as made:
            made.write_bytes(save(kept, {"run": json.dumps({**facts, **own})}))

    def encodings(self, fresh: Mapping[str, FeatureSpace]) -> Mapping[str, FeatureSpace]:
        """The encodings that the saved weights go with: a category has its number in them, whatever newer tables hold.
        `fresh` ones where nothing is saved, or it is of other columns and will be refused."""
        saved = self._read()
        if saved is None or names_of(saved.facts["columns"]) != names_of(columns_of(fresh)):
            return fresh
        return spaces_from(saved.part("space."), saved.facts["columns"])

    def read(self, *, judged_from: int) -> Saved | None:
        """What was saved, None if nothing was. ConfigError where it is of a training that was told otherwise, of other
        columns, or may have learnt what is judged, from the instant `judged_from` (µs UTC) on."""
        saved = self.check()
        if saved is None:
            return None
        in_time = saved.facts["cut"] <= self.cut <= judged_from and saved.facts["known_by"] <= self.known_by
        if not saved.same_data and not in_time:
            raise ConfigError(
                f"resume_from: {self.path.name} may have learnt what is judged now: it is of other data, and its cut "
                "in time is later than the new one (of validation or test part), or there is none. Start anew without "
                "resume_from"
            )
        if saved.facts["columns"] != columns_of(self.spaces):
            raise self.of_others()
        return saved

    def check(self) -> Saved | None:
        """What was saved, whatever it learnt. ConfigError where it is of a training that was told otherwise."""
        saved = self._read()
        if saved is not None:
            self._check_told(saved.facts["told"], "" if saved.same_data else WARM)
        return saved

    def of_others(self) -> ConfigError:
        """What to raise where the saved weights do not fit."""
        return ConfigError(
            f"resume_from: {self.path.name} is of another model or other columns; resume with the configuration and "
            "the tables it was begun with, or start anew without resume_from"
        )

    def _read(self) -> Saved | None:
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                facts = json.loads((file.metadata() or {}).get("run", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ConfigError(
                f"resume_from: {self.path.name} cannot be read ({error}); start anew without resume_from"
            ) from error
        if not {"columns", "known_by", "began_at"} <= facts.keys():
            raise ConfigError(f"resume_from: {self.path.name} is of an older version; start anew without resume_from")
        return Saved(tensors, facts, facts["data"] == self.data)

    def _check_told(self, before: Mapping[str, Any], prefixes: str | tuple[str, ...]) -> None:
        """ConfigError that names every key, of those that begin with `prefixes`, in which two trainings differ."""
        now = self.told
        keys = sorted(key for key in {*before, *now} if key.startswith(prefixes) and before.get(key) != now.get(key))
        if keys:
            told = "; ".join(f"{key} was {json.dumps(before.get(key))}, is {json.dumps(now.get(key))}" for key in keys)
            raise ConfigError(
                f"resume_from: {self.path.name} is of a training that was told otherwise: {told}. Resume with the "
                "configuration it was begun with, or start anew without resume_from"
            )
