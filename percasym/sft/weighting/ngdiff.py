"""Normalised gradients: both abilities pull equally hard."""

from percasym.errors import PercasymError
from percasym.sft.weighting import StepStatistics, Weighting


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

    def label(self) -> str:
        return "NGDiff"
