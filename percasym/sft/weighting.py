"""How much perception and how much reasoning count in an optimizer step.

The two objectives are L_p and L_r, the mean cross entropy of the perception and of the reasoning tokens of
the whole global batch, with gradients g_p and g_r. Every method here is a pair of coefficients (c_p, c_r);
the step follows

    c_p * g_p + c_r * g_r

Where a paper adds its weights up to the number of tasks, ours add up to 1, so that all methods mean the
same thing by a learning rate and by a largest gradient norm. Uncertainty weighting alone has a scale of its
own.

A method of your own is a class with a `coefficients`, in any file, chosen by "path/to/file.py:Class".
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from percasym.errors import PercasymError
from percasym.extensions import load_class


@dataclass(frozen=True)
class StepStatistics:
    """What is known of one optimizer step, over all micro-batches and ranks.

    `coefficients` gets the losses, norms and product only if the weighting asked for gradients; before that
    they do not exist yet and are NaN. `observe` gets the losses always.
    """

    step: int
    """Optimizer steps done before this one."""
    tokens_p: int
    """Trained perception tokens of the global batch; at least 1."""
    tokens_r: int
    """Trained reasoning tokens of the global batch; at least 1."""
    loss_p: float = math.nan
    """L_p in nats a token."""
    loss_r: float = math.nan
    norm_p: float = math.nan
    """|g_p|, Euclidean, over all trained parameters."""
    norm_r: float = math.nan
    dot: float = math.nan
    """g_p . g_r"""


class Weighting(ABC):
    """Chooses the coefficients of each step, except where a batch has tokens of one kind only."""

    needs_gradients: ClassVar[bool] = False
    """Whether `coefficients` looks at losses, norms or product: each step then computes g_p and g_r apart."""

    @abstractmethod
    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        """(c_p, c_r), finite and not negative, except where a method means to go against a gradient."""

    def observe(self, statistics: StepStatistics) -> None:  # noqa: B027 - most methods remember nothing
        """Learns from a step that was done. Called once a step, after `coefficients`."""

    def state_dict(self) -> dict[str, Any]:
        """All that must survive a restart, as JSON; `load_state_dict` takes it back."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class TokenMean(Weighting):
    """The ordinary loss, in which every token counts the same: lam = n_p / (n_p + n_r)."""

    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        lam = statistics.tokens_p / (statistics.tokens_p + statistics.tokens_r)
        return lam, 1 - lam


class Fixed(Weighting):
    """lam * L_p + (1 - lam) * L_r (arXiv 2605.29496)."""

    def __init__(self, lam: float) -> None:
        if not 0 <= lam <= 1:
            raise PercasymError(f"the lam of fixed:LAM is {lam:g}; it must lie between 0 and 1")
        self.lam = lam

    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        return self.lam, 1 - self.lam


class NGDiff(Weighting):
    """Normalised gradients: lam = |g_r| / (|g_p| + |g_r|), so that both pull equally hard (arXiv 2410.22086).

    With two objectives this is also IMTL-G (Liu et al., ICLR 2021): the step has equal projections on both
    unit gradients. Once captions are learnt g_p vanishes, lam would go to 1, and what is left of perception
    would starve reasoning; so lam is kept within [floor, 1 - floor]. The paper has no such bound; floor 0
    is the paper's rule.
    """

    needs_gradients = True

    def __init__(self, floor: float = 0.1) -> None:
        if not 0 <= floor <= 0.5:
            raise PercasymError(f"the floor of ngdiff:FLOOR is {floor:g}; it must lie between 0 and 0.5")
        self.floor = floor

    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        total = statistics.norm_p + statistics.norm_r
        lam = statistics.norm_r / total if total > 0 else 0.5
        lam = min(max(lam, self.floor), 1 - self.floor)
        return lam, 1 - lam


