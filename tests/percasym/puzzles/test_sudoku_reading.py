"""Every way to write a grid is read as the grid that it writes; what says no grid is not read."""

import json
import random

import pytest
from fixtures.sudoku_texts import BLANKS, FRAMES, SPELLINGS, WRONG, by_cell, cells
from hypothesis import given
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from percasym.judgement import score
from percasym.puzzles import Credit, load_puzzle
from percasym.puzzles.sudoku import Sudoku
from percasym.puzzles.sudoku_reading import read_grid
from percasym.response import compose

PUZZLES = [load_puzzle("sudoku", {"rows": rows, "cols": cols}) for rows, cols in [(2, 2), (2, 3), (3, 3)]]
FRAMED = ["json", "blanks without quotes", "lines", "board", "rows labelled", "cells"]
ONE_LINE = {"```json {} ```", "**{}**", "{} (0 = blank)"}  # frames that nobody puts around several lines


@pytest.fixture(params=PUZZLES, ids=lambda puzzle: f"{puzzle.config.size}x{puzzle.config.size}")
def puzzle(request):
    return request.param


def rows_of(grid):
    return [list(row) for row in grid]


def grids(puzzle):
    """Some partly filled grids with their solutions."""
    for index in range(3):
        sudoku = puzzle.item("test", 0, index).instance
        yield sudoku, rows_of(sudoku.grid), rows_of(puzzle.solve(sudoku))


def changed(rows, rng):
    """The grid with another digit in one of its cells."""
    rows = rows_of(rows)
    row, column = rng.randrange(len(rows)), rng.randrange(len(rows))
    rows[row][column] = rows[row][column] % len(rows) + 1
    return rows


def read(text, size):
    """The rows of what is read as a whole grid; None of a text that is not."""
    found = read_grid(text, size)
    starts = range(0, size**2, size)
    return [list(found.cells[start : start + size]) for start in starts] if found.whole else None


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_grid_in_any_spelling_is_read_as_it_is_and_judged_by_what_it_says(name, puzzle):
    spell = SPELLINGS[name]
    for number, (sudoku, given_rows, solved) in enumerate(grids(puzzle)):
        misread, slip = changed(given_rows, random.Random(number)), changed(solved, random.Random(number))
        for rows in (given_rows, misread, solved, slip):
            assert read(spell(rows), len(rows)) == rows, spell(rows)
        assert puzzle.score_perception(sudoku, spell(given_rows)) == Credit(True, 1.0)
        assert puzzle.score_answer(sudoku, spell(solved)) == Credit(True, 1.0)
        assert not puzzle.score_perception(sudoku, spell(misread)).exact
        assert not puzzle.score_answer(sudoku, spell(slip)).exact
        assert not puzzle.score_answer(sudoku, spell(given_rows)).exact  # blanks are no answer


@pytest.mark.parametrize("frame", FRAMES)
def test_what_stands_around_a_grid_does_not_matter(frame, puzzle):
    for number, (_, given_rows, solved) in enumerate(grids(puzzle)):
        for name in FRAMED[:2] if frame in ONE_LINE else FRAMED:
            for rows in (given_rows, solved, changed(given_rows, random.Random(number))):
                assert read(frame.replace("{}", SPELLINGS[name](rows)), len(rows)) == rows, name


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_in_any_spelling_is_one(blank, puzzle):
    for _, rows, _ in grids(puzzle):
        assert read(json.dumps(cells(rows, blank)), len(rows)) == rows
        assert read(str(cells(rows, blank)), len(rows)) == rows


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_stays_wrong(name, puzzle):
    for sudoku, given_rows, solved in grids(puzzle):
        for rows in (given_rows, solved):
            assert read(WRONG[name](rows), len(rows)) is None, WRONG[name](rows)
        caption, answer = WRONG[name](given_rows), WRONG[name](solved)
        assert not puzzle.score_perception(sudoku, caption).exact
        assert not puzzle.score_answer(sudoku, answer).exact
        assert puzzle.read_perception(caption, sudoku) is puzzle.read_answer(answer, sudoku) is None
        assert not score(puzzle, sudoku, compose(caption, "so", json.dumps(solved))).a_own


def test_any_cell_or_row_that_is_left_out_or_told_otherwise_is_missed(puzzle):
    for _, rows, _ in grids(puzzle):
        size = len(rows)
        for number in range(size):
            fewer, more = rows[:number] + rows[number + 1 :], [*rows[:number], rows[number], *rows[number:]]
            short = [row[:number] + row[number + 1 :] for row in rows]
            for spell in SPELLINGS.values():
                for wrong in (fewer, more, short, [*rows[:number], rows[number][1:], *rows[number + 1 :]]):
                    try:
                        text = spell(wrong)
                    except (IndexError, KeyError):
                        continue  # a way that knows whole grids only
                    assert read(text, size) != rows, text


