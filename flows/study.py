"""The study: does post-training teach to reason more than to see, and can its loss be mended?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from pydantic import BaseModel

from flows.data import as_data, items
from flows.stand_ins import StandIns
from percasym import launch
from percasym.config import StudyConfig
from percasym.grpo.verl.config import check_installed
from percasym.metrics import FIGURES, READING
from percasym.recipes import Model
from percasym.rewards import chosen
from percasym.tracking import Tracker
from tasks.base import base
from tasks.devices import device_slots
from tasks.diagnose import diagnose
from tasks.distill import distill
from tasks.evaluate import SUMMARY, evaluate
from tasks.flow_run import flow_run
from tasks.gallery import gallery
from tasks.grpo import grpo, verl
from tasks.records import label
from tasks.report import PAGE, report
from tasks.sft import sft
from tasks.show import show_study
from tasks.stage import Reference


class Outcome(BaseModel):
    """Where to find what a study has found."""

    run: str
    """MLflow run of the study; all stages are linked from it."""
    report: str
    """Path of the report."""
    summaries: dict[str, str]
    """Path of the summary of each model: a, a_p, a_r and more, with intervals."""
    labels: dict[str, str]
    """How a reader should see each model."""


@flow(name="study", flow_run_name="{config.name}")
def study(config: StudyConfig) -> Outcome:
    """Generate -> distill -> base -> train each phase of each recipe -> measure all -> diagnose -> report.

    A training that fails does not keep the others from being measured; the study then ends with its error.
    """
    phases = {model.name: model.phase for model in config.models}
    if any(phase.trainer == "grpo" and config.of(phase).grpo.engine == "verl" for phase in phases.values()):
        check_installed()
    with launch.slots(config.workers, device_slots), flow_run(config.name, "study", config) as run:
        data = items(config, run.id)
        config = as_data(config, data)
        responses = distill.submit(config, run.id, data=data)
        before = base.submit(config, run.id, model=config.model) if config.makes_base else config.model
        made: dict[str, Any] = {"base": before}
        stand_ins = StandIns(config, run.id, data, made)

        def train(model: Model, objective: str) -> PrefectFuture[Reference]:
            settings, name, start = config.of(model.phase), model.name, made[model.start]
            if model.phase.trainer == "sft":
                return sft.submit(settings, run.id, name, data=responses, base=start, weighting=objective)
            engine = verl if settings.grpo.engine == "verl" else grpo
            more = stand_ins.of(objective)
            return engine.submit(settings, run.id, name, data=data, base=start, reward=objective, **more)

        def measure(name: str) -> PrefectFuture[Reference]:
            # A teacher's server has the GPUs for itself.
            after = [responses] if config.teacher and not config.teacher_server else []
            return evaluate.submit(config, run.id, name, after, data=data, model=made[name])

        measured = {"base": measure("base")}
        waiting = list(config.models)

        def train_and_measure(best: str | None) -> None:
            """All that wait for nothing, or for no more than the name of the best surrogate."""
            while ready := [one for one in waiting if one.start in made and stand_ins.ready(one, best)]:
                for model in ready:
                    objective = model.phase.objective
                    made[model.name] = train(model, chosen(objective, best) if best else objective)
                    measured[model.name] = measure(model.name)
                    waiting.remove(model)

        best, unranked = None, list[Exception]()
        train_and_measure(best)
        stand_ins.audit_surrogates()
        if waiting:  # only now, so that nothing else waits for the audit
            try:
                best = stand_ins.best()
                train_and_measure(best)
            except Exception as error:
                unranked.append(error)

        failures: list[Exception] = []
        _finished({"data": data, "responses": responses, "base": before}, failures)
        _finished({"audit": stand_ins.audit, "captions": stand_ins.captions}, failures)
        names = [name for name in phases if name in made]
        models = _finished({name: made[name] for name in names}, failures)
        results = _finished({name: measured[name] for name in ("base", *names)}, failures)
        failures += unranked
        if failures:
            raise failures[0]

        common: dict[str, Any] = {"data": data, "results": results, "trainings": models}
        common |= {"starts": {model.name: model.start for model in config.models}, "best": best}
        diagnosis = diagnose.submit(config, run.id, **common)
        page = report.submit(config, run.id, responses=responses, audit=stand_ins.audit, **common)
        galleries = {
            name: gallery.submit(config, run.id, name, data=data, results=result)
            for name, result in results.items()
        }

        single = {
            "ingest" if config.data else "generate": data,
            "distill": responses,
            "base": before,
            "caption": stand_ins.captions,
        }
        single |= {"audit": stand_ins.audit, "diagnose": diagnosis, "report": page}
        stages = _finished(single, failures)
        stages |= {f"{model.stage} {arm}": model for arm, model in models.items()}
        stages |= {f"evaluate {name}": result for name, result in results.items()}
        stages |= {f"gallery {name}": found for name, found in _finished(galleries, failures).items()}
        if failures:
            raise failures[0]

        links = {name: reference.run for name, reference in stages.items()}
        run.link(links)
        labels = {name: label(name, best) for name in results}
        if best:
            run.tags({"surrogate.best": best})
        _register(config.name, models, labels)
        outcome = Outcome(
            run=run.id,
            report=str(stages["report"].path / PAGE),
            summaries={name: str(reference.path / SUMMARY) for name, reference in results.items()},
            labels=labels,
        )
        summaries = {name: json.loads(Path(path).read_text()) for name, path in outcome.summaries.items()}
        for name, summary in summaries.items():
            shares = {figure: (summary[figure] or {}).get("value") for figure in (*FIGURES, *READING)}
            run.metrics(shares, prefix=f"{name}/")
        show_study(
            {labels[name]: summary for name, summary in summaries.items()},
            links,
            outcome.report,
        )
        return outcome


def _finished(futures: Mapping[str, Any], failures: list[Exception]) -> dict[str, Reference]:
    """Waits for all: the references of those that ended well. The errors of others go to `failures`."""
    references = {}
    for name, future in futures.items():
        if isinstance(future, PrefectFuture):
            try:
                references[name] = future.result()
            except Exception as error:
                failures.append(error)
    return references


def _register(name: str, models: Mapping[str, Reference], labels: Mapping[str, str]) -> None:
    """Registers the trained models as versions of `name`, and moves its aliases.

    `baseline` is the token mean, and `best` has the highest a on the validation split, never on the test
    split. MLflow itself takes `latest` for the newest version.
    """
    tracker = Tracker.current()
    versions = {
        arm: tracker.register(
            name,
            f"{model.uri}/model",
            model.run,
            {"arm": arm, "label": labels[arm], "digest": model.digest},
        )
        for arm, model in models.items()
    }
    aliases = {"baseline": "token_mean"} if "token_mean" in models else {}
    validated = {
        arm: a
        for arm, model in models.items()
        if (a := tracker.metric(model.run, "validation/a")) is not None
    }
    if validated:
        aliases["best"] = max(validated, key=lambda arm: validated[arm])
    for alias, arm in aliases.items():
        tracker.alias(name, alias, versions[arm])
