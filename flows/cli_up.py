"""`percasym up`: everything that runs for as long as somebody works with it."""

import os
import signal
import sys
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
    allowed_hosts: Annotated[
        str, typer.Option(help="Further names by which others reach this machine, by commas.")
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
    """Run the Prefect UI, the MLflow UI and what is started from them, until Ctrl-C.

    On a terminal the addresses that are printed log in whoever opens them.
    """
    os.environ[VARIABLE] = str(home)
    allow(allowed or [])
    from flows.server import Up, link
    from flows.up import check as look
    from flows.up import up as keep_up
    from percasym import logins

    current = Home.current()
    given = {"Prefect": logins.of_prefect(), "MLflow": logins.of_mlflow()}

    def linked(server: str, address: str) -> str:
        return link(current, address, given[server] or logins.kept(current), sys.stdout)

    if check:
        found = look(current)
        for name, where in found.items():
            shown = linked(name, where) if where and name in given else where
            typer.echo(f"{name:12} {shown or 'does not run'}")
        raise typer.Exit(0 if all(found.values()) else 1)

    def ready(found: Up) -> None:
        typer.echo(f"Prefect      {linked('Prefect', found.prefect)}   start flows, watch them")
        typer.echo(f"MLflow       {linked('MLflow', found.mlflow)}   compare runs and models")
        typer.echo("Ctrl-C stops all of it; what was done is kept")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        names = [name for name in allowed_hosts.split(",") if name]
        keep_up(current, host, prefect_port, mlflow_port, devices, reevaluate, names, ready)
