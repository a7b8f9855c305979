"""Parts of the generated world one by one: ids, rhythm, labels, and how a ring hides."""

import numpy as np
import pandas as pd
import pytest

from graphs.datasets.archetypes import ARCHETYPES
from graphs.datasets.gang import Gang
from graphs.datasets.labels import label_events
from graphs.datasets.population import Accounts, populate
from graphs.datasets.rhythm import DAY, HOUR, rhythms
from graphs.datasets.staging import EVASION, Plan, Stage
from graphs.datasets.tokens import tokens

MONDAY = 1_736_121_600_000_000  # 2025-01-06T00:00Z in µs
DAYS = 60

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


# A ring at work


def stage(*ring: int) -> Stage:
    """Two thousand people of whom `ring` are accounts of a ring that act from day 10 to day 50."""
    rng, size = np.random.default_rng(3), len(ring)
    often = np.full(size, MONDAY)
    accounts = Accounts(np.array(ring), often, often + DAYS * DAY, np.ones(size), np.ones(size, dtype=bool))
    people = populate(rng, 2000, merchants=80, start=MONDAY, stop=MONDAY + DAYS * DAY, accounts=accounts)
    counts = {f"{kind}_count": getattr(people, f"{kind}_count") for kind in ("device", "card", "address", "ip")}
    honest = np.setdiff1d(np.arange(2000, dtype=np.int32), ring)
    return Stage(rng, people, rhythms(MONDAY, DAYS), honest, **counts)


def plan(*ring: int, dial: int = 0) -> Plan:
    users = np.array(ring, dtype=np.int32)
    return Plan(0, "device_farm", users, MONDAY + 10 * DAY, MONDAY + 50 * DAY, dial)


def gang(size: int, *, dial: int) -> Gang:
    ring = range(100, 100 + size)
    return Gang.assemble(stage(*ring), plan(*ring, dial=dial), devices_per_member=0.5, own_phone=0.0)


@pytest.mark.parametrize(("dial", "cells"), [(0, [12]), (2, [6, 6]), (4, [6, 6])])
def test_a_careful_ring_splits_into_cells(dial: int, cells: list[int]) -> None:
    assert np.bincount(gang(12, dial=dial).cell).tolist() == cells


def test_members_act_on_tools_of_their_cell_or_the_organisers() -> None:
    ring = gang(12, dial=0)
    used = ring.devices_of(np.arange(12).repeat(50), np.full(600, MONDAY + 20 * DAY))
    assert np.isin(used, ring.devices).mean() > 0.97 and np.isin(ring.devices, used).all()


def test_the_dial_moves_events_to_things_of_honest_people() -> None:
    who, when = np.arange(12).repeat(100), np.full(1200, MONDAY + 20 * DAY)
    rings = [gang(12, dial=dial) for dial in range(5)]
    hidden = [1 - np.isin(ring.devices_of(who, when), ring.devices).mean() for ring in rings]
    assert hidden == sorted(hidden) and hidden[0] < 0.02 and hidden[4] > 0.1


def test_every_setting_of_the_dial_hides_more() -> None:
    dials = np.array([[getattr(row, name) for row in EVASION] for name in ("camouflage", "rotation", "public", "nat")])
    assert (np.diff(dials, axis=1) >= 0).all()
    assert [row.cell for row in EVASION] == sorted((row.cell for row in EVASION), reverse=True)


def test_everybody_is_on_the_rota_and_sits_at_least_twice() -> None:
    ring = gang(7, dial=1)
    assert set(ring.rota(7)) == set(range(7))
    who, times = ring.sittings(per_member=2, width=3)
    assert np.bincount(who, minlength=7).min() >= 2 and times.min() >= ring.plan.start


def test_a_careful_ring_goes_through_more_cards() -> None:
    assert [len(gang(6, dial=dial).bought_cards(7, stolen=0.2)[0]) for dial in range(5)] == [1, 1, 1, 2, 2]


def test_stolen_cards_are_those_of_the_victims() -> None:
    ring = gang(6, dial=0)
    pool, victims = ring.bought_cards(10, stolen=0.3)
    robbed = pool[pool < ring.stage.population.card_count]
    assert sorted(robbed) == sorted(ring.stage.population.cards[victims, 0]) and len(victims) == 3


@pytest.mark.parametrize("name", list(ARCHETYPES))
def test_every_account_of_a_ring_acts_within_its_life(name: str) -> None:
    ring = range(100, 108)
    script = ARCHETYPES[name].play(stage(*ring), plan(*ring))
    paid, sent = script.payments, script.transfers
    assert set(ring) <= set(np.concatenate([paid.user, sent.sender, sent.receiver]))
    assert min(paid.time.min(), sent.time.min(initial=paid.time.min())) >= MONDAY + 10 * DAY


@pytest.mark.parametrize("name", list(ARCHETYPES))
def test_members_live_from_their_first_to_their_last_event(name: str) -> None:
    ring = range(100, 108)
    script = ARCHETYPES[name].play(stage(*ring), plan(*ring))
    rows, members = script.payments, script.members
    for device in np.unique(members.code[members.entity_type == 1]):
        span = members.time[(members.entity_type == 1) & (members.code == device)][0]
        assert span <= rows.time[rows.device == device].min(initial=np.iinfo(np.int64).max)
    assert (members.time < members.until).all()
