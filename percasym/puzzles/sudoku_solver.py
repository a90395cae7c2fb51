"""Solves Sudokus with boxes of any size: a search on bit boards.

A grid is flat here: the digits of all cells row by row, 0 for a blank. A board is one integer whose bit
digit * cells + cell, with digits from 0, says that the digit may stand in the cell: a candidate. All rules
are of one form: of so many candidates, one holds. They are the candidates of a cell, or those of a digit in a
row, a column or a box. Rules of one kind differ only in where they begin, so shifts of the whole board look
at all of them at once, which makes plain Python fast enough: the hardest published puzzles take hundredths of
a second.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

MOST_NODES = 10_000
"""Of one search. It bounds the time that a grid can take which nobody has made a puzzle of. Of 98,000
published puzzles, the hardest that are known among them, none takes 1,300."""


class Kind(NamedTuple):
    """Rules that are alike: each is of the candidate where it begins and those at fixed distances from it.

    Attributes:
        starts: the mask of the candidates where the rules begin.
        steps: the distances of the others.
        spread: times a mask of some of `starts`, the mask of all candidates of these rules.
    """

    starts: int
    steps: tuple[int, ...]
    spread: int


class Crossing(NamedTuple):
    """Where lines of one direction cross boxes: in segments, which are cut from a line by a box.

    Attributes:
        segments: what they are of cells; the other two are what lines and boxes are of segments.
    """

    segments: Kind
    lines: Kind
    boxes: Kind


class Geometry:
    """Cells and units of a Sudoku whose boxes have `rows` x `cols` cells.

    Attributes:
        size: the number of digits, and of cells in a unit.
        cells: the number of cells.
        all_cells: the mask of all cells.
        units: the cells of every row, column and box.
        peers: for every cell the cells that share a unit with it.
        others: for every cell the mask of the cells that do not, without itself.
        kinds: the rules of cells, rows, columns and boxes.
        crossings: of rows with boxes, and of columns with boxes.
        beside: for every candidate the mask of those that can hold beside it, itself included.
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
        self.others = [self.all_cells & ~_mask(cells) for cells in seen]
        self.kinds, self.crossings = self._rules()
        self.beside = list(self._beside())

    def _rules(self) -> tuple[tuple[Kind, ...], tuple[Crossing, ...]]:
        rows, cols, size, cells = self.rows, self.cols, self.size, self.cells
        digits, lines = range(0, size * cells, cells), range(0, cells, size)

        def kind(down: Iterable[int], right: Iterable[int], steps: Iterable[int]) -> Kind:
            first, *others = steps
            corners = [row + column for row in down for column in right]
            starts = _mask(digit + corner for digit in digits for corner in corners)
            return Kind(starts, tuple(others), _mask([first, *others]))

        in_cells = Kind(self.all_cells, tuple(digits[1:]), _mask(digits))
        in_rows = kind(lines, [0], range(size))
        in_columns = kind([0], range(size), lines)
        corners = (range(0, cells, size * rows), range(0, size, cols))
        in_boxes = kind(*corners, [row + column for row in lines[:rows] for column in range(cols)])
        return (in_cells, in_rows, in_columns, in_boxes), (
            Crossing(
                kind(lines, range(0, size, cols), range(cols)),
                kind(lines, [0], range(0, size, cols)),
                kind(*corners, lines[:rows]),
            ),
            Crossing(
                kind(range(0, cells, size * rows), range(size), lines[:rows]),
                kind([0], range(size), range(0, cells, size * rows)),
                kind(*corners, range(cols)),
            ),
        )

    def _beside(self) -> Iterator[int]:
        everything = (1 << self.size * self.cells) - 1
        in_cells = self.kinds[0]
        for digit in range(self.size):
            for cell, others in enumerate(self.others):
                in_units = (self.all_cells & ~others) << digit * self.cells
                itself = 1 << digit * self.cells + cell
                yield everything & ~(in_units | in_cells.spread << cell) | itself


@lru_cache
def geometry(rows: int, cols: int) -> Geometry:
    """The geometry of boxes of `rows` x `cols` cells."""
    return Geometry(rows, cols)


def solve(g: Geometry, grid: Sequence[int]) -> list[int] | None:
    """A solution of `grid`; None where it has none, or none within a search of `MOST_NODES` nodes."""
    try:
        board = next(_Search(g).solutions(_board(g, grid)), None)
    except _GivenUp:
        return None
    return None if board is None else _digits(g, board)


def has_one_solution(g: Geometry, grid: Sequence[int]) -> bool:
    """Whether `grid` has one solution and no other; also False where the search is given up."""
    try:
        return len(list(islice(_Search(g).solutions(_board(g, grid)), 2))) == 1
    except _GivenUp:
        return False


def _mask(bits: Iterable[int]) -> int:
    return sum(1 << bit for bit in bits)


