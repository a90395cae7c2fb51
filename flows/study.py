"""The study: does post-training teach to reason more than to see, and can its loss be mended?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from pydantic import BaseModel

from flows.stand_ins import prepare
from percasym import launch
from percasym.config import StudyConfig
from percasym.grpo.verl.config import check_installed
from percasym.metrics import FIGURES, READING
from percasym.rewards import BEST, chosen
from percasym.tracking import Tracker
from tasks.base import base
from tasks.devices import device_slots
from tasks.diagnose import diagnose
from tasks.distill import distill
from tasks.evaluate import SUMMARY, evaluate
from tasks.flow_run import flow_run
from tasks.gallery import gallery
from tasks.generate import generate
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
    """Generate -> distill -> base -> fine-tune each arm -> reinforce one by each reward -> measure each model
    -> diagnose -> report.

    An arm that fails does not keep the others from being measured; the study then ends with its error.
    """
    if config.rl_arms and config.rl_engine == "verl":
        check_installed()
    with launch.slots(config.workers, device_slots), flow_run(config.name, "study", config) as run:
        data = generate.submit(config, run.id)
        lessons = distill.submit(config, run.id, data=data)
        before = base.submit(config, run.id, model=config.model) if config.makes_base else config.model

        trained = {
            arm: sft.submit(config, run.id, arm, data=lessons, base=before, weighting=arm)
            for arm in config.arms
        }
        started = {"base": before, **trained}
        aids = prepare(config, run.id, data, started)

        def reinforce(arm: str, reward: str) -> PrefectFuture[Reference]:
            engine = verl if config.rl_engine == "verl" else grpo
            start = started[config.rl_from]
            return engine.submit(config, run.id, arm, data=data, base=start, reward=reward, **aids.of(reward))

        def measure(name: str, model: Any) -> PrefectFuture[Reference]:
            # A teacher's server has the GPUs for itself.
            after = [lessons] if config.teacher and not config.teacher_server else []
            return evaluate.submit(config, run.id, name, after, data=data, model=model)

        undecided = [reward for reward, surrogate in config.surrogates().items() if surrogate == BEST]
        rewarded = {reward: reinforce(reward, reward) for reward in config.rl_arms if reward not in undecided}
        measured = {name: measure(name, model) for name, model in {**started, **rewarded}.items()}

        best, doubts = None, []
        if undecided:  # only now, so that nothing else waits for the audit
            try:
                best = aids.best()
            except Exception as error:
                doubts.append(error)
            else:
                rewarded |= {reward: reinforce(reward, chosen(reward, best)) for reward in undecided}
                measured |= {reward: measure(reward, rewarded[reward]) for reward in undecided}
        rewarded = {reward: rewarded[reward] for reward in config.rl_arms if reward in rewarded}

        failures: list[Exception] = []
        _finished({"data": data, "lessons": lessons, "base": before}, failures)
        models = _finished(trained, failures)
        _finished({"audit": aids.audit, "captions": aids.captions}, failures)
        models |= _finished(rewarded, failures)
        results = _finished({name: measured[name] for name in [*started, *rewarded]}, failures)
        failures += doubts
        if failures:
            raise failures[0]

        told: dict[str, Any] = {"data": data, "results": results, "trainings": models}
        told |= {"start": config.rl_from, "best": best}
        account = diagnose.submit(config, run.id, **told)
        page = report.submit(config, run.id, lessons=lessons, audit=aids.audit, **told)
        shown = {
            name: gallery.submit(config, run.id, name, data=data, results=result)
            for name, result in results.items()
        }

        single = {"generate": data, "distill": lessons, "base": before, "caption": aids.captions}
        single |= {"audit": aids.audit, "diagnose": account, "report": page}
        stages = _finished(single, failures)
        stages |= {f"{model.stage} {arm}": model for arm, model in models.items()}
        stages |= {f"evaluate {name}": result for name, result in results.items()}
        stages |= {f"gallery {name}": found for name, found in _finished(shown, failures).items()}
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
