"""Data sets of puzzles, made shard by shard: which shards there are, and the program that makes one.

    python -m percasym.generation CONFIG.json

makes the files of a shard in the folder OUT and prints lines of JSON, {"done": ..., "total": ...} in rows,
now and then and at the end.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from percasym.datasets import GROUP_ROWS, Row, generate_rows, write_shard
from percasym.puzzles import Split, load_puzzle
from percasym.sections import DataSection

# A constant, and no setting: what decides the bytes of a data set must not depend on how the work is shared.
FILE_ROWS = 10_000


class Piece(BaseModel, frozen=True, extra="forbid"):
    """The rows of one file."""

    split: Split = Field(description="Split that they belong to")
    first: int = Field(ge=0, description="Number of the first row in the split")
    rows: int = Field(ge=1, description="Number of rows")


class Shard(BaseModel, frozen=True, extra="forbid"):
    """The files that one process makes."""

    puzzle: str = Field(description="Name of the puzzle")
    options: dict[str, Any] = Field(description="Its settings")
    seed: int = Field(ge=0, description="Seed of the items")
    pieces: tuple[Piece, ...] = Field(description="What they hold")
    out: Path = Field(description="Folder that they go to")

    @property
    def rows(self) -> int:
        return sum(piece.rows for piece in self.pieces)

    def file(self, piece: Piece) -> Path:
        return self.out / f"{piece.split}-{piece.first}.parquet"


def plan(config: DataSection, shard_items: int, folder: Path) -> list[Shard]:
    """The shards of a data set, each of whole files with `shard_items` rows or few less; or of one file that
    has more.

    Args:
        folder: each shard gets a folder of its own in it.
    """
    sizes: dict[Split, int] = {
        "train_sft": config.train_items,
        "train_rl": config.rl_items,
        "validation": config.validation_items,
        "test": config.test_items,
    }
    groups: list[list[Piece]] = [[]]
    for split, size in sizes.items():
        for first in range(0, size, FILE_ROWS):
            piece = Piece(split=split, first=first, rows=min(FILE_ROWS, size - first))
            if sum(other.rows for other in groups[-1]) + piece.rows > shard_items and groups[-1]:
                groups.append([])
            groups[-1].append(piece)
    return [
        Shard(
            puzzle=config.puzzle,
            options=config.puzzle_settings(config.style),
            seed=config.seed,
            pieces=tuple(group),
            out=folder / f"{number:05}",
        )
        for number, group in enumerate(groups)
    ]


def files(shards: Iterable[Shard]) -> dict[str, list[Path]]:
    """The files of each split in order, for `datasets.gather_shards`."""
    found: dict[str, list[Path]] = {}
    for shard in shards:
        for piece in shard.pieces:
            found.setdefault(piece.split, []).append(shard.file(piece))
    return found


def make(shard: Shard, tell: Callable[[int], None]) -> None:
    """Makes the files of a shard that are not there yet. Nothing but the shard has a part in what they hold.

    Args:
        tell: gets the number of rows that are done, after each row.

    Raises:
        PercasymError: an unknown puzzle, a wrong setting, too few instances for a split, or a file that
            cannot be written.
    """
    puzzle = load_puzzle(shard.puzzle, shard.options)
    done = 0
    for piece in shard.pieces:
        if shard.file(piece).exists():
            tell(done + piece.rows)
        else:
            rows = generate_rows(puzzle, piece.split, shard.seed, piece.rows, first=piece.first)
            write_shard(shard.file(piece), _counted(rows, done, tell))
        done += piece.rows


def _counted(rows: Iterable[Row], before: int, tell: Callable[[int], None]) -> Iterator[Row]:
    for done, row in enumerate(rows, before + 1):
        yield row
        tell(done)


def run(shard: Shard) -> None:
    """Makes the shard, and prints how far it is.

    Raises:
        PercasymError: as `make`.
    """

    def tell(done: int) -> None:
        if done % GROUP_ROWS == 0 or done == shard.rows:
            print(json.dumps({"done": done, "total": shard.rows}), flush=True)

    make(shard, tell)


if __name__ == "__main__":
    from percasym import child  # late, as it imports transformers, for which others have no use

    sys.exit(child.main(sys.argv[1:], "percasym.generation", Shard, run))
