"""The cross entropy of the trained tokens, split into perception and reasoning.

L_p and L_r are means over all perception (reasoning) tokens of the *global* batch. A micro-batch of one
rank can only sum, so it adds up c_p / n_p * (its sum of perception losses) + c_r / n_r * (its sum of
reasoning losses), with n_p and n_r counted over the global batch beforehand; the gradients of these sums
add up to the wanted one, whatever the micro-batches and ranks.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from percasym.training.batches import MicroBatch
from percasym.training.model import vision_parameters


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
