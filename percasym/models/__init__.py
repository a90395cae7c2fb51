"""Vision-language models: loading any checkpoint, talking to it, and building miniatures of our own."""

from pathlib import Path
from typing import Literal, NamedTuple

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

from percasym.errors import PercasymError


class Loaded(NamedTuple):
    """A model in evaluation mode, and the processor that prepares its inputs."""

    model: PreTrainedModel
    processor: ProcessorMixin


def load(
    checkpoint: str | Path, device: str = "auto", dtype: Literal["auto", "float32", "bfloat16"] = "auto"
) -> Loaded:
    """Loads an image-text-to-text checkpoint from a folder or, by its id, from the Hugging Face Hub.

    No code of the checkpoint is run, and weights are read from safetensors only: a pickle can run code.

    Args:
        checkpoint: a folder, or a Hub id such as "Qwen/Qwen3-VL-2B-Instruct".
        device: where to put it; "auto" is the first GPU if there is one, else the CPU.
        dtype: of the weights; "auto" is the one they were saved in.

    Raises:
        PercasymError: there is no such checkpoint, it is damaged, it is of another kind, its weights are not
            safetensors, or it needs code of its own.
    """
    name = _resolve(checkpoint)
    processor = load_processor(checkpoint)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            name, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except Exception as error:
        raise PercasymError(f"cannot load the model {name}: {_first_line(error)}") from error
    return Loaded(model.to(device).eval(), processor)


def load_processor(checkpoint: str | Path) -> ProcessorMixin:
    """The processor alone, which takes no weights to load; raises as `load` does."""
    name = _resolve(checkpoint)
    try:
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        raise PercasymError(f"cannot load the processor of {name}: {_first_line(error)}") from error
    # Where the files of a processor are missing, transformers falls back to a bare tokenizer.
    if not isinstance(processor, ProcessorMixin):
        raise PercasymError(f"{name} has no image processor: it is not a vision-language checkpoint")
    if processor.chat_template is None:
        raise PercasymError(f"{name} has no chat template: take the instruction-tuned checkpoint")
    return processor


def _resolve(checkpoint: str | Path) -> str:
    """The name that transformers understands, after the mistakes that a look at the disk can tell."""
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise PercasymError(f"{checkpoint} is not a checkpoint: it has no config.json")
        return str(path)
    if path.is_file():
        raise PercasymError(f"{checkpoint} is a file; a checkpoint is a folder")
    if isinstance(checkpoint, Path) or len(path.parts) != 2 or str(checkpoint).startswith((".", "/", "~")):
        raise PercasymError(f"there is no checkpoint at {checkpoint}; give a folder, or a Hub id like owner/name")
    return checkpoint


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
