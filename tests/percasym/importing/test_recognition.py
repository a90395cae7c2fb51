"""Puzzles are recognised, never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.importing.recognition import read_puzzle
from percasym.puzzles import load_puzzle


@given(
    family=st.sampled_from(["sudoku", "graph_coloring"]),
    seed=st.integers(0, 10_000),
    shape=st.sampled_from([(2, 2), (2, 3), (3, 2), (2, 4), (3, 3)]),
    v=st.integers(2, 26),
)
def test_a_puzzle_is_recognised_whatever_its_size(
    family: str, seed: int, shape: tuple[int, int], v: int
) -> None:
    config = (
        {"rows": shape[0], "cols": shape[1]}
        if family == "sudoku"
        else {"vertices_low": v, "vertices_high": v, "side": 2000, "edge_probability": 0.2}
    )
    written_by = load_puzzle(family, config)
    instance = written_by.item("test", seed, 0).instance
    truth = written_by.ground_truth(instance)
    if not is_recognised(truth):
        assert shape[0] != shape[1]
        return
    puzzle, found = read_puzzle(truth, None)
    assert (puzzle.name, found) == (family, instance)
    assert puzzle.perception(found) == written_by.perception(instance)


def is_recognised(truth: str) -> bool:
    try:
        read_puzzle(truth, None)
    except PercasymError as error:
        return "either shape" not in str(error)
    return True


def test_of_boxes_of_two_shapes_none_is_guessed() -> None:
    puzzle = load_puzzle("sudoku", {"rows": 3, "cols": 2})
    instance = puzzle.item("test", 381, 0).instance
    with pytest.raises(PercasymError, match="boxes of either shape: say --puzzle sudoku --set rows="):
        read_puzzle(puzzle.ground_truth(instance), None)
    assert read_puzzle(puzzle.ground_truth(instance), puzzle)[1] == instance
