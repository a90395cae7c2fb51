"""Commands about data sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.console import bar
from percasym.errors import PercasymError

if TYPE_CHECKING:
    from percasym.importing import ImportReport
    from percasym.puzzles import Task

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
    from percasym.puzzles import SPLITS
    from percasym.puzzles.registry import drawn

    if split not in SPLITS:
        raise PercasymError(f"there is no split {split!r}; choose from {', '.join(SPLITS)}")
    rows = generate_rows(drawn(_task(puzzle, settings)), split, seed, n)
    with bar(f"{puzzle} {split}", n) as advance:
        write_dataset(out, {split: (advance(row) for row in rows)})
    typer.echo(f"{n} items in {out}")


@commands.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(help="Id of the Hub, or a folder of parquet, JSON or JSONL files and images.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for the data set.")],
    puzzle: Annotated[
        str, typer.Option(help="sudoku, graph_coloring or path/to/file.py:Class; none: by the ground truths.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Settings of --puzzle, such as rows and cols."),
    ] = None,
) -> None:
    """Take over a data set in the released layout, verified row by row."""
    from percasym.importing import import_dataset

    if settings and not puzzle:
        raise PercasymError("--set needs --puzzle: without it each puzzle is recognised")
    told = _task(puzzle, settings) if puzzle else None
    unknown: Any = None
    with bar("rows", unknown) as advance:
        report = import_dataset(source, out, told, advance)
    _tell(report, out)


@commands.command()
def export(
    data: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    to: Annotated[str, typer.Option(help="hub, llamafactory, trl or verl.")],
    out: Annotated[Path, typer.Option(help="New folder for the export.")],
    split: Annotated[list[str] | None, typer.Option(help="A split; may be repeated; none: all.")] = None,
) -> None:
    """Write a data set as another program reads it."""
    from percasym.exporting import export_dataset

    for found in export_dataset(data, to, out, split or []):
        left_out = "".join(f"; {count} left out: {why}" for why, count in found.left_out.items())
        typer.echo(f"{found.split}: {found.rows} rows{left_out}{found.note and f'; {found.note}'}")
    typer.echo(f"written to {out}")


def _task(name: str, settings: list[str] | None) -> "Task[Any]":
    from percasym.presets import parse_settings
    from percasym.puzzles import load_task
    from percasym.puzzles.registry import task_config

    return load_task(name, parse_settings(settings or [], task_config(name)))


def _tell(report: "ImportReport", out: Path) -> None:
    for split, found in report.splits.items():
        judged = "no responses"
        if found.responses:
            judged = f"{found.responses} responses: {found.right} right"
            if found.right_caption is not None:
                judged += f", {found.right_caption} with the right caption, {found.both} both"
        if found.incomplete:
            judged += f", {found.incomplete} incomplete"
        if found.redrawn:
            judged += f"; {found.redrawn} images redrawn, as not all programs would see them alike"
        typer.echo(f"{split}: {found.rows} rows, {judged}")
    if report.columns:
        typer.echo(f"not taken: {', '.join(map(repr, sorted(report.columns)))}")
    if report.repeats:
        typer.echo(
            f"warning: rows whose puzzle is in another split too: {report.repeats}, see {out}/repeated.jsonl"
        )
        for line in report.repeated:
            typer.echo("  {split} row {row}: {other_split} row {other_row}".format(**line))
    if equal := sum(found.equal for found in report.splits.values()):
        typer.echo(f"warning: rows equal to an earlier one of their split: {equal}, see {out}/equal.jsonl")
        for line in report.equal:
            typer.echo("  {split} row {row}: row {other_row}".format(**line))
    rejected = sum(found.rejected for found in report.splits.values())
    if rejected:
        typer.echo(f"warning: rows that could not be taken: {rejected}, see {out}/rejected.jsonl")
        for line in report.rejected:
            typer.echo("  {split} row {row}: {reason}".format(**line))
    typer.echo(f"{sum(found.rows for found in report.splits.values())} items in {out}")
