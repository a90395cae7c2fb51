"""What a teacher has said, kept line by line: asking again is what costs."""

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self


class Answer(NamedTuple):
    """A model's text as it came."""

    text: str
    tokens: int
    finish_reason: str


class Journal:
    """The answers in a file, by key; one process at a time adds to it.

    A line that was torn when a process was killed is left out, and its question asked again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.path.open("a+", encoding="utf-8", buffering=1, newline="\n")
        self.file.seek(0)
        last = "\n"
        for last in self.file:
            with suppress(json.JSONDecodeError):
                key, *answer = json.loads(last)
                self.answers[key] = Answer(*answer)
        if not last.endswith("\n"):
            self.file.write("\n")  # what is added must not stand behind a torn line
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def add(self, key: str, answer: Answer) -> None:
        self.file.write(json.dumps([key, *answer]) + "\n")
        self.answers[key] = answer
