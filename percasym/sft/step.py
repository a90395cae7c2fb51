"""The gradient of one optimizer step: c_p * g_p + c_r * g_r over all micro-batches and ranks."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from percasym.sft.losses import TokenLosses
from percasym.sft.weighting import StepStatistics, Weighting
from percasym.training.batches import MicroBatch
from percasym.training.distributed import Ranks


class Gradient(NamedTuple):
    """The weighted gradient of a step over all micro-batches and ranks, and what was found out on the way."""

    values: list[Tensor]
    """Of each trained parameter; where these are sharded, this rank's part."""
    coefficients: tuple[float, float]
    tokens: int
    """All tokens of the batch, prompts and images included, padding not."""
    statistics: StepStatistics
    """Losses of no tokens are 0; norms and product are NaN unless g_p and g_r were computed apart."""


class GradientComputer:
    """Runs micro-batches through the model, backwards too."""

    def __init__(
        self,
        losses: TokenLosses,
        parameters: Sequence[nn.Parameter],
        ranks: Ranks,
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.losses = losses
        self.parameters = parameters
        self.ranks = ranks
        self.autocast = autocast

    def __call__(
        self, step: int, batches: Sequence[MicroBatch], weighting: Weighting, measure: bool
    ) -> Gradient:
        """The gradient of a global batch, of which `batches` are this rank's part.

        It takes one pass through the model, unless the weighting needs g_p and g_r apart, or they are to be
        measured. Then perception gets a pass of its own over sequences that end with the caption; the
        result is the same up to rounding. Of a batch with tokens of one kind only it is their plain
        gradient, whatever the weighting.
        """
        masks = [(batch.perception, batch.reasoning, batch.inputs["attention_mask"]) for batch in batches]
        counts = [float(sum(mask.sum() for mask in kind)) for kind in zip(*masks, strict=True)]
        tokens_p, tokens_r, tokens = (int(count) for count in self.ranks.sum(counts))
        statistics = StepStatistics(step, tokens_p, tokens_r)
        per_p, per_r = 1 / max(tokens_p, 1), 1 / max(tokens_r, 1)
        if not (tokens_p and tokens_r):
            gradient, sums = self._accumulate(batches, per_p, per_r)
            statistics = replace(statistics, loss_p=sums[0] * per_p, loss_r=sums[1] * per_r)
            return Gradient(gradient, (float(tokens_p > 0), float(tokens_r > 0)), tokens, statistics)
        if not (weighting.needs_gradients or measure):
            c_p, c_r = weighting.coefficients(statistics)
            gradient, sums = self._accumulate(batches, c_p * per_p, c_r * per_r)
            statistics = replace(statistics, loss_p=sums[0] * per_p, loss_r=sums[1] * per_r)
        else:
            prefixes = [batch.perception_prefix() for batch in batches]
            rests = [batch.without_perception() for batch in batches]
            gradient, (sum_p, _) = self._accumulate(prefixes, per_p, 0)
            g_r, (_, sum_r) = self._accumulate(rests, 0, per_r)
            statistics = replace(
                statistics,
                loss_p=sum_p * per_p,
                loss_r=sum_r * per_r,
                norm_p=math.sqrt(self.ranks.dot(gradient, gradient)),
                norm_r=math.sqrt(self.ranks.dot(g_r, g_r)),
                dot=self.ranks.dot(gradient, g_r),
            )
            c_p, c_r = weighting.coefficients(statistics)
            for total, other in zip(gradient, g_r, strict=True):
                total.mul_(c_p).add_(other, alpha=c_r)
        weighting.observe(statistics)
        return Gradient(gradient, (c_p, c_r), tokens, statistics)

    def _accumulate(
        self, batches: Sequence[MicroBatch], weight_p: float, weight_r: float
    ) -> tuple[list[Tensor], list[float]]:
        """The gradient of `weight_p * sum_p + weight_r * sum_r`, and the two summed losses."""
        sums = torch.zeros(2, dtype=torch.float64, device=self.ranks.device)
        for batch in batches:
            with self.autocast():
                sum_p, sum_r = self.losses(batch)
            (weight_p * sum_p + weight_r * sum_r).backward()
            sums += torch.stack([sum_p.detach(), sum_r.detach()])
        gradient = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        for parameter in self.parameters:
            parameter.grad = None
        self.ranks.reduce_gradients(gradient)
        return gradient, self.ranks.sum(sums.tolist())
