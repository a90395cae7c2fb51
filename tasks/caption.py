"""A teacher's captions of one split: what it sees in each image, once and greedily."""

from pathlib import Path

from percasym import launch
from percasym.folders import link
from percasym.sections import EvaluationSection
from tasks.stage import Work, stage

CAPTIONS = "captions.jsonl"


@stage(children=("percasym.captioning",))
def caption(work: Work, config: EvaluationSection, data: Path, model: Path | str, split: str) -> None:
    settings = {
        "model": str(model / "model" if isinstance(model, Path) else model),
        "dataset": str(data),
        "split": split,
        "out": str(work.scratch / CAPTIONS),
        "max_new_tokens": config.max_new_tokens,
        "precision": config.eval_precision,
        **work.machine.engine_settings(),
    }
    layout = {"threads": work.machine.threads, "devices": work.machine.engine_devices}
    found = work.scratch / CAPTIONS
    if not found.exists():
        for line in launch.run("percasym.captioning", settings, work.scratch, **layout):
            work.progress(line["done"], line["total"])
    link(found, work.folder / CAPTIONS)
