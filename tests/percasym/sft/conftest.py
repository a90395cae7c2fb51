"""A tiny checkpoint of each architecture and a small data set, both real."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from percasym.datasets import generate_rows, write_dataset
from percasym.models.tiny import TinyConfig, build_tiny
from percasym.puzzles import Puzzle, load_puzzle
from percasym.response import compose
from percasym.sft.config import SFTConfig

WORDS = "so then look a1 is free because both of its neighbours are taken".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sudoku() -> Puzzle[Any]:
    return load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": "cells", "side": 64})


@pytest.fixture(scope="session")
def build(sudoku: Puzzle[Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Saves a tiny checkpoint of an architecture, once a session."""
    built: dict[str, Path] = {}

    def build_once(architecture: str) -> Path:
        if architecture not in built:
            out = tmp_path_factory.mktemp(architecture)
            size = {"hidden_size": 32, "mlp_size": 64, "layers": 2, "vision_size": 32, "vision_mlp_size": 48}
            config = TinyConfig.model_validate({"architecture": architecture, "side": 64, **size})
            built[architecture] = build_tiny(config, [*WORDS, *sudoku.vocabulary()], out)
        return built[architecture]

    return build_once


@pytest.fixture(scope="session")
def checkpoint(build: Callable[[str], Path]) -> Path:
    return build("qwen3_vl")


@pytest.fixture(scope="session")
def dataset(sudoku: Puzzle[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train_sft: 24 rows; pretrain: 12 rows that transcribe or solve from text; validation: 3 rows."""

    def respond(row: dict[str, Any]) -> dict[str, Any]:
        rng = random.Random(row["id"])
        reasoning = " ".join(rng.choices(WORDS, k=rng.randrange(10, 60)))
        return {**row, "response": compose(row["perception"], reasoning, "a1 3")}

    def apart(number: int, row: dict[str, Any]) -> dict[str, Any]:
        """What an ability of its own is learnt from."""
        caption, closing, rest = row["response"].partition("</caption>")
        if number % 2:
            return {**row, "image": None, "prefix": caption + closing, "response": rest}
        return {**row, "response": caption + closing}

    folder = tmp_path_factory.mktemp("dataset")
    pretrain = map(respond, generate_rows(sudoku, "pretrain", 0, 12))
    write_dataset(
        folder,
        {
            "train_sft": map(respond, generate_rows(sudoku, "train_sft", 0, 24)),
            "pretrain": (apart(number, row) for number, row in enumerate(pretrain)),
            "validation": generate_rows(sudoku, "validation", 0, 3),
        },
    )
    return folder


@pytest.fixture
def config(checkpoint: Path, dataset: Path, tmp_path: Path) -> SFTConfig:
    """A run of six short steps."""
    return SFTConfig(
        model=str(checkpoint),
        dataset=str(dataset),
        out=tmp_path / "run",
        steps=6,
        batch_size=4,
        micro_batch_size=2,
        learning_rate=1e-3,
        warmup_steps=2,
        log_every=3,
        checkpoint_every=2,
        max_new_tokens=8,
        threads=1,
    )
