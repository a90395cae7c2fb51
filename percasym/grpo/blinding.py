"""What an image adds to the probability of a caption: the same tokens once with it, once with a blank one.

A caption that follows from the picture loses probability when the picture is gone; one that is made up, or
that any picture would get, does not. The blank is plain mid-grey and of the image's own size, so that the
prompt has the same tokens.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import ProcessorMixin

from percasym.grpo.rollouts import Rollout, micro_batch

GREY = (128, 128, 128)


@torch.no_grad()
def image_gains(
    module: nn.Module, processor: ProcessorMixin, rollouts: Sequence[Rollout], batch_size: int
) -> list[float]:
    """For each rollout the mean over its caption's tokens, tags included, of what the image adds, in nats.

    That is log p(token | image) - log p(token | blank) at temperature 1, each token given those before it. It
    is 0 for a rollout without an image, or without a caption that it sampled itself.

    Args:
        module: the policy as `percasym.grpo.losses.TokenLogProbabilities`.
        batch_size: rollouts in one forward pass; changes no result beyond rounding.
    """
    gains: list[float] = []
    for start in range(0, len(rollouts), batch_size):
        seeing = rollouts[start : start + batch_size]
        blind = [replace(rollout, image=_blank(rollout.image)) for rollout in seeing]
        counts, with_image = _caption_log_probabilities(module, processor, seeing)
        _, without = _caption_log_probabilities(module, processor, blind)
        parts = torch.split(with_image - without, counts)
        gains += [float(part.mean()) if len(part) else 0.0 for part in parts]
    return gains


def _caption_log_probabilities(
    module: nn.Module, processor: ProcessorMixin, rollouts: Sequence[Rollout]
) -> tuple[list[int], Tensor]:
    """How many tokens the caption of each rollout has, and the log-probabilities of all."""
    batch = micro_batch(processor, rollouts).perception_prefix()
    counts: list[int] = batch.perception.sum(dim=1).tolist()
    if not any(counts):
        return counts, torch.zeros(0)
    return counts, module(batch.to(next(module.parameters()).device)).cpu()


def _blank(image: Image.Image | None) -> Image.Image | None:
    return None if image is None else Image.new("RGB", image.size, GREY)
