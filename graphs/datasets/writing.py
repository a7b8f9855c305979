"""Parquet tables in order of time, written in row groups as the world goes on, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graphs.datasets.frames import Frame, concat, take


class TableWriter(Generic[Frame]):
    """Keeps rows until nothing earlier can come, then writes them sorted by time."""

    def __init__(self, kind: type[Frame], path: Path, render: Callable[[Frame, np.ndarray], pa.Table]) -> None:
        self.rows = 0
        self._kind: type[Frame] = kind
        self._path = path
        self._render: Callable[[Frame, np.ndarray], pa.Table] = render
        self._waiting: list[Frame] = []
        self._file: pq.ParquetWriter | None = None

    def add(self, rows: Frame) -> None:
        self._waiting.append(rows)

    def write_until(self, time: int) -> None:
        """Write all waiting rows before `time` (µs UTC), later ones go on waiting."""
        waiting = concat(self._kind, self._waiting)
        ready = waiting.time < time
        self._waiting = [take(waiting, ~ready)]
        rows = take(waiting, ready)
        rows = take(rows, np.argsort(rows.time, kind="stable"))
        table = self._render(rows, self.rows + np.arange(len(rows.time), dtype=np.int64))
        if self._file is None:
            self._file = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._file.write_table(table)
        self.rows += len(rows.time)

    def close(self) -> None:
        """Finish the file; rows that still wait lie outside the world and are left out."""
        if self._file is not None:
            self._file.close()


def timestamps(times: np.ndarray, *, absent: np.ndarray | None = None) -> pa.Array:
    """µs UTC as Parquet timestamps, which every engine reads; null where `absent`."""
    return pa.array(times, mask=absent, type=pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def words(names: tuple[str, ...], codes: np.ndarray) -> pa.Array:
    """Text of small codes: (rows,) string."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, type=pa.int8()), pa.array(names)).cast(pa.string())
