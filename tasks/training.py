"""One training in a child process, its curves streamed to MLflow as they come."""

from typing import Any

from percasym import launch
from percasym.folders import link
from percasym.sections import PostTrainingSection, TrainerSection
from percasym.training.config import TrainingConfig
from tasks.stage import TRAINING_LOG, Work

ROLLOUTS = "rollouts.jsonl"


def train(
    work: Work,
    kind: type[TrainingConfig],
    section: TrainerSection,
    ranks: int = 1,
    devices: int = 0,
    **settings: Any,
) -> None:
    """Trains into the stage's artifact: `model`, a checkpoint, and the logs of the training.

    What a killed training left is taken up again, unless it is of another config (say, its data were made
    anew).

    Args:
        kind: the config of the package that trains.
        section: gives what every training of a study has in common.
        devices: GPUs that it takes, if not one for each rank.
        settings: of `kind`, all others.
    """
    machine = work.machine
    config = kind(
        out=work.scratch,
        precision=section.precision,
        checkpoint_every=machine.checkpoint_every,
        threads=machine.threads,
        **settings,
    )
    out = work.scratch / config.digest()[:16]
    config = config.model_copy(update={"out": out})
    package = kind.__module__.rpartition(".")[0]
    layout = {"ranks": ranks, "threads": machine.threads, "devices": devices or ranks}
    for line in launch.run(package, config, work.scratch, **layout):
        prefix = "" if line["kind"] == "train" else f"{line['kind']}/"
        work.run.metrics({k: v for k, v in line.items() if k != "step"}, line["step"], prefix)
        work.progress(line["step"], config.steps)
    for name in ("model", TRAINING_LOG, ROLLOUTS):
        if (out / name).exists():
            link(out / name, work.folder / name)


def post_training(section: PostTrainingSection, work: Work) -> dict[str, Any]:
    """The settings that fine-tuning and reinforcement learning share."""
    return {
        "seed": section.seed,
        "train_vision": section.train_vision,
        "lora_rank": section.lora_rank,
        "validate_every": section.validate_every,
        "validation_items": section.validation_limit,
        "validation_batch_size": work.machine.eval_batch_size,
        "max_new_tokens": section.max_new_tokens,
    }
