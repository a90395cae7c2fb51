"""How every figure looks: colours with one meaning each, quiet axes, and SVG that can stand inside a page.

Colours are of Okabe and Ito's palette, which stays apart for all common kinds of colour blindness; what a
colour says, a label, a hatch or a dash says too. Figures are made through matplotlib's objects alone, so
threads do not disturb each other.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

INK = "#24292f"
"""Text and lines."""
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, YELLOW, GREY = "#CC79A7", "#56B4E9", "#F0E442", "#8c959f"

METRICS = {"a": BLUE, "a_p": VERMILLION, "a_r": GREEN}
SYMBOLS = {"a": "$a$", "a_p": "$a_p$", "a_r": "$a_r$"}
NAMES = {"a": "end to end", "a_p": "perception", "a_r": "reasoning given $p$*"}

_PAGE_COLORS = {
    INK: "currentColor",
    "#ffffff": "var(--on)",
    BLUE: "var(--a)",
    VERMILLION: "var(--p)",
    GREEN: "var(--r)",
}
"""What these become inside a page, so that they are readable on a dark one too."""

WIDTH = 6.9
"""Inches: two columns of a paper."""
SIZE, SMALL, TINY = 8.0, 7.0, 6.0
"""Points."""
PNG_DPI = 200


@dataclass(frozen=True)
class Look:
    """How one model is drawn wherever models share an axis."""

    color: str
    dash: str
    marker: str


_KNOWN = {"token_mean": Look(INK, "-", "o"), "ngdiff": Look(PURPLE, "-", "D")}
_SPARE = [
    Look(color, dash, marker)
    for (dash, marker), color in product((("-", "s"), ("--", "^"), (":", "v"), ("-.", "P")), (SKY, ORANGE))
]


def model_looks(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Look]:
    """A look for each model of a diagnosis: grey for a base, and one for the same arm in every report."""
    looks = {}
    others = [name for name, model in models.items() if model["kind"] != "base" and name not in _KNOWN]
    for name, model in models.items():
        if model["kind"] == "base":
            looks[name] = Look(GREY, "-", "X")
        else:
            looks[name] = _KNOWN.get(name) or _SPARE[others.index(name) % len(_SPARE)]
    return looks


def new_figure(
    height: float, rows: int = 1, columns: int = 1, width: float = WIDTH, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of quiet axes, row by row. Sizes in inches; `options` go to `Figure.subplots`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[:].set(color=INK, alpha=0.5, linewidth=0.7)
        ax.tick_params(colors=INK, labelsize=SMALL, length=2.5, width=0.6)
        ax.patch.set_visible(False)
    return figure, axes


def title(ax: Axes, text: str, color: str = INK, verbatim: bool = False) -> None:
    """A title at the left; `verbatim` for text that is not ours, which must not be read as a formula."""
    ax.set_title(text, loc="left", fontsize=SIZE, color=color, pad=5, parse_math=not verbatim)


def axis_labels(ax: Axes, x: str = "", y: str = "") -> None:
    ax.set_xlabel(x, fontsize=SMALL, color=INK)
    ax.set_ylabel(y, fontsize=SMALL, color=INK)


def name_rows(axes: Iterable[Axes], labels: Sequence[str]) -> None:
    """Rows 0, 1, 2 ... from the top of axes that share them, each with the name of a model."""
    for ax in axes:
        ax.set_yticks(range(len(labels)), [shorten(label) for label in labels])
        ax.set_ylim(len(labels) - 0.4, -0.7)
        ax.tick_params(axis="y", length=0, labelsize=SIZE)
        verbatim(ax.get_yticklabels())


def logarithmic(ax: Axes) -> None:
    """A logarithmic y axis with ticks at 1, 2 and 5 of each decade."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def interval(
    ax: Axes, row: float, estimate: Mapping[str, float], color: str, scale: float, **options: Any
) -> None:
    """An estimate with its interval, times `scale`, across a row; `options` go to `Axes.errorbar`."""
    value, low, high = (scale * estimate[key] for key in ("value", "low", "high"))
    ax.errorbar(value, row, xerr=[[value - low], [high - value]], color=color, **options)


