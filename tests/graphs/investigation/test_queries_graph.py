"""Questions to the graph: by hand on a small world, then against networkx and plain loops on random ones."""

import itertools
import math

import networkx as nx
import numpy as np
import pytest
from finder_runs import day
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.errors import ConfigError, NotFoundError
from graphs.events import MISSING
from graphs.investigation import queries
from graphs.investigation.walks import NO_CAP, Web
from graphs.stores import cases
from graphs.stores.actors import Actor
from graphs.stores.lists import tag_benign
from graphs.temporal_graph import TemporalGraph

ANA, VIC = Actor("ana", "investigator"), Actor("vic", "viewer")
PAN = "4111111111111111"
U1, U2, U3, U4 = (("user", f"user{number}") for number in (1, 2, 3, 4))
D1, D9, CARD = ("device", "d1"), ("device", "d9"), ("card", PAN)


def names(rows):
    return [(row.entity.type, row.entity.text) for row in rows]


def judge(workspace, entity, verdict, ring="R-A"):
    cases.claim(workspace.store, ANA, ring)
    cases.give_verdict(workspace.store, ANA, ring, entity, verdict, reason="x")


def test_neighbours_come_rarest_first_with_what_they_share(workspace):
    page = queries.neighbours(workspace, ANA, U1)
    assert names(page.rows) == [U3, D1, D9] and page.total == 3
    (other, device, kiosk) = page.rows
    assert (other.events, other.value, other.event_types, other.share) == (1, 50.0, ("transfer",), 0.5)
    assert (device.persons, kiosk.persons) == (2, 27)
    assert [brief.ring_id for brief in device.rings] == ["R-A"]


def test_a_page_says_how_many_there_are_and_goes_on_where_it_ended(workspace):
    first = queries.neighbours(workspace, ANA, D9, limit=10)
    second = queries.neighbours(workspace, ANA, D9, limit=20, cursor=first.next)
    assert (len(first.rows), first.total, len(second.rows), second.next) == (10, 27, 17, None)
    assert not set(names(first.rows)) & set(names(second.rows))


def test_a_window_is_half_open(workspace):
    seen = queries.shared_by(workspace, ANA, D1, since=day(1), until=day(2))
    assert names(seen.rows) == [U1]


def test_who_shares_a_card_is_found_by_its_handle(workspace):
    handle = workspace.masker(VIC).seal(PAN)
    seen = queries.shared_by(workspace, ANA, ("card", handle))
    assert names(seen.rows) == [U2, U3]


def test_paths_go_over_what_few_share_and_never_over_a_hub(workspace):
    found = queries.paths(workspace, ANA, U1, U2, k=5)
    assert [[one.text for one in path.entities] for path in found.paths] == [
        ["user1", "d1", "user2"],
        ["user1", "user3", "411111******1111", "user2"],
    ]
    assert found.complete and found.paths[0].cost == round(math.log2(3), 4)
    assert [(joined.events, joined.value) for joined in found.paths[0].joins] == [(1, 10.0), (1, 20.0)]


def test_hubs_are_led_over_when_asked_for(workspace):
    assert queries.paths(workspace, ANA, U1, U4).paths == ()
    (path,) = queries.paths(workspace, ANA, U1, U4, hubs=True, k=1).paths
    assert [one.text for one in path.entities] == ["user1", "d9", "user4"]


def test_paths_know_nothing_later(workspace):
    assert queries.paths(workspace, ANA, U1, U3, until=day(5)).paths[0].entities[1].text == "d1"
    assert len(queries.paths(workspace, ANA, U1, U3, k=1).paths[0].entities) == 2


def test_what_cannot_be_asked_is_told(workspace):
    with pytest.raises(NotFoundError, match="no user has the id given"):
        queries.neighbours(workspace, ANA, ("user", "x' OR '1'='1"))
    with pytest.raises(ConfigError, match="type: got 'devise'; did you mean device"):
        queries.neighbours(workspace, ANA, ("devise", "d1"))
    with pytest.raises(ConfigError, match="these are one"):
        queries.paths(workspace, ANA, U1, U1)
    with pytest.raises(ConfigError, match="limit: got 0, expected 1 to 500"):
        queries.timeline(workspace, ANA, U1, limit=0)


def test_a_timeline_runs_backwards_and_in_pages(workspace):
    first = queries.timeline(workspace, ANA, "R-A", limit=3)
    rest = queries.timeline(workspace, ANA, "R-A", limit=3, cursor=first.next)
    assert [one.event_id for one in (*first.rows, *rest.rows)] == ["k-user1", "t5", "p3", "p2", "p1"]
    assert rest.next is None
    assert [(role, one.text) for role, one in first.rows[1].parties] == [("sender", "user1"), ("receiver", "user3")]


def test_a_label_shows_from_when_it_was_known(workspace):
    def label(until):
        return [one.label for one in queries.timeline(workspace, ANA, U2, until=until).rows if one.event_id == "p3"]

    assert (label(day(8)), label(day(9)), label(None)) == ([None], ["fraud"], ["fraud"])


def test_nearness_starts_from_what_is_judged_and_leaves_it_out(workspace):
    assert queries.near_fraud(workspace, ANA) == ()
    judge(workspace, U1, "fraud")
    near = queries.near_fraud(workspace, ANA)
    assert names(near)[:2] == [U3, U2] and U1 not in names(near)
    # Over the kiosk nobody is near.
    assert {name for _, name in names(near)} == {"user2", "user3"}


