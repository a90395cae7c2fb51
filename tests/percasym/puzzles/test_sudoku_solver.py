"""Any Sudoku is solved, and the number of its solutions known, in little work."""

import random
from itertools import permutations

import pytest
from fixtures.hard_sudokus import HARD_SUDOKUS
from fixtures.sudoku_rules import follows_the_rules, number_of_solutions
from hypothesis import given, settings
from hypothesis import strategies as st

from percasym.puzzles import sudoku_solver
from percasym.puzzles.sudoku_generation import random_grid
from percasym.puzzles.sudoku_solver import geometry, has_one_solution, solve

BOXES = [(2, 2), (2, 3), (3, 2), (2, 4), (4, 2), (3, 3)]


def solves(rows, cols, grid, full):
    return follows_the_rules(rows, cols, full) and all(
        given in (0, digit) for given, digit in zip(grid, full, strict=True)
    )


@pytest.fixture
def nodes(monkeypatch):
    """Counts the nodes of searches."""
    counted = []

    class Counted(sudoku_solver._Search):
        def solutions(self, board, done=0):
            counted.append(1)
            yield from super().solutions(board, done)

    monkeypatch.setattr(sudoku_solver, "_Search", Counted)
    return counted


@pytest.mark.parametrize(("rows", "cols"), BOXES)
def test_geometry_is_that_of_a_sudoku(rows, cols):
    g = geometry(rows, cols)
    assert len(g.units) == 3 * g.size
    assert all(sum(cell in unit for unit in g.units) == 3 for cell in range(g.cells))
    peers = 2 * (g.size - 1) + (rows - 1) * (cols - 1)
    assert all(g.cells - others.bit_count() == peers + 1 for others in g.others)


@pytest.mark.parametrize(("rows", "cols"), BOXES)
def test_every_rule_is_of_as_many_candidates_as_there_are_digits(rows, cols):
    g = geometry(rows, cols)
    for kind in g.kinds:
        starts = [bit for bit in range(g.size * g.cells) if kind.starts >> bit & 1]
        rules = [{start, *(start + step for step in kind.steps)} for start in starts]
        assert [sum(1 << bit for bit in rule) for rule in rules] == [
            (1 << bit) * kind.spread for bit in starts
        ]
        assert sorted(bit for rule in rules for bit in rule) == list(range(g.size * g.cells))
        for rule in rules:
            for bit in rule:
                assert {other for other in rule if g.beside[bit] >> other & 1} == {bit}


@pytest.mark.parametrize("puzzle", HARD_SUDOKUS)
def test_a_hard_published_puzzle_is_solved_in_few_nodes(puzzle, nodes):
    """A node takes some 0.04 ms."""
    grid = [0 if mark == "." else int(mark) for mark in puzzle]
    assert number_of_solutions(3, 3, grid) == 1
    assert has_one_solution(geometry(3, 3), grid)
    assert len(nodes) < 1_000
    solved = solve(geometry(3, 3), grid)
    assert solved is not None
    assert solves(3, 3, grid, solved)


def test_a_puzzle_less_a_clue_has_more_solutions_and_one_with_a_wrong_clue_none():
    for number, puzzle in enumerate(HARD_SUDOKUS[::5]):
        rng = random.Random(number)
        grid = [0 if mark == "." else int(mark) for mark in puzzle]
        solved = solve(geometry(3, 3), grid)
        clue = rng.choice([cell for cell, digit in enumerate(grid) if digit])
        less = [*grid[:clue], 0, *grid[clue + 1 :]]
        assert has_one_solution(geometry(3, 3), less) == (number_of_solutions(3, 3, less) == 1)
        blank = rng.choice([cell for cell, digit in enumerate(grid) if not digit])
        wrong = [*grid[:blank], solved[blank] % 9 + 1, *grid[blank + 1 :]]
        assert solve(geometry(3, 3), wrong) is None


@st.composite
def partial_grids(draw):
    """Of any size, filled from nearly nothing to all of it, some of it in conflict with the rest."""
    rows, cols = draw(st.sampled_from(BOXES))
    g = geometry(rows, cols)
    rng = random.Random(draw(st.integers(0, 2**32)))
    grid = random_grid(g, rng)
    for cell in rng.sample(range(g.cells), draw(st.integers(0, g.cells))):
        grid[cell] = 0
    for cell in rng.sample(range(g.cells), draw(st.sampled_from([0, 0, 1, 2, 5]))):
        grid[cell] = rng.randint(0, g.size)
    return rows, cols, grid


@given(partial_grids())
@settings(max_examples=300, deadline=None)
def test_the_number_of_solutions_is_that_of_a_constraint_solver(found):
    rows, cols, grid = found
    number = number_of_solutions(rows, cols, grid)
    solved = solve(geometry(rows, cols), grid)
    assert (solved is not None) == (number > 0)
    assert has_one_solution(geometry(rows, cols), grid) == (number == 1)
    if solved is not None:
        assert solves(rows, cols, grid, solved)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4]), min_size=16, max_size=16))
@settings(max_examples=200, deadline=None)
def test_small_grids_are_solved_just_when_brute_force_solves_them(grid):
    solved = solve(geometry(2, 2), grid)
    rows = [
        [
            p
            for p in permutations((1, 2, 3, 4))
            if all(g in (0, d) for g, d in zip(grid[i : i + 4], p, strict=True))
        ]
        for i in range(0, 16, 4)
    ]
    number = sum(
        follows_the_rules(2, 2, [*a, *b, *c, *d])
        for a in rows[0]
        for b in rows[1]
        if not any(x == y for x, y in zip(a, b, strict=True))
        for c in rows[2]
        for d in rows[3]
    )
    assert (solved is not None) == (number > 0)
    assert has_one_solution(geometry(2, 2), grid) == (number == 1)
    if solved is not None:
        assert solves(2, 2, grid, solved)


@given(seed=st.integers(0, 2**32), clues=st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_no_grid_of_random_digits_takes_long(seed, clues):
    rng = random.Random(seed)
    grid = [0] * 81
    for cell in rng.sample(range(81), clues):
        grid[cell] = rng.randint(1, 9)
    search = sudoku_solver._Search(geometry(3, 3))
    for _, _ in zip(range(2), search.solutions(sudoku_solver._board(geometry(3, 3), grid)), strict=False):
        pass
    assert search.nodes < 1_000


def test_a_search_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(sudoku_solver, "MOST_NODES", 10)
    grid = [0 if mark == "." else int(mark) for mark in HARD_SUDOKUS[0]]
    assert solve(geometry(3, 3), grid) is None
    assert not has_one_solution(geometry(3, 3), grid)
