"""What a model of Qwen3-VL-8B's shape takes, for the estimates in docs/scale.md: no weights, no GPU.

    python benchmarks/sizes.py

Parameters are counted on a model without storage. What a layer keeps for its backward pass is counted on one
of a sixteenth of the width, in float32 with bfloat16 autocast as in training: it grows in proportion to the
width and to the number of tokens, as attention keeps no scores.
"""

from typing import Any

import record
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

TEXT: dict[str, Any] = {  # config.json of Qwen/Qwen3-VL-8B-Instruct
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151_936,
}
VISION = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "out_hidden_size": 4096,
}
NARROWER = 16
TOKENS = 256


def main() -> None:
    config = Qwen3VLConfig(text_config=TEXT, vision_config=VISION, tie_word_embeddings=False)
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config)
    total = sum(p.numel() for p in model.parameters())
    layer = sum(p.numel() for p in model.model.language_model.layers[0].parameters())
    layers = TEXT["num_hidden_layers"]
    figures = {
        "parameters": total,
        "parameters of a layer": layer,
        "parameters outside of the layers": total - layers * layer,
        "bytes of the KV cache per token, bfloat16": 2
        * layers
        * TEXT["num_key_value_heads"]
        * TEXT["head_dim"]
        * 2,
        "bytes kept for the backward pass per token and layer": round(kept_per_token()),
    }
    print("\n".join(f"{name}: {value:,}" for name, value in figures.items()))
    record.save("sizes", figures)


def kept_per_token() -> float:
    """Bytes that one layer of full width keeps for each token."""
    narrow = {name: TEXT[name] // NARROWER for name in ("hidden_size", "intermediate_size", "head_dim")}
    config = Qwen3VLConfig(text_config={**TEXT, **narrow, "vocab_size": 64}, vision_config=VISION)
    config.text_config._attn_implementation = "sdpa"

    def kept(layers: int, tokens: int) -> int:
        config.text_config.num_hidden_layers = layers
        return kept_bytes(Qwen3VLTextModel(config.text_config), torch.zeros(1, tokens, dtype=torch.long))

    # What does not grow with the tokens (copies of weights) and what is not of a layer falls out.
    one, two = (kept(layers, 2 * TOKENS) - kept(layers, TOKENS) for layers in (1, 2))
    return (two - one) / TOKENS * NARROWER


def kept_bytes(model: torch.nn.Module, ids: Tensor) -> int:
    storages: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autocast("cpu", torch.bfloat16), saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(input_ids=ids, use_cache=False)
    size = sum(tensor.untyped_storage().nbytes() for tensor in storages.values())
    del output
    return size


if __name__ == "__main__":
    main()
