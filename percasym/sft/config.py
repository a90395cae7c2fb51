"""The config of one supervised fine-tuning."""

from typing import Self

from pydantic import Field, model_validator

from percasym.sft.weighting import parse_weighting
from percasym.training.config import TrainingConfig


class SFTConfig(TrainingConfig, frozen=True):
    """All that decides a supervised fine-tuning."""

    split: str = Field(default="train_sft", description="Split to train on")
    weighting: str = Field(
        default="token_mean",
        description="token_mean, fixed:LAM, ngdiff, dwa, uncertainty, pcgrad or FILE.py:Class",
    )
    batch_size: int = Field(default=16, gt=0, description="Rows of one optimizer step, over all ranks")

    @model_validator(mode="after")
    def _has_a_weighting(self) -> Self:
        parse_weighting(self.weighting)
        return self
