"""The command line against a small set of configs and verbs of its own, so that nothing else can break it."""

import errno
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from graphs.config import compose, run
from graphs.errors import ConfigError, DataError, Fault, NotFoundError
from graphs.folders import alone_in

BASE = (Path(__file__).parents[2] / "configs" / "base.yaml").read_text()
TRAIN = """
defaults: [base, {model: small}, _self_, {experiment: null}]
_target_: gnn.toy.train
seed: 0
file: in.csv
resume_from: null
output: outputs/${now:%H-%M-%S-%f}
hydra: {job: {name: train}}
"""
MODEL = "_target_: gnn.toy.Model\nwidth: {}\nlr: 0.1\n"
EXPERIMENT = "# @package _global_\ndefaults: [{override /model: large}]\nseed: 9\n"
DONE = []


@dataclass(frozen=True)
class Model:
    width: int
    lr: float


def train(*, model: Model, seed: int, file: str, output: str, resume_from: str | None) -> Path:
    DONE.append((model.width, seed, Path(file).read_text(), output))
    if seed == 13:
        raise DataError([Fault("bad", file, "card", "not a number", "Mend it", 1, (2,), ("4111111111111111",))])
    if seed == 14:
        raise NotFoundError("no such thing")
    if seed == 15:
        raise KeyError("ana@example.org")
    if seed == 16:
        raise KeyboardInterrupt
    if seed == 17:
        raise OSError(errno.ENOSPC, "Error writing bytes")
    return Path(output)


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Run the toy verb from a folder with in.csv; gives the exit code and what standard error shows."""
    module = types.ModuleType("gnn.toy")
    for thing in (Model, train):
        monkeypatch.setattr(thing, "__module__", "gnn.toy")
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "gnn.toy", module)
    files = {"base": BASE, "train": TRAIN, "model/small": MODEL.format(4), "model/large": MODEL.format(64)}
    for name, text in (files | {"experiment/big": EXPERIMENT}).items():
        path = tmp_path / "configs" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "in.csv").write_text("rows")
    monkeypatch.chdir(tmp_path / "here")
    DONE.clear()

    def invoke(*arguments):
        code = run("train", arguments, program="ringtrace train", folder=tmp_path / "configs")
        return code, capsys.readouterr().err

    invoke.configs = tmp_path / "configs"
    return invoke


def test_a_run_gets_plain_values_and_an_absolute_output_folder(cli):
    assert cli("seed=3", "output=out")[0] == 0
    assert [(4, 3, "rows", str(Path("out").absolute()))] == DONE
    assert sorted(Path("out").iterdir()) == [Path("out/config.yaml"), Path("out/train.log")]


def test_an_experiment_is_named_without_plus_and_gives_way_to_the_command_line(cli):
    cli("experiment=big", "seed=2")
    assert DONE[0][:2] == (64, 2)


@pytest.mark.parametrize("order", [("-m", "seed=1,2"), ("seed=1,2", "-m"), ("file=in.csv", "-m", "seed=1,2")])
def test_every_job_of_a_sweep_reads_the_same_relative_path_and_writes_its_own_folder(cli, order):
    assert cli(*order, "output=out")[0] == 0
    out = Path("out").absolute()
    assert [(4, 1, "rows", str(out / "0")), (4, 2, "rows", str(out / "1"))] == DONE


def test_a_fault_in_any_job_of_a_sweep_is_told_before_the_first_one_starts(cli):
    code, told = cli("-m", "seed=1,two", "model.lr=0.1,fast")
    assert code == 2
    assert told.splitlines() == [
        "model.lr: expected float, got 'fast'",
        "seed: expected int, got 'two'",
    ]
    assert DONE == [] and not Path("outputs").exists()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("trian.seed=1", "trian.seed: no such key; did you mean seed?"),
        ("modle.lr=1", "modle.lr: no such key; did you mean model.lr?"),
        ("lr=1", "lr: no such key; did you mean model.lr?"),
        ("modell=large", "modell: no such key; did you mean model?"),
        ("model.zzz=1", "model.zzz: no such key; there are: width, lr"),
        ("+sed=1", "sed: no such key; did you mean seed?"),
        ("model=lareg", "model=lareg: no such option; did you mean large?; there are: large, small"),
        ("model=null", "model=null: no such option; there are: large, small"),
        ("seed=1,2", "seed=1,2: several values; add -m to run each, or write [a,b] for a list"),
        ("seed", "seed: an override is written key=value"),
        ("model.width=???", "model.width: required; set it with model.width=…"),
        ("file=${nowhere}", "file: Interpolation key 'nowhere' not found"),
        ("seed=-1", "seed: got -1, expected 0 to 2147483647"),
        ("seed=99999999999999999999", "seed: got 99999999999999999999, expected 0 to 2147483647"),
        ("debug=perhaps", "debug: expected bool, got 'perhaps'"),
    ],
)
def test_a_faulty_override_is_told_in_one_line(cli, override, told):
    assert cli(override) == (2, f"{told}\n")


def test_all_faulty_overrides_are_told_at_once(cli):
    told = cli("trian.seed=1", "model=lareg", "file=a=b")[1].splitlines()
    assert [line.split(":")[0] for line in told[:2]] == ["model=lareg", "file"] and "trian.seed" in told[-1]


def test_an_equals_sign_in_a_value_is_answered_with_the_command_to_type(cli):
    code, told = cli("seed=2", "file=ckpt/epoch=03-val=0.91.ckpt")
    assert code == 2
    assert told.splitlines()[1] == """  ringtrace train seed=2 'file="ckpt/epoch=03-val=0.91.ckpt"'"""


def test_the_command_to_type_keeps_its_options_and_quotes_every_value_that_needs_it(cli):
    code, told = cli("--config-dir", str(cli.configs), "file=ñ.csv", "output=a=b", "seed=2")
    assert code == 2
    command = f"""  ringtrace train --config-dir {cli.configs} 'file="ñ.csv"' 'output="a=b"' seed=2"""
    assert told.splitlines() == [
        'file: a value with ñ in it must be quoted, key="…"',
        'output: a value with = in it must be quoted, key="…"; write:',
        command,
    ]


def test_a_quoted_path_may_hold_anything(cli):
    Path("café = data, 2025.csv").write_text("odd")
    assert cli('file="café = data, 2025.csv"')[0] == 0
    assert DONE[0][2] == "odd"


def test_a_broken_yaml_file_is_named_with_its_line(cli):
    (cli.configs / "model" / "small.yaml").write_text("width: 1\nlr: [1,\n")
    code, told = cli()
    assert code == 2 and "small.yaml, line 3: not valid YAML" in told


def test_a_folder_of_ones_own_adds_options(cli, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text(MODEL.format(1))
    assert cli("--config-dir", str(tmp_path / "mine"), "model=tiny")[0] == 0
    assert DONE[0][0] == 1
    assert cli("--config-dir", "absent")[1] == f"--config-dir: {Path('absent').absolute()} is not a folder\n"


@pytest.mark.parametrize(("seed", "expected"), [(13, 3), (14, 4), (15, 1)])
def test_each_kind_of_failure_has_its_exit_code(cli, seed, expected):
    assert cli(f"seed={seed}")[0] == expected


def test_a_users_fault_shows_no_traceback_and_no_card_number(cli):
    told = cli("seed=13", "output=out")[1]
    assert "in.csv, column card, data row 2" in told and "411111******1111" in told
    assert "Traceback" not in told and "4111111111111111" not in told + Path("out/train.log").read_text()


def test_our_own_fault_shows_a_masked_traceback_and_says_so(cli):
    told = cli("seed=15")[1]
    assert "Traceback" in told and "fault in Ringtrace" in told and "ana@example.org" not in told


def test_a_full_disk_is_told_in_one_line(cli):
    code, told = cli("seed=17")
    assert code == 2 and "output: No space left on device; make room" in told and "Traceback" not in told


def test_two_runs_at_once_do_not_mix_in_one_folder(cli):
    assert cli("output=out")[0] == 0
    before = Path("out/config.yaml").read_text()
    with alone_in(Path("out")):
        code, told = cli("seed=5", "output=out")
    assert code == 2 and "output: another run is writing to" in told
    assert Path("out/config.yaml").read_text() == before and cli("seed=5", "output=out")[0] == 0


def test_debug_shows_the_traceback(cli, monkeypatch):
    assert "Traceback" in cli("seed=14", "debug=true")[1]
    monkeypatch.setenv("RINGTRACE_DEBUG", "1")
    assert "Traceback" in cli("seed=14")[1]


def test_a_failed_job_fails_the_sweep_but_not_the_other_jobs(cli):
    assert cli("-m", "seed=14,2")[0] == 4
    assert [done[1] for done in DONE] == [14, 2]


def test_an_input_path_that_does_not_exist_is_told_resolved(cli):
    code, told = cli("resume_from='../a=b.ckpt'")
    assert (code, told) == (2, f"resume_from: {Path('../a=b.ckpt').resolve()} does not exist\n")


def test_cfg_shows_the_configuration_and_runs_nothing(cli):
    assert cli("--cfg", "job", "seed=5")[0] == 0
    assert DONE == []


def test_compose_tells_its_faults_as_a_config_error(cli):
    with pytest.raises(ConfigError, match="did you mean seed"):
        compose("train", ["sede=1"], folders=[cli.configs])


def test_a_run_keeps_the_configuration_it_was_given_with_resolved_paths(cli):
    cli("seed=3", "output=../out")
    kept = yaml.safe_load(Path("../out/config.yaml").read_text())
    assert kept["seed"] == 3 and kept["model"]["width"] == 4 and kept["output"] == str(Path("../out").resolve())


def test_paths_of_tables_start_at_the_root_of_the_data_or_where_the_user_is(cli):
    (cli.configs / "tables.yaml").write_text("""