@pytest.mark.parametrize("name", ["grid", "Row 1", "a1", "", "x"])
def test_a_list_told_twice_is_told_once_and_two_lists_are_none(name):
    sudoku, rows, solved = next(grids(PUZZLES[0]))
    one, other = json.dumps(cells(rows)), json.dumps(solved)
    assert read(f"{name}: {one}\n\n{name}: {one}", 4) == rows
    assert read(f"{name}: {one}\n\n{name}: {other}", 4) is None
    assert PUZZLES[0].read_perception(f"{one} {other}", sudoku) is None


def solutions(sudoku):
    """All solutions, by another way: CP-SAT."""
    size = sudoku.size
    model = cp_model.CpModel()
    grid = [[model.new_int_var(1, size, "") for _ in range(size)] for _ in range(size)]
    for row in grid:
        model.add_all_different(row)
    for column in zip(*grid, strict=True):
        model.add_all_different(column)
    for top in range(0, size, sudoku.rows):
        for left in range(0, size, sudoku.cols):
            model.add_all_different(
                grid[top + r][left + c] for r in range(sudoku.rows) for c in range(sudoku.cols)
            )
    for row, told in zip(grid, sudoku.grid, strict=True):
        for cell, digit in zip(row, told, strict=True):
            if digit:
                model.add(cell == digit)

    class Collect(cp_model.CpSolverSolutionCallback):
        def __init__(self):
            super().__init__()
            self.found = set()

        def on_solution_callback(self):
            self.found.add(tuple(tuple(self.value(cell) for cell in row) for row in grid))

    collect = Collect()
    solver = cp_model.CpSolver()
    solver.parameters.enumerate_all_solutions = True
    solver.solve(model, collect)
    return collect.found


@pytest.mark.parametrize("text", ["json", "cells"])
def test_an_answer_is_accepted_just_when_another_solver_finds_it(text):
    rng = random.Random(0)
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": text})
    for index in range(8):
        instance = puzzle.item("test", 0, index).instance
        given_rows = [[digit if rng.random() < 0.4 else 0 for digit in row] for row in instance.grid]
        sudoku = Sudoku(
            2, 2, tuple(map(tuple, given_rows))
        )  # as a caption may describe it: with many solutions
        right = solutions(sudoku)
        tried = set(right)
        for _ in range(300):
            rows = rows_of(rng.choice(sorted(right)))
            for _ in range(rng.randint(1, 3)):
                rows[rng.randrange(4)][rng.randrange(4)] = rng.randrange(5)
            tried.add(tuple(map(tuple, rows)))
        for grid in tried:
            answer = puzzle.perception(Sudoku(2, 2, grid))
            assert puzzle.score_answer(sudoku, answer).exact == (grid in right)
            assert puzzle.answers_caption(instance, puzzle.perception(sudoku), answer) == (grid in right)
            judged = score(puzzle, instance, compose(puzzle.perception(sudoku), "", answer))
            assert judged.a_own == (grid in right)
            assert judged.answer_read


def test_an_answer_with_a_blank_is_wrong(puzzle):
    for sudoku, given_rows, solved in grids(puzzle):
        caption = json.dumps(cells(given_rows))
        for row in range(len(solved)):
            for column in range(len(solved)):
                blanked = rows_of(solved)
                blanked[row][column] = 0
                for answer in (json.dumps(cells(blanked)), by_cell(blanked, "@% $")):
                    judged = score(puzzle, sudoku, compose(caption, "", answer))
                    assert (judged.a, judged.a_own, judged.a_p, judged.answer_read) == (
                        False,
                        False,
                        True,
                        True,
                    )


TEXT = st.lists(st.sampled_from([*SPELLINGS]), min_size=1, max_size=2)


@given(st.sampled_from(PUZZLES), TEXT, st.integers(0, 2), st.data())
def test_a_text_with_any_character_changed_says_its_own_grid_or_none(puzzle, names, index, data):
    """Whatever is accepted as an answer is a solution by the digits in the text, taken without the reader."""
    sudoku = puzzle.item("test", 0, index).instance
    solved = rows_of(puzzle.solve(sudoku))
    text = "\n".join(SPELLINGS[name](solved) for name in names)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        text = text[:place] + data.draw(st.sampled_from("0123456789-,[]{}()\"' \n|.x:")) + text[place + 1 :]
    credit = puzzle.score_answer(sudoku, text)
    described = puzzle.read_answer(text, sudoku)
    assert credit.exact == (described == tuple(digit for row in solved for digit in row))


@pytest.mark.parametrize(
    "symbol",
    [
        "[",
        "{",
        "(",
        '["',
        "[/*",
        "'",
        "a1 ",
        "1 ",
        "|",
        "- ",
        "é\u0301",
        "\\a{",
        "<",
        "**",
        "&amp;",
        "\n",
        "1\n",
    ],
)
def test_no_text_is_too_long(symbol, puzzle):
    sudoku = puzzle.item("test", 0, 0).instance
    for length in (40_000, 1_000_000):
        text = symbol * (length // len(symbol))
        assert puzzle.read_perception(text, sudoku) is None
        assert not puzzle.score_answer(sudoku, text).exact
