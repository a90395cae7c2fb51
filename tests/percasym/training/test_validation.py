"""A validation measures, and leaves no trace."""

import pytest

from percasym.models import load
from percasym.sft.config import SFTConfig
from percasym.training.validation import validate


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(config: SFTConfig, training: bool) -> None:
    model, processor = load(config.model, device="cpu")
    model.train(training)
    attention = model.config.text_config._attn_implementation
    figures = validate(config.model_copy(update={"validation_items": 2}), model, processor)
    assert figures["n"] == 2
    assert model.training == training
    assert model.config.text_config._attn_implementation == attention
