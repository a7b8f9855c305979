"""Encoding: fitted once on the past, open to what is new, blind to the order of columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch

from gnn.encoders import ABSENT, UNSEEN, Columns, EventEncoder, FeatureSpace, event_columns
from gnn.floors import raw_columns
from graphs.events import Categorical, EventLog

CHANNEL = Categorical(np.array([0, 0, 1, 2, -1], np.int32), pa.array(["web", "app", "kiosk"]))
COLUMNS = Columns(
    ("amount", "age"), np.array([[1, 10], [2, np.nan], [3, 30], [4, 40], [5, 50]], np.float32), {"channel": CHANNEL}
)
PAST = np.array([True, True, True, False, False])


def space(bins: int = 0) -> FeatureSpace:
    return FeatureSpace.fit(COLUMNS, PAST, bins=bins, min_count=1)


def test_unseen_and_absent_categories_have_codes_of_their_own() -> None:
    assert space().vocabularies == {"channel": ("app", "web")}
    assert space().codes(COLUMNS)[:, 0].tolist() == [3, 3, 2, UNSEEN, ABSENT]


def test_missing_numbers_become_the_centre() -> None:
    assert space().numeric(COLUMNS)[1, 1] == 0


def test_the_order_of_columns_does_not_matter() -> None:
    turned = replace(COLUMNS, names=("age", "amount"), numeric=COLUMNS.numeric[:, ::-1])
    np.testing.assert_array_equal(space().numeric(COLUMNS), space().numeric(turned))


def test_what_is_fitted_does_not_depend_on_later_rows() -> None:
    later = replace(COLUMNS, numeric=np.where(PAST[:, None], COLUMNS.numeric, 1e6))
    np.testing.assert_array_equal(FeatureSpace.fit(later, PAST, min_count=1).centre, space().centre)


def test_rare_categories_share_the_unseen_code() -> None:
    assert FeatureSpace.fit(COLUMNS, PAST, min_count=2).vocabularies == {"channel": ("web",)}


def test_the_piecewise_encoding_tells_where_a_number_stands() -> None:
    encoder = EventEncoder(space(bins=3), 8)
    numeric = torch.from_numpy(space(bins=3).numeric(COLUMNS))
    assert encoder(numeric, torch.from_numpy(space().codes(COLUMNS))).shape == (5, 8)


def test_a_small_step_at_the_far_end_is_a_large_one_for_the_piecewise_encoding() -> None:
    amounts = np.exp(np.random.default_rng(0).normal(3, 1, (20_000, 1))).astype(np.float32)
    fitted = FeatureSpace.fit(Columns(("amount",), amounts, {}), np.ones(len(amounts), bool), bins=24)
    far = np.quantile(amounts, [0.999, 0.9995]).astype(np.float32)[:, None]
    encoder, seen = EventEncoder(fitted, 8), []
    encoder.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder(torch.from_numpy(fitted.numeric(Columns(("amount",), far, {}))), torch.zeros(2, 0, dtype=torch.int64))
    one, other = seen[0]
    assert (one[1:] - other[1:]).abs().sum() > 5 * (one[0] - other[0]).abs()


def test_only_columns_that_match_are_binned() -> None:
    fitted = FeatureSpace.fit(COLUMNS, PAST, bins=3, binned=("am*",))
    assert np.isfinite(fitted.edges).all(axis=1).tolist() == [True, False]
    assert EventEncoder(fitted, 8).binned.tolist() == [0]


def test_an_event_without_any_column_can_be_encoded() -> None:
    bare = Columns((), np.zeros((2, 0), np.float32), {})
    fitted = FeatureSpace.fit(bare, np.array([True, True]))
    out = EventEncoder(fitted, 8)(torch.from_numpy(fitted.numeric(bare)), torch.from_numpy(fitted.codes(bare)))
    assert torch.isfinite(out).all()


def test_dropped_columns_are_at_their_centre_in_training_only() -> None:
    encoder, seen = EventEncoder(space(), 8, column_dropout=0.5), []
    encoder.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, :2].detach()))
    numeric, codes = torch.ones(1000, 2), torch.zeros(1000, 1, dtype=torch.int64)
    torch.manual_seed(0)
    encoder.train()(numeric, codes)
    encoder.eval()(numeric, codes)
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(seen[0].mean(0), 0.5, atol=0.05)  # each by itself
    assert 0.2 < (seen[0][:, 0] * seen[0][:, 1]).mean() < 0.3
    assert seen[1].eq(1).all()


def test_a_column_that_is_called_as_ours_are_stays_beside_them(random_log: Callable[..., EventLog]) -> None:
    log = random_log(3)
    named = replace(log, categorical={"event_type": log.categorical["channel"]}, numeric={"hour": log.numeric["size"]})
    columns, floor = event_columns(named), raw_columns(named, np.ones(len(log), bool))
    assert list(columns.categorical)[:2] == ["event_type", "event_type_"]
    assert columns.categorical["event_type"] is log.categorical["channel"]
    assert {"event_type", "event_type_", "hour", "hour_"} <= set(floor.names)
    assert np.array_equal(floor.values[:, floor.names.index("hour")], log.numeric["size"], equal_nan=True)


def test_a_column_of_the_tables_named_like_a_built_in_one_stands_beside_it(random_log: Callable[..., EventLog]) -> None:
    log = random_log(3)
    given = {"amount": np.full(len(log), 1.0), "weekend": np.full(len(log), 2.0), "sender.present": np.zeros(len(log))}
    columns = event_columns(replace(log, numeric=given))
    assert columns.names[:4] == ("amount_", "hour_sin", "hour_cos", "weekend_")
    fitted = FeatureSpace.fit(columns, np.arange(len(log)))
    told = dict(zip(fitted.names, columns.numeric.T, strict=True))
    np.testing.assert_array_equal(told["amount_"], log.amount.astype(np.float32))
    assert (told["amount"] == 1).all() and set(told["sender.present_"]) == {0, 1}


def test_columns_without_such_a_clash_keep_their_names(random_log: Callable[..., EventLog]) -> None:
    assert event_columns(random_log(3)).names[:5] == ("amount", "hour_sin", "hour_cos", "weekend", "size")
    assert COLUMNS.with_numeric(["age"], np.zeros((5, 1))).names == ("amount", "age", "age_")
