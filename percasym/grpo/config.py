"""The config of one reinforcement learning by GRPO."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from percasym.errors import PercasymError
from percasym.rewards import BEST, parse_reward
from percasym.training.config import TrainerSettings, TrainingConfig


class GRPOSettings(TrainerSettings, frozen=True):
    """How to reinforce.

    GRPO (Shao et al. 2024, arXiv 2402.03300) samples a group of responses to each prompt and learns from how
    much better than its group each one is.
    """

    prompts: int = Field(default=8, ge=1, le=65_536, description="Items that one step learns from")
    group_size: int = Field(default=8, ge=2, le=1024, description="Responses to each of them")
    temperature: float = Field(default=1.0, gt=0, le=10, description="Temperature of the rollouts")
    updates: int = Field(default=1, gt=0, description="Optimizer steps on each batch of rollouts")
    clip_low: float = Field(default=0.2, ge=0, lt=1, description="How far below 1 a ratio is followed")
    clip_high: float = Field(
        default=0.2, ge=0, le=10, description="How far above 1; more than clip_low is DAPO's clip-higher"
    )
    kl: float = Field(
        default=0.0, ge=0, le=10, description="Weight of the divergence (k3) from the start checkpoint"
    )
    normalisation: Literal["grpo", "dr_grpo", "dapo"] = Field(
        default="grpo",
        description="grpo: means of responses, rewards scaled by the group's deviation; dr_grpo: neither "
        "(arXiv 2503.20783); dapo: the mean of all tokens, scaled (arXiv 2503.14476)",
    )
    credit: Literal["response", "span"] = Field(
        default="response",
        description="span: the caption's tokens get the advantage of a_p alone, others that of the reward",
    )
    learning_rate: float = Field(default=1e-6, gt=0, le=1, description="Highest learning rate")
    schedule: Literal["cosine", "constant"] = Field(
        default="constant", description="After the warm-up: as it is, or a cosine down to 5 %"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="Weight decay of AdamW, on matrices only")
    log_every: int = Field(default=1, gt=0, description="Steps between log lines")


class GRPOConfig(GRPOSettings, TrainingConfig, frozen=True):
    """All that decides a reinforcement learning with the embedded engine."""

    split: str = Field(default="train_rl", description="Split to train on")
    reward: str = Field(
        default="outcome",
        description="outcome, perception_aware:ALPHA, or a sum such as 0.9*a+0.1*format; see rewards.py",
    )
    captions: Path | None = Field(
        default=None, description="A teacher's captions of the split, for surrogates: see captioning.py"
    )

    @model_validator(mode="after")
    def _has_a_reward(self) -> Self:
        surrogate = parse_reward(self.reward).surrogate
        if surrogate == BEST:
            raise PercasymError(f"{self.reward}: only a study finds out which surrogate is best; name one")
        if surrogate == "teacher" and self.captions is None:
            raise PercasymError(f"{self.reward} wants a teacher's captions of the split: give captions")
        return self


class AuditSettings(BaseModel, frozen=True, extra="forbid"):
    """How many responses surrogates are audited on."""

    items: int = Field(default=64, ge=1, le=1_000_000, description="Labelled items, the first of the split")
    group_size: int = Field(default=8, ge=2, le=1024, description="Responses to each of them")
