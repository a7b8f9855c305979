"""The output folder of a finder run: written whole or not at all, and read back as the next run's past."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.errors import ConfigError, NotFoundError
from graphs.folders import whole_folder
from graphs.rings.report import SCHEMAS

FORMAT = 1
RUN = "run.json"


@dataclass(frozen=True)
class RingFolder:
    """`run`: the facts of run.json; `tables` by name, as SCHEMAS; `pictures`: SVG text by ring id."""

    run: Mapping[str, Any]
    tables: Mapping[str, pa.Table]
    pictures: Mapping[str, str]


def write_folder(found: RingFolder, folder: Path) -> Path:
    """Write everything into `folder`, in place of an earlier run there. Raises ConfigError if something else is."""
    with whole_folder(folder, RUN, "finder run") as made:
        for name in SCHEMAS:
            pq.write_table(found.tables[name], made / f"{name}.parquet", compression="zstd")
        (made / "pictures").mkdir()
        for ring_id, picture in found.pictures.items():
            (made / "pictures" / f"{ring_id}.svg").write_text(picture, encoding="utf-8")
        facts = {"format": FORMAT, **found.run}
        (made / RUN).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def read_folder(folder: Path) -> RingFolder:
    """The run that `write_folder` left, without its pictures. Raises NotFoundError if there is none."""
    if not (folder / RUN).is_file():
        raise NotFoundError(f"{folder} holds no finder run (no {RUN}); give the output folder of `ringtrace find`")
    facts = json.loads((folder / RUN).read_text(encoding="utf-8"))
    if facts["format"] != FORMAT:
        raise ConfigError(f"{folder}: format {facts['format']}, this version reads {FORMAT}; find rings again")
    return RingFolder(facts, {name: pq.read_table(folder / f"{name}.parquet") for name in SCHEMAS}, {})
