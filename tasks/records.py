"""The models of a study as its diagnosis and its report name them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.evaluate import RESULTS
from tasks.stage import VOLATILE
from tasks.training import ROLLOUTS

if TYPE_CHECKING:
    from percasym.diagnostics.records import ModelRecord, SweepPoint

LABELS = {
    "base": "base",
    "token_mean": "token mean",
    "ngdiff": "NGDiff",
    "dwa": "DWA",
    "uncertainty": "uncertainty",
    "pcgrad": "PCGrad",
    "outcome": "GRPO, outcome",
}


def model_records(
    results: Mapping[str, Path], trainings: Mapping[str, Path], start: str
) -> "list[ModelRecord]":
    """A record for each evaluated model, the base first.

    Args:
        trainings: what fine-tuning or reinforcement learning left of every other model.
        start: the model that all reinforcement learning started from.
    """
    from percasym.diagnostics.records import ModelRecord

    records = []
    for name, folder in results.items():
        training = trainings.get(name)
        rollouts = training / ROLLOUTS if training and (training / ROLLOUTS).exists() else None
        records.append(
            ModelRecord(
                name=name,
                label=label(name),
                kind="base" if name == "base" else "rl" if rollouts else "sft",
                results=folder / RESULTS,
                training=training / VOLATILE if training else None,
                rollouts=rollouts,
                start=start if rollouts else None,
            )
        )
    return records


def sweep_points(results: Mapping[str, Path]) -> "list[SweepPoint]":
    """The arms of fixed lam, if there are enough to draw a curve through."""
    from percasym.diagnostics.records import SweepPoint

    fixed = {name: folder for name, folder in results.items() if name.startswith("fixed:")}
    if len(fixed) < 3:
        return []
    return [SweepPoint(float(name.partition(":")[2]), folder / RESULTS) for name, folder in fixed.items()]


def label(name: str) -> str:
    """How a reader should see an arm, or a reward."""
    kind, _, argument = name.partition(":")
    if kind == "fixed":
        return f"λ = {argument}"
    if kind == "perception_aware":
        return f"GRPO, α = {argument}"
    return LABELS.get(name, name)
