"""A weight of perception that stays."""

from percasym.errors import PercasymError
from percasym.sft.weighting import StepStatistics, Weighting


class Fixed(Weighting):
    """lam * L_p + (1 - lam) * L_r (arXiv 2605.29496)."""

    def __init__(self, lam: float) -> None:
        if not 0 <= lam <= 1:
            raise PercasymError(f"the lam of fixed:LAM is {lam:g}; it must lie between 0 and 1")
        self.lam = lam

    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        return self.lam, 1 - self.lam

    def label(self) -> str:
        return f"λ = {self.lam:g}"
