"""What turns a gradient into a step: AdamW, or Muon for the matrices of a miniature."""

from collections.abc import Sequence

from torch import nn
from torch.optim import AdamW, Optimizer
from transformers import PreTrainedModel

from percasym.training.config import TrainingConfig
from percasym.training.muon import Muon


def build_optimizers(
    model: PreTrainedModel, parameters: Sequence[nn.Parameter], config: TrainingConfig
) -> list[Optimizer]:
    """The optimizers that share out `parameters` of `model` among them, one or two.

    `adamw` (Loshchilov and Hutter, arXiv 1711.05101) is what checkpoints are fine-tuned with. `muon`
    (Jordan et al. 2024; arXiv 2502.16982 for the scale that lets it share AdamW's learning rate) takes the
    weights of the linear layers and leaves the rest to AdamW: a miniature then finds out how to look a cell
    up in less than half the steps.
    """
    output = model.get_output_embeddings()
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear) and m is not output}
    matrices = [p for p in parameters if config.optimizer == "muon" and id(p) in linear]
    chosen = {id(p) for p in matrices}
    rest = [p for p in parameters if id(p) not in chosen]
    adamw = AdamW(
        [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(0.9, config.adam_beta2),
        fused=True,
    )
    if not matrices:
        return [adamw]
    muon = Muon(matrices, lr=config.learning_rate, weight_decay=config.weight_decay)
    return [muon, adamw]
