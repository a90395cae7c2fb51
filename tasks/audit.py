"""How well each surrogate stands in for a_p in the responses of one model to labelled items."""

import json
from pathlib import Path
from typing import Any

from percasym import launch
from percasym.folders import link, write_text
from percasym.sections import AuditSection
from tasks.show import show_table
from tasks.stage import SECONDS, Work, stage
from tasks.training import ROLLOUTS

AUDIT = "audit.json"


@stage(children=("percasym.grpo.audit",))
def audit(
    work: Work,
    config: AuditSection,
    data: Path,
    model: Path | str,
    teacher: Path | str | None,
    surrogates: dict[str, str],
) -> None:
    """`surrogates` holds each name under itself, so that the file which it names belongs to the key."""
    settings = {
        "model": _checkpoint(model),
        "dataset": str(data),
        "split": "validation",
        **config.audit.model_dump(),
        "surrogates": list(surrogates),
        "teacher": _checkpoint(teacher) if teacher else "",
        "out": str(work.scratch / ROLLOUTS),
        "max_new_tokens": config.max_new_tokens,
        "seed": config.seed,
        "batch_size": work.machine.inference.batch_size,
        "micro_batch_size": work.machine.micro_batch_size,
        "threads": work.machine.threads,
    }
    layout = {"threads": work.machine.threads, "devices": 1}
    if not (work.scratch / AUDIT).exists():
        for line in launch.run("percasym.grpo.audit", settings, work.scratch, **layout):
            if line.pop("kind") == "audit":
                seconds = {name: figures.pop("seconds") for name, figures in line["surrogates"].items()}
                write_text(work.scratch / SECONDS, json.dumps(seconds))
                write_text(work.scratch / AUDIT, json.dumps(line, indent=2))
            else:
                work.progress(line["done"], line["total"])
    for name in (ROLLOUTS, AUDIT, SECONDS):
        link(work.scratch / name, work.folder / name)
    found = read_audit(work.folder)
    rows = []
    for name, figures in found["surrogates"].items():
        within, pooled = figures["within"], figures["pooled"]
        rows.append(
            {
                "surrogate": name,
                "r within groups": within and f"{within['value']:.2f}",
                "interval": within and f"{within['low']:.2f} to {within['high']:.2f}",
                "r pooled": pooled and f"{pooled['value']:.2f}",
                "false positives": figures["false_positives"],
                "seconds": figures["seconds"],
            }
        )
        numbers = {"r_within": within and within["value"], **figures}
        work.run.metrics(numbers, prefix=f"{Path(name).name}/")
    show_table("surrogates", rows, f"What goes with a_p in {found['rollouts']} captions, the best one first")


def read_audit(folder: Path) -> dict[str, Any]:
    """What an audit has found, and how many seconds each surrogate takes for a response."""
    found: dict[str, Any] = json.loads((folder / AUDIT).read_text())
    for name, seconds in json.loads((folder / SECONDS).read_text()).items():
        found["surrogates"][name]["seconds"] = seconds
    return found


def _checkpoint(model: Path | str) -> str:
    return str(model / "model" if isinstance(model, Path) else model)
