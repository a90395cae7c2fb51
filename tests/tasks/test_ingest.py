"""Where the rows of a study are in a data set of the user's."""

from pathlib import Path

import pytest

from percasym.datasets import generate_rows, write_dataset
from percasym.errors import PercasymError
from percasym.presets import load_preset
from percasym.puzzles import load_puzzle
from percasym.sections import DataSection
from tasks.ingest import division

ITEMS = {"train_items": 20, "validation_items": 3, "rl_items": 4, "test_items": 5}


def folder(path: Path, **splits: int) -> Path:
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64})
    write_dataset(path, {split: generate_rows(puzzle, "test", 0, number) for split, number in splits.items()})
    return path


def section(**changes: int) -> DataSection:
    return load_preset("tiny", {**ITEMS, **changes}).section(DataSection)


def test_splits_that_are_there_are_taken_up_to_what_is_asked_for(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", train_sft=30, validation=2, train_rl=9, test=9, other=1)
    assert division(data, section()) == {
        "validation": ("validation", 0, 2),
        "train_rl": ("train_rl", 0, 4),
        "test": ("test", 0, 5),
        "train_sft": ("train_sft", 0, 20),
    }


def test_splits_that_are_missing_are_taken_from_the_end_and_share_no_row(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", train_sft=12, test=1)
    assert division(data, section()) == {
        "validation": ("train_sft", 9, 12),
        "train_rl": ("train_sft", 5, 9),
        "test": ("test", 0, 1),
        "train_sft": ("train_sft", 0, 5),
    }


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"test": 3}, "no split train_sft in it, but test"),
        ({"train_sft": 30}, "no split test"),
        ({"train_sft": 7, "test": 3}, "train_sft has 7 rows, too few to give 7"),
    ],
)
def test_what_cannot_be_divided_is_told_in_one_line(
    tmp_path: Path, splits: dict[str, int], words: str
) -> None:
    with pytest.raises(PercasymError, match=words) as caught:
        division(folder(tmp_path / "data", **splits), section())
    assert "\n" not in str(caught.value)
