"""The teacher's responses, which the model is post-trained on. The validation split goes with them."""

import json
from pathlib import Path

from percasym.config import DistillSection
from tasks.show import show_response, show_table
from tasks.stage import Work, stage

REPORT = "distillation.json"


@stage()
def distill(work: Work, config: DistillSection, data: Path) -> None:
    from percasym.datasets import iter_split, read_split, write_dataset
    from percasym.distillation import Report, SolverTeacher
    from percasym.distillation import distill as respond

    teacher = SolverTeacher(config.perception_share, config.detours)
    report = Report()
    items = len(read_split(data, "train_sft", ["id"]))
    answered = respond(iter_split(data, "train_sft"), teacher, config.seed, config.attempts, report)
    write_dataset(
        work.folder,
        {"train_sft": work.progress.count(answered, 0, items), "validation": iter_split(data, "validation")},
    )
    summary = report.summary()
    (work.folder / REPORT).write_text(json.dumps(summary, indent=2))
    work.run.metrics(summary)
    show_table("distillation", [summary], "What became of the teacher's responses")
    show_response(work.folder, "train_sft")
