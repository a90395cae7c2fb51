"""What the model sees and solves: one file per puzzle, one small interface."""

from percasym.puzzles.base import SPLITS, Credit, Item, Puzzle, PuzzleConfig, Split, Task, Thought
from percasym.puzzles.registry import load_puzzle, load_spec, load_task, spec

__all__ = [
    "SPLITS",
    "Credit",
    "Item",
    "Puzzle",
    "PuzzleConfig",
    "Split",
    "Task",
    "Thought",
    "load_puzzle",
    "load_spec",
    "load_task",
    "spec",
]
