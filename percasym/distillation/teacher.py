"""What a teacher is asked, and what it gives."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from percasym.puzzles import Puzzle
from percasym.puzzles.base import Thought


class Request(NamedTuple):
    """What a teacher is asked. A language model needs `query` and `perception`, a solver `puzzle` and
    `instance`.

    `seed` decides all that is random about the response; it is another one for each `attempt`.
    """

    id: str
    query: str
    perception: str
    attempt: int
    seed: int
    puzzle: Puzzle[Any]
    instance: Any


class Attempt(NamedTuple):
    """What came of one request: a thought, or the reason why there is none.

    The thought's text is the reasoning alone, in one form whatever the model: no `<think>` tags, no caption,
    and no answer.
    """

    id: str
    thought: Thought | None
    cause: str = ""
    tokens: int = 0
    """Generated for it; 0 from a solver."""


class Teacher(Protocol):
    """Whoever reasons."""

    @property
    def name(self) -> str:
        """Who that is, for reports."""
        ...

    def respond(self, requests: Iterable[Request]) -> Iterator[Attempt]:
        """An attempt for each request, in any order."""
        ...
