"""A base learns its two abilities from rows that have either an image or a caption, never both."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from percasym.datasets import FEATURES, generate_rows
from percasym.distillation import SolverTeacher
from percasym.judgement import score
from percasym.models.pretraining import pretraining_rows
from percasym.models.tiny import VISION_TOKENS
from percasym.models.tokenizer import word_tokenizer
from percasym.puzzles import Puzzle, load_puzzle

CELLS = {"text": "cells", "side": 64, "style": "hard"}


@pytest.fixture(params=["sudoku", "graph_coloring"])
def puzzle(request: pytest.FixtureRequest) -> Puzzle[Any]:
    sizes = {"rows": 2, "cols": 2} if request.param == "sudoku" else {}
    return load_puzzle(request.param, {**CELLS, **sizes})


def test_each_row_has_one_ability(puzzle: Puzzle[Any]) -> None:
    rows = list(pretraining_rows(puzzle, SolverTeacher(), seed=3, n=20))
    clean = {row["id"]: row["image"] for row in generate_rows(puzzle, "pretrain", 3, 20, style="clean")}
    transcribed = [row for row in rows if not row["prefix"]]
    solved = [row for row in rows if row["prefix"]]
    assert (len(transcribed), len(solved)) == (6, 14)
    assert len({row["id"] for row in rows}) == 20
    for row in rows:
        assert set(row) == set(FEATURES)
        instance = puzzle.read_ground_truth(row["ground_truth"])
        assert puzzle.split_of(instance) == "pretrain"
        result = score(puzzle, instance, row["prefix"] + row["response"])
        assert result.a_p
        assert result.a == bool(row["prefix"])
    for row in transcribed:
        assert row["prefix"] == ""
        assert row["response"] == f"<caption> {row['perception']} </caption>"
        assert distance(row["image"], clean[row["id"]]) < 0.25, "nearly clean, whatever the puzzle's style"
    others = [row["image"] for row in solved if row["image"] is not None]
    assert len(others) == len(solved) / 2
    assert not set(others) & set(clean.values())
    for row in solved:
        assert row["prefix"] == f"<caption> {row['perception']} </caption>"
        assert "<caption>" not in row["response"]
        assert row["response"].endswith("</answer>")


def distance(one: bytes, other: bytes) -> float:
    """Mean difference of two images, of full intensity."""
    pixels = [np.asarray(Image.open(BytesIO(image)), float) / 255 for image in (one, other)]
    return float(np.abs(pixels[0] - pixels[1]).mean())


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 2), (1.0, 8)])
def test_the_share_is_exact(puzzle: Puzzle[Any], share: float, expected: int) -> None:
    rows = pretraining_rows(puzzle, SolverTeacher(), seed=0, n=8, transcribe_share=share)
    assert sum(not row["prefix"] for row in rows) == expected


def test_the_same_seed_gives_the_same_rows(puzzle: Puzzle[Any]) -> None:
    first, again, other = (list(pretraining_rows(puzzle, SolverTeacher(), seed, n=4)) for seed in (0, 0, 1))
    assert first == again
    assert not {row["id"] for row in first} & {row["id"] for row in other}


@pytest.mark.parametrize("architecture", ["qwen3_vl", "internvl"])
def test_every_word_of_a_row_is_one_token_of_a_miniature(architecture: str, puzzle: Puzzle[Any]) -> None:
    tokenizer = word_tokenizer(puzzle.vocabulary(), VISION_TOKENS[architecture])
    for row in pretraining_rows(puzzle, SolverTeacher(), seed=5, n=40):
        text = f"{row['query']} {row['prefix']} {row['response']}"
        assert tokenizer.tokenize(text) == text.split()
