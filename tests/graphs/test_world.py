"""The generated world as files: same spec, same bytes; tables that fit together, and the truth about them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from graphs.datasets.archetypes import ARCHETYPES
from graphs.datasets.look_alikes import LOOK_ALIKES
from graphs.datasets.world import WorldSpec, make_world
from graphs.errors import ConfigError
from graphs.events import UNLABELLED
from graphs.ingest import ingest
from graphs.schema import DataSchema

REPOSITORY = Path(__file__).parents[2]
ENTITIES = ("user_id", "card_id", "device_id", "merchant_id", "address_id")


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


# The call


def test_all_faults_of_a_spec_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"world\.days.*world\.archetypes.*pyramid.*world\.evasion"):
        spec("demo", days=3, archetypes={"pyramid": 1.0}, evasion=9)


@pytest.mark.parametrize(
    "change", [{"seed": -1}, {"start": "1500-01-01"}, {"start": "2198-12-31"}, {"days": 30_000_000}]
)
def test_a_world_that_nobody_could_make_or_ingest_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"world.{next(iter(change))}"):
        spec("sample", **change)


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
    with pytest.raises(ConfigError, match="no generated world"):
        make_world(spec("sample"), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "world"]


def test_a_world_in_many_chunks_is_as_large_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphs.datasets.world._ROWS_PER_CHUNK", 100)
    made = make_world(spec("sample"), tmp_path / "world")
    times = pq.read_table(tmp_path / "world" / "payments.parquet")["event_time"].to_pandas()
    assert times.is_monotonic_increasing
    assert made.rows["payments"] == len(times) == pytest.approx(1900, rel=0.1)


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
    assert (demo.payments.amount < 0).mean() == pytest.approx(0.025, abs=0.005)
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
    assert set(log.entity_ids) == {"user", "card", "device", "merchant", "address", "ip"}


# Truth


def ring_users(world: World) -> set[str]:
    members = world.truth_members
    return set(members.entity_id[(members.entity_type == "user") & (members.role != "victim")])


def test_every_archetype_acts_and_rings_act_in_every_third_of_the_world(demo: World) -> None:
    rings = demo.truth_rings
    assert set(rings.archetype) == set(ARCHETYPES)
    assert (rings.payments + rings.transfers > 0).all()
    thirds = pd.cut(rings.start_time.dt.dayofyear, [0, 50, 100, 190], labels=False)
    assert thirds.value_counts().min() >= 6


def test_late_archetypes_do_not_exist_before_their_share_of_the_period(demo: World) -> None:
    started = (demo.truth_rings.start_time - pd.Timestamp("2025-01-06", tz="UTC")).dt.days / 180
    first = started.groupby(demo.truth_rings.archetype).min()
    assert first["fan_out"] >= 0.6 and first["synthetic_identities"] >= 0.4
    assert first.drop(["fan_out", "synthetic_identities"]).max() < 0.5


def test_an_archetype_may_have_a_dial_of_its_own(tmp_path: Path) -> None:
    make_world(spec("sample", evasion=0, evasion_of={"bust_out": 4}), tmp_path / "world")
    rings = World(tmp_path / "world").truth_rings
    assert rings.evasion.tolist() == rings.archetype.map(lambda name: 4 if name == "bust_out" else 0).tolist()


def test_every_ring_has_one_organiser_and_some_have_insiders(demo: World) -> None:
    people = demo.truth_members[demo.truth_members.entity_type == "user"]
    assert (people[people.role == "organiser"].groupby("ring_id").size() == 1).all()
    shops = demo.truth_members[demo.truth_members.role == "insider"].merge(demo.truth_rings, on="ring_id")
    inside = shops.groupby(["archetype", "entity_type"]).ring_id.nunique()
    rings = demo.truth_rings.archetype.value_counts()
    assert inside["refund_ring", "user"] == inside["refund_ring", "merchant"] == rings["refund_ring"]
    assert inside["collusive_merchant", "merchant"] == rings["collusive_merchant"]


def acts_of(world: World, archetype: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Payments and transfers of all rings of one archetype, with what they are in truth."""
    rings = world.truth_rings.ring_id[world.truth_rings.archetype == archetype]
    truth = world.truth_payments[world.truth_payments.ring_id.isin(rings)].rename(columns={"is_fraud": "fraud"})
    paid = world.payments.merge(truth, left_on="payment_id", right_on="event_id")
    return paid, world.transfers.merge(truth, left_on="transfer_id", right_on="event_id")


