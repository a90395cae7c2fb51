"""What an image adds to a caption, against the same found token by token, and for models that see nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from percasym.datasets import read_split
from percasym.engines import Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.grpo.blinding import GREY, image_gains
from percasym.grpo.losses import TokenLogProbabilities
from percasym.grpo.rollouts import Rollout, caption_tokens, roll_out
from percasym.models import load
from percasym.models.prompting import Sample, encode
from percasym.rewards import parse_reward


@pytest.fixture(scope="module")
def policy(talker: Path) -> Any:
    return load(talker, device="cpu")


@pytest.fixture(scope="module")
def rollouts(policy: Any, dataset: Path) -> list[Rollout]:
    engine = TransformersEngine(*policy, batch_size=8)
    rows = [dict(row) for row in read_split(dataset, "train_rl").select(range(2))]
    groups = roll_out(engine, rows, 4, Sampling(1.0, max_tokens=50, seed=1), parse_reward("a"))
    return [rollout for group in groups for rollout in group]


def naive(policy: Any, rollout: Rollout) -> float:
    """Each token by a forward pass of its own."""
    model, processor = policy
    low, high = caption_tokens(processor, [], rollout)
    total = 0.0
    for image, sign in ((rollout.image, 1), (Image.new("RGB", rollout.image.size, GREY), -1)):
        for place in range(low, high):
            inputs = encode(processor, [Sample(rollout.query, image, rollout.ids[:place])], "left").inputs
            with torch.no_grad():
                logits = model(**inputs).logits[0, -1]
            total += sign * float(logits.log_softmax(-1)[rollout.ids[place]])
    return total / (high - low) if high > low else 0.0


@pytest.mark.parametrize("size", [3, 8])
def test_gains_are_those_of_each_token_alone(policy: Any, rollouts: list[Rollout], size: int) -> None:
    found = image_gains(TokenLogProbabilities(policy.model), policy.processor, rollouts, size)
    assert found == pytest.approx([naive(policy, rollout) for rollout in rollouts], abs=1e-4)
    assert max(map(abs, found)) > 1e-3
    assert not torch.is_grad_enabled() or all(p.grad is None for p in policy.model.parameters())


def test_a_model_that_ignores_images_gains_nothing(talker: Path, rollouts: list[Rollout]) -> None:
    model, processor = load(talker, device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "visual" in name:
                parameter.zero_()
    assert image_gains(TokenLogProbabilities(model), processor, rollouts, 4) == pytest.approx([0.0] * 8)


def test_no_caption_or_no_image_gains_nothing(policy: Any, rollouts: list[Rollout]) -> None:
    module = TokenLogProbabilities(policy.model)
    ids = tuple(policy.processor.tokenizer("so then", add_special_tokens=False)["input_ids"])
    silent = replace(rollouts[0], text="so then", ids=ids, caption_span=None)
    assert image_gains(module, policy.processor, [silent, silent], 2) == [0.0, 0.0]
    unseen = replace(rollouts[0], image=None)
    found = image_gains(module, policy.processor, [unseen, silent, rollouts[1]], 3)
    assert found[:2] == pytest.approx([0.0, 0.0])
