"""C34: '=' in a path, another folder, misspelt keys. Commands 1 to 7 of the case, with our own key names."""

from pathlib import Path

import pytest
import yaml

from gnn.cli import main

MAPPING = """
path: ???
timezone: UTC
events:
  payment:
    id: txn_id
    time: ts
    amount: amount
    label: label
    label_known: label_known_at
    roles: {user: user_id, device: device_id, card: card_id, merchant: merchant_id}
"""
HEADER = "txn_id,user_id,device_id,card_id,merchant_id,amount,ts,label,label_known_at"
QUICK = (
    "data=case",
    "trainer.epochs=1",
    "comparison.lightgbm=false",
    "comparison.controls=false",
    "evaluation.bootstrap=20",
)


def rows():
    """60 payments, four a day for 15 days, every fifth a fraud, labels known two days later."""
    for n in range(60):
        day, hour = 1 + n // 4, 8 + n % 4
        ids = f"h{n},u{n % 12},d{n % 7},c{n % 12},m{n % 5}"
        yield f"{ids},{n}.50,2025-03-{day:02}T{hour:02}:00:00Z,{n % 5 // 4},2025-03-{day + 2:02}T10:00:00Z"


@pytest.fixture
def ringtrace(tmp_path, monkeypatch, capsys):
    """Run a command from tmp/elsewhere, with tx.csv in tmp; gives the exit code and what the user reads."""
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "data" / "case.yaml").write_text(MAPPING)
    (tmp_path / "tx.csv").write_text("\n".join([HEADER, *rows()]) + "\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def invoke(verb, *arguments):
        code = main([verb, "--config-dir", "../configs", *arguments])
        return code, capsys.readouterr().err

    return invoke


def refused(outcome, lines=3):
    code, told = outcome
    assert code == 2 and "Traceback" not in told and 1 <= len(told.splitlines()) <= lines
    assert not Path("outputs").exists()
    return told


def test_1_an_equals_sign_quoted_only_for_the_shell_is_answered_with_the_fixed_command(ringtrace):
    told = refused(ringtrace("train", "data=case", "resume_from=ckpt/epoch=03-val=0.91.ckpt"))
    assert """ringtrace train --config-dir ../configs data=case 'resume_from="ckpt/epoch=03-val=0.91.ckpt"'""" in told


def test_2_quoted_for_hydra_too_the_file_is_found_missing_with_its_resolved_path(ringtrace):
    told = refused(ringtrace("train", "data.path=../tx.csv", "data=case", 'resume_from="ckpt/epoch=03-val=0.91.ckpt"'))
    assert f"{Path('ckpt').absolute()}/epoch=03-val=0.91.ckpt does not exist" in told


def test_3_relative_paths_mean_the_folder_the_user_is_in(ringtrace, tmp_path):
    assert ringtrace("train", *QUICK, "data.path=../tx.csv", "output=run")[0] == 0
    kept = yaml.safe_load(Path("run/config.yaml").read_text())
    assert kept["data"]["path"] == str(tmp_path / "tx.csv")


def test_3_and_so_in_every_job_of_a_sweep(ringtrace, tmp_path):
    assert ringtrace("train", "-m", *QUICK, "data.path=../tx.csv", "seed=1,2", "output=sweep")[0] == 0
    kept = [yaml.safe_load(Path(f"sweep/{job}/config.yaml").read_text()) for job in (0, 1)]
    assert [job["data"]["path"] for job in kept] == [str(tmp_path / "tx.csv")] * 2
    assert [job["seed"] for job in kept] == [1, 2]


def test_no_product_file_has_an_equals_sign_in_its_name(ringtrace):
    assert ringtrace("train", *QUICK, "data.path=../tx.csv", "output=run")[0] == 0
    assert not [path for path in Path("run").rglob("*") if "=" in path.name]


@pytest.mark.parametrize(("key", "meant"), [("trian.lr", "trainer.lr"), ("train.lr", "trainer.lr")])
def test_4_a_misspelt_key_is_named_with_the_one_that_was_meant(ringtrace, key, meant):
    told = refused(ringtrace("train", "data=case", "data.path=../tx.csv", f"{key}=0.01"))
    assert told == f"{key}: no such key; did you mean {meant}?\n"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("trainer.lr=fast", "trainer.lr: expected float, got 'fast'\n"),
        ("trainer.epochs=-3", "trainer.epochs: got -3, expected at least 1\n"),
        ("comparison.control_epochs=0", "comparison.control_epochs: got 0, expected at least 1, or null\n"),
    ],
)
def test_5_a_wrong_type_or_range_is_told_before_any_data_is_read(ringtrace, override, told):
    assert refused(ringtrace("train", "data=case", "data.path=not_there.csv", override)) == told


def test_6_a_path_may_hold_a_space_a_comma_and_an_accent(ringtrace, tmp_path):
    folder = tmp_path / "café data, 2025"
    folder.mkdir()
    (tmp_path / "tx.csv").rename(folder / "tx.csv")
    assert ringtrace("ingest", "data=case", f'data.path="{folder}/tx.csv"', "output=out")[0] == 0


def test_7_an_option_that_does_not_exist_is_told_with_those_that_do(ringtrace):
    told = refused(ringtrace("train", "data=case", "data.path=../tx.csv", "model=graphsaje"))
    assert told.startswith("model=graphsaje: no such option; ") and "temporal_sage" in told


def test_a_file_that_is_not_there_is_the_users_to_mend(ringtrace):
    code, told = ringtrace("ingest", "data=case", "data.path=../absent.csv", "output=out")
    assert code in (3, 4) and "absent.csv" in told and "Traceback" not in told
