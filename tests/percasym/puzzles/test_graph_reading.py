"""Every way to write a graph or a colouring is read as what it writes; what says none is not read."""

import json
import random
from itertools import combinations

import networkx as nx
import pytest
from fixtures.graph_texts import COLOURINGS, EDGES, FRAMES, WRONG_COLOURINGS, WRONG_EDGES, lists
from hypothesis import given
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from percasym.judgement import score
from percasym.puzzles import Credit, chromatic, load_puzzle
from percasym.puzzles.colouring_reading import read_colours
from percasym.puzzles.graph_coloring import Graph
from percasym.puzzles.graph_reading import read_edges
from percasym.response import compose

SIZES = [(5, 6, 8), (7, 9, 12), (13, 20, 40), (26, 60, 120)]  # vertices, fewest and most edges
PUZZLES = [
    load_puzzle(
        "graph_coloring",
        {"vertices_low": v, "vertices_high": v, "edges_low": low, "edges_high": high, "side": 900},
    )
    for v, low, high in SIZES
]
FRAMED_EDGES = [
    "json",
    "cells",
    "dashes",
    "no outer brackets, parentheses",
    "adjacency, lines without brackets",
]
FRAMED_COLOURINGS = ["json", "list", "cells", "colons, lines", "pairs, no outer brackets", "classes, lines"]


@pytest.fixture(params=PUZZLES, ids=lambda puzzle: f"{puzzle.config.vertices_high} vertices")
def puzzle(request):
    return request.param


def graphs(puzzle):
    """Some graphs, each with the edges of another, a colouring, and one with two ends of an edge alike."""
    for index in range(3):
        rng = random.Random(index)
        graph = puzzle.item("test", 0, index).instance
        pairs = set(combinations(range(graph.v), 2))
        edges = set(graph.edges) ^ {rng.choice(sorted(pairs))}
        colours = list(puzzle.solve(graph))
        slip = list(colours)
        vertex, other = rng.choice(graph.edges)
        slip[vertex] = slip[other]
        yield graph, sorted(edges), colours, slip


def classes(colours):
    """Which vertices share a colour: what a colouring says, whatever its colours are called."""
    found = {}
    for vertex, colour in sorted(dict(colours).items()):
        found.setdefault(colour, []).append(vertex)
    return sorted(found.values())


@pytest.mark.parametrize("name", EDGES)
def test_a_graph_in_any_spelling_is_read_as_it_is_and_judged_by_what_it_says(name, puzzle):
    for graph, changed, _, _ in graphs(puzzle):
        for edges in (graph.edges, changed):
            text = EDGES[name](graph.v, edges)
            assert read_edges(text, graph.v) == (frozenset(edges), 0), text
        assert puzzle.score_perception(graph, EDGES[name](graph.v, graph.edges)) == Credit(True, 1.0)
        assert not puzzle.score_perception(graph, EDGES[name](graph.v, changed)).exact
        assert puzzle.read_perception(EDGES[name](graph.v, graph.edges), graph) == graph


@pytest.mark.parametrize("name", COLOURINGS)
def test_a_colouring_in_any_spelling_is_read_as_it_is_and_judged_by_what_it_says(name, puzzle):
    for graph, _, colours, slip in graphs(puzzle):
        for told in (colours, slip):
            read = read_colours(COLOURINGS[name](told), graph.v)
            assert read.whole, COLOURINGS[name](told)
            assert classes(read.colours) == classes(enumerate(told)), COLOURINGS[name](told)
        assert puzzle.score_answer(graph, COLOURINGS[name](colours)) == Credit(True, 1.0)
        assert not puzzle.score_answer(graph, COLOURINGS[name](slip)).exact


@pytest.mark.parametrize("frame", FRAMES)
def test_what_stands_around_does_not_matter(frame, puzzle):
    for graph, changed, colours, slip in graphs(puzzle):
        for name in FRAMED_EDGES:
            for edges in (graph.edges, changed):
                text = frame.replace("{}", EDGES[name](graph.v, edges))
                assert read_edges(text, graph.v) == (frozenset(edges), 0), text
        for name in FRAMED_COLOURINGS:
            for told in (colours, slip):
                read = read_colours(frame.replace("{}", COLOURINGS[name](told)), graph.v)
                assert read.whole, name
                assert classes(read.colours) == classes(enumerate(told))


@pytest.mark.parametrize("name", WRONG_EDGES)
def test_wrong_edges_stay_wrong(name, puzzle):
    for graph, _, _, _ in graphs(puzzle):
        text = WRONG_EDGES[name](graph.v, graph.edges)
        assert not puzzle.score_perception(graph, text).exact, text
        described = puzzle.read_perception(text, graph)
        assert described is None or set(described.edges) != set(graph.edges)
        assert puzzle.describes(text, graph) == (described is not None)


