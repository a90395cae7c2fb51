"""Sudoku with boxes of `rows` x `cols` cells: 2x2 is 4x4, 2x3 is 6x6, 3x3 is the paper's 9x9.

p* is the partly filled grid, in which "-" is a blank:

    json    [[4, "-", 1, 2], ["-", 2, "-", 3], ...]
    cells   a1 4 a2 - a3 1 a4 2 b1 - ...               row letter, column number
"""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise, repeat
from operator import eq, itemgetter
from typing import Any, Self

from PIL import Image
from pydantic import Field, model_validator

from percasym.errors import PercasymError
from percasym.puzzles import sudoku_reasoning
from percasym.puzzles.base import Credit, Puzzle, PuzzleConfig, Thought
from percasym.puzzles.reading import is_json, read_json, read_words
from percasym.puzzles.styles import parse_style
from percasym.puzzles.sudoku_generation import carve, random_grid
from percasym.puzzles.sudoku_image import draw_sudoku
from percasym.puzzles.sudoku_solver import Geometry, geometry, has_one_solution, solve

BLANK = "-"
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
        cells, complete = _read_rows(read_json(text), self.config.size)
        if complete and 0 not in cells:
            raise PercasymError(f"a grid without a blank, which is no puzzle but a solution: {text[:60]!r}")
        if complete:
            sudoku = self._sudoku(cells)
            if self.solve(sudoku) is not None:
                return sudoku
        size = self.config.size
        raise PercasymError(f"no {size}x{size} JSON list of a Sudoku that can be solved: {text[:60]!r}")

    def solve(self, instance: Sudoku) -> Grid | None:
        """The solved grid; None where there is none, or none that a bounded search finds."""
        return _solution(instance)

    def is_possible(self, described: Sudoku) -> bool:
        """Whether the grid has a blank, and one solution and no other."""
        return 0 in described.cells and has_one_solution(described.geometry, described.cells)

    def read_perception(self, text: str, instance: Sudoku) -> Sudoku | None:
        cells, complete = _read(text, instance.size)
        return Sudoku(instance.rows, instance.cols, _in_rows(cells, instance.size)) if complete else None

    def score_perception(self, instance: Sudoku, text: str) -> Credit:
        """Exact: the same grid. Partial: the share of cells that are right."""
        cells, complete = _read(text, instance.size)
        right = sum(map(eq, cells, instance.cells))
        return Credit(complete and right == len(cells), right / len(cells))

    def score_answer(self, instance: Sudoku, text: str) -> Credit:
        """Exact: the grid, filled by the rules. Partial: the share of its blanks that are right."""
        cells, complete = _read(text, instance.size)
        solved = tuple(chain.from_iterable(self.solve(instance) or ()))
        if cells == solved or (complete and _solves(cells, instance)):
            return Credit(True, 1.0)
        blanks = instance.cells.count(0)
        if not solved or not blanks:
            return Credit(False, 0.0)
        right = sum(a == b and not c for a, b, c in zip(cells, solved, instance.cells, strict=True))
        return Credit(False, right / blanks)

    def answers_caption(self, instance: Sudoku, caption: str, text: str) -> bool:
        described = self.read_perception(caption, instance)
        cells, complete = _read(text, instance.size)
        return described is not None and complete and _solves(cells, described)

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


@lru_cache
def cell_names(size: int) -> tuple[str, ...]:
    """a1, a2, ..., b1, ...: the names of all cells, row by row."""
    return tuple(f"{chr(ord('a') + row)}{column + 1}" for row in range(size) for column in range(size))


@lru_cache
def _reader(size: int) -> tuple[dict[str, int], dict[str, int]]:
    """The number of every cell's name and the digit of every word that can follow it."""
    numbers = {name: number for number, name in enumerate(cell_names(size))}
    return numbers, {BLANK: 0, **{str(digit): digit for digit in range(size + 1)}}


@lru_cache
def _digits(size: int) -> dict[Any, int]:
    """The digit of every JSON value that stands for one."""
    return {BLANK: 0, **{digit: digit for digit in range(size + 1)}}


@lru_cache(maxsize=256)  # scoring reads a text for more than one reason
def _read(text: str, size: int) -> tuple[tuple[int, ...], bool]:
    """The digit of every cell that `text` gives, -1 for the others, and whether it gives the whole grid."""
    if is_json(text):
        return _read_rows(read_json(text), size)
    words = read_words(text)
    numbers, digits = _reader(size)
    cells = [-1] * size**2
    for name, digit in pairwise(words):
        if name in numbers and cells[numbers[name]] < 0:
            cells[numbers[name]] = digits.get(digit, -1)
    return tuple(cells), len(words) == 2 * len(cells) and -1 not in cells


def _read_rows(value: Any, size: int) -> tuple[tuple[int, ...], bool]:
    """As `_read`, of a JSON value."""
    rows = value if isinstance(value, list) else []
    digits = _digits(size)
    cells = [-1] * size**2
    fits = len(rows) == size
    with suppress(TypeError):  # an entry that is a list or an object: nothing is read beyond it
        for start, row in zip(range(0, len(cells), size), rows, strict=False):
            if isinstance(row, list):
                fits = fits and len(row) == size
                read = list(map(digits.get, row[:size], repeat(-1)))
                cells[start : start + len(read)] = read
    return tuple(cells), fits and -1 not in cells


def _solves(cells: Sequence[int], sudoku: Sudoku) -> bool:
    """Whether the full grid `cells` keeps the digits of `sudoku` and has every digit once in every unit."""
    for given, digit in zip(sudoku.cells, cells, strict=True):
        if digit != given and (given or not digit):
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
