"""Gradient surgery: each gradient loses what opposes the other."""

from percasym.sft.weighting import StepStatistics, Weighting


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

    def label(self) -> str:
        return "PCGrad"
