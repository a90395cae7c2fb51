"""The settings that every training run has."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from percasym.engines import LONGEST
from percasym.seeding import digest

# What may change between a run and its resumption: none of these changes the result beyond rounding.
_FREE = {"out", "micro_batch_size", "checkpoint_every", "threads"}


class TrainerSettings(BaseModel, frozen=True, extra="forbid"):
    """How to train, whatever is trained on whatever: what a study sets, and a phase of a recipe changes."""

    steps: int = Field(default=100, ge=1, le=10_000_000, description="Optimizer steps")
    optimizer: Literal["adamw", "muon"] = Field(
        default="adamw",
        description="adamw; or muon for matrices, which a miniature from nothing learns faster by",
    )
    learning_rate: float = Field(default=1e-5, gt=0, le=1, description="Highest learning rate")
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="After the warm-up: a cosine down to 5 %, or as it is"
    )
    warmup_steps: int = Field(default=0, ge=0, le=1_000_000, description="Steps of linear warm-up")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of AdamW, on matrices only")
    adam_beta2: float = Field(
        default=0.999, gt=0, lt=1, description="Second beta of AdamW (transformers' default)"
    )
    max_grad_norm: float = Field(
        default=1.0, gt=0, description="The combined gradient is scaled down to this norm"
    )
    train_vision: bool = Field(default=True, description="Train the vision tower too")
    lora_rank: int = Field(
        default=0, ge=0, le=1024, description="Rank of LoRA adapters; 0 trains all weights"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Arithmetic; auto is bfloat16 on GPUs that have it. Weights stay float32",
    )
    log_every: int = Field(
        default=10, gt=0, description="Steps between log lines; logging costs a perception pass"
    )
    validate_every: int = Field(
        default=0, ge=0, description="Steps between measurements of a, a_p, a_r; 0: none"
    )
    validation_items: int = Field(default=64, gt=0, description="Validation items of such a measurement")


class TrainingConfig(TrainerSettings, frozen=True):
    """All that decides a training run: on one machine, the same config gives the same weights."""

    model: str = Field(description="Checkpoint to start from: a folder or a Hub id")
    dataset: str = Field(description="Data set folder")
    split: str = Field(description="Split to train on")
    out: Path = Field(description="Folder for the run")
    seed: int = Field(default=0, description="Seed of the order of rows, of LoRA's weights and of sampling")
    micro_batch_size: int = Field(
        default=16, gt=0, description="Rows that one rank handles at once; changes no result"
    )
    checkpoint_every: int = Field(default=100, gt=0, description="Steps between checkpoints")
    target: float = Field(
        default=0, ge=0, le=1, description="a_r on validation items at which training ends early; 0: none"
    )
    validation_split: str = Field(default="validation", description="Split to validate on")
    validation_batch_size: int = Field(default=64, gt=0, description="Items that are validated at once")
    max_new_tokens: int = Field(default=LONGEST, gt=0, description="Longest response that is generated")
    threads: int = Field(default=0, ge=0, description="CPU threads; 0 leaves it to torch")

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError("warmup_steps must be less than steps")
        return self

    def digest(self) -> str:
        """Identifies the result: two configs with one digest may continue each other's checkpoints."""
        return digest(self.decisive())

    def decisive(self) -> dict[str, Any]:
        """The settings that the result depends on, as JSON."""
        return self.model_dump(mode="json", exclude=_FREE)
