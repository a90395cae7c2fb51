"""Miniature vision-language models, built from nothing and saved as ordinary checkpoints.

They have the architecture of Qwen3-VL or InternVL, small enough to be trained on a laptop, and a vocabulary
of their own. What takes a model takes one of these or one from the Hub, and does not know which it got.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from percasym.miniature import LARGEST_SIDE, MERGE, TinyConfig
from percasym.models.tokenizer import word_tokenizer
from percasym.seeding import numpy_stream, stream

# Drawn puzzles are dark on nearly white. Centred on the background, an empty patch is close to zero and a
# stroke is far from it; centred on grey, as photographs are, a model this small hardly learns to read.
PIXELS = {"image_mean": [0.95] * 3, "image_std": [0.25] * 3}

VISION_TOKENS = {
    "qwen3_vl": {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    },
    "internvl": {
        "context_image_token": "<IMG_CONTEXT>",
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "video_token": "<video>",
    },
}

# What the chat template writes for an image; the processor repeats the placeholder once for each image token.
IMAGE_TEXT = {"qwen3_vl": "<|vision_start|><|image_pad|><|vision_end|>", "internvl": "<IMG_CONTEXT>\n"}

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}
{%- for part in message.content -%}
{% if part.type == "image" %}{{ IMAGE }}{% else %}{{ part.text }}{% endif %}
{%- endfor %}{% endif %}<|im_end|>
{% endfor -%}
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def build_tiny(config: TinyConfig, words: Iterable[str], out: Path) -> Path:
    """Saves a freshly initialised miniature whose tokenizer knows `words`, and returns `out`.

    The folder holds the model (safetensors, float32), its processor, tokenizer and chat template. The same
    config and words give the same bytes.
    """
    tokenizer = word_tokenizer(words, VISION_TOKENS[config.architecture])
    if config.architecture == "qwen3_vl":
        model, processor = _qwen3_vl(config, tokenizer)
    else:
        model, processor = _internvl(config, tokenizer)
    initialise(model, config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return out


def initialise(model: PreTrainedModel, config: TinyConfig) -> None:
    """Draws every weight with a standard deviation of 1/sqrt(fan-in).

    The 0.02 that transformers draws with suits widths of thousands: 128 wide, it makes the image features so
    faint that captions are not learnt. Two exceptions: what is added to the residual stream is divided by
    sqrt(2 * layers), so that the stream keeps its size whatever the depth (GPT-2, Radford et al. 2019,
    section 2.3); position embeddings of patches get 0.5, as where a stroke stands matters as much as that
    there is one.

    Each tensor has a random stream of its own, named after it, so its values depend on no other tensor.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() < 2:  # norms stay 1 and biases 0
                continue
            rng = numpy_stream(stream("tiny", config.seed, name))
            noise = torch.from_numpy(rng.standard_normal(parameter.shape, dtype="float32"))
            parameter.copy_(noise * _deviation(name, parameter, config))


_POSITIONS = re.compile(r"\.pos_embed\.weight$|\.position_embeddings$|\.cls_token$")
_RESIDUAL = re.compile(r"\.(o_proj|down_proj|attn\.proj|projection_layer|mlp\.linear_fc2|mlp\.fc2)\.weight$")


def _deviation(name: str, parameter: torch.Tensor, config: TinyConfig) -> float:
    if _POSITIONS.search(name):
        return 0.5
    # Of the token embeddings, the width is the fan-in too: they are also the output head.
    fan_in = parameter.numel() // len(parameter)
    depth = config.layers if ".language_model." in name else config.vision_layers
    residual = 2 * depth if _RESIDUAL.search(name) else 1
    return float((fan_in * residual) ** -0.5)


def _text_config(config: TinyConfig, tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    """The settings that both text models, Qwen3 and Qwen3-VL's, share."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": config.hidden_size,
        "intermediate_size": config.mlp_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.hidden_size // config.heads,
        "max_position_embeddings": config.max_positions,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


# With the usual 10,000, half of the rotations would not turn once within the hundreds of tokens seen here.
_ROPE_THETA = 1000.0


def _qwen3_vl(
    config: TinyConfig, tokenizer: PreTrainedTokenizerFast
) -> tuple[PreTrainedModel, ProcessorMixin]:
    rotations = config.hidden_size // config.heads // 2
    third = rotations // 3
    rope = {
        "rope_type": "default",
        "rope_theta": _ROPE_THETA,
        "mrope_interleaved": True,
        "mrope_section": [rotations - 2 * third, third, third],  # time, height, width
    }
    model = Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(
            text_config={**_text_config(config, tokenizer), "rope_parameters": rope},
            vision_config={
                "depth": config.vision_layers,
                "hidden_size": config.vision_size,
                "intermediate_size": config.vision_mlp_size,
                "num_heads": config.vision_heads,
                "out_hidden_size": config.hidden_size,
                "patch_size": config.patch,
                "spatial_merge_size": MERGE,
                "temporal_patch_size": 2,
                "num_position_embeddings": (config.side // config.patch) ** 2,
                "deepstack_visual_indexes": [config.vision_layers - 1],
            },
            image_token_id=tokenizer.image_token_id,
            video_token_id=tokenizer.video_token_id,
            vision_start_token_id=tokenizer.vision_start_token_id,
            vision_end_token_id=tokenizer.vision_end_token_id,
            tie_word_embeddings=True,
        )
    )
    patches = {"patch_size": config.patch, "merge_size": MERGE, "temporal_patch_size": 2, **PIXELS}
    size = {"shortest_edge": (MERGE * config.patch) ** 2, "longest_edge": LARGEST_SIDE**2}  # areas, not edges
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **patches),
        video_processor=Qwen3VLVideoProcessor(**patches),
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE.replace("{{ IMAGE }}", IMAGE_TEXT["qwen3_vl"]),
    )
    return model, processor


def _internvl(
    config: TinyConfig, tokenizer: PreTrainedTokenizerFast
) -> tuple[PreTrainedModel, ProcessorMixin]:
    image_tokens = (config.side // (MERGE * config.patch)) ** 2
    model = InternVLForConditionalGeneration(
        InternVLConfig(
            text_config={
                "model_type": "qwen3",
                **_text_config(config, tokenizer),
                "rope_parameters": {"rope_type": "default", "rope_theta": _ROPE_THETA},
            },
            vision_config={
                "num_hidden_layers": config.vision_layers,
                "hidden_size": config.vision_size,
                "intermediate_size": config.vision_mlp_size,
                "num_attention_heads": config.vision_heads,
                "attention_bias": True,
                "image_size": [config.side, config.side],
                "patch_size": [config.patch, config.patch],
            },
            image_token_id=tokenizer.context_image_token_id,
            image_seq_length=image_tokens,
            downsample_ratio=1 / MERGE,
            tie_word_embeddings=True,
        )
    )
    size = {"height": config.side, "width": config.side}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, crop_to_patches=True, **PIXELS),
        video_processor=InternVLVideoProcessor(size=size, **PIXELS),
        tokenizer=tokenizer,
        image_seq_length=image_tokens,
        chat_template=CHAT_TEMPLATE.replace("{{ IMAGE }}", IMAGE_TEXT["internvl"]),
    )
    return model, processor
