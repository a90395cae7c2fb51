"""How much of the training signal comes from perception: its share of tokens, of the loss and of the update.

Wu et al. (arXiv 2605.29496) explain the asymmetry that SFT leaves behind by the first two: the caption is
about 2.5 % of the tokens and 1.3 % of the loss.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

from percasym.diagnostics.records import TrainingLog

LATE = 0.25
"""`late` averages over this last part of the training."""


class Share(TypedDict):
    """One share over the training: fractions in [0, 1], None where a step did not log what it needs."""

    values: list[float | None]
    mean: float | None
    late: float | None


class Shares(TypedDict):
    """Perception's three shares; `values` of each belong to `steps`."""

    steps: list[int]
    tokens: Share
    loss: Share
    gradient: Share


def shares(log: TrainingLog) -> Shares | None:
    """Perception's shares at every logged step; None for a log without training lines.

    With the update c_p g_p + c_r g_r, where g_p and g_r are the gradients of the two mean losses and
    lam = c_p / (c_p + c_r), perception's share of the gradient is lam |g_p| / (lam |g_p| + (1 - lam) |g_r|):
    one half says that both pull equally hard, which is what NGDiff (arXiv 2410.22086) sets.
    """
    if not log.train:
        return None
    return Shares(
        steps=[line["step"] for line in log.train],
        tokens=_share([line["token_share"] for line in log.train]),
        loss=_share([line["loss_share"] for line in log.train]),
        gradient=_share([_gradient_share(line) for line in log.train]),
    )


def _gradient_share(line: dict[str, Any]) -> float | None:
    norm_p, norm_r, lam = line.get("grad_norm_p"), line.get("grad_norm_r"), line.get("lam")
    if norm_p is None or norm_r is None or lam is None:
        return None
    pull_p, pull_r = lam * norm_p, (1 - lam) * norm_r
    return float(pull_p / (pull_p + pull_r)) if pull_p + pull_r > 0 else None


def _share(values: Sequence[float | None]) -> Share:
    late = values[int(len(values) * (1 - LATE)) :]
    return Share(values=list(values), mean=_mean(values), late=_mean(late))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
