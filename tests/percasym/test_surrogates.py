"""What stands in for a_p: right of captions whose truth is known here."""

from typing import Any

import pytest

from percasym.errors import PercasymError
from percasym.puzzles import Puzzle, load_puzzle
from percasym.response import Response, compose, parse
from percasym.surrogates import Group, load_surrogate, surrogate_values

CASES = {
    "sudoku": {"rows": 2, "cols": 2, "text": "cells"},
    "graph_coloring": {"text": "cells", "vertices_low": 6, "vertices_high": 6},
}


@pytest.fixture(params=CASES)
def puzzle(request: pytest.FixtureRequest) -> Puzzle[Any]:
    return load_puzzle(request.param, CASES[request.param])


def responses(puzzle: Puzzle[Any], *numbers: int) -> list[Response]:
    """Right responses to the items of these numbers."""
    items = [puzzle.item("test", 0, number).instance for number in numbers]
    return [parse(compose(puzzle.perception(item), "so", puzzle.answer(item))) for item in items]


def group(puzzle: Puzzle[Any], *found: Response) -> Group:
    return Group(puzzle, puzzle.item("test", 0, 0).instance, found)


def test_captions_that_agree_are_worth_more(puzzle: Puzzle[Any]) -> None:
    same, again, other = responses(puzzle, 0, 0, 1)
    nothing = parse("so")
    values = surrogate_values("agreement", group(puzzle, same, again, other, nothing), "x")
    assert values[0] == values[1] > values[2] > values[3] == 0
    assert surrogate_values("agreement", group(puzzle, same, again), "x") == [1, 1]


def test_a_right_response_is_possible_and_agrees(puzzle: Puzzle[Any]) -> None:
    right, other = responses(puzzle, 0, 1)
    mixed = right._replace(answer=other.answer)
    found = group(puzzle, right, other, right._replace(caption="so"), parse(""))
    assert surrogate_values("well_formed", found, "x") == [1, 1, 0, 0]
    assert surrogate_values("agreed", found, "x") == [1, 1, 0, 0]
    if puzzle.name == "sudoku":  # two graphs may share a colouring
        assert surrogate_values("agreed", group(puzzle, mixed), "x") == [0]


def test_a_grid_with_no_solution_or_many_is_not_possible() -> None:
    sudoku = load_puzzle("sudoku", CASES["sudoku"])
    right = responses(sudoku, 0)[0]
    assert right.caption is not None
    words = right.caption.split()
    twice = " ".join([words[0], "1", words[2], "1", *words[4:]])
    empty = " ".join(word if number % 2 == 0 else "-" for number, word in enumerate(words))
    found = group(sudoku, right._replace(caption=twice), right._replace(caption=empty))
    assert surrogate_values("well_formed", found, "x") == [0, 0]


def test_an_unknown_surrogate_is_refused() -> None:
    with pytest.raises(PercasymError, match="agreement, well_formed, agreed"):
        load_surrogate("wishes")
