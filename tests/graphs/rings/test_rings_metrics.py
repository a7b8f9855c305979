"""Ring metrics against values worked out by hand on rings of a few letters."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.rings import metrics
from graphs.rings.metrics import Alert, Loss

DAY = 86_400_000_000


def rings(*words):
    """`rings("abc", "de")`: rings whose users are the letters."""
    return [frozenset(word) for word in words]


def test_a_true_ring_is_found_by_jaccard_of_one_half_or_more():
    assert metrics.ring_recall(rings("ab", "wxyz"), rings("abcd", "wx", "pqr")) == 2 / 3
    assert metrics.ring_recall(rings("ab"), rings("abcd"), same=0.6) == 0


def test_recall_per_archetype():
    found = metrics.recall_by_kind(rings("abc"), rings("abc", "de", "fgh"), ["farm", "farm", "chain"])
    assert found == {"farm": 0.5, "chain": 0}


def test_a_ring_found_twice_is_one_hit_and_one_miss():
    assert metrics.precision_at(rings("abc", "abcd", "xyz"), rings("abc", "xyz"), 3) == 2 / 3
    assert metrics.precision_at(rings("abc", "abcd", "xyz"), rings("abc", "xyz"), 2) == 0.5


def test_a_predicted_ring_takes_the_closest_true_ring_that_is_left():
    assert metrics.precision_at(rings("abcd", "abc"), rings("abc", "abcde"), 2) == 1


def test_precision_of_fewer_than_k_counts_those_there_are():
    assert metrics.precision_at(rings("abc"), rings("abc", "xyz"), 50) == 1


def test_b_cubed_of_disjoint_rings():
    # predicted abc|d, true ab|cd: precision (2/3 + 2/3 + 1/3 + 1)/4, recall (1 + 1 + 1/2 + 1/2)/4
    found = metrics.b_cubed(rings("abc"), rings("ab", "cd"))
    assert found.precision == pytest.approx(2 / 3) and found.recall == pytest.approx(3 / 4)
    assert found.f1 == pytest.approx(12 / 17)


def test_b_cubed_counts_an_innocent_as_alone():
    # a, b: 2/3 each of their ring is right; the innocent x: only itself
    assert metrics.b_cubed(rings("abx"), rings("ab")).precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_b_cubed_of_overlapping_rings_by_multiplicity():
    # b is in both true rings; predicted twice the same pair ab: min(2, 1)/2 for the pair
    found = metrics.b_cubed(rings("ab", "ab"), rings("ab"))
    assert found.precision == pytest.approx((1 / 2 + 1 / 2) / 2) and found.recall == 1


def test_pairwise_precision_and_recall():
    found = metrics.pairwise(rings("abc"), rings("ab", "cd"))
    assert (found.precision, found.recall) == (1 / 3, 1 / 2)


def test_over_merge_and_fragmentation():
    assert metrics.over_merge(rings("abcd", "xyz", "abx"), rings("ab", "cd", "xyz")) == 1 / 3
    assert metrics.fragmentation(rings("ab", "cd", "xyz"), rings("abcd", "xyz", "pq")) == 1.5


def test_innocents_per_100_fraud_users_in_the_first_k():
    assert metrics.innocents_per_100(rings("abx", "yz"), set("ab"), 1) == 50
    assert metrics.innocents_per_100(rings("abx", "yz"), set("ab"), 2) == 150


def test_a_hard_negative_is_hit_where_half_a_wrong_ring_is_one_of_its_groups():
    groups = {"family": rings("xyz"), "office": rings("pqrs", "abc")}
    found = metrics.hard_negative_rates(rings("abc", "xyv", "pwvu"), rings("abc"), groups, 3)
    assert found == {"family": 1 / 3, "office": 0}


def test_money_is_caught_from_the_first_alert_on():
    alerts = [Alert(10, rings("pq", "ab")), Alert(20, rings("cd"))]
    losses = [Loss(9, 1, frozenset("a")), Loss(10, 2, frozenset("a")), Loss(30, 5, frozenset("cx"))]
    assert metrics.value_recall_at(alerts, losses, 2) == 7 / 8
    assert metrics.value_recall_at(alerts, losses, 1) == 5 / 8


def test_days_to_detection():
    alerts = [Alert(2 * DAY, rings("ab")), Alert(3 * DAY, rings("abcd"))]
    found = metrics.detection_days(alerts, rings("abcde", "ab", "xy"), [DAY, 2 * DAY, 0], 5)
    assert found == [2, 0, math.inf]


def test_an_id_switch_is_another_id_that_does_not_bear_the_old_one():
    days = [
        Alert(1, rings("abc"), ["R1"], [[]]),
        Alert(2, rings("abc"), ["R2"], [["R1"]]),
        Alert(3, rings("xyz"), ["R8"], [[]]),
        Alert(4, rings("abcd"), ["R3"], [[]]),
    ]
    assert metrics.id_switches_per_100(days, rings("abc")) == pytest.approx(100 / 3)


@given(st.lists(st.frozensets(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=6, unique=True))
def test_the_truth_itself_is_perfect(true):
    assert metrics.ring_recall(true, true) == metrics.precision_at(true, true, 99) == 1
    assert metrics.b_cubed(true, true).f1 == pytest.approx(1) and metrics.kept_share(true, true) == 1
