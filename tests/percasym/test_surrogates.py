"""What stands in for a_p: right of captions whose truth is known here."""

from dataclasses import replace
from math import log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.puzzles import Puzzle, load_puzzle
from percasym.response import Response, compose, parse
from percasym.surrogates import (
    PER_RESPONSE,
    SURROGATES,
    Group,
    load_surrogate,
    surrogate_values,
    uses_teacher,
)

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


@pytest.mark.parametrize("name", CASES)
@given(truth=st.integers(0, 30), said=st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_a_teacher_who_is_right_gives_the_true_partial_credit(name: str, truth: int, said: list[int]) -> None:
    puzzle = load_puzzle(name, CASES[name])
    item = puzzle.item("test", 0, truth).instance
    found = [*responses(puzzle, *said), parse("<caption> a1 3 </caption> so"), parse("so")]
    values = surrogate_values("teacher", Group(puzzle, item, found, teacher=puzzle.perception(item)), "x")
    credits = [0.0 if r.caption is None else puzzle.score_perception(item, r.caption).partial for r in found]
    assert values == credits


def test_a_teacher_who_says_nothing_that_can_be_read_is_worth_nothing(puzzle: Puzzle[Any]) -> None:
    found = group(puzzle, *responses(puzzle, 0, 1))
    for caption in ("", "so it is"):
        assert surrogate_values("teacher", replace(found, teacher=caption), "x") == [0, 0]


def test_blinding_rises_with_what_the_image_adds(puzzle: Puzzle[Any]) -> None:
    found = replace(group(puzzle, *responses(puzzle, 0, 0, 0)), gains=lambda: [-1.0, 0.0, log(2)])
    assert surrogate_values("blinding", found, "x") == pytest.approx([0, 0, 0.5])


@pytest.mark.parametrize("name", ["teacher", "blinding"])
def test_a_surrogate_that_lacks_what_it_needs_says_so_in_one_line(puzzle: Puzzle[Any], name: str) -> None:
    with pytest.raises(PercasymError, match=rf"^the surrogate {name} wants") as error:
        surrogate_values(name, group(puzzle, *responses(puzzle, 0)), "x")
    assert "\n" not in str(error.value)


def test_those_that_judge_one_response_alone_give_it_the_same_value_in_any_group(puzzle: Puzzle[Any]) -> None:
    assert set(SURROGATES) >= PER_RESPONSE
    found = replace(group(puzzle, *responses(puzzle, 0, 1, 2)), teacher=puzzle.perception(
        puzzle.item("test", 0, 1).instance))  # fmt: skip
    for name in PER_RESPONSE:
        alone = [surrogate_values(name, replace(found, responses=[r]), "x")[0] for r in found.responses]
        assert surrogate_values(name, found, "x") == alone


def test_who_looks_at_the_teacher() -> None:
    assert [name for name in ["", *SURROGATES, "own.py:mine"] if uses_teacher(name)] == [
        "teacher",
        "own.py:mine",
    ]
