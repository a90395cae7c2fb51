"""Random full grids, and puzzles with one solution that are carved out of them.

Their search is simpler than the solver's, which would gain nothing on grids as full as these. The order of
its steps decides which puzzle a seed gives, so it stays as it is.
"""

import random
from collections.abc import Sequence

from percasym.puzzles.sudoku_solver import Geometry

MOST_NODES = 20_000  # of one search; hardly one in a million takes so many


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


def _board(g: Geometry, grid: Sequence[int]) -> tuple[list[int], int]:
    """For each digit the mask of the blanks where it may still stand, and the mask of all blanks."""
    board = [g.all_cells] * g.size
    left = g.all_cells
    for cell, digit in enumerate(grid):
        if digit:
            board[digit - 1] &= g.others[cell]
            left ^= 1 << cell
    return [places & left for places in board], left


def _complete(g: Geometry, grid: Sequence[int], rng: random.Random) -> list[int] | None:
    """`grid` with its blanks filled; None where that cannot be, or takes too long."""
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
    """Depth-first search that fills cells with a single candidate, else branches on a cell with few.

    The digits of such a cell are tried in random order if there is an `rng`.
    """

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
