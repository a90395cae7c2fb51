"""One reward: a model that goes on learning from its own responses, as far as the reward likes them."""

from pathlib import Path
from typing import Any

from percasym.grpo.config import GRPOConfig
from percasym.grpo.verl.config import VerlConfig
from percasym.sections import RLSection
from tasks.caption import CAPTIONS
from tasks.show import show_training
from tasks.stage import TRAINING_LOG, Work, stage
from tasks.training import post_training, train

PLUGINS = [  # what verl imports by itself
    f"percasym.grpo.verl.plugins.{name}" for name in ("engine", "platform", "positions", "rollout", "turns")
]


@stage(children=("percasym.grpo.__main__",))
def grpo(
    work: Work, config: RLSection, data: Path, base: Path | str, reward: str, captions: Path | None = None
) -> None:
    """With the embedded engine."""
    train(work, GRPOConfig, config, **_settings(work, config, data, base, reward, captions))
    show_training(work.folder / TRAINING_LOG, reward)


@stage(children=("percasym.grpo.verl.__main__", *PLUGINS))
def verl(
    work: Work, config: RLSection, data: Path, base: Path | str, reward: str, captions: Path | None = None
) -> None:
    """With verl, on as many GPUs of each machine as the settings name ranks."""
    train(
        work,
        VerlConfig,
        config,
        devices=work.machine.ranks * work.machine.nodes,
        gpus=work.machine.ranks,
        nodes=work.machine.nodes,
        overrides=tuple(config.rl_overrides),
        **_settings(work, config, data, base, reward, captions),
    )
    show_training(work.folder / TRAINING_LOG, reward)


def _settings(
    work: Work, config: RLSection, data: Path, base: Path | str, reward: str, captions: Path | None
) -> dict[str, Any]:
    return {
        "model": str(base / "model" if isinstance(base, Path) else base),
        "dataset": str(data),
        "reward": reward,
        "captions": captions and captions / CAPTIONS,
        "steps": config.rl_steps,
        "prompts": config.rl_prompts,
        "group_size": config.rl_group_size,
        "micro_batch_size": work.machine.micro_batch_size,
        "learning_rate": config.rl_learning_rate,
        "temperature": config.rl_temperature,
        "kl": config.rl_kl,
        "clip_low": config.rl_clip_low,
        "clip_high": config.rl_clip_high,
        "normalisation": config.rl_normalisation,
        "credit": config.rl_credit,
        **post_training(config, work),
    }