def test_money_of_a_mule_chain_hurries_through_every_member(demo: World) -> None:
    sent = acts_of(demo, "mule_chain")[1]
    hops = sent.groupby("ring_id").receiver_id.nunique()
    users = demo.truth_rings.set_index("ring_id").users.reindex(hops.index)
    assert hops.tolist() == users.tolist() and hops.between(3, 8).all()


def test_money_fans_in_to_one_and_out_of_one(demo: World) -> None:
    organisers = set(demo.truth_members.entity_id[demo.truth_members.role == "organiser"])
    fan_in, fan_out = (acts_of(demo, name)[1] for name in ("fan_in", "fan_out"))
    to_one = fan_in[fan_in.receiver_id.isin(organisers)].groupby("ring_id").sender_id.nunique()
    from_one = fan_out[fan_out.sender_id.isin(organisers)].groupby("ring_id").receiver_id.nunique()
    assert min(to_one.min(), from_one.min()) >= 4


def test_refund_rings_get_money_back_on_other_cards(demo: World) -> None:
    paid = acts_of(demo, "refund_ring")[0]
    back, bought = paid[paid.fraud & (paid.amount < 0)], paid[paid.amount > 0]
    assert (back.kind == "refund").all() and len(back) > 0.2 * len(bought)
    pairs = bought.set_index(["user_id", "card_id"]).index
    assert pd.MultiIndex.from_frame(back[["user_id", "card_id"]]).isin(pairs).mean() < 0.1


def test_tested_cards_are_tried_small_and_emptied_by_others(demo: World) -> None:
    paid = acts_of(demo, "card_testing_pool")[0]
    tests, spent = paid[paid.part == "card_test"], paid[paid.part == "cash_out"]
    assert tests.amount.median() < 0.3 * spent.amount.median()
    both = tests.merge(spent, on="card_id")
    assert (both.user_id_x != both.user_id_y).mean() > 0.8


def test_synthetic_identities_behave_before_they_spend(demo: World) -> None:
    paid, sent = acts_of(demo, "synthetic_identities")
    assert not sent.fraud.any() and not paid.fraud[paid.part == "build_up"].any()
    middle = paid.groupby(["ring_id", "part"]).event_time.median().unstack()
    assert (middle.build_up < middle.bust_out).all()


def test_rings_touch_honest_people(demo: World) -> None:
    insiders = demo.truth_members.entity_id[demo.truth_members.role != "victim"]
    for kind, least in (("device_id", 0.15), ("address_id", 0.1)):
        ours = demo.payments.user_id.isin(insiders)
        things = demo.payments.loc[ours, kind].dropna().unique()
        assert demo.payments.loc[~ours, kind].isin(things).sum() > least * len(things), kind
    assert (demo.truth_members.role == "victim").sum() > 100


def test_ring_payments_are_made_by_its_members_and_victims(demo: World) -> None:
    paid = demo.payments.merge(demo.truth_payments, left_on="payment_id", right_on="event_id")
    paid = paid[paid.ring_id.notna()]
    members = demo.truth_members.set_index(["ring_id", "entity_id"]).index
    assert pd.MultiIndex.from_frame(paid[["ring_id", "user_id"]]).isin(members).all()


def test_look_alikes_of_every_class_are_labelled_and_honest(demo: World) -> None:
    living = {"family", "flatmates", "office", "campus", "cgnat", "kiosk", "apartment_house", "parcel_locker"}
    assert set(demo.truth_groups["class"]) == living | {"resold_phone", "card_victims"} | set(LOOK_ALIKES)
    assert not demo.truth_payments.is_fraud[demo.truth_payments.group_id.notna()].any()


def test_no_ring_account_is_in_an_innocent_group(demo: World) -> None:
    assert not demo.truth_groups.entity_id.isin(ring_users(demo)).any()


def test_events_that_truth_does_not_list_are_not_fraud(demo: World) -> None:
    unlisted = demo.payments[~demo.payments.payment_id.isin(demo.truth_payments.event_id)]
    assert unlisted.is_fraud.mean() < 0.002  # false claims only
