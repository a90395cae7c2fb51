"""A run of a few short steps, of a model that has learnt to begin with a caption."""

from pathlib import Path

import pytest

from percasym.grpo.config import GRPOConfig
from percasym.sft.config import SFTConfig
from percasym.sft.trainer import train


@pytest.fixture(scope="session")
def talker(checkpoint: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(
        SFTConfig(
            model=str(checkpoint),
            dataset=str(dataset),
            out=tmp_path_factory.mktemp("talker"),
            weighting="fixed:0.9",
            optimizer="muon",
            steps=60,
            batch_size=8,
            learning_rate=5e-3,
            log_every=60,
            threads=1,
        )
    )


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
