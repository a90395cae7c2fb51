"""The ordinary loss of fine-tuning."""

from percasym.sft.weighting import StepStatistics, Weighting


class TokenMean(Weighting):
    """The ordinary loss, in which every token counts the same: lam = n_p / (n_p + n_r)."""

    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        lam = statistics.tokens_p / (statistics.tokens_p + statistics.tokens_r)
        return lam, 1 - lam

    def label(self) -> str:
        return "token mean"