def put(
    ax: Axes, x: float, y: float, text: str, color: str = INK, size: float = SMALL, align: str = "center"
) -> None:
    """A short text at a point of the data."""
    ax.text(x, y, text, ha=align, va="center", fontsize=size, color=color)


def put_near(ax: Axes, x: float, y: float, text: str, offset: tuple[float, float], **options: Any) -> None:
    """A short text beside a point of the data, `offset` points away; text of others stays as it is."""
    style: dict[str, Any] = {"fontsize": SMALL, "color": INK, "parse_math": False}
    ax.annotate(text, (x, y), offset, textcoords="offset points", **(style | options))


def put_at_ends(ax: Axes, texts: Sequence[str], heights: Sequence[float], gap: float, **options: Any) -> None:
    """Names of lines at the right border, near the heights at which these end, at least `gap` apart."""
    options = {"xycoords": ax.get_yaxis_transform(), "va": "center"} | options
    for text, height in zip(texts, spread(heights, gap), strict=True):
        put_near(ax, 1, height, text, (4, 0), **options)


def spread(values: Sequence[float], gap: float) -> list[float]:
    """The values, those closer than `gap` pushed upwards and all then moved back to the mean they had."""
    order = sorted(range(len(values)), key=values.__getitem__)
    placed = list(values)
    for below, above in pairwise(order):
        placed[above] = max(placed[above], placed[below] + gap)
    shift = (sum(placed) - sum(values)) / max(1, len(values))
    return [value - shift for value in placed]


def legend(figure: Figure, handles: Sequence[Any]) -> None:
    """Names in a row above the axes, or in rows of four."""
    drawn = figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=len(handles) if len(handles) <= 6 else 4,
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        handlelength=1.6,
        columnspacing=1.4,
        borderaxespad=0.1,
    )
    verbatim(drawn.get_texts())


def verbatim(texts: Iterable[Text]) -> None:
    """Text that is not ours is not read as formulas."""
    for text in texts:
        text.set_parse_math(False)


def shorten(label: str, length: int = 26) -> str:
    return label if len(label) <= length else label[: length - 1] + "…"


def save(figure: Figure, name: str, folder: Path, description: str) -> Markup:
    """Write `name`.png and `name`.svg into `folder`.

    Returns:
        The figure as SVG for the inside of a page: its ids are its own, its ink is the page's colour of text,
        the colours of the metrics are the page's variables --a, --p and --r (white, on these, is --on), and
        all its text is drawn.
    """
    png, svg = BytesIO(), StringIO()
    figure.savefig(png, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    figure.set_layout_engine("none")  # the layout is found; finding it again takes as long as drawing
    figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    source = _own_ids(svg.getvalue(), name)
    (folder / f"{name}.png").write_bytes(png.getvalue())
    (folder / f"{name}.svg").write_text(source, encoding="utf-8")
    return _inline(source, description)


def _own_ids(svg: str, prefix: str) -> str:
    """Number the ids, which matplotlib draws at random, in the order of the document."""
    found = dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg))
    names = {id: f"{prefix}-{number}" for number, id in enumerate(found)}
    return re.sub(
        r'(\bid="|href="#|url\(#)([^")]+)', lambda match: match[1] + names.get(match[2], match[2]), svg
    )


def _inline(svg: str, description: str) -> Markup:
    """The SVG without prolog, metadata, comments (matplotlib repeats texts there) and fixed size."""
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    head, rest = body.split(">", 1)
    attributes = dict(re.findall(r'(\w+)="([^"]*)"', head))
    width = float(attributes["width"].removesuffix("pt")) / 72
    opening = Markup(
        '<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{}" style="max-width: {:.1f}rem" '
        'role="img" aria-label="{}">'
    ).format(attributes["viewBox"], 8.6 * width, escape(description))
    for color, name in _PAGE_COLORS.items():
        rest = rest.replace(color.lower(), name)
    return opening + Markup(rest)
