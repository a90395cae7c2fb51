"""The config of one reinforcement learning with verl."""

from typing import Self

from pydantic import Field, model_validator

from percasym.grpo.config import GRPOConfig
from percasym.rewards import parse_reward

PER_RESPONSE = frozenset({"well_formed", "agreed"})


class VerlConfig(GRPOConfig, frozen=True):
    """What the embedded engine's config says, and how the work is laid out over GPUs."""

    gpus: int = Field(default=1, gt=0, description="GPUs of each node; without any, 1 is the CPU")
    nodes: int = Field(default=1, gt=0, description="Machines of the Ray cluster")
    tensor_parallel: int = Field(default=1, gt=0, description="GPUs that share one copy of the model in vLLM")
    gpu_memory: float = Field(default=0.5, gt=0, lt=1, description="Share of a GPU's memory that vLLM takes")
    offload: bool = Field(default=False, description="Keep weights and optimizer in main memory meanwhile")
    max_prompt_tokens: int = Field(default=2048, gt=0, description="Longest prompt, its image included")
    patience: float = Field(
        default=3600, gt=0, description="Seconds without a step after which verl is given up: it can hang"
    )
    overrides: tuple[str, ...] = Field(default=(), description="More overrides of verl's own settings")

    @model_validator(mode="after")
    def _is_within_reach_of_verl(self) -> Self:
        surrogate = parse_reward(self.reward).surrogate
        if surrogate and surrogate not in PER_RESPONSE:
            raise ValueError(
                f"verl judges each response alone, so the surrogate {surrogate} is not for it: take "
                f"{', '.join(sorted(PER_RESPONSE))}, or the embedded engine"
            )
        if self.credit == "span":
            raise ValueError("verl has no credit=span: use the embedded engine")
        if self.optimizer != "adamw" or self.lora_rank:
            raise ValueError("with verl all weights are trained by adamw: set lora_rank=0, optimizer=adamw")
        ranks = self.gpus * self.nodes
        if self.prompts % ranks or (self.prompts * self.group_size // ranks) % self.micro_batch_size:
            raise ValueError(
                f"prompts must be a multiple of the {ranks} GPUs, and each one's share of the responses one "
                f"of micro_batch_size={self.micro_batch_size}"
            )
        return self
