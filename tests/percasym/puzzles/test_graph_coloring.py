import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.puzzles import Credit, load_puzzle
from percasym.puzzles.graph_coloring import Graph

FORMATS = ["json", "cells"]
# A row of the released data set xqwu/asymmetric-VLM__gc, as it stands there.
RELEASED = (
    '{"v": 7, "c": 3, "edges": [[0, 1], [0, 5], [1, 5], [1, 6], [2, 3], [2, 5], [3, 4], [3, 5], [3, 6]]}'
)


def puzzle_of(text="json", **config):
    return load_puzzle("graph_coloring", {"text": text, **config})


@pytest.fixture
def graph():
    return puzzle_of().read_ground_truth(RELEASED)


def test_the_released_row_is_read_and_written_byte_by_byte_and_scored(graph):
    puzzle = puzzle_of()
    assert puzzle.ground_truth(graph) == RELEASED
    assert (graph.v, graph.c, len(graph.edges)) == (7, 3, 9)
    assert puzzle.perception(graph) == RELEASED.partition('"edges": ')[2][:-1]
    assert "7 vertices" in puzzle.query(graph)
    assert puzzle.answer(graph) == '{"0": "a", "1": "b", "2": "a", "3": "b", "4": "a", "5": "c", "6": "a"}'
    assert puzzle.score_answer(graph, puzzle.answer(graph)) == Credit(True, 1.0)
    assert puzzle.score_perception(graph, puzzle.perception(graph)) == Credit(True, 1.0)


@pytest.mark.parametrize("text", FORMATS)
def test_what_is_written_is_read_back_in_either_format(text):
    writer, reader = puzzle_of(text, vertices_low=3, vertices_high=14), puzzle_of()
    for index in range(10):
        graph = writer.item("test", 0, index).instance
        assert reader.read_ground_truth(writer.ground_truth(graph)) == graph
        assert reader.read_perception(writer.perception(graph), graph) == graph
        assert reader.score_perception(graph, writer.perception(graph)) == Credit(True, 1.0)
        assert reader.score_answer(graph, writer.answer(graph)) == Credit(True, 1.0)


def test_order_and_direction_of_edges_do_not_matter(graph):
    puzzle = puzzle_of()
    edges = [list(edge)[::-1] for edge in graph.edges][::-1]
    for text in (
        json.dumps(edges, indent=1),
        f"```json\n{edges}\n```",
        ", ".join(f"{a} {b}" for a, b in edges),
        json.dumps([*edges, edges[0]]),
    ):
        assert puzzle.read_perception(text, graph) == graph
        assert puzzle.score_perception(graph, text) == Credit(True, 1.0)


def test_the_chromatic_number_of_a_described_graph_is_its_own(graph):
    described = puzzle_of().read_perception("0 1", graph)
    assert described == Graph(7, ((0, 1),), 2)
    assert puzzle_of().read_perception("[]", graph) == Graph(7, (), 1)


def test_any_proper_colouring_with_few_enough_colours_is_right(graph):
    puzzle = puzzle_of("cells")
    colours = puzzle.solve(graph)
    for seed in range(20):
        rng = random.Random(seed)
        letters = rng.sample("abcxyz", 3)
        pairs = [f"{vertex} {letters[colour]}" for vertex, colour in enumerate(colours)]
        rng.shuffle(pairs)
        assert puzzle.score_answer(graph, " ".join(pairs)) == Credit(True, 1.0)
    path = Graph(4, ((0, 1), (1, 2), (2, 3)), 2)
    assert puzzle.score_answer(path, "0 b 1 a 2 b 3 a").exact
    assert puzzle.score_answer(path, "0 a 1 b 2 c 3 a") == Credit(False, 2 / 3)


@pytest.mark.parametrize(
    ("answer", "partial"),
    [
        ("0 a 1 a 2 a 3 a", 0.0),
        ("0 a 1 b 2 b 3 a", 2 / 3),
        ("0 a 1 b 2 a", 2 / 3),  # a vertex without a colour
        ("0 a 1 b 2 a 3 b 0 a", 1.0),  # a vertex twice
        ("0 a 1 b 2 a 3 b 4 a", 1.0),  # a vertex that is not there
        ("0 a 1 b 2 a 3 b 5", 1.0),
        ("0 a 1 b 2 a 3 blue", 2 / 3),
        ("0 a 1 b 2 c 3 d", 0.5),  # a colour for every vertex
        ("", 0.0),
        ('{"0": "a", "1": "b", "2": "a", "3": 1}', 2 / 3),
        ('{"0": "a", "1": "b", "2": "a", "3": "b", "3": "b"}', 1.0),
        ('["a", "b", "a"]', 0.0),
    ],
)
def test_wrong_answers_and_what_they_are_worth(answer, partial):
    path = Graph(4, ((0, 1), (1, 2), (2, 3)), 2)
    credit = puzzle_of().score_answer(path, answer)
    assert credit == Credit(False, pytest.approx(partial))


