"""The model as it is trained, and the ordinary checkpoint that it becomes."""

from collections.abc import Mapping

from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin

from percasym.models import load
from percasym.training.config import TrainingConfig


def load_for_training(config: TrainingConfig, device: str) -> tuple[PreTrainedModel, ProcessorMixin]:
    """The start checkpoint in float32 and training mode; what is not trained asks for no gradient."""
    model, processor = load(config.model, device=device, dtype="float32")
    model.requires_grad_(True)
    if config.lora_rank:
        _add_adapters(model, config.lora_rank)
    if not config.train_vision:
        for parameter in vision_parameters(model):
            parameter.requires_grad_(False)
    return model.train(), processor


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def vision_parameters(model: PreTrainedModel) -> list[nn.Parameter]:
    """All that stands before the text model: the vision tower and what projects its features."""
    text = {id(parameter) for parameter in model.base_model.language_model.parameters()}
    text |= {id(parameter) for parameter in model.get_output_embeddings().parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in text]


def assemble(
    config: TrainingConfig, weights: Mapping[str, Tensor], device: str
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """An ordinary model, in the number format of the start checkpoint, with the trained `weights`.

    Args:
        weights: of every trained parameter by its name; adapters are merged into the weights they adapt.
    """
    model, processor = load(config.model, device=device)
    adapted = _add_adapters(model, config.lora_rank) if config.lora_rank else None
    model.load_state_dict(dict(weights), strict=False)
    return (adapted.merge_and_unload() if adapted else model), processor


def _add_adapters(model: PreTrainedModel, rank: int) -> PeftModel:
    """LoRA (arXiv 2106.09685) in every linear layer but the output head, and nothing else trainable."""
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
