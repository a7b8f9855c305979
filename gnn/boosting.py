"""Gradient boosted trees by LightGBM or XGBoost: grown the same way, stopped on the same metric, asked the same things.

The number of rounds is the one with the best AP on the validation rows; then trees may be grown anew, for as many
rounds, on all that is known, as the network is. The same input, seed and thread count give the same bits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from gnn.metrics import Undefined, one_class

logger = logging.getLogger(__name__)

MAX_ROUNDS = 2000
PATIENCE = 100
VALID_SHARE = 0.2
ROUNDS_UNCHOSEN = 200
"""Rounds where no validation row can choose: too few classes."""


@dataclass(frozen=True)
class Rows:
    """Columns (rows, features) float32, NaN for missing, labels (rows,) in {0, 1}, and log-odds (rows,) that the trees
    start from, if somebody else has said any."""

    x: np.ndarray
    y: np.ndarray
    start: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, taken: slice | np.ndarray) -> Rows:
        return Rows(self.x[taken], self.y[taken], None if self.start is None else self.start[taken])

    def held_back(self) -> tuple[Rows, Rows]:
        """Rows in order of time without the last `VALID_SHARE` of them, and these, which choose how many rounds where
        there is no validation part."""
        judging = max(1, round(VALID_SHARE * len(self)))
        return self[:-judging], self[-judging:]


@dataclass(frozen=True)
class Trees:
    """Grown trees: `log_odds(x, start)` of fraud (rows,) float64, of rows that start where those did that the trees
    were grown on (None: nowhere); `contributions(x)` (rows, features) of each column to what the trees add to each
    row's log-odds (TreeSHAP, Lundberg et al. 2020); `anew(rows)` grows as many trees on other rows."""

    log_odds: Callable[[np.ndarray, np.ndarray | None], np.ndarray]
    contributions: Callable[[np.ndarray], np.ndarray]
    anew: Callable[[Rows], Trees]


NO_TREES: Trees = Trees(
    lambda x, start: np.zeros(len(x)) if start is None else start, np.zeros_like, lambda rows: NO_TREES
)
"""They leave rows where they start."""


def grow_lightgbm(
    fit: Rows,
    valid: Rows,
    *,
    seed: int,
    categorical: tuple[int, ...] = (),
    threads: int = 1,
) -> Trees | Undefined:
    """Grow LightGBM's trees on `fit`, rounds chosen on `valid`. Undefined for one class."""
    if (reason := _ungrowable(fit)) is not None:
        return reason
    parameters = {
        "objective": "binary",
        "metric": "average_precision",
        "learning_rate": 0.05,
        "num_leaves": 31,
        # The usual 20 rows a leaf would forbid every split on the few dozen rows of a first trial.
        "min_data_in_leaf": int(np.clip(len(fit) // 50, 1, 20)),
        "feature_fraction": 0.8,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    train = _lightgbm_data(fit, categorical)
    if one_class(valid.y) is None:
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        judge = _lightgbm_data(valid, categorical, reference=train)
        model = lightgbm.train(parameters, train, MAX_ROUNDS, valid_sets=[judge], callbacks=[stop])
        rounds = model.best_iteration
    else:
        logger.warning("LightGBM: %s: %d rounds, chosen by nobody", one_class(valid.y), ROUNDS_UNCHOSEN)
        rounds = ROUNDS_UNCHOSEN
        model = lightgbm.train(parameters, train, rounds)

    def trees(model: lightgbm.Booster) -> Trees:
        def ask(x: np.ndarray, **how: bool) -> np.ndarray:
            said = model.predict(without_negative_codes(x, categorical), num_iteration=rounds, **how)
            return np.asarray(said, dtype=np.float64)

        def log_odds(x: np.ndarray, start: np.ndarray | None) -> np.ndarray:
            return ask(x, raw_score=True) + (0 if start is None else start)

        def anew(rows: Rows) -> Trees:
            return trees(lightgbm.train(parameters, _lightgbm_data(rows, categorical), rounds))

        return Trees(log_odds, lambda x: ask(x, pred_contrib=True)[:, :-1], anew)

    return trees(model)


def grow_xgboost(
    fit: Rows,
    valid: Rows,
    *,
    seed: int,
    categorical: tuple[int, ...] = (),
    threads: int = 1,
) -> Trees | Undefined:
    """Grow XGBoost's trees the same way; categories are split as sets. Needs the extra `downstream`."""
    import xgboost

    if (reason := _ungrowable(fit)) is not None:
        return reason
    kinds = ["c" if place in categorical else "q" for place in range(fit.x.shape[1])]

    def data(x: np.ndarray, y: np.ndarray | None = None, start: np.ndarray | None = None) -> Any:
        values = without_negative_codes(x, categorical)
        return xgboost.DMatrix(
            values, y, base_margin=start, feature_types=kinds, enable_categorical=True, nthread=threads
        )

    parameters = {
        "objective": "binary:logistic",
        "eval_metric": "aucpr",
        "learning_rate": 0.05,
        "max_leaves": 31,
        "grow_policy": "lossguide",
        "max_depth": 0,
        "tree_method": "hist",
        "min_child_weight": 1.0,
        "colsample_bytree": 0.8,
        "subsample": 0.8,
        "lambda": 1.0,
        "seed": seed,
        "nthread": threads,
        "verbosity": 0,
    }
    train = data(fit.x, fit.y, fit.start)
    if one_class(valid.y) is None:
        watched = [(data(valid.x, valid.y, valid.start), "valid")]
        model = xgboost.train(
            parameters, train, MAX_ROUNDS, evals=watched, early_stopping_rounds=PATIENCE, verbose_eval=False
        )
        rounds = model.best_iteration + 1
    else:
        logger.warning("XGBoost: %s: %d rounds, chosen by nobody", one_class(valid.y), ROUNDS_UNCHOSEN)
        rounds = ROUNDS_UNCHOSEN
        model = xgboost.train(parameters, train, rounds)

    def trees(model: Any) -> Trees:
        def ask(rows: Any, **how: bool) -> np.ndarray:
            return np.asarray(model.predict(rows, iteration_range=(0, rounds), **how), dtype=np.float64)

        def anew(rows: Rows) -> Trees:
            return trees(xgboost.train(parameters, data(rows.x, rows.y, rows.start), rounds))

        return Trees(
            lambda x, start: ask(data(x, start=start), output_margin=True),
            lambda x: ask(data(x), pred_contribs=True)[:, :-1],
            anew,
        )

    return trees(model)


LEARNERS: Mapping[str, Callable[..., Trees | Undefined]] = {"lightgbm": grow_lightgbm, "xgboost": grow_xgboost}
"""Learners by name."""


def without_negative_codes(x: np.ndarray, categorical: tuple[int, ...]) -> np.ndarray:
    """MISSING becomes NaN, the trees' own word for it."""
    x = np.array(x, dtype=np.float32)
    columns = list(categorical)
    x[:, columns] = np.where(x[:, columns] < 0, np.nan, x[:, columns])
    return x


def _ungrowable(fit: Rows) -> Undefined | None:
    if (reason := one_class(fit.y)) is not None:
        return reason
    return Undefined("there are no columns to grow a tree on") if fit.x.shape[1] == 0 else None


def _lightgbm_data(
    rows: Rows, categorical: tuple[int, ...], reference: lightgbm.Dataset | None = None
) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        without_negative_codes(rows.x, categorical),
        rows.y,
        init_score=rows.start,
        reference=reference,
        categorical_feature=list(categorical),
        params={"verbosity": -1, "min_data_in_bin": 1},
    )
