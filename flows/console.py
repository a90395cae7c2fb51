"""What commands have in common on a terminal: a bar, tables or JSON."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer


def show(found: Any, as_json: bool, tables: Callable[[Any], Iterable[Any]]) -> None:
    """Prints what was found: as JSON and nothing else, or as tables."""
    if as_json:
        typer.echo(json.dumps(found))
        return
    from rich.console import Console

    for table in tables(found):
        Console().print(table)


@contextmanager
def bar(name: str, total: int) -> Iterator[Any]:
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
