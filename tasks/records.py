"""The models of a study as its diagnosis and its report name them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from percasym.rewards import BEST
from percasym.sft.weighting import NAMES, parse_weighting
from tasks.evaluate import RESULTS
from tasks.stage import TRAINING_LOG
from tasks.training import ROLLOUTS

if TYPE_CHECKING:
    from percasym.diagnostics.records import ModelRecord, SweepPoint

CURVE = 3  # points that are worth a curve


def model_records(
    results: Mapping[str, Path],
    trainings: Mapping[str, Path],
    starts: Mapping[str, str],
    best: str | None = None,
) -> "list[ModelRecord]":
    """A record for each evaluated model, the base first.

    Args:
        trainings: what fine-tuning or reinforcement learning left of every other model.
        starts: for each of these the model that its last training started from.
        best: the surrogate that the audit ranked first, if there was one.
    """
    from percasym.diagnostics.records import ModelRecord

    records = []
    for name, folder in results.items():
        training = trainings.get(name)
        rollouts = training / ROLLOUTS if training and (training / ROLLOUTS).exists() else None
        records.append(
            ModelRecord(
                name=name,
                label=label(name, best),
                kind="base" if name == "base" else "rl" if rollouts else "sft",
                results=folder / RESULTS,
                training=training / TRAINING_LOG if training else None,
                rollouts=rollouts,
                start=starts.get(name),
            )
        )
    return records


def sweep_points(results: Mapping[str, Path]) -> "list[SweepPoint]":
    """The arms of fixed lam, and the rewards by alpha, where there are enough to draw a curve through.

    The outcome reward is the one of alpha = 0.
    """
    from percasym.diagnostics.records import SweepPoint

    points = {"fixed": [], "perception_aware": []}  # type: dict[str, list[SweepPoint]]
    for name, folder in results.items():
        kind, _, weight = name.replace("outcome", "perception_aware:0").partition(":")
        if kind in points:
            over: Literal["lam", "alpha"] = "lam" if kind == "fixed" else "alpha"
            points[kind].append(SweepPoint(float(weight), folder / RESULTS, over))
    return [point for curve in points.values() if len(curve) >= CURVE for point in curve]


def label(name: str, best: str | None = None) -> str:
    """How a reader should see a model; `best` is what surrogate:best stood for.

    One that is called as its weighting or its reward, as arms are, is shown by what that is.
    """
    kind, _, argument = name.partition(":")
    if kind in NAMES:
        return parse_weighting(name).label() or name
    if name == "outcome":
        return "GRPO, outcome"
    if kind == "perception_aware":
        return f"GRPO, α = {argument}"
    if kind == "perception_aware_partial":
        return f"GRPO, partial credit, α = {argument}"
    if kind == "surrogate":
        surrogate, _, alpha = argument.rpartition(":")
        what = f"surrogate {_short(surrogate)}"
        if surrogate == BEST:
            what = f"best surrogate: {_short(best)}" if best else "best surrogate"
        return f"GRPO, {what}, α = {alpha}"
    return name


def _short(surrogate: str) -> str:
    """A user's surrogate by its file and function."""
    return Path(surrogate).name
