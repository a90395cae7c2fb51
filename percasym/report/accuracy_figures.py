"""What each model can do: a, a_p, a_r before and after, paired differences, the trade-off along a sweep."""

from collections.abc import Iterator
from math import inf
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from percasym.diagnostics.diagnosis import Diagnosis, Interval
from percasym.diagnostics.headline import reference_of
from percasym.report.style import (
    GREY,
    INK,
    METRICS,
    NAMES,
    SIZE,
    SYMBOLS,
    TINY,
    axis_labels,
    interval,
    legend,
    model_looks,
    name_rows,
    new_figure,
    put,
    put_at_ends,
    put_near,
    shorten,
    title,
)


def accuracy(diagnosis: Diagnosis) -> Figure:
    """Bars of the three accuracies, one panel each, one row a model; the base pale, and as a dotted line."""
    models = diagnosis["models"].values()
    figure, axes = new_figure(0.75 + 0.28 * len(models), columns=3, sharey=True)
    for ax, metric, color in _panels(axes):
        for row, model in enumerate(models):
            estimate = model["summary"][metric]
            if estimate is None:
                put(ax, 2, row, "not measured", align="left")
                continue
            before = model["kind"] == "base"
            value, _, high = _percent(estimate)
            ax.barh(row, value, height=0.66, color=color, alpha=0.35 if before else 0.85)
            interval(ax, row, estimate, INK, 100, elinewidth=0.9, capsize=2, capthick=0.9)
            put(ax, high + 2.5, row, f"{value:.1f}", size=SIZE, align="left")
            if before and len(models) > 1:
                ax.axvline(value, color=color, linestyle=":", linewidth=0.9, zorder=0)
        ax.set_xlim(0, 118)
        ax.set_xticks([0, 25, 50, 75, 100])
        axis_labels(ax, "% of the items")
    name_rows(axes, [model["label"] for model in models])
    return figure


def differences(diagnosis: Diagnosis) -> Figure | None:
    """Each arm minus its reference (`reference_of`), in points; open where the interval holds 0."""
    reference = reference_of(diagnosis)
    arms = [arm for arm, baselines in diagnosis["comparisons"].items() if reference in baselines]
    if reference is None or not arms:
        return None
    figure, axes = new_figure(0.8 + 0.3 * len(arms), columns=3, sharey=True, sharex=True)
    for ax, metric, color in _panels(axes):
        ax.axvline(0, color=INK, linewidth=0.8, alpha=0.6, zorder=0)
        for row, arm in enumerate(arms):
            test = diagnosis["comparisons"][arm][reference][metric]
            if test is None:
                put(ax, 0, row, "not measured")
                continue
            value, low, high = _percent(test["difference"])
            marker = {"marker": "o", "markersize": 5, "markeredgewidth": 1.2}
            marker["markerfacecolor"] = color if low > 0 or high < 0 else "white"
            interval(ax, row, test["difference"], color, 100, elinewidth=1.4, capsize=2.5, **marker)
            put_near(ax, value, row, f"{value:+.1f}".replace("-", "−"), (0, 5), ha="center")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis_labels(ax, "points")
    name_rows(axes, [diagnosis["models"][arm]["label"] for arm in arms])
    return figure


_WEIGHTS = {"lam": r"$\lambda$ of the perception loss", "alpha": r"$\alpha$ of $a_p$ in the reward"}
_KINDS = {"lam": "sft", "alpha": "rl"}


def trade_off(diagnosis: Diagnosis, over: Literal["lam", "alpha"]) -> Figure | None:
    """The accuracies along a grid of weights of perception, and the path between the two skills."""
    sweep = diagnosis["sweeps"][over]
    if not sweep:
        return None
    figure, (left, right) = new_figure(2.7, columns=2, gridspec_kw={"width_ratios": [1.1, 1]})
    weights = [point["weight"] for point in sweep]
    ends = {}
    for metric, color in METRICS.items():
        if not all(point[metric] for point in sweep):
            continue
        values, lows, highs = zip(*(_percent(point[metric]) for point in sweep), strict=True)
        left.plot(weights, values, "o-", color=color, markersize=3.5)
        left.fill_between(weights, lows, highs, color=color, alpha=0.15, linewidth=0)
        ends[f"{SYMBOLS[metric]} {NAMES[metric].partition(' given')[0]}"] = values[-1]
    put_at_ends(left, list(ends), list(ends.values()), gap=6, parse_math=True, fontsize=SIZE)
    left.set_xlim(min(weights) - 0.02, max(weights) + 0.02)
    axis_labels(left, f"weight {_WEIGHTS[over]}", "% of the items")
    title(left, f"Accuracy along {_WEIGHTS[over].split()[0]}")
    if marks := _skills(right, diagnosis, over):
        legend(figure, marks)
    return figure


def _skills(ax: Axes, diagnosis: Diagnosis, over: Literal["lam", "alpha"]) -> list[Line2D]:
    """Perception against reasoning: the path of the sweep, and the other arms, whose marks are returned."""
    path = [point for point in diagnosis["sweeps"][over] if point["a_r"]]
    seen, reasoned = ([100 * point[metric]["value"] for point in path] for metric in ("a_p", "a_r"))
    ax.plot(seen, reasoned, "o-", color=GREY, markersize=3.5, linewidth=1)
    ax.margins(0.12)
    named = -inf
    for point, x, y in zip(path, seen, reasoned, strict=True):
        if abs(x - named) > 0.06 * (max(seen) - min(seen)):  # closer names would lie upon each other
            put_near(ax, x, y, f"{point['weight']:g}", (4, 3), fontsize=TINY)
            named = x
    marks = []
    for name, look in model_looks(diagnosis["models"]).items():
        model = diagnosis["models"][name]
        swept = name.startswith(("fixed:", "perception_aware:"))
        if model["kind"] == _KINDS[over] and not swept and model["summary"]["a_r"]:
            x, y = (100 * model["summary"][metric]["value"] for metric in ("a_p", "a_r"))
            label = shorten(model["label"])
            marks += ax.plot(x, y, look.marker, color=look.color, markersize=6, linestyle="none", label=label)
    axis_labels(ax, "perception $a_p$, %", "reasoning $a_r$, %")
    title(ax, f"The two skills, {_WEIGHTS[over].split()[0]} beside each point")
    return marks


def _panels(axes: list[Axes]) -> Iterator[tuple[Axes, str, str]]:
    """The three panels of a, a_p and a_r with their titles."""
    for ax, (metric, color) in zip(axes, METRICS.items(), strict=True):
        title(ax, f"{SYMBOLS[metric]}  {NAMES[metric]}", color)
        yield ax, metric, color


def _percent(estimate: Interval) -> tuple[float, float, float]:
    return 100 * estimate["value"], 100 * estimate["low"], 100 * estimate["high"]
