"""How hard the generated world is: capped components must fail on it, a good finder with an oracle's score must not.

Between the two lies what a finder and a model can earn. A world where components do well has islands instead of
rings; one where even the oracle fails has rings that leave no trace. Recall is the share of true rings, victims
left out, that some found group meets with a Jaccard index of at least a half.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from graspologic_native import leiden
from results_io import RESULTS, merge_rows
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from graphs.datasets.world import WorldSpec, make_world

CAP = 20
HUB = 60
RESOLUTION = 0.06
SUSPECT, OTHERS = 0.95, 0.03

Groups = list[frozenset[str]]


@dataclass(frozen=True)
class World:
    """A world as a finder sees it, and its rings.

    `uses` has one row per distinct (user, kind, thing): who used which device, card, address or ip; `transfers` one
    per (sender, receiver) with their count; `rings` the members of each by id, `suspects` all of them and the lone
    thieves.
    """

    uses: pd.DataFrame
    transfers: pd.DataFrame
    rings: pd.DataFrame
    members: dict[str, frozenset[str]]
    suspects: frozenset[str]


def read_world(folder: Path) -> World:
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("payments", "logins", "card_links")}
    columns = {"payments": ("device", "card", "address"), "logins": ("device", "ip"), "card_links": ("device", "card")}
    uses = [
        tables[table][["user_id", f"{kind}_id"]].set_axis(["user", "thing"], axis=1).assign(kind=kind)
        for table, kinds in columns.items()
        for kind in kinds
    ]
    sent = pd.read_parquet(folder / "transfers.parquet").groupby(["sender_id", "receiver_id"]).size()
    truth = pd.read_parquet(folder / "truth" / "members.parquet")
    users = truth[(truth.entity_type == "user") & (truth.role != "victim")]
    lone = pd.read_parquet(folder / "truth" / "payments.parquet")
    lone = tables["payments"].set_index("payment_id").user_id.reindex(lone.event_id[lone.part == "stolen_card"])
    return World(
        pd.concat(uses).dropna().drop_duplicates(),
        sent.rename("count").reset_index(),
        pd.read_parquet(folder / "truth" / "rings.parquet"),
        {ring: frozenset(ids) for ring, ids in users.groupby("ring_id").entity_id},
        frozenset(users.entity_id) | frozenset(lone),
    )


def capped_components(world: World) -> Groups:
    """Connected components over devices and cards of 2 to `CAP` users."""
    uses = world.uses[world.uses.kind.isin(["device", "card"])]
    uses = uses[uses.groupby("thing").user.transform("size").between(2, CAP)]
    users, things = pd.factorize(uses.user), pd.factorize(uses.thing)
    size = len(users[1]) + len(things[1])
    pairs = coo_matrix((np.ones(len(uses)), (users[0], len(users[1]) + things[0])), shape=(size, size))
    component = connected_components(pairs)[1][: len(users[1])]
    return [frozenset(group) for group in pd.Series(users[1]).groupby(component).agg(list)]


def communities(world: World, score: pd.Series, *, seed: int) -> Groups:
    """Leiden communities of suspicious users over what they share, and over money that they send each other.

    `score` is P(fraud) by user. Two users of a thing are tied by the suspicion of its users, shrunk to the mean of
    all, over log2(1 + how many they are); cut off are members whose own score is low.
    """
    uses = world.uses.assign(s=world.uses.user.map(score).fillna(OTHERS))
    things = uses.groupby("thing").s.agg(["size", "sum"])
    things = things[things["size"].between(2, HUB)]
    weight = (things["sum"] + 2 * OTHERS) / (things["size"] + 2) / np.log2(1 + things["size"])
    uses = uses[uses.thing.isin(things.index) & (uses.s > 0.2)]
    pairs = uses.merge(uses, on="thing")
    pairs = pairs[pairs.user_x < pairs.user_y]
    tie = weight.reindex(pairs.thing).to_numpy() * np.sqrt(pairs.s_x * pairs.s_y)
    sent = world.transfers
    both = np.sqrt(sent.sender_id.map(score).fillna(OTHERS) * sent.receiver_id.map(score).fillna(OTHERS))
    money = pd.DataFrame({"a": sent.sender_id, "b": sent.receiver_id, "w": 0.5 * both * (1 - 0.5 ** sent["count"])})
    links = pd.concat([pd.DataFrame({"a": pairs.user_x, "b": pairs.user_y, "w": tie}), money[both > 0.2]])
    low, high = np.minimum(links.a, links.b), np.maximum(links.a, links.b)
    links = links.w.groupby([low, high]).sum()
    edges = [(a, b, float(w)) for (a, b), w in links.items()]
    found = leiden(edges, resolution=RESOLUTION, use_modularity=False, iterations=3, seed=seed)[1]
    groups = pd.Series(found)
    return [frozenset(group) for group in groups.index.to_series().groupby(groups.to_numpy()).agg(list)]


def oracle(world: World) -> pd.Series:
    return pd.Series(SUSPECT, index=sorted(world.suspects))


def jaccards(world: World, found: Groups) -> pd.Series:
    """The best Jaccard index of every ring with any found group of two or more."""
    home: dict[str, list[frozenset[str]]] = {}
    for group in found:
        for user in group if len(group) > 1 else ():
            home.setdefault(user, []).append(group)
    best = {
        ring: max((len(users & g) / len(users | g) for user in users for g in home.get(user, ())), default=0.0)
        for ring, users in world.members.items()
    }
    return pd.Series(best).reindex(world.rings.ring_id)


def recalls(world: World, *, seed: int) -> pd.DataFrame:
    """Share of rings found by each finder: one row per archetype, and "all"."""
    found = {
        "components": jaccards(world, capped_components(world)),
        "oracle": jaccards(world, communities(world, oracle(world), seed=seed)),
    }
    hits = pd.DataFrame(found).ge(0.5).assign(archetype=world.rings.archetype.to_numpy())
    return pd.concat([hits.groupby("archetype").mean(), hits.drop(columns="archetype").mean().to_frame("all").T])


def spec_of(name: str) -> WorldSpec:
    values = yaml.safe_load((Path(__file__).parents[1] / "configs" / "world" / f"{name}.yaml").read_text())
    del values["_target_"]
    return WorldSpec(**values)


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
            with tempfile.TemporaryDirectory() as folder:
                spec = replace(spec_of(options.world), seed=seed, evasion=dial, evasion_of={})
                make_world(spec, Path(folder) / "world")
                tables.append(recalls(read_world(Path(folder) / "world"), seed=seed))
        together = pd.concat(tables).groupby(level=0)
        mean, spread = together.mean(), together.std(ddof=0)
        print(f"dial {dial}\n{mean.round(2).to_string()}")
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
