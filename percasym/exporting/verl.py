"""Parquet files with the columns of verl's documentation, as our own training with verl reads them.

A row without an image, with a prefix or with "<image>" in its query is refused, as verl would misread it.
"""

from collections.abc import Sequence
from pathlib import Path

from percasym.datasets import iter_split
from percasym.exporting.base import Exported
from percasym.grpo.verl.rows import write_rows


def write(data: Path, splits: Sequence[str], folder: Path) -> list[Exported]:
    """Write a file SPLIT.parquet for each of `splits`."""
    return [_write_split(data, split, folder) for split in splits]


def _write_split(data: Path, split: str, folder: Path) -> Exported:
    rows = write_rows(str(data), split, folder / f"{split}.parquet")
    responses = sum(bool(row["response"]) for row in iter_split(data, split, ["response"]))
    note = f"without their {responses} responses: verl samples its own" if responses else ""
    return Exported(split, rows, note=note)
