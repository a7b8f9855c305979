"""Checks a composed configuration against the signatures of what it names, before any data is read.

A top-level YAML names a verb (`_target_: gnn.pipeline.train`) and its keys are that function's arguments; a
group's YAML names a class and its keys are the constructor's. So one rule checks everything: every node must
fit the signature of its target. All problems are told at once, each with its full key.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

from graphs.errors import ConfigError, RingtraceError
from graphs.folders import verb_of, why_not_made
from graphs.logs import mask

OUR_PACKAGES = ("graphs", "gnn")
ALLOWED_TARGETS = (*OUR_PACKAGES, "torch.optim")

INPUT_PATHS = ("bundle", "resume_from", "run")
"""Top-level keys that name a file or folder which must exist before a verb begins."""

OUTPUT = "output"
"""The top-level key of the folder that a verb writes."""

OTHER_PATHS = ("align_to", "hints", "new", "old", "pairs", "previous", "scores", "store")


def check_config(config: Mapping[str, Any]) -> Callable[[], Any]:
    """Bind every node of a composed configuration to its target; return the verb's call, ready to be made.

    Checks, for the verb and each nested `_target_`: it is ours (or an optimizer of torch); no argument is
    missing or unknown; every value fits its annotation; the constructor accepts the values. Checks also that
    input paths exist and that the data node is a valid schema. Raises one ConfigError with a line for each
    problem, as `trainer.epochs: expected int, got 'many'`. Nodes become objects, and lists tuples where one
    is annotated.
    """
    problems: list[str] = []
    node = {key: value for key, value in config.items() if key != "debug"}
    _fit(config.get("debug", False), bool, "debug", problems)
    _check_input_paths(node, problems)
    if isinstance(seed := node.get("seed"), int) and not 0 <= seed < 2**31:
        problems.append(f"seed: got {seed}, expected 0 to {2**31 - 1}")
    _check_schema(node.get("data"), problems)
    verb = _resolve(node.get("_target_"), "_target_", problems)
    if verb is not None:
        arguments = _bind(verb, node, "", problems)
    if problems:
        raise ConfigError("\n".join(problems))
    return functools.partial(verb, **arguments)


def check_outputs(config: Mapping[str, Any]) -> None:
    """ConfigError where a folder that is to be written can't be, or the output holds a run of another verb."""
    problems = list[str]()
    data = config.get("data")
    folders = {OUTPUT: config.get(OUTPUT)}
    if isinstance(data, Mapping):
        folders["data.quarantine"] = data.get("quarantine")
    for key, path in folders.items():
        if path == "":
            problems.append(f"{key}: expected a path, got empty text")
        elif isinstance(path, str) and "://" not in path and (reason := why_not_made(Path(path).absolute())):
            problems.append(f"{key}: {reason}; choose another folder")
    output = config.get(OUTPUT)
    held = verb_of(Path(output)) if isinstance(output, str) else None
    if held not in (None, config.get("_target_")):
        problems.append(f"{OUTPUT}: {output} holds a run of another verb ({held}); choose another folder")
    if problems:
        raise ConfigError("\n".join(problems))


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion to append to a message: `; did you mean trainer.lr?` for trian.lr, and for lr alone."""
    names = [other for other in known if not other.endswith("_")]
    same_leaf = [other for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
    close = difflib.get_close_matches(name, same_leaf, 1, 0.3) or difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _check_input_paths(config: Mapping[str, Any], problems: list[str]) -> None:
    for key in (*INPUT_PATHS, *OTHER_PATHS):
        if config.get(key) == "":
            problems.append(f"{key}: expected a path, got empty text")
    for key in INPUT_PATHS:
        path = config.get(key)
        if isinstance(path, str) and "://" not in path and not Path(path).exists():
            problems.append(f"{key}: {path} does not exist")


def _check_schema(data: object, problems: list[str]) -> None:
    """The data node describes the user's tables; it is keyed by their names and so has its own reader."""
    if isinstance(data, Mapping) and "_target_" not in data:
        try:
            importlib.import_module("graphs.schema").DataSchema.from_config(data)
        except ConfigError as error:
            problems += _under("data", str(error))


def _resolve(target: object, path: str, problems: list[str]) -> Any:
    """The class or function that `target` names, or None with a problem noted."""
    if not isinstance(target, str):
        problems.append(f"{path}: expected the dotted name of a class or function, got {target!r}")
        return None
    if not _is_under(target, ALLOWED_TARGETS):
        problems.append(f"{path}: {target}: only names under {', '.join(ALLOWED_TARGETS)} may be used")
        return None
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if not _is_under(str(error.name), OUR_PACKAGES):
            problems.append(f"{path}: {target} needs the package {error.name}, which is not installed")
            return None
        found = None
    # Where it was defined counts, not where it was found: `gnn.pipeline.os` would be a way out.
    callable_of_ours = (inspect.isclass(found) or inspect.isfunction(found)) and _is_under(
        found.__module__, ALLOWED_TARGETS
    )
    if not callable_of_ours:
        problems.append(f"{path}: {target}: there is no such class or function")
        return None
    return found