def test_perception_is_worth_the_f1_of_its_edges(graph):
    puzzle = puzzle_of()
    edges = [list(edge) for edge in graph.edges]
    cases = {
        json.dumps(edges[:6]): 12 / 15,
        json.dumps([*edges, [0, 6]]): 18 / 19,
        json.dumps([*edges, [0, 7]]): 18 / 19,  # no such vertex: no graph at all, but most of it is right
        json.dumps([*edges, [0]]): 18 / 19,
        json.dumps([*edges, [3, 3]]): 18 / 19,
        json.dumps([[True, 2], *edges]): 18 / 19,
        "0 1 , 0 5 , what": 4 / 12,
        "nothing": 0.0,
        "": 0.0,
        "[]": 0.0,
    }
    for text, partial in cases.items():
        assert puzzle.score_perception(graph, text) == Credit(False, pytest.approx(partial)), text
    for bad in ([0, 7], [3, 3], [0], [-1, 2]):
        assert puzzle.read_perception(json.dumps([*edges, bad]), graph) is None


WORD = st.sampled_from(["0", "1", "6", "7", "-1", ",", "a", "b", "z", "ä", "<answer>", "[", "0,1"])


@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(WORD, max_size=60).map(" ".join),
        st.text(alphabet='[]{}",:-0123456789abc `\n', max_size=200),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-2, 8)
            | st.floats()
            | st.sampled_from(["a", "0", "ab", ""]),
            lambda inner: (
                st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("0123"), inner, max_size=4)
            ),
        ).map(json.dumps),
    )
)
def test_no_text_is_too_odd(text):
    puzzle = puzzle_of()
    graph = Graph(4, ((0, 1), (1, 2), (2, 3)), 2)
    described = puzzle.read_perception(text, graph)
    perception, answer = puzzle.score_perception(graph, text), puzzle.score_answer(graph, text)
    for credit in (perception, answer):
        assert 0 <= credit.partial <= 1
        assert not credit.exact or credit.partial == 1
    assert perception.exact == (described == graph)
    if described is not None:
        assert puzzle.score_answer(described, puzzle.answer(described)).exact


@pytest.mark.parametrize("text", ["[" * 10**6, "0 1 , " * 10**6, "9" * 10**6, '{"0":' * 4000, "," * 10**6])
def test_no_text_is_too_long(text, graph):
    assert puzzle_of().read_perception(text, graph) is None
    assert not puzzle_of().score_answer(graph, text).exact


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        RELEASED[:-1],
        RELEASED.replace('"c": 3', '"c": 4'),
        RELEASED.replace('"v": 7', '"v": 6'),
        RELEASED.replace('"v": 7', '"v": 27'),
        RELEASED.replace('"v": 7', '"v": "7"'),
        RELEASED.replace('"v": 7, ', ""),
        RELEASED.replace("[0, 1]", "[0]"),
    ],
)
def test_a_bad_ground_truth_is_refused(text):
    with pytest.raises(PercasymError, match="chromatic number"):
        puzzle_of().read_ground_truth(text)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vertices_low": 9, "vertices_high": 8}, "vertices_low 9 is more than"),
        ({"vertices_high": 27}, "vertices_high"),
        ({"vertices_low": 5, "edges_low": 3, "edges_high": 11}, "within 1 to 10"),
        ({"edges_low": 3}, "no range"),
        ({"edges_low": 0, "edges_high": 3}, "no range"),
        ({"edge_probability": 0.0}, "edge_probability"),
        ({"vertices_high": 12, "side": 64}, "too small for 12 vertices"),
    ],
)
def test_a_config_out_of_range_says_so_in_one_line(config, message):
    with pytest.raises(PercasymError) as error:
        puzzle_of(**config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_graphs_are_as_large_and_dense_as_asked_for():
    counted = puzzle_of(vertices_low=5, vertices_high=7, edges_low=4, edges_high=6)
    graphs = [counted.item("train_sft", 0, index).instance for index in range(60)]
    assert {graph.v for graph in graphs} == {5, 6, 7}
    assert {len(graph.edges) for graph in graphs} == {4, 5, 6}
    likely = puzzle_of(vertices_low=12, vertices_high=12, edge_probability=0.8)
    graphs = [likely.item("test", 0, index).instance for index in range(20)]
    assert sum(len(graph.edges) for graph in graphs) / (20 * 66) == pytest.approx(0.8, abs=0.05)
    assert puzzle_of(vertices_low=2, vertices_high=2, edge_probability=0.05).generate(random.Random(0)).edges


def test_the_vocabulary_has_every_word():
    puzzle = puzzle_of("cells", vertices_low=4, vertices_high=9)
    known = set(puzzle.vocabulary())
    for index in range(10):
        graph = puzzle.item("test", 0, index).instance
        thought = puzzle.reasoning(graph, random.Random(index), 200, 0.3)
        text = " ".join([puzzle.query(graph), puzzle.perception(graph), thought.text, thought.answer])
        assert set(text.split()) <= known
        assert puzzle.score_answer(graph, thought.answer).exact
