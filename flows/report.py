"""The report of a finished study made again, as after a change to its figures. Nothing else is repeated."""

from prefect import flow

from percasym import launch
from percasym.config import StudyConfig
from percasym.errors import PercasymError
from percasym.tracking import Tracker
from tasks.report import PAGE
from tasks.report import report as stage
from tasks.stage import REFERENCE, Reference


@flow(name="report", flow_run_name="report {study}")
def report(study: str) -> str:
    """Write the report of the latest finished study of that name, from what its stages have left.

    Returns:
        Path of the page.
    """
    tracker = Tracker.current()
    newest = tracker.newest(stage="study", study=study)
    run = tracker.run(newest) if newest else None
    if run is None:
        raise PercasymError(f"there is no finished study called {study!r}")
    config = StudyConfig.read(tracker.params(run.id), {})

    def left(name: str) -> Reference | None:
        of = tracker.tag(run.id, f"stage.{name}")
        text = of and tracker.tag(of, REFERENCE)
        return Reference.model_validate_json(text) if text else None

    starts = {model.name: model.start for model in config.models}
    kinds = ("sft", "grpo", "verl")
    trained = {name: made for name in starts for kind in kinds if (made := left(f"{kind}.{name}"))}
    with launch.slots(1):
        page = stage.submit(
            config,
            run.id,
            data=left("ingest" if config.data else "generate"),
            responses=left("distill"),
            results={name: left(f"evaluate.{name}") for name in ("base", *starts)},
            trainings=trained,
            starts=starts,
            best=tracker.tag(run.id, "surrogate.best"),
            audit=left("audit"),
        ).result()
    run.link({"report": page.run})
    return str(page.path / PAGE)
