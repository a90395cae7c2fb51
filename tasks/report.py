"""The report: one HTML page, and its figures."""

import json
from pathlib import Path
from typing import Any

from percasym.config import Experiment
from percasym.values import flat
from tasks.audit import read_audit
from tasks.distill import REPORT as DISTILLATION
from tasks.records import model_records, sweep_points
from tasks.show import show_figures
from tasks.stage import Work, stage

PAGE = "report.html"


@stage()
def report(
    work: Work,
    config: Experiment,
    data: Path,
    responses: Path,
    results: dict[str, Path],
    trainings: dict[str, Path],
    starts: dict[str, str],
    best: str | None,
    audit: Path | None,
) -> None:
    from percasym.report import ReportInput, write_report

    distillation = json.loads((responses / DISTILLATION).read_text())
    write_report(
        ReportInput(
            title=config.name,
            models=model_records(results, trainings, starts, best),
            dataset=data,
            split="test",
            stand_ins=stand_ins(config, distillation["teacher"]),
            config=flat(config),
            facts=facts(distillation),
            sweep=sweep_points(results),
            audit=read_audit(audit) if audit else None,
        ),
        work.folder,
    )
    show_figures(work.folder / "figures")


def stand_ins(config: Experiment, teacher: str) -> list[str]:
    """What in this study stands in for something else.

    Args:
        teacher: who wrote the responses, as the distillation's report says.
    """
    told = []
    if not config.model:
        told.append(
            f"The model is a miniature with the architecture {config.miniature.architecture}, trained from "
            "nothing. Its numbers are evidence about the mechanism, not about any released model."
        )
    from percasym.distillation import SolverTeacher

    if teacher == SolverTeacher.name:
        told.append(
            "The teacher is a solver that writes its search down, in place of a language model such as "
            "Qwen3-32B."
        )
    return told


def facts(distillation: dict[str, Any]) -> dict[str, Any]:
    return {
        "teacher": distillation["teacher"],
        "responses accepted": f"{distillation['acceptance_rate']:.1%}",
        "words of a response": f"{distillation['words']:.0f}",
        "perception's share of the words": f"{distillation['perception_share']:.1%}",
    }
