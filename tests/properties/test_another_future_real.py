"""Promises 1 and 2 on the real data sets, table by table: what is only known after an instant is changed, added, taken
away or judged otherwise in the files themselves, and nothing that was said by then moves by a bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnn.node_task import NodeTask
from gnn.splits import TimeSplit
from gnn.temporal_sage import SageSpec
from gnn.trainer import TrainerSpec
from gnn.workbench import Workbench
from graphs.behaviour import BehaviourSpec
from graphs.events import EventLog
from graphs.history import known_at
from graphs.store import fingerprint

DAY = 86_400_000_000
SETS = ("sffsd", "fdh", "p2p")

Tables = Any
"""`RealTables` of conftest.py."""


def without_a_future(real: Tables, rng: np.random.Generator) -> Tables:
    """Nothing happens any more."""
    return real.having({file: real.tables[file][real.visible(file) < real.now] for file in real.times})


def with_less_future(real: Tables, rng: np.random.Generator) -> Tables:
    """Half of what was to come does not."""
    kept = {file: (real.visible(file) < real.now) | (rng.random(len(real.tables[file])) < 0.5) for file in real.times}
    return real.having({file: real.tables[file][kept[file]] for file in real.times})


def with_more_future(real: Tables, rng: np.random.Generator) -> Tables:
    """Who was there before does more of the same, at times that others had and with strangers who then come."""
    more = {}
    for file, table in real.tables.items():
        if file in real.times:
            later = np.flatnonzero(real.visible(file) >= real.now)
            copies = table.iloc[rng.integers(len(table), size=2 * len(later))].copy()
            copies[real.keys[file]] = [f"new{i}" for i in range(len(copies))]
            copies[real.times[file]] = table[real.times[file]].iloc[rng.choice(later, len(copies))].to_numpy()
            stranger = rng.random(len(copies)) < 0.2
            partner = real.roles(file)[-1]
            copies[partner] = np.where(stranger, "stranger", copies[partner])
            more[file] = pd.concat([table, copies], ignore_index=True)
    return real.having(more)


def with_other_events(real: Tables, rng: np.random.Generator) -> Tables:
    """The same events happen to others, for other amounts; devices that nobody has used yet are of other makes."""
    changed = {}
    for file in real.times:
        table, later = real.tables[file].copy(), real.visible(file) >= real.now
        for column in real.roles(file):
            table.loc[later, column] = rng.permutation(table.loc[later, column].to_numpy())
        for column in table.filter(regex="(?i)amount"):
            table.loc[later, column] = table.loc[later, column] * 3 + 1
        changed[file] = table
    if "Device.parquet" in real.tables:
        links, devices = real.tables["USED.parquet"], real.tables["Device.parquet"].copy()
        used = links["to_device_id"][real.visible("USED.parquet") < real.now]
        devices.loc[~devices["id"].isin(used), ["os", "device"]] = "not heard of"
        changed["Device.parquet"] = devices
    return real.having(changed)


def with_other_verdicts(real: Tables, rng: np.random.Generator) -> Tables:
    """Every label that is not known yet turns out the other way, be its event past or still to come."""
    return real.having(VERDICTS[real.name](real, rng))


def other_sffsd(real: Tables, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    table = real.tables["S-FFSD.csv"].copy()
    later = real.visible("S-FFSD.csv") > real.now
    table.loc[later, "Labels"] = table.loc[later, "Labels"].map({"0": "1", "1": "0", "2": "1"})
    return {"S-FFSD.csv": table}


def other_fdh(real: Tables, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    table = real.tables["transactions.parquet"].copy()
    immature = real.visible("transactions.parquet") + 7 * DAY > real.now
    table["TX_FRAUD"] = np.where(immature, 1 - table["TX_FRAUD"], table["TX_FRAUD"])
    assert 0 < (immature & (real.visible("transactions.parquet") < real.now)).sum() < len(table)
    return {"transactions.parquet": table}


def other_p2p(real: Tables, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Chargebacks to come do not, others come, and some that nobody dated are fraud after all."""
    table = real.tables["User.parquet"].copy()
    # A chargeback counts as known at the end of its day.
    later = (table["firstChargebackMtDate"] >= "2017-12-01") | (table["firstChargebackMtDate"] == "1900-01-01")
    fraud = later & (rng.random(len(table)) < 0.3)
    dated = fraud & (rng.random(len(table)) < 0.7)
    table.loc[later, "fraudMoneyTransfer"] = fraud[later].astype(int)
    table.loc[later, "firstChargebackMtDate"] = np.where(dated[later], "2017-12-01", "1900-01-01")
    return {"User.parquet": table}


