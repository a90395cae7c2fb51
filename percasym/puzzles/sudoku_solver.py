"""Sudoku with boxes of any size: search on bit boards, random full grids, puzzles with one solution.

A board holds one integer per digit, whose bit i says that the digit may still stand in cell i. A few
operations on whole boards find all cells with a single candidate at once, which makes plain Python fast
enough. A grid is flat here: the digits of all cells row by row, 0 for a blank.
"""

import random
from collections.abc import Sequence
from functools import lru_cache

MOST_NODES = 20_000  # of one search: hard proper puzzles need some thousands, described ones might not end


class Geometry:
    """Cells and units of a Sudoku whose boxes have `rows` x `cols` cells.

    Attributes:
        size: the number of digits, and of cells in a unit.
        cells: the number of cells.
        all_cells: the mask of all cells.
        units: the cells of every row, column and box.
        peers: for every cell the cells that share a unit with it.
        others: for every cell the mask of the cells that do not, without itself.
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
        self.peers = [tuple(cells - {cell}) for cell, cells in enumerate(seen)]
        self.others = [self.all_cells & ~sum(1 << cell for cell in cells) for cells in seen]


@lru_cache
def geometry(rows: int, cols: int) -> Geometry:
    """The geometry of boxes of `rows` x `cols` cells."""
    return Geometry(rows, cols)


def solve(g: Geometry, grid: Sequence[int]) -> list[int] | None:
    """A solution of `grid`; None where it has none, or none within a search of `MOST_NODES` nodes."""
    if any(_has_a_digit_twice(grid, unit) for unit in g.units):
        return None
    return _complete(g, grid)


def is_only_solution(g: Geometry, grid: Sequence[int], solution: Sequence[int]) -> bool:
    """Whether `solution` is the only one of `grid`; also False where the search is given up."""
    return all(_is_forced(g, grid, cell, solution[cell]) for cell in range(g.cells) if not grid[cell])


def random_grid(g: Geometry, rng: random.Random) -> list[int]:
    """A full grid: random boxes on the diagonal, the rest by a search in random order."""
    while True:
        grid = [0] * g.cells
        for box in range(min(g.rows, g.cols)):
            digits = list(range(1, g.size + 1))
            rng.shuffle(digits)
            for row in range(g.rows):
                start = (box * g.rows + row) * g.size + box * g.cols
                grid[start : start + g.cols] = digits[row * g.cols : (row + 1) * g.cols]
        full = _complete(g, grid, rng)
        if full is not None:
            return full


def carve(g: Geometry, full: Sequence[int], blanks: int, rng: random.Random) -> list[int] | None:
    """`full` with `blanks` cells blanked in random order so that it stays the only solution, if that can be.

    A cell can be blanked just when no other digit in it leads to a solution.
    """
    grid = list(full)
    order = list(range(g.cells))
    rng.shuffle(order)
    for tried, cell in enumerate(order):
        if not 0 < blanks <= g.cells - tried:
            break
        digit, grid[cell] = grid[cell], 0
        if _is_forced(g, grid, cell, digit):
            blanks -= 1
        else:
            grid[cell] = digit
    return None if blanks else grid


def _is_forced(g: Geometry, grid: Sequence[int], cell: int, digit: int) -> bool:
    """Whether no digit but `digit` in the blank `cell` solves `grid`."""
    if len({grid[peer] for peer in g.peers[cell]} - {0}) == g.size - 1:
        return True  # all other digits are in sight
    board, left = _board(g, grid)
    board[digit - 1] &= ~(1 << cell)
    try:
        return _Search(g).run(board, left) is None
    except _GivenUp:
        return False


def _has_a_digit_twice(grid: Sequence[int], unit: Sequence[int]) -> bool:
    digits = [grid[cell] for cell in unit if grid[cell]]
    return len(set(digits)) < len(digits)


def _board(g: Geometry, grid: Sequence[int]) -> tuple[list[int], int]:
    """The board that the digits of `grid` leave, and the mask of its blanks."""
    board = [g.all_cells] * g.size
    left = g.all_cells
    for cell, digit in enumerate(grid):
        if digit:
            board[digit - 1] &= g.others[cell]
            left ^= 1 << cell
    return [places & left for places in board], left


def _complete(g: Geometry, grid: Sequence[int], rng: random.Random | None = None) -> list[int] | None:
    """`grid` with its blanks filled, by a search in random order if there is an `rng`."""
    try:
        found = _Search(g, rng).run(*_board(g, grid))
    except _GivenUp:
        return None
    if found is None:
        return None
    full = list(grid)
    for cell, digit in found:
        full[cell] = digit
    return full


class _GivenUp(Exception):
    """A search took more than `MOST_NODES` nodes."""


class _Search:
    """Depth-first search that fills cells with a single candidate, else branches on a cell with few."""

    def __init__(self, g: Geometry, rng: random.Random | None = None) -> None:
        self.others, self.rng, self.nodes = g.others, rng, 0

    def run(self, board: list[int], left: int) -> list[tuple[int, int]] | None:
        """(cell, digit) for all cells in the mask `left`, or None where that cannot be; uses `board` up."""
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _GivenUp
        found: list[tuple[int, int]] = []
        while left:
            once = twice = thrice = 0  # the cells with at least so many candidates
            for places in board:
                thrice |= twice & places
                twice |= once & places
                once |= places
            if once != left:
                return None  # a cell without a candidate
            singles = once & ~twice
            if not singles:
                return self._branch(board, left, (twice & ~thrice) or thrice, found)
            while singles:
                bit = singles & -singles
                cell = bit.bit_length() - 1
                for digit, places in enumerate(board):
                    if places & bit:
                        board[digit] &= self.others[cell]
                        found.append((cell, digit + 1))
                        break
                else:
                    return None  # filling another single took its candidate away
                singles ^= bit
                left ^= bit
        return found

    def _branch(
        self, board: list[int], left: int, choices: int, found: list[tuple[int, int]]
    ) -> list[tuple[int, int]] | None:
        """Try every digit in the first cell of the mask `choices`."""
        bit = choices & -choices
        cell = bit.bit_length() - 1
        digits = [digit for digit, places in enumerate(board) if places & bit]
        if self.rng is not None:
            self.rng.shuffle(digits)
        for digit in digits:
            branch = [places & ~bit for places in board]
            branch[digit] &= self.others[cell]
            rest = self.run(branch, left ^ bit)
            if rest is not None:
                return [*found, (cell, digit + 1), *rest]
        return None
