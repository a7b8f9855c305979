"""How long investigators wait: each question many times over, on a generated world of a million payments in SQLite.

The whole way is the product's: world, graph, three finder runs a week apart, import, some verdicts. Subjects are drawn
evenly from rings, from their members and identifiers, and from all users; the busiest entity of all stands apart.
Wall milliseconds of one process, each answer with its line in the audit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from results_io import RESULTS, merge_rows

from graphs.datasets.world import WorldSpec, make_world
from graphs.ingest import ingest
from graphs.investigation import exports, queries
from graphs.investigation.workspace import Workspace
from graphs.rings.finders import Communities
from graphs.rings.folder import write_folder
from graphs.rings.run import find
from graphs.schema import DataSchema
from graphs.stores import cases
from graphs.stores.actors import Actor
from graphs.stores.case_store import CaseStore
from graphs.stores.errors import ConflictError
from graphs.stores.importing import import_run
from graphs.temporal_graph import TemporalGraph

ROOT = Path(__file__).parents[1]
LEAD = Actor("lea", "lead")
WEEK = 7 * 86_400_000_000


def prepare(folder: Path, payments: int) -> Workspace:
    """A workspace over a generated world, with three weekly finder runs and verdicts on the best rings."""
    settings = yaml.safe_load((ROOT / "configs" / "world" / "default.yaml").read_text())
    del settings["_target_"]
    share = payments / settings["payments"]
    settings |= {name: max(20, int(settings[name] * share)) for name in ("payments", "users", "merchants", "rings")}
    make_world(WorldSpec(**settings), folder / "world")
    mapping = yaml.safe_load((ROOT / "configs" / "data" / "world.yaml").read_text())
    mapping["root"] = str(folder / "world")
    log = ingest(DataSchema.from_config(mapping)).log
    TemporalGraph.build(log).save(folder / "graph")
    workspace = Workspace.make(folder / "workspace", graph=folder / "graph")
    finder = yaml.safe_load((ROOT / "configs" / "finder" / "communities.yaml").read_text())
    del finder["_target_"]
    found = None
    for weeks in (2, 1, 0):
        as_of = int(log.visible_time.max()) + 1 - weeks * WEEK
        found = find(log, Communities(**finder), as_of=as_of, previous=found)
        import_run(workspace.store, LEAD, write_folder(found, folder / f"run{weeks}"))
    for row in queries.ring_queue(workspace, LEAD, limit=20).rows:
        for member in queries.ring_sheet(workspace, LEAD, row.ring_id).members[:3]:
            entity = (member.entity.type, member.entity.key)
            cases.give_verdict(workspace.store, LEAD, row.ring_id, entity, "fraud", reason="benchmark")
    return workspace


TIMES: dict[str, list[tuple[float, float]]] = {}
"""Wall and CPU milliseconds of each answer, by question."""


@contextmanager
def timed(name: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    took = ((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)
    TIMES.setdefault(name, []).append(took)


def ask(workspace: Workspace, times: int, seed: int = 0) -> None:
    """Ask every question `times` times; what was asked first, and so compiled and read from disk, does not count."""
    rng = np.random.default_rng(seed)
    rows = queries.ring_queue(workspace, LEAD, limit=500).rows
    sheets = {
        row.ring_id: queries.ring_sheet(workspace, LEAD, row.ring_id) for row in rows[:: max(1, len(rows) // 100)]
    }
    names = list(sheets)
    cast = [one for sheet in sheets.values() for one in sheet.members]
    people, things = (
        [(one.entity.type, one.entity.key) for one in cast if one.part == part] for part in ("member", "identifier")
    )
    users = workspace.graph.log.entity_ids["user"]
    hub = busiest(workspace)
    until = queries.ring_queue(workspace, LEAD, limit=1).rows[0].as_of

    def of(choices: list[Any]) -> Any:
        return choices[rng.integers(len(choices))]

    def anybody() -> tuple[str, str]:
        return "user", users[int(rng.integers(len(users)))].as_py()

    def verdict() -> None:
        ring_id = of(names)
        member = of([one.entity for one in sheets[ring_id].members])
        cases.give_verdict(workspace.store, LEAD, ring_id, (member.type, member.key), "unsure", reason="benchmark")

    questions: dict[str, Callable[[], object]] = {
        "lookup by id": lambda: queries.lookup(workspace, LEAD, of([*people, *things])[1]),
        "ring queue, 50 rows": lambda: queries.ring_queue(workspace, LEAD, limit=50, sort=of(list(queries.SORTS))),
        "ring sheet": lambda: queries.ring_sheet(workspace, LEAD, of(names)),
        "entity sheet": lambda: queries.entity_sheet(workspace, LEAD, *of([*people, *things])),
        "neighbours of a user": lambda: queries.neighbours(workspace, LEAD, of([of(people), anybody()])),
        "neighbours of the busiest entity": lambda: queries.neighbours(workspace, LEAD, hub),
        "who shares an identifier": lambda: queries.shared_by(workspace, LEAD, of(things)),
        "3 shortest paths inside a ring": lambda: queries.paths(workspace, LEAD, *pair(rng, sheets[of(names)])),
        "3 shortest paths between any two users": lambda: queries.paths(workspace, LEAD, anybody(), anybody()),
        "3 shortest paths over hubs, too": lambda: queries.paths(workspace, LEAD, anybody(), anybody(), hubs=True),
        "timeline of a ring, 100 events": lambda: queries.timeline(workspace, LEAD, of(names)),
        "what changed in a week": lambda: queries.changes(workspace, LEAD, until - timedelta(days=7), until=until),
        "similar rings": lambda: queries.similar_rings(workspace, LEAD, of(names)),
        "nearness to confirmed fraud": lambda: queries.near_fraud(workspace, LEAD),
        "dry run of a block": lambda: queries.block_dry_run(workspace, LEAD, [of(things), of(things)]),
        "export of a ring as JSON": lambda: exports.ring_json(workspace, LEAD, of(names)),
        "claim": lambda: claim(workspace, of(names)),
        "verdict": verdict,
    }
    for name, question in questions.items():
        question()
        for _ in range(times):
            with timed(name):
                question()


def time_import(run: Path) -> None:
    """Into stores of its own, so that there is something to do each time."""
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            store = CaseStore.open(f"sqlite:///{folder}/cases.db")
            with timed("import of a finder run"):
                import_run(store, LEAD, run)
            store.close()


def claim(workspace: Workspace, name: str) -> None:
    try:
        cases.claim(workspace.store, Actor("ana", "investigator"), name)
    except ConflictError:
        cases.release(workspace.store, LEAD, name)


def pair(rng: np.random.Generator, sheet: Any) -> list[tuple[str, str]]:
    """Two members of a ring."""
    members = [one.entity for one in sheet.members if one.part == "member"]
    chosen = rng.choice(len(members), 2, replace=False)
    return [(members[place].type, members[place].key) for place in chosen]


def busiest(workspace: Workspace) -> tuple[str, str]:
    """The entity with the most events."""
    kind, line = max(workspace.graph.timelines.items(), key=lambda item: int(np.diff(item[1].offsets).max()))
    return kind, workspace.graph.log.entity_ids[kind][int(np.diff(line.offsets).argmax())].as_py()


def row_of(name: str, size: int, found: np.ndarray) -> dict[str, Any]:
    """A row of the result file; `found` (answers, 2) wall and CPU milliseconds. On a busy machine the two part."""
    wall, cpu = found.T
    return {
        "name": f"investigators: {name}", "size": size, "ours": round(float(np.percentile(wall, 95)), 2),
        "p50": round(float(np.median(wall)), 2), "worst": round(float(wall.max()), 2),
        "cpu_p95": round(float(np.percentile(cpu, 95)), 2), "peer": None, "peer_name": None, "unit": "ms, p95",
        "ratio": None,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="keep the workspace here, and use it if it is there")
    parser.add_argument("--dry", action="store_true", help="write no result")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        made = (folder / "workspace" / "workspace.json").is_file()
        workspace = Workspace.open(folder / "workspace") if made else prepare(folder, args.payments)
        ask(workspace, args.times)
        time_import(folder / "run0")
        size = int((workspace.graph.log.event_type == workspace.graph.log.event_types.index("payment")).sum())
        workspace.close()
    rows = [row_of(name, size, np.array(found)) for name, found in TIMES.items()]
    for row in rows:
        print(
            f"{row['name']:<60} p50 {row['p50']:>9,.2f}   p95 {row['ours']:>9,.2f} ({row['cpu_p95']:,.2f} CPU)   "
            f"worst {row['worst']:>9,.2f} ms"
        )
    if not args.dry:
        merge_rows(RESULTS / "speed.json", rows, ("name", "size"))


if __name__ == "__main__":
    main()
