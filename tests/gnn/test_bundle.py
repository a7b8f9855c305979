"""Bundles: what is written comes back the same, holds no code, and says who it is."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gnn.bundle import EVENTS, Bundle, BundleError, build_network
from gnn.calibration import fit_calibrator
from gnn.encoders import FeatureSpace, event_columns
from gnn.temporal_sage import SageSpec
from graphs.behaviour import BehaviourSpec
from graphs.errors import NotFoundError
from graphs.events import EventLog


@pytest.fixture
def bundle(random_log: Callable[..., EventLog]) -> Bundle:
    log = random_log(3, 80)
    space = FeatureSpace.fit(event_columns(log), np.arange(len(log)), min_count=1, bins=2)
    model = SageSpec(width=8, k=2, bins=2)
    torch.manual_seed(0)
    networks = [build_network(model, {EVENTS: space}, log.roles, log.event_types) for _ in range(2)]
    calibrator = fit_calibrator(np.linspace(-2, 2, 80), np.arange(80) % 2)
    behaviour = BehaviourSpec(windows_hours=(24,))
    return Bundle(
        model,
        behaviour,
        log.roles,
        log.event_types,
        log.event_types,
        {EVENTS: space},
        {EVENTS: calibrator},
        networks,
        {"x": 1},
        {},
    )


def test_a_bundle_comes_back_as_it_was(bundle: Bundle, tmp_path: Path) -> None:
    saved = bundle.save(tmp_path / "bundle")
    loaded = Bundle.load(tmp_path / "bundle")
    assert (loaded.version, loaded.roles, loaded.behaviour) == (saved.version, bundle.roles, bundle.behaviour)
    assert loaded.spaces[EVENTS].vocabularies == bundle.spaces[EVENTS].vocabularies
    for one, two in zip(bundle.members, loaded.members, strict=True):
        assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_an_entity_type_may_be_called_as_modules_call_their_own(bundle: Bundle, tmp_path: Path) -> None:
    names = ("type", "training", "a.b", "a%2Eb", "user")
    spaces = {name: deepcopy(bundle.spaces[EVENTS]) for name in (EVENTS, *names)}
    network = build_network(bundle.model, spaces, bundle.roles, bundle.event_types)
    replace(bundle, spaces=spaces, members=[network]).save(tmp_path / "bundle")
    loaded = Bundle.load(tmp_path / "bundle").members[0]
    for name in names:
        ours, theirs = network.node_head(name).state_dict(), loaded.node_head(name).state_dict()
        assert all(torch.equal(value, theirs[part]) for part, value in ours.items())
    assert len({id(loaded.node_head(name)) for name in names}) == len(names)


def test_the_version_tells_other_weights_apart(bundle: Bundle, tmp_path: Path) -> None:
    first = bundle.save(tmp_path / "a").version
    assert bundle.save(tmp_path / "b").version == first
    with torch.no_grad():
        next(iter(bundle.members[0].parameters())).add_(1.0)
    assert bundle.save(tmp_path / "c").version != first


def test_a_bundle_holds_no_pickle(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "bundle")
    assert {path.suffix for path in (tmp_path / "bundle").iterdir()} == {".yaml", ".safetensors", ".parquet"}


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no bundle\.yaml"):
        Bundle.load(tmp_path)


@pytest.mark.parametrize("text", ["format: 99", "format: 1", "!!python/object/apply:os.getcwd []", "[", "7"])
def test_a_card_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bundle.yaml").write_text(text)
    with pytest.raises(BundleError):
        Bundle.load(tmp_path)


def cut_short(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])


def with_other_words(folder: Path) -> None:
    table = pq.read_table(folder / "vocabularies.parquet")
    other = pa.array([f"not {word}" for word in table["word"].to_pylist()], pa.string())
    pq.write_table(table.drop(["word"]).append_column("word", other), folder / "vocabularies.parquet")


@pytest.mark.parametrize("spoil", [cut_short, with_other_words])
def test_files_that_are_not_those_of_the_version_are_refused(
    bundle: Bundle, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    bundle.save(tmp_path / "bundle")
    spoil(tmp_path / "bundle")
    with pytest.raises(BundleError, match="is not what was written: its files make version"):
        Bundle.load(tmp_path / "bundle")
