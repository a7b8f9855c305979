"""Folders and files that are whole or not there: written under another name and moved when done."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphs.errors import ConfigError


@contextmanager
def whole_folder(folder: Path, mark: str, what: str) -> Iterator[Path]:
    """Give a folder to fill that becomes `folder` once the block has ended without an error.

    What is at `folder` is replaced if it holds the file `mark`, which says that it is a `what`, or is empty; after an
    error it is what it was.
    Raises ConfigError if it is anything else.
    """
    if folder.exists() and not (folder / mark).is_file() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is there and holds something else, no {what} (no {mark}); choose another folder")
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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to whose file becomes `path` once the block has ended without an error."""
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
