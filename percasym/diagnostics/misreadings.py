"""What exactly is misread: the facts of a picture, and how a caption's facts differ from them.

What the facts are a puzzle says (`Puzzle.facts`): every cell of a Sudoku, every pair of vertices of a graph.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypedDict

from percasym.puzzles.base import Facts

Position = tuple[int, int]
NOTHING = "nothing"  # where a caption has no such fact


class Pair(NamedTuple):
    """The facts of a picture, and those of the puzzle that its caption describes; None if there is none."""

    true: Facts
    read: Facts | None
    rows: list[str]
    """What a person calls the rows of the facts."""


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


def misreadings(pairs: Iterable[Pair]) -> Misreadings | None:
    """Count the wrong facts of captions; None where the puzzles have no facts to compare, or there are no
    pairs."""
    seen: Counter[Position] = Counter()
    wrong: Counter[Position] = Counter()
    confusion: Counter[tuple[str, str]] = Counter()
    per_item: Counter[str] = Counter()
    names: list[str] = []
    for true, read, rows in pairs:
        if not true:
            return None
        names = max(names, rows, key=len)
        if read is None:
            per_item["unreadable"] += 1
            continue
        differing = 0
        for position, value in true.items():
            found = read.get(position, NOTHING)
            seen[position] += 1
            confusion[value, found] += 1
            wrong[position] += value != found
            differing += value != found
        per_item[str(differing)] += 1
    if not names:
        return None
    numbers = [str(index) for index in range(len(names))]
    values = sorted(
        {value for pair in confusion for value in pair}, key=lambda value: (not value.isdigit(), value)
    )
    width = 1 + max((column for _, column in seen), default=len(names) - 1)
    return Misreadings(
        rows=names,
        columns=[str(column + (names != numbers)) for column in range(width)],
        seen=_matrix(seen, len(names), width),
        wrong=_matrix(wrong, len(names), width),
        values=values,
        confusion=[[confusion[true, read] for read in values] for true in values],
        per_item=dict(per_item),
    )


def _matrix(counts: Counter[Position], rows: int, columns: int) -> list[list[int]]:
    return [[counts[row, column] for column in range(columns)] for row in range(rows)]
