"""Figures as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from percasym.metrics import READING

FIGURES = ("a", "a_partial", "a_p", "a_p_partial", "a_r", "a_r_partial", "a_own", "format", *READING)


def model_table(models: Mapping[str, Mapping[str, Any]]) -> Table:
    """a, a_p, a_r of models in percent with 95 % intervals, and what could not be judged, from the JSON of
    `metrics.summarise` of each."""
    table = Table("model", "a", "a_p", "a_r", "caption\nunread", "answer\nunread", "cut\noff", "items")
    for name, summary in models.items():
        figures = [_percent(summary[figure]) for figure in ("a", "a_p", "a_r")]
        lost = [_share(summary[figure]) for figure in READING[:3]]
        table.add_row(name, *figures, *lost, str(summary["a"]["n"]))
    return table


def audit_tables(audit: Mapping[str, Any]) -> list[Table]:
    """What `scoring.audit` says: the figures, the causes of wrong answers, and the comparison if any."""
    other = audit.get("model_b")
    figures = Table(
        "figure",
        "share, 95 % interval",
        *(["model b", "difference", "p"] if other else []),
        caption=_caution([audit, *([other] if other else [])]),
        caption_justify="left",
    )
    for figure in FIGURES:
        row = [figure, _percent(audit[figure])]
        if other:
            found = audit["comparison"].get(figure) or {}
            p = found.get("p")
            row += [
                _percent(other[figure]),
                _percent(found.get("difference")),
                "-" if p is None else f"{p:.3g}",
            ]
        figures.add_row(*row)
    causes = Table("cause of a wrong answer", "items", *(["model b"] if other else []))
    for cause, count in audit["causes"].items():
        causes.add_row(cause, str(count), *([str(other["causes"][cause])] if other else []))
    return [figures, causes]


def coupling_tables(found: Mapping[str, Any]) -> list[Table]:
    """What `diagnostics.coupling` says: correlations of the outcome, and shares of rollouts and groups."""
    correlations = Table("Pearson's r of a with", "pooled", "within groups")
    for skill, name in (("a_p", "perception (a_p)"), ("a_own", "reasoning (right for its own caption)")):
        correlations.add_row(name, _correlation(found[skill]["pooled"]), _correlation(found[skill]["within"]))
    shares = Table("share", "%")
    for key, name in (
        ("no_spread", "groups whose outcomes are all the same"),
        ("lucky", "right answers on a wrong caption"),
        ("unlucky", "right captions with a wrong answer"),
    ):
        shares.add_row(name, "-" if found[key] is None else f"{100 * found[key]:.1f}")
    return [correlations, shares]


def surrogate_tables(found: Mapping[str, Any]) -> list[Table]:
    """What `diagnostics.surrogate_audit` says: the surrogates, the best one first."""
    right = f"{100 * found['right']:.1f}% of {found['rollouts']} captions are right"
    table = Table("surrogate", "r with a_p within groups", "pooled", "false positives", "ms", title=right)
    for name, figures in found["surrogates"].items():
        false = figures["false_positives"]
        table.add_row(
            name,
            _correlation(figures["within"]),
            _correlation(figures["pooled"]),
            "-" if false is None else f"{100 * false:.1f}%",
            f"{1000 * figures['seconds']:.2g}",
        )
    return [table]


def comparison_tables(found: Mapping[str, Any]) -> list[Table]:
    """What `comparison.compare_models` says: the models, each against the first, and what flipped."""
    models = model_table({escape(label): summary for label, summary in found["models"].items()})
    corrected = ["p, Holm"] if len(found["against"]) > 1 else []
    differences = Table(
        f"against {escape(found['reference'])}", "", "points", "gained", "lost", "p", *corrected
    )
    for label, against in found["against"].items():
        for figure in ("a", "a_p", "a_r"):
            if (row := against["figures"][figure]) is not None:
                numbers = [str(row["gained"]), str(row["lost"]), f"{row['p']:.3g}"]
                numbers += [f"{row['p_holm']:.3g}"] if corrected else []
                name = escape(label) if figure == "a" else ""
                differences.add_row(name, figure, _points(row["difference"]), *numbers)
    causes = list(next(iter(found["against"].values()))["flips"]["cells"])
    tables = [models, differences]
    for label, against in found["against"].items():
        flips = against["flips"]
        table = Table(
            "before \\ after",
            *causes,
            title=f"{escape(label)}: {flips['gained']} items gained, {flips['lost']} lost",
        )
        for before, row in flips["cells"].items():
            table.add_row(before, *(str(len(ids)) if ids else "[dim]·[/]" for ids in row.values()))
        tables.append(table)
    return tables


def runs_tables(found: Sequence[Mapping[str, Any]]) -> list[Table]:
    """What `runs.list_runs` says: below each run its models, each with the id by which `compare` knows it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("run, models", overflow="fold")  # a name that is cut cannot be copied
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("status")
    for name in ("a", "a_p", "a_r"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("MLflow", no_wrap=True)
    for run in found:
        kind = "" if run["kind"] == "study" else f" [dim]{run['kind']}[/]"
        status = run["status"].lower() + (f", {run['verdict']}" if run["verdict"] else "")
        when = run["started"][:16].replace("T", " ")
        table.add_row(f"[bold]{escape(run['name'])}[/]{kind}", when, status, "", "", "", run["run"][:8])
        for model in run["models"]:
            figures = ["-" if model[f] is None else f"{100 * model[f]:.1f}" for f in ("a", "a_p", "a_r")]
            table.add_row(f"  {escape(model['model'])}", "", "", *figures, (model["evaluation"] or "")[:8])
        table.add_section()
    return [table]


def _points(estimate: Mapping[str, float]) -> str:
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:+.1f}  [dim]{low:+.1f} to {high:+.1f}[/]"


def _correlation(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "-"
    return "{value:.2f}  [dim]{low:.2f} to {high:.2f}[/]".format(**estimate)


def _caution(summaries: Sequence[Mapping[str, Any]]) -> str | None:
    """What to mind before the figures are believed: what was cut off or cannot be read counts as wrong."""
    lines = []
    if any(found and found["value"] > 0 for s in summaries for found in (s["cut_off"], s["cut_off_r"])):
        lines.append("Responses were cut off at the token limit and count as wrong: allow more new tokens.")
    if any(s["caption_unread"] and s["caption_unread"]["value"] > 0 for s in summaries):
        lines.append("Captions that cannot be read count in a_p as wrong, which says nothing of sight.")
    return "\n".join(lines) or None


def _share(estimate: Mapping[str, float] | None) -> str:
    return "-" if estimate is None else f"{100 * estimate['value']:.1f}"


def _percent(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "-"
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:.1f}  [dim]{low:.1f}–{high:.1f}[/]"
