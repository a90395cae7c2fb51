"""How well what stands in for a_p does so where the truth is known, on a labelled split.

Over groups of rollouts each surrogate is compared with a_p, whether the caption is right. What a
group-normalised advantage sees is the correlation *within* groups, so surrogates are ranked by that.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from percasym.diagnostics.coupling import Array, correlations
from percasym.errors import PercasymError
from percasym.metrics import RESAMPLES, Estimate


class SurrogateFigures(TypedDict):
    """What the audit finds out about one surrogate."""

    pooled: Estimate | None
    """Pearson's r with a_p over all rollouts, with its 95 % interval; None if one never varies."""
    within: Estimate | None
    """The same with both centred on the mean of their group."""
    false_positives: float | None
    """Share of the wrong captions that get at least the median value of the right ones; None without wrong
    or without right captions."""
    seconds: float
    """What a rollout costs."""


class SurrogateAudit(TypedDict):
    surrogates: dict[str, SurrogateFigures]
    """By name, the best one first: by `within`, None last; equal ones in the order they were given in."""
    right: float
    """Share of right captions."""
    groups: int
    rollouts: int


def audit_surrogates(
    groups: Sequence[Sequence[Mapping[str, Any]]],
    seconds: Mapping[str, float],
    resamples: int = RESAMPLES,
) -> SurrogateAudit:
    """The audit of the surrogates that `seconds` names.

    Args:
        groups: the rollouts of each item, each with `a_p` and, under `surrogates`, the value of each by name.
        seconds: that each surrogate took for all rollouts together.

    Raises:
        ValueError: there are no rollouts.
    """
    tables = [
        np.array([[r["a_p"], *(r["surrogates"][name] for name in seconds)] for r in group], float)
        for group in groups
    ]
    if not tables or not all(len(table) for table in tables):
        raise ValueError("audit_surrogates: there are no rollouts")
    every = np.concatenate(tables)
    found = {
        name: SurrogateFigures(
            pooled=correlation["pooled"],
            within=correlation["within"],
            false_positives=_false_positives(every[:, 0] > 0, every[:, column]),
            seconds=seconds[name] / len(every),
        )
        for column, (name, correlation) in enumerate(
            zip(seconds, correlations(tables, resamples), strict=True), 1
        )
    }
    return SurrogateAudit(
        surrogates=dict(sorted(found.items(), key=lambda item: _rank(item[1]))),
        right=float(every[:, 0].mean()),
        groups=len(tables),
        rollouts=len(every),
    )


def best_surrogate(audit: Mapping[str, Any]) -> str:
    """The name of the surrogate that an audit, or its JSON, ranks first.

    Raises:
        PercasymError: it could rank none.
    """
    name, figures = next(iter(audit["surrogates"].items()))
    if figures["within"] is None:
        raise PercasymError(
            f"the audit cannot tell which surrogate is best: {audit['right']:.0%} of the captions"
            " are right, and within a group none goes with that; name one, or raise audit.items"
        )
    return str(name)


def _rank(figures: SurrogateFigures) -> float:
    return np.inf if figures["within"] is None else -figures["within"].value


def _false_positives(right: npt.NDArray[np.bool_], values: Array) -> float | None:
    if right.all() or not right.any():
        return None
    return float((values[~right] >= np.median(values[right])).mean())
