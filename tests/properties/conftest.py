"""Networks with drawn weights, what they say of everybody at an instant, and slices of the real data sets as tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnn.bundle import EVENTS, Bundle, build_network
from gnn.calibration import fit_calibrator
from gnn.embed import Embedder
from gnn.embedding_table import vectors_of
from gnn.encoders import FeatureSpace
from gnn.nodes import NodeQuestions, graph_columns, node_columns
from gnn.temporal_sage import SageSpec
from graphs.behaviour import ASKED_FOR, FAMILIES, BehaviourSpec
from graphs.config import compose
from graphs.events import EventLog
from graphs.ingest import Ingested, ingest
from graphs.schema import DataSchema
from graphs.temporal_graph import TemporalGraph

FOLDER = Path(os.environ.get("RINGTRACE_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
BEHAVIOUR = BehaviourSpec(windows_hours=(24, 720), label_windows_hours=(720,), families=(*FAMILIES, *ASKED_FOR))
MODEL = SageSpec(width=16, message_width=8, layers=2, k=4, node_k=6, bins=2)

DAY = 86_400_000_000


# ---------------------------------------------------------------------------------------------- networks


@pytest.fixture(scope="session")
def drawn_bundle() -> Callable[..., Bundle]:
    """A function (log, who="user", data={}) -> Bundle: encodings fitted on the log, one network with drawn weights, a
    head for events and one for the entities `who`, and calibrators that keep every bit of a logit apart."""
    return draw_bundle


@pytest.fixture(scope="session")
def said_by_key() -> Callable[..., dict[Any, Any]]:
    """A function (bundle, log, who="user", moments=…) -> all that the model says, by the caller's keys: the logit and
    the vector of every event, the score and the vector of every entity of the type `who` as of every moment."""
    return say_by_key


def draw_bundle(log: EventLog, who: str = "user", data: Mapping[str, Any] | None = None) -> Bundle:
    graph = TemporalGraph.build(log)
    columns, _ = graph_columns(graph, BEHAVIOUR)
    everybody = np.arange(len(log.entity_ids[who]), dtype=np.int32)
    asked = NodeQuestions(who, everybody, np.full(len(everybody), log.event_time[-1] + 1))
    spaces = {
        EVENTS: FeatureSpace.fit(columns, np.arange(len(log)), bins=MODEL.bins, min_count=1),
        who: FeatureSpace.fit(node_columns(graph, asked, BEHAVIOUR), everybody, bins=MODEL.bins, min_count=1),
    }
    torch.manual_seed(0)
    network = build_network(MODEL, spaces, log.roles, log.event_types).eval()
    calibrator = fit_calibrator(np.linspace(-2, 2, 80), np.arange(80) % 2, method="temperature")
    calibrators, taught = dict.fromkeys(spaces, calibrator), log.event_types
    return Bundle(
        MODEL, BEHAVIOUR, log.roles, log.event_types, taught, spaces, calibrators, [network], dict(data or {}), {}
    )


def say_by_key(bundle: Bundle, log: EventLog, who: str = "user", moments: Sequence[int] = ()) -> dict[Any, Any]:
    embedder = Embedder.of(bundle, log)
    said: dict[Any, Any] = {}
    types = [log.event_types[code] for code in log.event_type]
    of_events = zip(embedder.event_logits.tolist(), embedder.caches[0].levels[-1].numpy(), strict=True)
    for kind, key, (logit, vector) in zip(types, log.event_ids.to_pylist(), of_events, strict=True):
        said[kind, key] = logit, vector.tobytes()
    ids = log.entity_ids[who].to_pylist()
    for moment in moments:
        table = embedder.embed(who, ids, moment)
        rows = zip(ids, table["score"].to_pylist(), vectors_of(table), strict=True)
        said |= {(who, key, moment): (score, vector.tobytes()) for key, score, vector in rows}
    return said


# ---------------------------------------------------------------------------------------- real data sets


@dataclass(frozen=True)
class RealTables:
    """A slice of a real data set: its own tables by file name, in the form that they came in, keys as text.

    `keys` and `times` name the id and time column of every event table, `who` is the entity type that is asked about,
    `now` (µs UTC) an instant inside.
    """

    name: str
    data: dict[str, Any]
    tables: Mapping[str, pd.DataFrame]
    keys: Mapping[str, str]
    times: Mapping[str, str]
    who: str
    now: int

    def visible(self, file: str) -> np.ndarray:
        """(rows,) µs UTC: from when on an event may be looked back at; one of a day without a clock at its end."""
        column = self.tables[file][self.times[file]]
        if column.dtype.kind in "iu":
            return column.to_numpy() * 60_000_000
        times = pd.to_datetime(column, format="ISO8601", utc=True).dt.as_unit("us").astype(np.int64).to_numpy()
        bare = column.dtype.kind != "M" and column.str.len() == 10
        return np.where(bare, times + DAY - 1, times)

    def roles(self, file: str) -> list[str]:
        """The columns that hold entities."""
        (table,) = (table for table in self.data["events"].values() if file_of(table) == file)
        return [role["column"] if isinstance(role, dict) else role for role in table["roles"].values()]

    def having(self, tables: Mapping[str, pd.DataFrame]) -> RealTables:
        """The same with some of the tables replaced."""
        return replace(self, tables={**self.tables, **tables})

    def write(self, folder: Path) -> dict[str, Any]:
        """Put the tables into `folder`; returns the data mapping that reads them there."""
        folder.mkdir(parents=True, exist_ok=True)
        for file, table in self.tables.items():
            if file.endswith(".csv"):
                table.to_csv(folder / file, index=False)
            else:
                table.to_parquet(folder / file, index=False)
        return self.data | {
            kind: {name: {**table, "path": str(folder / file_of(table))} for name, table in self.data[kind].items()}
            for kind in ("events", "entities")
            if kind in self.data
        }

    def read(self, folder: Path) -> Ingested:
        """Ingest the tables by way of files in `folder`."""
        return ingest(DataSchema.from_config(self.write(folder)))


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], dict[str, Any]]:
    """A function name -> data mapping of a real set; skips where the set is not there."""
    return real_mapping


@pytest.fixture(scope="session")
def real_tables() -> Callable[[str], RealTables]:
    """A function name -> RealTables of some 10,000 to 20,000 events of "sffsd", "fdh" or "p2p" (all three types)."""
    cut: dict[str, RealTables] = {}

    def tables(name: str) -> RealTables:
        if name not in cut:
            cut[name] = SLICES[name](real_mapping(name))
        return cut[name]

    return tables


def real_mapping(name: str) -> dict[str, Any]:
    if not (FOLDER / name).is_dir():
        pytest.skip(f"no {name} under {FOLDER}; set RINGTRACE_DATA to the folder of the data sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINGTRACE_DATA", str(FOLDER))
        return compose("ingest", [f"data={name}"])["data"]


def file_of(table: Mapping[str, Any]) -> str:
    return Path(table["path"]).name


def micros(text: str) -> int:
    return pd.Timestamp(text, tz="UTC").value // 1000


def cut_sffsd(data: dict[str, Any]) -> RealTables:
    """The first rows. The number of a row is its time and its key; here the key has a column of its own, so that
    other rows may have the same time."""
    table = pd.read_csv(FOLDER / "sffsd" / "S-FFSD.csv", nrows=12_000, dtype={"Labels": str})
    table.insert(0, "row", table["Time"].astype(str))
    data["events"]["payment"]["id"] = "row"
    file = "S-FFSD.csv"
    return RealTables("sffsd", data, {file: table}, {file: "row"}, {file: "Time"}, "source", 9_000 * 60_000_000)


def cut_fdh(data: dict[str, Any]) -> RealTables:
    """The payments at a tenth of the terminals over sixteen days, so that some labels are a week old and some not."""
    file = "transactions.parquet"
    table = pd.read_parquet(FOLDER / "fdh" / file)
    table = table[(table.TERMINAL_ID < 1_000) & table.TX_DATETIME.between("2018-05-01", "2018-05-17")]
    table = as_text(table, ["TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID"])
    times = {file: "TX_DATETIME"}
    return RealTables("fdh", data, {file: table}, {file: "TRANSACTION_ID"}, times, "customer", micros("2018-05-13"))


def cut_p2p(data: dict[str, Any]) -> RealTables:
    """A month in late 2017: transfers, card links and device links, with the users and devices that have part in them.
    It stops at noon of a day whose links are known in the evening."""
    times = {"P2P.parquet": "transactionDateTime", "HAS_CC.parquet": "cardDate", "USED.parquet": "deviceDate"}
    tables = {file: pd.read_parquet(FOLDER / "p2p" / "parquet" / file) for file in (*times, *ENTITY_TABLES)}
    for file, column in times.items():
        table = tables[file]
        table = table[(table[column] >= "2017-11-10") & (table[column] < "2017-12-08")]
        tables[file] = as_text(table, ["id", *(name for name in table.columns if name.endswith("_id"))])
    seen = {value for file in times for value in tables[file].filter(like="_id").to_numpy().ravel()}
    for file in ENTITY_TABLES:
        table = as_text(tables[file], ["id"])
        tables[file] = table[table["id"].isin(seen)].reset_index(drop=True)
    return RealTables("p2p", data, tables, dict.fromkeys(times, "id"), times, "user", micros("2017-12-01T12:00"))


def as_text(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return table.assign(**{name: table[name].astype(str) for name in columns}).reset_index(drop=True)


ENTITY_TABLES = ("User.parquet", "Device.parquet")
SLICES = {"sffsd": cut_sffsd, "fdh": cut_fdh, "p2p": cut_p2p}
