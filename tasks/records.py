"""The models of a study as its diagnosis and its report name them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.evaluate import RESULTS
from tasks.stage import VOLATILE

if TYPE_CHECKING:
    from percasym.diagnostics.records import ModelRecord, SweepPoint

LABELS = {
    "base": "base",
    "token_mean": "token mean",
    "ngdiff": "NGDiff",
    "dwa": "DWA",
    "uncertainty": "uncertainty",
    "pcgrad": "PCGrad",
}


def model_records(results: Mapping[str, Path], trainings: Mapping[str, Path]) -> "list[ModelRecord]":
    """A record for each evaluated model, the base first; `trainings` are the arms'."""
    from percasym.diagnostics.records import ModelRecord

    return [
        ModelRecord(
            name=name,
            label=label(name),
            kind="base" if name == "base" else "sft",
            results=folder / RESULTS,
            training=trainings[name] / VOLATILE if name in trainings else None,
        )
        for name, folder in results.items()
    ]


def sweep_points(results: Mapping[str, Path]) -> "list[SweepPoint]":
    """The arms of fixed lam, if there are enough to draw a curve through."""
    from percasym.diagnostics.records import SweepPoint

    fixed = {name: folder for name, folder in results.items() if name.startswith("fixed:")}
    if len(fixed) < 3:
        return []
    return [SweepPoint(float(name.partition(":")[2]), folder / RESULTS) for name, folder in fixed.items()]


def label(name: str) -> str:
    """How a reader should see an arm."""
    kind, _, argument = name.partition(":")
    return f"λ = {argument}" if kind == "fixed" else LABELS.get(name, name)
