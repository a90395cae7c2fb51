"""A flow as it looks in a terminal: a bar for each stage that works."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect.logging.handlers import APILogHandler
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tasks import progress
from tasks.progress import Event


@contextmanager
def following(server: Callable[[], str]) -> Iterator[None]:
    """Shows the flow that runs inside, on standard error, once `server` says where Prefect's server is."""
    console = Console(stderr=True, soft_wrap=True)
    handler = RichHandler(console=console, show_path=False, show_level=False, log_time_format="%H:%M:%S")
    ours = logging.getLogger("percasym")
    ours.setLevel(logging.INFO)
    ours.addHandler(handler)
    console.print(f"watch it at {server()}")
    try:
        with bars(console):
            yield
    finally:
        ours.removeHandler(handler)
        APILogHandler().flush()


ENDINGS = {"done": "done", "hit": "[dim]hit[/]", "failed": "[red]failed[/]"}


@contextmanager
def bars(console: Console) -> Iterator[None]:
    """Shows the stages that run inside: as bars, or as plain lines where there is no terminal."""
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as display:
        rows: dict[tuple[str, str], TaskID] = {}

        def listen(event: Event) -> None:
            key = event.stage, event.label
            name = f"{event.stage} {event.label}".strip()
            if key not in rows:
                rows[key] = display.add_task(name, total=1.0, state="")
            state = ENDINGS.get(event.state, f"{event.share:.0%}")
            display.update(rows[key], completed=event.share, state=state)
            if event.state != "running":
                display.stop_task(rows[key])
                if not console.is_terminal:
                    console.print(f"{name}: {state}")

        progress.listeners.append(listen)
        try:
            yield
        finally:
            progress.listeners.remove(listen)
