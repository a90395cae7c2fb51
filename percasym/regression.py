"""Whether a model has become worse since the last time, and whether it knows its test items by heart."""

from collections.abc import Sequence
from typing import NamedTuple

from percasym.diagnostics.headline import holm
from percasym.metrics import Estimate, Mode, Row, compare

ALPHA = 0.05
FIGURES: tuple[tuple[str, Mode, str], ...] = (
    ("a", "end_to_end", "a"),
    ("a_p", "end_to_end", "a_p"),
    ("a_r", "oracle", "a"),
)


class Change(NamedTuple):
    """One figure of a model, now against before, on the same items."""

    figure: str
    difference: Estimate  # now - before
    p: float  # McNemar's, adjusted by Holm's method for the three figures
    fell: bool


def changes(before: Sequence[Row], now: Sequence[Row], margin: float) -> list[Change]:
    """How a, a_p and a_r have changed. One fell if it did by more than `margin`, a share, with p < 0.05.

    With Holm's method (Holm 1979, Scand. J. Statist. 6, 65) the three together raise a false alarm in at most
    5 % of the times in which nothing has changed.

    Raises:
        PercasymError: not the same items.
    """
    found = compare(before, now)
    known = [name for name, _, _ in FIGURES if found[name]]
    ps = holm([found[name]["p"] for name in known])
    return [
        Change(name, found[name]["difference"], p, found[name]["difference"].value < -margin and p < ALPHA)
        for name, p in zip(known, ps, strict=True)
    ]


class Gap(NamedTuple):
    """One figure on items that were always the same, against items that the model has never seen."""

    figure: str
    fixed: float
    fresh: float
    p: float  # Fisher's, one-sided, adjusted by Holm's method
    memorised: bool


def gaps(fixed: Sequence[Row], fresh: Sequence[Row], margin: float) -> list[Gap]:
    """Where a model is better on the fixed items than on fresh ones of the same kind, by more than `margin`,
    a share, with p < 0.05 (Fisher's exact test, as the items are not the same)."""
    from scipy.stats import fisher_exact

    known, shares, ps = [], [], []
    for name, mode, column in FIGURES:
        sides = [[bool(row[column]) for row in rows if row["mode"] == mode] for rows in (fixed, fresh)]  # type: ignore[literal-required]
        if all(sides):
            table = [[sum(side), len(side) - sum(side)] for side in sides]
            known.append(name)
            shares.append([sum(side) / len(side) for side in sides])
            ps.append(float(fisher_exact(table, "greater").pvalue))
    return [
        Gap(name, old, new, p, old - new > margin and p < ALPHA)
        for name, (old, new), p in zip(known, shares, holm(ps), strict=True)
    ]
