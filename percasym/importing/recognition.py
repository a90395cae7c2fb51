"""Which puzzle a ground truth is, and whether it is a proper one."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from percasym.errors import PercasymError
from percasym.puzzles import Puzzle, Task, load_puzzle
from percasym.puzzles.chromatic import MOST_VERTICES
from percasym.puzzles.graph_coloring import GraphConfig
from percasym.puzzles.graph_image import smallest_side
from percasym.puzzles.reading import read_json

BOXES = {4: [(2, 2)], 6: [(2, 3), (3, 2)], 8: [(2, 4), (4, 2)], 9: [(3, 3)]}  # rows and columns, by size
IMPROPER = {
    "sudoku": "its Sudoku has more than one solution, or is too hard to tell",
    "graph_coloring": "its graph has no edge",
}


def read_puzzle(ground_truth: str, told: Task[Any] | None) -> tuple[Task[Any], Any]:
    """The family, set up for this puzzle, and the puzzle itself.

    A list of rows is a Sudoku, whose boxes are those with which it has one solution; an object with "v" is a
    graph of so many vertices. `told` says what it is instead.

    Raises:
        PercasymError: no ground truth of these families, or of `told`; a wrong chromatic number; a Sudoku
            without a solution, with several, or that could have boxes of two shapes.
    """
    found: list[tuple[Task[Any], Any]] = []
    reasons: list[str] = []
    for puzzle in [told] if told else _candidates(ground_truth):
        try:
            instance = puzzle.read_ground_truth(ground_truth)
        except PercasymError as error:
            reasons.append(f"its ground truth is {error}")
            continue
        if puzzle.is_possible(instance):
            found.append((puzzle, instance))
        else:
            reasons.append(IMPROPER.get(puzzle.name, "its puzzle has no solution, or several"))
    if len(found) > 1:
        raise PercasymError(
            "its Sudoku is one with boxes of either shape: say --puzzle sudoku --set rows=..."
        )
    if not found:
        raise PercasymError((reasons or [f"its ground truth is no puzzle: {ground_truth[:60]!r}"])[0])
    return found[0]


def _candidates(ground_truth: str) -> Iterator[Puzzle[Any]]:
    match read_json(ground_truth):
        case list(rows):
            for rows_of_box, cols_of_box in BOXES.get(len(rows), ()):
                yield _sudoku(rows_of_box, cols_of_box)
        case {"v": int(v)} if 2 <= v <= MOST_VERTICES:
            yield _graph(v)


@lru_cache
def _sudoku(rows: int, cols: int) -> Puzzle[Any]:
    return load_puzzle("sudoku", {"rows": rows, "cols": cols})


@lru_cache
def _graph(v: int) -> Puzzle[Any]:
    side = max(GraphConfig.model_validate({}).side, smallest_side(v))
    return load_puzzle("graph_coloring", {"vertices_low": v, "vertices_high": v, "side": side})
