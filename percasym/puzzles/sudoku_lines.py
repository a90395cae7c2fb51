"""Reading a Sudoku grid from a text without brackets: boards, tables, lines, or cells by their names."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from percasym.puzzles.reading import BAD, Reading
from percasym.puzzles.sudoku_cells import CELL, ROW, cell_of, digit_of, in_order, of_rows, within

_ROW_LABEL = re.compile(
    r"(?:[-*]\s+)?(?:(?:(?:row|line)[\s_#-]*(\d{1,2}|[a-i])|r(\d)|(\d)(?:st|nd|rd|th)\s+row)\b"
    r"\s*(?:has|is|reads|contains)?\s*[:=.)|-]*|(\d{1,2}|[a-i])\s*[:.)=])\s*",
    re.IGNORECASE,
)
_SAYS = re.compile(r"[:,;|]|=>?|->|\bis\b|\bcontains\b|\bhas\b")
_RULE = re.compile(r"[-+|=:_\s]+")


def words_of_line(line: str, size: int) -> list[str]:
    """The entries of a line: between rules, between commas, between spaces, or one character each."""
    line = line.strip()
    if "|" in line:
        inner = line.removeprefix("|").removesuffix("|")
        for told in (inner, inner.replace("||", "|")):
            if told.count("|") == size - 1:
                return told.split("|")
        if inner.count("|") == size:  # with a name of the row
            return inner.split("|")
        line = inner.replace("|", " ")
    if line.count(",") in (size - 1, size, size**2 - 1):
        entries = line.split(",")
        return entries[:-1] if len(entries) == size + 1 and not entries[-1].strip() else entries
    entries = line.strip(" \t,;").replace(",", " ").replace(";", " ").split()
    if len({len(entry) for entry in entries}) == 1 and len(entries) != size and len(entries) != size**2:
        glyphs = "".join(entries)
        blanks = set(glyphs) - set("123456789")
        if len(glyphs) in (size, size**2) and len(blanks) <= 1:
            return list(glyphs)
    if entries and len(entries[-1]) == 2 and entries[-1].endswith("."):  # a full stop
        entries[-1] = entries[-1][:1]
    return entries


def of_text(text: str, size: int) -> Reading:
    """What a text without brackets says: a board of lines, or cells by their names."""
    named = _of_named_cells(text, size)
    if 2 * len(named.parts) > size**2:
        return named
    board = _of_board(text, size)
    if board.whole:
        clash = board.clash or not within(named.parts, board.parts)
        return board._replace(whole=not clash, clash=clash)
    return named if len(named.parts) > len(board.parts) else board


def _of_named_cells(text: str, size: int) -> Reading:
    """Cells told one by one: `a1 4`, `a1: 4`, `r1c1 = 4`. In prose they may be some of them."""
    pairs: list[tuple[int, int]] = []
    good = True
    for line in text.split("\n"):
        words = _SAYS.sub(" ", line).split()
        if words and not CELL.fullmatch(words[0]):  # what stands before a colon is a label
            words = _SAYS.sub(" ", line.partition(":")[2]).split()
        if not words or not CELL.fullmatch(words[0]):
            continue
        words[-1] = words[-1][:1] if words[-1].endswith(".") else words[-1]
        numbers = [cell_of(word, size) for word in words[::2]]
        digits = [digit_of(word, size) for word in words[1::2]]
        legible = len(numbers) == len(digits) and -1 not in numbers and -1 not in digits
        if not legible and any(word.isalpha() and digit_of(word, size) < 0 for word in words):
            continue  # a sentence
        good = good and legible
        pairs += zip(numbers, digits, strict=False)
    told = [dict(pairs[start : start + size**2]) for start in range(0, len(pairs), size**2)]
    cells = {cell: digit for cell, digit in (told[0] if told else {}).items() if cell >= 0 <= digit}
    good = good and all(again == told[0] for again in told) and len(dict(pairs)) * len(told) == len(pairs)
    return Reading(cells, good and len(cells) == size**2, clash=not good)


class _Line(NamedTuple):
    """A line of a board."""

    label: str | None
    digits: list[int]
    rule: str = ""
    """The line, if it is nothing but dashes, bars and crosses; with digits it may be a row of blanks too."""
    may_be_longer: bool = False
    """The label may as well be a digit of the row: only under the numbers of columns is it one."""
    counts: bool = False
    """It is nothing but numbers, which then have to be a row."""


def _of_board(text: str, size: int) -> Reading:
    """Rows in lines, whatever prose and rules there are between them."""
    lines: list[_Line] = []
    stray = False
    for line in _lines(text, size):
        if line.rule or (len(line.digits) >= size and line.digits.count(-1) <= size // 2):
            lines.append(line)
        elif line.digits and (-1 not in line.digits or line.counts):
            stray = True  # digits, or larger numbers, that are no row
    rows = [line for line in _without_header(lines, size) if line.digits]
    stray = stray or any(line.may_be_longer for line in rows)
    sure = [line for line in rows if not line.rule]
    if len(rows) != size and sure and len(sure) % size == 0:
        rows = sure
    boards = [[line.digits for line in rows[start : start + size]] for start in range(0, len(rows), size)]
    labels = [line.label for line in rows if line.label]
    reading = of_rows(boards[0] if boards else [], size)
    agreed = all(board == boards[0] for board in boards) and (
        not labels or _labels_ordered(labels, len(rows), size)
    )
    return reading._replace(whole=reading.whole and agreed and not stray, clash=stray or not agreed)


def _without_header(lines: list[_Line], size: int) -> list[_Line]:
    """`lines` without the head of a table: nothing, or numbers of columns, above a rule or labelled rows."""
    if len(lines) < 2:
        return lines
    head, below, rows = lines[0], lines[1].rule, [line for line in lines[1:] if line.digits]
    if head.rule and not head.rule.strip("| ") and "|" in below and "---" in below:
        return rows
    counts = head.digits[-size:] in (list(range(size)), list(range(1, size + 1))) and not head.label
    if counts and len(rows) == size and (below or all(line.label for line in rows)):
        return [line._replace(may_be_longer=False) for line in rows]
    return lines


def _labels_ordered(labels: Sequence[str], rows: int, size: int) -> bool:
    """Whether labels count the rows of one board, or of several."""
    parts = [list(labels[start : start + size]) for start in range(0, rows, size)]
    return all(in_order(dict.fromkeys(part), ROW, size) == part for part in parts)


def _lines(text: str, size: int) -> Iterator[_Line]:
    """The lines of a text that may be rows; one that holds a whole board is cut into them."""
    lines = [line.strip().strip("\"'") for line in text.split("\n")]
    if any(line.endswith(",") and line.count(",") == size for line in lines):
        lines = [line.removesuffix(",") for line in lines]  # it ends a line, and sets no empty cell apart
    for line in lines:
        if not line or BAD in line:
            continue
        rows = [row for row in re.split("[/;]", line) if row]
        if len(rows) == size:
            yield from (_line(row, size) for row in rows)
            continue
        whole = _line(line, size)
        if len(whole.digits) == size**2:
            starts = range(0, size**2, size)
            yield from (_Line(None, whole.digits[start : start + size]) for start in starts)
        else:
            yield whole


def _line(line: str, size: int) -> _Line:
    words = words_of_line(line, size)
    digits = [digit_of(word, size) for word in words]
    if _RULE.fullmatch(line):
        is_row = len(digits) == size and -1 not in digits
        return _Line(None, digits if is_row else [], line)
    if len(digits) in (size, size**2) and -1 not in digits:
        return _Line(None, digits)
    if ":" in line and not any(map(str.isdigit, head := line.partition(":")[0])) and len(head) > 1:
        told = words_of_line(line[len(head) + 1 :], size)  # behind a name of the grid
        if len(told) == size:
            return _Line(None, [digit_of(word, size) for word in told])
    if label := _ROW_LABEL.match(line):
        told = words_of_line(line[label.end() :], size)
        return _Line(next(filter(None, label.groups())), [digit_of(word, size) for word in told])
    name, bar, cells = line.removeprefix("|").removesuffix("|").partition("|")
    if bar and "|" not in cells and ROW.fullmatch(name.strip()):  # a table of two columns
        return _Line(name.strip(), [digit_of(word, size) for word in words_of_line(cells, size)])
    if len(words) == size + 1 and ROW.fullmatch(words[0].strip()):
        return _Line(words[0].strip(), digits[1:], may_be_longer=digits[0] >= 0)
    return _Line(None, digits, counts=len(words) > 1 and all(word.strip().isdecimal() for word in words))
