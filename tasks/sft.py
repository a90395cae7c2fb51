"""One arm: the base model post-trained on the teacher's responses with one way of weighing the two losses."""

from pathlib import Path

from percasym.config import SFTSection
from tasks.show import show_training
from tasks.stage import VOLATILE, Work, stage
from tasks.training import MODULE, train


@stage(children=(MODULE,))
def sft(work: Work, config: SFTSection, data: Path, base: Path | str, weighting: str) -> None:
    train(
        work,
        config,
        config.batch_size,
        model=str(base / "model" if isinstance(base, Path) else base),
        dataset=str(data),
        weighting=weighting,
        steps=config.sft_steps,
        learning_rate=config.learning_rate,
        train_vision=config.train_vision,
        lora_rank=config.lora_rank,
        validate_every=config.validate_every,
        validation_items=config.validation_limit,
        validation_batch_size=work.machine.eval_batch_size,
        max_new_tokens=config.max_new_tokens,
    )
    show_training(work.folder / VOLATILE, weighting)
