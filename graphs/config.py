"""From a command line to a checked call: the one place that knows Hydra.

Every script and every `ringtrace` verb goes through `run`. It adds three things to Hydra: the configuration
of all jobs is composed and checked before the first one starts; faults are told in a line or two with the
override to write instead; relative paths always mean the folder the user is in.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import re
import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from graphs.errors import ConfigError, DataError, NotFoundError, RingtraceError
from graphs.folders import alone_in, kept_records, write_text
from graphs.logs import log_to, mask
from graphs.signatures import INPUT_PATHS, OUTPUT, check_config, check_outputs, nearest

__all__ = ["check_config", "compose", "config_folder", "run", "run_script", "save_config"]

log = logging.getLogger(__name__)

EXIT_CODES = {ConfigError: 2, DataError: 3, NotFoundError: 4}
"""What a verb ends with: 2 the configuration, 3 the data, 4 something that isn't there; 1 any other fault."""

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError)


def run_script(verb: str) -> None:
    """The whole of a script: run `verb` with the command line's overrides and exit with its code."""
    sys.exit(run(verb, sys.argv[1:], program=f"python {sys.argv[0]}"))


def run(verb: str, arguments: Sequence[str] = (), *, program: str = "ringtrace", folder: Path | None = None) -> int:
    """Run `verb` as a Hydra application: one run, or with `-m` a sweep. Returns the exit code.

    `program` is what the user typed before the overrides, for messages that show a command; `folder` where
    the YAML files lie. A fault in the configuration costs no work and leaves no folder behind.
    """
    options = get_args_parser().parse_intermixed_args(list(arguments))
    debug = os.environ.get("RINGTRACE_DEBUG", "0") not in ("", "0") or "debug=true" in options.overrides
    folders = [folder or config_folder()]
    if options.config_dir:
        folders.append(Path(options.config_dir).absolute())
    level = logging.DEBUG if debug else logging.INFO
    log_to(level=level)
    given = [text for text in arguments if text not in options.overrides]
    try:
        if not (options.help or options.hydra_help or options.info or options.shell_completion):
            _check_jobs(verb, options, folders, " ".join([program, *map(shlex.quote, given)]))
        job = _Job(verb, level)
        _run_hydra(job, arguments, folders, program)
        return job.exit_code
    except RingtraceError as error:
        return _tell(error, debug=debug)
    except _JobFailedError as error:
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    except Exception:
        sys.stderr.write(f"{mask(traceback.format_exc())}This is a fault in Ringtrace, not in your input.\n")
        return 1


def config_folder() -> Path:
    """Where our YAML files lie: inside the installed package, or at the top of a checkout."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "configs"


def compose(
    verb: str,
    overrides: Sequence[str] = (),
    *,
    folders: Sequence[Path] = (),
    program: str = "ringtrace",
) -> dict[str, Any]:
    """The resolved configuration of `verb` as plain dicts and lists; paths in it are absolute.

    `folders`: where the YAML files lie, the main one first (default ours). Raises ConfigError that says in a
    line or two what is wrong with which override, and what to write instead. Below `data.` an override may set a key
    that the file lacks, but a table of its own only as a whole.

    >>> compose("train", ["data=p2p", "trainer.epochs=3"])["trainer"]["epochs"]
    3
    """
    folders = folders or [config_folder()]
    for extra in folders[1:]:
        if not extra.is_dir():
            raise ConfigError(f"--config-dir: {extra} is not a folder")
    with _hydra_at(folders[0]):
        told = _spell_out(verb, overrides, folders)
        try:
            config = hydra.compose(verb, [*_search(folders), *itertools.chain(*told)])
        except COMPOSITION_ERRORS as error:
            problems = list(_explain(verb, overrides, told, folders, program)) or [_Problem(_shorten(error))]
            raise _CompositionError(problems) from error
        return _plain(config)


@contextmanager
def _hydra_at(folder: Path) -> Iterator[None]:
    """Hydra reading `folder`. A job inside Hydra may compose the configuration of others (sweep does); it knows one at
    a time."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(folder.absolute())):
            yield
    finally:
        GlobalHydra.instance().hydra = outer


