from dataclasses import replace

from percasym.diagnostics.misreadings import NOTHING, Pair, misreadings
from percasym.puzzles import load_puzzle
from percasym.puzzles.graph_coloring import Graph
from percasym.puzzles.sudoku import Sudoku

SUDOKU = Sudoku(2, 2, ((1, 0, 3, 4), (3, 4, 0, 2), (0, 1, 4, 3), (4, 3, 2, 1)))
GRAPH = Graph(4, ((0, 1), (1, 2), (2, 3)), 2)


SUDOKUS = load_puzzle("sudoku", {"rows": 2, "cols": 2})
GRAPHS = load_puzzle("graph_coloring", {})


def facts(instance):
    return (SUDOKUS if isinstance(instance, Sudoku) else GRAPHS).facts(instance)


def pair(true, read):
    rows = (SUDOKUS if isinstance(true, Sudoku) else GRAPHS).fact_rows(true)
    return Pair(facts(true), None if read is None else facts(read), rows)


def with_cell(row, column, digit):
    grid = [list(digits) for digits in SUDOKU.grid]
    grid[row][column] = digit
    return replace(SUDOKU, grid=tuple(map(tuple, grid)))


def test_facts_are_cells_or_pairs():
    assert len(facts(SUDOKU)) == 16
    assert facts(SUDOKU)[0, 1] == "blank"
    assert facts(SUDOKU)[0, 2] == "3"
    assert facts(GRAPH) == {
        (0, 1): "edge",
        (0, 2): "no edge",
        (1, 2): "edge",
        (0, 3): "no edge",
        (1, 3): "no edge",
        (2, 3): "edge",
    }


def test_sudoku_cells_and_digits():
    pairs = [
        pair(SUDOKU, SUDOKU),
        pair(SUDOKU, with_cell(0, 2, 2)),
        pair(SUDOKU, with_cell(0, 1, 3)),
        pair(SUDOKU, None),
    ]
    found = misreadings(pairs)
    assert found["wrong"] == [[0, 1, 1, 0], [0] * 4, [0] * 4, [0] * 4]
    assert found["seen"] == [[3] * 4] * 4
    assert (found["rows"], found["columns"]) == (["a", "b", "c", "d"], ["1", "2", "3", "4"])
    assert found["values"] == ["1", "2", "3", "4", "blank"]
    assert found["confusion"][2] == [0, 1, 3 * 4 - 1, 0, 0]
    assert found["confusion"][4] == [0, 0, 1, 0, 3 * 3 - 1]
    assert found["per_item"] == {"0": 1, "1": 2, "unreadable": 1}


def test_graph_edges_missed_and_invented():
    found = misreadings([pair(GRAPH, replace(GRAPH, edges=((0, 1), (0, 3), (1, 2))))])
    assert found["values"] == ["edge", "no edge"]
    assert found["confusion"] == [[2, 1], [1, 2]]
    assert found["wrong"] == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert found["rows"] == found["columns"] == ["0", "1", "2", "3"]


def test_graphs_of_several_sizes_share_one_table():
    larger = Graph(5, ((0, 4),), 2)
    found = misreadings([pair(GRAPH, GRAPH), pair(larger, larger)])
    assert found["seen"][0] == [0, 2, 2, 2, 1]


def test_a_puzzle_that_does_not_say_its_facts_has_no_misreadings():
    assert misreadings([Pair({}, {}, [])]) is None
    assert misreadings([]) is None


def test_a_puzzle_of_ones_own_has_its_map_by_its_facts_alone():
    true = {(0, 0): "red", (0, 1): "red", (1, 0): "blue"}
    found = misreadings([Pair(true, {(0, 0): "red", (0, 1): "blue"}, ["top", "bottom"])])
    assert (found["rows"], found["columns"]) == (["top", "bottom"], ["1", "2"])
    assert found["wrong"] == [[0, 1], [1, 0]]
    assert NOTHING in found["values"]
    assert found["per_item"] == {"2": 1}


def test_nothing_readable():
    found = misreadings([pair(SUDOKU, None)])
    assert found["per_item"] == {"unreadable": 1}
    assert found["values"] == []
