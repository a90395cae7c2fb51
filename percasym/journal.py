"""What is paid for as it comes: a file to which a line is appended for each answer, and none is ever lost.

A line is JSON with the CRC-32 of what it holds. One that was torn when a process was killed, or is damaged
since, is left out and says nothing about the others; what it held is asked for again.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32


class Journal:
    """The values in a file, in the order in which they were added; one process at a time adds to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: list[Any] = []

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.path.open("a+b", buffering=0)
        self.file.seek(0)
        text = self.file.read()
        for line in text.split(b"\n"):
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
            match found:
                case [int(code), value] if code == _code(value):
                    self.values.append(value)
                case [str(), *_]:  # of a percasym whose lines had no code
                    self.values.append(found)
        if text and not text.endswith(b"\n"):
            self.file.write(b"\n")  # what is added must not stand behind a torn line
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def add(self, value: Any) -> None:
        """Appends a value that JSON can hold."""
        self.file.write(json.dumps([_code(value), value]).encode() + b"\n")
        self.values.append(value)


def _code(value: Any) -> int:
    return crc32(json.dumps(value).encode())
