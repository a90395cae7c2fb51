"""What has been run: studies, evaluations and re-evaluations, as MLflow keeps them."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypedDict

from percasym.errors import PercasymError
from percasym.home import Home
from percasym.metrics import FIGURES
from percasym.tracking import Tracker, equals

STUDY = "study"
KINDS = (STUDY, "evaluation", "reevaluation")
"""What the tag `stage` says of a run that is not a part of another."""
EVALUATED = "stage.evaluate."
"""A study's run has a tag of this beginning for each model that it has measured: the id of that run."""


class ModelFigures(TypedDict):
    """What a run has found out about one model; a figure is None where it has not."""

    model: str
    """As its study calls it; in a re-evaluation the items: fixed or fresh."""
    evaluation: str | None
    """MLflow run id."""
    a: float | None
    a_p: float | None
    a_r: float | None


class FlowRun(TypedDict):
    """One study, evaluation or re-evaluation; plain JSON."""

    kind: str
    name: str
    run: str
    """MLflow run id."""
    status: str
    """RUNNING, FINISHED, FAILED or KILLED."""
    started: str
    """ISO 8601, UTC."""
    minutes: float | None
    verdict: str | None
    """Of a re-evaluation: held or fell."""
    models: list[ModelFigures]


def kept() -> Tracker:
    """The store of record of the current home.

    Raises:
        PercasymError: there is none yet.
    """
    home = Home.current()
    if not home.database.exists() and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise PercasymError(
            f"there are no runs in {home.root}: run `percasym study` first, or name another --home"
        )
    return Tracker.current()


def list_runs(study: str | None = None, limit: int = 20) -> list[FlowRun]:
    """The latest runs of flows, the newest first.

    Args:
        study: only those of that name, and the re-evaluations of its models.

    Raises:
        PercasymError: there is nothing yet, or nothing of that name.
    """
    tracker = kept()
    found = sorted(
        (run for kind in KINDS for run in search(tracker, kind, study, limit)),
        key=lambda run: run.info.start_time,
        reverse=True,
    )
    if not found:
        if study is None:
            raise PercasymError(f"there are no runs in {Home.current().root}: run `percasym study` first")
        raise PercasymError(
            f"there is no run called {study!r}; there are {', '.join(names(tracker)) or 'none'}"
        )
    return [_flow_run(run) for run in found[:limit]]


def search(
    tracker: Tracker, kind: str, name: str | None = None, limit: int = 1000, condition: str = ""
) -> Any:
    """MLflow's runs of flows of one kind, the newest first.

    Args:
        condition: what else is asked for, in MLflow's words.

    Raises:
        PercasymError: a name that MLflow cannot look for.
    """
    conditions = [f"tags.stage = '{kind}'"]
    if name is not None:
        column = "attributes.run_name" if kind == STUDY else "tags.study"
        conditions.append(equals(column, name))
    if condition:
        conditions.append(condition)
    return tracker.client.search_runs(
        [tracker.experiment],
        " and ".join(conditions),
        order_by=["attributes.start_time DESC"],
        max_results=limit,
    )


def names(tracker: Tracker, *, finished: bool = False) -> list[str]:
    """The names of the studies, that of the newest first."""
    condition = "attributes.status = 'FINISHED'" if finished else ""
    return list(dict.fromkeys(run.info.run_name for run in search(tracker, STUDY, condition=condition)))


def evaluated(run: Any) -> dict[str, str]:
    """The run ids of the evaluations that a study's run is linked to, by model, in alphabetical order."""
    return {
        key.removeprefix(EVALUATED): value
        for key, value in sorted(run.data.tags.items())
        if key.startswith(EVALUATED)
    }


def _flow_run(run: Any) -> FlowRun:
    info = run.info
    return FlowRun(
        kind=run.data.tags["stage"],
        name=info.run_name,
        run=info.run_id,
        status=info.status,
        started=datetime.fromtimestamp(info.start_time / 1000, UTC).isoformat(timespec="seconds"),
        minutes=round((info.end_time - info.start_time) / 60_000, 1) if info.end_time else None,
        verdict=run.data.tags.get("verdict"),
        models=list(_models(run)),
    )


def _models(run: Any) -> Iterator[ModelFigures]:
    """A study's run has MODEL/a; one of a single model has a, and fresh/a if it was measured twice."""
    metrics, links = run.data.metrics, evaluated(run)
    kind = run.data.tags["stage"]
    logged = [name.rpartition("/")[0] for name in metrics if name.rpartition("/")[2] in FIGURES]
    prefixes = {name: f"{name}/" for name in dict.fromkeys([*logged, *links]) if name not in ("", "change")}
    if kind != STUDY:
        alone = next((name for name in links if name != "fresh"), run.info.run_name)
        prefixes = {alone: ""} | {name: prefix for name, prefix in prefixes.items() if name != alone}
    for model, prefix in prefixes.items():
        a, a_p, a_r = (metrics.get(prefix + figure) for figure in FIGURES)
        yield ModelFigures(model=model, evaluation=links.get(model), a=a, a_p=a_p, a_r=a_r)
