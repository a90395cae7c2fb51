"""One model measured on the test split: a and a_p end to end, a_r from the right caption."""

import json
from pathlib import Path

from percasym import launch
from percasym.folders import link
from percasym.sections import EvaluationSection
from tasks.show import show_summary
from tasks.stage import Work, stage

RESULTS, SUMMARY = "results.parquet", "summary.json"


@stage(children=("percasym.evaluation",))
def evaluate(
    work: Work, config: EvaluationSection, data: Path, model: Path | str, occasion: str = ""
) -> None:
    """`occasion` tells one re-evaluation from another, which else would be found in the cache."""
    out = work.scratch / "out"
    settings = {
        "model": str(model / "model" if isinstance(model, Path) else model),
        "dataset": str(data),
        "split": "test",
        "out": str(out),
        "max_new_tokens": config.max_new_tokens,
        "precision": config.eval_precision,
        **work.machine.engine_settings(),
    }
    layout = {"threads": work.machine.threads, "devices": work.machine.engine_devices}
    for line in launch.run("percasym.evaluation", settings, work.scratch, **layout):
        work.progress(line["done"], line["total"])
    for name in (RESULTS, SUMMARY):
        link(out / name, work.folder / name)
    summary = json.loads((work.folder / SUMMARY).read_text())
    work.run.metrics({name: figure["value"] for name, figure in summary.items() if _is_estimate(figure)})
    work.run.metrics(summary["causes"], prefix="causes/")
    show_summary(summary, work.label)


def _is_estimate(figure: object) -> bool:
    return isinstance(figure, dict) and "value" in figure
