"""What makes decoding with a transformers model fast: a cache that grows in place, attention in groups."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.cache_utils import DynamicLayer
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

GROUPED = "percasym_grouped"
GROWTH = 128  # tokens by which a full cache is enlarged


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, (rows, heads, tokens, width), written into buffers with room to spare.

    `DynamicLayer` concatenates at every step, which copies the whole cache for each token: at 128 rows of 700
    tokens that takes longer than the model itself.
    """

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.length = 0
        self.key_buffer = key_states[:, :, :0]
        self.value_buffer = value_states[:, :, :0]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[2]
        self.key_buffer = _with_room(self.key_buffer, start, self.length)
        self.value_buffer = _with_room(self.value_buffer, start, self.length)
        self.keys, self.values = self.key_buffer[:, :, : self.length], self.value_buffer[:, :, : self.length]
        self.keys[:, :, start:] = key_states
        self.values[:, :, start:] = value_states
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)
        self.key_buffer, self.value_buffer = self.keys, self.values


def _with_room(buffer: Tensor, used: int, needed: int) -> Tensor:
    rows, heads, room, width = buffer.shape
    if needed <= room:
        return buffer
    larger = buffer.new_empty(rows, heads, needed + GROWTH, width)
    larger[:, :, :used] = buffer[:, :, :used]
    return larger


def grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention that, for one new token a row, copies no keys and values.

    With grouped-query attention transformers repeats keys and values to as many heads as there are queries
    whenever there is a padding mask: a copy of the cache at every step. One token sees all before it, so the
    query heads of a group can stand where positions would: (rows, query heads, 1, width) becomes (rows, key
    heads, heads of a group, width). Longer queries, i.e. prompts, go to the ordinary implementation.
    """
    rows, heads, positions, width = query.shape
    if positions > 1:
        ordinary = ALL_ATTENTION_FUNCTIONS["sdpa"]
        return ordinary(module, query, key, value, attention_mask, scaling=scaling, **kwargs)  # type: ignore[no-any-return]
    groups = query.view(rows, key.shape[1], heads // key.shape[1], width)
    output = scaled_dot_product_attention(groups, key, value, attn_mask=attention_mask, scale=scaling)
    return output.reshape(rows, 1, heads, width), None


AttentionInterface.register(GROUPED, grouped_attention)
AttentionMaskInterface.register(GROUPED, sdpa_mask)
