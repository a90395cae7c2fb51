"""One training in a child process, its curves streamed to MLflow as they come."""

from typing import Any

from percasym import launch
from percasym.folders import link
from percasym.training.config import TrainerSettings, TrainingConfig
from tasks.stage import TRAINING_LOG, Work

ROLLOUTS = "rollouts.jsonl"


def train(
    work: Work,
    kind: type[TrainingConfig],
    settings: TrainerSettings,
    ranks: int = 1,
    devices: int = 0,
    **more: Any,
) -> None:
    """Trains into the stage's artifact: `model`, a checkpoint, and the logs of the training.

    What a killed training left is taken up again, unless it is of another config (say, its data were made
    anew).

    Args:
        kind: the config of the package that trains.
        settings: how to train; of these, what `kind` does not have is for the study alone.
        devices: GPUs that it takes, if not one for each rank.
        more: the fields of `kind` that say what to train on what, and any that go before `settings`.
    """
    machine = work.machine
    layout = {
        "out": work.scratch,
        "checkpoint_every": machine.checkpoint_every,
        "threads": machine.threads,
        "validation_batch_size": machine.inference.batch_size,
    }
    shared = {name: value for name, value in settings.model_dump().items() if name in kind.model_fields}
    config = kind(**{**shared, **layout, **more})
    out = work.scratch / config.digest()[:16]
    config = config.model_copy(update={"out": out})
    package = kind.__module__.rpartition(".")[0]
    processes = {"ranks": ranks, "threads": machine.threads, "devices": devices or ranks}
    for line in launch.run(package, config, work.scratch, **processes):
        prefix = "" if line["kind"] == "train" else f"{line['kind']}/"
        work.run.metrics({k: v for k, v in line.items() if k != "step"}, line["step"], prefix)
        work.progress(line["step"], config.steps)
    for name in ("model", TRAINING_LOG, ROLLOUTS):
        if (out / name).exists():
            link(out / name, work.folder / name)
