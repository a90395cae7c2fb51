"""Which items flipped between two models: streams from each outcome before to each one after, and a table.

MLflow shows that two accuracies differ; this shows what the difference is made of. A stream that rises to a
right answer is a gain, and is filled with the colour of the cause that it leaves; one that falls is a loss,
hatched in the colour of the cause that it meets.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path

from percasym.comparison import Flips, is_right
from percasym.metrics import Outcome
from percasym.report.outcomes import BORDER, FILLS, NAMES
from percasym.report.style import (
    BLUE,
    INK,
    ORANGE,
    SIZE,
    SMALL,
    axis_labels,
    legend,
    new_figure,
    put,
    shorten,
    spread,
    title,
    verbatim,
)

_HEIGHT = 3.6
"""Inches."""
_BAR, _GAP = 0.07, 0.02
"""Width of a bar in that of its axes; between two outcomes, in the height of all items."""
_LINE = 0.05
"""Room that a line of text needs, in the height of all items."""
_GAINED: dict[str, Any] = {"facecolor": to_rgba(BLUE, 0.35)}
_LOST: dict[str, Any] = {"facecolor": to_rgba(ORANGE, 0.25), "hatch": "//"}
_SAME: dict[str, Any] = {"facecolor": to_rgba(INK, 0.05)}
_EMPTY: dict[str, Any] = {"facecolor": "none"}

Counts = npt.NDArray[np.int64]
"""Items by outcome before and after, shape (outcomes, outcomes)."""


def flip_figure(flips: Flips, before: str, after: str) -> Figure:
    """Left: streams of items from the outcome that they had to the one that they have. Right: their numbers.

    Args:
        before: label of the first model; as `after`, text that is not ours.
    """
    cells = flips["cells"]
    present = [name for name in NAMES if any(cells[name][other] or cells[other][name] for other in NAMES)]
    counts = np.array([[len(cells[was][now]) for now in present] for was in present])
    figure, (left, right) = new_figure(_HEIGHT, columns=2, gridspec_kw={"width_ratios": [1.2, 1]})
    _streams(left, counts, present)
    left.set_xticks([0, 1], [shorten(before), shorten(after)])
    left.tick_params(length=0, labelsize=SIZE)
    verbatim(left.get_xticklabels())
    _table(right, counts, present)
    axis_labels(right, shorten(after), shorten(before))
    verbatim([right.xaxis.label, right.yaxis.label])
    net = f"{flips['gained'] - flips['lost']:+d}".replace("-", "−")
    title(left, f"{flips['gained']} gained, {flips['lost']} lost: {net} right")
    title(right, "Items before (rows) and after (columns)")
    meanings = [Patch(label=NAMES[name], **BORDER, **FILLS[name]) for name in present]
    marks = [Patch(label=text, **BORDER, **fill) for text, fill in (("gained", _GAINED), ("lost", _LOST))]
    legend(figure, [*meanings, *marks])
    return figure


def _streams(ax: Axes, counts: Counts, present: Sequence[Outcome]) -> None:
    shares = counts / counts.sum()
    left, right = _stack(shares.sum(axis=1)), _stack(shares.sum(axis=0))
    # A stream begins and ends below those before it of the same outcome.
    starts = left[:, None] - shares.cumsum(axis=1) + shares
    ends = right - shares.cumsum(axis=0) + shares
    streams = [
        (is_right(was) != is_right(now), i, j)
        for (i, was), (j, now) in product(enumerate(present), enumerate(present))
        if counts[i, j]
    ]
    for _, i, j in sorted(streams):  # those that do not flip lie behind
        _stream(ax, starts[i, j], ends[i, j], shares[i, j], present[i], present[j])
    _bar(ax, 0, "right", left, counts.sum(axis=1), present)
    _bar(ax, 1, "left", right, counts.sum(axis=0), present)
    ax.set(xlim=(-0.36, 1.36), ylim=(-_GAP * len(present) - 0.02, 1.02), yticks=[])
    ax.spines[:].set_visible(False)


def _stack(heights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where each of these begins if they are stacked from 1 downwards with gaps."""
    steps = heights + _GAP * (heights > 0)
    tops: npt.NDArray[np.float64] = 1 - steps.cumsum() + steps
    return tops


def _bar(
    ax: Axes,
    x: int,
    align: str,
    tops: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    present: Sequence[Outcome],
) -> None:
    """The outcomes of one model, stacked, each with its name and number outside."""
    heights = counts / counts.sum()
    outside = x + (-1 if align == "right" else 1) * (_BAR / 2 + 0.02)
    shown = [index for index, count in enumerate(counts) if count]
    places = spread([tops[index] - heights[index] / 2 for index in shown], _LINE)
    for index, y in zip(shown, places, strict=True):
        corner = (x - _BAR / 2, tops[index] - heights[index])
        ax.add_patch(Rectangle(corner, _BAR, heights[index], **BORDER, **FILLS[present[index]]))
        put(ax, outside, y, f"{present[index]} {counts[index]}", align=align)


def _stream(ax: Axes, start: float, end: float, height: float, was: Outcome, now: Outcome) -> None:
    x = [_BAR / 2, 0.5, 0.5, 1 - _BAR / 2]
    upper = [start, start, end, end]
    points = [
        *zip(x, upper, strict=True),
        *((u, v - height) for u, v in zip(x[::-1], upper[::-1], strict=True)),
    ]
    curve = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    if is_right(was) == is_right(now):
        style: dict[str, Any] = {"facecolor": to_rgba(INK, 0.07), "linewidth": 0}
    elif is_right(now):
        style = {"facecolor": to_rgba(FILLS[was]["facecolor"], 0.85), "linewidth": 0.3, "edgecolor": INK}
    else:
        color = FILLS[now]["facecolor"]
        style = {"facecolor": to_rgba(color, 0.18), "edgecolor": color, "hatch": "/////", "linewidth": 0.6}
    ax.add_patch(PathPatch(Path([*points, points[0]], curve), **style))


def _table(ax: Axes, counts: Counts, present: Sequence[Outcome]) -> None:
    for (row, was), (column, now) in product(enumerate(present), enumerate(present)):
        count, sign, fill = counts[row, column], "", _SAME
        if is_right(was) != is_right(now):
            sign, fill = ("+", _GAINED) if is_right(now) else ("−", _LOST)
        tile = fill if count else _EMPTY
        ax.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, **BORDER, **tile))
        put(ax, column, row, f"{sign}{count}" if count else "·")
    ax.set(xlim=(-0.5, len(present) - 0.5), ylim=(len(present) - 0.5, -0.5))
    ax.set_xticks(range(len(present)), present, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(present)), present)
    ax.tick_params(length=0, labelsize=SMALL)
    ax.spines[:].set_visible(False)
