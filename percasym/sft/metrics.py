"""What is logged of a training between two lines: losses, shares, gradients."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from percasym.sft.step import Gradient


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
