"""One arm: the base model post-trained on the teacher's responses with one way of weighing the two losses."""

from pathlib import Path

from percasym.config import SFTSection
from percasym.sft.config import SFTConfig
from tasks.show import show_training
from tasks.stage import VOLATILE, Work, stage
from tasks.training import MODULE, train


@stage(children=(MODULE,))
def sft(work: Work, config: SFTSection, data: Path, base: Path | str, weighting: str) -> None:
    train(
        work,
        SFTConfig(
            model=str(base / "model" if isinstance(base, Path) else base),
            dataset=str(data),
            out=work.scratch,
            weighting=weighting,
            steps=config.sft_steps,
            batch_size=config.batch_size,
            micro_batch_size=min(config.batch_size, work.machine.micro_batch_size),
            learning_rate=config.learning_rate,
            warmup_steps=config.warmup_steps,
            seed=config.seed,
            train_vision=config.train_vision,
            lora_rank=config.lora_rank,
            precision=config.precision,
            log_every=config.log_every,
            checkpoint_every=work.machine.checkpoint_every,
            validate_every=config.validate_every,
            validation_items=config.validation_limit,
            validation_batch_size=work.machine.eval_batch_size,
            max_new_tokens=config.max_new_tokens,
            threads=work.machine.threads,
        ),
    )
    show_training(work.folder / VOLATILE, weighting)