def _spell_out(verb: str, overrides: Sequence[str], folders: Sequence[Path]) -> list[list[str]]:
    """What Hydra is told for each override. One below `data.` may set a key that the file lacks, for DataSchema to
    judge; where the file has a short form above the key, as label: is_fraud, that is written in full before it."""
    told = [[text] for text in overrides]
    parsed = [_parse(text) for text in overrides]
    places = [i for i, override in enumerate(parsed) if override is not None and _is_of_tables(override)]
    if not places:
        return told
    choices = [override.input_line for override in parsed if override and _options(override.key_or_group, folders)]
    try:
        config = hydra.compose(verb, [*_search(folders), *filter(None, choices)])
        for place in places:
            override = parsed[place]
            assert override is not None
            told[place] = _spelt_out(override, config)
            for text in told[place]:
                given = _parse(text)
                assert given is not None
                OmegaConf.update(config, given.key_or_group, given.value(), force_add=True)
    except COMPOSITION_ERRORS:
        pass  # whoever composes all of them meets it again, and explains it
    return told


def _is_of_tables(override: Override) -> bool:
    key = override.key_or_group
    return key.startswith("data.") and not (override.is_delete() or override.is_sweep_override() or _is_indexed(key))


def _is_indexed(key: str) -> bool:
    return re.search(r"[.\[]\d", key) is not None


def _spelt_out(override: Override, config: DictConfig) -> list[str]:
    key, text = override.key_or_group, str(override.input_line)
    names = key.split(".")
    above = [".".join(names[:end]) for end in range(1, len(names))]
    if _node_at(config, "data") is None or (len(names) > 3 and _node_at(config, above[2]) is None):
        return [text]  # a misspelt table must not become a new one
    short = {name: node._value() for name in above if (node := _node_at(config, name)) is not None}
    opened = [
        f"++{name}={{column: {QuotedString(value, Quote.double).with_quotes()}}}"
        for name, value in short.items()
        if isinstance(value, str)
    ]
    return [*opened, text if override.is_add() or override.is_force_add() else f"++{text}"]


