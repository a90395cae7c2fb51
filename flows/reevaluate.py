"""Registered models measured again, on the same items and on fresh ones: has one become worse?"""

import datetime
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run as this_run
from prefect.states import Completed

from flows.evaluate import conclude, measure
from percasym import launch
from percasym.config import StudyConfig
from percasym.diagnostics.records import read_results
from percasym.errors import PercasymError
from percasym.metrics import Row
from percasym.regression import Change, Gap, changes, gaps
from percasym.seeding import digest
from percasym.tracking import PARENT, Run, Tracker, Version, fetch, fetched
from tasks.devices import device_slots
from tasks.evaluate import RESULTS
from tasks.flow_run import flow_run
from tasks.show import show_table
from tasks.stage import Reference

FELL = "percasym.reevaluation.fell"  # the name of the Prefect event
SKIPPED = "Skipped"


class Fell(PercasymError):
    """A model has become worse: the reason why the flow run failed."""


class _Watch:
    """One registered version, and its evaluations under way."""

    def __init__(self, version: Version, config: StudyConfig, run: Run, occasion: str) -> None:
        self.version, self.config, self.run = version, config, run
        self.name = f"{version.name}@{version.alias}"
        self.fallen: list[Change] = []
        seed = int(digest("fresh", self.name, occasion)[:7], 16)
        model = str(version.checkpoint)
        self.stages: dict[str, PrefectFuture[Reference]] = {}
        for kind, tested in (
            ("fixed", config),
            ("fresh", config if config.data else config.for_testing(seed)),
        ):
            data, measured = measure(tested, run.id, f"{self.name} {kind}", model, occasion)
            self.stages |= {f"generate {kind}": data, f"evaluate {kind}": measured}
        run.params({"fresh_seed": seed})

    def conclude(self, margin: float) -> list[dict[str, Any]]:
        """Waits for the evaluations, compares them, writes down what was found; a line for each figure."""
        fixed, fresh = (
            _rows(conclude(self.run, self._of(kind), prefix))
            for kind, prefix in (("fixed", ""), ("fresh", "fresh/"))
        )
        data = self.stages["generate fixed"].result().digest
        tags = {"model": self.version.name, "alias": self.version.alias}
        last = Tracker.current().newest(stage="reevaluation", **tags, data=data, verdict="held")
        changed = changes(self._earlier(last), fixed, margin) if last else []
        apart = gaps(fixed, fresh, margin)
        self.fallen = [change for change in changed if change.fell]
        self.run.tags(
            {"data": data, "verdict": "fell" if self.fallen else "held", "compared.with": last or ""}
        )
        self.run.metrics({change.figure: change.difference.value for change in changed}, prefix="change/")
        return [self._line(gap, next((c for c in changed if c.figure == gap.figure), None)) for gap in apart]

    def _of(self, kind: str) -> dict[str, PrefectFuture[Reference]]:
        return {name: future for name, future in self.stages.items() if name.endswith(kind)}

    def _earlier(self, run_id: str) -> list[Row]:
        tracker = Tracker.current()
        stage = tracker.run(tracker.tag(run_id, "stage.evaluate.fixed") or "")
        if stage is None:
            raise PercasymError("the evaluation to compare with has been deleted from MLflow")
        return read_results(fetch(stage.uri, fetched(stage.id)) / RESULTS)

    def _line(self, gap: Gap, change: Change | None) -> dict[str, Any]:
        line: dict[str, Any] = {
            "model": self.name,
            "version": self.version.number,
            "figure": gap.figure,
            "fixed items": f"{gap.fixed:.1%}",
            "since the last time": "first time",
            "p": None,
            "verdict": "held",
            "fresh items": f"{gap.fresh:.1%}",
            "by heart": f"yes, p = {gap.p:.3f}" if gap.memorised else "no",
        }
        if self.config.data:
            line |= {"fresh items": "-", "by heart": "-"}  # of a data set there are none
        if change is not None:
            value, low, high, _ = (100 * x for x in change.difference)
            line["since the last time"] = f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"
            line |= {"p": change.p, "verdict": "fell" if change.fell else "held"}
        return line


