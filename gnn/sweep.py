"""Search of hyper-parameters with Optuna: each trial is one ordinary `train` run in its own folder.

Trials are judged on the validation part only; the test part of the best run is looked at afterwards, by people.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from graphs.config import check_config, compose, save_config
from graphs.errors import ConfigError
from graphs.folders import write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both ends are, `log` for scales of ten."""

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"low must be below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ConfigError(f"low must be above 0 on a logarithmic scale, got {self.low}")

    def suggest(self, trial: Any, name: str) -> int | float:
        """The trial's value for the key `name`."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Choice:
    """One of a few values, or of a group's options."""

    values: tuple[bool | int | float | str, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("values must hold at least one")

    def suggest(self, trial: Any, name: str) -> bool | int | float | str:
        """The trial's value for the key `name`."""
        return trial.suggest_categorical(name, list(self.values))


def sweep(
    *,
    space: Mapping[str, Range | Choice],
    overrides: Sequence[str],
    objective: str,
    direction: Literal["maximize", "minimize"],
    trials: int,
    seed: int,
    output: str,
) -> Path:
    """Run `trials` trainings under `output`, go on where an earlier sweep there stopped, keep the best's overrides.

    `space`: key of the train config to its values; `overrides` hold for every trial; `objective`: dotted key in
    each run's metrics.json. A training that cannot be had with its values, since it diverges say, is a trial without a
    value. Writes trials.json and best.json. Raises ConfigError before the first trial when a key or value of the space
    does not fit the train config, or the sweep to go on with was told otherwise.
    """
    import optuna  # the `sweep` extra; nothing else needs it

    if trials < 1:
        raise ConfigError(f"trials: got {trials}, expected at least 1")
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    _check_corners(space, overrides)
    storage = f"sqlite:///{folder / 'study.db'}"
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # each trial is told below
    study = optuna.create_study(study_name="sweep", storage=storage, direction=direction, load_if_exists=True)
    spaces = {name: asdict(values) for name, values in space.items()}
    told = {"space": spaces, "overrides": list(overrides), "objective": objective, "direction": direction}
    _check_told(study, json.loads(json.dumps(told)))
    # A sampler that starts anew would draw the finished trials a second time.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))

    def run(trial: Any) -> float:
        chosen = [f"{name}={json.dumps(values.suggest(trial, name))}" for name, values in space.items()]
        trial.set_user_attr("overrides", [*overrides, *chosen])
        run_folder = folder / str(trial.number)
        config = compose("train", [*overrides, *chosen, f'output="{run_folder}"'])
        save_config(config, run_folder)
        try:
            check_config(config)()
        except ConfigError as error:
            log.warning("trial %d with %s has no value: %s", trial.number, " ".join(chosen), error)
            trial.set_user_attr("fault", str(error))
            raise optuna.TrialPruned from error
        value = _read(run_folder, objective)
        log.info("trial %d with %s: %s %.4f", trial.number, " ".join(chosen), objective, value)
        return value

    # One that was stopped or killed is no trial: another takes its place.
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    study.optimize(run, n_trials=max(0, trials - len(study.get_trials(states=states))))
    done = {
        trial.number: {"number": trial.number, "value": trial.value, **trial.user_attrs}
        for trial in study.get_trials(states=states)
    }
    write_json(folder / "trials.json", list(done.values()))
    faults = [trial["fault"] for trial in done.values() if "fault" in trial]
    if len(faults) == len(done):
        raise ConfigError(f"space: no trial has a value; of the last one: {faults[-1]}")
    write_json(folder / "best.json", done[study.best_trial.number])
    log.info("best of %d: %s %.4f with %s", len(done), objective, study.best_value, study.best_params)
    return folder


def _check_told(study: Any, told: Mapping[str, Any]) -> None:
    """ConfigError where a study has trials of a sweep that was told otherwise; else it keeps what this one is told."""
    before = study.user_attrs.get("told", {})
    keys = [key for key in told if before.get(key) != told[key]]
    if study.trials and keys:
        was = "; ".join(f"{key} was {json.dumps(before.get(key))}, is {json.dumps(told[key])}" for key in keys)
        raise ConfigError(
            f"output: the sweep there was told otherwise: {was}. Go on with what it was told, or choose another output"
        )
    study.set_user_attr("told", told)


def _check_corners(space: Mapping[str, Range | Choice], overrides: Sequence[str]) -> None:
    """Both ends of every range and every choice must make a valid train config."""
    for name, values in space.items():
        for value in values.values if isinstance(values, Choice) else (values.low, values.high):
            check_config(compose("train", [*overrides, f"{name}={json.dumps(value)}"]))


def _read(run: Path, objective: str) -> float:
    value: Any = json.loads((run / "metrics.json").read_text())
    for key in objective.split("."):
        if not isinstance(value, dict) or key not in value:
            keys = ", ".join(value) if isinstance(value, dict) else "a value"
            raise ConfigError(f"objective: {objective}: metrics.json has no {key!r}; there are: {keys}")
        value = value[key]
    if not isinstance(value, int | float):
        raise ConfigError(f"objective: {objective} is undefined in {run / 'metrics.json'}")
    return float(value)
