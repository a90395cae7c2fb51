"""A run of a few short steps."""

from pathlib import Path

import pytest

from percasym.grpo.config import GRPOConfig


@pytest.fixture
def rl(talker: Path, dataset: Path, tmp_path: Path) -> GRPOConfig:
    return GRPOConfig(
        model=str(talker),
        dataset=str(dataset),
        out=tmp_path / "rl",
        reward="a_p_partial",
        steps=4,
        prompts=2,
        group_size=4,
        micro_batch_size=4,
        learning_rate=1e-3,
        checkpoint_every=2,
        max_new_tokens=40,
        threads=1,
    )