class DynamicWeightAverage(Weighting):
    """DWA: what falls more slowly counts more (arXiv 1803.10704, equation 7, with T = 2).

    c_k is a softmax of w_k / T with w_k = L_k(t-1) / L_k(t-2). The paper's t counts epochs of averaged
    losses; fine tuning has too few of these, so t counts windows of `WINDOW` steps. The first two windows
    weigh equally.
    """

    TEMPERATURE: ClassVar[float] = 2.0
    WINDOW: ClassVar[int] = 20

    def __init__(self) -> None:
        self.finished: list[list[float]] = []  # mean (L_p, L_r) of the last two windows, oldest first
        self.sums = [0.0, 0.0]
        self.count = 0

    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        if len(self.finished) < 2:
            return 0.5, 0.5
        ratios = [new / max(old, 1e-12) for old, new in zip(*self.finished, strict=True)]
        difference = (ratios[1] - ratios[0]) / self.TEMPERATURE
        lam = 1 / (1 + math.exp(min(difference, 700.0)))
        return lam, 1 - lam

    def observe(self, statistics: StepStatistics) -> None:
        self.sums = [self.sums[0] + statistics.loss_p, self.sums[1] + statistics.loss_r]
        self.count += 1
        if self.count == self.WINDOW:
            self.finished = [*self.finished, [total / self.count for total in self.sums]][-2:]
            self.sums, self.count = [0.0, 0.0], 0


class Uncertainty(Weighting):
    """Homoscedastic uncertainty (arXiv 1705.07115, equation 7 as L / (2 e^s) + s / 2 with s = log sigma^2).

    c_k = e^(-s_k) / 2. The two s start at 0 and follow their gradient, (1 - L_k e^(-s_k)) / 2, with a rate
    of their own; they come to rest at s_k = log L_k. The coefficients do not add up to 1: a small loss gets
    a large one.
    """

    RATE: ClassVar[float] = 0.05

    def __init__(self) -> None:
        self.log_variance = [0.0, 0.0]

    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        s_p, s_r = self.log_variance
        return math.exp(-s_p) / 2, math.exp(-s_r) / 2

    def observe(self, statistics: StepStatistics) -> None:
        losses = (statistics.loss_p, statistics.loss_r)
        self.log_variance = [
            s - self.RATE * (1 - loss * math.exp(-s)) / 2
            for s, loss in zip(self.log_variance, losses, strict=True)
        ]


class PCGrad(Weighting):
    """Gradient surgery (arXiv 2001.06782, algorithm 1): each gradient loses what opposes the other.

    The mean, not the sum, of the two. With g_p . g_r < 0 it is
    ((1 - g_p.g_r / |g_p|^2) g_p + (1 - g_p.g_r / |g_r|^2) g_r) / 2, else the plain mean.
    """

    needs_gradients = True

    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        conflict = max(0.0, -statistics.dot)
        if conflict == 0:
            return 0.5, 0.5
        return (1 + conflict / statistics.norm_p**2) / 2, (1 + conflict / statistics.norm_r**2) / 2


WEIGHTINGS: dict[str, type[Weighting]] = {
    "token_mean": TokenMean,
    "fixed": Fixed,
    "ngdiff": NGDiff,
    "dwa": DynamicWeightAverage,
    "uncertainty": Uncertainty,
    "pcgrad": PCGrad,
}
_WITH_NUMBER = ("fixed", "ngdiff")


def parse_weighting(text: str) -> Weighting:
    """A fresh weighting from its name: token_mean, fixed:0.3, ngdiff, ngdiff:0.05, path/to/file.py:Class...

    Raises:
        PercasymError: no such weighting, or a number that is missing, not wanted or out of range.
    """
    name, _, argument = text.partition(":")
    if name.endswith(".py"):
        return load_class(text, Weighting)()
    if name not in WEIGHTINGS:
        known = ", ".join("fixed:LAM" if known == "fixed" else known for known in WEIGHTINGS)
        raise PercasymError(f"there is no weighting {text!r}; known: {known}, path/to/file.py:Class")
    if name == "fixed" and not argument:
        raise PercasymError("fixed wants its lam: write fixed:0.5")
    if not argument:
        return WEIGHTINGS[name]()
    try:
        number = float(argument)
    except ValueError:
        number = math.nan
    if name not in _WITH_NUMBER or not math.isfinite(number):
        raise PercasymError(
            f"the weighting {text!r} is not understood; write for example fixed:0.3 or {name}"
        )
    return Fixed(number) if name == "fixed" else NGDiff(number)
