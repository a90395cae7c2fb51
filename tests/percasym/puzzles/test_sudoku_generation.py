"""Full grids are random, carved puzzles have one solution, and a seed goes on giving what it gave."""

import random

import pytest
from fixtures.sudoku_rules import follows_the_rules, number_of_solutions
from hypothesis import given, settings
from hypothesis import strategies as st

from percasym.puzzles import SPLITS, load_puzzle
from percasym.puzzles.sudoku_generation import carve, random_grid
from percasym.puzzles.sudoku_solver import geometry, solve
from percasym.seeding import digest

# Of what items were when data sets and studies were made of them.
ITEMS = {
    "4x4": (
        {"rows": 2, "cols": 2, "side": 64, "text": "cells", "blanks_low": 4, "blanks_high": 9},
        "0f0010f8183b12fc",
    ),
    "6x6": ({"rows": 2, "cols": 3, "side": 96}, "cf4c26d35a2ae6f1"),
    "6x6, tall": ({"rows": 3, "cols": 2, "blanks_high": 22}, "d0810ef7bf9d9299"),
    "8x8": ({"rows": 2, "cols": 4}, "795d4f412f7cdaaf"),
    "8x8, tall": ({"rows": 4, "cols": 2, "blanks_high": 36}, "c4b00bfc638f85a0"),
    "9x9": ({}, "dd0cccdc2052bd5c"),
    "9x9, the paper's": ({"blanks_low": 12, "blanks_high": 20}, "b82463b82e1f1802"),
    "9x9, sparse": ({"blanks_low": 50, "blanks_high": 54}, "69d96f505d72de00"),
}


@pytest.mark.parametrize(("config", "expected"), ITEMS.values(), ids=ITEMS)
def test_a_seed_gives_the_puzzles_that_it_always_gave(config, expected):
    puzzle = load_puzzle("sudoku", config)
    truths = [
        puzzle.ground_truth(puzzle.item(split, seed, index).instance)
        for split in SPLITS
        for seed in (0, 1, 7)
        for index in (0, 1, 2, 1000)
    ]
    assert digest(truths)[:16] == expected


@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (2, 3), (3, 2), (2, 4), (4, 2), (3, 3)])
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
    monkeypatch.setattr("percasym.puzzles.sudoku_generation.MOST_NODES", 0)
    carved = [carve(g, full, 9, rng) for full in grids]
    assert all(grid is None or number_of_solutions(2, 2, grid) == 1 for grid in carved)


def test_more_blanks_than_can_be_are_refused():
    g = geometry(2, 2)
    rng = random.Random(0)
    assert carve(g, random_grid(g, rng), 13, rng) is None  # 4x4 needs four digits
