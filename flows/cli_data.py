"""Commands about data sets."""

from pathlib import Path
from typing import Annotated

import typer

from flows.console import bar
from percasym.errors import PercasymError

commands = typer.Typer()


@commands.command()
def generate(
    out: Annotated[Path, typer.Option(help="Folder of the data set; splits that it has stay.")],
    puzzle: Annotated[str, typer.Option(help="sudoku, graph_coloring, or path/to/file.py:Class.")] = "sudoku",
    split: Annotated[str, typer.Option(help="test, validation, train_sft, train_rl or pretrain.")] = "test",
    n: Annotated[int, typer.Option(min=1, help="Number of items.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the items.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="OPTION=VALUE", help="Size, difficulty, text, style or side of the puzzle."
        ),
    ] = None,
) -> None:
    """Write a data set of puzzles: parquet files with images, and a card."""
    from percasym.datasets import generate_rows, write_dataset
    from percasym.presets import parse_settings
    from percasym.puzzles import SPLITS, load_puzzle

    if split not in SPLITS:
        raise PercasymError(f"there is no split {split!r}; choose from {', '.join(SPLITS)}")
    rows = generate_rows(load_puzzle(puzzle, parse_settings(settings or [])), split, seed, n)
    with bar(f"{puzzle} {split}", n) as advance:
        write_dataset(out, {split: (advance(row) for row in rows)})
    typer.echo(f"{n} items in {out}")
