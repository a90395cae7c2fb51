"""`python -m percasym.models CONFIG.json`: a miniature and what it is to learn first, ready for the trainer.

Writes OUT/model, an untrained checkpoint that knows the words of a puzzle, and OUT/data, a data set with the
split `pretrain` and, of the puzzles that the model will be measured on, `validation`. Prints lines {"kind":
"progress", "done", "total"}.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from percasym import child
from percasym.datasets import Row, generate_rows, write_dataset
from percasym.distillation import SolverTeacher
from percasym.miniature import TinyConfig
from percasym.models.pretraining import pretraining_rows
from percasym.models.tiny import build_tiny
from percasym.puzzles import load_puzzle


class BeginningConfig(BaseModel, frozen=True, extra="forbid"):
    """What to build, and what to prepare for it."""

    size: TinyConfig
    puzzle: str
    puzzle_options: dict[str, Any]
    """Of the puzzles to learn from."""
    validation_options: dict[str, Any]
    perception_share: float
    detours: float
    seed: int
    items: int
    validation_items: int
    out: Path


def prepare(config: BeginningConfig) -> None:
    """Writes what this module's description says; what is there already is written anew."""
    puzzle = load_puzzle(config.puzzle, config.puzzle_options)
    build_tiny(config.size, puzzle.vocabulary(), config.out / "model")
    teacher = SolverTeacher(config.perception_share, config.detours)
    rows = pretraining_rows(puzzle, teacher, config.seed, config.items)
    measured = load_puzzle(config.puzzle, config.validation_options)
    validation = generate_rows(measured, "validation", config.seed, config.validation_items)
    write_dataset(config.out / "data", {"pretrain": _counted(rows, config.items), "validation": validation})


def _counted(rows: Iterator[Row], total: int) -> Iterator[Row]:
    for done, row in enumerate(rows, 1):
        if done % 100 == 0:
            print(json.dumps({"kind": "progress", "done": done, "total": total}), flush=True)
        yield row


def main(arguments: list[str]) -> int:
    return child.main(arguments, "percasym.models", BeginningConfig, prepare)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
