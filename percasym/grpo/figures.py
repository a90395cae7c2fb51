"""What the rollouts of a step tell, whichever engine sampled them."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import numpy as np

from percasym.diagnostics.coupling import SHARES, SKILLS, coupling
from percasym.judgement import FIELDS


def step_figures(groups: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """Means of the reward and of every field, lengths, and the coupling; nan for what items without a p* do
    not have.

    Args:
        groups: the records (`Rollout.record`) of the responses to each item.
    """
    records = [record for group in groups for record in group]
    figures = {}
    for name in ("reward", "surrogate", *FIELDS, "tokens", "truncated"):
        values = [record[name] for record in records if record[name] is not None]
        figures[name] = float(np.mean(values)) if values else nan
    described = [group for group in groups if all(record["a_p"] is not None for record in group)]
    if not described:
        return figures
    found = coupling(described, resamples=0)
    for skill in SKILLS:
        pooled, within = found[skill]["pooled"], found[skill]["within"]
        figures[f"r_{skill}"] = pooled.value if pooled else nan
        figures[f"r_{skill}_within"] = within.value if within else nan
    for name in SHARES:
        share = found[name]
        figures[name] = nan if share is None else share
    return figures


def mean_figures(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure where it is a number."""
    names = dict.fromkeys(name for found in figures for name in found)
    values = {
        name: [found[name] for found in figures if found.get(name) == found.get(name)] for name in names
    }
    return {name: float(np.mean(numbers)) if numbers else nan for name, numbers in values.items()}
