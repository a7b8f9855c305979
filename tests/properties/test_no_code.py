"""Promise 9: a bundle comes back as it was from files that hold no code, and no file put in their place is run."""

from __future__ import annotations

import io
import pickle
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.bundle import Bundle, BundleError
from graphs.events import EventLog
from graphs.store import fingerprint, load_log, save_log
from graphs.temporal_graph import TemporalGraph

FILES = ("bundle.yaml", "spaces.safetensors", "vocabularies.parquet", "weights.safetensors")
ENDINGS = {".yaml", ".safetensors", ".parquet", ".npy", ".arrow", ".json"}
_few = settings(max_examples=12, derandomize=True)

Saying = Callable[..., dict[Any, Any]]
Draw = Callable[..., Bundle]


class Trap:
    """Whoever unpickles it writes a file."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.sprung,)


@contextmanager
def no_unpickling() -> Iterator[None]:
    """Any attempt to read a pickle is an error. (Numba reads its own cache so, when a function is first called.)"""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("Unpickler", "load", "loads"):
            patch.setattr(pickle, name, forbidden)
        patch.setattr(torch, "load", forbidden)
        yield


def forbidden(*_: Any, **__: Any) -> None:
    raise AssertionError("something is unpickled")


def pickle_opcodes_in(path: Path) -> bool:
    """Whether the file is a pickle, or an archive or an array file that holds one."""
    content = path.read_bytes()
    return content[:1] == b"\x80" or zipfile.is_zipfile(io.BytesIO(content)) or b"|O" in content[:200]


@_few
@given(seed=st.integers(0, 10_000))
def test_a_bundle_says_the_same_once_it_has_been_a_folder(
    random_log: Callable[..., EventLog],
    drawn_bundle: Draw,
    said_by_key: Saying,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
) -> None:
    log, folder = random_log(seed, 40), tmp_path_factory.mktemp("bundle") / "b"
    bundle, moments = drawn_bundle(log), (int(log.event_time[-1]) + 1,)
    bundle.save(folder)
    assert said_by_key(Bundle.load(folder), log, "user", moments) == said_by_key(bundle, log, "user", moments)
    assert sorted(path.name for path in folder.iterdir()) == list(FILES)
    assert not any(map(pickle_opcodes_in, folder.iterdir()))


@pytest.mark.parametrize("name", ["sffsd", "fdh", "p2p"])
def test_bundle_history_and_graph_of_a_real_set_hold_no_pickle_and_come_back(
    real_tables: Callable[[str], Any],
    drawn_bundle: Draw,
    said_by_key: Saying,
    tmp_path: Path,
    name: str,
) -> None:
    real = real_tables(name)
    log = real.read(tmp_path / "tables").log
    bundle = drawn_bundle(log, real.who, real.data)
    bundle.save(tmp_path / "made" / "bundle")
    save_log(log, tmp_path / "made" / "history")
    TemporalGraph.build(log).save(tmp_path / "made" / "graph")
    held = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert {path.suffix for path in held} == ENDINGS and not any(map(pickle_opcodes_in, held))
    with no_unpickling():
        back, graph = Bundle.load(tmp_path / "made" / "bundle"), TemporalGraph.load(tmp_path / "made" / "graph")
        history = load_log(tmp_path / "made" / "history")
    assert back.data == real.data and fingerprint(history) == fingerprint(graph.log) == fingerprint(log)
    assert said_by_key(back, log, real.who, (real.now,)) == said_by_key(bundle, log, real.who, (real.now,))


@pytest.fixture(scope="module")
def whole(log_from_rows: Any, random_rows: Any, drawn_bundle: Draw) -> dict[str, bytes]:
    """The files of a bundle by name."""
    with tempfile.TemporaryDirectory() as folder:
        drawn_bundle(log_from_rows(*random_rows(1, 40))).save(Path(folder) / "bundle")
        return {path.name: path.read_bytes() for path in (Path(folder) / "bundle").iterdir()}


def laid_out(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("form", ["pickle", "torch"])
@pytest.mark.parametrize("name", FILES)
def test_a_pickle_in_place_of_a_file_is_refused_and_not_run(
    whole: dict[str, bytes], tmp_path: Path, name: str, form: str, protocol: int
) -> None:
    bundle, trap = laid_out(tmp_path / "bundle", whole), Trap(tmp_path / "sprung")
    if form == "pickle":
        (bundle / name).write_bytes(pickle.dumps(trap, protocol=protocol))
    else:
        torch.save(trap, bundle / name, pickle_protocol=max(protocol, 2))
    with pytest.raises(BundleError):
        Bundle.load(bundle)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "tag", ["object/apply:pathlib.Path.touch", "object/new:os.system", "name:os.system", "module:this"]
)
def test_a_yaml_that_calls_is_refused_and_not_run(whole: dict[str, bytes], tmp_path: Path, tag: str) -> None:
    call = f"more: !!python/{tag} ['{tmp_path / 'sprung'}']\n".encode()
    bundle = laid_out(tmp_path / "bundle", {**whole, "bundle.yaml": whole["bundle.yaml"] + call})
    with pytest.raises(BundleError):
        Bundle.load(bundle)
    assert not (tmp_path / "sprung").exists()


@settings(max_examples=60, derandomize=True)
@given(name=st.sampled_from(FILES), at=st.floats(0, 1), noise=st.binary(min_size=1, max_size=40), cut=st.booleans())
def test_a_damaged_file_is_read_or_refused_in_words_and_nothing_else(
    whole: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, name: str, at: float, noise: bytes, cut: bool
) -> None:
    content = whole[name]
    place = int(at * len(content))
    damaged = content[:place] + noise + (b"" if cut else content[place + len(noise) :])
    bundle = laid_out(tmp_path_factory.mktemp("damaged") / "bundle", {**whole, name: damaged})
    with no_unpickling():
        try:
            assert Bundle.load(bundle).event_types
        except BundleError as error:
            assert str(bundle) in str(error)
