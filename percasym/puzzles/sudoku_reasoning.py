"""The chain of thought of a solver at a Sudoku; search_in_words.py shows what it reads like."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import TYPE_CHECKING

from percasym.puzzles import search_in_words
from percasym.puzzles.search_in_words import Problem

if TYPE_CHECKING:  # sudoku.py imports this module
    from percasym.puzzles.sudoku import Sudoku

UNITS = ("row", "column", "box")
WORDS: tuple[str, ...] = (*search_in_words.WORDS, *UNITS)  # every word but the cells and values


def think(
    sudoku: Sudoku, rng: random.Random, words: int, detours: float
) -> tuple[str, tuple[tuple[int, ...], ...]]:
    """A chain of thought of about `words` words, and the solved grid it arrives at.

    Cells are named by row letter and column number. Up to 4x4 every look lists all of a cell's peers, on
    larger grids those that are filled. `detours` is the probability of a wrong turn before each step.

    Raises:
        PercasymError: the Sudoku has no solution.
    """
    size = sudoku.rows * sudoku.cols
    names, neighbours, groups = _geometry(sudoku.rows, sudoku.cols)
    problem = Problem(
        places=names,
        values=[str(n) for n in range(1, size + 1)],
        given=[value for row in sudoku.grid for value in row],
        neighbours=neighbours,
        groups=groups,
        list_blanks=size <= 4,
        ordered=False,
    )
    text, state = search_in_words.think(problem, rng, words, detours)
    return text, tuple(state[start : start + size] for start in range(0, size * size, size))


@lru_cache
def _geometry(
    rows: int, cols: int
) -> tuple[list[str], list[tuple[int, ...]], list[tuple[str, tuple[int, ...]]]]:
    """Names and peers of the cells, and the units, of a Sudoku with boxes of `rows` x `cols`."""
    size = rows * cols
    cells = [divmod(index, size) for index in range(size * size)]
    units: dict[tuple[str, int], list[int]] = {}
    for index, (r, c) in enumerate(cells):
        for word, number in zip(UNITS, (r, c, r // rows * rows + c // cols), strict=True):
            units.setdefault((word, number), []).append(index)
    peers: list[set[int]] = [set() for _ in cells]
    for members in units.values():
        for index in members:
            peers[index].update(members)
    names = [f"{chr(ord('a') + r)}{c + 1}" for r, c in cells]
    neighbours = [tuple(sorted(found - {index})) for index, found in enumerate(peers)]
    return names, neighbours, [(word, tuple(members)) for (word, _), members in units.items()]
