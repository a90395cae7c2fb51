"""One training in a child process, its curves streamed to MLflow as they come."""

import shutil
from typing import Any

from percasym import launch
from percasym.config import BaseSection, SFTSection
from percasym.sft.config import SFTConfig
from tasks.stage import VOLATILE, Work

MODULE = "percasym.sft.__main__"


def train(work: Work, section: BaseSection | SFTSection, batch_size: int, **settings: Any) -> None:
    """Trains into the stage's artifact: `model`, a checkpoint, and the log of the training.

    What a killed training left is taken up again, unless it is of another config (say, its data were made
    anew).

    Args:
        section: gives what every training of a study has in common.
        settings: of `SFTConfig`, all others.
    """
    machine = work.machine
    config = SFTConfig(
        out=work.scratch,
        seed=section.seed,
        warmup_steps=section.warmup_steps,
        precision=section.precision,
        log_every=section.log_every,
        batch_size=batch_size,
        micro_batch_size=min(batch_size, machine.micro_batch_size),
        checkpoint_every=machine.checkpoint_every,
        threads=machine.threads,
        **settings,
    )
    out = work.scratch / config.digest()[:16]
    config = config.model_copy(update={"out": out})
    for line in launch.run(
        "percasym.sft", config, work.scratch, ranks=machine.ranks, threads=machine.threads
    ):
        prefix = "" if line["kind"] == "train" else f"{line['kind']}/"
        work.run.metrics({k: v for k, v in line.items() if k != "step"}, line["step"], prefix)
        work.progress(line["step"], config.steps)
    shutil.move(out / "model", work.folder / "model")
    shutil.move(out / VOLATILE, work.folder / VOLATILE)
