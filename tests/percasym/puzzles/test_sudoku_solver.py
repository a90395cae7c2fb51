import random
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from percasym.puzzles.sudoku_solver import carve, geometry, random_grid, solve

BOXES = [(2, 2), (2, 3), (3, 2), (2, 4), (3, 3)]
# By Arto Inkala, among the hardest there are.
HARD = "800000000003600000070090200050007000000045700000100030001000068008500010090000400"


def number_of_solutions(rows, cols, grid, limit=2):
    """By a constraint solver that shares nothing with ours."""
    size = rows * cols
    model = cp_model.CpModel()
    cells = [[model.NewIntVar(1, size, "") for _ in range(size)] for _ in range(size)]
    for k in range(size):
        top, left = k // rows * rows, k % rows * cols
        model.AddAllDifferent(cells[k])
        model.AddAllDifferent([row[k] for row in cells])
        model.AddAllDifferent([cells[top + i][left + j] for i in range(rows) for j in range(cols)])
    for cell, digit in enumerate(grid):
        if digit:
            model.Add(cells[cell // size][cell % size] == digit)

    class Count(cp_model.CpSolverSolutionCallback):
        found = 0

        def on_solution_callback(self):
            self.found += 1
            if self.found == limit:
                self.StopSearch()

    solver = cp_model.CpSolver()
    solver.parameters.enumerate_all_solutions = True
    solver.parameters.num_workers = 1
    count = Count()
    solver.Solve(model, count)
    return count.found


def follows_the_rules(rows, cols, full):
    size = rows * cols
    table = [full[start : start + size] for start in range(0, size * size, size)]
    boxes = [
        [table[top + i][left + j] for i in range(rows) for j in range(cols)]
        for top in range(0, size, rows)
        for left in range(0, size, cols)
    ]
    columns = [list(column) for column in zip(*table, strict=True)]
    return all(sorted(unit) == list(range(1, size + 1)) for unit in table + columns + boxes)


@pytest.mark.parametrize(("rows", "cols"), BOXES)
def test_geometry_is_that_of_a_sudoku(rows, cols):
    g = geometry(rows, cols)
    assert len(g.units) == 3 * g.size
    assert all(sum(cell in unit for unit in g.units) == 3 for cell in range(g.cells))
    peers = 2 * (g.size - 1) + (rows - 1) * (cols - 1)
    assert all(g.cells - others.bit_count() == peers + 1 for others in g.others)


@pytest.mark.parametrize(("rows", "cols"), BOXES)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_random_grids_follow_the_rules(rows, cols, seed):
    assert follows_the_rules(rows, cols, random_grid(geometry(rows, cols), random.Random(seed)))


def test_all_288_small_grids_turn_up_about_equally_often():
    rng = random.Random(0)
    counts = {}
    for _ in range(288 * 20):
        grid = tuple(random_grid(geometry(2, 2), rng))
        counts[grid] = counts.get(grid, 0) + 1
    assert len(counts) == 288
    assert max(counts.values()) < 50


@pytest.mark.parametrize(
    ("rows", "cols", "blanks"), [(2, 2, 10), (2, 3, 22), (3, 2, 22), (2, 4, 36), (3, 3, 50)]
)
def test_carved_puzzles_have_one_solution(rows, cols, blanks):
    g = geometry(rows, cols)
    rng = random.Random(1)
    for _ in range(8):
        full = random_grid(g, rng)
        grid = carve(g, full, blanks, rng)
        assert grid is not None
        assert grid.count(0) == blanks
        assert all(digit in (0, right) for digit, right in zip(grid, full, strict=True))
        assert solve(g, grid) == full
        assert number_of_solutions(rows, cols, grid) == 1


def test_without_a_search_only_what_is_in_sight_is_blanked(monkeypatch):
    g = geometry(2, 2)
    rng = random.Random(2)
    grids = [random_grid(g, rng) for _ in range(20)]
    monkeypatch.setattr("percasym.puzzles.sudoku_solver.MOST_NODES", 0)
    carved = [carve(g, full, 9, rng) for full in grids]
    assert all(grid is None or number_of_solutions(2, 2, grid) == 1 for grid in carved)


def test_more_blanks_than_can_be_are_refused():
    g = geometry(2, 2)
    rng = random.Random(0)
    assert carve(g, random_grid(g, rng), 13, rng) is None  # 4x4 needs four digits


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
    exists = any(
        follows_the_rules(2, 2, [*a, *b, *c, *d])
        for a in rows[0]
        for b in rows[1]
        if not any(x == y for x, y in zip(a, b, strict=True))
        for c in rows[2]
        for d in rows[3]
    )
    assert (solved is not None) == exists
    if solved is not None:
        assert follows_the_rules(2, 2, solved)
        assert all(given in (0, digit) for given, digit in zip(grid, solved, strict=True))


def test_a_hard_puzzle_is_solved():
    grid = [int(digit) for digit in HARD]
    solved = solve(geometry(3, 3), grid)
    assert solved is not None
    assert follows_the_rules(3, 3, solved)
    assert all(given in (0, digit) for given, digit in zip(grid, solved, strict=True))


def test_a_search_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr("percasym.puzzles.sudoku_solver.MOST_NODES", 100)
    assert solve(geometry(3, 3), [int(digit) for digit in HARD]) is None
