"""The case file: what stands in it, that its figures are those of the screen, and letters its fonts lack."""

import re
import zlib
from base64 import a85decode

import pytest

from graphs.investigation import case_pdf as module
from graphs.investigation import cli, queries
from graphs.investigation.case_pdf import case_pdf, printable
from graphs.investigation.figures import draw_ring
from graphs.stores import cases
from graphs.stores.actors import Actor
from graphs.stores.errors import ForbiddenError

ANA, LEA, VIC = Actor("ana", "investigator"), Actor("lea", "lead"), Actor("vic", "viewer")
PAN = "4111111111111111"


def words(pdf):
    """The text of all pages."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.S)
    content = b"".join(zlib.decompress(a85decode(b"<~" + stream.strip(), adobe=True)) for stream in streams)
    return " ".join(part.decode("cp1252") for part in re.findall(rb"\((.*?)(?<!\\)\) Tj", content))


def test_a_case_file_tells_evidence_members_verdicts_notes_and_who_exported_it(workspace):
    cases.claim(workspace.store, ANA, "R-A")
    cases.give_verdict(workspace.store, ANA, "R-A", ("user", "user1"), "fraud", reason="stolen cards")
    cases.add_note(workspace.store, ANA, "R-A", "called them")
    text = words(case_pdf(workspace, ANA, "R-A"))
    for part in (
        "Case C-1",
        "2 users share device d1",
        "fraud: stolen cards",
        "called them",
        "exported by ana",
        "page 1",
    ):
        assert part in text
    assert text.index("Why they are taken together") < text.index("Who is in it") < text.index("Score")


def test_cards_are_masked_in_it_and_viewers_get_none(workspace):
    text = words(case_pdf(workspace, ANA, "R-B"))
    assert PAN not in text and "411111******1111" in text
    with pytest.raises(ForbiddenError):
        case_pdf(workspace, VIC, "R-B")


def test_exporting_it_is_audited(workspace):
    case_pdf(workspace, ANA, "R-A")
    (line,) = [one for one in queries.audit_trail(workspace, LEA).rows if one.action == "export"]
    assert line.subject == "case:C-1" and line.detail == {"format": "pdf"}


def test_its_picture_is_that_of_the_screen(workspace, monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "_ink", lambda canvas, mark, height: drawn.append(mark))
    case_pdf(workspace, ANA, "R-A")
    sheet = queries.ring_sheet(workspace, ANA, "R-A")
    picture = draw_ring(sheet.members, sheet.links, person_type="user").drawing
    assert [mark for mark in drawn if mark in picture.marks] == list(picture.marks)


@pytest.mark.parametrize("long", ["x" * 5_000, "Ж " * 1_200, "\n" * 400 + "x"])
def test_texts_longer_than_a_page_go_on_over_pages(workspace, long):
    cases.claim(workspace.store, ANA, "R-A")
    cases.give_verdict(workspace.store, ANA, "R-A", ("user", "user1"), "fraud", reason=f"a{long}")
    cases.add_note(workspace.store, ANA, "R-A", f"a{long}")
    cases.set_status(workspace.store, ANA, "R-A", "waiting", waiting_for=long)
    assert case_pdf(workspace, ANA, "R-A").count(b"/Type /Page\n") > 3


@pytest.mark.parametrize(("text", "told"), [
    ("Zoë – 5 €", "Zoë – 5 €"), ("Ж", "U+0416"), ("a\x00\x1b", "aU+0000U+001B"), ("é", "é"), ("𝔘", "U+1D518"),
    ("−1", "-1"), ("\u202e", "U+202E"),
])  # fmt: skip
def test_letters_that_the_fonts_lack_are_told_by_their_number(text, told):
    assert printable(text) == told


def test_the_command_line_writes_it_to_a_file(workspace, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli.Workspace, "open", lambda folder: workspace)
    assert cli.main(["--as", "ana", "export", "R-A", "--format", "pdf"]) == 2
    assert "name a file for the PDF" in capsys.readouterr().err
    assert cli.main(["--as", "ana", "export", "R-A", "--format", "pdf", "-o", str(tmp_path / "case.pdf")]) == 0
    assert (tmp_path / "case.pdf").read_bytes().startswith(b"%PDF-")
