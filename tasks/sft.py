"""One arm: the base model post-trained on the teacher's responses with one way of weighing the two losses."""

from pathlib import Path

from percasym.sections import SFTSection
from percasym.sft.config import SFTConfig
from percasym.sft.weighting import NAMES
from tasks.show import show_training
from tasks.stage import TRAINING_LOG, Work, stage
from tasks.training import train


def weighting_modules(value: object) -> list[str]:
    """The module of the weighting that an input names; none for one of the user's own."""
    name = value.partition(":")[0] if isinstance(value, str) else ""
    return [f"percasym.sft.weighting.{name}"] if name in NAMES else []


@stage(children=("percasym.sft.__main__",), uses=weighting_modules)
def sft(work: Work, config: SFTSection, data: Path, base: Path | str, weighting: str) -> None:
    train(
        work,
        SFTConfig,
        config.sft,
        work.machine.ranks,
        model=str(base / "model" if isinstance(base, Path) else base),
        dataset=str(data),
        weighting=weighting,
        micro_batch_size=min(config.sft.batch_size, work.machine.micro_batch_size),
        seed=config.seed,
        max_new_tokens=config.max_new_tokens,
    )
    show_training(work.folder / TRAINING_LOG, weighting)
