from dataclasses import replace

from percasym.puzzles import load_puzzle
from percasym.puzzles.graph_coloring import Graph
from percasym.puzzles.sudoku import Sudoku
from percasym.report.marking import MOST_WORDS, mark

SUDOKU = Sudoku(2, 2, ((1, 0, 3, 4), (3, 4, 0, 2), (0, 1, 4, 3), (4, 3, 2, 1)))
SUDOKUS = load_puzzle("sudoku", {"rows": 2, "cols": 2})
GRAPHS = load_puzzle("graph_coloring", {})
GRAPH = Graph(4, ((0, 1), (1, 2), (2, 3)), 2)


def test_wrong_cells_are_marked_with_what_stands_there():
    read = replace(SUDOKU, grid=((1, 0, 2, 4), (3, 4, 0, 2), (1, 1, 4, 3), (4, 3, 2, 0)))
    marked = mark(SUDOKUS, SUDOKU, read, "p*", "caption")
    wrong = {
        (row, column): (cell.text, cell.true)
        for row, cells in enumerate(marked.cells)
        for column, cell in enumerate(cells)
        if cell.true is not None
    }
    assert wrong == {(0, 2): ("2", "3"), (2, 0): ("1", "–"), (3, 3): ("–", "1")}
    assert marked.cells[0][1].text == ""  # a blank read as one
    assert marked.wrong == "3 of 16 cells misread"
    assert marked.cells[1][1].edges.split() == ["right", "below"]
    assert marked.cells[0][2].edges.split() == []


def test_a_right_caption_has_nothing_marked():
    for puzzle, instance in ((SUDOKUS, SUDOKU), (GRAPHS, GRAPH)):
        assert mark(puzzle, instance, instance, "p*", "p*").wrong == ""
    assert mark(SUDOKUS, None, None, "a b", "a b").wrong == ""


def test_missed_and_invented_edges():
    marked = mark(GRAPHS, GRAPH, replace(GRAPH, edges=((0, 1), (0, 3), (1, 2))), "p*", "caption")
    assert sorted(line.state for line in marked.lines) == ["invented", "missed", "right", "right"]
    assert marked.wrong == "missed 2–3; invented 0–3"
    assert len(marked.nodes) == 4
    assert all(0 <= place <= 1 for node in marked.nodes for place in node)


def test_words_where_no_puzzle_can_be_read():
    marked = mark(SUDOKUS, SUDOKU, None, "a1 3 a2 - a3 4", "a1 3 a2 7 a3")
    assert marked.words == [
        ("right", "a1 3 a2"),
        ("missed", "-"),
        ("invented", "7"),
        ("right", "a3"),
        ("missed", "4"),
    ]
    assert marked.wrong == "3 differences from p*"


def test_endless_captions_are_cut():
    marked = mark(SUDOKUS, None, None, "x", "y " * 100_000)
    assert sum(len(text.split()) for _, text in marked.words) <= MOST_WORDS + 1
