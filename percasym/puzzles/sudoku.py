"""Sudoku with boxes of `rows` x `cols` cells: 2x2 is 4x4, 2x3 is 6x6, 3x3 is the paper's 9x9.

p* is the partly filled grid, in which "-" is a blank:

    json    [[4, "-", 1, 2], ["-", 2, "-", 3], ...]
    cells   a1 4 a2 - a3 1 a4 2 b1 - ...               row letter, column number
"""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import eq, itemgetter
from typing import Self

from PIL import Image
from pydantic import Field, model_validator

from percasym.errors import PercasymError
from percasym.puzzles import sudoku_reasoning
from percasym.puzzles.base import Credit, Facts, Puzzle, PuzzleConfig, Thought
from percasym.puzzles.reading import read_json
from percasym.puzzles.styles import parse_style
from percasym.puzzles.sudoku_cells import BLANK, cell_names
from percasym.puzzles.sudoku_generation import carve, random_grid
from percasym.puzzles.sudoku_image import draw_sudoku
from percasym.puzzles.sudoku_reading import cells_of_rows, read_grid
from percasym.puzzles.sudoku_solver import Geometry, geometry, has_one_solution, solve

USUAL_BLANKS = {4: (7, 9), 6: (14, 18), 8: (24, 32), 9: (30, 45)}  # by size
MOST_BLANKS = {4: 12, 6: 26, 8: 42, 9: 56}  # random carving rarely finds more
TRIES = 1000
CELLS_QUERY = "describe the grid then solve the sudoku of {rows} x {cols} boxes"
JSON_QUERY = """\
The image shows a Sudoku of {size}x{size} cells. Every row, every column and every box of {rows} rows and \
{cols} columns must hold each of the integers 1 to {size} once.
First describe the grid: write what the image shows between <caption> and </caption> as a {size}x{size} JSON \
list with integers, and "-" for a blank. Then think step by step. At last write the solved grid between \
<answer> and </answer> as a {size}x{size} JSON list with integers."""

Grid = tuple[tuple[int, ...], ...]


NO_DIGIT = "blank"  # the fact of such a cell


class SudokuConfig(PuzzleConfig):
    """Size and difficulty of Sudokus."""

    rows: int = Field(3, ge=2, le=4, description="Rows of a box; a 9x9 Sudoku has 3.")
    cols: int = Field(3, ge=2, le=4, description="Columns of a box; a 9x9 Sudoku has 3.")
    blanks_low: int = Field(0, ge=0, description="Fewest blank cells; 0: what is usual for the size.")
    blanks_high: int = Field(0, ge=0, description="Most blank cells; 0: what is usual for the size.")
    side: int = Field(369, ge=32, le=2048, description="Width and height of the image in pixels.")

    @property
    def size(self) -> int:
        """Cells in a row, and digits."""
        return self.rows * self.cols

    @property
    def blanks(self) -> tuple[int, int]:
        """The fewest and the most blank cells."""
        low, high = USUAL_BLANKS[self.size]
        low = self.blanks_low or min(low, self.blanks_high or low)
        return low, self.blanks_high or max(high, low)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.size not in USUAL_BLANKS:
            raise ValueError(f"boxes of {self.rows}x{self.cols} are too large: rows times cols is at most 9")
        low, high = self.blanks
        if not low <= high <= MOST_BLANKS[self.size]:
            raise ValueError(
                f"blanks_low {low} and blanks_high {high} are no range within 1 to {MOST_BLANKS[self.size]}, "
                f"the most blanks with which {self.size}x{self.size} Sudokus of one solution are easy to find"
            )
        if self.side < 10 * self.size:
            raise ValueError(
                f"side {self.side} is too small for {self.size}x{self.size} cells of 10 pixels or more"
            )
        return self


@dataclass(frozen=True)
class Sudoku:
    """A partly filled grid with boxes of `rows` x `cols` cells; 0 is a blank."""

    rows: int
    cols: int
    grid: Grid

    @property
    def size(self) -> int:
        """Cells in a row, and digits."""
        return self.rows * self.cols

    @property
    def cells(self) -> list[int]:
        """The digits of all cells, row by row."""
        return list(chain.from_iterable(self.grid))

    @property
    def geometry(self) -> Geometry:
        """Cells and units of the grid."""
        return geometry(self.rows, self.cols)


