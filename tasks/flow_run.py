"""The MLflow run of a flow: what its stages hang from."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from percasym.config import StudyConfig
from percasym.lifecycle.collection import STARTING
from percasym.tracking import Run, Tracker
from percasym.values import flat
from tasks.locks import held, stage_lock


@contextmanager
def flow_run(name: str, kind: str, config: StudyConfig, **tags: str) -> Iterator[Run]:
    """A new run of the kind study, evaluation or reevaluation, for as long as the flow works.

    Runs that a killed flow has left behind, still said to be running, are marked as killed first. A flow that
    lives is known by the lock that it holds, and at every moment it holds one, as clocks of machines differ.
    """
    tracker = Tracker.current()
    with ExitStack() as stack:
        starting = stage_lock(_key(f"{STARTING}{uuid4().hex}"))
        with starting:
            tracker.mark_killed(lambda run_id: held(_key(run_id)))
            run = tracker.start(name, {"stage": kind, **tags})
            stack.enter_context(stage_lock(_key(run.id)))
            Path(starting.lock_file).unlink()
        run.params(flat(config))
        yield stack.enter_context(run.open())


def _key(run_id: str) -> str:
    return f"run/{run_id}"
