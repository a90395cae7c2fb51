"""Reading a Sudoku grid: a list or an object in any notation; and what `sudoku_lines` reads."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise, repeat
from typing import Any, NamedTuple

from percasym.puzzles.reading import (
    BAD,
    LONGEST,
    Reading,
    read,
    remembered,
    settled,
    strict_value,
    words_of,
)
from percasym.puzzles.sudoku_cells import (
    COLUMN,
    ROW,
    cell_of,
    cells_by_name,
    digit_of,
    digits_of,
    in_order,
    of_rows,
    within,
)
from percasym.puzzles.sudoku_lines import of_text, words_of_line

_ENCLOSING = """answer array board caption cells completed current data description digits filled final
given grid initial json matrix numbers original output puzzle result rows solution solved state sudoku table
the value values"""
ENCLOSING = frozenset(_ENCLOSING.split())  # words of a name that a whole grid may have
SIZES = frozenset({"columns", "cols", "height", "n", "num", "grid", "size", "width"})


class Grid(NamedTuple):
    """What was read of a text."""

    cells: tuple[int, ...]
    whole: bool
    """The text says this grid and nothing else, and every cell is legible."""


@remembered
def read_grid(text: str, size: int) -> Grid:
    """The grid of `size` x `size` cells that `text` gives."""
    if len(text) > LONGEST:
        return Grid((-1,) * size**2, False)
    value = strict_value(text)
    grid = cells_of_rows(value, size) if value is not None else _of_words(text.split(), size)
    if grid.whole:
        return grid
    if value is not None:
        reading = settled(_of_value(value, size))
    else:
        reading = read(text, partial(_of_value, size=size), partial(of_text, size=size), within)
    if not reading.whole and len(reading.parts) <= len(grid.cells) - grid.cells.count(-1):
        return grid
    said = dict(reading.parts)
    return Grid(tuple(said.get(cell, -1) for cell in range(size**2)), reading.whole)


def cells_of_rows(value: Any, size: int) -> Grid:
    """The grid that a list of lists holds, as JSON has them; nothing is read beyond an entry that is one."""
    rows = value if isinstance(value, list) else []
    digits = digits_of(size)
    cells = [-1] * size**2
    fits = len(rows) == size
    with suppress(TypeError):
        for start, row in zip(range(0, len(cells), size), rows, strict=False):
            if isinstance(row, list):
                fits = fits and len(row) == size
                legible = list(map(digits.get, row[:size], repeat(-1)))
                cells[start : start + len(legible)] = legible
    return Grid(tuple(cells), fits and -1 not in cells)


def _of_words(words: Sequence[str], size: int) -> Grid:
    """The grid that a text tells word by word: a name, what is in the cell, the next name; each cell once."""
    numbers, digits = cells_by_name(size), digits_of(size)
    cells = [-1] * size**2
    for name, digit in pairwise(words):
        if name in numbers and cells[numbers[name]] < 0:
            cells[numbers[name]] = digits.get(digit, -1)
    return Grid(tuple(cells), len(words) == 2 * len(cells) and -1 not in cells)


def _of_value(value: Any, size: int) -> Reading:
    """What a list, an object or a string says."""
    if isinstance(value, dict):
        return _of_dict(value, size)
    if isinstance(value, str):
        return of_text(value, size)
    if not isinstance(value, list):
        return Reading((), False)
    if len(value) == 1 and isinstance(value[0], str):
        return of_text(value[0], size)
    digits = [digit_of(entry, size) for entry in value]
    if -1 not in digits and len(digits) in (size, size**2):
        if len(digits) == size:
            return Reading({"row": tuple(digits)}, False)
        return Reading(dict(enumerate(digits)), True)
    if all(isinstance(entry, dict) for entry in value):
        return _of_objects(value, size)
    return of_rows([_row(entry, size) for entry in value], size)


def _of_objects(rows: Sequence[Mapping[str, Any]], size: int) -> Reading:
    """Rows as objects, by columns, or with a list of cells and perhaps the number of the row."""
    lists = [[entry for entry in row.values() if isinstance(entry, list)] for row in rows]
    if any(len(found) != 1 for found in lists):
        return of_rows([_row(row, size) for row in rows], size)
    reading = of_rows([_row(found[0], size) for found in lists], size)
    numbers = [str(entry) for row in rows for entry in row.values() if not isinstance(entry, list)]
    ordered = not numbers or in_order(dict.fromkeys(numbers), ROW, size) == numbers
    return reading._replace(whole=reading.whole and ordered)


def _of_dict(value: Mapping[str, Any], size: int) -> Reading:
    """Cells by their names, rows by theirs, or one grid with a name."""
    if len(value) == size**2:
        cells = {cell_of(name, size): digit_of(entry, size) for name, entry in value.items()}
        whole = len(cells) == len(value) and -1 not in cells and -1 not in cells.values()
        return Reading({cell: digit for cell, digit in cells.items() if cell >= 0 <= digit}, whole)
    order = in_order(value, ROW, size)
    if order:
        return of_rows([_row(value[name], size) for name in order], size)
    names = [name for name, entry in value.items() if words_of(name) <= ENCLOSING and _is_large(entry, size)]
    rest = {name: entry for name, entry in value.items() if name not in names}
    if len(names) != 1 or BAD in rest or any(isinstance(entry, list | dict) for entry in rest.values()):
        return Reading((), False)
    sizes = (str(size), f"{size}x{size}")
    wrong = any(words_of(name) <= SIZES and str(entry) not in sizes for name, entry in rest.items())
    reading = _of_value(value[names[0]], size)
    return reading._replace(clash=reading.clash or wrong)


def _is_large(entry: Any, size: int) -> bool:
    return isinstance(entry, list | dict) or (isinstance(entry, str) and len(entry) >= size**2)


def _row(entry: Any, size: int) -> list[int]:
    """The digits of a row: a list, an object by columns, or a string of them."""
    if isinstance(entry, dict):
        order = in_order(entry, COLUMN, size)
        entry = [entry[name] for name in order] if order else []
    if isinstance(entry, int):
        entry = str(entry)
    if isinstance(entry, list) and len(entry) == 1 and isinstance(entry[0], str):
        entry = entry[0]
    words = words_of_line(entry, size) if isinstance(entry, str) else entry if isinstance(entry, list) else []
    return [digit_of(word, size) for word in words]
