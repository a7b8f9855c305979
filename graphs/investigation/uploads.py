"""A finder run that comes as a zip: unpacked into a folder of its own for as long as it is read.

Nothing of the archive is trusted. Only members with exactly the names of a finder run are taken, so that none can lead
out of the folder; they are counted while they are unpacked, so that none can be larger than it says; and a picture is
taken only if it draws and does nothing else.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.errors import ConfigError
from graphs.investigation.problems import TooLargeError
from graphs.investigation.workspace import Workspace
from graphs.stores.actors import Actor
from graphs.stores.finder_folder import TABLES
from graphs.stores.importing import Imported, import_run

MOST_MEMBERS = 20_000
MOST_ROWS = 5_000_000
"""Of all tables of a run."""

_MEMBER = re.compile(rf"run\.json|(?:{'|'.join(TABLES)})\.parquet|pictures/[A-Za-z0-9_-]{{1,100}}\.svg")
_CHUNK = 1 << 20
_SVG = "{http://www.w3.org/2000/svg}"
_DRAWS = {
    "svg", "title", "desc", "defs", "marker", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon",
    "text", "tspan",
}  # fmt: skip


def take_in(workspace: Workspace, actor: Actor, file: IO[bytes], *, most_bytes: int) -> Imported:
    """Import the finder run in the zip `file`. Raises as `unpacked` and `import_run` do, with nothing changed."""
    with unpacked(file, most_bytes=most_bytes) as folder:
        return import_run(workspace.store, actor, folder)


@contextmanager
def unpacked(file: IO[bytes], *, most_bytes: int) -> Iterator[Path]:
    """The folder of the finder run in the zip `file`, gone when the block ends.

    Raises ConfigError for what is no such zip, TooLargeError for more than `most_bytes` or MOST_ROWS.
    """
    with tempfile.TemporaryDirectory(prefix="ringtrace-run-") as temporary:
        folder = Path(temporary)
        try:
            with zipfile.ZipFile(file) as archive:
                _unpack(archive, folder, most_bytes)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise ConfigError("this is no zip that can be read") from error
        _check_tables(folder, most_bytes)
        for picture in (folder / "pictures").glob("*.svg"):
            _check_picture(picture)
        yield folder


def _unpack(archive: zipfile.ZipFile, folder: Path, most_bytes: int) -> None:
    members = [one for one in archive.infolist() if not one.is_dir()]
    if len(members) > MOST_MEMBERS:
        raise TooLargeError(f"the zip has {len(members):,} members; {MOST_MEMBERS:,} is the most")
    # A zip of the folder itself has its name before each member's.
    top = f"{members[0].filename.partition('/')[0]}/" if members and _in_one_folder(members) else ""
    left = most_bytes
    for member in members:
        name = member.filename.removeprefix(top)
        if not _MEMBER.fullmatch(name):
            raise ConfigError(f"the zip holds {name[:80]!r}, which is no part of a finder run")
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with archive.open(member) as source, path.open("wb") as target:
            while chunk := source.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise TooLargeError(f"unpacked, the run is larger than {most_bytes:,} bytes")
                target.write(chunk)


def _in_one_folder(members: list[zipfile.ZipInfo]) -> bool:
    tops = {one.filename.partition("/")[0] for one in members}
    return len(tops) == 1 and all("/" in one.filename for one in members)


def _check_tables(folder: Path, most_bytes: int) -> None:
    """Parquet is compressed, too: what its footers promise must fit before any of it is read."""
    rows = size = 0
    for path in folder.glob("*.parquet"):
        try:
            footer = pq.read_metadata(path)
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"{path.name}: no Parquet file that can be read") from error
        rows += footer.num_rows
        size += sum(footer.row_group(place).total_byte_size for place in range(footer.num_row_groups))
    if rows > MOST_ROWS or size > most_bytes:
        raise TooLargeError(
            f"the run has {rows:,} rows of {size:,} bytes; the most are {MOST_ROWS:,} and {most_bytes:,}"
        )


def _check_picture(path: Path) -> None:
    try:
        drawing = ElementTree.parse(path)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ConfigError(f"{path.name}: no SVG that can be read") from error
    for element in drawing.iter():
        named = str(element.tag).removeprefix(_SVG)
        acts = [name for name, value in element.attrib.items() if _acts(name.lower(), value)]
        if named not in _DRAWS or acts:
            raise ConfigError(f"{path.name}: a picture of a ring only draws; this one has <{named[:40]}> {acts[:3]}")


def _acts(name: str, value: str) -> bool:
    """Whether an attribute could run, fetch or lead somewhere."""
    return "href" in name or name.startswith(("on", "style")) or "url(" in value.replace("url(#", "")
