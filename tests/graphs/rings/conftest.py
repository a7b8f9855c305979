"""A small generated world and the shipped finder, shared by the tests of the finder."""

from pathlib import Path

import pytest

from graphs.config import check_config, compose
from graphs.datasets.world import make_world
from graphs.ingest import ingest
from graphs.schema import DataSchema


@pytest.fixture(scope="session")
def small_world(tmp_path_factory) -> Path:
    """The folder of a world of 8,000 payments, with its truth."""
    folder = tmp_path_factory.mktemp("rings") / "world"
    changes = ["world=demo", "world.payments=8000", "world.users=900", "world.merchants=90", "world.rings=14"]
    spec = check_config(compose("make_world", [*changes, "world.look_alikes=6"])).keywords["world"]
    make_world(spec, folder)
    return folder


@pytest.fixture(scope="session")
def small_log(small_world):
    data = compose("find_rings", ["data=world", f"data.root={small_world}"])["data"]
    return ingest(DataSchema.from_config(data)).log


@pytest.fixture(scope="session")
def finder():
    """The finder as configured, telling every group."""
    return check_config(compose("find_rings", ["finder.least_p=0"])).keywords["finder"]
