"""Reinforcement learning: what the policy's own responses were worth, and what the outcome followed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from percasym.diagnostics.coupling import SKILLS
from percasym.diagnostics.diagnosis import Diagnosis
from percasym.diagnostics.records import TrainingLog
from percasym.report.style import (
    GREY,
    INK,
    METRICS,
    SIZE,
    Look,
    axis_labels,
    interval,
    legend,
    model_looks,
    name_rows,
    new_figure,
    put,
    put_near,
    shorten,
    title,
)
from percasym.report.training_figures import moving_median

_LOGGED = {
    "a": ("$a$  answers right", METRICS["a"]),
    "a_p": ("$a_p$  captions right", METRICS["a_p"]),
    "a_own": ("right for own caption", METRICS["a_r"]),
    "no_spread": ("groups without spread", INK),
}
_SKILLS = {"a_p": ("perception", METRICS["a_p"]), "a_own": ("reasoning", METRICS["a_r"])}
_KINDS = {"pooled": "-", "within": ":"}


def reinforcement(diagnosis: Diagnosis, logs: Mapping[str, TrainingLog]) -> Figure | None:
    """Over the steps, one line a reward: shares of the sampled responses, and of the groups."""
    if not logs:
        return None
    looks = model_looks(diagnosis["models"])
    figure, axes = new_figure(2.0, columns=len(_LOGGED), sharex=True)
    for ax, (key, (text, color)) in zip(axes, _LOGGED.items(), strict=True):
        title(ax, text, color)
        for name, log in logs.items():
            _line(ax, log, key, looks[name])
        ax.set_ylim(0, 100)
        axis_labels(ax, "step", "%" if key == "a" else "")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    handles = [
        Line2D([], [], color=looks[name].color, linestyle=looks[name].dash, label=_label(diagnosis, name))
        for name in logs
    ]
    legend(figure, handles)
    return figure


def coupling(diagnosis: Diagnosis) -> Figure | None:
    """Pearson's r of the outcome with each skill over parts of the training, one panel a reward."""
    rewards = {name: model["coupling"] for name, model in diagnosis["models"].items() if model["coupling"]}
    if not rewards:
        return None
    columns = min(4, len(rewards))
    rows = -(-len(rewards) // columns)
    figure, axes = new_figure(0.4 + 1.8 * rows, rows=rows, columns=columns, sharey=True)
    for ax, (name, windows) in zip(axes, rewards.items(), strict=False):
        title(ax, _label(diagnosis, name), verbatim=True)
        for skill in SKILLS:
            for kind, dash in _KINDS.items():
                _correlations(ax, windows or [], skill, kind, dash)
        ax.axhline(0, color=INK, linewidth=0.7, alpha=0.5)
        axis_labels(ax, "step", "Pearson's r" if ax is axes[0] else "")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for ax in axes[len(rewards) :]:
        ax.set_visible(False)
    handles = [
        Line2D([], [], color=color, linestyle=dash, label=f"{text}, {kind}")
        for text, color in _SKILLS.values()
        for kind, dash in _KINDS.items()
    ]
    legend(figure, handles)
    return figure


def surrogate_audit(audit: Mapping[str, Any]) -> Figure:
    """One row a surrogate, the best one first: correlation with a_p, false positives, cost of a response.

    Args:
        audit: `percasym.diagnostics.surrogate_audit.SurrogateAudit` as JSON.
    """
    names, found = list(audit["surrogates"]), list(audit["surrogates"].values())
    figure, (truth, false, cost) = new_figure(0.85 + 0.28 * len(names), columns=3, sharey=True)
    title(truth, "goes with $a_p$", METRICS["a_p"])
    title(false, "false positives")
    title(cost, "cost")
    for row, figures in enumerate(found):
        if pooled := figures["pooled"]:
            truth.plot(pooled["value"], row, marker="o", markersize=4, color=METRICS["a_p"], fillstyle="none")
        if within := figures["within"]:
            interval(
                truth, row, within, METRICS["a_p"], 1, marker="o", markersize=4, elinewidth=0.9, capsize=2
            )
        if (share := figures["false_positives"]) is not None:
            false.barh(row, 100 * share, height=0.66, color=GREY)
            put(false, 100 * share + 2.5, row, f"{100 * share:.0f}", size=SIZE, align="left")
        milliseconds = 1000 * figures["seconds"]
        cost.plot(milliseconds, row, marker="o", markersize=4, color=INK)
        put_near(cost, milliseconds, row, f"{milliseconds:.2g}", (6, 0), va="center")
    truth.axvline(0, color=INK, linewidth=0.7, alpha=0.5)
    truth.set_xlim(-1.05, 1.05)
    false.set_xlim(0, 118)
    false.set_xticks([0, 25, 50, 75, 100])
    cost.set_xscale("log")
    cost.margins(x=0.25)
    axis_labels(truth, "Pearson's r")
    axis_labels(false, "% of wrong captions")
    axis_labels(cost, "ms for each response")
    name_rows([truth, false, cost], [Path(name).name for name in names])
    return figure


def _correlations(ax: Axes, windows: list[dict[str, Any]], skill: str, kind: str, dash: str) -> None:
    known = [
        ((window["first"] + window["last"]) / 2, r)
        for window in windows
        if (r := window["coupling"][skill][kind]) is not None
    ]
    if not known:
        return
    shift = {"a_p": -0.2, "a_own": 0.2}[skill]  # so that the intervals of both can be seen
    steps, values = [step + shift for step, _ in known], [r["value"] for _, r in known]
    below = [r["value"] - r["low"] for _, r in known]
    above = [r["high"] - r["value"] for _, r in known]
    color = _SKILLS[skill][1]
    ax.errorbar(
        steps,
        values,
        yerr=[below, above] if kind == "pooled" else None,
        color=color,
        linestyle=dash,
        linewidth=1.2,
        marker="o",
        markersize=3,
        elinewidth=0.8,
    )


def _line(ax: Axes, log: TrainingLog, key: str, look: Look) -> None:
    known = [line for line in log.train if line.get(key) is not None]
    if not known:
        return
    steps, values = [line["step"] for line in known], [100 * line[key] for line in known]
    ax.plot(steps, values, color=look.color, linewidth=0.6, alpha=0.25)
    ax.plot(steps, moving_median(values), color=look.color, linestyle=look.dash, linewidth=1.2)


def _label(diagnosis: Diagnosis, name: str) -> str:
    return shorten(diagnosis["models"][name]["label"])
