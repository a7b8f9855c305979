"""Every YAML we ship composes and fits the signatures it names; a config that rots fails here, not at a user's."""

import re
from pathlib import Path

import pytest

from graphs.config import check_config, compose

CONFIGS = Path(__file__).parents[2] / "configs"
VERBS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "base")


def options(group):
    """`data` → world, p2p, …; `experiment` → fdh/strict, …"""
    folder = CONFIGS / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def groups_of(verb):
    text = (CONFIGS / f"{verb}.yaml").read_text()
    return [group for group in re.findall(r"^  - (\w+): ", text, re.MULTILINE) if options(group)]


CASES = [(verb, f"{group}={option}") for verb in VERBS for group in groups_of(verb) for option in options(group)]


@pytest.mark.parametrize(("verb", "choice"), [*((verb, None) for verb in VERBS), *CASES])
def test_every_verb_and_every_option_of_its_groups_fits(verb, choice, tmp_path):
    only_the_user_knows = {
        "evaluate": f"run={tmp_path}",
        "score": f"bundle={tmp_path}",
        "downstream": f"run={tmp_path}",
        "export_embeddings": f"bundle={tmp_path}",
        "feature_repository": f"store={tmp_path}",
        "similar_embeddings": f"store={tmp_path} id=u1",
        "compare_embeddings": f"old={tmp_path} new={tmp_path}",
        "data=payments": "data.path=tx.csv",
    }
    given = [word for key in (verb, choice) for word in only_the_user_knows.get(key, "").split()]
    assert callable(check_config(compose(verb, [*filter(None, [choice]), *given])))


def test_every_yaml_belongs_to_a_verb():
    used = {group for verb in VERBS for group in groups_of(verb)}
    assert {path.name for path in CONFIGS.iterdir() if path.is_dir()} <= used
