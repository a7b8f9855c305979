"""`ringtrace rings …` from init to label, by what it prints and ends with."""

import json
import os
import shutil
import subprocess

import pytest
from finder_runs import day, ring, write_run

from gnn.cli import main as ringtrace
from graphs.investigation.cli import COMMANDS, main

U1, U2 = ("user", "user1"), ("user", "user2")


@pytest.fixture
def rings(tmp_path, capsys, monkeypatch):
    """A function (words…) -> (exit code, standard output, standard error), in a workspace of two rings."""
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    monkeypatch.setenv("RINGTRACE_WORKSPACE", str(tmp_path / "made"))
    monkeypatch.delenv("RINGTRACE_ACTOR", raising=False)

    def run(*words):
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    first = ring("R-A", [U1, U2], [("device", "d1")], payments=[("p1", 10.0)])
    folder = write_run(tmp_path / "run", day(6), [first, ring("R-B", [("user", "user3")], score=5.0)])
    assert run("init")[0] == 0 and run("import", str(folder))[0] == 0
    return run


def test_rings_is_a_word_of_ringtrace(rings, capsys):
    assert ringtrace(["rings", "list"]) == 0
    assert "R-A" in capsys.readouterr().out
    assert ringtrace(["--help"]) == 0 and "  rings " in capsys.readouterr().out


def test_the_queue_is_a_table_for_people_and_json_for_programs(rings):
    _, table, _ = rings("list")
    assert table.splitlines()[0].split()[:3] == ["ring", "id", "kind"] and "2 of 2" in table
    for words in (("--json", "list"), ("list", "--json")):
        assert [row["ring_id"] for row in json.loads(rings(*words)[1])["rows"]] == ["R-A", "R-B"]


def test_importing_again_says_that_it_was_here(rings, tmp_path):
    (answer,) = json.loads(rings("import", str(tmp_path / "run"), "--json")[1])
    assert answer["already"] and answer["opened_cases"] == 0


def test_from_claim_to_close(rings):
    rings("person", "ana", "investigator")
    rings("person", "lea", "lead")
    assert rings("--as", "ana", "claim", "R-A")[0] == 0
    assert rings("--as", "ana", "verdict", "R-A", "user:user1", "fraud", "--reason", "stolen cards")[0] == 0
    assert rings("--as", "ana", "note", "C-1", "called them")[0] == 0
    assert rings("--as", "ana", "close", "C-1", "--outcome", "fraud", "--reason", "see verdicts")[0] == 0
    code, _, error = rings("--as", "ana", "close", "C-1", "--approve")
    assert code == 6 and "takes lead or more" in error
    assert "closed" in rings("--as", "lea", "close", "C-1", "--approve")[1]
    sheet = rings("case", "C-1")[1]
    assert "user user1  fraud" in sheet and "called them" in sheet
    assert rings("open")[1] == "open_rings=[R-B]\n"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("list", "--sort", "amount"), 2, "there are: score"),
        (("verdict", "C-1", "user:user1", "frod", "--reason", "x"), 2, "did you mean fraud"),
        (("import", "nowhere"), 4, "holds no finder run"),
        (("show", "R-X"), 4, "no ring is called 'R-X'"),
        (("claim", "C-1"), 5, "ben has it since"),
        (("--as", "zoe", "list"), 6, "nobody of that name may act here"),
        (("path", "user1", "user:user2"), 2, "name an entity as TYPE:ID"),
        (("changes", "--since", "yesterday"), 2, "write a time like"),
        (("shwo", "R-A"), 2, "invalid choice"),
        (("close", "C-1", "--reason", "x"), 2, "--outcome: name one of"),
    ],
)
def test_what_goes_wrong_is_told_and_has_its_code(rings, words, code, told):
    rings("person", "ben", "investigator")
    rings("--as", "ben", "claim", "C-1")
    ended, _, error = rings(*words)
    assert ended == code and told in error


def test_a_block_is_a_dry_run_until_yes(rings, workspace):
    there = ("-w", str(workspace.graph_folder.parent / "made"), "--as", "lea")
    assert "2 persons not judged fraud would be touched; --yes does it" in rings(*there, "block", "device:d1")[1]
    told = rings(*there, "block", "device:d1", "--yes", "--reason", "C-1")[1]
    batch = told.split()[4].rstrip(";")
    assert rings(*there, "unblock", batch, "--reason", "wrong")[1] == "1 no longer blocked\n"
    assert rings(*there, "unblock", batch, "--reason", "again")[0] == 4


def test_an_export_goes_where_it_is_told(rings, tmp_path):
    code, told, _ = rings("export", "R-A", "--format", "csv", "--output", str(tmp_path / "out.csv"))
    assert code == 0 and told == f"{tmp_path / 'out.csv'}: written\n"
    assert (tmp_path / "out.csv").read_bytes().startswith(b"entity_type,entity_id,part,role")
    assert json.loads(rings("export", "R-A")[1])["ring"]["ring_id"] == "R-A"


def test_control_characters_of_data_do_not_reach_the_screen(rings, tmp_path):
    run = write_run(tmp_path / "odd", day(7), [ring("R-C", [("user", "a\x1b[2Jb")], headline="x\x1b]0;y\x07")])
    rings("import", str(run))
    assert "\x1b" not in rings("show", "R-C")[1] and "\x1b" not in rings("list")[1]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_with_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"example:\n  ringtrace rings {command}" in told


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_and_options(capsys):
    main(["completion", "bash"])
    words = "COMP_WORDS=(ringtrace rings {}); COMP_CWORD={}; _ringtrace_rings; echo ${{COMPREPLY[@]}}\n"
    script = capsys.readouterr().out + words.format("cl", 2) + words.format("-w x close C-1 --o", 6)
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    assert done.stdout.split("\n")[:2] == ["claim close", "--outcome"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_their_own_words(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "near-fraud" in capsys.readouterr().out
