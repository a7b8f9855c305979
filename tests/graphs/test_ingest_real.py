"""The real data sets through their configurations: counts that the sets' own pages state."""

import os
from pathlib import Path

import numpy as np
import pytest

from graphs.config import compose
from graphs.events import NEVER, UNLABELLED
from graphs.ingest import ingest
from graphs.schema import DataSchema

FOLDER = Path(os.environ.get("RINGTRACE_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


@pytest.fixture
def read(monkeypatch):
    def reading(name):
        if not (FOLDER / name).is_dir():
            pytest.skip(f"no {name} under {FOLDER}; set RINGTRACE_DATA to the folder of the data sets")
        monkeypatch.setenv("RINGTRACE_DATA", str(FOLDER))
        return ingest(DataSchema.from_config(compose("ingest", [f"data={name}"])["data"]))

    return reading


def test_sffsd(read):
    log = read("sffsd").log
    assert len(log) == 77_881 and (log.label != UNLABELLED).sum() == 29_643 and (log.label == 1).sum() == 5_256
    assert (log.event_time == np.arange(77_881) * 60_000_000).all()
    assert {name: len(ids) for name, ids in log.entity_ids.items()} == {
        "source": 30_346, "target": 886, "location": 296, "type": 166,
    }  # fmt: skip


def test_p2p(read):
    log = read("p2p").log
    counts = dict(zip(log.event_types, np.bincount(log.event_type).tolist(), strict=True))
    assert counts == {"card_link": 128_066, "device_link": 55_026, "transfer": 102_832}
    assert {name: len(ids) for name, ids in log.entity_ids.items()} == {
        "user": 33_732,
        "card": 118_818,
        "device": 51_451,
    }
    labels = log.entity_labels["user"]
    assert (labels.label == 1).sum() == 241 and (labels.label[labels.known_time != NEVER] == 1).all()
    assert ((labels.label == 1) & (labels.known_time == NEVER)).sum() == 2


def test_fdh(read):
    log = read("fdh").log
    assert len(log) == 1_754_155 and (log.label == 1).sum() == 14_681 and (log.amount == 0).sum() == 42
    assert {name: len(ids) for name, ids in log.entity_ids.items()} == {"customer": 4_990, "terminal": 10_000}
    assert log.event_ids[0].as_py() == "0" and not log.numeric


def test_graphfaker_medium(read):
    log = read("graphfaker_medium").log
    paid = np.isin(log.event_type, [log.event_types.index(name) for name in ("payment", "transfer", "wire")])
    assert paid.sum() == 1_792_660 and (log.label[paid] == 1).sum() == 4_119 and (log.label[~paid] == UNLABELLED).all()
    assert (log.event_time[paid] % 3_600_000_000 == 0).all()
    assert log.attributes["counterparty"].categorical["country"].codes.min() >= 0
