"""What a diagnosis reads: for each model the table of its results and the log of its training."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from percasym.errors import PercasymError
from percasym.metrics import Row


@dataclass(frozen=True)
class ModelRecord:
    """One model of a study, after its evaluation."""

    name: str
    """How the configuration calls it: "base", an arm's weighting, such as "token_mean", or a reward."""
    label: str
    """How a reader should see it: "NGDiff"."""
    kind: Literal["base", "sft", "rl"]
    results: Path
    """results.parquet of its evaluation."""
    training: Path | None = None
    """metrics.jsonl of its training; None if it was not trained here."""
    rollouts: Path | None = None
    """rollouts.jsonl of its reinforcement learning."""
    start: str | None = None
    """The name of the model that its training started from."""


@dataclass(frozen=True)
class SweepPoint:
    """One model of a grid of weights of perception."""

    weight: float
    """In [0, 1]."""
    results: Path
    over: Literal["lam", "alpha"] = "lam"
    """Whether it weighs the loss of perception, or its part of the reward."""


@dataclass(frozen=True)
class TrainingLog:
    """The two kinds of lines that a training run logs, each in the order of its steps."""

    train: Sequence[dict[str, Any]]
    """Losses, shares, gradient norms of a fine-tuning; rewards and coupling of a reinforcement learning."""
    validation: Sequence[dict[str, Any]]
    """a, a_p, a_r on `n` validation items."""


def read_results(path: Path) -> list[Row]:
    """The rows of a results.parquet, in its order.

    Raises:
        PercasymError: the file cannot be read, has no rows, or lacks a column of `percasym.metrics.Row`.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise PercasymError(
            f"{path}: these results cannot be read ({_first_line(error)}); evaluate again"
        ) from error
    if missing := Row.__annotations__.keys() - set(table.column_names):
        raise PercasymError(f"{path}: these results lack {', '.join(sorted(missing))}; evaluate again")
    if table.num_rows == 0:
        raise PercasymError(f"{path}: there are no results in this file; evaluate again")
    return cast(list[Row], table.to_pylist())


def read_training(path: Path) -> TrainingLog:
    """The lines of a metrics.jsonl.

    Raises:
        PercasymError: the file cannot be read or a line is not a JSON object.
    """
    lines: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    try:
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            line = json.loads(text)
            if not isinstance(line, dict):
                raise PercasymError(
                    f"{path}: line {number} of this training log is not an object; train again"
                )
            lines.setdefault(str(line.get("kind")), []).append(line)
    except (OSError, ValueError) as error:
        raise PercasymError(f"{path}: this training log cannot be read ({_first_line(error)})") from error
    return TrainingLog(train=lines["train"], validation=lines["validation"])


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
