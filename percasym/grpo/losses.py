"""The loss of each token of a rollout."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from percasym.training.batches import MicroBatch


class TokenLogProbabilities(nn.Module):
    """Any image-text-to-text model of transformers as a function to the log-probabilities of a text."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: MicroBatch, temperature: float = 1.0) -> Tensor:
        """(tokens,): the log-probability of each response token of `batch`, row after row.

        Logits are divided by `temperature`, as they were when the token was drawn.
        """
        inputs = {name: x for name, x in batch.inputs.items() if name != "attention_mask"}
        hidden = self.model.base_model(**inputs, use_cache=False).last_hidden_state
        response = (batch.perception | batch.reasoning)[:, 1:]
        logits = self.model.get_output_embeddings()(hidden[:, :-1][response])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
        return -cross_entropy(logits, batch.inputs["input_ids"][:, 1:][response], reduction="none")


class PolicyLoss(NamedTuple):
    """Of each token."""

    loss: Tensor
    clipped: Tensor
    """bool: whether the clip keeps this token from being learnt from."""


def policy_loss(new: Tensor, old: Tensor, advantage: Tensor, low: float, high: float) -> PolicyLoss:
    """The clipped surrogate of PPO (arXiv 1707.06347, eq. 7), negated, for each token.

    Args:
        new, old: log-probabilities of the tokens now, and when they were drawn.
        advantage: of each token.
        low, high: the ratio new / old is followed between 1 - low and 1 + high.
    """
    ratio = (new - old).exp()
    followed, bounded = ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage
    return PolicyLoss(-torch.minimum(followed, bounded), bounded < followed)


def divergence(new: Tensor, reference: Tensor) -> Tensor:
    """An estimate of KL(policy || reference) for each token that is never negative: Schulman's k3."""
    gap = reference - new
    return gap.exp() - gap - 1
