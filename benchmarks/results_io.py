"""Result files of the benchmarks: rows merged by key, with the machine, commit and command that made them."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graphs.folders import write_text

RESULTS = Path(__file__).parent / "results"


def merge_rows(path: Path, rows: Iterable[Mapping[str, Any]], key: tuple[str, ...]) -> None:
    """Put `rows` into the result file at `path`, in place of older rows of the same `key` columns.

    Every row carries the commit and the command that made it; the file names the machine of the last run.
    """
    before = read_rows(path)
    made = {"commit": _commit(), "command": _command()}
    fresh = [{**row, **made} for row in rows]
    replaced = {tuple(row.get(name) for name in key) for row in fresh}
    kept = [row for row in before if tuple(row.get(name) for name in key) not in replaced]
    merged = sorted(kept + fresh, key=lambda row: [str(row.get(name)) for name in key])
    document = {"machine": _machine(), **made, "rows": merged}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a result file; none where the benchmark hasn't been run."""
    return json.loads(path.read_text())["rows"] if path.exists() else []


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _commit() -> str:
    here = Path(__file__).parent
    made = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
    return made.stdout.strip() or "unknown"


def _command() -> str:
    script = Path(sys.argv[0]).resolve()
    root = Path(__file__).parent.parent
    name = script.relative_to(root) if script.is_relative_to(root) else script.name
    return shlex.join(["python", str(name), *sys.argv[1:]])
