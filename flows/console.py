"""What commands have in common: where the home folder is; on a terminal a bar, tables or JSON."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from percasym.home import VARIABLE

HomeFolder = Annotated[
    Path, typer.Option("--home", envvar=VARIABLE, help="Where studies, models and their records are kept.")
]


def show(found: Any, as_json: bool, tables: Callable[[Any], Iterable[Any]]) -> None:
    """Prints what was found: as JSON and nothing else, or as tables."""
    if as_json:
        typer.echo(json.dumps(found))
        return
    from rich.console import Console

    for table in tables(found):
        Console().print(table)


def quieten() -> None:
    """Keeps transformers from chatting."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[float, float], None]]:
    """A bar on standard error; what it yields sets it to so much of a total."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def bar(name: str, total: int | None) -> Iterator[Any]:
    """A bar on standard error; what it yields passes an object on and counts it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=total)

        def advance(row: Any) -> Any:
            progress.advance(task)
            return row

        yield advance