VERDICTS = {"sffsd": other_sffsd, "fdh": other_fdh, "p2p": other_p2p}
FUTURES = (without_a_future, with_less_future, with_more_future, with_other_events, with_other_verdicts)


@pytest.fixture(scope="module")
def as_it_was(
    real_tables: Callable[[str], Tables],
    drawn_bundle: Callable[..., Any],
    said_by_key: Callable[..., dict[Any, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[Any, ...]]:
    """A function name -> (tables, their log, a model of what was known by then, what it says): once per set."""
    known: dict[str, tuple[Any, ...]] = {}

    def once(name: str) -> tuple[Any, ...]:
        if name not in known:
            real = real_tables(name)
            log = real.read(tmp_path_factory.mktemp(name)).log
            bundle = drawn_bundle(known_at(log, real.now), real.who)
            known[name] = real, log, bundle, said_by_key(bundle, log, real.who, moments_of(real))
        return known[name]

    return once


def moments_of(real: Tables) -> tuple[int, ...]:
    """Instants by which entities are asked about: days ago, now, and long after."""
    span = real.now - min(real.visible(file).min() for file in real.times)
    return real.now - span // 3, real.now, real.now + 365 * DAY


@pytest.mark.parametrize("other", FUTURES)
@pytest.mark.parametrize("name", SETS)
def test_another_future_moves_no_score_and_no_vector_of_before(
    as_it_was: Callable[[str], tuple[Any, ...]],
    said_by_key: Callable[..., dict[Any, Any]],
    tmp_path: Path,
    name: str,
    other: Callable[..., Tables],
) -> None:
    real, log, bundle, before = as_it_was(name)
    changed = other(real, np.random.default_rng(7)).read(tmp_path).log
    assert fingerprint(changed) != fingerprint(log)

    after = said_by_key(bundle, changed, real.who, moments_of(real))

    past = known_at(log, real.now)
    types = [past.event_types[code] for code in past.event_type]
    events = list(zip(types, past.event_ids.to_pylist(), strict=True))
    early, now, late = moments_of(real)
    people = [(real.who, key, moment) for key in past.entity_ids[real.who].to_pylist() for moment in (early, now)]
    assert {kind for kind, _ in events} == set(log.event_types) and len(events) > 5_000 and len(people) > 4_000
    assert [key for key in (*events, *people) if before[key] != after[key]] == []
    # And the future did come: what is said in the end is another thing, but where labels are no input.
    ends = [{key: value for key, value in said.items() if key[-1] == late} for said in (before, after)]
    assert (ends[0] != ends[1]) or (name == "p2p" and other is with_other_verdicts)


def test_the_users_that_a_model_learns_from_have_the_labels_that_were_known(
    as_it_was: Callable[[str], tuple[Any, ...]], tmp_path: Path
) -> None:
    real, log, _, _ = as_it_was("p2p")
    task = NodeTask("user", answer="entity", new_after_days=7.0, first_seen_in="transfer")
    otherwise = with_other_verdicts(real, np.random.default_rng(7)).read(tmp_path).log

    start = int(log.event_time[0])
    one, two = (task.examples(each, start, real.now, known_by=real.now, learn=True) for each in (log, otherwise))

    assert one.label.sum() > 5
    keys = [
        each.entity_ids["user"].take(found.questions.entity).to_pylist()
        for each, found in ((log, one), (otherwise, two))
    ]
    assert keys[0] == keys[1] and (one.label == two.label).all()
    assert not np.array_equal(log.entity_labels["user"].label, otherwise.entity_labels["user"].label)


def test_what_a_model_learns_does_not_hang_on_labels_that_come_after_it_was_made(
    as_it_was: Callable[[str], tuple[Any, ...]], tmp_path: Path
) -> None:
    real, log, _, _ = as_it_was("fdh")
    otherwise = with_other_verdicts(real, np.random.default_rng(7)).read(tmp_path).log
    one, two = (learned(each) for each in (log, otherwise))
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def learned(log: EventLog) -> dict[str, torch.Tensor]:
    """The weights of a small network that was made at the slice's instant and chose its epoch on what was known."""
    split = TimeSplit(test_from="2018-05-13", valid_share=0.3, maturity_days=0.0).apply(log)
    bench = Workbench.lay_out(log, split, BehaviourSpec(windows_hours=(24,), label_windows_hours=(24,)))
    trainer = TrainerSpec(epochs=1, block=2048)
    (network,) = bench.train_networks(SageSpec(width=8, message_width=4, k=3), trainer, seed=1).members
    return network.state_dict()
