"""OUT/metrics.jsonl: what a run has to say, a line of JSON each, on disk and on standard output alike."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from percasym.errors import PercasymError
from percasym.sft.checkpoint import write_text
from percasym.sft.step import Gradient


class MetricsLog:
    """The metrics of a run up to a step. On ranks other than the first nothing is written."""

    def __init__(self, path: Path, step: int, writes: bool) -> None:
        """Drops the lines of steps after `step`, which are about to be done again."""
        self.path = path
        self.writes = writes
        if writes:
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
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
        print(line, flush=True)


def _step(line: str) -> float:
    """The step of a line; of one that a killed run left unfinished, one after all others."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf


@dataclass
class Window:
    """Sums over the steps since the last line."""

    tokens_p: int = 0
    tokens_r: int = 0
    tokens: int = 0
    loss_p: float = 0.0  # summed over tokens
    loss_r: float = 0.0
    seconds: float = 0.0

    def add(self, gradient: Gradient, seconds: float) -> None:
        s = gradient.statistics
        self.tokens_p += s.tokens_p
        self.tokens_r += s.tokens_r
        self.tokens += gradient.tokens
        self.loss_p += s.loss_p * s.tokens_p
        self.loss_r += s.loss_r * s.tokens_r
        self.seconds += seconds

    def record(self) -> dict[str, float]:
        """Losses in nats a token, shares in all trained tokens and in their summed loss."""
        tokens, loss = self.tokens_p + self.tokens_r, self.loss_p + self.loss_r
        return {
            "loss_p": _ratio(self.loss_p, self.tokens_p),
            "loss_r": _ratio(self.loss_r, self.tokens_r),
            "loss": _ratio(loss, tokens),
            "token_share": _ratio(self.tokens_p, tokens),
            "loss_share": _ratio(self.loss_p, loss),
            "tokens_per_s": _ratio(self.tokens, self.seconds),
        }

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def gradient_record(gradient: Gradient) -> dict[str, float]:
    """Norms and cosine of g_p and g_r, and lam, perception's part of the coefficients, of one step."""
    s = gradient.statistics
    c_p, c_r = gradient.coefficients
    return {
        "grad_norm_p": s.norm_p,
        "grad_norm_r": s.norm_r,
        "grad_cosine": _ratio(s.dot, s.norm_p * s.norm_r),
        "lam": _ratio(c_p, c_p + c_r),
    }
