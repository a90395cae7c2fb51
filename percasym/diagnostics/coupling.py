"""What the outcome reward follows during reinforcement learning: perception or reasoning.

Over G rollouts of each item, Pearson's r of the outcome a with perception (a_p) and with reasoning. The
reasoning of one rollout is `a_own`: the answer is right for the puzzle that the rollout's own caption
describes. (The counterfactual a_r belongs to an item, not to a rollout: `association` has its correlation.)

*Pooled* correlates over all rollouts, so it also holds that some items are easy to see and to solve alike;
*within* centres every quantity on the mean of its group first, which is what a group-normalised advantage
sees. Intervals are 95 % percentile bootstrap intervals over groups, as rollouts of one item are not
independent.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from percasym.errors import PercasymError
from percasym.metrics import CONFIDENCE, RESAMPLES, Estimate
from percasym.seeding import numpy_stream, stream

Array = npt.NDArray[np.float64]

Skill = Literal["a_p", "a_own"]
SKILLS: tuple[Skill, ...] = ("a_p", "a_own")

Share = Literal["no_spread", "lucky", "unlucky"]
SHARES: tuple[Share, ...] = ("no_spread", "lucky", "unlucky")
WINDOWS = 5


class Correlation(TypedDict):
    """None where one of the two never varies."""

    pooled: Estimate | None
    within: Estimate | None


class Coupling(TypedDict):
    """How the outcome goes with each skill over groups of rollouts. Shares are of rollouts, or of groups."""

    a_p: Correlation
    a_own: Correlation
    no_spread: float
    """Share of groups whose outcomes are all the same: an outcome reward learns nothing from them."""
    lucky: float | None
    """Share of the rollouts with a right answer whose caption is wrong; None if no answer is right."""
    unlucky: float | None
    """Share of the rollouts with a right caption whose answer is wrong; None if no caption is right."""
    groups: int
    rollouts: int


def coupling(groups: Iterable[Sequence[Mapping[str, Any]]], resamples: int = RESAMPLES) -> Coupling:
    """The coupling over `groups`, each the rollouts of one item with the columns a, a_p and a_own.

    The same rollouts give the same intervals; `resamples` of 0 gives none (low and high are nan).

    Raises:
        ValueError: there are no rollouts.
    """
    tables = [np.array([[r["a"], *(r[s] for s in SKILLS)] for r in group], float) for group in groups]
    if not tables or not all(len(table) for table in tables):
        raise ValueError("coupling: there are no rollouts")
    every = np.concatenate(tables)
    right, seen = every[:, 0] > 0, every[:, 1] > 0
    with_perception, with_reasoning = correlations(tables, resamples)
    return Coupling(
        a_p=with_perception,
        a_own=with_reasoning,
        no_spread=float(np.mean([table[:, 0].min() == table[:, 0].max() for table in tables])),
        lucky=_share(right & ~seen, right),
        unlucky=_share(seen & ~right, seen),
        groups=len(tables),
        rollouts=len(every),
    )


def correlations(tables: Sequence[Array], resamples: int = RESAMPLES) -> list[Correlation]:
    """Pearson's r of the first column with each other one, pooled and within groups, with their intervals.

    Args:
        tables: one for each group, (rollouts of the group, columns).
        resamples: of the groups, for the intervals; the same tables give the same intervals.
    """
    every = np.concatenate(tables)
    rng = numpy_stream(stream("coupling", len(tables), every.sum(axis=0).tolist()))
    weights = np.concatenate([
        np.ones((1, len(tables))),
        rng.multinomial(len(tables), np.full(len(tables), 1 / len(tables)), resamples),
    ])  # fmt: skip
    centred = [table - table.mean(axis=0) for table in tables]
    return [
        Correlation(
            pooled=_estimate(weights @ _sums(tables, column), len(every)),
            within=_estimate(weights @ _sums(centred, column), len(every)),
        )
        for column in range(1, every.shape[1])
    ]


class CouplingWindow(TypedDict):
    """The coupling over some successive steps of a training."""

    first: int
    last: int
    coupling: Coupling


def read_groups(path: Path) -> dict[int, list[list[dict[str, Any]]]]:
    """The groups of each step in a file of JSON lines with step, id, a, a_p and a_own, as GRPO writes it.

    Lines without a step are of step 0, so any grouped rollouts can be read. Those of items without a p*,
    whose a_p is null, are left out.

    Raises:
        PercasymError: the file cannot be read, or a line lacks one of these.
    """
    steps: dict[int, dict[str, list[dict[str, Any]]]] = {}
    number = 0
    try:
        with path.open() as file:
            for number, line in enumerate(file, 1):  # noqa: B007 - told in the error
                row = json.loads(line)
                if row["a_p"] is None:
                    continue
                outcome = {key: float(row[key]) for key in ("a", *SKILLS)}
                steps.setdefault(int(row.get("step", 0)), {}).setdefault(str(row["id"]), []).append(outcome)
    except OSError as error:
        raise PercasymError(f"cannot read the rollouts {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PercasymError(
            f"{path}, line {number}: write an object with id, a, a_p and a_own on each line ({error})"
        ) from error
    if not number:
        raise PercasymError(f"{path} holds no rollouts")
    return {step: list(groups.values()) for step, groups in sorted(steps.items())}


def coupling_over_steps(groups: Mapping[int, list[list[dict[str, Any]]]]) -> list[CouplingWindow]:
    """The coupling of up to `WINDOWS` parts of a training, of about equally many steps each."""
    parts = np.array_split(list(groups), min(WINDOWS, len(groups))) if groups else []
    return [
        CouplingWindow(
            first=int(part[0]),
            last=int(part[-1]),
            coupling=coupling(group for step in part for group in groups[int(step)]),
        )
        for part in parts
    ]


def _sums(tables: Sequence[Array], column: int) -> Array:
    """(groups, 6): n and the sums of a, x, aa, xx and ax of each group."""
    return np.array(
        [
            [len(t), a.sum(), x.sum(), (a * a).sum(), (x * x).sum(), (a * x).sum()]
            for t in tables
            for a, x in [(t[:, 0], t[:, column])]
        ]
    )


def _estimate(sums: Array, n: int) -> Estimate | None:
    """Pearson's r of each row of `sums`: the first one's value with the interval of the rest."""
    count, a, x, aa, xx, ax = sums.T
    variances = np.maximum(aa - a * a / count, 0) * np.maximum(xx - x * x / count, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(variances > 1e-12 * count**2, (ax - a * x / count) / np.sqrt(variances), np.nan)
    if np.isnan(r[0]):
        return None
    tail = (1 - CONFIDENCE) / 2
    others = r[1:][~np.isnan(r[1:])]
    low, high = np.quantile(others, [tail, 1 - tail]) if len(others) else (np.nan, np.nan)
    return Estimate(float(r[0]), float(low), float(high), n)


def _share(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> float | None:
    return float(part.sum() / whole.sum()) if whole.any() else None
