from pathlib import Path

import pytest

from gnn.cli import VERBS, main

ROOT = Path(__file__).parents[2]


def test_help_names_every_verb(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {verb} " in told for verb in VERBS)


def test_a_misspelt_verb_is_told_with_the_nearest(capsys):
    assert main(["tarin"]) == 2
    assert capsys.readouterr().err.startswith("tarin: no such verb; did you mean train?; there are: world,")


@pytest.mark.parametrize("config", [config for config, _ in VERBS.values()])
def test_every_verb_has_a_script_and_a_config_of_the_same_stem(config):
    assert (ROOT / "scripts" / f"{config}.py").exists() and (ROOT / "configs" / f"{config}.yaml").exists()


def test_the_command_to_type_instead_names_the_verb(capsys):
    assert main(["train", "output=a=b"]) == 2
    assert """ringtrace train 'output="a=b"'""" in capsys.readouterr().err
