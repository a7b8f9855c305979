"""Communities of transfers and bad regulars: small cases by hand, overlapping rings, who was robbed."""

import numpy as np
import pyarrow as pa
import pytest

from graphs.config import check_config, compose
from graphs.rings.finders import Transfers
from graphs.rings.ground import Ground
from graphs.rings.regulars import regular_pairs
from graphs.rings.run import find
from graphs.rings.suspicion import NO_SCORES, ScoreTable
from graphs.rings.transfers import near_in_time, robbed, suspicious_flows

DAY = 86_400_000_000
HOUR = 3_600_000_000


def lay(log, scores=NO_SCORES):
    return Ground.lay(
        log, scores, as_of=100 * DAY, actor=None, window_days=90, half_life_days=30, hub_cap=20, hub_caps={}
    )


def transfers(start, *pairs):
    rows = [{"sender": a, "receiver": b, "time": start + j * HOUR} for j, (a, b) in enumerate(pairs)]
    return [{**row, "id": f"{row['time']}", "type": "transfer", "amount": 9.0} for row in rows]


def bad(*parts):
    """The rows as known fraud, and twenty honest transfers beside them."""
    rows = [{**row, "label": 1, "label_known": row["time"]} for part in parts for row in part]
    return rows + transfers(30 * DAY, *[(f"h{j}", f"g{j}") for j in range(20)])


@pytest.fixture
def finder():
    made = check_config(compose("find_rings", ["finder=transfers", "finder.least_p=0"])).keywords["finder"]
    assert isinstance(made, Transfers)
    return made


def found_in(log, finder, scores=NO_SCORES):
    members = find(log, finder, as_of=100 * DAY, scores=scores).tables["members"].to_pylist()
    rings = {row["ring_id"] for row in members}
    told = [
        {row["entity_id"] for row in members if (row["ring_id"], row["part"]) == (ring, "member")} for ring in rings
    ]
    return sorted(told, key=sorted)


def test_an_account_that_serves_two_rings_is_in_both(log_from_rows, finder):
    cycle = transfers(50 * DAY, ("m", "b"), ("b", "c"), ("c", "m"))
    fan = transfers(80 * DAY, ("m", "x"), ("m", "y"), ("m", "z"))
    assert found_in(log_from_rows(bad(cycle, fan)), finder) == [{"b", "c", "m"}, {"m", "x", "y", "z"}]


def test_the_same_accounts_after_a_pause_are_the_same_ring(log_from_rows, finder):
    first, again = (transfers(start, ("a", "b"), ("b", "c"), ("c", "a")) for start in (50 * DAY, 90 * DAY))
    assert found_in(log_from_rows(bad(first, again)), finder) == [{"a", "b", "c"}]


def test_without_scores_and_known_fraud_no_transfer_is_suspicious(log_from_rows):
    ground = lay(log_from_rows(transfers(50 * DAY, ("a", "b"), ("b", "c"))))
    assert not len(suspicious_flows(ground, times_usual=4.0))


def test_suspicious_is_several_times_the_mean_however_rare_fraud_is(log_from_rows):
    rows = transfers(50 * DAY, *[(f"a{j}", f"b{j}") for j in range(10)])
    score = np.array([0.001] * 9 + [0.01])
    table = pa.table({"event_type": ["transfer"] * 10, "event_id": [row["id"] for row in rows], "score": score})
    ground = lay(log_from_rows(rows), ScoreTable("mine", events=table))
    assert ground.suspicion.event[ground.flows.event[suspicious_flows(ground, times_usual=4.0)]].tolist() == [0.01]


def test_transfers_of_one_account_are_linked_the_less_the_longer_between(log_from_rows):
    rows = [*transfers(50 * DAY, ("a", "b")), *transfers(54 * DAY, ("b", "c")), *transfers(55 * DAY, ("x", "y"))]
    ground = lay(log_from_rows(rows))
    near = near_in_time(ground, np.arange(3), fade_days=2.0).toarray()
    expected = np.zeros((3, 3))
    expected[0, 1] = expected[1, 0] = np.exp(-2)
    assert near == pytest.approx(expected)


def test_who_pays_a_mule_was_robbed_and_who_pays_the_collector_was_not():
    # 1, 2, 3 pay a mule each (11, 12, 13), who pay the collector 20; 4 pays the collector itself.
    source = np.array([1, 2, 3, 11, 12, 13, 4])
    target = np.array([11, 12, 13, 20, 20, 20, 20])
    assert robbed(source, target).tolist() == [1, 2, 3]


def test_who_feeds_several_that_pay_a_collector_is_of_the_ring():
    assert not len(robbed(np.array([1, 1, 1, 11, 12, 13]), np.array([11, 12, 13, 20, 20, 20])))


def visits(*users_and_times):
    rows = [
        {"id": f"e{j}", "type": "payment", "sender": user, "device": "till", "time": (50 + day) * DAY, "amount": 9.0}
        for j, (user, day) in enumerate(users_and_times)
    ]
    return [{**row, "label": 1, "label_known": row["time"]} for row in rows]


def test_who_comes_back_with_bad_payments_is_linked_at_the_till(log_from_rows):
    ground = lay(log_from_rows(visits(("a", 1), ("a", 2), ("b", 1), ("b", 3), ("once", 2))))
    pairs = regular_pairs(ground, np.zeros(len(ground.hubs.degree), bool), weight=0.5, gap_days=14)
    names = ground.window.log.entity_ids["user"]
    assert [(names[int(a)].as_py(), names[int(b)].as_py()) for a, b in zip(pairs.left, pairs.right, strict=True)] == [
        ("a", "b")
    ]


def test_regulars_of_what_links_anyway_are_not_counted_twice(log_from_rows):
    ground = lay(log_from_rows(visits(("a", 1), ("a", 2), ("b", 1), ("b", 3))))
    assert not len(regular_pairs(ground, np.ones(len(ground.hubs.degree), bool), weight=0.5, gap_days=14).left)