def _board(g: Geometry, grid: Sequence[int]) -> int:
    """The candidates that the digits of `grid` leave, themselves included."""
    board = (1 << g.size * g.cells) - 1
    for cell, digit in enumerate(grid):
        if digit:
            board &= g.beside[(digit - 1) * g.cells + cell]
    return board


def _digits(g: Geometry, board: int) -> list[int]:
    """The grid that a board of one candidate for each cell is."""
    grid = [0] * g.cells
    for digit in range(g.size):
        for cell in range(g.cells):
            if board >> digit * g.cells + cell & 1:
                grid[cell] = digit + 1
    return grid


class _GivenUp(Exception):
    """A search took more than `MOST_NODES` nodes."""


class _Search:
    """Depth-first search: what the rules force is done, then a rule with few candidates is branched on."""

    def __init__(self, g: Geometry) -> None:
        self.g, self.nodes = g, 0

    def solutions(self, board: int, done: int = 0) -> Iterator[int]:
        """Every solution, as a board of one candidate for each cell.

        Args:
            done: the candidates that hold and have ruled out whatever cannot hold beside them.

        Raises:
            _GivenUp: after `MOST_NODES` nodes.
        """
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _GivenUp
        beside = self.g.beside
        while True:
            forced = self._forced(board)
            if forced is None:
                return
            forced &= ~done
            if not forced:
                if board == done:
                    yield board
                    return
                freed = self._without_locked(board)
                if freed == board:
                    break
                board = freed
            done |= forced
            while forced:
                bit = forced & -forced
                board &= beside[bit.bit_length() - 1]
                forced ^= bit
        choices = self._choices(board)
        while choices:
            bit = choices & -choices
            yield from self.solutions(board & beside[bit.bit_length() - 1], done | bit)
            choices ^= bit

    def _forced(self, board: int) -> int | None:
        """The candidates that are the last of a rule; None where a rule has none left."""
        in_cells, in_rows, in_columns, in_boxes = self.g.kinds
        rows, columns = self.g.crossings
        across, down = _count(board, 0, rows.segments.steps), _count(board, 0, columns.segments.steps)
        forced = 0
        for kind, (once, twice) in (
            (in_cells, _count(board, 0, in_cells.steps)),
            (in_rows, _count(*across, rows.lines.steps)),
            (in_boxes, _count(*across, rows.boxes.steps)),
            (in_columns, _count(*down, columns.lines.steps)),
        ):
            if once & kind.starts != kind.starts:
                return None
            forced |= board & (kind.starts & ~twice) * kind.spread
        return forced

    def _without_locked(self, board: int) -> int:
        """`board` without what cannot hold as a digit has only one segment in a line or a box.

        Of the box that this segment shares with the line, no other segment can have the digit, and of the
        line no other either.
        """
        for segments, lines, boxes in self.g.crossings:
            some, _ = _count(board, 0, segments.steps)
            some &= segments.starts
            freed = 0
            for one, other in ((lines, boxes), (boxes, lines)):
                once, twice = _count(some, 0, one.steps)
                alone = some & (one.starts & once & ~twice) * one.spread
                crossed, _ = _count(alone, 0, other.steps)
                freed |= some & (crossed & other.starts) * other.spread & ~alone
            board &= ~(freed * segments.spread)
        return board

    def _choices(self, board: int) -> int:
        """The candidates of a rule that has two; three or more where none has two."""
        choices = 0
        for kind in self.g.kinds:
            once, twice, thrice = board, 0, 0
            for step in kind.steps:
                shifted = board >> step
                thrice |= twice & shifted
                twice |= once & shifted
                once |= shifted
            if pairs := twice & ~thrice & kind.starts:
                return self._tightest(board, pairs, kind.spread)
            if not choices and (rest := thrice & kind.starts):
                choices = board & (rest & -rest) * kind.spread
        return choices

    def _tightest(self, board: int, pairs: int, spread: int) -> int:
        """The pair of candidates of a rule in `pairs` that leave the fewest others, both taken together.

        It halves the nodes that the hardest puzzles take, against the first pair.
        """
        best, fewest = 0, 2 * board.bit_count()
        while pairs:
            start = pairs & -pairs
            pairs ^= start
            pair = board & start * spread
            one, other = (pair & -pair).bit_length() - 1, pair.bit_length() - 1
            left = (board & self.g.beside[one]).bit_count() + (board & self.g.beside[other]).bit_count()
            if left < fewest:
                best, fewest = pair, left
        return best


def _count(once: int, twice: int, steps: Iterable[int]) -> tuple[int, int]:
    """Which sums of candidates at so many steps, and at none, are 1 or more, and 2 or more.

    Args:
        once: where what is summed is 1 or more.
        twice: where it is 2 or more.
    """
    some, more = once, twice
    for step in steps:
        shifted = once >> step
        more |= some & shifted | twice >> step
        some |= shifted
    return some, more
