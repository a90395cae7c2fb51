"""The MLflow run of a flow: what its stages hang from."""

from collections.abc import Iterator
from contextlib import contextmanager

from percasym.config import StudyConfig
from percasym.tracking import Run, Tracker
from tasks.locks import held, stage_lock


@contextmanager
def flow_run(name: str, kind: str, config: StudyConfig, **tags: str) -> Iterator[Run]:
    """A new run of the kind study, evaluation or reevaluation, for as long as the flow works.

    Runs that a killed flow has left behind, still said to be running, are marked as killed first. A flow that
    lives is known by the lock that it holds.
    """
    tracker = Tracker.current()
    tracker.bury(lambda run_id: held(_key(run_id)))
    run = tracker.start(name, {"stage": kind, **tags})
    run.params(config.model_dump(mode="json"))
    with stage_lock(_key(run.id)), run.open():
        yield run


def _key(run_id: str) -> str:
    return f"run/{run_id}"
