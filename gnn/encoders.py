"""Columns of events to vectors: robust scaling and closed vocabularies that are fitted once, on the past only.

A `FeatureSpace` is all the state that encoding needs, and it is small and portable: medians, spreads, bin edges
and vocabularies of the training period. New categories fall to the code UNSEEN and blanks to the code ABSENT, so
nothing has to be retrained before a new value, user or card can be scored.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from scipy.special import expit
from torch import Tensor, nn

from gnn.rowwise import RowLinear
from graphs.attributes import attributes_as_of
from graphs.behaviour import calendar
from graphs.events import MISSING, Categorical, EventLog

ABSENT, UNSEEN = 0, 1
"""The first two codes of every vocabulary: nothing was there, and something never seen in training."""

CLIP = 8.0
"""How many spreads a number may lie from the centre; beyond, it counts as so far."""

OUTERMOST = 9.0
"""Log-odds of the outermost edge of a binned column: one row in 8,000 lies beyond."""


@dataclass(frozen=True)
class Columns:
    """Raw model inputs, before any fitting: `numeric` (rows, columns) float32 with NaN for missing, and text
    columns by codes."""

    names: tuple[str, ...]
    numeric: np.ndarray
    categorical: Mapping[str, Categorical]

    def __post_init__(self) -> None:
        assert len(set(self.names)) == len(self.names), self.names

    def __len__(self) -> int:
        return len(self.numeric)

    def with_numeric(self, names: Sequence[str], values: np.ndarray) -> Columns:
        """The same rows with further numeric columns (rows, len(names)) behind the present ones, none of whose names
        they take."""
        names = [unused(name, self.names) for name in names]
        numeric = np.concatenate([self.numeric, values.astype(np.float32, copy=False)], axis=1)
        return Columns((*self.names, *names), numeric, self.categorical)


def event_columns(log: EventLog, *, clock: bool = True) -> Columns:
    """What an event says of itself, always the same columns for the same mapping.

    Amount, hour and weekday (`clock`), numeric and text columns, its entities' attributes as of its own time, and
    which roles are filled.
    """
    names: list[str] = []
    columns: list[np.ndarray] = []

    def add(name: str, values: np.ndarray) -> None:
        names.append(unused(name, names))
        columns.append(values.astype(np.float32))

    add(unused("amount", log.numeric), log.amount)
    if clock:
        hour_sin, hour_cos, day_of_week = calendar(log.event_time).T
        add(unused("hour_sin", log.numeric), hour_sin)
        add(unused("hour_cos", log.numeric), hour_cos)
        add(unused("weekend", log.numeric), day_of_week >= 5)
    for name, values in log.numeric.items():
        add(name, values)
    categorical = dict(log.categorical)
    if len(log.event_types) > 1:
        kind = Categorical(log.event_type.astype(np.int32), pa.array(log.event_types))
        categorical[unused("event_type", categorical)] = kind
    for slot, role in enumerate(log.roles):
        add(f"{role.name}.present", (log.entities[:, slot] != MISSING).astype(np.float32))
        numeric, text = role_attributes(log, slot)
        for name, values in numeric.items():
            add(name, values)
        categorical |= {unused(name, categorical): column for name, column in text.items()}
    matrix = np.stack(columns, axis=1) if columns else np.zeros((len(log), 0), np.float32)
    return Columns(tuple(names), matrix, categorical)


def unused(name: str, taken: Container[str]) -> str:
    """`name`, with as many underscores behind it as it takes to be none of those that tables gave their columns."""
    while name in taken:
        name += "_"
    return name


def role_attributes(log: EventLog, slot: int) -> tuple[dict[str, np.ndarray], dict[str, Categorical]]:
    """Numeric and text attributes (events,) of the entities in one role as of their events, by `role.attribute`."""
    role = log.roles[slot]
    numeric, text = attributes_as_of(log, role.entity_type, log.entities[:, slot], log.event_time)
    return (
        {f"{role.name}.{name}": values for name, values in numeric.items()},
        {f"{role.name}.{name}": column for name, column in text.items()},
    )


def squash(values: np.ndarray) -> np.ndarray:
    """sign(x)·log(1 + |x|): keeps order and sign, tames the tails of money and counts."""
    return np.sign(values) * np.log1p(np.abs(values))


def attribute_columns(log: EventLog, entity_type: str, entities: np.ndarray, times: np.ndarray) -> Columns:
    """Attributes of entities (n,) as of times (n,), as known by then."""
    if entity_type not in log.attributes:
        return Columns((), np.zeros((len(entities), 0), np.float32), {})
    numeric, text = attributes_as_of(log, entity_type, entities, times)
    matrix = np.stack([*numeric.values()], axis=1) if numeric else np.zeros((len(entities), 0))
    return Columns(tuple(numeric), matrix.astype(np.float32), text)


@dataclass(frozen=True)
class FeatureSpace:
    """The fitted encoding: centre and spread (columns,) of every squashed numeric column, quantile `edges`
    (columns, bins) for the piecewise part, NaN where a column has none, and one vocabulary per text column."""

    names: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray
    edges: np.ndarray
    vocabularies: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(
        cls,
        columns: Columns,
        rows: np.ndarray,
        *,
        bins: int = 0,
        binned: Sequence[str] = ("*",),
        min_count: int = 5,
        max_categories: int = 1000,
    ) -> FeatureSpace:
        """Fit on `rows` (a boolean mask or indices), which must lie in the training period.

        `bins` quantiles of the columns that match a pattern of `binned` (shell wildcards) are edges, dense at both
        ends, where fraud is: evenly spaced in log-odds. A category needs `min_count` rows to get a code of its own;
        rarer ones share UNSEEN, which so learns what rare means. At most `max_categories` per column, the most
        frequent, ties by name.
        """
        count = len(columns.names)
        centre, spread, edges = np.zeros(count), np.ones(count), np.full((count, bins), np.nan, np.float32)
        levels = expit(np.linspace(-OUTERMOST, OUTERMOST, bins))
        # Column by column: the whole matrix in double precision would be several times the data.
        for j in range(count):
            seen = squash(columns.numeric[:, j][rows].astype(np.float64))
            seen = seen[np.isfinite(seen)]
            if not len(seen):
                continue
            centre[j], deviation = seen.mean(), seen.std()
            spread[j] = deviation if deviation > 1e-6 else 1.0
            if bins and any(fnmatchcase(columns.names[j], pattern) for pattern in binned):
                edges[j] = (np.quantile(seen, levels) - centre[j]) / spread[j]
        vocabularies = {}
        for name, column in columns.categorical.items():
            codes = column.codes[rows]
            found = np.bincount(codes[codes != MISSING], minlength=len(column.values))
            words = column.values.to_pylist()
            kept = sorted((c for c in range(len(words)) if found[c] >= min_count), key=lambda c: (-found[c], words[c]))
            vocabularies[name] = tuple(sorted(words[c] for c in kept[:max_categories]))
        return cls(columns.names, centre.astype(np.float32), spread.astype(np.float32), edges, vocabularies)

    def numeric(self, columns: Columns) -> np.ndarray:
        """Scaled numeric inputs (rows, columns) float32, clipped to ±CLIP spreads; NaN becomes 0, the centre.

        Columns are taken by name, so their order in the file cannot matter.
        """
        place = {name: j for j, name in enumerate(columns.names)}
        order = [place[name] for name in self.names]
        out = np.empty((len(columns), len(order)), np.float32)
        for j, source in enumerate(order):
            scaled = (squash(columns.numeric[:, source]) - self.centre[j]) / self.spread[j]
            out[:, j] = np.clip(np.nan_to_num(scaled, nan=0.0), -CLIP, CLIP)
        return out

    def codes(self, columns: Columns) -> np.ndarray:
        """Category codes (rows, text columns) int64: ABSENT, UNSEEN, or 2 + position in the vocabulary."""
        out = np.empty((len(columns), len(self.vocabularies)), np.int64)
        for j, (name, vocabulary) in enumerate(self.vocabularies.items()):
            column = columns.categorical[name]
            known = {word: 2 + position for position, word in enumerate(vocabulary)}
            table = np.array([*(known.get(word, UNSEEN) for word in column.values.to_pylist()), ABSENT], np.int64)
            out[:, j] = table[column.codes]
        return out


def arrays_of(spaces: Mapping[str, FeatureSpace]) -> dict[str, Tensor]:
    """The numbers of several encodings, as `task.part`; with `columns_of` they are all there is to keep."""
    parts = ("centre", "spread", "edges")
    return {
        f"{task}.{part}": torch.from_numpy(getattr(space, part)).contiguous()
        for task, space in spaces.items()
        for part in parts
    }


def columns_of(spaces: Mapping[str, FeatureSpace]) -> dict[str, Any]:
    """The words of several encodings: by task its `numeric` names, and its `text` columns with their vocabularies."""
    return {
        task: {"numeric": list(space.names), "text": {name: list(words) for name, words in space.vocabularies.items()}}
        for task, space in spaces.items()
    }


def names_of(columns: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """What `columns_of` told, without the vocabularies."""
    return {task: {"numeric": list(of["numeric"]), "text": list(of["text"])} for task, of in columns.items()}


def spaces_from(arrays: Mapping[str, Tensor], columns: Mapping[str, Any]) -> dict[str, FeatureSpace]:
    """The encodings that `arrays_of` and `columns_of` took apart."""
    spaces = {}
    for task, of in columns.items():
        centre, spread, edges = (arrays[f"{task}.{part}"].numpy() for part in ("centre", "spread", "edges"))
        vocabularies = {name: tuple(words) for name, words in of["text"].items()}
        spaces[task] = FeatureSpace(tuple(of["numeric"]), centre, spread, edges, vocabularies)
    return spaces


class EventEncoder(nn.Module):
    """h^(0): an event's own columns to (events, width), by a small perceptron.

    A numeric column with edges is also given by its place between training quantiles (piecewise linear encoding,
    Gorishniy et al. 2022, "On Embeddings for Numerical Features"), which lets a network cut at a threshold the way a
    tree does. In training every numeric column of every row is at its centre with probability `column_dropout`, so that
    no few columns carry all: what one of them means may have changed by the time the network is used.
    """

    binned: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        space: FeatureSpace,
        width: int,
        *,
        dropout: float = 0.0,
        column_dropout: float = 0.0,
        category_width: int = 16,
    ) -> None:
        super().__init__()
        self.column_dropout = column_dropout
        sizes = [2 + len(words) for words in space.vocabularies.values()]
        widths = [min(category_width, max(2, round(1.6 * size**0.56))) for size in sizes]
        self.embeddings = nn.ModuleList(nn.Embedding(size, w) for size, w in zip(sizes, widths, strict=True))
        binned = np.flatnonzero(np.isfinite(space.edges).any(axis=1))
        edges = np.pad(space.edges[binned], ((0, 0), (1, 1)), constant_values=((0, 0), (-CLIP, CLIP)))
        self.register_buffer("binned", torch.from_numpy(binned), persistent=False)
        self.register_buffer("low", torch.from_numpy(edges[:, :-1].copy()), persistent=False)
        self.register_buffer("high", torch.from_numpy(edges[:, 1:].copy()), persistent=False)
        inputs = len(space.names) + self.low.numel() + sum(widths)
        self.layers = nn.Sequential(
            RowLinear(max(inputs, 1), width),
            nn.ReLU(),
            nn.Dropout(dropout),
            RowLinear(width, width),
            nn.ReLU(),
        )

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        if self.training and self.column_dropout:
            numeric = numeric * (torch.rand_like(numeric) >= self.column_dropout)
        parts = [numeric]
        if len(self.binned):
            inside = (numeric[:, self.binned].unsqueeze(-1) - self.low) / (self.high - self.low).clamp_min(1e-3)
            parts.append(inside.clamp(0, 1).flatten(1))
        parts += [table(codes[:, j]) for j, table in enumerate(self.embeddings)]
        x = torch.cat(parts, 1)
        if x.shape[1] == 0:
            x = numeric.new_ones(len(numeric), 1)
        return self.layers(x)
