"""Columns that tell the label alone are named, and columns that merely look like it are not."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from graphs.errors import DataError
from graphs.events import UNLABELLED, Categorical, EntityAttributes, EntityLabels
from graphs.leaks import refuse_answer_columns, suspicious_columns

ROWS = 400


@pytest.fixture
def log_with(log_from_rows):
    """A log of 400 labelled events, every tenth a fraud, with the columns given."""

    def making(*, numeric=None, categorical=None, **changes):
        log = log_from_rows([{"id": f"{n:03}", "type": "payment", "time": n} for n in range(ROWS)])
        label = (np.arange(ROWS) % 10 == 0).astype(np.int8)
        columns = {"label": label, "numeric": numeric or {}, "categorical": categorical or {}}
        return dataclasses.replace(log, **(columns | changes))

    return making


def named(log):
    return [found.column for found in suspicious_columns(log)]


def category(values):
    words = sorted({value for value in values if value})
    codes = np.array([words.index(value) if value else -1 for value in values], np.int32)
    return Categorical(codes, pa.array(words, pa.string()))


FRAUD = np.arange(ROWS) % 10 == 0


@pytest.mark.parametrize(
    "column",
    [FRAUD * 1.0, -5.0 * FRAUD, FRAUD * 50 + np.arange(ROWS) / ROWS, np.where(FRAUD, np.nan, np.arange(ROWS))],
    ids=["label", "reversed", "threshold", "missing when fraud"],
)
def test_numbers_that_tell_the_label_are_named(log_with, column):
    assert named(log_with(numeric={"x": column})) == ["x"]


@pytest.mark.parametrize("column", [np.arange(ROWS) * 1.0, np.full(ROWS, np.nan), np.zeros(ROWS)])
def test_other_numbers_are_not(log_with, column):
    assert named(log_with(numeric={"x": column})) == []


def test_unique_references_of_fraud_alone_are_named_and_of_all_rows_are_not(log_with):
    disputes = category([f"CB-{n}" if fraud else "" for n, fraud in enumerate(FRAUD)])
    receipts = category([f"R-{n}" for n in range(ROWS)])
    assert named(log_with(categorical={"dispute": disputes, "receipt": receipts})) == ["dispute"]


def test_one_exception_in_many_rows_is_still_nearly_perfect_and_several_are_not(log_with):
    few, more = FRAUD.copy(), FRAUD.copy()
    few[1], more[1:60:2] = True, True
    columns = {
        "few": category(["x" if one else "y" for one in few]),
        "more": category(["x" if one else "y" for one in more]),
    }
    assert named(log_with(categorical=columns)) == []
    assert [found.column for found in suspicious_columns(log_with(categorical=columns), at_least=0.99)] == ["few"]


def test_unlabelled_rows_do_not_count_and_few_labels_prove_nothing(log_with):
    label = np.where(np.arange(ROWS) < 15, FRAUD, UNLABELLED).astype(np.int8)
    assert named(log_with(numeric={"x": FRAUD * 1.0}, label=label)) == []


def test_attributes_of_labelled_entities_are_judged_too(log_with):
    held = EntityAttributes(np.arange(ROWS, dtype=np.int32), np.zeros(ROWS, np.int64), {"blocked": FRAUD * 1.0}, {})
    labels = EntityLabels(FRAUD.astype(np.int8), np.zeros(ROWS, np.int64))
    found = suspicious_columns(log_with(attributes={"user": held}, entity_labels={"user": labels}))
    assert [(one.table, one.column) for one in found] == [("user", "blocked")]


def test_the_refusal_names_the_override_and_can_be_lifted(log_with):
    log = log_with(numeric={"x": FRAUD * 1.0})
    with pytest.raises(DataError, match=r"column x: separates the label .* 'allow_columns=\[x\]'"):
        refuse_answer_columns(log)
    refuse_answer_columns(log, allowed=["x"])
