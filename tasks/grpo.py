"""One reward: a model that goes on learning from its own responses, as far as the reward likes them."""

from pathlib import Path

from percasym.config import RLSection
from percasym.grpo.config import GRPOConfig
from tasks.caption import CAPTIONS
from tasks.show import show_training
from tasks.stage import VOLATILE, Work, stage
from tasks.training import post_training, train


@stage(children=("percasym.grpo.__main__",))
def grpo(
    work: Work, config: RLSection, data: Path, base: Path | str, reward: str, captions: Path | None = None
) -> None:
    train(
        work,
        GRPOConfig,
        config,
        model=str(base / "model" if isinstance(base, Path) else base),
        dataset=str(data),
        reward=reward,
        captions=captions and captions / CAPTIONS,
        steps=config.rl_steps,
        prompts=config.rl_prompts,
        group_size=config.rl_group_size,
        micro_batch_size=work.machine.micro_batch_size,
        learning_rate=config.rl_learning_rate,
        temperature=config.rl_temperature,
        kl=config.rl_kl,
        clip_low=config.rl_clip_low,
        clip_high=config.rl_clip_high,
        normalisation=config.rl_normalisation,
        credit=config.rl_credit,
        **post_training(config, work),
    )
    show_training(work.folder / VOLATILE, reward)
