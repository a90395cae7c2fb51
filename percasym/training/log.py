"""What a run has to say, a line of JSON for each step: OUT/metrics.jsonl, and others like it."""

import json
import math
from pathlib import Path
from typing import Any

from percasym.errors import PercasymError
from percasym.folders import write_text


class StepLog:
    """The lines of a run up to a step. On ranks other than the first nothing is written."""

    def __init__(self, path: Path, step: int, writes: bool, echo: bool) -> None:
        """Drops the lines of steps after `step`, which are about to be done again.

        Args:
            echo: whether lines also go to standard output.
        """
        self.path = path
        self.writes = writes
        self.echo = echo
        if writes:
            lines = path.read_text(errors="replace").splitlines(keepends=True) if path.exists() else []
            write_text(path, "".join(line for line in lines if _step(line) <= step))

    def write(self, record: dict[str, Any]) -> None:
        """Raises PercasymError if the disk is full."""
        if not self.writes:
            return
        finite = {
            key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in record.items()
        }
        line = json.dumps(finite)
        try:
            with self.path.open("a") as file:
                file.write(line + "\n")
        except OSError as error:
            raise PercasymError(f"cannot write {self.path}: {error.strerror}") from error
        if self.echo:
            print(line, flush=True)


def _step(line: str) -> float:
    """The step of a line; of one that is unfinished or damaged, one after all others."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
