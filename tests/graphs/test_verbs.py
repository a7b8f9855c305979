import json
from pathlib import Path

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


def test_build_graph_keeps_a_graph_that_loads(tmp_path):
    folder = build_graph(data=data(tmp_path), output=str(tmp_path / "out"))
    graph = TemporalGraph.load(folder / "graph")
    assert len(graph.log) == 3 and len(graph.timelines["device"].events) == 2
