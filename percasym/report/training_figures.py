"""How training went: accuracies, losses, weight and gradients over the steps; perception's share in them."""

from collections.abc import Mapping, Sequence
from math import log10
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from percasym.diagnostics.diagnosis import Diagnosis
from percasym.diagnostics.records import TrainingLog
from percasym.diagnostics.shares import Shares
from percasym.metrics import wilson
from percasym.report.style import (
    INK,
    METRICS,
    NAMES,
    SYMBOLS,
    VERMILLION,
    Look,
    axis_labels,
    legend,
    logarithmic,
    model_looks,
    new_figure,
    put_at_ends,
    shorten,
    title,
)

_LOGGED = {
    "loss_p": r"$L_p$  perception loss",
    "loss_r": r"$L_r$  reasoning loss",
    "lam": r"$\lambda$  weight of $L_p$",
    "grad_norm_p": r"$|g_p|$  gradient of $L_p$",
    "grad_norm_r": r"$|g_r|$  gradient of $L_r$",
    "grad_cosine": r"cosine of $g_p$ and $g_r$",
}
_SHARES = {"tokens": ("tokens", ":"), "loss": ("loss", "-"), "gradient": ("update", "--")}
_SMOOTHED = 0.05
"""The moving median spans this part of the logged steps."""
_LEAST = 1e-3
"""Shares below 0.1 % are drawn there."""


def training_curves(diagnosis: Diagnosis, logs: Mapping[str, TrainingLog]) -> Figure | None:
    """Over the steps, one line an arm: a, a_p, a_r on the validation split, then what the trainer logged."""
    if not logs:
        return None
    looks = model_looks(diagnosis["models"])
    figure, axes = new_figure(5.6, rows=3, columns=3, sharex=True)
    for ax, (metric, color) in zip(axes, METRICS.items(), strict=False):
        title(ax, f"{SYMBOLS[metric]}  {NAMES[metric]}", color)
        for name, log in logs.items():
            _validation_line(ax, log.validation, metric, looks[name])
        ax.set_ylim(0, 100)
    axis_labels(axes[0], y="% of validation items")
    for ax, (key, text) in zip(axes[3:], _LOGGED.items(), strict=True):
        title(ax, text, {"loss_p": METRICS["a_p"], "loss_r": METRICS["a_r"]}.get(key, INK))
        for name, log in logs.items():
            _logged_line(ax, log.train, key, looks[name])
        if key == "lam":
            ax.set_ylim(0, 1)
        elif key == "grad_cosine":
            ax.axhline(0, color=INK, linewidth=0.7, alpha=0.5)
        elif ax.lines:
            logarithmic(ax)
    for ax in axes[6:]:
        axis_labels(ax, "step")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    legend(figure, [_handle(diagnosis["models"][name]["label"], looks[name]) for name in logs])
    return figure


def share_curves(diagnosis: Diagnosis) -> Figure | None:
    """Perception's share of tokens, loss and update, one panel an arm, on one logarithmic axis."""
    arms = [(model["label"], model["shares"]) for model in diagnosis["models"].values() if model["shares"]]
    if not arms:
        return None
    columns = min(4, len(arms))
    rows = -(-len(arms) // columns)
    figure, axes = new_figure(0.4 + 1.75 * rows, rows=rows, columns=columns, sharey=True, sharex=True)
    for ax, (label, shares) in zip(axes, arms, strict=False):
        title(ax, shorten(label), verbatim=True)
        _share_lines(ax, shares)
        axis_labels(ax, "step")
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    axes[0].set_ylim(_LEAST, 1)
    axes[0].set_yticks([0.001, 0.01, 0.1, 1], ["0.1 %", "1 %", "10 %", "100 %"])
    for ax in axes[::columns]:
        axis_labels(ax, "step", "perception's share")
    for ax in axes[len(arms) :]:
        ax.set_visible(False)
    return figure


def moving_median(values: Sequence[float]) -> list[float]:
    """Medians over windows of about 5 % of the values, centred, shorter at both ends."""
    reach = int(len(values) * _SMOOTHED / 2)
    return [float(median(values[max(0, i - reach) : i + reach + 1])) for i in range(len(values))]


def _share_lines(ax: Axes, shares: Shares) -> None:
    texts, heights = [], []
    for key, (name, dash) in _SHARES.items():
        share = shares[key]  # type: ignore[literal-required]
        known = [
            (step, max(_LEAST, x))
            for step, x in zip(shares["steps"], share["values"], strict=True)
            if x is not None
        ]
        if not known:
            continue
        smooth = moving_median([value for _, value in known])
        ax.plot([step for step, _ in known], smooth, color=VERMILLION, linestyle=dash, linewidth=1.3)
        texts.append(name if share["late"] is None else f"{name} {100 * share['late']:.2g} %")
        heights.append(log10(smooth[-1] / _LEAST) / log10(1 / _LEAST))
    ax.set_yscale("log")
    ax.yaxis.set_minor_locator(NullLocator())
    put_at_ends(ax, texts, heights, gap=0.075, xycoords="axes fraction")


def _validation_line(ax: Axes, lines: Sequence[dict[str, Any]], metric: str, look: Look) -> None:
    known = [line for line in lines if line.get(metric) is not None]
    if not known:
        return
    steps, values = [line["step"] for line in known], [100 * line[metric] for line in known]
    ax.plot(
        steps, values, color=look.color, linestyle=look.dash, marker=look.marker, markersize=3, linewidth=1.1
    )
    last = wilson(round(known[-1][metric] * known[-1]["n"]), known[-1]["n"])
    ax.vlines(steps[-1], 100 * last.low, 100 * last.high, color=look.color, linewidth=1, alpha=0.6)


def _logged_line(ax: Axes, lines: Sequence[dict[str, Any]], key: str, look: Look) -> None:
    known = [line for line in lines if line.get(key) is not None]
    if not known:
        return
    steps, values = [line["step"] for line in known], [line[key] for line in known]
    ax.plot(steps, values, color=look.color, linewidth=0.6, alpha=0.25)
    ax.plot(steps, moving_median(values), color=look.color, linestyle=look.dash, linewidth=1.2)


def _handle(label: str, look: Look) -> Line2D:
    style: dict[str, Any] = {
        "color": look.color,
        "linestyle": look.dash,
        "marker": look.marker,
        "markersize": 4,
    }
    return Line2D([], [], label=shorten(label), **style)
