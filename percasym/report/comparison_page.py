"""Models on the same items as a page: who is better at what, and which items make the difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from percasym.comparison import Comparison, Flips, is_right
from percasym.errors import PercasymError
from percasym.metrics import Row
from percasym.report import gallery
from percasym.report.flip_figure import flip_figure
from percasym.report.samples import answered
from percasym.report.style import save
from percasym.report.templates import environment

FILE = "comparison.html"
COMPARED = ("a", "a_p", "a_r", "a_partial", "a_p_partial")
_LISTED = 60
"""Ids of one cell that are listed."""


@dataclass(frozen=True)
class Pair:
    """One model against the first."""

    before: str
    after: str
    flips: Flips
    figure: Markup
    gallery: str | None
    """Name of the file of the items that flipped."""
    anchors: Mapping[str, str]
    """Places in it, by id."""

    def cells(self) -> list[dict[str, Any]]:
        """The items that flipped by outcome before and after: gains first, then by number."""
        found = [
            {"before": was, "after": now, "gained": is_right(now), "ids": ids[:_LISTED], "count": len(ids)}
            for was, row in self.flips["cells"].items()
            for now, ids in row.items()
            if ids and is_right(was) != is_right(now)
        ]
        return sorted(found, key=lambda cell: (not cell["gained"], -cell["count"]))


def write_comparison(
    comparison: Comparison,
    rows: Mapping[str, Sequence[Row]],
    out: Path,
    data: tuple[Path, str] | None = None,
    limit: int = gallery.LIMIT,
) -> Path:
    """Write comparison.html, figures/flips-N.png and .svg, and gallery-N.html into the folder `out`.

    There is one figure for each model but the first, and with `data` one gallery of the items that flipped.

    Args:
        rows: what `comparison` was made of.
        data: the data set and its split.
        limit: items in each gallery.

    Returns:
        The path of comparison.html.

    Raises:
        PercasymError: the data set cannot be read, or `out` not be written.
    """
    try:
        figures = out / "figures"
        figures.mkdir(parents=True, exist_ok=True)
        reference = comparison["reference"]
        pairs = []
        for number, (label, found) in enumerate(comparison["against"].items(), start=1):
            flips, page, anchors = found["flips"], None, {}  # type: Flips, str | None, Mapping[str, str]
            if data and flips["gained"] + flips["lost"]:
                page = f"gallery-{number}.html"
                both = [answered(name, rows[name]) for name in (reference, label)]
                title = f"Items that flipped: {reference} → {label}"
                anchors = gallery.write_gallery(
                    out / page, title, both, *data, only=gallery.FLIPS, limit=limit
                ).anchors
            description = f"Items by outcome under {reference} and under {label}"
            drawn = save(flip_figure(flips, reference, label), f"flips-{number}", figures, description)
            pairs.append(Pair(reference, label, flips, drawn, page, anchors))
        page_of_all = (
            environment()
            .get_template("comparison.html.jinja")
            .render(
                comparison=comparison,
                models=[
                    {"label": label, "summary": summary} for label, summary in comparison["models"].items()
                ],
                paired=_paired_rows(comparison),
                pairs=pairs,
            )
        )
        path = out / FILE
        path.write_text(page_of_all, encoding="utf-8")
    except OSError as error:
        raise PercasymError(f"cannot write {out}: {error.strerror or error}") from error
    return path


def _paired_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {"arm": label, "baseline": comparison["reference"], "metric": metric, **found["figures"][metric]}
        for label, found in comparison["against"].items()
        for metric in COMPARED
        if found["figures"][metric] is not None
    ]
