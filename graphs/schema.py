"""`DataSchema`: which column of which table means what, as a configuration says it.

One YAML file in `configs/data/` is one `DataSchema`. It is read with all its faults at once, each under the key
that an override would use (`data.events.payment.time`), so that a mapping is mended in one go.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from graphs.errors import ConfigError
from graphs.logs import mask
from graphs.signatures import nearest
from graphs.time_formats import problem_of

TIME_UNITS = ("iso", "min", "s", "ms", "us", "ns")
ROUNDINGS = {"second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
"""`round_time` to µs: times are taken down to a multiple of it, so nothing is ever moved into its future."""

LONGEST_DELAY_DAYS = 36_525
"""A hundred years."""

NULL_WORDS = (
    "", "nan", "null", "none", "n/a", "na", "nil", "nat", "<na>", "#n/a", "\\n",
)  # fmt: skip
PLACEHOLDERS = (
    "unknown", "unspecified", "undefined", "anonymous", "missing", "default", "dummy", "not available", "other",
    "test", "-", "--", "?", "x", "xxx", "00000000-0000-0000-0000-000000000000", "000000000000000",
)  # fmt: skip
RESERVED_NAMES = (
    "event_type", "event_id", "event_time", "event_timestamp", "known_timestamp", "created_timestamp",
    "last_event_timestamp", "score", "logit", "new_entities", "unseen_categories", "missing_categories", "events_seen",
    "is_new", "model_version", "space_version", "dimension", "embedding",
)  # fmt: skip
"""Columns of the tables that scoring and embedding write, beside one per role or entity type."""

PATH_MARKS = ("/", "\\")
"""What the names of tables and entity types cannot hold."""

POSITIVE_WORDS = ("1", "true", "yes", "y", "t", "on", "fraud", "fraudulent", "chargeback", "positive")
NEGATIVE_WORDS = ("0", "false", "no", "n", "f", "off", "legit", "legitimate", "genuine", "negative")


@dataclass(frozen=True)
class TimeColumn:
    """A column of instants. `unit`: `iso` for text like 2025-03-01T10:00:00Z, else a count since 1970 in min, s, ms, us
    or ns; `format`: a pattern for other text or digits, such as %d/%m/%Y %H:%M."""

    column: str
    unit: str = "iso"
    format: str | None = None


@dataclass(frozen=True)
class RoleColumn:
    """The column that holds the ids of the entities of `entity_type` in the role `name`."""

    name: str
    column: str
    entity_type: str


@dataclass(frozen=True)
class LabelColumn:
    """A column of verdicts, by words; case and outer spaces do not matter, null words are unlabelled.

    With `source` the column stands in another table, whose `key` holds the ids of our rows; `absent` is then what
    a row is that this table does not mention, and `known` its column of when a label became known (None: as the
    table of our rows says, which speaks for the absent rows in any case).
    """

    column: str
    positive: frozenset[str] = frozenset(POSITIVE_WORDS)
    negative: frozenset[str] = frozenset(NEGATIVE_WORDS)
    unlabelled: frozenset[str] = frozenset()
    unknown: str = "error"
    source: str | None = None
    key: str | None = None
    known: TimeColumn | None = None
    absent: str = "unlabelled"


@dataclass(frozen=True)
class EventTable:
    """One table of events of the type `name`. `id` None: ids are made from the row's content.

    `known_time` None: known when it happened. `label_known` None: known `label_delay_days` after the event was.
    """

    name: str
    path: tuple[str, ...]
    time: TimeColumn
    roles: tuple[RoleColumn, ...]
    id: str | None = None
    known_time: TimeColumn | None = None
    amount: str | None = None
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    label: LabelColumn | None = None
    label_known: TimeColumn | None = None
    label_delay_days: float | None = None
    post_event: tuple[str, ...] = ()
    duplicates: str = "error"


@dataclass(frozen=True)
class EntityTable:
    """One table about entities of the type `name`; without `known_time` its rows hold from the start."""

    name: str
    path: tuple[str, ...]
    id: str
    known_time: TimeColumn | None = None
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    label: LabelColumn | None = None
    label_known: TimeColumn | None = None
    post_event: tuple[str, ...] = ()
    duplicates: str = "error"


@dataclass(frozen=True)
class CsvFormat:
    """How text files are written. `delimiter` None: a tab in .tsv and .tab files, else a comma. `thousands` None: the
    other one of comma and full stop; a space stands for no-break spaces, too. `quote` None: quotes mean nothing."""

    delimiter: str | None = None
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"
    quote: str | None = '"'


@dataclass(frozen=True)
class DataSchema:
    """The mapping of a whole data set. Relative paths start at `root`, or where the process runs.

    `timezone`: the zone of times that name none; None makes them a fault. `dst`: which instant a clock time means
    that the zone's clock shows twice or never. `null_values`: what counts as nothing, compared without case and
    outer spaces. `quarantine`: a folder for rejected rows, at most `max_rejects`; None makes each of them a fault.
    """

    events: tuple[EventTable, ...]
    entities: tuple[EntityTable, ...] = ()
    root: str | None = None
    timezone: str | None = None
    dst: str = "error"
    round_time: str | None = None
    id_normalisation: str = "trim"
    null_values: frozenset[str] = frozenset(NULL_WORDS)
    placeholders: frozenset[str] = frozenset(PLACEHOLDERS)
    csv: CsvFormat = field(default_factory=CsvFormat)
    quarantine: str | None = None
    max_rejects: int = 1000

    @classmethod
    def from_config(cls, mapping: Mapping[str, Any]) -> DataSchema:
        """Read a plain mapping, as YAML gives it. Raises ConfigError with one line per problem.

        A table that names no `path` takes the top-level one, so that `data.path=tx.csv` is enough where there is
        one table.

        >>> payment = {"time": "ts", "roles": {"user": "user_id"}}
        >>> DataSchema.from_config({"path": "tx.csv", "events": {"payment": payment}}).events[0].roles[0].entity_type
        'user'
        """
        problems: list[str] = []
        schema = _read_schema(_Node(mapping, "data", problems))
        if problems:
            raise ConfigError("\n".join(mask(problem) for problem in problems))
        return schema

    def resolve(self, path: str) -> Path:
        """`path` as it is to be opened: relative ones start at `root`."""
        return Path(self.root or ".").expanduser() / Path(path).expanduser()


class _Node:
    """A mapping under inspection: takes values by key and type, notes what is wrong, and in the end what is left."""

    def __init__(self, value: object, path: str, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        self.asked: list[str] = []
        if not isinstance(value, Mapping):
            problems.append(f"{path}: expected a mapping, got {value!r}")
            value = {}
        self.values: dict[str, Any] = {str(key): item for key, item in value.items()}

    def problem(self, key: str, message: str) -> None:
        self.problems.append(f"{self.path}.{key}: {message}" if key else f"{self.path}: {message}")

    def raw(self, key: str, default: Any = None) -> Any:
        self.asked.append(key)
        return self.values.get(key, default)

    def text(self, key: str, default: str | None = None, *, required: bool = False) -> str | None:
        value = self.raw(key, default)
        if value is None or isinstance(value, str):
            if value is None and required:
                self.problem(key, "missing")
            return value
        self.problem(key, f"expected text, got {value!r}{_quoted(self.path, key, value)}")
        return None

    def choice(self, key: str, default: str, options: Iterable[str]) -> str:
        value = self.text(key, default)
        if value is not None and value not in options:
            self.problem(key, f"expected one of {', '.join(options)}, got {value!r}{nearest(value, options)}")
        return default if value is None else value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.raw(key)
        items = () if value is None else value if isinstance(value, list | tuple) else (value,)
        if not all(isinstance(item, str) for item in items):
            self.problem(key, f"expected a list of texts, got {value!r}")
            return ()
        for item in sorted({item for item in items if items.count(item) > 1}):
            self.problem(key, f"names {item} twice")
        return tuple(items)

    def number(
        self, key: str, default: float | None = None, *, whole: bool = False, most: float | None = None
    ) -> float | None:
        value = self.raw(key, default)
        if value is None:
            return None
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not (fits and value >= 0 and (most is None or value <= most)):
            reach = "on" if most is None else f"to {most:g}"
            self.problem(key, f"expected {'a whole number' if whole else 'a number'} from 0 {reach}, got {value!r}")
            return default
        return value

    def words(self, key: str, *, numbers: bool = True) -> frozenset[str] | None:
        """A list of words as a set in lower case; YAML's true and null stand for what people write for them.

        Without `numbers`, numbers are refused: YAML has read 0000 as 0 before we see it.
        """
        value = self.raw(key)
        if value is None:
            return None
        items = value if isinstance(value, list | tuple) else (value,)
        found: set[str] = set()
        for item in items:
            if isinstance(item, bool):
                found |= {"yes", "true", "on"} if item else {"no", "false", "off"}
            elif not numbers and isinstance(item, int | float):
                self.problem(
                    key, f"expected words, got the number {item!r}; write it in quotes, as it stands in the file"
                )
            elif item is None or isinstance(item, str | int | float | date):
                found.add(_word(item))
            else:
                self.problem(key, f"expected a list of words, got {item!r} in it")
        return frozenset(found)

    def children(self, key: str) -> dict[str, Any]:
        value = self.raw(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.problem(key, f"expected a mapping of names, got {value!r}")
            return {}
        return {str(name): item for name, item in value.items()}

    def finish(self) -> None:
        for key in self.values:
            if key not in self.asked:
                hint = nearest(key, self.asked) or f"; there are: {', '.join(self.asked)}"
                self.problem(key, f"no such key{hint}")


def _word(item: object) -> str:
    text = "" if item is None else str(item).strip().casefold()
    return text.removesuffix(".0") if isinstance(item, float) else text


def _quoted(path: str, key: str, value: object) -> str:
    return f"; as text it is written '{path}.{key}=\"{value}\"'" if isinstance(value, int | float | date) else ""


def _read_schema(node: _Node) -> DataSchema:
    shared_path = _read_paths(node)
    unit = node.choice("time_unit", "iso", TIME_UNITS)
    nulls = node.words("null_values", numbers=False)
    extra = node.words("extra_null_values", numbers=False) or frozenset()
    placeholders = node.words("placeholders", numbers=False)
    timezone = node.text("timezone")
    if timezone is not None and not _is_zone(timezone):
        node.problem("timezone", f"{timezone!r} is not a time zone; write one like UTC or Europe/London")
    rounding = node.text("round_time")
    if rounding is not None and rounding not in ROUNDINGS:
        node.problem("round_time", f"expected one of {', '.join(ROUNDINGS)}, got {rounding!r}")
    events = tuple(
        _read_event_table(_Node(table, f"{node.path}.events.{name}", node.problems), name, shared_path, unit)
        for name, table in node.children("events").items()
        if table is not None
    )
    entities = tuple(
        _read_entity_table(_Node(table, f"{node.path}.entities.{name}", node.problems), name, shared_path, unit)
        for name, table in node.children("entities").items()
        if table is not None
    )
    if not events:
        node.problem("events", "missing; name at least one event table")
    schema = DataSchema(
        events=events,
        entities=entities,
        root=node.text("root"),
        timezone=timezone,
        dst=node.choice("dst", "error", ("error", "earlier", "later")),
        round_time=rounding,
        id_normalisation=node.choice("id_normalisation", "trim", ("none", "trim", "trim_lower")),
        null_values=(frozenset(NULL_WORDS) if nulls is None else nulls) | extra | {""},
        placeholders=frozenset(PLACEHOLDERS) if placeholders is None else placeholders,
        csv=_read_csv_format(_Node(node.raw("csv") or {}, f"{node.path}.csv", node.problems)),
        quarantine=node.text("quarantine"),
        max_rejects=int(node.number("max_rejects", 1000, whole=True) or 0),
    )
    node.finish()
    _check_role_types(schema, node)
    _check_names(schema, node)
    return schema


def _read_paths(node: _Node) -> tuple[str, ...]:
    paths = node.texts("path")
    for path in paths:
        if path in ("", "???"):
            node.problem("path", "required; name a file, a folder or a pattern like data/*.parquet")
    return paths


def _table_paths(node: _Node, shared: tuple[str, ...]) -> tuple[str, ...]:
    paths = _read_paths(node)
    if not (paths or shared):
        node.problem("path", "missing; name a file, a folder or a pattern like data/*.parquet")
    return paths or shared


def _read_event_table(node: _Node, name: str, shared: tuple[str, ...], unit: str) -> EventTable:
    time = _read_time(node, "time", unit)
    if time is None and not isinstance(node.values.get("time"), Mapping | str):
        node.problem("time", "missing; name the column of when it happened")
    table = EventTable(
        name=name,
        path=_table_paths(node, shared),
        id=node.text("id"),
        time=time or TimeColumn(""),
        known_time=_read_time(node, "known_time", unit),
        roles=_read_roles(node),
        amount=node.text("amount"),
        numeric=node.texts("numeric"),
        categorical=node.texts("categorical"),
        label=_read_label(node, unit),
        label_known=_read_time(node, "label_known", unit),
        label_delay_days=node.number("label_delay_days", most=LONGEST_DELAY_DAYS),
        post_event=node.texts("post_event"),
        duplicates=node.choice("duplicates", "error", ("error", "first", "last")),
    )
    if table.label_known is not None and table.label_delay_days is not None:
        node.problem("label_delay_days", "give this or label_known, not both; set the other to null")
    if table.label is not None and table.label.known is not None:
        if table.label_known is not None:
            node.problem("label.known", "give this or label_known, not both; set the other to null")
        if table.label_delay_days is not None and table.label.absent != "negative":
            node.problem(
                "label_delay_days",
                "beside label.known it is for the rows that the other table does not mention, with label.absent: "
                "negative; set it to null",
            )
    if table.label is not None and table.label.source is not None and table.id is None:
        node.problem("label.from", "needs the table's id column, which names the rows of the other table")
    node.finish()
    _check_features(node, table)
    return table


def _read_entity_table(node: _Node, name: str, shared: tuple[str, ...], unit: str) -> EntityTable:
    table = EntityTable(
        name=name,
        path=_table_paths(node, shared),
        id=node.text("id", required=True) or "",
        known_time=_read_time(node, "known_time", unit),
        numeric=node.texts("numeric"),
        categorical=node.texts("categorical"),
        label=_read_label(node, unit),
        label_known=_read_time(node, "label_known", unit),
        post_event=node.texts("post_event"),
        duplicates=node.choice("duplicates", "error", ("error", "first", "last")),
    )
    node.finish()
    _check_features(node, table)
    return table


def _check_features(node: _Node, table: EventTable | EntityTable) -> None:
    label_column = table.label.column if table.label is not None and table.label.source is None else None
    for kind in ("numeric", "categorical"):
        for column in getattr(table, kind):
            if column in table.post_event:
                node.problem(kind, f"{column} is declared in post_event: known only afterwards, so not a feature")
            if column == label_column:
                node.problem(kind, f"{column} is the label")
    for column in set(table.numeric) & set(table.categorical):
        node.problem("categorical", f"{column} is listed in numeric, too")


def _read_time(node: _Node, key: str, unit: str) -> TimeColumn | None:
    value = node.raw(key)
    if value is None:
        return None
    if isinstance(value, str):
        return TimeColumn(value, unit)
    inner = _Node(value, f"{node.path}.{key}", node.problems)
    column, format = inner.text("column", required=True) or "", inner.text("format")
    if format is not None:
        # A column with a format is text, whatever `time_unit` says of the others.
        unit = "iso"
        problem = problem_of(format)
        if problem is not None:
            inner.problem("format", f"{format!r}: {problem}")
    found = TimeColumn(column, inner.choice("unit", unit, TIME_UNITS), format)
    if format is not None and found.unit != "iso":
        inner.problem("format", f"give this or unit, not both: {found.unit} is a count since 1970, and no text")
    inner.finish()
    return found


def _read_roles(node: _Node) -> tuple[RoleColumn, ...]:
    roles = []
    for name, value in node.children("roles").items():
        if value is None:
            continue
        if isinstance(value, str):
            roles.append(RoleColumn(name, value, name))
            continue
        inner = _Node(value, f"{node.path}.roles.{name}", node.problems)
        column = inner.text("column", required=True) or ""
        roles.append(RoleColumn(name, column, inner.text("type", name) or name))
        inner.finish()
    if not roles and not node.values.get("roles"):
        node.problem("roles", "missing; an event joins at least one entity, as roles: {user: user_id}")
    return tuple(roles)


def _read_label(node: _Node, unit: str) -> LabelColumn | None:
    value = node.raw("label")
    if value is None:
        return None
    if isinstance(value, str):
        return LabelColumn(value)
    inner = _Node(value, f"{node.path}.label", node.problems)
    positive, negative = inner.words("positive"), inner.words("negative")
    unlabelled = inner.words("unlabelled") or frozenset()
    for left, right, where in (
        (positive, negative, "negative"),
        (positive, unlabelled, "unlabelled"),
        (negative, unlabelled, "unlabelled"),
    ):
        for word in sorted((left or frozenset()) & (right or frozenset())):
            inner.problem(where, f"{word!r} is listed twice with different meanings")
    # A list that was given beats the default of the other side.
    if positive is None:
        positive = frozenset(POSITIVE_WORDS) - (negative or frozenset()) - unlabelled
    if negative is None:
        negative = frozenset(NEGATIVE_WORDS) - positive - unlabelled
    label = LabelColumn(
        column=inner.text("column", required=True) or "",
        positive=positive,
        negative=negative,
        unlabelled=unlabelled,
        unknown=inner.choice("unknown", "error", ("error", "drop")),
        source=inner.text("from"),
        key=inner.text("key"),
        known=_read_time(inner, "known", unit),
        absent=inner.choice("absent", "unlabelled", ("unlabelled", "negative")),
    )
    if (label.source is None) != (label.key is None):
        inner.problem("key", "`from` names the other table and `key` its column of our ids: give both or none")
    if label.source is None and label.known is not None:
        inner.problem("known", "is a column of the table that `from` names; beside our own label it is label_known")
    inner.finish()
    return label


def _read_csv_format(node: _Node) -> CsvFormat:
    thousands = node.text("thousands")
    delimiter = node.text("delimiter")
    made = CsvFormat(
        # Hydra leaves an override's \t the two characters that it is.
        delimiter="\t" if delimiter == r"\t" else delimiter,
        decimal=node.choice("decimal", ".", (".", ",")),
        # As a mark, a space and the no-break spaces mean each other.
        thousands=" " if thousands in ("\u00a0", "\u202f") else thousands,
        encoding=node.text("encoding") or "utf-8",
        quote=node.text("quote", '"'),
    )
    for key in ("delimiter", "thousands", "quote"):
        mark = getattr(made, key)
        if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in "\r\n"):
            node.problem(key, f"expected one plain character, got {mark!r}")
    if made.thousands is not None and (made.thousands == made.decimal or made.thousands.isalnum()):
        node.problem("thousands", f"{made.thousands!r} can't mark thousands beside the decimal {made.decimal!r}")
    if made.delimiter is not None and made.delimiter == made.quote:
        node.problem("quote", "the same as the delimiter")
    try:
        "".encode(made.encoding)
    except LookupError:
        node.problem("encoding", f"{made.encoding!r} is not an encoding; write one like utf-8, cp1252, utf-16")
    node.finish()
    return made


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _check_role_types(schema: DataSchema, node: _Node) -> None:
    types: dict[str, tuple[str, str]] = {}
    for table in schema.events:
        for role in table.roles:
            first = types.setdefault(role.name, (role.entity_type, table.name))
            if first[0] != role.entity_type:
                node.problem(
                    f"events.{table.name}.roles.{role.name}",
                    f"is of type {role.entity_type} here and of type {first[0]} in {first[1]}; name the roles apart",
                )


def _check_names(schema: DataSchema, node: _Node) -> None:
    roles = [(f"events.{table.name}.roles.{role.name}", role) for table in schema.events for role in table.roles]
    types = [(f"{key}.type", role.entity_type) for key, role in roles if role.entity_type != role.name]
    types += [(f"entities.{table.name}", table.name) for table in schema.entities]
    names = [(key, role.name) for key, role in roles] + types
    types += [(key, role.name) for key, role in roles if role.entity_type == role.name]
    for key, name in [*types, *((f"events.{table.name}", table.name) for table in schema.events)]:
        if any(mark in name for mark in PATH_MARKS):
            node.problem(key, f"{name!r} names files and pages, and so can hold none of {' '.join(PATH_MARKS)}")
    for key, name in names:
        if name in RESERVED_NAMES:
            node.problem(
                key,
                f"{name} is the name of a column that scoring or embedding writes; take another name than "
                f"{', '.join(RESERVED_NAMES)}",
            )


def feature_names(tables: Sequence[EventTable], kind: str) -> tuple[str, ...]:
    """The names of the features of `kind` (numeric or categorical) over all tables, in order of first mention."""
    return tuple(dict.fromkeys(name for table in tables for name in getattr(table, kind)))
