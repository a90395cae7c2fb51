"""How far the stages are: told to Prefect's UI, and to whoever listens in this process (the CLI's bars)."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, TypeVar

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

from tasks.show import plain

PERIOD = 3.0  # seconds between two updates of an artifact: each is a request to the server

T = TypeVar("T")
State = Literal["running", "done", "hit", "failed"]


class Event(NamedTuple):
    stage: str
    label: str
    state: State
    share: float  # done, from 0 to 1


listeners: list[Callable[[Event], None]] = []


def tell(stage: str, label: str, state: State, share: float = 0.0) -> None:
    for listener in listeners:
        listener(Event(stage, label, state, share))


class Progress:
    """The progress of one stage that is running; its artifact is made when there is something to show."""

    def __init__(self, stage: str, label: str) -> None:
        self.stage, self.label = stage, label
        self._artifact: object = None
        self._told = 0.0

    def count(self, rows: Iterable[T], before: int, total: int) -> Iterator[T]:
        """`rows`, each counted as it goes by; `before` have gone by before."""
        for done, row in enumerate(rows, before + 1):
            self(done, total)
            yield row

    def __call__(self, done: float, total: float) -> None:
        share = done / total if total else 1.0
        tell(self.stage, self.label, "running", share)
        if TaskRunContext.get() is None or (time.monotonic() - self._told < PERIOD and share < 1):
            return
        self._told = time.monotonic()
        if self._artifact is None:
            description = plain(f"{self.stage} {self.label}")
            self._artifact = create_progress_artifact(100 * share, description=description)
        else:
            update_progress_artifact(self._artifact, progress=100 * share)  # type: ignore[arg-type]
