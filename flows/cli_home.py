"""Commands about a home folder: what is garbage in it, whether all is well, backups."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.console import HomeFolder, progress_bar, show
from percasym.errors import PercasymError
from percasym.home import DEFAULT, VARIABLE, Home

if TYPE_CHECKING:
    from rich.table import Table

commands = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


@commands.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only listed.")] = False,
    days: Annotated[
        float, typer.Option(min=0, help="Age at which unfinished stages and downloads are garbage.")
    ] = 7,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Also artifacts of runs that this MLflow does not know.")
    ] = False,
    as_json: AsJson = False,
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """List what nothing refers to any more, and remove it with --yes.

    All that a study, an evaluation or a registered model refers to stays. Delete one of these in MLflow's UI,
    and what only it needed is garbage.
    """
    folder = _home(home)
    if not folder.root.is_dir():
        raise PercasymError(f"there is no home folder {home}")
    from percasym.lifecycle.collection import DAY, Collector, alone
    from percasym.tracking import Tracker
    from tasks.locks import stage_lock

    tracker = Tracker.current()
    collector = Collector(folder, tracker, stage_lock, days * DAY, unknown)
    found = collector.find()
    gone = found.garbage
    if yes:
        with alone(folder):
            gone = collector.collect(found)
    rows = [
        {"path": str(one.path), "bytes": one.bytes, "why": one.why, "removed": yes and one in gone}
        for one in found.garbage
    ]
    total = sum(one.bytes for one in gone)
    told = {"garbage": rows, "runs": found.orphans, "bytes": total, "removed": yes, "kept": found.kept}
    show(told, as_json, lambda _: [_garbage_table(rows, folder.root)] if rows else [])
    if as_json:
        return
    for line in found.kept:
        typer.echo(f"note: {line}")
    if yes:
        left = f"; {len(rows) - len(gone)} are in use again and stay" if len(gone) < len(rows) else ""
        typer.echo(f"removed {len(gone)} of these, {_size(total)}{left}")
    elif rows or found.orphans:
        runs = f", and {len(found.orphans)} runs to be marked as deleted in MLflow" if found.orphans else ""
        typer.echo(f"{len(rows)} things, {_size(total)}{runs}: `percasym gc --yes` removes them")
    else:
        typer.echo("nothing to remove")
    typer.echo(
        "for more: delete studies, evaluations or versions of models in MLflow's UI "
        f"(mlflow ui --backend-store-uri {shlex.quote(tracker.address)}), then gc again"
    )


@commands.command()
def backup(
    file: Annotated[Path, typer.Argument(help="New file: .tar, .tar.gz, .tgz or .tar.zst.")],
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Write a home folder to one file. Studies and servers may go on in it meanwhile."""
    folder = _home(home)
    from percasym.lifecycle.backup import back_up
    from percasym.lifecycle.servers import masked
    from percasym.tracking import is_local

    with progress_bar("backup") as advance:
        manifest = back_up(folder, file, advance)
    if not is_local(folder.artifacts):
        typer.echo(f"note: artifacts in {masked(folder.artifacts)} are not in it")
    if (address := os.environ.get("MLFLOW_TRACKING_URI")) and "mlflow.db" not in manifest.counts:
        typer.echo(f"note: what MLflow keeps at {masked(address)} is not in it")
    counts = ", ".join(f"{count} of {name}" for name, count in sorted(manifest.counts.items()))
    typer.echo(f"{file}: {_size(file.stat().st_size)}; files: {counts}")


@commands.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `percasym backup` wrote.")],
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Make a home folder out of a backup: a new one, which may have another path than the old one."""
    folder = _home(home)
    from percasym.lifecycle.restoring import restore as make

    with progress_bar("restore") as advance:
        manifest = make(file, folder, advance)
    typer.echo(f"{folder.root} is as {manifest.home} was at {manifest.made:%Y-%m-%d %H:%M} UTC")


@commands.command()
def doctor(as_json: AsJson = False, home: HomeFolder = Path(DEFAULT)) -> None:
    """Say what is there, what is missing for which preset, and how to mend it.

    The exit code is 0 if the preset `mini` can run, and otherwise 1.
    """
    from percasym.lifecycle.doctor import examine

    found = examine(_home(home))
    show(found.model_dump(), as_json, lambda _: [_check_table(found.checks), _preset_table(found.presets)])
    if not as_json:
        typer.echo("what presets need is estimated in docs/lifecycle.md and docs/scale.md")
    if not found.ready("mini"):
        raise typer.Exit(1)


def _home(home: Path) -> Home:
    os.environ[VARIABLE] = str(home)
    return Home.current()


def _garbage_table(rows: list[dict[str, Any]], root: Path) -> "Table":
    from rich.table import Column, Table

    table = Table(Column("what", overflow="fold"), Column("size", justify="right"), "why")
    for row in rows:
        path = Path(row["path"])
        name = path.relative_to(root) if path.is_relative_to(root) else path
        table.add_row(str(name), _size(row["bytes"]), row["why"])
    return table


def _check_table(checks: Any) -> "Table":
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("check", "", Column("found", overflow="fold"), Column("to mend it", overflow="fold"))
    for check in checks:
        state = Text(check.state, COLOURS[check.state])
        table.add_row(Text(check.name), state, Text(check.found), Text(check.mend))
    return table


def _preset_table(presets: Any) -> "Table":
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("preset", "", Column("needs", overflow="fold"), Column("to mend it", overflow="fold"))
    for preset in presets:
        state = Text("ready", "green") if preset.ready else Text("not ready", "red")
        needs = Text("\n".join(need.what for need in preset.needs))
        needs.append("".join(f"\n({note})" for note in preset.notes), "dim")
        mend = dict.fromkeys(need.mend for need in preset.needs if need.mend)
        table.add_row(preset.name, state, needs, Text("\n".join(mend)))
    return table


def _size(size: float) -> str:
    from rich.filesize import decimal

    return decimal(int(size))
