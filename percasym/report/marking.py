"""A caption beside the truth, with every wrong fact marked: as a grid, as a drawn graph, or word by word."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from math import cos, pi, sin
from typing import Any, Literal

from percasym.puzzles import Task
from percasym.puzzles.base import Facts
from percasym.puzzles.graph_coloring import EDGE, Graph
from percasym.puzzles.sudoku import NO_DIGIT, Sudoku

State = Literal["right", "missed", "invented"]
MOST_WORDS = 400
"""Longer captions are cut before their words are compared."""


@dataclass(frozen=True)
class Cell:
    """One cell of a grid as it was read."""

    text: str
    true: str | None
    """What stands there, if it was misread."""
    edges: str
    """Style classes: where a box ends."""


@dataclass(frozen=True)
class Line:
    """One edge of a drawn graph, from (x1, y1) to (x2, y2) in the unit square."""

    x1: float
    y1: float
    x2: float
    y2: float
    state: State


@dataclass(frozen=True)
class Marked:
    """What to draw; only the parts of its `kind` are filled."""

    kind: Literal["grid", "graph", "words"]
    wrong: str
    """The wrong facts in words; empty if there are none."""
    cells: Sequence[Sequence[Cell]] = ()
    nodes: Sequence[tuple[float, float]] = ()
    lines: Sequence[Line] = ()
    words: Sequence[tuple[State, str]] = field(default=())


def mark(puzzle: Task[Any], true: Any, read: Any | None, perception: str, caption: str) -> Marked:
    """Mark a caption of the instance `true`.

    Args:
        puzzle: the family, which knows the facts of an instance.
        true: what the picture shows.
        read: the instance that the caption describes, None if it describes none.
        perception: p*, the right caption.
        caption: the caption itself; its words are compared where there are no facts to compare.
    """
    if isinstance(true, Sudoku) and isinstance(read, Sudoku):
        return _grid(true, puzzle.facts(true), puzzle.facts(read))
    if isinstance(true, Graph) and isinstance(read, Graph):
        return _graph(true, puzzle.facts(true), puzzle.facts(read))
    return _words(perception, caption)


def _grid(true: Sudoku, expected: Facts, described: Facts) -> Marked:
    size = len(true.grid)
    wrong = {position: value for position, value in expected.items() if described[position] != value}
    cells = [
        [
            Cell(
                text=_digit(described[row, column])
                if (row, column) in wrong or described[row, column] != NO_DIGIT
                else "",
                true=_digit(wrong[row, column]) if (row, column) in wrong else None,
                edges=("right " if (column + 1) % true.cols == 0 else "")
                + ("below" if (row + 1) % true.rows == 0 else ""),
            )
            for column in range(size)
        ]
        for row in range(size)
    ]
    return Marked("grid", f"{len(wrong)} of {len(expected)} cells misread" if wrong else "", cells=cells)


def _graph(true: Graph, expected: Facts, described: Facts) -> Marked:
    nodes = [
        (0.5 + 0.4 * sin(2 * pi * k / true.v), 0.5 - 0.4 * cos(2 * pi * k / true.v)) for k in range(true.v)
    ]
    lines: list[Line] = []
    names: dict[State, list[str]] = {"right": [], "missed": [], "invented": []}
    for (u, v), value in expected.items():
        if EDGE in (value, described[u, v]):
            state: State = "right" if value == described[u, v] else "missed" if value == EDGE else "invented"
            lines.append(Line(*nodes[u], *nodes[v], state))
            names[state].append(f"{u}–{v}")
    wrong = [f"{state} {', '.join(names[state])}" for state in ("missed", "invented") if names[state]]
    return Marked("graph", "; ".join(wrong), nodes=nodes, lines=lines)


def _words(perception: str, caption: str) -> Marked:
    expected, described = perception.split()[:MOST_WORDS], caption.split()[:MOST_WORDS]
    words: list[tuple[State, str]] = []
    matcher = SequenceMatcher(None, expected, described, autojunk=False)
    for operation, i, j, m, n in matcher.get_opcodes():
        if operation == "equal":
            words.append(("right", " ".join(expected[i:j])))
            continue
        if i < j:
            words.append(("missed", " ".join(expected[i:j])))
        if m < n:
            words.append(("invented", " ".join(described[m:n])))
    wrong = sum(state != "right" for state, _ in words)
    return Marked("words", f"{wrong} differences from p*" if wrong else "", words=words)


def _digit(value: str) -> str:
    return "–" if value == NO_DIGIT else value
