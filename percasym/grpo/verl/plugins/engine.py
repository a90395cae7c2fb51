"""verl's FSDP engine with a vision tower that can be frozen, and on the CPU as well.

verl imports it by `actor_rollout_ref.model.external_lib` in every process. verl 0.9.1 has a setting
`freeze_vision_tower` that nothing reads, and no engine for the CPU.
"""

import os
from typing import Any

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

import percasym.grpo.verl.plugins.positions  # noqa: F401
from percasym.training.model import vision_parameters


class Engine(FSDPEngineWithLMHead):  # type: ignore[misc]
    """Freezes all that stands before the text model if PERCASYM_FREEZE_VISION is set."""

    def _build_module(self) -> Any:
        module = super()._build_module()
        if os.environ.get("PERCASYM_FREEZE_VISION"):
            for parameter in vision_parameters(module):
                parameter.requires_grad_(False)
        return module


class CPUEngine(Engine):
    """Leaves the reference model unsharded by the offload policy, whose pinned memory wants a GPU."""

    def _build_fsdp_module(self, module: Any) -> Any:
        config, forward_only = self.engine_config, self.engine_config.forward_only
        object.__setattr__(config, "forward_only", False)  # the config is frozen
        try:
            return super()._build_fsdp_module(module)
        finally:
            object.__setattr__(config, "forward_only", forward_only)


# Registering a device twice is refused, so the entry for GPUs is replaced by hand.
_engines = EngineRegistry._engines["language_model"]["fsdp2"]
_engines |= {"cuda": Engine, "cpu": CPUEngine}
