"""`Workspace`: a case store and the graph its rings were found in, which is all that a question needs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.compute as pc

from graphs.errors import ConfigError, NotFoundError
from graphs.folders import whole_folder
from graphs.investigation.masking import Masker
from graphs.investigation.walks import Web
from graphs.store import load_log
from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore
from graphs.temporal_graph import TemporalGraph

_FACTS = "workspace.json"
_FORMAT = 1
STORE_VARIABLE = "RINGTRACE_STORE"
"""An environment variable whose database URL beats that of workspace.json: passwords stay out of files."""


@dataclass(frozen=True)
class Workspace:
    """`graph_folder` is that of a saved graph or event log; without one, questions about events are turned down.
    `model_folder`, if known, is that of the training run whose scores the rings were found with.

    `person_type` is the type of entity that acts (users); all others are identifiers that may be shared.

    >>> workspace = Workspace.open(Path("outputs/workspace"))
    >>> ring_queue(workspace, Actor("ana", "investigator")).rows
    """

    store: CaseStore
    graph_folder: Path | None = None
    person_type: str = "user"
    model_folder: Path | None = None

    @classmethod
    def make(
        cls,
        folder: Path,
        *,
        graph: Path | None = None,
        store: str | None = None,
        person: str = "user",
        model: Path | None = None,
    ) -> Workspace:
        """Write a workspace into `folder` and open it. `store` None: SQLite beside it, in cases.db.

        A workspace that is there keeps its cases. Raises ConfigError if `folder` holds something else.
        """
        folder = Path(folder)
        beside = folder.absolute()
        facts = {
            "format": _FORMAT,
            "store": store,
            "graph": _relative(graph, beside),
            "model": _relative(model, beside),
            "person_type": person,
        }
        text = json.dumps(facts, indent=1) + "\n"
        if not (folder / _FACTS).is_file():
            with whole_folder(folder, _FACTS, "workspace") as made:
                (made / _FACTS).write_text(text, encoding="utf-8")
        else:
            (folder / _FACTS).write_text(text, encoding="utf-8")
        return cls.open(folder, create=True)

    @classmethod
    def open(cls, folder: Path, *, create: bool = False) -> Workspace:
        """Open the workspace in `folder`. Raises NotFoundError if there is none, or its database or graph is gone."""
        folder = Path(folder)
        if not (folder / _FACTS).is_file():
            raise NotFoundError(f"{folder.absolute()} holds no workspace; `ringtrace rings init {folder}` makes one")
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        if facts.get("format") != _FORMAT:
            raise ConfigError(f"{folder}: workspace of format {facts.get('format')}, this version reads {_FORMAT}")
        beside = f"sqlite:///{(folder / 'cases.db').absolute()}"
        url = os.environ.get(STORE_VARIABLE) or facts["store"] or beside
        graph = None if facts["graph"] is None else (folder / facts["graph"]).resolve()
        if graph is not None and not any((graph / name).is_file() for name in ("graph.json", "log.json")):
            raise NotFoundError(f"{graph} holds no graph or event log; `ringtrace build` writes one")
        model = None if facts.get("model") is None else (folder / facts["model"]).resolve()
        return cls(CaseStore.open(url, create=create or url == beside), graph, facts["person_type"], model)

    @cached_property
    def graph(self) -> TemporalGraph:
        """The graph, mapped from its files on first use (built, if the folder holds only an event log)."""
        if self.graph_folder is None:
            raise NotFoundError("the workspace has no graph; `ringtrace rings init FOLDER --graph GRAPH` names one")
        if (self.graph_folder / "graph.json").is_file():
            return TemporalGraph.load(self.graph_folder)
        return TemporalGraph.build(load_log(self.graph_folder))

    @cached_property
    def web(self) -> Web:
        """The graph as the compiled walks read it, made once."""
        return Web.of(self.graph, self.person_type)

    def code(self, entity_type: str, entity_id: str) -> int | None:
        """The graph's code of an entity; None if the graph, or the workspace, has none."""
        ids = None if self.graph_folder is None else self.graph.log.entity_ids.get(entity_type)
        code = -1 if ids is None else pc.index(ids, entity_id).as_py()
        return None if code < 0 else int(code)

    @cached_property
    def _secret(self) -> bytes:
        return self.store.secret()

    def masker(self, actor: Actor) -> Masker:
        """What `actor` may see of an identity."""
        return Masker(actor, self._secret)

    def close(self) -> None:
        """Give the database connections back."""
        self.store.close()


def _relative(path: Path | None, folder: Path) -> str | None:
    # Relative to the workspace, so that both may move together.
    return None if path is None else os.path.relpath(Path(path).absolute(), folder)
