from itertools import combinations, product

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percasym.puzzles.chromatic import colouring, needs


@st.composite
def graphs(draw, most=8):
    v = draw(st.integers(1, most))
    pairs = list(combinations(range(v), 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return v, tuple(sorted(edges))


def edges_of(graph):
    graph = nx.convert_node_labels_to_integers(graph)
    return graph.number_of_nodes(), tuple(sorted(tuple(sorted(edge)) for edge in graph.edges))


def is_proper(colours, edges):
    return all(colours[a] != colours[b] for a, b in edges)


@given(graphs(6))
@settings(max_examples=50)
def test_fewest_colours_by_brute_force(graph):
    v, edges = graph
    colours = colouring(v, edges)
    assert len(colours) == v
    assert is_proper(colours, edges)
    fewer = max(colours)
    assert not any(is_proper(c, edges) for c in product(range(fewer), repeat=v))
    assert [needs(v, edges, n) for n in range(1, v + 2)] == [n <= fewer + 1 for n in range(1, v + 2)]


@given(graphs(20))
@settings(max_examples=30)
def test_colourings_are_proper_and_at_least_as_good_as_greedy_ones(graph):
    v, edges = graph
    colours = colouring(v, edges)
    assert is_proper(colours, edges)
    drawn = nx.Graph(edges)
    drawn.add_nodes_from(range(v))
    greedy = nx.greedy_color(drawn, "DSATUR")
    assert max(colours) <= max(greedy.values())
    assert max(colours) + 1 >= max(map(len, nx.find_cliques(drawn)))
    first_seen = list(dict.fromkeys(colours))
    assert first_seen == sorted(first_seen)  # a, b, c in the order of the vertices


@pytest.mark.parametrize(
    ("graph", "chromatic_number"),
    [
        (nx.empty_graph(5), 1),
        (nx.complete_graph(26), 26),
        (nx.cycle_graph(25), 3),
        (nx.complete_bipartite_graph(13, 13), 2),
        (nx.petersen_graph(), 3),
        (nx.wheel_graph(6), 4),
        (nx.mycielski_graph(5), 5),  # without a triangle: no clique helps
        (nx.kneser_graph(6, 2), 4),
    ],
)
def test_known_chromatic_numbers(graph, chromatic_number):
    assert max(colouring(*edges_of(graph))) + 1 == chromatic_number


def test_a_graph_whose_largest_clique_is_too_small_and_greed_too_large():
    neighbours = [[1, 3, 4, 6], [2, 4, 5], [5, 6, 7], [4, 6, 7], [7], [6, 7]]
    edges = tuple((a, b) for a, higher in enumerate(neighbours) for b in higher)
    assert not any(is_proper(colours, edges) for colours in product(range(3), repeat=8))
    assert max(colouring(8, edges)) + 1 == 4
