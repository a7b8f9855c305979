"""The generated world is neither given away by single rows nor solved by components, and yet can be solved."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from graphs.datasets.world import make_world

REPOSITORY = Path(__file__).parents[2]
ENTITIES = ("user_id", "card_id", "device_id", "merchant_id", "address_id")


@pytest.fixture(scope="module")
def difficulty() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "benchmarks")
        yield importlib.import_module("world_difficulty")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, difficulty: ModuleType) -> Path:
    folder = tmp_path_factory.mktemp("world") / "demo"
    make_world(difficulty.spec_of("demo"), folder)
    return folder


def moments(table: pd.DataFrame) -> dict[str, pd.Series]:
    """What one row shows of time and money."""
    times = table.event_time.dt
    return {
        "amount": table.amount,
        "cents": (table.amount * 100).round() % 100,
        "hour": times.hour,
        "weekday": times.dayofweek,
        "second": times.second,
        "lag": (table.known_time - table.event_time).dt.total_seconds(),
        "no_device": table.device_id.isna(),
        "position": pd.Series(np.arange(len(table)) % 997, index=table.index),
    }


def single_row_columns(payments: pd.DataFrame) -> pd.DataFrame:
    """All that one payment shows without looking at any other: amounts, hours, lags, nulls, words, ids, position."""
    columns = {**moments(payments), "no_address": payments.address_id.isna()}
    columns |= {name: payments[name].astype("category").cat.codes for name in ("kind", "channel", "category")}
    # The text of an id as a number: by rank, and by its characters.
    for name in (*ENTITIES, "payment_id"):
        columns[name] = payments[name].rank()
        columns |= {f"{name}_{place}": payments[name].str[place].map(ord, na_action="ignore") for place in (1, 8)}
    return pd.DataFrame(columns)


def neighbour_columns(payments: pd.DataFrame) -> pd.DataFrame:
    """Counts over the past of each entity: how long known, how often seen, with how many others."""
    columns = {}
    for name in ENTITIES:
        past = payments.groupby(name)
        columns[f"{name}_seen"] = past.cumcount()
        columns[f"{name}_age"] = payments.event_time - past.event_time.transform("first")
        columns[f"{name}_pause"] = past.event_time.diff()
        for other in ENTITIES:
            is_new = ~payments.duplicated([name, other])
            columns[f"{name}_{other}s"] = is_new.groupby(payments[name]).cumsum()
            columns[f"{name}_{other}_pair"] = payments.groupby([name, other]).cumcount()
    seconds = {key: v.dt.total_seconds() if v.dtype.kind == "m" else v for key, v in columns.items()}
    return pd.DataFrame(seconds)


def ap_on_last_fifth(table: pd.DataFrame, columns: pd.DataFrame) -> float:
    x, y, cut = columns.to_numpy(dtype=float), table.is_fraud.to_numpy(), int(0.8 * len(table))
    fitted = lightgbm.Dataset(x[:cut], label=y[:cut])
    settings = {"objective": "binary", "num_threads": 1, "verbose": -1, "seed": 1, "learning_rate": 0.08}
    model = lightgbm.train(settings, fitted, num_boost_round=80)
    return float(average_precision_score(y[cut:], model.predict(x[cut:])))


def test_a_single_payment_does_not_give_fraud_away_but_its_neighbours_do(demo: Path) -> None:
    payments = pd.read_parquet(demo / "payments.parquet")
    alone = single_row_columns(payments)
    assert ap_on_last_fifth(payments, alone) < 0.2
    assert ap_on_last_fifth(payments, alone.join(neighbour_columns(payments))) > 0.4


def test_a_single_transfer_does_not_give_fraud_away(demo: Path) -> None:
    transfers = pd.read_parquet(demo / "transfers.parquet")
    columns = pd.DataFrame({**moments(transfers), "id": transfers.transfer_id.rank()})
    assert ap_on_last_fifth(transfers, columns) < 0.2


def recall(difficulty: ModuleType, folder: Path, **changes: object) -> pd.Series:
    """Share of rings found by components and by the finder with an oracle, on the demo's world in `folder`."""
    return difficulty.recalls(difficulty.read_world(folder, difficulty.spec_of("demo", **changes)), seed=1).loc["all"]


def test_components_fail_and_the_finder_with_an_oracle_does_not(demo: Path, difficulty: ModuleType) -> None:
    found = recall(difficulty, demo)
    assert 0.1 < found.components < 0.4 and found.oracle > 0.9


def test_careful_rings_leave_little_to_components_but_enough_to_the_oracle(
    difficulty: ModuleType, tmp_path: Path
) -> None:
    make_world(difficulty.spec_of("demo", evasion=4), tmp_path / "hard")
    found = recall(difficulty, tmp_path / "hard", evasion=4)
    assert found.components < 0.15 and found.oracle > 0.8


def test_jaccards_by_hand(difficulty: ModuleType) -> None:
    members = {"a": frozenset("123"), "b": frozenset("45"), "c": frozenset("67")}
    found = [frozenset("12x"), frozenset("3"), frozenset("45yz")]
    assert difficulty.jaccards(members, found) == {"a": 0.5, "b": 0.5, "c": 0.0}
