"""Dynamic weight average: what falls more slowly counts more."""

import math
from typing import ClassVar

from percasym.sft.weighting import StepStatistics, Weighting


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

    def label(self) -> str:
        return "DWA"
