"""Vision-language models: loading any checkpoint, talking to it, and building miniatures of our own."""

import json
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from huggingface_hub import snapshot_download
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)

from percasym.errors import PercasymError
from percasym.folders import leads_out

# All that a checkpoint consists of here: no pickled weights and no code are even downloaded.
WEIGHTS = "*.safetensors"
FILES = ["*.json", "*.jinja", WEIGHTS, "*.txt", "*.model"]
ADAPTER = "adapter_config.json"


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
        dtype: of the weights; "auto" is the one they were saved in, but float32 on a CPU: many compute no
            other in hardware, and figures must not depend on which CPU it is.

    Raises:
        PercasymError: there is no such checkpoint, it is damaged or of another kind, its weights are not
            safetensors, or it needs code of its own.
    """
    folder = checkpoint_folder(checkpoint)
    processor = _processor(checkpoint, folder)
    if not any(folder.glob(WEIGHTS)):
        raise PercasymError(
            f"{checkpoint} holds no *.safetensors; pickled weights are not read, convert them"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto" and torch.device(device).type == "cpu":
        dtype = "float32"
    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:
        raise _unusable(checkpoint, error) from error
    # transformers only warns, and would go on with random weights.
    if report["missing_keys"]:
        raise PercasymError(
            f"{checkpoint} is damaged: it lacks weights, such as {min(report['missing_keys'])}"
        )
    return Loaded(model.to(device).eval(), processor)


def load_processor(checkpoint: str | Path) -> ProcessorMixin:
    """The processor of a checkpoint without its model; arguments and errors as for `load`."""
    return _processor(checkpoint, checkpoint_folder(checkpoint))


def load_writer(checkpoint: str | Path) -> ProcessorMixin | PreTrainedTokenizerBase:
    """What writes the prompts of a checkpoint: its processor, or the tokenizer of one that has no images.

    Arguments and errors are as for `load`.
    """
    folder = checkpoint_folder(checkpoint)
    if takes_images(folder):
        return _processor(checkpoint, folder)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise _unusable(checkpoint, error) from error
    if tokenizer.chat_template is None:
        raise PercasymError(f"{checkpoint} has no chat template; take an instruction-tuned checkpoint")
    return tokenizer


def takes_images(checkpoint: str | Path) -> bool:
    """Whether a checkpoint is a vision-language model; errors are as for `load`."""
    return "vision_config" in _config(checkpoint)


def saved_precision(checkpoint: str | Path) -> str:
    """The type of a checkpoint's weights as it names it, say float32; "auto" if it does not."""
    config = _config(checkpoint)
    return str(config.get("dtype") or config.get("torch_dtype") or "auto")


def _config(checkpoint: str | Path) -> dict[str, Any]:
    try:
        config = json.loads((checkpoint_folder(checkpoint) / "config.json").read_bytes())
    except ValueError as error:
        raise _unusable(checkpoint, error) from error
    if not isinstance(config, dict):
        raise PercasymError(f"cannot load {checkpoint}: its config.json is no object")
    return config


def _processor(checkpoint: str | Path, folder: Path) -> ProcessorMixin:
    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise _unusable(checkpoint, error) from error
    # Where files are missing, transformers falls back to a bare tokenizer, or to one that knows no word.
    if not isinstance(processor, ProcessorMixin):
        raise PercasymError(f"{checkpoint} has no image processor: it is not a vision-language checkpoint")
    if not processor.tokenizer("1")["input_ids"]:
        raise PercasymError(f"{checkpoint} has no tokenizer; copy the missing files into the checkpoint")
    # Some training scripts leave the template with the tokenizer alone.
    if processor.chat_template is None:
        processor.chat_template = processor.tokenizer.chat_template
    if processor.chat_template is None:
        raise PercasymError(f"{checkpoint} has no chat template; take an instruction-tuned checkpoint")
    _can_pad(checkpoint, processor.tokenizer)
    return processor


def _can_pad(checkpoint: str | Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Where no token pads, the one that ends a turn does: padding is masked, whatever it is."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise PercasymError(f"{checkpoint} has no token that pads or ends a turn; set pad_token or eos_token")


def checkpoint_folder(checkpoint: str | Path) -> Path:
    """The folder of a checkpoint, downloaded if it is a Hub id and not yet there; errors as for `load`."""
    path = Path(checkpoint).expanduser()
    if not path.exists() and re.fullmatch(r"\w[\w.-]*/[\w.-]+", str(checkpoint)):
        try:
            path = Path(snapshot_download(str(checkpoint), allow_patterns=FILES))
        except Exception as error:
            reason = _first_line(error)
            raise PercasymError(
                f"{checkpoint} is no folder, and the Hub does not give it: {reason}"
            ) from error
    if not path.exists():
        raise PercasymError(f"there is no checkpoint {checkpoint}; give a folder or a Hub id like owner/name")
    if not (path / "config.json").is_file():
        raise PercasymError(f"{checkpoint} is not a checkpoint: it has no config.json")
    if (path / ADAPTER).is_file():
        raise PercasymError(
            f"{checkpoint} holds an adapter ({ADAPTER}) beside whole weights, which transformers would apply "
            f"and vLLM would not: merge it into the weights, or take {ADAPTER} away"
        )
    _check_links(checkpoint, path)
    return path


def _check_links(checkpoint: str | Path, folder: Path) -> None:
    """Refuses texts that are links to what is not in the folder: they would become part of what is made from
    the checkpoint, say a key of the user's as its chat template. Weights are numbers, or fail."""
    place = folder.resolve()
    cached = [place.parents[1] / "blobs"] if place.parent.name == "snapshots" else []  # by the Hub's client
    for pattern in (*(pattern for pattern in FILES if pattern != WEIGHTS), "*/*.jinja"):
        for file in folder.glob(pattern):
            if leads_out(file, folder, *cached):
                raise PercasymError(
                    f"{checkpoint}: {file.name} is a link out of the folder: copy there what it should hold"
                )


def _unusable(checkpoint: str | Path, error: Exception) -> PercasymError:
    if "custom code" in str(error):
        return PercasymError(
            f"{checkpoint} needs code of its own, which is never run; take one that transformers knows"
            " (often named ...-hf)"
        )
    return PercasymError(f"cannot load {checkpoint}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
