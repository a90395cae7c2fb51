"""Commands about what has been measured: list it, compare it, look at it."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.console import HomeFolder, show
from percasym.errors import PercasymError
from percasym.home import DEFAULT, VARIABLE

if TYPE_CHECKING:
    from percasym.evaluations import Evaluation

commands = typer.Typer()

Data = Annotated[
    Path | None, typer.Option(help="Data set whose items were answered, if MLflow does not know it.")
]
Evaluations = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="STUDY/MODEL, as mini/ngdiff; an MLflow run id, or 6 digits of it; or a folder of results.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="Items on a page.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@commands.command()
def compare(
    evaluations: Evaluations,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page, its figures, and galleries of what flipped.")
    ] = None,
    data: Data = None,
    limit: Limit = 200,
    as_json: Json = False,
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Compare models with the first one on the same items: differences, tests, and which items flipped."""
    os.environ[VARIABLE] = str(home)
    from percasym.comparison import compare_models
    from percasym.evaluations import check_same_items, dataset_of, find_evaluations
    from percasym.tables import comparison_tables

    if len(evaluations) < 2:
        raise PercasymError("name two evaluations or more: percasym compare RUN RUN...")
    found = find_evaluations(evaluations, data)
    check_same_items(found)
    rows = {evaluation.label: evaluation.rows() for evaluation in found}
    comparison = compare_models(rows)
    if out is not None:
        from percasym.report.comparison_page import write_comparison

        known = dataset_of(found) if any(one.dataset or one.data_run for one in found) else None
        page = write_comparison(comparison, rows, out, known, limit)
        without = "" if known else "   (without a gallery: name the data set with --data)"
        typer.echo(f"{page}{without}", err=True)
    show(comparison, as_json, comparison_tables)


@commands.command()
def gallery(
    evaluations: Evaluations,
    out: Annotated[Path, typer.Option(help="Folder for gallery.html.")] = Path("gallery"),
    cause: Annotated[
        list[str] | None,
        typer.Option(
            help="Only right, lucky, perception, reasoning, both, format; gained, lost (of two). Repeatable."
        ),
    ] = None,
    limit: Limit = 200,
    data: Data = None,
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Write a page of the items that a model answered, or of two models' replies side by side."""
    os.environ[VARIABLE] = str(home)
    from percasym.evaluations import check_same_items, dataset_of, find_evaluations
    from percasym.report.gallery import FILE, write_gallery
    from percasym.report.samples import answered

    if len(evaluations) > 2:
        raise PercasymError("a gallery shows one evaluation, or two side by side")
    found = find_evaluations(evaluations, data)
    check_same_items(found)
    models = [answered(evaluation.label, evaluation.rows()) for evaluation in found]
    written = write_gallery(
        out / FILE, _title(found), models, *dataset_of(found), only=cause or (), limit=limit
    )
    items = sum(group.on_page for group in written.shown)
    typer.echo(f"{items} items in {out / FILE}")


@commands.command()
def runs(
    study: Annotated[str | None, typer.Argument(help="Only those of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 10,
    as_json: Json = False,
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """List studies with their models' a, a_p and a_r, evaluations and re-evaluations, the newest first."""
    os.environ[VARIABLE] = str(home)
    from percasym.runs import list_runs
    from percasym.tables import runs_tables

    show(list_runs(study, limit), as_json, runs_tables)


@commands.command()
def why(
    stage: Annotated[list[str], typer.Argument(help="As the study shows it, such as sft ngdiff.")],
    study: Annotated[str | None, typer.Option(help="Name of a study; none: the latest.")] = None,
    as_json: Json = False,
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Say why a stage of the latest finished study was done or found: what of its key has changed."""
    os.environ[VARIABLE] = str(home)
    from percasym.why import explain

    reason = explain(" ".join(stage), study)
    if as_json:
        typer.echo(json.dumps(reason))
        return
    made, before = (date and date.replace("T", " ")[:16] for date in (reason["made"], reason["before"]))
    typer.echo(f"{reason['stage']}: {reason['ending']}, made on {made} UTC")
    if before is None:
        typer.echo("  no result of this stage before it says what it was made of")
    elif not reason["changes"]:
        typer.echo(f"  as on {before} UTC: the result of then was lost, damaged or forgotten")
    else:
        typer.echo(f"  made anew, as there was only one of {before} UTC, which had other")
    for name, (old, new) in reason["changes"].items():
        typer.echo(f"    {name}: {_told(old)} → {_told(new)}")


def _told(value: str | None) -> str:
    return "nothing" if value is None else value


def _title(found: "list[Evaluation]") -> str:
    study = found[0].study
    alike = study and all(one.study == study and "/" not in one.label for one in found)
    return (f"{study}: " if alike else "") + " → ".join(one.label for one in found)
