"""The cross entropy of the trained tokens, split into perception and reasoning.

L_p and L_r are means over all perception (reasoning) tokens of the *global* batch. A micro-batch of one
rank can only sum, so it adds up c_p / n_p * (its sum of perception losses) + c_r / n_r * (its sum of
reasoning losses), with n_p and n_r counted over the global batch beforehand; the gradients of these sums
add up to the wanted one, whatever the micro-batches and ranks.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from percasym.training.model import vision_parameters

# Of a model's inputs, those with one column a token.
TOKEN_INPUTS = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")


class MicroBatch(NamedTuple):
    """Rows that go through the model at once, padded on the right."""

    inputs: dict[str, Tensor]
    """The model's keyword arguments; `input_ids` is (rows, length)."""
    perception: Tensor
    """(rows, length) bool: trained tokens of the caption."""
    reasoning: Tensor
    """(rows, length) bool: every other trained token."""
    prompt: int
    """Columns that hold all prompts, and with them all images."""

    def perception_prefix(self) -> "MicroBatch":
        """The batch cut off after its last perception token, and without reasoning to train.

        Attention is causal and the caption comes first, so L_p and its gradient are the same as on the
        whole batch, at the price of prompt, image and caption.
        """
        length = max([self.prompt, *(self.perception.any(dim=0).nonzero().flatten() + 1).tolist()])
        inputs = {name: x[:, :length] if name in TOKEN_INPUTS else x for name, x in self.inputs.items()}
        perception, reasoning = self.perception[:, :length], self.reasoning[:, :length]
        return MicroBatch(inputs, perception, torch.zeros_like(reasoning), self.prompt)

    def without_perception(self) -> "MicroBatch":
        return self._replace(perception=torch.zeros_like(self.perception))

    def to(self, device: torch.device) -> "MicroBatch":
        inputs = {name: x.to(device, non_blocking=True) for name, x in self.inputs.items()}
        return MicroBatch(inputs, self.perception.to(device), self.reasoning.to(device), self.prompt)


class TokenLosses(nn.Module):
    """Any image-text-to-text model of transformers as a function from a micro-batch to two sums of losses."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """The cross entropies, in nats, summed over perception and over reasoning tokens."""
        # With padding on the right and causal attention no token sees padding, so no mask is needed;
        # without one, attention takes its fast path.
        inputs = {name: x for name, x in batch.inputs.items() if name != "attention_mask"}
        hidden = self.model.base_model(**inputs, use_cache=False).last_hidden_state
        trained = (batch.perception | batch.reasoning)[:, 1:]
        # Only trained positions reach the vocabulary.
        logits = self.model.get_output_embeddings()(hidden[:, :-1][trained])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        losses = cross_entropy(logits, batch.inputs["input_ids"][:, 1:][trained], reduction="none")
        perception = batch.perception[:, 1:][trained]
        sum_p, sum_r = losses[perception].sum(), losses[~perception].sum()
        if "pixel_values" not in inputs:
            # Ranks reduce their gradients in step: without images, the vision tower's are zeros, not missing.
            vision = [p.sum() for p in vision_parameters(self.model) if p.requires_grad]
            sum_r = sum_r + 0 * sum(vision)
        return sum_p, sum_r
