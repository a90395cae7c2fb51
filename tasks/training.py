"""One training in a child process, its curves streamed to MLflow as they come."""

import shutil

from percasym import launch
from percasym.sft.config import SFTConfig
from tasks.stage import VOLATILE, Work

MODULE = "percasym.sft.__main__"


def train(work: Work, config: SFTConfig) -> None:
    """Trains into the stage's artifact: `model`, a checkpoint, and the log of the training.

    What a killed training left is taken up again, unless it is of another config (say, its data were made
    anew).
    """
    out = work.scratch / config.digest()[:16]
    config = config.model_copy(update={"out": out})
    machine = work.machine
    for line in launch.run(
        "percasym.sft", config, work.scratch, ranks=machine.ranks, threads=machine.threads
    ):
        prefix = "" if line["kind"] == "train" else f"{line['kind']}/"
        work.run.metrics({k: v for k, v in line.items() if k != "step"}, line["step"], prefix)
        work.progress(line["step"], config.steps)
    shutil.move(out / "model", work.folder / "model")
    shutil.move(out / VOLATILE, work.folder / VOLATILE)
