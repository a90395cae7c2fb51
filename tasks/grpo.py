"""One reward: a model that goes on learning from its own responses, as far as the reward likes them."""

from pathlib import Path
from typing import Any

from percasym.grpo.config import GRPOConfig
from percasym.grpo.verl.config import VerlConfig
from percasym.sections import GRPOSection
from tasks.caption import CAPTIONS
from tasks.show import show_training
from tasks.stage import TRAINING_LOG, Work, stage
from tasks.training import train

PLUGINS = [  # what verl imports by itself
    f"percasym.grpo.verl.plugins.{name}" for name in ("engine", "platform", "positions", "rollout", "turns")
]


@stage(children=("percasym.grpo.__main__",))
def grpo(
    work: Work, config: GRPOSection, data: Path, base: Path | str, reward: str, captions: Path | None = None
) -> None:
    """With the embedded engine."""
    train(work, GRPOConfig, config.grpo, **_inputs(work, config, data, base, reward, captions))
    show_training(work.folder / TRAINING_LOG, reward)


@stage(children=("percasym.grpo.verl.__main__", *PLUGINS))
def verl(
    work: Work, config: GRPOSection, data: Path, base: Path | str, reward: str, captions: Path | None = None
) -> None:
    """With verl, on as many GPUs of each machine as the settings name ranks."""
    train(
        work,
        VerlConfig,
        config.grpo,
        devices=work.machine.ranks * work.machine.nodes,
        gpus=work.machine.ranks,
        nodes=work.machine.nodes,
        **work.machine.verl.model_dump(),
        **_inputs(work, config, data, base, reward, captions),
    )
    show_training(work.folder / TRAINING_LOG, reward)


def _inputs(
    work: Work, config: GRPOSection, data: Path, base: Path | str, reward: str, captions: Path | None
) -> dict[str, Any]:
    return {
        "model": str(base / "model" if isinstance(base, Path) else base),
        "dataset": str(data),
        "reward": reward,
        "captions": captions and captions / CAPTIONS,
        "micro_batch_size": work.machine.micro_batch_size,
        "seed": config.seed,
        "max_new_tokens": config.max_new_tokens,
    }
