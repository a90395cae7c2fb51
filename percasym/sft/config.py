"""The config of one supervised fine-tuning."""

from typing import Self

from pydantic import Field, model_validator

from percasym.sft.weighting import parse_weighting
from percasym.training.config import TrainerSettings, TrainingConfig


class SFTSettings(TrainerSettings, frozen=True):
    """How to fine-tune."""

    steps: int = Field(default=300, ge=1, le=10_000_000, description="Optimizer steps")
    batch_size: int = Field(
        default=16, ge=1, le=65_536, description="Responses of one optimizer step, over all ranks"
    )


class SFTConfig(SFTSettings, TrainingConfig, frozen=True):
    """All that decides a supervised fine-tuning."""

    split: str = Field(default="train_sft", description="Split to train on")
    weighting: str = Field(
        default="token_mean",
        description="token_mean, fixed:LAM, ngdiff, dwa, uncertainty, pcgrad or FILE.py:Class",
    )

    @model_validator(mode="after")
    def _has_a_weighting(self) -> Self:
        parse_weighting(self.weighting)
        return self
