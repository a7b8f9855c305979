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

    What is at `folder` is replaced if it holds the file `mark`, which says that it is a `what`, or is empty.
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
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON to `path`, under another name first, so that no half of it is ever seen."""
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    aside.replace(path)