def _node_at(config: DictConfig, key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        there = isinstance(node, DictConfig) and not node._is_none() and name in node.keys()  # noqa: SIM118
        node = node._get_node(name) if there else None
    return node


def _search(folders: Sequence[Path]) -> list[str]:
    """The override that lets Hydra look in the folders after the first, too."""
    places = ",".join(f"'file://{folder}'" for folder in folders[1:])
    return [f"hydra.searchpath=[{places}]"] if places else []


def save_config(config: Mapping[str, Any], folder: Path) -> Path:
    """Write a composed configuration to config.yaml in `folder`, so that a run says what it was told."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    write_text(path, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    return path


def _plain(config: DictConfig) -> dict[str, Any]:
    try:
        missing = sorted(str(key) for key in OmegaConf.missing_keys(config))
        values = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    if missing:
        raise ConfigError("\n".join(f"{key}: required; set it with {key}=…" for key in missing))
    assert isinstance(values, dict)
    found = {str(key): value for key, value in values.items()}
    found |= {key: _absolute(found[key]) for key in (OUTPUT, *INPUT_PATHS) if key in found}
    if isinstance(found.get("data"), Mapping):
        found["data"] = _absolute_tables(found["data"])
    return found


def _absolute(path: Any, root: Path | None = None) -> Any:
    """Relative paths start at the folder the user is in; the run record then tells which file that was."""
    if isinstance(path, list):
        return [_absolute(item, root) for item in path]
    if not isinstance(path, str) or path == "" or "://" in path:
        return path
    return os.path.normpath((root or Path()).absolute() / Path(path).expanduser())


def _absolute_tables(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data node with the paths of its tables resolved; they start at its root. See graphs.schema."""
    root = Path(_absolute(data.get("root")) or "").absolute()

    def resolve(node: Any, *keys: str) -> Any:
        if not isinstance(node, Mapping):
            return node
        return {key: _absolute(value, root) if key in keys else value for key, value in node.items()}

    found = resolve(data, "path", "quarantine")
    for kind in ("events", "entities"):
        if isinstance(found.get(kind), Mapping):
            found[kind] = {name: resolve(table, "path") for name, table in found[kind].items()}
            for table in found[kind].values():
                if isinstance(table, dict) and "label" in table:
                    table["label"] = resolve(table["label"], "from")
    return found


# ---------------------------------------------------------------------------------------------- running


def _check_jobs(verb: str, options: Any, folders: Sequence[Path], program: str) -> None:
    problems: dict[str, None] = {}
    for overrides in _jobs(options.overrides) if options.multirun else [options.overrides]:
        left: list[str] | None = list(overrides)
        while left is not None:
            try:
                config = compose(options.config_name or verb, left, folders=folders, program=program)
            except ConfigError as error:
                problems.update(dict.fromkeys(str(error).splitlines()))
                left = _without(left, error)
                continue
            if not options.cfg:
                problems.update(dict.fromkeys(_faults(config)))
            break
    if problems:
        raise ConfigError("\n".join(problems))


def _faults(config: Mapping[str, Any]) -> Iterator[str]:
    for check in (check_config, check_outputs):
        try:
            check(config)
        except ConfigError as error:
            yield from str(error).splitlines()


def _without(overrides: Sequence[str], error: ConfigError) -> list[str] | None:
    """The overrides without those whose keys do not exist, which hide the faults of the others' values; None where
    something else is at fault."""
    if not isinstance(error, _CompositionError) or None in error.unknown:
        return None
    return [text for text in overrides if text not in error.unknown]


def _jobs(overrides: Sequence[str]) -> Iterator[list[str]]:
    """The overrides of each job of a sweep. What can't be parsed stays as it is, for `compose` to explain."""
    choices = []
    for text in overrides:
        override = _parse(text)
        if override is not None and override.is_discrete_sweep():
            key = override.get_key_element()
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            choices.append([text])
    return map(list, itertools.product(*choices))


class _Job:
    """One run of a verb inside Hydra; picklable, since a parallel launcher sends it to other processes."""

    def __init__(self, verb: str, level: int) -> None:
        self.verb = verb
        self.level = level
        self.exit_code = 0
        self.__name__ = verb

    def __call__(self, config: DictConfig) -> None:
        hydra_config = HydraConfig.get()
        sweeping = hydra_config.mode is RunMode.MULTIRUN
        run_folder = Path(hydra_config.runtime.output_dir)
        log_to(run_folder / f"{self.verb}.log", level=self.level)
        values = _plain(config)
        if sweeping:
            values["output"] = str(Path(values["output"]) / str(hydra_config.job.num))
        try:
            verb = check_config(values)
            check_outputs(values)
            with _full_disk_told(), _kept_apart(values, run_folder), kept_records(run_folder):
                save_config(values, run_folder)
                result = verb()
        except RingtraceError as error:
            log.debug("", exc_info=True)
            log.error("%s", error)
            self.exit_code = _exit_code(error)
            if sweeping:
                # Hydra ends the sweep as failed, after its other jobs. They may live in other processes, and
                # pickle carries less than our errors hold.
                raise _JobFailedError(self.exit_code) from None
            return
        log.info("done: %s", result if isinstance(result, Path) else values.get("output", self.verb))


def _kept_apart(values: Mapping[str, Any], run_folder: Path) -> AbstractContextManager[None]:
    """Keep other runs out of the folder that the results go to, but not out of one where only the log lies."""
    own = OUTPUT in values and Path(values[OUTPUT]).resolve() == run_folder.resolve()
    return alone_in(run_folder) if own else nullcontext()


@contextmanager
def _full_disk_told() -> Iterator[None]:
    """ConfigError where there is no room for what a verb writes, which is no fault of ours."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise ConfigError(f"output: {os.strerror(error.errno)}; make room, or choose another folder") from error


class _JobFailedError(Exception):
    """A job ended with a fault that its log has told already."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def _run_hydra(job: _Job, arguments: Sequence[str], folders: Sequence[Path], program: str) -> None:
    """Hydra reads sys.argv, and on an exception prints and exits unless told to raise; both undone after."""
    known = get_args_parser().parse_intermixed_args(list(arguments))
    options = [text for text in arguments if text not in known.overrides]
    with _hydra_at(folders[0]):
        overrides = _spell_out_all(known.config_name or job.verb, known, folders)
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    # Overrides last: Hydra's parser refuses `data=p2p -m seed=1,2`, which people write all the same.
    sys.argv = [program, *options, *overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path=str(folders[0]), config_name=job.verb)(job)()
    finally:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR")
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _spell_out_all(verb: str, options: Any, folders: Sequence[Path]) -> list[str]:
    """The overrides of a command line as Hydra is told them: the jobs of a sweep share what is written in full."""
    jobs = list(_jobs(options.overrides)) if options.multirun else [options.overrides]
    found = list[str]()
    for text, *told in zip(options.overrides, *(_spell_out(verb, job, folders) for job in jobs), strict=True):
        opened = {tuple(parts[:-1]) for parts in told}
        if len(opened) > 1:
            above = text.partition("=")[0].rpartition(".")[0]
            raise ConfigError(f"{text}: {above} differs between the jobs; give it whole, as {above}={{column: …}}")
        marked = told[0][-1].startswith("++") and not text.startswith("+")
        found += [*opened.pop(), f"++{text}" if marked else text]
    return found


def _exit_code(error: RingtraceError) -> int:
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def _tell(error: RingtraceError, *, debug: bool) -> int:
    sys.stderr.write(mask(traceback.format_exc() if debug else f"{error}\n"))
    return _exit_code(error)


# ------------------------------------------------------------------------------------------- explaining


@dataclass(frozen=True)
class _Problem:
    """What is wrong with a configuration; `unknown` is the override at fault if its key does not exist."""

    text: str
    unknown: str | None = None


class _CompositionError(ConfigError):
    """A configuration that cannot be composed; `unknown` are the overrides whose keys do not exist, and None if
    something else is at fault."""

    def __init__(self, problems: Sequence[_Problem]) -> None:
        self.unknown = {problem.unknown for problem in problems}
        super().__init__("\n".join(problem.text for problem in problems))


def _explain(
    verb: str, overrides: Sequence[str], told: Sequence[Sequence[str]], folders: Sequence[Path], program: str
) -> Iterator[_Problem]:
    """Every override at fault. Hydra stops at the first, speaks of its grammar, and offers to add typos."""
    choices, values = list[str](), list[Override]()
    for text, parts in zip(overrides, told, strict=True):
        override = _parse(text)
        if override is None:
            yield _Problem(_advise_quotes(text, overrides, program))
        elif override.is_sweep_override():
            yield _Problem(f"{text}: several values; add -m to run each, or write [a,b] for a list")
        elif options := _options(override.key_or_group, folders):
            problem = _check_choice(override, options)
            if problem is None:
                choices.append(text)
            else:
                yield _Problem(problem)
        elif list(parts) == [text]:
            values.append(override)
    yield from _check_keys(verb, values, [*_search(folders), *choices], folders)


def _parse(text: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def _advise_quotes(text: str, overrides: Sequence[str], program: str) -> str:
    key, equals, value = text.partition("=")
    if not equals:
        return f"{text}: an override is written key=value"
    if _parse(_quote(text)) is None:
        return f"{text}: this value can't be read; put it in double quotes inside single ones: 'key=\"…\"'"
    marks = " ".join(mark for mark in dict.fromkeys(value) if _parse(f"key=a{mark}a") is None)
    advice = f'{key}: a value with {marks or "= , : or brackets"} in it must be quoted, key="…"'
    unread = [other for other in overrides if "=" in other and _parse(other) is None]
    if text != unread[-1]:
        return advice
    fixed = shlex.join(_quote(other) if other in unread else other for other in overrides)
    return f"{advice}; write:\n  {program} {fixed}"


def _quote(text: str) -> str:
    key, _, value = text.partition("=")
    return f'{key}="{value}"'


def _options(group: str, folders: Sequence[Path]) -> list[str]:
    """The options of a group in our folders, those in subfolders too, or else in Hydra's own."""
    files = [(folder / group, file) for folder in folders for file in (folder / group).rglob("*.yaml")]
    ours = [str(file.relative_to(parent).with_suffix("")) for parent, file in files]
    loader = GlobalHydra.instance().config_loader()
    return ours or loader.get_group_options(group, results_filter=ObjectType.CONFIG)


def _check_choice(override: Override, options: list[str]) -> str | None:
    chosen = override.value()
    for name in chosen if isinstance(chosen, list) else [chosen]:
        shown = "null" if name is None else str(name)
        if shown not in options and not override.is_delete():
            there_are = f"there are: {', '.join(sorted(options))}"
            return f"{override.key_or_group}={shown}: no such option{nearest(shown, options)}; {there_are}"
    return None


def _check_keys(
    verb: str, overrides: Sequence[Override], choices: Sequence[str], folders: Sequence[Path]
) -> Iterator[_Problem]:
    """Name each override whose key the configuration lacks; what `+` adds is for `check_config` to judge."""
    try:
        config = hydra.compose(verb, list(choices))
    except COMPOSITION_ERRORS:
        return
    known = list(_key_paths(config))
    groups = [path.name for folder in folders for path in folder.iterdir() if path.is_dir()]
    for override in overrides:
        key = override.key_or_group
        adds = override.is_add() or override.is_force_add()
        if not (adds or _is_indexed(key) or key in known or key.startswith("hydra")):
            parent, _, leaf = key.rpartition(".")
            beside = [path.rpartition(".")[2] for path in known if path.rpartition(".")[0] == parent]
            beyond = _new_table(key, known) or nearest(key, [*known, *groups])
            close = nearest(leaf, beside) if parent in known else beyond
            while parent and not beside:
                parent = parent.rpartition(".")[0]
                beside = [path.rpartition(".")[2] for path in known if path.rpartition(".")[0] == parent]
            there_are = ", ".join(name for name in beside if not name.endswith("_"))
            yield _Problem(f"{key}: no such key{close or f'; there are: {there_are}'}", override.input_line)


def _new_table(key: str, known: Sequence[str]) -> str:
    """How a table is given that the file lacks, if `key` is one of such a table whose name is like no other's."""
    names = key.split(".")
    forms = {"events": "path: …, time: …, roles: {…}", "entities": "path: …, id: …"}
    if names[0] != "data" or len(names) < 4 or names[1] not in forms:
        return ""
    above = ".".join(names[:2])
    tables = [path.rpartition(".")[2] for path in known if path.rpartition(".")[0] == above]
    if names[2] in tables or nearest(names[2], tables):
        return ""
    return f"; a table that the file lacks is given whole: '{above}.{names[2]}={{{forms[names[1]]}}}'"


def _key_paths(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing()):
        for key in map(str, node):
            yield f"{prefix}{key}"
            yield from _key_paths(node._get_node(key), f"{prefix}{key}.")


def _shorten(error: Exception) -> str:
    """Hydra's own message without its grammar and search paths, for faults in the YAML files themselves."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}, line {mark.line + 1}: not valid YAML: {error.problem}"
    text = str(error) or str(error.__cause__)
    group, _, options = text.partition("\nAvailable options:\n")
    if named := re.match(r"You must specify '(\S+?)'", group):
        return f"{named[1]}: choose one with {named[1]}=…; there are: {', '.join(options.split())}"
    lines = [line.strip() for line in text.splitlines() if line.strip() and "To append to" not in line]
    if error.__cause__ is not None and str(error.__cause__) not in text:
        lines += str(error.__cause__).splitlines()[:1]
    return "\n  ".join(lines[:3])