def test_a_dry_run_says_whom_a_block_would_touch(workspace):
    judge(workspace, U1, "mule")
    tag_benign(workspace.store, ANA, D9, reason="kiosk", expires_at=day(0).replace(year=2100))
    plan = queries.block_dry_run(workspace, ANA, [D1, D9])
    assert [(one.persons, one.innocents) for one in plan.touched] == [(2, 1), (27, 26)]
    assert [one.text for one in plan.touched[0].shown] == ["user2"] and plan.touched[0].value == 30.0
    assert plan.touched[1].warnings == ("is a hub: 27 persons use it", "is tagged benign")
    assert plan.innocents == 27


def test_blocking_a_victim_is_warned_of(workspace):
    judge(workspace, U2, "victim")
    (touched,) = queries.block_dry_run(workspace, ANA, [U2]).touched
    assert touched.warnings == ("was judged victim",) and touched.innocents == 1


# --------------------------------------------------------------------------------------------- twins on random logs


def joined(log, web):
    """The web as networkx sees it: nodes joined by every event they share."""
    around = nx.Graph()
    around.add_nodes_from(range(len(web.offsets) - 1))
    for row in log.entities:
        nodes = {int(code + base) for code, base in zip(row, web.role_base, strict=True) if code != MISSING}
        around.add_edges_from(itertools.combinations(sorted(nodes), 2))
    return around


def persons_by_hand(log, web):
    """Distinct persons of each node."""
    found = {node: set() for node in range(len(web.offsets) - 1)}
    for row in log.entities:
        nodes = [int(code + base) for code, base in zip(row, web.role_base, strict=True) if code != MISSING]
        persons = {node for node in nodes if web.persons[0] <= node < web.persons[1]}
        for node in nodes:
            found[node] |= persons
    return {node: len(persons) for node, persons in found.items()}


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), cap=st.integers(1, 5))
def test_distances_are_those_of_networkx_without_hubs(random_log, seed, cap):
    log = random_log(seed, 25)
    web = Web.of(TemporalGraph.build(log), "user")
    persons, around = persons_by_hand(log, web), joined(log, web)
    sweep = web.sweep(0, (0, len(log)), cap)
    for _ in range(8):
        sweep.grow()
    for start in around:
        hubs = [node for node in around if persons[node] > cap and not web.persons[0] <= node < web.persons[1]]
        free = around.subgraph(set(around) - set(hubs) | {0, start})
        expected = nx.shortest_path_length(free, start, 0) if nx.has_path(free, start, 0) else -1
        assert sweep.hops[start] == (expected if expected <= 8 else -1)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_persons_are_counted_up_to_the_cap(random_log, seed):
    log = random_log(seed, 40)
    web = Web.of(TemporalGraph.build(log), "user")
    by_hand = persons_by_hand(log, web)
    counted = web.count_persons(np.array(sorted(by_hand)), (0, len(log)), 3)
    assert counted.tolist() == [min(by_hand[node], 4) for node in sorted(by_hand)]


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_paths_are_the_cheapest_simple_ones(workspace_of, random_log, seed):
    log = random_log(seed, 14)
    made = workspace_of(log)
    web, weight = made.web, {node: math.log2(1 + count) for node, count in persons_by_hand(log, made.web).items()}
    start, goal = 0, len(web.offsets) - 2
    entity = lambda node: (lambda kind, code: (kind, log.entity_ids[kind][code].as_py()))(*web.entity(node))  # noqa: E731
    found = queries.paths(made, ANA, entity(start), entity(goal), k=4, max_hops=4, hubs=True)
    around = joined(log, web)
    every = nx.all_simple_paths(around, start, goal, cutoff=4)
    cost = lambda path: sum(1.0 if web.persons[0] <= n < web.persons[1] else weight[n] for n in path[1:-1])  # noqa: E731
    expected = sorted((len(path) - 1, round(cost(path), 4)) for path in every)[:4]
    assert [(len(path.joins), pytest.approx(path.cost, abs=1e-3)) for path in found.paths] == expected
    made.close()


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_nearness_is_personalised_pagerank(random_log, seed):
    log = random_log(seed, 30)
    web = Web.of(TemporalGraph.build(log), "user")
    nodes, degree = len(web.offsets) - 1, np.diff(web.offsets)
    step = np.zeros((nodes, nodes))
    for node in range(nodes):
        for event in web.events[web.offsets[node] : web.offsets[node + 1]]:
            row = log.entities[event]
            others = [int(c + b) for c, b in zip(row, web.role_base, strict=True) if c != MISSING and c + b != node]
            for other in others:
                step[node, other] += 0.85 / len(others) / degree[node]
    # What does not go on stays: the restart, and the step of an event with nobody else in it.
    ends = np.array([1 - step[node].sum() for node in range(nodes)])
    seed_row = np.eye(nodes)[0]
    exact = (seed_row @ np.linalg.inv(np.eye(nodes) - step)) * ends
    pushed = web.push(np.array([0]), (0, len(log)), restart=0.15, epsilon=1e-9, hub_cap=NO_CAP)
    assert pushed == pytest.approx(exact, abs=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_what_two_nodes_have_together_is_told_event_by_event(random_log, seed):
    log = random_log(seed, 40)
    web = Web.of(TemporalGraph.build(log), "user")
    tally = web.tally(0, (0, len(log)), log.amount, log.event_time, log.event_type)
    by_hand = {}
    for event, row in enumerate(log.entities):
        nodes = {int(code + base) for code, base in zip(row, web.role_base, strict=True) if code != MISSING}
        for other in nodes - {0} if 0 in nodes else ():
            by_hand.setdefault(other, []).append(event)
    assert tally.nodes.tolist() == sorted(by_hand)
    for place, events in enumerate(by_hand[node] for node in sorted(by_hand)):
        assert (tally.events[place], tally.first[place]) == (len(events), log.event_time[events].min())
        assert tally.value[place] == pytest.approx(np.nansum(log.amount[events]))
        assert tally.kinds[place] == sum(1 << kind for kind in set(log.event_type[events].tolist()))
