"""The cache and the attention give what those of transformers give."""

from types import SimpleNamespace
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.cache_utils import DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from percasym.engines.decoding import GrowingLayer, grouped_attention


@given(st.lists(st.integers(1, 150), min_size=1, max_size=6), st.data())
@settings(max_examples=30, deadline=None)
def test_a_growing_layer_is_a_dynamic_layer(lengths: list[int], data: st.DataObject) -> None:
    """Tokens are added, and rows are dropped, in any order."""
    growing, dynamic = GrowingLayer(), DynamicLayer()
    rows = 4
    for length in lengths:
        keys, values = torch.randn(rows, 2, length, 3), torch.randn(rows, 2, length, 5)
        for found, expected in zip(growing.update(keys, values), dynamic.update(keys, values), strict=True):
            assert torch.equal(found, expected)
        assert growing.get_seq_length() == dynamic.get_seq_length()
        assert growing.get_mask_sizes(1) == dynamic.get_mask_sizes(1)
        kept = torch.tensor(sorted(data.draw(st.sets(st.integers(0, rows - 1), min_size=1))))
        growing.batch_select_indices(kept)
        dynamic.batch_select_indices(kept)
        rows = len(kept)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("positions", [1, 5])
@pytest.mark.parametrize("masked", [True, False])
def test_grouped_attention_is_ordinary_attention(
    heads: tuple[int, int], positions: int, masked: bool
) -> None:
    torch.manual_seed(0)
    of_queries, of_keys = heads
    query = torch.randn(3, of_queries, positions, 8)
    key, value = torch.randn(2, 3, of_keys, 20, 8)
    mask = torch.rand(3, 1, positions, 20) < 0.7 if masked else None
    module = cast(
        torch.nn.Module, SimpleNamespace(num_key_value_groups=of_queries // of_keys, is_causal=True)
    )
    expected, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, mask, scaling=0.3)
    found, _ = grouped_attention(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(found, expected)
