"""Parts of the downstream benchmark, done one by one, add up to its rows."""

import importlib
from pathlib import Path

import pytest

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    downstream = importlib.import_module("downstream")


def part(model, seed, fold, ap, **others):
    return {"model": model, "seed": seed, "fold": fold, "ap": ap, "seconds": 10, **others}


def test_a_row_is_the_mean_over_the_seeds_that_have_all_folds():
    trees = [part("trees", seed, fold, ap) for seed, fold, ap in ((0, 1, 0.5), (0, 2, 0.7), (1, 1, 0.2), (2, 2, 0.9))]
    trees.append(part("trees", 1, 2, 0.4))
    (row,) = downstream.means([*trees, part("network", 0, 1, 0.9)], folds=2)
    assert row == {
        "model": "trees", "ap": 0.45, "seeds": [0, 1], "folds": 2, "std": {"ap": 0.15}, "seconds_a_seed": 20
    }  # fmt: skip


def test_a_metric_that_no_part_has_is_left_out():
    (row,) = downstream.means([part("trees", 0, 1, 0.5, cp100=None)], folds=1)
    assert "cp100" not in row
