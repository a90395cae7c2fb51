"""One model measured, whichever it is, with nothing trained."""

import json
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture

from flows.data import items
from percasym import launch
from percasym.config import StudyConfig
from percasym.metrics import FIGURES, READING
from percasym.tracking import Run, find_model
from tasks.devices import device_slots
from tasks.evaluate import SUMMARY
from tasks.evaluate import evaluate as stage
from tasks.flow_run import flow_run
from tasks.stage import Reference


@flow(name="evaluate", flow_run_name="evaluate {model}")
def evaluate(config: StudyConfig, model: str) -> str:
    """Draw test items, and measure a, a_p and a_r of `model` on them.

    Args:
        config: says which items, how many, and with which engine.
        model: a folder, a Hub id, or NAME@ALIAS of a registered model.

    Returns:
        Path of the summary.
    """
    config = config.for_testing()
    with (
        launch.slots(config.workers, device_slots),
        flow_run(model, "evaluation", config, measured=model) as run,
    ):
        data, measured = measure(config, run.id, model, find_model(model))
        return str(conclude(run, {"generate": data, "evaluate": measured}).path / SUMMARY)


def measure(
    config: StudyConfig, run: str, label: str, model: str, occasion: str = ""
) -> tuple[PrefectFuture[Reference], PrefectFuture[Reference]]:
    """Starts the test items of `config`, and what `model`, a folder or a Hub id, makes of them."""
    data = items(config, run, label)
    more: dict[str, Any] = {"occasion": occasion} if occasion else {}
    return data, stage.submit(config, run, label, data=data, model=model, **more)


def conclude(run: Run, stages: dict[str, PrefectFuture[Reference]], prefix: str = "") -> Reference:
    """Waits for the stages, links them from the flow's run, and gives it the figures of the last one."""
    references = {name: future.result() for name, future in stages.items()}
    run.link({name: reference.run for name, reference in references.items()})
    last = references[list(references)[-1]]
    summary: dict[str, Any] = json.loads((last.path / SUMMARY).read_text())
    run.metrics({name: (summary[name] or {}).get("value") for name in (*FIGURES, *READING)}, prefix=prefix)
    return last
