"""The report of a study: one HTML file that needs nothing else, and its figures as PNG and SVG beside it."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from percasym.diagnostics.diagnosis import Diagnosis, diagnose
from percasym.diagnostics.headline import reference_of
from percasym.diagnostics.records import ModelRecord, SweepPoint, TrainingLog, read_training
from percasym.report import accuracy_figures, error_figures, reinforcement_figures, training_figures
from percasym.report.samples import choose_samples
from percasym.report.style import save
from percasym.report.templates import environment

FILE = "report.html"
_PACKAGES = ("percasym", "torch", "transformers", "datasets", "numpy", "matplotlib")
_DESCRIPTIONS = {
    "accuracy": "Bars of end-to-end accuracy, perception and reasoning of each model",
    "differences": "Paired differences of each arm from its reference",
    "training_curves": "Accuracies, losses, weight and gradients over the steps of training",
    "share_curves": "Perception's share of tokens, loss and update over the steps",
    "reinforcement": "Shares of right answers and captions among the sampled responses over the steps",
    "coupling": "Correlation of the outcome with perception and with reasoning over the steps",
    "surrogate_audit": "Correlation with perception, false positives and cost of each surrogate",
    "causes": "Stacked bars of right answers and causes of wrong ones",
    "associations": "Correlation of the end-to-end outcome with perception and with reasoning",
    "caption_credit": "Distribution of the partial credit of captions",
    "misread": "Where captions are wrong and what is read as what",
    "trade_off": "Accuracies along the weight of the perception loss",
    "trade_off_alpha": "Accuracies along the weight of a_p in the reward",
}
_COMPARED = ("a", "a_p", "a_r", "a_partial", "a_p_partial")


@dataclass(frozen=True)
class ReportInput:
    """All that a report is made of."""

    title: str
    models: Sequence[ModelRecord]
    """In the order in which a reader should see them: the base, the token mean, then the other arms."""
    dataset: Path
    """Folder of the data set that all models answered."""
    split: str
    stand_ins: Sequence[str] = ()
    """What stands in for something else, one sentence each; said on top."""
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else somebody needs to get the same numbers: sizes, seeds, wall time, machine."""
    sweep: Sequence[SweepPoint] = ()
    audit: Mapping[str, Any] | None = None
    """`percasym.diagnostics.surrogate_audit` as JSON, if a reward has a surrogate."""


def write_report(study: ReportInput, out: Path) -> Path:
    """Write report.html and figures/NAME.png and .svg into the folder `out`.

    The same input gives the same bytes. Whatever part of the input is missing (training logs, oracle rows, a
    sweep, all arms), what is drawn from it is left out.

    Returns:
        The path of report.html.

    Raises:
        PercasymError: as `percasym.diagnostics.diagnose`, or a picture that cannot be opened.
    """
    diagnosis = diagnose(study.models, study.dataset, study.split, study.sweep)
    samples = choose_samples(diagnosis, study.models, study.dataset, study.split)
    logs = {model.name: read_training(model.training) for model in study.models if model.training}
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        name: save(figure, name, folder, _DESCRIPTIONS[name])
        for name, figure in draw(diagnosis, logs, study.audit).items()
    }
    page = (
        environment()
        .get_template("report.html.jinja")
        .render(
            study=study,
            diagnosis=diagnosis,
            figures=figures,
            reference=reference_of(diagnosis),
            paired=_paired_rows(diagnosis),
            samples=samples,
            training=_training_rows(diagnosis, logs),
            versions=_versions(),
        )
    )
    path = out / FILE
    path.write_text(page, encoding="utf-8")
    return path


def draw(
    diagnosis: Diagnosis, logs: Mapping[str, TrainingLog], audit: Mapping[str, Any] | None = None
) -> dict[str, Figure]:
    """Every figure that the diagnosis has numbers for, by the name of its files."""
    tuned, reinforced = (
        {name: log for name, log in logs.items() if diagnosis["models"][name]["kind"] == kind}
        for kind in ("sft", "rl")
    )
    figures = {
        "accuracy": accuracy_figures.accuracy(diagnosis),
        "differences": accuracy_figures.differences(diagnosis),
        "training_curves": training_figures.training_curves(diagnosis, tuned),
        "share_curves": training_figures.share_curves(diagnosis),
        "reinforcement": reinforcement_figures.reinforcement(diagnosis, reinforced),
        "coupling": reinforcement_figures.coupling(diagnosis),
        "surrogate_audit": reinforcement_figures.surrogate_audit(audit) if audit else None,
        "causes": error_figures.causes(diagnosis),
        "associations": error_figures.associations(diagnosis),
        "caption_credit": error_figures.caption_credit(diagnosis),
        "misread": error_figures.misread(diagnosis),
        "trade_off": accuracy_figures.trade_off(diagnosis, "lam"),
        "trade_off_alpha": accuracy_figures.trade_off(diagnosis, "alpha"),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _paired_rows(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """The table of comparisons, one row an arm, baseline and figure."""
    models = diagnosis["models"]
    return [
        {
            "arm": models[arm]["label"],
            "baseline": models[baseline]["label"],
            "metric": metric,
            **figures[metric],
        }
        for arm, baselines in diagnosis["comparisons"].items()
        for baseline, figures in baselines.items()
        for metric in _COMPARED
        if figures[metric] is not None
    ]


def _training_rows(diagnosis: Diagnosis, logs: Mapping[str, TrainingLog]) -> list[dict[str, Any]]:
    """What each training took."""
    return [
        {
            "label": diagnosis["models"][name]["label"],
            "steps": log.train[-1]["step"],
            "minutes": log.train[-1]["seconds"] / 60,
            "lam": sum(known) / len(known)
            if (known := [x["lam"] for x in log.train if x.get("lam") is not None])
            else None,
        }
        for name, log in logs.items()
        if log.train
    ]


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