def _is_under(name: str, roots: Iterable[str]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def _bind(function: Callable[..., Any], node: Mapping[str, Any], path: str, problems: list[str]) -> dict[str, Any]:
    """Arguments for `function` from the keys of `node`, each fitted to its annotation."""
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    arguments = {key: value for key, value in node.items() if key not in ("_target_", "_partial_", "_convert_")}
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments and not node.get("_partial_"):
            problems.append(f"{path}{name}: missing")
    fitted = {}
    for key, value in arguments.items():
        if key in parameters:
            fitted[key] = _fit(value, hints.get(key, Any), f"{path}{key}", problems)
        else:
            suggestion = nearest(str(key), parameters) or f"; there are: {', '.join(parameters)}"
            problems.append(f"{path}{key}: no such key{suggestion}")
    return fitted


def _construct(node: Mapping[str, Any], path: str, problems: list[str]) -> Any:
    target = _resolve(node["_target_"], f"{path}._target_", problems)
    if target is None:
        return None
    before = len(problems)
    arguments = _bind(target, node, f"{path}.", problems)
    if len(problems) > before:
        return None
    if node.get("_partial_"):
        return functools.partial(target, **arguments)
    try:
        return target(**arguments)
    except (RingtraceError, ValueError) as error:
        problems += _under(path, str(error), arguments)
        return None


def _under(path: str, message: str, arguments: Iterable[str] = ()) -> list[str]:
    """A message's lines, each with its full key in front: `epochs must be …` becomes `trainer.epochs: …`."""
    lines = []
    for line in filter(None, (line.strip() for line in message.splitlines())):
        word = re.split(r"[\s:=]", line, maxsplit=1)[0]
        if word == path or word.startswith((f"{path}.", f"{path}[")):
            lines.append(line)
        else:
            lines.append(f"{path}.{word}: {line}" if word in arguments else f"{path}: {line}")
    return lines


def _fit(value: Any, annotation: Any, path: str, problems: list[str]) -> Any:
    """`value` as `annotation` wants it: nodes built, lists made tuples, text a Path; else a problem noted."""
    if isinstance(value, Mapping) and "_target_" in value:
        return _fit_node(value, annotation, path, problems)
    origin, arms = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        for arm in arms:
            trial: list[str] = []
            fitted = _fit(value, arm, path, trial)
            if not trial:
                return fitted
    elif origin in (list, tuple, set, frozenset, Sequence) and isinstance(value, list | tuple):
        return _fit_items(value, annotation, path, problems)
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        return {key: _fit(item, arms[1], f"{path}.{key}", problems) for key, item in value.items()}
    elif _is_a(value, annotation):
        return Path(value) if annotation is Path else value
    got = mask(repr(value))
    problems.append(f"{path}: expected {_describe(annotation)}, got {got}{_hint(value, annotation, path)}")
    return None


def _fit_node(node: Mapping[str, Any], annotation: Any, path: str, problems: list[str]) -> Any:
    before = len(problems)
    built = _construct(node, path, problems)
    kinds = tuple(kind for kind in (typing.get_args(annotation) or (annotation,)) if inspect.isclass(kind))
    if len(problems) == before and kinds and not isinstance(built, kinds):
        problems.append(f"{path}: expected {_describe(annotation)}, got {type(built).__name__}")
    return built


def _fit_items(value: Sequence[Any], annotation: Any, path: str, problems: list[str]) -> Any:
    origin, arms = typing.get_origin(annotation), typing.get_args(annotation)
    kinds = arms if origin is tuple and arms[-1] is not Ellipsis else (arms[0],) * len(value)
    if len(value) != len(kinds):
        problems.append(f"{path}: expected {len(kinds)} values, got {len(value)}")
        return None
    items = [_fit(value[i], kinds[i], f"{path}[{i}]", problems) for i in range(len(value))]
    return items if origin in (list, Sequence) else origin(items)


def _is_a(value: Any, annotation: Any) -> bool:
    if annotation in (Any, object):
        return True
    if typing.get_origin(annotation) is Literal:
        # 1 == True, so the type counts too.
        return any(value == arm and type(value) is type(arm) for arm in typing.get_args(annotation))
    if annotation is float:
        return type(value) in (int, float) and not math.isnan(value)
    if annotation is Path:
        return isinstance(value, str)
    if annotation in (int, bool, str, types.NoneType):
        return type(value) is annotation
    return isinstance(value, typing.get_origin(annotation) or annotation)


def _describe(annotation: Any) -> str:
    origin, arms = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(repr(arm) for arm in arms)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(arm) for arm in arms)
    if origin in (list, tuple, set, frozenset, Sequence):
        return "a list of " + ", ".join(_describe(arm) for arm in arms if arm is not Ellipsis)
    if (origin or annotation) in (dict, Mapping):
        return "a mapping"
    words = {types.NoneType: "null", str: "text", Path: "a path"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _hint(value: Any, annotation: Any, path: str) -> str:
    arms = typing.get_args(annotation)
    if typing.get_origin(annotation) is Literal:
        return nearest(str(value), map(str, arms))
    if (annotation is str or str in arms) and isinstance(value, int | float):
        return f"; as text it is written '{path}=\"{value}\"'"
    return ""
