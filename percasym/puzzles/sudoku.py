"""Sudoku with boxes of `rows` x `cols` cells: 2x2 is 4x4, 2x3 is 6x6, 3x3 is the paper's 9x9.

p* is the partly filled grid, in which "-" is a blank:

    json    [[4, "-", 1, 2], ["-", 2, "-", 3], ...]
    cells   a1 4 a2 - a3 1 a4 2 b1 - ...               row letter, column number
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from PIL import Image
from pydantic import Field, model_validator

from percasym.errors import PercasymError
from percasym.puzzles.base import Credit, Puzzle, PuzzleConfig
from percasym.puzzles.reading import is_json, read_json, read_words
from percasym.puzzles.styles import parse_style
from percasym.puzzles.sudoku_image import draw_sudoku
from percasym.puzzles.sudoku_solver import carve, geometry, random_grid, solve

BLANK = "-"
BLANKS = {4: (7, 9), 6: (14, 18), 8: (20, 30), 9: (30, 45)}  # by size, where the config does not say
MOST_BLANKS = {4: 12, 6: 26, 8: 42, 9: 56}  # random carving finds more only by luck
TRIES = 1000
CELLS_QUERY = "describe the grid then solve the sudoku of {rows} x {cols} boxes"
JSON_QUERY = """\
The image shows a Sudoku of {size}x{size} cells. Every row, every column and every box of {rows} rows and {cols} \
columns must hold each of the integers 1 to {size} once.
First describe the grid: write what the image shows between <caption> and </caption> as a {size}x{size} JSON list of \
rows with integers, and "-" for a blank cell. Then think step by step and solve it. At last write the solved grid \
between <answer> and </answer> as a {size}x{size} JSON list of rows with integers only."""

Grid = tuple[tuple[int, ...], ...]


class SudokuConfig(PuzzleConfig):
    """Size and difficulty of Sudokus."""

    rows: int = Field(3, ge=2, le=4, description="Rows of a box; a 9x9 Sudoku has 3.")
    cols: int = Field(3, ge=2, le=4, description="Columns of a box; a 9x9 Sudoku has 3.")
    blanks_low: int = Field(0, ge=0, description="Fewest blank cells; 0: as befits the size.")
    blanks_high: int = Field(0, ge=0, description="Most blank cells; 0: as befits the size.")
    side: int = Field(369, ge=32, le=2048, description="Width and height of the image in pixels.")

    @property
    def blanks(self) -> tuple[int, int]:
        """The fewest and the most blank cells."""
        low, high = BLANKS[self.rows * self.cols]
        return self.blanks_low or min(low, self.blanks_high or low), self.blanks_high or max(high, self.blanks_low)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        size = self.rows * self.cols
        if size not in BLANKS:
            raise ValueError(f"boxes of {self.rows}x{self.cols} are too large: rows times cols is at most 9")
        low, high = self.blanks
        if not low <= high <= MOST_BLANKS[size]:
            raise ValueError(
                f"blanks_low {low} to blanks_high {high} is no range within 1 to {MOST_BLANKS[size]}, the most "
                f"blanks for which {size}x{size} Sudokus with one solution are easily found"
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
        return self.rows * self.cols

    @property
    def cells(self) -> list[int]:
        """The digits of all cells, row by row."""
        return [digit for row in self.grid for digit in row]


class SudokuPuzzle(Puzzle[Sudoku]):
    """Sudokus with exactly one solution."""

    name = "sudoku"
    Config = SudokuConfig
    config: SudokuConfig

    def generate(self, rng: random.Random) -> Sudoku:
        g = geometry(self.config.rows, self.config.cols)
        blanks = rng.randint(*self.config.blanks)
        for _ in range(TRIES):
            grid = carve(g, random_grid(g, rng), blanks, rng)
            if grid is not None:
                return Sudoku(g.rows, g.cols, _in_rows(grid, g.size))
        raise PercasymError(f"no {g.size}x{g.size} Sudoku with {blanks} blanks was found: ask for fewer blanks")

    def render(self, instance: Sudoku, rng: random.Random, style: str | None = None) -> Image.Image:
        look = parse_style(style or self.config.style)
        return draw_sudoku(instance.grid, instance.rows, instance.cols, self.config.side, look, rng)

    def query(self, instance: Sudoku) -> str:
        text = JSON_QUERY if self.config.text == "json" else CELLS_QUERY
        return text.format(rows=instance.rows, cols=instance.cols, size=instance.size)

    def perception(self, instance: Sudoku) -> str:
        return self._write(instance.grid)

    def answer(self, instance: Sudoku) -> str:
        """The solved grid.

        Raises:
            PercasymError: the Sudoku has no solution.
        """
        solution = self.solve(instance)
        if solution is None:
            raise PercasymError("this Sudoku has no solution: check the grid")
        return self._write(solution)

    def _write(self, grid: Grid) -> str:
        if self.config.text == "json":
            return json.dumps([[digit or BLANK for digit in row] for row in grid])
        cells = (digit for row in grid for digit in row)
        names = cell_names(len(grid))
        return " ".join(f"{name} {digit or BLANK}" for name, digit in zip(names, cells, strict=True))

    def ground_truth(self, instance: Sudoku) -> str:
        return json.dumps([list(row) for row in instance.grid])

    def read_ground_truth(self, text: str) -> Sudoku:
        size = self.config.rows * self.config.cols
        if is_json(text):
            cells, complete = _read_rows(read_json(text), size)
            if complete and solve(geometry(self.config.rows, self.config.cols), cells) is not None:
                return Sudoku(self.config.rows, self.config.cols, _in_rows(cells, size))
        raise PercasymError(f"this ground truth is no solvable {size}x{size} Sudoku as JSON rows: {text[:60]!r}")

    def solve(self, instance: Sudoku) -> Grid | None:
        """The solved grid; None where there is none, or none that a bounded search could find."""
        return _solution(instance)

    def read_perception(self, text: str, instance: Sudoku) -> Sudoku | None:
        cells, complete = _read(text, instance.size)
        return Sudoku(instance.rows, instance.cols, _in_rows(cells, instance.size)) if complete else None

    def score_perception(self, instance: Sudoku, text: str) -> Credit:
        """Exact: the same grid. Partial: the share of cells that were read right."""
        cells, complete = _read(text, instance.size)
        truth = instance.cells
        right = sum(map(int.__eq__, cells, truth))
        return Credit(complete and right == len(truth), right / len(truth))

    def score_answer(self, instance: Sudoku, text: str) -> Credit:
        """Exact: a full grid that keeps the given digits and all rules. Partial: the share of blanks that are right."""
        cells, complete = _read(text, instance.size)
        truth = instance.cells
        if complete and all(a == b or not b for a, b in zip(cells, truth, strict=True)):
            g = geometry(instance.rows, instance.cols)
            if all(len({cells[i] for i in unit} - {0}) == g.size for unit in g.units):
                return Credit(True, 1.0)
        solution = self.solve(instance)
        blanks = [i for i, digit in enumerate(truth) if not digit]
        if solution is None or not blanks:
            return Credit(False, 0.0)
        solved = [digit for row in solution for digit in row]
        return Credit(False, sum(cells[i] == solved[i] for i in blanks) / len(blanks))

    def reasoning(self, instance: Sudoku, rng: random.Random, words: int, detours: float) -> str:
        from percasym.puzzles import sudoku_reasoning

        return sudoku_reasoning.think(instance, rng, words, detours)[0]

    def vocabulary(self) -> Iterable[str]:
        from percasym.puzzles import sudoku_reasoning

        size = self.config.rows * self.config.cols
        digits = [str(digit) for digit in range(1, size + 1)]
        return [
            *cell_names(size),
            *digits,
            BLANK,
            *CELLS_QUERY.format(rows=self.config.rows, cols=self.config.cols).split(),
            *sudoku_reasoning.WORDS,
        ]


@lru_cache
def cell_names(size: int) -> tuple[str, ...]:
    """a1, a2, ..., b1, ...: the names of all cells, row by row."""
    return tuple(f"{chr(ord('a') + row)}{column + 1}" for row in range(size) for column in range(size))


@lru_cache
def _cell_numbers(size: int) -> dict[str, int]:
    return {name: number for number, name in enumerate(cell_names(size))}


@lru_cache(maxsize=4096)
def _solution(sudoku: Sudoku) -> Grid | None:
    solved = solve(geometry(sudoku.rows, sudoku.cols), sudoku.cells)
    return None if solved is None else _in_rows(solved, sudoku.size)


def _in_rows(cells: Sequence[int], size: int) -> Grid:
    return tuple(tuple(cells[start : start + size]) for start in range(0, len(cells), size))


def _read(text: str, size: int) -> tuple[list[int], bool]:
    """The digits of all cells as far as `text` gives them, -1 where not, and whether it is a complete grid."""
    if is_json(text):
        return _read_rows(read_json(text), size)
    words = read_words(text)
    digits = {BLANK: 0, **{str(digit): digit for digit in range(size + 1)}}
    numbers = _cell_numbers(size)
    cells = [-1] * size**2
    for name, digit in zip(words, words[1:], strict=False):
        number = numbers.get(name)
        if number is not None and cells[number] < 0:
            cells[number] = digits.get(digit, -1)
    return cells, len(words) == 2 * len(cells) and -1 not in cells


def _read_rows(value: Any, size: int) -> tuple[list[int], bool]:
    cells = [-1] * size**2
    if not isinstance(value, list):
        return cells, False
    complete = len(value) == size
    for row, digits in enumerate(value[:size]):
        if not isinstance(digits, list):
            complete = False
            continue
        complete = complete and len(digits) == size
        for column, digit in enumerate(digits[:size]):
            if digit == BLANK:
                digit = 0
            if type(digit) is int and 0 <= digit <= size:
                cells[row * size + column] = digit
    return cells, complete and -1 not in cells