class SudokuPuzzle(Puzzle[Sudoku]):
    """Sudokus with exactly one solution."""

    name = "sudoku"
    Config = SudokuConfig
    config: SudokuConfig

    def generate(self, rng: random.Random) -> Sudoku:
        blanks = rng.randint(*self.config.blanks)
        g = geometry(self.config.rows, self.config.cols)
        for _ in range(TRIES):
            cells = carve(g, random_grid(g, rng), blanks, rng)
            if cells is not None:
                return self._sudoku(cells)
        raise PercasymError(
            f"no {g.size}x{g.size} Sudoku with {blanks} blanks was found: ask for fewer blanks"
        )

    def vary(self, instance: Sudoku, rng: random.Random) -> Sudoku:
        """`instance` with its digits renamed, or now and then a new one: names run out."""
        if rng.random() < 0.1:
            return self.generate(rng)
        digits = list(range(1, instance.size + 1))
        rng.shuffle(digits)
        return self._sudoku([digit and digits[digit - 1] for digit in instance.cells])

    def render(self, instance: Sudoku, rng: random.Random, style: str | None = None) -> Image.Image:
        look = parse_style(style or self.config.style)
        return draw_sudoku(instance.grid, instance.rows, instance.cols, self.config.side, look, rng)

    def query(self, instance: Sudoku) -> str:
        text = JSON_QUERY if self.config.text == "json" else CELLS_QUERY
        return text.format(rows=instance.rows, cols=instance.cols, size=instance.size)

    def perception(self, instance: Sudoku) -> str:
        return self._write(instance.grid)

    def answer(self, instance: Sudoku) -> str:
        solution = self.solve(instance)
        if solution is None:
            raise PercasymError(f"this Sudoku has no solution: {self.ground_truth(instance)}")
        return self._write(solution)

    def ground_truth(self, instance: Sudoku) -> str:
        return json.dumps([list(row) for row in instance.grid])

    def read_ground_truth(self, text: str) -> Sudoku:
        cells, whole = cells_of_rows(read_json(text), self.config.size)
        if whole and 0 not in cells:
            raise PercasymError(f"a grid without a blank, which is no puzzle but a solution: {text[:60]!r}")
        if whole:
            sudoku = self._sudoku(cells)
            if self.solve(sudoku) is not None:
                return sudoku
        size = self.config.size
        raise PercasymError(f"no {size}x{size} JSON list of a Sudoku that can be solved: {text[:60]!r}")

    def facts(self, instance: Sudoku) -> Facts:
        """The digit in each cell, or that there is none."""
        return {
            (row, column): str(digit) if digit else NO_DIGIT
            for row, digits in enumerate(instance.grid)
            for column, digit in enumerate(digits)
        }

    def fact_rows(self, instance: Sudoku) -> list[str]:
        """a, b, c ..., as in the cells format."""
        return [chr(ord("a") + row) for row in range(len(instance.grid))]

    def solve(self, instance: Sudoku) -> Grid | None:
        """The solved grid; None where there is none, or none that a bounded search finds."""
        return _solution(instance)

    def is_possible(self, described: Sudoku) -> bool:
        """Whether the grid has a blank, and one solution and no other."""
        return 0 in described.cells and has_one_solution(described.geometry, described.cells)

    def read_perception(self, text: str, instance: Sudoku) -> Sudoku | None:
        cells, whole = read_grid(text, instance.size)
        return Sudoku(instance.rows, instance.cols, _in_rows(cells, instance.size)) if whole else None

    def describes(self, text: str, instance: Sudoku) -> bool:
        return read_grid(text, instance.size).whole

    def score_perception(self, instance: Sudoku, text: str) -> Credit:
        """Exact: the same grid. Partial: the share of cells that are right."""
        cells, whole = read_grid(text, instance.size)
        right = sum(map(eq, cells, instance.cells))
        return Credit(whole and right == len(cells), right / len(cells))

    def read_answer(self, text: str, instance: Sudoku) -> tuple[int, ...] | None:
        """The digits of a grid, row by row, which may well have blanks; None where `text` is no grid."""
        cells, whole = read_grid(text, instance.size)
        return cells if whole else None

    def score_answer(self, instance: Sudoku, text: str) -> Credit:
        """Exact: the grid, filled by the rules. Partial: the share of its blanks that are right."""
        cells, whole = read_grid(text, instance.size)
        if whole and _solves(cells, instance):
            return Credit(True, 1.0)
        solved = tuple(chain.from_iterable(self.solve(instance) or ()))
        blanks = instance.cells.count(0)
        if not solved or not blanks:
            return Credit(False, 0.0)
        right = sum(a == b and not c for a, b, c in zip(cells, solved, instance.cells, strict=True))
        return Credit(False, right / blanks)

    def answers_caption(self, instance: Sudoku, caption: str, text: str) -> bool:
        described = self.read_perception(caption, instance)
        cells, whole = read_grid(text, instance.size)
        return described is not None and whole and _solves(cells, described)

    def difficulty(self, instance: Sudoku) -> int:
        """The number of blanks."""
        return instance.cells.count(0)

    def reasoning(self, instance: Sudoku, rng: random.Random, words: int, detours: float) -> Thought:
        text, grid = sudoku_reasoning.think(instance, rng, words, detours)
        return Thought(text, self._write(grid))

    def vocabulary(self) -> Iterable[str]:
        query = CELLS_QUERY.format(rows=self.config.rows, cols=self.config.cols)
        return [
            *cell_names(self.config.size),
            *(str(digit) for digit in range(1, self.config.size + 1)),
            BLANK,
            *query.split(),
            *sudoku_reasoning.WORDS,
        ]

    def _sudoku(self, cells: Sequence[int]) -> Sudoku:
        return Sudoku(self.config.rows, self.config.cols, _in_rows(cells, self.config.size))

    def _write(self, grid: Grid) -> str:
        if self.config.text == "json":
            return json.dumps([[digit or BLANK for digit in row] for row in grid])
        digits = (digit for row in grid for digit in row)
        return " ".join(
            f"{cell} {digit or BLANK}" for cell, digit in zip(cell_names(len(grid)), digits, strict=True)
        )


def _solves(cells: Sequence[int], sudoku: Sudoku) -> bool:
    """Whether the grid `cells` has no blank, keeps the digits of `sudoku`, and each digit once in a unit."""
    if 0 in cells:
        return False
    for given, digit in zip(sudoku.cells, cells, strict=True):
        if digit != given and given:
            return False
    return all(len(set(unit(cells))) == sudoku.size for unit in _units(sudoku.rows, sudoku.cols))


@lru_cache
def _units(rows: int, cols: int) -> list[Callable[[Sequence[int]], tuple[int, ...]]]:
    """What takes each unit's digits out of a full grid."""
    return [itemgetter(*unit) for unit in geometry(rows, cols).units]


@lru_cache(maxsize=4096)
def _solution(sudoku: Sudoku) -> Grid | None:
    solved = solve(sudoku.geometry, sudoku.cells)
    return None if solved is None else _in_rows(solved, sudoku.size)


def _in_rows(cells: Sequence[int], size: int) -> Grid:
    return tuple(tuple(cells[start : start + size]) for start in range(0, len(cells), size))
