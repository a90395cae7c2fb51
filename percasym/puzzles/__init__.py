"""What the model sees and solves: one file per puzzle, one small interface."""

from percasym.puzzles.base import SPLITS, Credit, Item, Puzzle, PuzzleConfig, Split
from percasym.puzzles.registry import load_puzzle, load_spec, spec

__all__ = ["SPLITS", "Credit", "Item", "Puzzle", "PuzzleConfig", "Split", "load_puzzle", "load_spec", "spec"]
