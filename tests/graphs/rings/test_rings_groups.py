"""Communities, components, refinement, lineage and layout on small graphs, beside networkx where it has a twin."""

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from graphs.rings.communities import communities
from graphs.rings.components import components
from graphs.rings.layout import lay_out
from graphs.rings.lineage import Earlier, new_id, trace
from graphs.rings.refine import refine


def matrix(nodes, *edges):
    """Symmetric links from (left, right, weight)."""
    left, right, weight = zip(*edges, strict=True)
    half = sp.coo_matrix((weight, (left, right)), shape=(nodes, nodes)).tocsr()
    return (half + half.T).tocsr()


def clique(*nodes, weight=1.0):
    return [(a, b, weight) for i, a in enumerate(nodes) for b in nodes[i + 1 :]]


def members(groups):
    return [set(groups.actor[groups.group == group].tolist()) for group in range(groups.count)]


# ---- communities


def test_two_cliques_joined_by_a_thread_are_two_communities():
    links = matrix(7, *clique(0, 1, 2), *clique(3, 4, 5), (2, 3, 0.1))
    assert communities(links, resolution=0.3, seed=0).tolist() == [0, 0, 0, 1, 1, 1, -1]


def test_a_small_ring_stays_itself_in_a_large_graph():
    # Modularity would merge neighbours in a ring of 200 triangles; the constant Potts model does not.
    edges = [edge for ring in range(200) for edge in clique(*(3 * ring + np.arange(3)).tolist())]
    edges += [(3 * ring, (3 * ring + 4) % 600, 0.2) for ring in range(200)]
    found = communities(matrix(600, *edges), resolution=0.3, seed=1)
    assert np.array_equal(found, np.repeat(np.arange(200), 3))


def test_nobody_linked_is_in_no_community():
    assert communities(sp.csr_matrix((3, 3)), resolution=1, seed=0).tolist() == [-1, -1, -1]


# ---- components


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_components_are_those_of_networkx(edges):
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    found = components(20, left, right)
    graph = nx.Graph(edges)
    graph.add_nodes_from(range(20))
    expected = sorted(sorted(part) for part in nx.connected_components(graph))
    assert [np.flatnonzero(found == number).tolist() for number in range(found.max() + 1)] == expected


# ---- refinement


def refined(found, links, suspicion, **changes):
    settings = {"weak": 0.3, "second_home": 0.9, "min_size": 3} | changes
    return members(refine(np.array(found), links, np.array(suspicion), **settings))


def test_who_hangs_on_by_a_thread_and_looks_innocent_goes():
    links = matrix(4, *clique(0, 1, 2), (2, 3, 0.2))
    assert refined([0] * 4, links, [0.9, 0.9, 0.9, 0.1]) == [{0, 1, 2}]
    assert refined([0] * 4, links, [0.9, 0.9, 0.9, 0.9]) == [{0, 1, 2, 3}]


def test_who_is_as_much_at_home_in_another_ring_is_in_both():
    links = matrix(6, *clique(0, 1, 2), *clique(3, 4, 5), (2, 3, 1.0), (2, 4, 1.0))
    assert refined([0, 0, 0, 1, 1, 1], links, [0.5] * 6) == [{0, 1, 2}, {2, 3, 4, 5}]


def test_accounts_and_groups_may_be_so_many_that_their_product_passes_32_bits():
    nodes = 90_000
    pairs = [(node, node + 1, 1.0) for node in range(0, nodes, 2)]
    groups = refine(
        np.arange(nodes) // 2, matrix(nodes, *pairs, (nodes - 3, nodes - 2, 1.0)), np.ones(nodes),
        weak=0, second_home=0.5, min_size=3,
    )  # fmt: skip
    assert members(groups) == [{nodes - 4, nodes - 3, nodes - 2}, {nodes - 3, nodes - 2, nodes - 1}]


def test_groups_below_the_least_size_are_forgotten():
    assert refined([0, 0, 1, 1, 1], matrix(5, (0, 1, 1), *clique(2, 3, 4)), [0.5] * 5) == [{2, 3, 4}]


# ---- lineage


def earlier(name, letters, **more):
    return Earlier(name, frozenset(letters), 1, **more)


def traced(words, before, **options):
    return trace([frozenset(word) for word in words], before, as_of=9, **options)


def test_a_ring_keeps_its_id_while_members_come_and_go():
    found = traced(["abcx", "pq"], [earlier("R-1", "abc"), earlier("R-2", "pqr")]).descents
    assert [(d.ring_id, d.status, d.jaccard) for d in found] == [("R-1", "grown", 0.75), ("R-2", "shrunk", 2 / 3)]
    assert traced(["abc"], [earlier("R-1", "abc")]).descents[0].status == "unchanged"


def test_a_new_ring_is_born_under_an_id_made_of_its_members():
    (found,) = traced(["abc"], []).descents
    assert (found.status, found.first_seen) == ("born", 9) and found.ring_id == new_id("cba", 9, ())
    assert new_id("abc", 9, [found.ring_id]) != found.ring_id


def test_of_two_that_merge_the_larger_overlap_goes_on_and_the_other_becomes_an_alias():
    found = traced(["abcdexyz"], [earlier("R-1", "abcde"), earlier("R-2", "xyz", aliases=("R-0",))])
    (ring,) = found.descents
    assert (ring.ring_id, ring.status, ring.parents, ring.aliases) == ("R-1", "merged", ("R-2",), ("R-2", "R-0"))
    assert ("R-1", "merged", "R-2", 3 / 8) in found.changes and not found.dormant


def test_an_open_case_keeps_its_id_whatever_overlaps_more():
    before = [earlier("R-1", "abcde"), earlier("R-2", "xyz")]
    assert traced(["abcdexyz"], before, open_rings=["R-2"]).descents[0].ring_id == "R-2"


def test_what_splits_off_names_its_parent():
    found = traced(["abcd", "wxyz"], [earlier("R-1", "abcdwxyz")])
    first, second = found.descents
    assert first.ring_id == "R-1" and (second.status, second.parents) == ("split", ("R-1",))


def test_a_ring_without_successor_is_dormant_and_can_be_revived():
    asleep = traced([], [earlier("R-1", "abc")])
    assert [ring.ring_id for ring in asleep.dormant] == ["R-1"] and asleep.changes == (("R-1", "dormant", None, 0.0),)
    awake = traced(["abc"], [earlier("R-1", "abc")], dormant_before={"R-1"})
    assert awake.changes == (("R-1", "revived", None, 1.0),)


@given(st.lists(st.frozensets(st.sampled_from("abcdefghij"), min_size=2), max_size=6), st.integers(0, 5))
def test_ids_are_never_given_twice(groups, cut):
    before = [Earlier(f"R-{place}", ring, 1) for place, ring in enumerate(groups[:cut])]
    found = trace(groups, before, as_of=9)
    ids = [descent.ring_id for descent in found.descents]
    assert len(set(ids)) == len(ids) == len(groups)
    assert not set(ids) & {ring.ring_id for ring in found.dormant}


# ---- layout


def test_a_layout_is_the_same_each_time_and_inside_the_square():
    left, right = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 0])
    one, two = lay_out(5, left, right), lay_out(5, left, right)
    assert np.array_equal(one, two) and one.min() >= 0 and one.max() <= 1


def test_neighbours_lie_closer_than_the_ends_of_a_path():
    places = lay_out(4, np.array([0, 1, 2]), np.array([1, 2, 3]))
    length = np.linalg.norm(places[1:] - places[:-1], axis=1)
    assert length == pytest.approx([1 / 3] * 3, abs=0.02)