@pytest.mark.parametrize("name", WRONG_COLOURINGS)
def test_wrong_colourings_stay_wrong(name, puzzle):
    for graph, _, colours, _ in graphs(puzzle):
        text = WRONG_COLOURINGS[name](colours)
        assert not puzzle.score_answer(graph, text).exact, text
        assert puzzle.read_answer(text, graph) is None, text
        assert not score(puzzle, graph, compose(json.dumps(lists(graph.edges)), "", text)).a_own


def test_more_colours_than_needed_are_wrong_in_every_spelling():
    puzzle = PUZZLES[1]
    for graph, _, colours, _ in graphs(puzzle):
        again = next(vertex for vertex in range(graph.v) if colours.count(colours[vertex]) > 1)
        wasteful = [graph.c if vertex == again else colour for vertex, colour in enumerate(colours)]
        for name, spell in COLOURINGS.items():
            assert read_colours(spell(wasteful), graph.v).whole, name
            assert not puzzle.score_answer(graph, spell(wasteful)).exact, name


def fewest(v, edges):
    """The chromatic number, by another way: CP-SAT."""
    model = cp_model.CpModel()
    colours = [model.new_int_var(0, vertex, "") for vertex in range(v)]
    for a, b in edges:
        model.add(colours[a] != colours[b])
    most = model.new_int_var(0, v, "")
    model.add_max_equality(most, colours)
    model.minimize(most)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.solve(model)
    return round(solver.objective_value) + 1


@pytest.mark.parametrize("text", ["json", "cells"])
def test_an_answer_is_accepted_just_when_another_library_says_that_it_is_right(text):
    puzzle = load_puzzle("graph_coloring", {"text": text})
    rng = random.Random(0)
    for index in range(6):
        real = puzzle.item("test", 0, index).instance
        pairs = list(combinations(range(real.v), 2))
        edges = tuple(sorted(rng.sample(pairs, rng.randint(1, len(pairs)))))
        described = Graph(real.v, edges, fewest(real.v, edges))
        graph = nx.Graph(edges)
        graph.add_nodes_from(range(real.v))
        caption = puzzle.perception(described)
        for _ in range(200):
            colours = list(puzzle.solve(described))
            for _ in range(rng.randint(0, 2)):
                colours[rng.randrange(real.v)] = rng.randrange(described.c + 1)
            proper = all(colours[a] != colours[b] for a, b in graph.edges)
            right = proper and len(set(colours)) <= described.c
            answer = puzzle._write(colours)
            assert puzzle.score_answer(described, answer).exact == right
            assert puzzle.answers_caption(real, caption, answer) == right
            assert score(puzzle, real, compose(caption, "", answer)).a_own == right


CHANGES = "0123456789-,[]{}()\"' \n|.abz:>"


@given(st.sampled_from(PUZZLES[:3]), st.sampled_from([*COLOURINGS]), st.integers(0, 2), st.data())
def test_a_changed_answer_is_right_just_when_what_is_read_is_a_proper_colouring(puzzle, name, index, data):
    graph = puzzle.item("test", 0, index).instance
    text = COLOURINGS[name](list(puzzle.solve(graph)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        text = text[:place] + data.draw(st.sampled_from(CHANGES)) + text[place + 1 :]
    read = puzzle.read_answer(text, graph)
    right = (
        read is not None
        and set(read) == set(range(graph.v))
        and all(read[a] != read[b] for a, b in graph.edges)
        and len(set(read.values())) <= graph.c
    )
    assert puzzle.score_answer(graph, text).exact == right


@pytest.mark.parametrize(
    "symbol",
    ["[", "{0:", "(0,", '["', "[/*", "'", "0 1 , ", "0-1\n", "1. ", "- ", "vertex ", "\\a{", "<", "a", "0:"],
)
def test_no_text_is_too_long(symbol, puzzle):
    graph = puzzle.item("test", 0, 0).instance
    for length in (40_000, 1_000_000):
        text = symbol * (length // len(symbol))
        assert not puzzle.score_perception(graph, text).exact
        assert not puzzle.score_answer(graph, text).exact


def test_a_described_graph_of_any_kind_is_judged_with_little_work(monkeypatch):
    """A circulant graph whose own colouring was right, for which the chromatic number took seconds."""
    puzzle = PUZZLES[-1]
    edges = sorted(
        {(min(a, b), max(a, b)) for a in range(26) for b in ((a + s) % 26 for s in (1, 5, 8, 12, 13))}
    )
    nodes = 0
    extend = chromatic._Search._extend

    def counted(*arguments):
        nonlocal nodes
        nodes += 1
        return extend(*arguments)

    monkeypatch.setattr(chromatic._Search, "_extend", counted)
    colours = chromatic.colouring.__wrapped__(26, tuple(edges))
    answer = COLOURINGS["json"](colours)
    judged = score(puzzle, puzzle.item("test", 0, 0).instance, compose(json.dumps(lists(edges)), "", answer))
    assert (judged.a, judged.a_p, judged.a_own, judged.caption_read, judged.answer_read) == (
        False, False, True, True, True,
    )  # fmt: skip
    assert nodes < 5_000  # a plain search takes hundreds of thousands
