"""The base model: a checkpoint with the study's choices written into it, or a miniature.

A miniature is built from nothing and pre-trained a little on each ability apart.
"""

import os
import shutil
from dataclasses import replace

from percasym import launch
from percasym.sections import BaseSection
from percasym.sft.config import SFTConfig
from tasks.stage import Work, stage
from tasks.training import train

SIZES = (
    *("architecture", "hidden_size", "layers", "heads", "kv_heads", "mlp_size"),
    *("vision_size", "vision_layers", "vision_heads", "vision_mlp_size", "side", "seed"),
)

# About twice the captions' share of the tokens: with more, to reason is learnt later.
PERCEPTION_WEIGHT = "fixed:0.15"


@stage(children=("percasym.models.__main__", "percasym.models.adopting", "percasym.sft.__main__"))
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
    # Every later training waits for this one, so it takes the threads of all workers. More threads than cores
    # would wait for each other at every step.
    threads = min(work.machine.threads * work.machine.workers, len(os.sched_getaffinity(0)))
    machine = work.machine.model_copy(update={"threads": threads})
    work = replace(work, machine=machine)
    beginning = work.scratch / "beginning"
    model, data = beginning / "model", beginning / "data"
    settings = {
        "size": {name: getattr(config, name) for name in SIZES},
        "puzzle": config.puzzle,
        "puzzle_options": {**config.puzzle_settings("clean"), **config.pretrain_options},
        "perception_share": config.perception_share,
        "detours": config.detours,
        "seed": config.seed,
        "items": config.pretrain_items,
        "out": str(beginning),
    }
    for line in launch.run("percasym.models", settings, work.scratch, threads=work.machine.threads):
        work.progress(line["done"], line["total"])
    if not config.pretrain_steps:
        shutil.move(model, work.folder / "model")
        return
    train(
        work,
        SFTConfig,
        config,
        machine.ranks,
        model=str(model),
        dataset=str(data),
        split="pretrain",
        weighting=PERCEPTION_WEIGHT,
        steps=config.pretrain_steps,
        batch_size=config.pretrain_batch_size,
        micro_batch_size=min(config.pretrain_batch_size, machine.micro_batch_size),
        optimizer="muon",
        learning_rate=config.pretrain_learning_rate,
        warmup_steps=config.warmup_steps,
        log_every=config.log_every,
        seed=config.seed,
    )
