"""Items: made alone, the same everywhere, and never in two splits."""

import hashlib
import io
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stdout

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.puzzles import SPLITS, load_puzzle
from percasym.seeding import stream

PUZZLES = {
    "sudoku4": ("sudoku", {"rows": 2, "cols": 2, "side": 64}),
    "sudoku6": ("sudoku", {"rows": 2, "cols": 3, "side": 96}),
    "sudoku9": ("sudoku", {"blanks_low": 30, "blanks_high": 30}),
    "graph": ("graph_coloring", {"vertices_low": 6, "vertices_high": 7, "side": 64}),
    "counted": ("graph_coloring", {"edges_low": 6, "edges_high": 10, "side": 64}),
}
STYLES = ("clean", "paper", "varied", "hard:0.7")
PROGRAM = """
import json
from percasym.puzzles import load_puzzle
from percasym.seeding import stream
puzzles, styles = json.loads(argument)
for name, config in puzzles.values():
    puzzle = load_puzzle(name, config)
    for index in (3, 0):
        item = puzzle.item("test", 1, index)
        pixels = [puzzle.render(item.instance, stream(item.id), style).tobytes().hex() for style in styles]
        print(item.id, puzzle.ground_truth(item.instance), *pixels)
"""


def truths(puzzle, split, seed, indices):
    return [puzzle.ground_truth(puzzle.item(split, seed, index).instance) for index in indices]


@pytest.fixture(params=PUZZLES)
def puzzle(request):
    return load_puzzle(*PUZZLES[request.param])


def test_items_and_images_are_the_same_in_every_process():
    own = io.StringIO()
    with redirect_stdout(own):
        exec(PROGRAM, {"argument": json.dumps([PUZZLES, STYLES])})
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; argument = sys.argv[1]\n{PROGRAM}",
            json.dumps([PUZZLES, STYLES]),
        ],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == own.getvalue()
    assert len(set(run.stdout.splitlines())) == 2 * len(PUZZLES)


def test_items_and_images_are_what_they_were():
    """So that data sets can be made again: change these only together with a note in the release."""
    found = {}
    for key, (name, config) in PUZZLES.items():
        puzzle = load_puzzle(name, config)
        item = puzzle.item("train_sft", 0, 7)
        seen = hashlib.sha256(puzzle.ground_truth(item.instance).encode())
        for style in STYLES:
            seen.update(puzzle.render(item.instance, stream(item.id), style).tobytes())
        found[key] = seen.hexdigest()[:16]
    assert found == {
        "sudoku4": "b25f321cab063ab7",
        "sudoku6": "343c09c047493ea3",
        "sudoku9": "6b2cba070f12a0de",
        "graph": "d72389443ad1e9dd",
        "counted": "ee19a74d9fc4882c",
    }


def test_an_item_needs_no_other(puzzle):
    in_order = truths(puzzle, "validation", 5, range(6))
    assert truths(puzzle, "validation", 5, [4, 1]) == [in_order[4], in_order[1]]
    assert len({puzzle.item("test", 0, index).id for index in range(6)}) == 6


def test_no_instance_occurs_in_two_splits(puzzle):
    seen = {split: set(truths(puzzle, split, 0, range(40))) for split in SPLITS}
    assert sum(map(len, seen.values())) == len(set.union(*seen.values()))


@given(seed=st.integers(0, 2**40), index=st.integers(0, 2**40), split=st.sampled_from(SPLITS))
@settings(max_examples=60)
def test_an_item_lies_in_its_split_whatever_the_config(seed, index, split):
    for name, config in (PUZZLES["sudoku4"], PUZZLES["graph"]):
        puzzle = load_puzzle(name, config)
        item = puzzle.item(split, seed, index)
        assert (item.split, item.seed, item.index) == (split, seed, index)
        assert puzzle.split_of(item.instance) == split
        other = load_puzzle(
            name, {"text": "cells"} if name == "graph_coloring" else {**config, "text": "cells"}
        )
        assert other.split_of(item.instance) == split


@pytest.mark.parametrize("key", ["sudoku4", "sudoku6", "sudoku9"])
def test_neighbouring_seeds_and_indices_share_no_item(key):
    puzzle = load_puzzle(*PUZZLES[key])
    zero, one = truths(puzzle, "test", 0, range(60)), truths(puzzle, "test", 1, range(60))
    assert len(set(zero)) == len(set(one)) == 60
    assert not set(zero) & set(one)


def test_text_style_and_side_change_no_instance(puzzle):
    changed = {**puzzle.config.model_dump(), "text": "cells", "style": "hard", "side": 500}
    same = load_puzzle(puzzle.name, changed)
    assert truths(same, "test", 0, range(5)) == truths(puzzle, "test", 0, range(5))


def test_splits_are_about_equally_large():
    puzzle = load_puzzle(*PUZZLES["sudoku4"])
    rng = stream("a test of splits")
    counts = Counter(puzzle.split_of(puzzle.generate(rng)) for _ in range(2000))
    assert set(counts) == set(SPLITS)
    assert all(300 < count < 500 for count in counts.values())


def test_an_unknown_split_and_too_few_instances_are_said():
    with pytest.raises(PercasymError, match="no split 'train'"):
        load_puzzle("sudoku").item("train", 0, 0)
    single = load_puzzle("graph_coloring", {"vertices_low": 2, "vertices_high": 2})
    home = single.split_of(single.generate(stream(0)))
    assert single.item(home, 0, 0)
    with pytest.raises(PercasymError, match="too few instances"):
        single.item(next(split for split in SPLITS if split != home), 0, 0)
