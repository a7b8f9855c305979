"""The generated world: honest ids, times and labels, truth that fits, no shortcut in a single row, and difficulty."""

import json
from collections.abc import Iterator
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import average_precision_score

from graphs.datasets.archetypes import ARCHETYPES
from graphs.datasets.labels import label_events
from graphs.datasets.look_alikes import LOOK_ALIKES
from graphs.datasets.rhythm import DAY, HOUR, rhythms
from graphs.datasets.tokens import tokens
from graphs.datasets.world import WorldSpec, make_world
from graphs.errors import ConfigError
from graphs.events import UNLABELLED
from graphs.ingest import ingest
from graphs.schema import DataSchema

REPOSITORY = Path(__file__).parents[2]
MONDAY = 1_736_121_600_000_000  # 2025-01-06T00:00Z in µs
ENTITIES = ("user_id", "card_id", "device_id", "merchant_id")


def spec(name: str, **changes: object) -> WorldSpec:
    values = yaml.safe_load((REPOSITORY / "configs" / "world" / f"{name}.yaml").read_text())
    del values["_target_"]
    return WorldSpec(**{**values, **changes})


class World:
    """Tables of one world by name, read once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._read = folder, {}

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name not in self._read:
            self._read[name] = pd.read_parquet(self._folder / f"{name.replace('truth_', 'truth/')}.parquet")
        return self._read[name]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world") / "demo"
    make_world(spec("demo"), folder)
    yield World(folder)


# Ids


def test_tokens_are_unique_and_absent_codes_are_null() -> None:
    ids = tokens("u", np.array([-1, 0, 1, 2**39]), seed=1).to_pylist()
    assert ids[0] is None and len(set(ids)) == 4
    assert all(len(text) == 9 and text[0] == "u" for text in ids[1:])


def test_tokens_of_a_hundred_thousand_codes_never_meet_and_have_no_order() -> None:
    text = pd.Series(tokens("c", np.arange(100_000), seed=3).to_pylist())
    assert text.is_unique
    assert abs(text.rank().corr(pd.Series(range(100_000)))) < 0.02


def test_tokens_depend_on_kind_and_seed() -> None:
    code = np.array([5])
    made = {tokens(kind, code, seed=seed)[0].as_py()[1:] for kind in "uc" for seed in (1, 2)}
    assert len(made) == 4


# Rhythm


def test_rhythm_inverts_its_own_mass() -> None:
    curve = rhythms(MONDAY, 30)[0]
    times = MONDAY + np.array([0, 5 * HOUR, 3 * DAY + HOUR // 3, 30 * DAY - 1])
    assert np.abs(curve.time_at(curve.mass_at(times)) - times).max() < 10  # µs


def test_rhythm_knows_the_weekday() -> None:
    curve = rhythms(MONDAY, 14)[1]  # the one of people at work
    daily = np.diff(curve.mass_at(MONDAY + np.arange(15) * DAY))
    assert daily[:7].argmin() == 6 and daily[:7].argmax() == 4  # quiet Sundays, busy Fridays


# Labels


def label(fraud: bool, *, unreported_share: float, books_close: int = 10**18) -> tuple[int, float, bool]:
    rows = label_events(
        np.random.default_rng(0),
        np.array([MONDAY]),
        np.array([fraud]),
        np.array([7]),
        seed=1,
        unreported_share=unreported_share,
        books_close=books_close,
    )
    return int(rows.label[0]), float((rows.known_time[0] - MONDAY) / DAY), bool(rows.known[0])


def test_honest_payments_are_cleared_after_sixty_days() -> None:
    assert label(False, unreported_share=0.0) == (0, 60.0, True)


def test_fraud_is_charged_back_five_to_sixty_days_late() -> None:
    verdict, days, known = label(True, unreported_share=0.0)
    assert verdict == 1 and 5 <= days < 60 and known


def test_fraud_that_nobody_reports_ends_as_clean() -> None:
    assert label(True, unreported_share=0.999)[:2] == (0, 60.0)


def test_a_label_after_the_books_closed_is_not_known() -> None:
    assert not label(False, unreported_share=0.0, books_close=MONDAY + 59 * DAY)[2]


# The call


def test_all_faults_of_a_spec_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"world\.days.*world\.archetypes.*pyramid.*world\.evasion"):
        spec("demo", days=3, archetypes={"pyramid": 1.0}, evasion=9)


def test_same_spec_same_bytes_other_seed_other_world(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_world(spec("sample", seed=seed), tmp_path / folder)
    a, b, c = ((tmp_path / folder / "payments.parquet").read_bytes() for folder in "abc")
    assert a == b != c


def test_a_world_replaces_a_world_but_nothing_else(tmp_path: Path) -> None:
    make_world(spec("sample"), tmp_path / "world")
    make_world(spec("sample", seed=2), tmp_path / "world")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a generated world"):
        make_world(spec("sample"), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "world"]


def test_a_world_in_many_chunks_is_as_large_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphs.datasets.world._ROWS_PER_CHUNK", 100)
    made = make_world(spec("sample"), tmp_path / "world")
    times = pq.read_table(tmp_path / "world" / "payments.parquet")["event_time"].to_pandas()
    assert times.is_monotonic_increasing
    assert made.rows["payments"] == len(times) == pytest.approx(1500, rel=0.1)


def test_without_rings_and_look_alikes_there_is_still_a_world(tmp_path: Path) -> None:
    made = make_world(spec("sample", rings=0, look_alikes=0, lone_fraud_share=0.0), tmp_path / "world")
    assert made.rings == 0 and made.rows["payments"] > 1000


def test_the_committed_sample_is_small_and_what_its_spec_makes(tmp_path: Path) -> None:
    sample = REPOSITORY / "data" / "sample" / "world"
    make_world(spec("sample"), tmp_path / "world")
    names = sorted(str(path.relative_to(sample)) for path in sample.rglob("*.parquet"))
    assert sum((sample / name).stat().st_size for name in names) < 200_000
    for name in names:
        assert pq.read_table(sample / name).equals(pq.read_table(tmp_path / "world" / name)), name
    assert len(names) == 10


# Tables


def test_times_are_microseconds_utc_and_ids_are_text(demo: World) -> None:
    schema = pa.Schema.from_pandas(demo.payments, preserve_index=False)
    for name in ("event_time", "known_time", "label_known_time"):
        assert schema.field(name).type == pa.timestamp("us", tz="UTC")
    assert all(pa.types.is_string(schema.field(name).type) for name in ENTITIES)


def test_there_are_about_as_many_payments_as_asked_for(demo: World) -> None:
    assert len(demo.payments) == pytest.approx(80_000, rel=0.03)
    assert demo.payments.payment_id.is_unique
    assert demo.payments.event_time.is_monotonic_increasing


def test_nobody_pays_before_joining_or_before_the_world_begins(demo: World) -> None:
    joined = demo.users.groupby("user_id").known_time.min()
    first = demo.payments.groupby("user_id").event_time.min()
    assert (joined.reindex(first.index) <= first).all()
    assert first.min() >= pd.Timestamp("2025-01-06", tz="UTC")


def test_users_and_merchants_have_heavy_tails(demo: World) -> None:
    for column, least in (("user_id", 0.05), ("merchant_id", 0.15)):
        counts = demo.payments[column].value_counts()
        assert counts.head(len(counts) // 100).sum() > least * len(demo.payments), column


def test_sharing_a_device_or_a_card_is_normal(demo: World) -> None:
    honest = demo.payments[~demo.payments.user_id.isin(ring_users(demo))]
    assert (honest.groupby("device_id").user_id.nunique() > 1).sum() > 200
    assert (honest.groupby("card_id").user_id.nunique() > 1).sum() > 100


def test_refunds_and_zero_amounts_occur(demo: World) -> None:
    assert (demo.payments.amount < 0).mean() == pytest.approx(0.015, abs=0.005)
    assert (demo.payments.amount == 0).mean() == pytest.approx(0.02, abs=0.01)


def test_fraud_is_there_to_learn_from_and_to_test_on(demo: World) -> None:
    at = demo.payments.event_time.quantile(0.6)
    charged = demo.payments[demo.payments.is_fraud == 1]
    assert (charged.label_known_time <= at).sum() >= 200
    assert (charged.event_time >= demo.payments.event_time.quantile(0.8)).sum() >= 200


def test_labels_come_late_and_some_fraud_is_never_reported(demo: World) -> None:
    rows = demo.payments.merge(demo.truth_payments, left_on="payment_id", right_on="event_id")
    fraud = rows[rows.is_fraud_y]
    late = (fraud.label_known_time - fraud.event_time).dt.total_seconds() / 86400
    assert late.min() >= 5 and late.max() <= 60
    assert fraud.is_fraud_x.mean() == pytest.approx(0.8, abs=0.08)


def test_the_mapping_of_the_world_reads_every_row_and_every_label() -> None:
    mapping = yaml.safe_load((REPOSITORY / "configs" / "data" / "world.yaml").read_text())
    sample = REPOSITORY / "data" / "sample" / "world"
    log = ingest(DataSchema.from_config(mapping | {"root": str(sample)})).log
    rows = json.loads((sample / "world.json").read_text())["rows"]
    assert len(log) == sum(rows.values())
    assert (log.label != UNLABELLED).sum() == rows["payments"] + rows["transfers"]
    assert set(log.entity_ids) == {"user", "card", "device", "merchant"}


# Truth


def ring_users(world: World) -> set[str]:
    members = world.truth_members
    return set(members.entity_id[(members.entity_type == "user") & (members.role != "victim")])


def test_every_archetype_acts_in_every_third_of_the_world(demo: World) -> None:
    rings = demo.truth_rings
    assert set(rings.archetype) == set(ARCHETYPES)
    assert (rings.payments + rings.transfers > 0).all()
    thirds = pd.cut(rings.start_time.dt.dayofyear, [0, 50, 100, 190], labels=False)
    assert thirds.value_counts().min() >= 6


def test_ring_payments_are_made_by_its_members_and_victims(demo: World) -> None:
    paid = demo.payments.merge(demo.truth_payments, left_on="payment_id", right_on="event_id")
    paid = paid[paid.ring_id.notna()]
    members = demo.truth_members.set_index(["ring_id", "entity_id"]).index
    assert pd.MultiIndex.from_frame(paid[["ring_id", "user_id"]]).isin(members).all()


def test_look_alikes_of_every_class_are_labelled_and_honest(demo: World) -> None:
    living = {"family", "flatmates", "office", "campus", "kiosk", "resold_phone"}
    assert set(demo.truth_groups["class"]) == living | set(LOOK_ALIKES)
    assert not demo.truth_payments.is_fraud[demo.truth_payments.group_id.notna()].any()


def test_events_that_truth_does_not_list_are_not_fraud(demo: World) -> None:
    unlisted = demo.payments[~demo.payments.payment_id.isin(demo.truth_payments.event_id)]
    assert unlisted.is_fraud.mean() < 0.002  # false claims only


# No shortcut, and difficulty


def single_row_columns(payments: pd.DataFrame) -> pd.DataFrame:
    """All that one row shows without looking at any other: amounts, hours, lags, nulls, words, ids, position."""
    moments = payments.event_time.dt
    columns = {
        "amount": payments.amount,
        "cents": (payments.amount * 100).round() % 100,
        "hour": moments.hour,
        "weekday": moments.dayofweek,
        "second": moments.second,
        "lag": (payments.known_time - payments.event_time).dt.total_seconds(),
        "no_device": payments.device_id.isna(),
        "position": np.arange(len(payments)) % 997,
    }
    columns |= {name: payments[name].astype("category").cat.codes for name in ("kind", "channel", "category")}
    columns |= {name: payments[name].rank() for name in (*ENTITIES, "payment_id")}
    return pd.DataFrame(columns)


def neighbour_columns(payments: pd.DataFrame) -> pd.DataFrame:
    """Counts over the past of each entity: how long known, how often seen, with how many others."""
    columns = {}
    for name in ENTITIES:
        past = payments.groupby(name)
        columns[f"{name}_seen"] = past.cumcount()
        columns[f"{name}_age"] = payments.event_time - past.event_time.transform("first")
        columns[f"{name}_pause"] = past.event_time.diff()
        for other in ENTITIES:
            is_new = ~payments.duplicated([name, other])
            columns[f"{name}_{other}s"] = is_new.groupby(payments[name]).cumsum()
            columns[f"{name}_{other}_pair"] = payments.groupby([name, other]).cumcount()
    seconds = {key: v.dt.total_seconds() if v.dtype.kind == "m" else v for key, v in columns.items()}
    return pd.DataFrame(seconds)


def ap_on_last_fifth(payments: pd.DataFrame, columns: pd.DataFrame) -> float:
    x, y, cut = columns.to_numpy(dtype=float), payments.is_fraud.to_numpy(), int(0.8 * len(payments))
    table = lightgbm.Dataset(x[:cut], label=y[:cut])
    settings = {"objective": "binary", "num_threads": 1, "verbose": -1, "seed": 1, "learning_rate": 0.08}
    model = lightgbm.train(settings, table, num_boost_round=80)
    return float(average_precision_score(y[cut:], model.predict(x[cut:])))


def test_a_single_row_does_not_give_fraud_away_but_its_neighbours_do(demo: World) -> None:
    alone = single_row_columns(demo.payments)
    assert ap_on_last_fifth(demo.payments, alone) < 0.2
    together = alone.join(neighbour_columns(demo.payments))
    assert ap_on_last_fifth(demo.payments, together) > 0.4


def share_of_rings_found(world: World, links: pd.DataFrame) -> float:
    """Rings with a connected component of Jaccard >= .5, over links (user, thing)."""
    users, things = pd.Categorical(links.user), pd.Categorical(links.thing)
    size = len(users.categories)
    shape = (size + len(things.categories),) * 2
    pairs = (users.codes.astype(int), size + things.codes.astype(int))
    component = pd.Series(
        connected_components(coo_matrix((np.ones(len(links)), pairs), shape=shape))[1][:size],
        index=users.categories,
    )
    sizes, found = component.value_counts(), []
    members = world.truth_members
    members = members[(members.entity_type == "user") & (members.role != "victim")]
    for _, ring in members.groupby("ring_id"):
        inside = component.reindex(ring.entity_id).dropna().value_counts()
        jaccard = inside / (len(ring) + sizes.reindex(inside.index) - inside)
        found.append(jaccard.max() >= 0.5)
    return float(np.mean(found))


def identifier_links(world: World) -> pd.DataFrame:
    """Distinct (user, device or card) pairs of all tables, identifiers of 2 to 20 users."""
    pairs = [
        table[["user_id", thing]].set_axis(["user", "thing"], axis=1)
        for table, things in (
            (world.payments, ("device_id", "card_id")),
            (world.logins, ("device_id",)),
            (world.card_links, ("device_id", "card_id")),
        )
        for thing in things
    ]
    links = pd.concat(pairs).dropna().drop_duplicates()
    return links[links.groupby("thing").user.transform("size").between(2, 20)]


def test_capped_components_do_not_solve_the_world(demo: World) -> None:
    assert share_of_rings_found(demo, identifier_links(demo)) < 0.4


def share_found_by_an_oracle(world: World) -> float:
    """The same finder, told who the suspects are and which things carry mostly fraud."""
    truth = world.truth_payments[world.truth_payments.is_fraud].event_id
    used = world.payments.melt("payment_id", ["device_id", "card_id"], value_name="thing")
    suspicious = used.payment_id.isin(truth).groupby(used.thing).mean() >= 0.4
    links = identifier_links(world)
    links = links[links.user.isin(ring_users(world)) & links.thing.isin(suspicious.index[suspicious])]
    return share_of_rings_found(world, links)


def test_who_knew_the_suspects_and_their_tools_would_find_the_rings(demo: World) -> None:
    assert share_found_by_an_oracle(demo) > 0.85


def test_the_dial_makes_rings_harder_even_for_an_oracle(demo: World, tmp_path: Path) -> None:
    make_world(spec("demo", evasion=4), tmp_path / "hard")
    assert share_found_by_an_oracle(World(tmp_path / "hard")) < share_found_by_an_oracle(demo) - 0.2
