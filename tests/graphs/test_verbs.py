import json
from pathlib import Path

import pytest

from graphs.errors import ConfigError, DataError
from graphs.store import load_log
from graphs.temporal_graph import TemporalGraph
from graphs.verbs import build_graph, ingest

TABLE = "id,u,d,t\na,007,d1,2025-03-01T10:00:00Z\nb,7,d1,2025-03-02T10:00:00Z\nc,7,,2025-03-03T10:00:00Z\n"


def data(tmp_path: Path) -> dict:
    (tmp_path / "tx.csv").write_text(TABLE)
    table = {"id": "id", "time": "t", "roles": {"user": "u", "device": "d"}}
    return {"path": str(tmp_path / "tx.csv"), "events": {"payment": table}}


def test_ingest_keeps_the_log_and_what_was_found(tmp_path):
    folder = ingest(data=data(tmp_path), output=str(tmp_path / "out"))
    assert load_log(folder / "log").entity_ids["user"].to_pylist() == ["007", "7"]
    report = json.loads((folder / "validation.json").read_text())
    assert report["tables"][0]["rows"] == 3 and report["tables"][0]["missing"]["d"] == 1


def test_faults_are_kept_in_a_folder_that_is_there_and_none_is_made_for_them(tmp_path):
    mapping = data(tmp_path)
    (tmp_path / "tx.csv").write_text(TABLE.replace("2025-03-02T10:00:00Z", "soon"))
    for folder in (tmp_path / "there", tmp_path / "not_there"):
        if folder.name == "there":
            folder.mkdir()
        with pytest.raises(DataError):
            ingest(data=mapping, output=str(folder))
    (fault,) = json.loads((tmp_path / "there" / "validation.json").read_text())["faults"]
    assert (fault["code"], fault["column"], fault["rows"], fault["values"]) == ("time", "t", [2], ["soon"])
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["validation.json"]
    assert not (tmp_path / "not_there").exists()


def test_build_graph_keeps_a_graph_that_loads(tmp_path):
    folder = build_graph(data=data(tmp_path), output=str(tmp_path / "out"))
    graph = TemporalGraph.load(folder / "graph")
    assert len(graph.log) == 3 and len(graph.timelines["device"].events) == 2


@pytest.mark.parametrize(("verb", "inside"), [(ingest, "log"), (build_graph, "graph")])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_cannot_be_replaced_is_refused_before_anything_is_read(tmp_path, verb, inside, kind):
    there = tmp_path / "out" / inside
    there.parent.mkdir()
    there.write_text("mine") if kind == "file" else (there / "mine").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds something else"):
        verb(data=data(tmp_path) | {"quarantine": str(tmp_path / "q")}, output=str(there.parent))
    assert list(there.parent.iterdir()) == [there]
