"""Finder runs that come as zips: taken whole, or not at all and without a trace."""

import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finder_runs import day, ring, write_run

from graphs.investigation.app import create_app
from graphs.investigation.settings import ServeSettings

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>R-N</title><rect width="9" height="9"/></svg>'


@pytest.fixture
def run(tmp_path):
    """The files of a new run with ring R-N, by name."""
    folder = write_run(tmp_path / "new", day(9), [ring("R-N", [("user", "user4")], [("device", "d4")])])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def packed(files, top=""):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{top}{name}", content)
    return made.getvalue()


def send(client, body, kind="application/zip"):
    return client.post("/api/v1/runs", content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize("top", ["", "today/"])
def test_a_run_comes_in_once_however_often_it_is_sent(client_of, run, top):
    lea, body = client_of("lea"), packed(run | {"pictures/R-N.svg": SVG}, top)
    first, second = send(lea, body), send(lea, body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == {"run_id": 2, "already": False, "rings": 1, "new_rings": 1, "opened_cases": 1}
    assert second.json()["already"] and lea.call("GET", "/rings/R-N").json()["picture"] == SVG


@pytest.mark.parametrize(
    "name",
    ["../run.json", "/etc/passwd", "pictures/../../x.svg", "pictures/R.svg/../../y.svg", "C:\\x.svg", "..\\x.svg",
     "pictures/.svg", "notes.txt", "rings.parquet/x", "pictures/a b.svg", "run.json\x01", "RUN.JSON"],
)  # fmt: skip
def test_a_member_that_is_no_part_of_a_run_ends_it_all(client_of, run, tmp_path, name):
    before = {path for path in tmp_path.parent.rglob("*") if path.is_file() and "cases.db" not in path.name}
    answer = send(client_of("lea"), packed(run | {name: "x"}))
    after = {path for path in tmp_path.parent.rglob("*") if path.is_file() and "cases.db" not in path.name}
    assert answer.status_code == 400 and "no part of a finder run" in answer.json()["detail"] and before == after


def test_a_link_in_a_zip_is_a_file_like_any_other(client_of, run):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo("run.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        for name, content in run.items():
            if name != "run.json":
                archive.writestr(name, content)
    answer = send(client_of("lea"), made.getvalue())
    assert answer.status_code == 422 and "root:" not in answer.text


def test_a_bomb_is_counted_while_it_is_unpacked(workspace, run, key_of):
    from fastapi.testclient import TestClient

    app = create_app(workspace, ServeSettings(most_unpacked_bytes=1_000_000))
    client = TestClient(app, headers={"Authorization": f"Bearer {key_of('lea')}"})
    bomb = packed(run | {"run.json": b" " * 50_000_000})
    assert len(bomb) < 100_000
    answer = send(client, bomb)
    assert answer.status_code == 413 and "1,000,000 bytes" in answer.json()["detail"]


def test_a_table_that_promises_too_much_is_not_read(workspace, run, key_of):
    from fastapi.testclient import TestClient

    wide = io.BytesIO()
    pq.write_table(pa.table({"ring_id": pa.array(["x" * 100] * 3 + [str(n) * 20 for n in range(50_000)])}), wide)
    app = create_app(workspace, ServeSettings(most_unpacked_bytes=900_000))
    client = TestClient(app, headers={"Authorization": f"Bearer {key_of('lea')}"})
    assert send(client, packed(run | {"rings.parquet": wide.getvalue()})).status_code == 413


def test_a_body_larger_than_is_taken_is_not_read_to_its_end(workspace, key_of):
    from fastapi.testclient import TestClient

    app = create_app(workspace, ServeSettings(most_upload_bytes=2_000_000))
    client = TestClient(app, headers={"Authorization": f"Bearer {key_of('lea')}"})
    sent = []

    def chunks():
        for number in range(100):
            sent.append(number)
            yield b"x" * 100_000

    assert send(client, b"x" * 3_000_000).status_code == 413
    assert send(client, chunks()).status_code == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"PK\x03\x04", 400), (b"no zip", 400), (packed({}), 404), (packed({"run.json": "{"}), 422)],
)
def test_what_is_no_run_is_refused(client_of, body, status):
    answer = send(client_of("lea"), body)
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("rings.parquet", b"PAR1 not", 400),
        ("run.json", b"[1]", 422),
        ("run.json", json.dumps({"format": 1, "as_of": "soon"}).encode(), 422),
        ("run.json", json.dumps({"format": 2, "as_of": "2025-03-01"}).encode(), 422),
        ("run.json", b"[" * 100_000, 422),
        ("run.json", b"\xff\xfe", 422),
    ],
)
def test_a_file_of_a_run_that_cannot_be_read_is_named(client_of, run, workspace, name, content, status):
    answer = send(client_of("lea"), packed(run | {name: content}))
    assert answer.status_code == status and name in answer.json()["detail"]
    with workspace.store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM finder_runs").scalar_one() == 1


def test_it_must_be_said_to_be_a_zip(client_of, run):
    assert send(client_of("lea"), packed(run), kind="application/json").status_code == 415


@pytest.mark.parametrize(
    "drawing",
    [
        "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "<svg xmlns='http://www.w3.org/2000/svg'><foreignObject/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><a href='javascript:alert(1)'/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg' xmlns:x='http://www.w3.org/1999/xlink'><rect x:href='y'/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><rect style='background:url(//evil)'/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><rect fill='url(https://evil/x)'/></svg>",
        "<html/>",
        "not xml",
        "<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg xmlns='http://www.w3.org/2000/svg'>&a;</svg>",
    ],
)
def test_a_picture_that_does_more_than_draw_is_refused(client_of, run, drawing):
    answer = send(client_of("lea"), packed(run | {"pictures/R-N.svg": drawing}))
    assert answer.status_code == 400 and "R-N.svg" in answer.json()["detail"] and "root:" not in answer.text


def test_the_pictures_of_the_finder_only_draw(client_of, run):
    from graphs.rings.picture import draw

    drawing = draw("Ring R-N", "4 users & a <device>", [], [])
    assert send(client_of("lea"), packed(run | {"pictures/R-N.svg": drawing})).status_code == 201
