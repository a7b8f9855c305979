"""Window, suspicion, ties, flows and hubs on a handful of events, against values worked out by hand."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.errors import ConfigError, DataError, NotFoundError
from graphs.rings.ground import Ground
from graphs.rings.suspicion import NO_SCORES, PRIOR, ScoreTable, read_scores
from graphs.rings.ties import Parties
from graphs.rings.window import look_back

DAY = 86_400_000_000


@pytest.fixture
def lay(log_from_rows):
    """A function (rows, scores=…, as_of=…) -> Ground over users, with caps of 3 accounts."""

    def laying(rows, scores=NO_SCORES, *, as_of=100 * DAY, hub_cap=3, **hub_caps):
        return Ground.lay(
            log_from_rows(rows), scores, as_of=as_of, actor=None, window_days=90, half_life_days=30,
            hub_cap=hub_cap, hub_caps=hub_caps,
        )  # fmt: skip

    return laying


def payment(number, user, day, **more):
    return {"id": f"e{number}", "type": "payment", "sender": user, "time": day * DAY, "amount": 10.0, **more}


def transfer(number, source, target, day, **more):
    return {**payment(number, source, day, **more), "type": "transfer", "receiver": target}


def named(ground, kind, codes):
    return [ground.window.log.entity_ids[kind][int(code)].as_py() for code in codes]


def test_the_window_ends_before_as_of_and_begins_so_many_days_earlier(log_from_rows):
    log = log_from_rows([payment(day, "a", day) for day in (9, 10, 50, 99, 100)])
    window = look_back(log, 100 * DAY, days=90, half_life_days=50)
    assert (window.time // DAY).tolist() == [10, 50, 99]
    assert window.decay == pytest.approx([0.5 ** (90 / 50), 0.5, 0.5 ** (1 / 50)])


def test_an_event_learned_of_too_late_is_not_in_the_window(log_from_rows):
    log = log_from_rows([payment(1, "a", 50), payment(2, "a", 60, known=100 * DAY)])
    assert len(look_back(log, 100 * DAY, days=90, half_life_days=30).events) == 1


def test_users_are_the_suspects_unless_told_otherwise(log_from_rows):
    log = log_from_rows([payment(1, "a", 1, device="d")])
    assert Parties.of(log, None).actor == "user" and Parties.of(log, "device").actor == "device"
    with pytest.raises(ConfigError, match="no entities of type 'acount'; there are: user, card, device"):
        Parties.of(log, "acount")


def test_a_tie_sums_up_what_an_account_did_with_an_identifier(lay):
    ground = lay([payment(1, "a", 40, device="d"), payment(2, "a", 70, device="d"), payment(3, "b", 70, device="d")])
    ties = ground.ties
    assert named(ground, "user", ties.actor) == ["a", "b"] and ties.events.tolist() == [2, 1]
    assert ties.mass == pytest.approx([0.75, 0.5]) and ties.value.tolist() == [20, 10]
    assert (ties.first // DAY).tolist() == [40, 70] and (ties.last // DAY).tolist() == [70, 70]


def test_a_device_belongs_to_who_acted_and_not_to_the_receiver(lay):
    ground = lay([transfer(1, "a", "b", 50, device="d")])
    assert named(ground, "user", ground.ties.actor) == ["a"]
    assert named(ground, "user", [*ground.flows.source, *ground.flows.target]) == ["a", "b"]


def test_a_hub_has_more_accounts_than_the_cap_of_its_type(lay):
    rows = [payment(j, f"u{j}", 50, device="kiosk", card="pool" if j < 3 else None) for j in range(4)]
    hubs = lay(rows, card=2).hubs
    assert dict(zip(hubs.degree.tolist(), hubs.cap.tolist(), strict=True)) == {4: 3, 3: 2} and hubs.hub.all()
    assert not lay(rows, hub_cap=4).hubs.hub.any()


def test_without_scores_and_known_fraud_all_are_alike(lay):
    suspicion = lay([payment(1, "a", 50), payment(2, "b", 50)]).suspicion
    assert not suspicion.scored and set(suspicion.actor) == set(suspicion.event) == {PRIOR}


def test_a_label_counts_from_the_day_it_is_known(lay):
    rows = [payment(1, "a", 50, label=1, label_known=99 * DAY), payment(2, "b", 50, label=1, label_known=101 * DAY)]
    assert lay(rows).suspicion.event.tolist() == [1, PRIOR]


def test_an_account_is_as_bad_as_its_two_worst_events(lay):
    table = pa.table({"event_type": ["payment"] * 3, "event_id": ["e1", "e2", "e3"], "score": [0.9, 0.5, 0.1]})
    suspicion = lay([payment(j, "a", 50) for j in (1, 2, 3)], ScoreTable("mine", events=table)).suspicion
    assert suspicion.scored and suspicion.actor.tolist() == [pytest.approx(0.7)]


def test_events_of_an_account_with_a_score_of_its_own_form_no_groups_by_theirs(lay):
    rows = [payment(1, "a", 50), payment(2, "b", 50), payment(3, "a", 50, label=1, label_known=60 * DAY)]
    events = pa.table({"event_type": ["payment"] * 3, "event_id": ["e1", "e2", "e3"], "score": [0.9, 0.8, 0.1]})
    actors = pa.table({"id": ["a"], "score": [0.01]})
    suspicion = lay(rows, ScoreTable("mine", events=events, actors=actors)).suspicion
    assert suspicion.event.tolist() == [0.9, 0.8, 1.0]
    assert suspicion.grouping.tolist() == [PRIOR, 0.8, 1.0]
    assert suspicion.actor.tolist() == [pytest.approx((1 + PRIOR) / 2), pytest.approx((0.8 + PRIOR) / 2)]


def test_a_clean_label_takes_most_of_a_score_away(lay):
    table = pa.table({"event_type": ["payment"], "event_id": ["e1"], "score": [0.9]})
    ground = lay([payment(1, "a", 50, label=0, label_known=60 * DAY)], ScoreTable("mine", events=table))
    assert ground.suspicion.event.tolist() == [pytest.approx(0.27)]


# ---- score tables


@pytest.fixture
def table(tmp_path):
    """A function (name, **columns) -> path of a Parquet or CSV file."""

    def writing(name, **columns):
        path = tmp_path / name
        if path.suffix == ".csv":
            rows = zip(*columns.values(), strict=True)
            path.write_text("\n".join(",".join(map(str, row)) for row in [columns, *rows]) + "\n")
        else:
            pq.write_table(pa.table(columns), path)
        return path

    return writing


def test_a_csv_of_account_scores_is_enough(table):
    found = read_scores(table("mine.csv", user=["007", "8"], score=[0.5, 0.25]), "user", 0)
    assert found.actors is not None and found.events is None
    assert found.actors["id"].to_pylist() == ["007", "8"]


def test_a_score_folder_gives_events_accounts_and_the_model(table, tmp_path):
    table("events.parquet", event_id=["e1"], event_type=["payment"], score=[0.1], model_version=["v1"])
    table("user.parquet", user=["a"], score=[0.2], model_version=["v1"])
    found = read_scores(tmp_path, "user", 0)
    assert found.events is not None and found.actors is not None and found.model_version == "v1"


def test_scores_of_accounts_that_know_more_than_as_of_are_refused(table):
    late = pa.array([5], pa.timestamp("us", tz="UTC"))
    with pytest.raises(ConfigError, match="later than as_of"):
        read_scores(table("mine.parquet", user=["a"], score=[0.2], event_timestamp=late), "user", 4)


def test_what_is_no_probability_is_told_with_its_row(table):
    with pytest.raises(DataError, match=r"column score, data row 2.*not a probability: '1.5'"):
        read_scores(table("mine.parquet", user=["a", "b"], score=[0.2, 1.5]), "user", 0)


def test_a_table_without_a_key_or_a_file_that_is_missing_is_told(table, tmp_path):
    with pytest.raises(DataError, match="no column entity_id"):
        read_scores(table("mine.parquet", who=["a"], score=[0.2]), "user", 0)
    with pytest.raises(NotFoundError, match=r"scores: .*nowhere"):
        read_scores(tmp_path / "nowhere", "user", 0)
