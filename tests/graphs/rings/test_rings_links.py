"""Bursts, weights, projection, chains and victims: small cases by hand, and a brute-force twin of the projection."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from graphs.rings.bursts import bursts_of
from graphs.rings.chains import chain_pairs, count_passes, passes_of
from graphs.rings.ground import Ground
from graphs.rings.projection import Pairs, identifier_weights, link_matrix, shared_pairs
from graphs.rings.suspicion import NO_SCORES, PRIOR, ScoreTable
from graphs.rings.victims import likely_victims, payees

DAY = 86_400_000_000
MINUTE = 60_000_000


def lay(log, scores=NO_SCORES, *, hub_cap=20):
    return Ground.lay(
        log, scores, as_of=100 * DAY, actor=None, window_days=90, half_life_days=30, hub_cap=hub_cap, hub_caps={}
    )


def payment(number, user, device, at, **more):
    return {"id": f"e{number}", "type": "payment", "sender": user, "device": device, "time": at, "amount": 10.0, **more}


def transfer(number, source, target, at, amount=100.0, **more):
    row = {"id": f"t{number}", "type": "transfer", "sender": source, "receiver": target, "time": at, "amount": amount}
    return {**row, **more}


def users(ground, *columns):
    names = ground.window.log.entity_ids["user"]
    return list(zip(*([names[int(code)].as_py() for code in column] for column in columns), strict=True))


def weights_of(ground, **type_weights):
    return identifier_weights(ground.parties, ground.ties, ground.hubs, ground.suspicion, type_weights)


# ---- bursts


def test_two_accounts_within_minutes_are_a_surprise_where_hardly_anybody_comes(log_from_rows):
    ground = lay(log_from_rows([payment(1, "a", "d", 50 * DAY), payment(2, "b", "d", 50 * DAY + 30 * MINUTE)]))
    bursts = bursts_of(ground.window, ground.uses, days=90, minutes=60)
    assert users(ground, bursts.left, bursts.right) == [("a", "b")]
    assert bursts.surprise == pytest.approx([np.exp(-2 * 30 / (90 * 24 * 60))])


def test_the_same_account_again_or_too_late_is_no_burst(log_from_rows):
    rows = [payment(1, "a", "d", 50 * DAY), payment(2, "a", "d", 50 * DAY + 1)]
    ground = lay(log_from_rows([*rows, payment(3, "b", "d", 50 * DAY + 61 * MINUTE)]))
    assert not len(bursts_of(ground.window, ground.uses, days=90, minutes=60).left)


# ---- weights and projection


def test_an_identifier_weighs_its_type_over_the_logarithm_of_its_degree(log_from_rows):
    rows = [payment(j, f"u{j}", "d3" if j < 3 else "d1", 50 * DAY) for j in range(4)]
    assert sorted(weights_of(lay(log_from_rows(rows)), device=0.5)) == pytest.approx([0, 0.5 / np.log2(4)])


def test_hubs_and_types_without_a_weight_say_nothing(log_from_rows):
    rows = [payment(j, f"u{j}", "d", 50 * DAY) for j in range(4)]
    log = log_from_rows(rows)
    assert not weights_of(lay(log, hub_cap=3), device=1.0).any() and not weights_of(lay(log)).any()


def test_suspicion_is_the_mean_of_the_ties_shrunk_towards_the_prior(log_from_rows):
    scores = ScoreTable(
        "mine", events=pa.table({"event_type": ["payment"] * 2, "event_id": ["e0", "e1"], "score": [0.4, 0.4]})
    )
    ground = lay(log_from_rows([payment(j, f"u{j}", "d", 50 * DAY) for j in range(2)]), scores)
    account = (0.4 + PRIOR) / 2
    expected = (2 * np.sqrt(0.4 * account) + PRIOR) / 3 / np.log2(3)
    assert weights_of(ground, device=1.0) == pytest.approx([expected])


def test_who_had_a_phone_after_another_is_linked_the_less_the_longer_between(log_from_rows):
    rows = [payment(1, "a", "d", 70 * DAY), payment(2, "b", "d", 98 * DAY)]
    ground = lay(log_from_rows(rows))
    pairs = shared_pairs(ground.ties, np.array([1.0]), ground.suspicion, gap_days=14)
    seen = np.sqrt(0.5 * 0.5 ** (2 / 30))
    assert pairs.weight == pytest.approx([np.exp(-2) * seen])


@pytest.mark.parametrize("seed", range(5))
def test_the_projection_is_what_two_loops_over_all_pairs_give(random_log, seed):
    ground = lay(random_log(seed))
    ties, weights = ground.ties, np.random.default_rng(seed).random(len(ground.hubs.degree))
    expected = np.zeros((ground.actor_count,) * 2)
    for one, two in combinations(range(len(ties.actor)), 2):
        if ties.identifier[one] == ties.identifier[two]:
            gap = max(ties.first[one], ties.first[two]) - min(ties.last[one], ties.last[two])
            near = np.exp(-max(gap, 0) / (14 * DAY)) * np.sqrt(min(ties.mass[one], 1) * min(ties.mass[two], 1))
            expected[ties.actor[one], ties.actor[two]] += weights[ties.identifier[one]] * near
    pairs = shared_pairs(ties, weights, ground.suspicion, gap_days=14)
    strength = 1.0 if not ground.suspicion.scored else None
    if strength:
        assert link_matrix([pairs], ground.actor_count, least=0).toarray() == pytest.approx(expected + expected.T)


def test_links_are_summed_both_ways_and_weak_ones_left_out():
    pairs = [Pairs(np.array([0, 1, 0]), np.array([1, 0, 2]), np.array([1.0, 2.0, 0.1]))]
    assert link_matrix(pairs, 3, least=0.2).toarray().tolist() == [[0, 3, 0], [3, 0, 0], [0, 0, 0]]


# ---- chains


def chain(*hops):
    """Hops as (source, target, hour, amount)."""
    return [transfer(j, a, b, 50 * DAY + hour * 60 * MINUTE, amount) for j, (a, b, hour, amount) in enumerate(hops)]


def passed(log):
    ground = lay(log)
    passes = passes_of(ground.window, ground.flows, hours=72, least=0.6)
    return ground, passes


def test_who_passes_on_is_a_mule_and_the_first_sender_is_not(log_from_rows):
    ground, passes = passed(log_from_rows(chain(("v", "a", 0, 100), ("a", "b", 2, 95), ("b", "o", 3, 90))))
    assert users(ground, ground.flows.source[passes.outgoing]) == [("a",), ("b",)]
    pairs = chain_pairs(ground.flows, passes, ground.suspicion, weight=1.0)
    assert users(ground, pairs.left, pairs.right) == [("a", "b"), ("b", "o")] and pairs.weight.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "second", [("a", "b", 80, 95), ("a", "b", 2, 50), ("a", "b", 2, 110), ("a", "v", 2, 95), ("a", "b", -1, 95)],
    ids=["too late", "too little", "too much", "straight back", "before"],
)  # fmt: skip
def test_what_is_not_passed_on(log_from_rows, second):
    _, passes = passed(log_from_rows(chain(("v", "a", 0, 100), second)))
    assert not len(passes.incoming)


def test_each_transfer_continues_one_only(log_from_rows):
    ground, passes = passed(log_from_rows(chain(("v", "a", 0, 100), ("w", "a", 1, 100), ("a", "b", 2, 95))))
    assert count_passes(ground.flows, passes, ground.actor_count).sum() == 1


# ---- victims


def bad(*events):
    table = {"event_type": ["transfer"] * len(events), "event_id": list(events), "score": [0.9] * len(events)}
    return ScoreTable("mine", events=pa.table(table))


def victims(log, scores):
    ground = lay(log, scores)
    passes = passes_of(ground.window, ground.flows, hours=72, least=0.6)
    found = likely_victims(ground, count_passes(ground.flows, passes, ground.actor_count))
    return {name for (name,) in users(ground, np.flatnonzero(found))}


def test_whom_bad_money_leaves_and_never_reaches_is_a_victim(log_from_rows):
    rows = chain(("v", "a", 0, 100), ("a", "b", 2, 95), ("x", "y", 0, 10))
    assert victims(log_from_rows(rows), bad("t0", "t1")) == {"v"}


def test_a_transfer_from_a_device_just_met_that_others_use_is_suspicious_by_itself(log_from_rows):
    rows = [payment(j, f"u{j}", "d", 40 * DAY) for j in range(3)]
    rows += [transfer(1, "v", "m", 50 * DAY, device="d"), transfer(2, "w", "m", 50 * DAY, device="own")]
    assert victims(log_from_rows(rows), NO_SCORES) == {"v"}


def test_who_is_paid_from_a_shared_device_belongs_to_its_circle(log_from_rows):
    rows = [transfer(1, "v", "m", 50 * DAY, device="d"), transfer(2, "w", "n", 51 * DAY, device="d")]
    ground = lay(log_from_rows([*rows, transfer(3, "x", "p", 50 * DAY, device="own")]))
    assert users(ground, payees(ground).actor) == [("m",), ("n",)]
