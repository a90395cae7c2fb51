"""What the model sees and solves: one file per puzzle, one small interface."""

from percasym.puzzles.base import SPLITS, Credit, Item, Puzzle, PuzzleConfig, Split, Thought
from percasym.puzzles.registry import load_puzzle, load_spec, spec

__all__ = [
    "SPLITS",
    "Credit",
    "Item",
    "Puzzle",
    "PuzzleConfig",
    "Split",
    "Thought",
    "load_puzzle",
    "load_spec",
    "spec",
]
