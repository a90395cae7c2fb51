"""What exactly is misread: the facts of a picture, and how a caption's facts differ from them.

Every cell of a Sudoku, and every pair of vertices of a graph, is one fact with one value.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, TypedDict

from percasym.puzzles.graph_coloring import Graph
from percasym.puzzles.sudoku import Sudoku

Position = tuple[int, int]
Facts = dict[Position, str]

BLANK, EDGE, NO_EDGE = "blank", "edge", "no edge"


class Pair(NamedTuple):
    """A true instance and the one that a caption describes; None if the caption describes none."""

    true: Any
    read: Any | None


class Misreadings(TypedDict):
    """The facts of many pictures against those of their captions. Counts, over the captions that describe a
    puzzle."""

    rows: list[str]
    columns: list[str]
    seen: list[list[int]]
    """How many pictures have a fact at (row, column)."""
    wrong: list[list[int]]
    """How many captions have another value there."""
    values: list[str]
    confusion: list[list[int]]
    """How often the value of a row was read as the value of a column; `values` names both."""
    per_item: dict[str, int]
    """How many captions have so many wrong facts; "unreadable": how many describe no puzzle."""


def facts(instance: Any) -> Facts | None:
    """The value at each position of a Sudoku (row, column) or a graph (u < v); None for any other puzzle."""
    if isinstance(instance, Sudoku):
        return {
            (row, column): str(digit) if digit else BLANK
            for row, digits in enumerate(instance.grid)
            for column, digit in enumerate(digits)
        }
    if isinstance(instance, Graph):
        edges = set(instance.edges)
        return {(u, v): EDGE if (u, v) in edges else NO_EDGE for v in range(instance.v) for u in range(v)}
    return None


def misreadings(pairs: Iterable[Pair]) -> Misreadings | None:
    """Count the wrong facts of captions; None where the puzzles have no facts to compare, or there are no
    pairs."""
    seen: Counter[Position] = Counter()
    wrong: Counter[Position] = Counter()
    confusion: Counter[tuple[str, str]] = Counter()
    per_item: Counter[str] = Counter()
    names: list[str] = []
    for true, read in pairs:
        expected = facts(true)
        if expected is None:
            return None
        names = max(names, _row_names(true), key=len)
        described = None if read is None else facts(read)
        if described is None:
            per_item["unreadable"] += 1
            continue
        for position, value in expected.items():
            seen[position] += 1
            confusion[value, described[position]] += 1
            wrong[position] += value != described[position]
        per_item[str(sum(value != described[position] for position, value in expected.items()))] += 1
    if not names:
        return None
    numbers = [str(index) for index in range(len(names))]
    values = sorted(
        {value for pair in confusion for value in pair}, key=lambda value: (not value.isdigit(), value)
    )
    return Misreadings(
        rows=names,
        columns=numbers if names == numbers else [str(index + 1) for index in range(len(names))],
        seen=_matrix(seen, len(names)),
        wrong=_matrix(wrong, len(names)),
        values=values,
        confusion=[[confusion[true, read] for read in values] for true in values],
        per_item=dict(per_item),
    )


def _row_names(instance: Any) -> list[str]:
    """a, b, c ... for the rows of a Sudoku, as in the cells format; 0, 1, 2 ... for the vertices of a
    graph."""
    if isinstance(instance, Sudoku):
        return [chr(ord("a") + row) for row in range(len(instance.grid))]
    return [str(vertex) for vertex in range(instance.v)]


def _matrix(counts: Counter[Position], size: int) -> list[list[int]]:
    return [[counts[row, column] for column in range(size)] for row in range(size)]
