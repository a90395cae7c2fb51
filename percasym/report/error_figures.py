"""What goes wrong: causes of wrong answers, which skill the answer follows, and what is misread."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from percasym.diagnostics.diagnosis import Diagnosis
from percasym.puzzles.graph_coloring import NO_EDGE
from percasym.puzzles.sudoku import NO_DIGIT
from percasym.report.outcomes import BORDER, FILLS, NAMES, ON_FILL
from percasym.report.style import (
    BLUE,
    INK,
    METRICS,
    SMALL,
    TINY,
    VERMILLION,
    axis_labels,
    interval,
    legend,
    model_looks,
    name_rows,
    new_figure,
    put,
    put_at_ends,
    shorten,
    title,
)

_GIVEN = [(True, True), (True, False), (False, True), (False, False)]
_WITH_NUMBERS = 6
"""Tables of up to so many rows have room for numbers."""


def causes(diagnosis: Diagnosis) -> Figure:
    """Every item once, in one bar a model: right, right on a wrong caption, or why it is wrong, if known."""
    models = diagnosis["models"].values()
    figure, (ax,) = new_figure(0.8 + 0.3 * len(models))
    for row, model in enumerate(models):
        total, left = model["summary"]["a"]["n"], 0.0
        for outcome, fill in FILLS.items():
            width = 100 * model["outcomes"].get(outcome, 0) / total
            ax.barh(row, width, left=left, height=0.68, **BORDER, **fill)
            if width >= 4:
                put(ax, left + width / 2, row, f"{width:.0f}", color=ON_FILL[outcome])
            left += width
    name_rows([ax], [model["label"] for model in models])
    ax.set_xlim(0, 100)
    axis_labels(ax, "% of the items")
    present = [key for key in NAMES if any(model["outcomes"].get(key) for model in models)]
    legend(figure, [Patch(label=NAMES[key], **BORDER, **FILLS[key]) for key in present])
    return figure


def associations(diagnosis: Diagnosis) -> Figure | None:
    """Left: r of a with a_p and with a_r, with 95 % intervals. Right: how often a holds given both skills."""
    linked = [
        (model["label"], model["association"])
        for model in diagnosis["models"].values()
        if model["association"]
    ]
    if not linked:
        return None
    marks = {"a_p": ("o", -0.14, "with perception"), "a_r": ("s", 0.14, "with reasoning")}
    widths = {"width_ratios": [1.15, 1]}
    figure, (left, right) = new_figure(0.85 + 0.32 * len(linked), columns=2, sharey=True, gridspec_kw=widths)
    left.axvline(0, color=INK, linewidth=0.8, alpha=0.5)
    for row, (_, association) in enumerate(linked):
        for metric, (marker, shift, _) in marks.items():
            if (r := association[metric]) is not None:
                color = METRICS[metric]
                interval(left, row + shift, r, color, 1, marker=marker, markersize=4.5, elinewidth=1.3)
        by_skills = {(given["a_p"], given["a_r"]): given for given in association["given"]}
        for column, skills in enumerate(_GIVEN):
            n, correct = by_skills[skills]["n"], by_skills[skills]["right"]
            share = correct / n if n else 0.0
            _tile(right, column, row, to_rgba(BLUE, 0.75 * share))
            put(right, column, row, f"{correct} / {n}" if n else "–", color="white" if share > 0.8 else INK)
    name_rows([left, right], [label for label, _ in linked])
    left.set_xlim(min(-0.05, left.get_xlim()[0]), 1)
    left.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    axis_labels(left, "Pearson's $r$ with the end-to-end outcome $a$, over items")
    title(left, "Which skill the answer follows")
    right.set_xlim(-0.55, 3.55)
    right.set_xticks(range(4), [f"$p$ {'✓' if p else '✗'}  $r$ {'✓' if r else '✗'}" for p, r in _GIVEN])
    right.tick_params(length=0)
    right.spines[["left", "bottom"]].set_visible(False)
    title(right, "Right end to end, given both skills")
    legend(
        figure,
        [
            Line2D([], [], color=METRICS[metric], marker=marker, linestyle="none", markersize=4.5, label=text)
            for metric, (marker, _, text) in marks.items()
        ],
    )
    return figure


def caption_credit(diagnosis: Diagnosis) -> Figure | None:
    """The share of captions with at least so much partial credit, one line a model; None without a p*."""
    if not any(model["caption_credit"] for model in diagnosis["models"].values()):
        return None
    figure, (ax,) = new_figure(2.6, width=4.6)
    labels, ends, left = [], [], 0.9
    for name, look in model_looks(diagnosis["models"]).items():
        if not (counted := diagnosis["models"][name]["caption_credit"]):
            continue
        credit, counts = (np.asarray(part, dtype=float) for part in zip(*counted, strict=True))
        at_least = 100 * counts[::-1].cumsum()[::-1] / counts.sum()
        exact = at_least[-1] if credit[-1] == 1 else 0.0
        x, y = np.concatenate([[0], credit, [1]]), np.concatenate([[100], at_least, [exact]])
        ax.step(x, y, where="pre", color=look.color, linestyle=look.dash, linewidth=1.4)
        labels.append(shorten(diagnosis["models"][name]["label"]))
        ends.append(float(exact))
        left = min(left, float(credit[at_least > 95][-1]))
    put_at_ends(ax, labels, ends, gap=6.5)
    ax.set_xlim(max(0.0, left - 0.1), 1.005)
    ax.set_ylim(0, 101)
    axis_labels(ax, "partial credit of the caption", "% of captions with at least that")
    return figure


def misread(diagnosis: Diagnosis) -> Figure | None:
    """Above: where captions are wrong, by cell or pair of vertices. Below: what is read as what."""
    counted = [
        (model["label"], model["misreadings"])
        for model in diagnosis["models"].values()
        if model["misreadings"] and any(map(any, model["misreadings"]["seen"]))
    ]
    if not counted:
        return None
    side = max(1.2, min(1.75, 6.6 / len(counted)))
    size = {"width": max(3.0, side * len(counted) + 0.5), "height": 2 * side + 0.9}
    figure, axes = new_figure(rows=2, columns=len(counted), **size)
    above, below = axes[: len(counted)], axes[len(counted) :]
    places = [_ratio(counts["wrong"], counts["seen"]) for _, counts in counted]
    values = [
        _ratio(counts["confusion"], np.sum(counts["confusion"], axis=1, keepdims=True))
        for _, counts in counted
    ]
    wrong = [np.where(np.eye(len(shares)), np.nan, shares) for shares in values]
    for ax, (label, counts), shares in zip(above, counted, places, strict=True):
        _heat(ax, shares, counts["rows"], counts["columns"], most=_largest(places))
        title(ax, shorten(label, 18), verbatim=True)
    for ax, (_, counts), shares in zip(below, counted, wrong, strict=True):
        names = [{NO_DIGIT: "–", NO_EDGE: "none"}.get(value, value) for value in counts["values"]]
        _heat(ax, shares, names, names, most=_largest(wrong))
        axis_labels(ax, "read as")
    axis_labels(above[0], y=f"misread there\n(full colour: {100 * _largest(places):.0f} %)")
    axis_labels(below[0], "read as", f"what it is\n(full colour: {100 * _largest(wrong):.0f} %)")
    return figure


def _ratio(part: Any, whole: Any) -> npt.NDArray[np.float64]:
    """part / whole, nan where the whole is 0."""
    counts = np.broadcast_to(np.asarray(whole, dtype=float), np.shape(part))
    ratio: npt.NDArray[np.float64] = np.full(counts.shape, np.nan)
    np.divide(part, counts, where=counts > 0, out=ratio)
    return ratio


def _largest(tables: Sequence[npt.NDArray[np.float64]]) -> float:
    return max((float(np.nanmax(table)) for table in tables if not np.isnan(table).all()), default=0.0)


def _heat(
    ax: Axes, shares: npt.NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], most: float
) -> None:
    """A table of shares, shaded up to `most`, with numbers in % if there is room; empty where nan."""
    size = len(rows)
    for row, column in product(range(size), repeat=2):
        share = shares[row, column]
        if not np.isnan(share):
            shade = 0.9 * share / most if most else 0.0
            _tile(ax, column, row, to_rgba(VERMILLION, shade))
            if size <= _WITH_NUMBERS:
                put(ax, column, row, f"{100 * share:.0f}", color="white" if shade > 0.75 else INK, size=TINY)
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
    ax.set_xticks(range(size), columns)
    ax.set_yticks(range(size), rows)
    ax.tick_params(length=0, labelsize=TINY if size > _WITH_NUMBERS else SMALL)
    ax.spines[:].set_visible(False)


def _tile(ax: Axes, column: int, row: int, color: tuple[float, ...]) -> None:
    border: dict[str, Any] = {"edgecolor": to_rgba(INK, 0.12), "linewidth": 0.4}
    ax.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=color, **border))
