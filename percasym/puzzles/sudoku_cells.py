"""The cells of a Sudoku as texts have them: digits, blanks, names, rows.

The digits of a grid stand row by row: 0 is a blank, -1 a cell of which nothing legible was said.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from math import isqrt
from string import ascii_lowercase
from typing import Any

from percasym.puzzles.reading import Reading, unmarked

BLANK = "-"
BLANKS = (None, 0, "-", ".", "_", "?", "*", "0", "0.0", "", "blank", "empty", "none", "null")
ROW = re.compile(r"(?:(?:row|line|r)[\s_#-]*)?(\d{1,2}|[a-i])(?:(?:st|nd|rd|th)\s+row)?", re.IGNORECASE)
COLUMN = re.compile(r"(?:(?:column|col|c)[\s_-]*)?(\d{1,2}|[a-i])", re.IGNORECASE)
CELL = re.compile(r"([a-z])(\d{1,2})|r(\d{1,2})c(\d{1,2})", re.IGNORECASE)


@lru_cache
def cell_names(size: int) -> tuple[str, ...]:
    """a1, a2, ..., b1, ...: the names of all cells, row by row."""
    return tuple(f"{letter}{column + 1}" for letter in ascii_lowercase[:size] for column in range(size))


@lru_cache
def cells_by_name(size: int) -> Mapping[str, int]:
    """The number of each cell by its name."""
    return {name: number for number, name in enumerate(cell_names(size))}


@lru_cache
def digits_of(size: int) -> Mapping[Any, int]:
    """The digit of every way to write one; no fraction and no negative number is among them."""
    spelled = {way: digit for digit in range(1, size + 1) for way in (digit, str(digit), f"{digit}.0")}
    return {**dict.fromkeys(BLANKS, 0), **spelled}


def digit_of(value: Any, size: int) -> int:
    """The digit in a cell, which may be in capitals, spaced out or set off; -1 where it is illegible."""
    digits = digits_of(size)
    if not isinstance(value, str):
        return digits.get(value, -1) if isinstance(value, int | None) else -1
    digit = digits.get(value)
    return digits.get(unmarked(value).casefold(), -1) if digit is None else digit


def within(some: Collection[Any], grid: Collection[Any]) -> bool:
    """Whether cells are those of a grid; a row without its number is a row of it."""
    said, cells = dict(some), dict(grid)
    size = isqrt(len(cells))
    rows = [tuple(cells[cell] for cell in range(start, start + size)) for start in range(0, len(cells), size)]
    return all(digits in rows if cell == "row" else cells[cell] == digits for cell, digits in said.items())


def in_order(named: Mapping[str, Any], pattern: re.Pattern[str], size: int) -> list[str] | None:
    """The names of all rows (or columns), the first first, if `named` has just them."""
    if len(named) != size or not all(matches := [pattern.fullmatch(name.strip()) for name in named]):
        return None
    marks = [match[1].casefold() for match in matches if match]
    places = [int(mark) if mark.isdigit() else ord(mark) - ord("a") for mark in marks]
    first = min(places)
    if sorted(places) != list(range(first, first + size)) or first > 1:
        return None
    return [name for _, name in sorted(zip(places, named, strict=True))]


def cell_of(name: str, size: int) -> int:
    """The number of a cell by its name, as in b3, B3 or r2c3; -1 where there is none."""
    number = cells_by_name(size).get(name)
    if number is not None:
        return number
    match = CELL.fullmatch(name.strip())
    if not match:
        return -1
    row = ord(match[1].casefold()) - ord("a") if match[1] else int(match[3]) - 1
    column = int(match[2] or match[4]) - 1
    return row * size + column if 0 <= row < size and 0 <= column < size else -1


def of_rows(rows: Sequence[Sequence[int]], size: int) -> Reading:
    """The grid of these rows; a row that is too long or too short is read as far as it goes."""
    cells = {
        number * size + column: digit
        for number, row in enumerate(rows[:size])
        for column, digit in enumerate(row[:size])
        if digit >= 0
    }
    fits = len(rows) == size and all(len(row) == size for row in rows)
    return Reading(cells, fits and len(cells) == size**2)
