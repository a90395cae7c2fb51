"""How much better than its group a response is, and what its tokens weigh."""

from typing import Literal

import torch
from torch import Tensor

Normalisation = Literal["grpo", "dr_grpo", "dapo"]

_EPSILON = 1e-6


def group_advantages(rewards: Tensor, normalisation: Normalisation) -> Tensor:
    """Rewards (groups, responses) less the mean of their group; but for Dr. GRPO in units of its deviation.

    The deviation is that of a sample (n - 1), as in verl and TRL. A group whose rewards are all the same has
    no advantages: exactly 0, where the mean of eight times 0.7 is not 0.7 in floating point, and dividing by
    the deviation would make a step of that rounding error.
    """
    equal = rewards.amax(dim=1, keepdim=True) == rewards.amin(dim=1, keepdim=True)
    centred = (rewards - rewards.mean(dim=1, keepdim=True)).masked_fill(equal, 0.0)
    if normalisation == "dr_grpo":
        return centred
    return centred / (rewards.std(dim=1, keepdim=True) + _EPSILON)


def token_weights(lengths: Tensor, normalisation: Normalisation, longest: int) -> Tensor:
    """What a token of each response weighs in the loss of a step, so that losses only have to be summed.

    - `grpo`: the mean over responses of the mean over a response's tokens (arXiv 2402.03300, eq. 3);
    - `dr_grpo`: the sum over tokens by the number of responses and `longest`, so that a long response is not
      punished less for each token (arXiv 2503.20783);
    - `dapo`: the mean over all tokens (arXiv 2503.14476, eq. 8).

    Args:
        lengths: (responses,), the tokens of every response of the step.
        longest: most tokens that a response may have.
    """
    if normalisation == "dapo":
        return torch.ones_like(lengths) / lengths.sum()
    if normalisation == "dr_grpo":
        return torch.ones_like(lengths) / (len(lengths) * longest)
    return 1 / (lengths * len(lengths))
