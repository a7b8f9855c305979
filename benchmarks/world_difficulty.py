"""How hard the generated world is: capped components must fail on it, the finder with an oracle's score must not.

Between the two lies what a finder and a model can earn. A world where components do well has islands instead of
rings; one where even the oracle fails has rings that leave no trace. Recall is the share of true rings, victims
left out, that some found group meets with a Jaccard index of at least a half.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml
from results_io import RESULTS, merge_rows

from graphs.datasets.rhythm import DAY
from graphs.datasets.world import WorldSpec, make_world
from graphs.events import EventLog
from graphs.ingest import ingest
from graphs.rings.finders import Communities, Components, Finder
from graphs.rings.run import lay_ground
from graphs.rings.suspicion import NO_SCORES, ScoreTable
from graphs.schema import DataSchema

CONFIGS = Path(__file__).parents[1] / "configs"
EVERY_DAYS = 45
"""A finder looks back over its window so often; a ring counts as found once it was."""

Users = frozenset[str]


@dataclass(frozen=True)
class World:
    """A world as a finder sees it (`log`, read from `start` µs UTC on for `days`), its rings and their `members`, and
    who and what is fraud (`oracle`)."""

    log: EventLog
    start: int
    days: int
    rings: pd.DataFrame
    members: Mapping[str, Users]
    oracle: ScoreTable

    @property
    def moments(self) -> range:
        return range(self.start + EVERY_DAYS * DAY, self.start + self.days * DAY + 1, EVERY_DAYS * DAY)


def read_world(folder: Path, spec: WorldSpec) -> World:
    truth = {name: pd.read_parquet(folder / "truth" / f"{name}.parquet") for name in ("rings", "members", "payments")}
    people = truth["members"].query("entity_type == 'user' and role != 'victim'")
    fraud = truth["payments"].query("is_fraud")[["event_type", "event_id"]].assign(score=0.95)
    accounts = pd.DataFrame({"id": people.entity_id, "score": 0.95})
    return World(
        ingest(DataSchema.from_config(settings("data", "world") | {"root": str(folder)})).log,
        spec.start_time,
        spec.days,
        truth["rings"],
        {ring: frozenset(ids) for ring, ids in people.groupby("ring_id").entity_id},
        ScoreTable("oracle", *(pa.Table.from_pandas(table, preserve_index=False) for table in (fraud, accounts))),
    )


def groups_found(world: World, finder: Finder, scores: ScoreTable, *, seed: int) -> list[Users]:
    """Every group of two or more that a finder sees at any of the world's moments, whatever it thinks of it."""
    found = []
    for moment in world.moments:
        ground = lay_ground(world.log, finder, scores, as_of=moment)
        groups, _ = finder.groups(ground, seed=seed)
        keys = ground.window.log.entity_ids[ground.parties.actor].take(pa.array(groups.actor)).to_pylist()
        bounds = groups.offsets.tolist()
        found += [frozenset(keys[low:high]) for low, high in pairwise(bounds)]
    return found


def jaccards(members: Mapping[str, Users], found: Iterable[Users]) -> dict[str, float]:
    """The best Jaccard index of every ring with any found group."""
    home: dict[str, list[Users]] = {}
    for group in found:
        for user in group:
            home.setdefault(user, []).append(group)
    return {
        ring: max((len(users & g) / len(users | g) for user in users for g in home.get(user, ())), default=0.0)
        for ring, users in members.items()
    }


def recalls(world: World, *, seed: int) -> pd.DataFrame:
    """Share of rings found by each finder: one row per archetype, and "all"."""
    finder, baseline = Communities(**settings("finder", "communities")), Components(**settings("finder", "components"))
    best = {
        "components": jaccards(world.members, groups_found(world, baseline, NO_SCORES, seed=seed)),
        "oracle": jaccards(world.members, groups_found(world, finder, world.oracle, seed=seed)),
    }
    hits = pd.DataFrame(best).reindex(world.rings.ring_id).ge(0.5).assign(archetype=world.rings.archetype.to_numpy())
    return pd.concat([hits.groupby("archetype").mean(), hits.drop(columns="archetype").mean().to_frame("all").T])


def settings(group: str, name: str) -> dict[str, Any]:
    values = yaml.safe_load((CONFIGS / group / f"{name}.yaml").read_text())
    return {key: value for key, value in values.items() if key != "_target_"}


def spec_of(name: str, **changes: Any) -> WorldSpec:
    return replace(WorldSpec(**settings("world", name)), **changes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", default="demo")
    parser.add_argument("--dials", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 104, 105])
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args()
    rows = []
    for dial in options.dials:
        tables = []
        for seed in options.seeds:
            spec = spec_of(options.world, seed=seed, evasion=dial, evasion_of={})
            with tempfile.TemporaryDirectory() as folder:
                make_world(spec, Path(folder) / "world")
                tables.append(recalls(read_world(Path(folder) / "world", spec), seed=seed))
        together = pd.concat(tables).groupby(level=0)
        mean, spread = together.mean(), together.std(ddof=0)
        print(f"dial {dial}\n{mean.round(2).to_string()}", flush=True)
        rows += [
            {
                "dataset": f"world={options.world} evasion={dial}",
                "finder": finder,
                "archetype": archetype,
                "recall": round(float(mean.loc[archetype, finder]), 4),
                "std": round(float(spread.loc[archetype, finder]), 4),
                "seeds": options.seeds,
            }
            for archetype in mean.index
            for finder in mean.columns
        ]
    if not options.dry:
        merge_rows(RESULTS / "world_difficulty.json", rows, ("dataset", "finder", "archetype"))


if __name__ == "__main__":
    main()
