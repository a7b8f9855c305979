"""The project about itself: documents name what exists, layers hold, the wheel is whole, no test hides."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gnn.cli import VERBS
from graphs.config import check_config, compose

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = {path: path.read_text() for path in DOCUMENTS}
COMMANDS = [
    (path.name, line.partition("#")[0].strip())
    for path, text in TEXT.items()
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
    if line.partition("#")[0].strip()
]


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_every_command_in_the_documents_exists(document, command, tmp_path):
    program, *arguments = shlex.split(command)
    if program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "ringtrace":
        assert arguments[0] in (*VERBS, "rings", "serve")
    elif program == "python":
        assert (ROOT / arguments[0]).exists()
    else:
        pytest.fail(f"{document} shows {program}, which is none of ours")


def test_the_readme_says_how_to_use_ones_own_tables_and_that_works(tmp_path):
    mine = tmp_path / "my_configs" / "data"
    mine.mkdir(parents=True)
    (mine / "my_bank.yaml").write_text((ROOT / "configs" / "data" / "world.yaml").read_text())
    for _, command in COMMANDS:
        if "my_bank" in command:
            verb, _, _, *overrides = shlex.split(command)[1:]
            overrides = [text for text in overrides if not text.startswith("bundle=")]
            bundle = [f"bundle={tmp_path}"] if verb == "score" else []
            folders = [ROOT / "configs", tmp_path / "my_configs"]
            assert check_config(compose(VERBS[verb][0], [*overrides, *bundle], folders=folders))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_links_to_exists(path):
    text = re.sub(r"<!--.*?-->", "", TEXT[path], flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_verb_is_in_the_readme():
    assert all(f"`ringtrace {verb}`" in TEXT[ROOT / "README.md"] for verb in VERBS)


def test_the_layers_hold():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/*.py")), ids=lambda path: path.name)
def test_no_test_is_skipped_without_saying_why(path):
    for call in ast.walk(ast.parse(path.read_text())):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("pytest.skip", "pytest.mark.skipif"):
            said = call.args[:1] if "skipif" not in ast.unparse(call.func) else call.keywords
            assert said, f"{path.name}:{call.lineno} skips without a reason"
        if isinstance(call, ast.Attribute):
            assert ast.unparse(call) not in ("pytest.mark.xfail", "pytest.importorskip")


def test_tests_have_names_of_their_own_and_no_packages():
    names = [path.name for path in ROOT.glob("tests/**/test_*.py")]
    assert len(names) == len(set(names)) and not list(ROOT.glob("tests/**/__init__.py"))


def test_every_dependency_is_pinned_and_within_what_we_ask_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()[1:]
    pins = dict(line.split("==") for line in lines)
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    for requirement in map(Requirement, project["dependencies"] + extras):
        assert requirement.specifier.contains(pins[requirement.name.lower().replace("_", "-")])


def test_the_wheel_holds_all_that_a_user_needs(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"graphs/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    code = {str(path.relative_to(ROOT)) for name in ("graphs", "gnn") for path in (ROOT / name).rglob("*.py")}
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "gnn" / "templates").glob("*")}
    assert configs | code | templates <= names
    assert not [name for name in names if name.startswith(("tests/", "configs/", "scripts/"))]