@flow(name="reevaluate")
def reevaluate(
    aliases: list[str], models: list[str], items: int, margin: float, settings: dict[str, Any]
) -> State[Any] | str:
    """Measure every registered version that has one of `aliases`, and compare it with the last time.

    It is measured on the test items of its study, which stay, and on as many that are new each time. It fell
    if a, a_p or a_r on the former is lower than at the last time at which it had not fallen, by more than
    `margin`, with p < 0.05 by McNemar's test and Holm's method; then the flow run fails and says so, and
    emits the event `percasym.reevaluation.fell`.

    Args:
        aliases: of registered versions, such as best.
        models: names of registered models; none: all.
        items: test items of each kind; 0: as many as the study has.
        margin: from 0 to 1.
        settings: of the machine, as in `StudyConfig`.
    """
    if earlier := _caught_up():
        return Completed(
            name=SKIPPED, message=f"{earlier} was later than this run's time, so it stands for it"
        )
    watched = Tracker.current().watched(models, aliases)
    if not watched:
        raise PercasymError(
            f"no registered model {'of ' + ', '.join(models) + ' ' if models else ''}has the alias "
            f"{' or '.join(aliases)}: run a study, or take another alias"
        )
    occasion = datetime.datetime.now(datetime.UTC).isoformat()
    configs, problems = _configs(watched, items, settings)
    workers = max((config.workers for config in configs.values()), default=1)
    table = []
    watches = []
    with launch.slots(workers, device_slots), ExitStack() as stack:
        for version, config in configs.items():
            tags = {"model": version.name, "alias": version.alias, "version": version.number}
            name = f"{version.name}@{version.alias}"
            entered = flow_run(name, "reevaluation", config, study=version.name, **tags)
            watches.append(_Watch(version, config, stack.enter_context(entered), occasion))
        for watch in watches:  # one that cannot be measured does not keep the others from it
            try:
                table += watch.conclude(margin)
            except Exception as error:
                problems.append(f"{watch.name}: {error}")
    if table:
        show_table("reevaluation", table, "Registered models, measured again")
    fallen = [watch for watch in watches if watch.fallen]
    for watch in fallen:
        _tell(watch)
    reasons = [_reason(watch.name, watch.fallen) for watch in fallen] + problems
    if reasons:
        raise (Fell if fallen else PercasymError)("; ".join(reasons))
    return f"{len(watches)} models held"


def _configs(
    watched: Iterable[Version], items: int, settings: dict[str, Any]
) -> tuple[dict[Version, StudyConfig], list[str]]:
    """How each version was measured by its study, and why this is not known of others."""
    configs, problems = {}, []
    for version in watched:
        try:
            configs[version] = _config(version, items, settings)
        except PercasymError as error:
            problems.append(f"{version.name}@{version.alias}: {error}")
    return configs, problems


def _config(version: Version, items: int, settings: dict[str, Any]) -> StudyConfig:
    """How the study that made `version` measured it."""
    tracker = Tracker.current()
    study = tracker.tag(version.run, PARENT)
    if study is None:
        raise PercasymError("it was made by no study, so its test items are unknown")
    return StudyConfig.read(tracker.params(study), settings).for_testing(items=items)


def _rows(reference: Reference) -> list[Row]:
    return read_results(reference.path / RESULTS)


def _caught_up() -> str | None:
    """Of a run that a schedule made: the name of one that began after its time. When runs were missed, the
    first of them is late and stands for all."""
    if this_run.id is None:
        return None
    with get_client(sync_client=True) as client:
        mine = client.read_flow_run(this_run.id)
        if not mine.auto_scheduled or mine.deployment_id is None:
            return None
        ended = {"any_": [StateType.COMPLETED, StateType.FAILED]}
        later = client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate(
                {
                    "deployment_id": {"any_": [mine.deployment_id]},
                    "state": {"type": ended},
                    "start_time": {"after_": mine.expected_start_time},
                }
            ),
            sort=FlowRunSort.START_TIME_DESC,
        )
    return next((run.name for run in later if run.state_name != SKIPPED and run.id != mine.id), None)


def _reason(name: str, fallen: Iterable[Change]) -> str:
    parts = [
        f"{change.figure} by {-100 * change.difference.value:.1f} points (p = {change.p:.2g})"
        for change in fallen
    ]
    return f"{name} fell: {', '.join(parts)}"


def _tell(watch: _Watch) -> None:
    version = watch.version
    emit_event(
        FELL,
        resource={
            "prefect.resource.id": f"percasym.model.{version.name}.{version.alias}",
            "prefect.resource.name": watch.name,
            "percasym.version": version.number,
        },
        payload={
            "reason": _reason(watch.name, watch.fallen),
            "mlflow_run": watch.run.id,
            "changes": {change.figure: change.difference.value for change in watch.fallen},
        },
    )