data:
  path: [../a.csv, s3://b/c.csv, '']
  events: {pay: {path: b.csv, roles: {from: sender, path: x}, label: {column: y, from: y.csv}}, off: null}
""")
    here = Path().absolute()
    data = compose("tables", folders=[cli.configs])["data"]
    assert data["path"] == [str(here.parent / "a.csv"), "s3://b/c.csv", ""]
    assert data["events"]["pay"]["path"] == str(here / "b.csv")
    assert data["events"]["pay"]["label"] == {"column": "y", "from": str(here / "y.csv")}
    assert data["events"]["pay"]["roles"] == {"from": "sender", "path": "x"}
    rooted = compose("tables", ["+data.root=/tables"], folders=[cli.configs])["data"]
    assert rooted["path"][0] == "/a.csv" and rooted["events"]["pay"]["path"] == "/tables/b.csv"


def test_a_key_that_is_none_does_not_hide_the_faults_of_others(cli):
    code, told = cli("model.widht=3", "model.lr=fast", "sead=1")
    assert code == 2
    assert "model.widht: no such key; did you mean width" in told and "sead: no such key; did you mean seed" in told
    assert "model.lr: expected float, got 'fast'" in told


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("in.csv", "output: {here}/in.csv cannot be written ({here}/in.csv: Not a directory); choose"),
        (
            "in.csv/x",
            "output: {here}/in.csv/x cannot be written ({here}/in.csv: Not a directory); choose",
        ),
        ("other", "output: {here}/other holds a run of another verb (gnn.toy.read); choose"),
        ("", "output: expected a path, got empty text"),
        ("out resume_from=", "resume_from: expected a path, got empty text"),
    ],
)
def test_an_output_that_cannot_be_written_is_told_before_any_work(cli, output, told):
    Path("other/log").mkdir(parents=True)
    Path("other/config.yaml").write_text("_target_: gnn.toy.read\n")
    code, shown = cli(*f"output={output}".split(" "))
    assert code == 2 and shown.startswith(told.format(here=Path().absolute())) and not DONE
    assert sorted(path.name for path in Path().iterdir()) == ["in.csv", "other"]


def test_a_run_that_fails_leaves_the_records_of_a_finished_one_alone(cli):
    cli("seed=3", "output=out")
    (Path("out") / "results").touch()
    for seed, code in ((14, 4), (15, 1), (16, 130)):
        assert cli(f"seed={seed}", "output=out")[0] == code
        assert yaml.safe_load(Path("out/config.yaml").read_text())["seed"] == 3
    cli("seed=14", "output=new")
    assert yaml.safe_load(Path("new/config.yaml").read_text())["seed"] == 14


SMALLEST = """
defaults: [base, {data: bank}, _self_]
_target_: gnn.toy.read
output: out
hydra: {job: {name: tables}}
"""
BANK = "path: in.csv\nevents: {pay: {id: i, time: t, roles: {user: u}, label: 'is_fraud, é'}}\n"


def read(*, data: dict, output: str) -> None:
    DONE.append(data)


@pytest.fixture
def tables(cli, monkeypatch):
    """Run a toy verb that reads tables, described by the smallest mapping there is."""
    monkeypatch.setattr(read, "__module__", "gnn.toy")
    sys.modules["gnn.toy"].read = read
    (cli.configs / "data").mkdir()
    (cli.configs / "data" / "bank.yaml").write_text(BANK)
    (cli.configs / "data" / "shop.yaml").write_text(BANK.replace("is_fraud", "bad"))
    (cli.configs / "tables.yaml").write_text(SMALLEST)
    return lambda *overrides: (run("tables", overrides, folder=cli.configs), DONE and DONE[-1])


def test_an_override_may_set_a_key_of_the_tables_that_the_file_lacks(tables):
    code, data = tables("data.dst=earlier", "data.csv.decimal=','", "data.events.pay.roles.card=c")
    assert (code, data["dst"], data["csv"]) == (0, "earlier", {"decimal": ","})
    assert data["events"]["pay"]["roles"] == {"user": "u", "card": "c"}


def test_an_override_may_add_a_table_as_a_whole(tables):
    code, data = tables("data.entities.user={path: u.csv, id: u}", "data.entities.user.numeric=[age]")
    assert (code, data["entities"]) == (
        0,
        {"user": {"path": str(Path("u.csv").absolute()), "id": "u", "numeric": ["age"]}},
    )


def test_a_short_form_is_written_in_full_where_a_key_below_it_is_set(tables):
    code, data = tables("data.events.pay.label.unknown=drop", "data.events.pay.time.unit=s")
    assert (code, data["events"]["pay"]["label"]) == (0, {"column": "is_fraud, é", "unknown": "drop"})
    assert data["events"]["pay"]["time"] == {"column": "t", "unit": "s"}


def test_a_sweep_sets_keys_that_the_file_lacks_but_mixes_no_short_forms(tables, capsys):
    assert tables("-m", "data.dst=earlier,later", "data.events.pay.label.unknown=drop")[0] == 0
    assert [(data["dst"], data["events"]["pay"]["label"]["column"]) for data in DONE] == [
        ("earlier", "is_fraud, é"),
        ("later", "is_fraud, é"),
    ]
    assert tables("-m", "data=bank,shop", "data.events.pay.label.unknown=drop")[0] == 2
    assert "data.events.pay.label differs between the jobs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.tmezone=UTC", "data.tmezone: no such key; did you mean timezone?"),
        ("data.events.pay.ids=x", "data.events.pay.ids: no such key; did you mean id?"),
        ("data.events.pai.id=x", "data.events.pai.id: no such key; did you mean data.events.pay.id?"),
        (
            "data.entities.user.path=u.csv",
            "data.entities.user.path: no such key; a table that the file lacks is given whole: "
            "'data.entities.user={path: …, id: …}'",
        ),
        (
            "data.events.login.path=l.csv",
            "data.events.login.path: no such key; a table that the file lacks is given whole: "
            "'data.events.login={path: …, time: …, roles: {…}}'",
        ),
        ("data.qqqq.wwwwww.zzzzzzzz=1", "data.qqqq.wwwwww.zzzzzzzz: no such key; there are: path, events"),
    ],
)
def test_a_key_of_the_tables_that_there_is_not_is_told(tables, capsys, override, told):
    assert tables(override)[0] == 2
    assert capsys.readouterr().err == f"{told}\n"
