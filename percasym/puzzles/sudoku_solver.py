"""Sudoku with boxes of any size: search on bit boards, random full grids, and puzzles with one solution.

A board holds one integer per digit, whose bit i says that the digit may still stand in cell i. A few operations on
whole boards find every cell with a single candidate at once, which makes pure Python fast enough. Grids are flat
here: the digits of all cells row by row, 0 for a blank.
"""

import random
from collections.abc import Sequence
from functools import lru_cache

MOST_NODES = 3000  # of one search: proper puzzles need a handful, and a described grid may have no solution at all


class Geometry:
    """Cells and units of a Sudoku whose boxes have `rows` x `cols` cells.

    Attributes:
        size: digits, and cells in each row, column and box.
        units: the cells of every row, column and box.
        others: for every cell the mask of all cells but itself and those it shares a unit with.
    """

    def __init__(self, rows: int, cols: int) -> None:
        self.rows, self.cols, self.size = rows, cols, rows * cols
        self.cells = self.size**2
        self.all_cells = (1 << self.cells) - 1
        units: dict[tuple[str, int], list[int]] = {}
        for cell in range(self.cells):
            row, column = divmod(cell, self.size)
            box = row // rows * rows + column // cols
            for unit in (("row", row), ("column", column), ("box", box)):
                units.setdefault(unit, []).append(cell)
        self.units = [tuple(members) for members in units.values()]
        seen = [set().union(*(unit for unit in self.units if cell in unit)) for cell in range(self.cells)]
        self.others = [self.all_cells & ~sum(1 << cell for cell in cells) for cells in seen]


@lru_cache
def geometry(rows: int, cols: int) -> Geometry:
    """The geometry of boxes of `rows` x `cols` cells."""
    return Geometry(rows, cols)


def solve(g: Geometry, grid: Sequence[int]) -> list[int] | None:
    """A solution of `grid`; None where it has none, or none that `MOST_NODES` steps of search could find."""
    start = _board(g, grid)
    if start is None:
        return None
    try:
        found = _Search(g).run(*start)
    except _GivenUp:
        return None
    return None if found is None else _filled(grid, found)


def random_grid(g: Geometry, rng: random.Random) -> list[int]:
    """A full grid: random boxes on the diagonal, then a search in random order for the rest."""
    while True:
        grid = [0] * g.cells
        for box in range(min(g.rows, g.cols)):
            digits = list(range(1, g.size + 1))
            rng.shuffle(digits)
            for row in range(g.rows):
                start = (box * g.rows + row) * g.size + box * g.cols
                grid[start : start + g.cols] = digits[row * g.cols : (row + 1) * g.cols]
        start_board = _board(g, grid)
        assert start_board is not None  # boxes on the diagonal share no row and no column
        found = _Search(g, rng).run(*start_board)
        if found is not None:
            return _filled(grid, found)


def carve(g: Geometry, full: Sequence[int], blanks: int, rng: random.Random) -> list[int] | None:
    """`full` with `blanks` random cells blanked so that one solution is left; None if this order of cells has none.

    A cell can be blanked just when no other digit in it leads to a solution.
    """
    grid = list(full)
    order = list(range(g.cells))
    rng.shuffle(order)
    for tried, cell in enumerate(order):
        if not blanks or g.cells - tried < blanks:
            break
        digit, grid[cell] = grid[cell], 0
        if _only(g, grid, cell, digit):
            blanks -= 1
        else:
            grid[cell] = digit
    return None if blanks else grid


def _only(g: Geometry, grid: Sequence[int], cell: int, digit: int) -> bool:
    """Whether `digit` is the only one that solves `grid` in the blank `cell`."""
    start = _board(g, grid)
    assert start is not None
    board, left = start
    board[digit - 1] &= ~(1 << cell)
    try:
        return _Search(g).run(board, left) is None
    except _GivenUp:
        return False


class _GivenUp(Exception):
    pass


class _Search:
    """Depth-first search: fill cells with a single candidate, else branch on a cell with few."""

    def __init__(self, g: Geometry, rng: random.Random | None = None) -> None:
        self.others, self.rng, self.nodes = g.others, rng, 0

    def run(self, board: list[int], left: int) -> list[tuple[int, int]] | None:
        """The (cell, digit) of all cells in the mask `left`, or None; `board` is used up."""
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _GivenUp
        placed = []
        while left:
            once = twice = thrice = 0
            for places in board:
                thrice |= twice & places
                twice |= once & places
                once |= places
            if once != left:
                return None  # a cell without a candidate
            singles = once & ~twice
            if not singles:
                break
            while singles:
                bit = singles & -singles
                digit = next((d for d, places in enumerate(board) if places & bit), None)
                if digit is None:
                    return None  # a single before this one took its last candidate
                cell = bit.bit_length() - 1
                board[digit] &= self.others[cell]
                placed.append((cell, digit + 1))
                singles ^= bit
                left ^= bit
        else:
            return placed
        choices = (twice & ~thrice) or thrice
        bit = choices & -choices
        cell = bit.bit_length() - 1
        digits = [d for d, places in enumerate(board) if places & bit]
        if self.rng is not None:
            self.rng.shuffle(digits)
        for digit in digits:
            branch = [places & ~bit for places in board]
            branch[digit] &= self.others[cell]
            rest = self.run(branch, left ^ bit)
            if rest is not None:
                return [*placed, (cell, digit + 1), *rest]
        return None


def _board(g: Geometry, grid: Sequence[int]) -> tuple[list[int], int] | None:
    """The board that the filled cells leave and the mask of blanks, or None where a unit has a digit twice."""
    board = [g.all_cells] * g.size
    left = g.all_cells
    for cell, digit in enumerate(grid):
        if digit:
            if not board[digit - 1] >> cell & 1:
                return None
            board[digit - 1] &= g.others[cell]
            left ^= 1 << cell
    return [places & left for places in board], left


def _filled(grid: Sequence[int], placed: list[tuple[int, int]]) -> list[int]:
    result = list(grid)
    for cell, digit in placed:
        result[cell] = digit
    return result
