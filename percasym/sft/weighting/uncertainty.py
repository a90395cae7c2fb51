"""Weights that follow the size of the losses."""

import math
from typing import ClassVar

from percasym.sft.weighting import StepStatistics, Weighting


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
