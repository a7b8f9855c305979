"""The examples of docs/embeddings.md and docs/feast.md run as they stand."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gnn.cli import main

DOCS = Path(__file__).parents[2] / "docs"
QUICK = {
    "train": ["trainer.epochs=1", "evaluation.bootstrap=20", "comparison.controls=false", "comparison.lightgbm=false"],
    "downstream": ["proof.learners=[lightgbm]", "proof.crossfit.folds=1"],
}

pytestmark = pytest.mark.filterwarnings("ignore")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def run_commands(page: str) -> None:
    for line in "".join(blocks(page, "bash")).splitlines():
        _, verb, *overrides = shlex.split(line)
        assert main([verb, *overrides, *QUICK.get(verb, [])]) == 0


def run_examples(page: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of docs/embeddings.md were run."""
    where = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        run_commands("embeddings.md")
    return where


def test_from_parquet_to_a_trained_gbdt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names = run_examples("embeddings.md")
    assert len(names["scores"]) == names["later"].sum() > 0
    assert names["features"].shape[1] == names["width"] + 1
    assert len(names["honest_scores"]) == (names["rows"]["part"] == "test").sum() > 0
    assert names["fresh"]["is_new"].to_pylist() == [False, True]
    assert (folder / "outputs" / "downstream" / "report.html").is_file()


def test_with_feast(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("feast") is None:
        pytest.skip("Feast is not installed (extra: feast)")
    from feast import FeatureStore
    from feast_apply import apply

    monkeypatch.chdir(folder)
    run_commands("feast.md")
    apply(folder / "outputs" / "feature_repo")
    names = run_examples("feast.md")
    assert len(names["table"]) == 100 and names["table"]["user_embedding"].notna().any()
    assert names["served"]["user_embedding"][1] is None
    now = FeatureStore("outputs/feature_repo").get_online_features(
        features=["user_vectors:user_is_new"], entity_rows=[{"user": "never heard of"}]
    )
    assert now.to_dict()["user_is_new"] == [True]
