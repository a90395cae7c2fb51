"""The model as it is trained, and the ordinary checkpoint that it becomes."""

from collections.abc import Mapping
from pathlib import Path

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


def save(model: PreTrainedModel, folder: Path) -> None:
    """Writes a model in the layout of the released ones, which is what vLLM reads.

    Of the experts of a Qwen3-VL, transformers (5.9) reads that layout, (experts, in, out), and the one in
    which it holds them, (experts, out, in); it would write the latter, and vLLM reads the former alone.
    """
    if model.config.model_type != "qwen3_vl_moe":
        model.save_pretrained(folder)
        return
    weights = {
        name: weight.transpose(1, 2) if ".mlp.experts." in name else weight
        for name, weight in model.state_dict().items()
    }
    model.save_pretrained(folder, state_dict=weights, save_original_format=False)


def _add_adapters(model: PreTrainedModel, rank: int) -> PeftModel:
    """LoRA (arXiv 2106.09685) in every linear layer but the output head, and nothing else trainable."""
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
