"""`percasym up`: everything that runs for as long as somebody works with it."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from flows.console import HomeFolder
from percasym.allowed import allow
from percasym.home import DEFAULT, VARIABLE, Home

commands = typer.Typer()


@commands.command()
def up(
    home: HomeFolder = Path(DEFAULT),
    check: Annotated[
        bool, typer.Option("--check", help="Only say what runs; exit code 1 if not all does.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; see docs/security.md for others.")
    ] = "127.0.0.1",
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Prefect UI.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MLflow UI.")] = 5000,
    devices: Annotated[int, typer.Option(min=0, help="GPUs that all flows share; 0: all there are.")] = 0,
    reevaluate: Annotated[
        str, typer.Option(help="When to measure registered models again: 6h, or a cron line; empty: never.")
    ] = "",
    allowed: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="NAME",
            help="File, folder, address (http://host:8000) or override of verl's that forms may name. "
            "May be repeated; see docs/security.md.",
        ),
    ] = None,
) -> None:
    """Run the Prefect UI, the MLflow UI and what is started from them, until Ctrl-C."""
    os.environ[VARIABLE] = str(home)
    allow(allowed or [])
    from flows.server import Up
    from flows.up import check as look
    from flows.up import up as keep_up

    if check:
        found = look(Home.current())
        for name, where in found.items():
            typer.echo(f"{name:12} {where or 'does not run'}")
        raise typer.Exit(0 if all(found.values()) else 1)

    def ready(found: Up) -> None:
        typer.echo(f"Prefect      {found.prefect}   start flows, watch them")
        typer.echo(f"MLflow       {found.mlflow}   compare runs and models")
        typer.echo("Ctrl-C stops all of it; what was done is kept")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        keep_up(Home.current(), host, prefect_port, mlflow_port, devices, reevaluate, ready)
