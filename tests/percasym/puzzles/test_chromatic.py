from itertools import combinations, product

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from percasym.puzzles import chromatic
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


def circulant(v, steps):
    return v, tuple(sorted({tuple(sorted((a, (a + step) % v))) for a in range(v) for step in steps}))


def fewest(v, edges):
    """The chromatic number, by another way: CP-SAT."""
    model = cp_model.CpModel()
    colours = [model.new_int_var(0, v - 1, "") for _ in range(v)]
    for a, b in edges:
        model.add(colours[a] != colours[b])
    most = model.new_int_var(0, v - 1, "")
    model.add_max_equality(most, colours)
    model.minimize(most)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    return round(solver.objective_value) + 1


@given(graphs(12))
@settings(max_examples=30, deadline=None)
def test_colour_classes_find_the_same_number_where_the_search_is_given_up_at_once(graph):
    v, edges = graph
    by_search = colouring(v, edges)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chromatic, "MOST_NODES", 0)
        by_classes = colouring.__wrapped__(v, edges)
    assert is_proper(by_classes, edges)
    assert max(by_classes) == max(by_search)
    assert fewest(v, edges) == max(by_search) + 1


@pytest.mark.parametrize("steps", [(1, 5, 8, 12, 13), (2, 3, 6, 7, 8), (5, 7, 11, 12), (3, 10)], ids=str)
def test_regular_graphs_take_little_work(steps, monkeypatch):
    nodes = 0
    cover = chromatic._Classes.cover

    def counted(*arguments):
        nonlocal nodes
        nodes += 1
        assert nodes < 10_000  # the plain search takes millions
        return cover(*arguments)

    monkeypatch.setattr(chromatic._Classes, "cover", counted)
    v, edges = circulant(26, steps)
    colours = colouring.__wrapped__(v, edges)
    assert is_proper(colours, edges)
    assert needs(v, edges, max(colours) + 1)


@pytest.mark.parametrize("v", [10, 13])
def test_all_circulant_graphs_have_their_chromatic_number(v):
    for chosen in range(1, 2 ** (v // 2)):
        graph = circulant(v, [step for step in range(1, v // 2 + 1) if chosen >> (step - 1) & 1])
        colours = colouring(*graph)
        assert is_proper(colours, graph[1])
        assert not needs(*graph, max(colours) + 2)
        assert needs(*graph, max(colours) + 1)
