"""The base model: a checkpoint with the study's choices written into it, or a miniature.

A miniature is built from nothing and pre-trained a little on each ability apart, by the luck of its seed for
fewer or for more steps: until it reasons as well as it is asked to.
"""

import logging
import os

from percasym import launch
from percasym.diagnostics.records import read_training
from percasym.folders import link
from percasym.sections import BaseSection, MachineSection
from percasym.sft.config import SFTConfig
from tasks.devices import local_gpus
from tasks.stage import TRAINING_LOG, Work, stage
from tasks.training import train

logger = logging.getLogger("percasym.stages")

# About twice the captions' share of the tokens: with more, to reason is learnt later.
PERCEPTION_WEIGHT = "fixed:0.15"
VALIDATION_ITEMS = 200  # that the target is measured on: a standard error of 3.5 points at a half


@stage(
    children=(
        *("percasym.models.__main__", "percasym.models.adopting"),
        *("percasym.sft.__main__", "percasym.sft.weighting.fixed"),
    )
)
def base(work: Work, config: BaseSection, model: str = "") -> None:
    """A miniature, or else `model`: an input of the stage, so that the content of its folder counts."""
    if model:
        _adopt(work, config, model)
    else:
        _miniature(work, config)


def _adopt(work: Work, config: BaseSection, model: str) -> None:
    settings = {
        "checkpoint": model,
        "out": str(work.folder / "model"),
        "system": config.system_prompt,
        "min_pixels": config.min_pixels,
        "max_pixels": config.max_pixels,
        "thinking": config.thinking,
    }
    list(launch.run("percasym.models.adopting", settings, work.scratch, threads=work.machine.threads))


def _miniature(work: Work, config: BaseSection) -> None:
    machine = work.machine
    pretrain = config.pretrain
    beginning = work.scratch / "beginning"
    model, data = beginning / "model", beginning / "data"
    settings = {
        "size": {**config.miniature.model_dump(), "side": config.side, "seed": config.seed},
        "puzzle": config.puzzle,
        "puzzle_options": {**config.puzzle_settings("clean"), **pretrain.options},
        "validation_options": config.puzzle_settings("hard"),  # where the picture says least
        "perception_share": config.perception_share,
        "detours": config.detours,
        "seed": config.seed,
        "items": pretrain.items,
        "validation_items": VALIDATION_ITEMS,
        "out": str(beginning),
    }
    for line in launch.run("percasym.models", settings, work.scratch, threads=work.machine.threads):
        work.progress(line["done"], line["total"])
    if not pretrain.steps:
        link(model, work.folder / "model")
        return
    train(
        work,
        SFTConfig,
        pretrain,
        _ranks(machine, pretrain.batch_size),
        devices=machine.ranks,
        model=str(model),
        dataset=str(data),
        split="pretrain",
        weighting=PERCEPTION_WEIGHT,
        schedule="constant" if pretrain.target else pretrain.schedule,  # the end is not known beforehand
        validate_every=pretrain.steps if pretrain.target else 0,  # at the end alone
        validation_items=VALIDATION_ITEMS,
        max_new_tokens=config.max_new_tokens,
        micro_batch_size=min(pretrain.batch_size, machine.micro_batch_size),
        seed=config.seed,
    )
    if pretrain.target:
        ended = read_training(work.folder / TRAINING_LOG).validation[-1]
        if ended["a_r"] < pretrain.target:
            logger.warning(
                "the base ends with a_r %.2f after %d steps, short of pretrain.target=%g: allow more "
                "pretrain.steps, or ask for less",
                *(ended["a_r"], ended["step"], pretrain.target),
            )


def _ranks(machine: MachineSection, batch_size: int) -> int:
    """The processes of the pre-training: every later training waits for it, so on CPUs it takes those of all
    workers. Processes meet once a step, where threads would at every operator, each time for the slowest."""
    if local_gpus():
        return machine.ranks
    most = min(machine.threads * machine.workers, len(os.sched_getaffinity(0)))
    return max(ranks for ranks in range(1, most + 1) if batch_size % ranks == 0)
