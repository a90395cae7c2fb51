"""One arm: the base model post-trained on the teacher's responses with one way of weighing the two losses."""

from pathlib import Path

from percasym.sections import SFTSection
from percasym.sft.config import SFTConfig
from percasym.sft.weighting import NAMES
from tasks.show import show_training
from tasks.stage import TRAINING_LOG, Work, stage
from tasks.training import post_training, train


def weighting_modules(value: object) -> list[str]:
    """The module of the weighting that an input names; none for one of the user's own."""
    name = value.partition(":")[0] if isinstance(value, str) else ""
    return [f"percasym.sft.weighting.{name}"] if name in NAMES else []


@stage(children=("percasym.sft.__main__",), uses=weighting_modules)
def sft(work: Work, config: SFTSection, data: Path, base: Path | str, weighting: str) -> None:
    train(
        work,
        SFTConfig,
        config,
        work.machine.ranks,
        model=str(base / "model" if isinstance(base, Path) else base),
        dataset=str(data),
        weighting=weighting,
        steps=config.sft_steps,
        batch_size=config.batch_size,
        micro_batch_size=min(config.batch_size, work.machine.micro_batch_size),
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        log_every=config.log_every,
        **post_training(config, work),
    )
    show_training(work.folder / TRAINING_LOG, weighting)
