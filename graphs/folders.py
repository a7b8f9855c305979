"""Folders and files that are whole or not there: written under another name and moved when done."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from graphs.errors import ConfigError, NotFoundError, RingtraceError

T = TypeVar("T")

log = logging.getLogger(__name__)

RECORDS = ("config.yaml", "run.json", "validation.json")
"""What a run says of itself, beside its results and its log."""

UNFINISHED = ("training*.safetensors", "tensorboard")
"""What a training leaves while it runs: no results, and the next training there begins by replacing them."""


def check_replaceable(folder: Path, mark: str, what: str) -> None:
    """ConfigError where `whole_folder` would refuse `folder`: ask before the work whose results go there."""
    if not folder.exists() or (folder / mark).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise ConfigError(f"{folder} is there and holds something else, no {what} (no {mark}); choose another folder")


@contextmanager
def whole_folder(folder: Path, mark: str, what: str) -> Iterator[Path]:
    """Give a folder to fill that becomes `folder` once the block has ended without an error.

    What is at `folder` is replaced if it holds the file `mark`, which says that it is a `what`, or is empty; after an
    error it is what it was.
    Raises ConfigError if it is anything else.
    """
    check_replaceable(folder, mark, what)
    folder = folder.resolve()  # a link stays one, and what it leads to is replaced
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    old = made.with_name(f"{made.name}.old")
    try:
        yield made
        made.chmod(0o755)  # mkdtemp leaves it to the owner alone
        if folder.exists():
            folder.rename(old)
        try:
            made.rename(folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def read_whole(folder: Path, mark: str, what: str, read: Callable[[], T]) -> T:
    """What `read` makes of `folder`: all of one folder, also where `whole_folder` replaces it meanwhile.

    Raises NotFoundError where there is no `mark`, and ConfigError where what is there cannot be read as a `what`.
    """
    while True:
        before = _written(folder / mark)
        if before is None:
            raise NotFoundError(f"{folder.absolute()} holds no {what}")
        try:
            found = read()
        except (RingtraceError, OSError, ValueError, LookupError, TypeError, EOFError) as error:
            if _written(folder / mark) != before:
                continue
            if isinstance(error, RingtraceError):
                raise
            said = str(error).partition("\n")[0]
            raise ConfigError(
                f"{folder}: the {what} cannot be read: {type(error).__name__}: {said}. Copy it whole, or make it anew"
            ) from error
        if _written(folder / mark) == before:
            return found


def _written(mark: Path) -> tuple[int, int] | None:
    """What no other file of this name has; None if there is none, nor one about to be moved there."""
    for wait_seconds in (0.05, 0):
        try:
            found = mark.stat()
        except OSError:
            time.sleep(wait_seconds)
        else:
            return found.st_ino, found.st_mtime_ns
    return None


def verb_of(folder: Path) -> str | None:
    """The verb whose run `folder` holds, as its config.yaml names it; None if there is none, or only the records and
    the log of one that failed. What a stopped training would go on from counts: another verb has no business there."""
    try:
        told = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return told.get("_target_") if isinstance(told, dict) and _beside_records(folder) else None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """ConfigError where another run is at work in `folder`: what both leave would be a mixture. A run that is killed
    gives the folder up."""
    there = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(there, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(there)
        raise ConfigError(
            f"output: another run is writing to {folder}; wait for it, or choose another folder"
        ) from error
    except OSError as error:
        log.info("%s has no locks (%s): see to it that no other run writes there", folder, error.strerror)
    try:
        yield
    finally:
        os.close(there)


@contextmanager
def kept_records(folder: Path) -> Iterator[None]:
    """Put the records in `folder` back as they were if anything stops the block: they go with the results of an earlier
    run there. Where there are none, or the block has replaced some, the records of the failure stay."""
    before = {name: (folder / name).read_bytes() for name in RECORDS if (folder / name).is_file()}
    results = _results_in(folder)
    try:
        yield
    except BaseException:
        if results and results.items() <= _results_in(folder).items():
            for name, content in before.items():
                (folder / name).write_bytes(content)
        raise


def _results_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """The files that a finished run has left in `folder`, each with what changes when it is replaced."""
    found = [path for path in _beside_records(folder) if not any(map(path.match, UNFINISHED))]
    files = [file for path in found for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def _beside_records(folder: Path) -> list[Path]:
    """What `folder` holds beside the records and the log that a run which failed leaves, too."""
    there = folder.iterdir() if folder.is_dir() else ()
    return [path for path in there if path.name not in RECORDS and path.suffix != ".log"]


def why_not_made(folder: Path) -> str | None:
    """Why no file can be written into `folder`, made if need be; None if it can. Leaves nothing behind."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".ringtrace."):
            return None
    except OSError as error:
        return f"{folder} cannot be written ({there}: {error.strerror})"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to whose file becomes `path` once the block has ended without an error."""
    path = path.resolve()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        made = Path(folder) / path.name
        yield made
        made.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a whole file of UTF-8, line ends as they are."""
    with whole_file(path) as made:
        made.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as a whole file of JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
