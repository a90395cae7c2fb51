"""How what became of a response is named and drawn: right in two ways, or wrong for one of four causes."""

from typing import Any

from matplotlib.colors import to_rgba

from percasym.metrics import Outcome
from percasym.report.style import GREEN, INK, PURPLE, VERMILLION, YELLOW

NAMES: dict[Outcome, str] = {
    "right": "right",
    "lucky": "right on a wrong caption",
    "perception": "wrong: perception",
    "reasoning": "wrong: reasoning",
    "both": "wrong: both",
    "format": "wrong: format",
}
"""In the order in which they are shown."""
RIGHT: tuple[Outcome, ...] = ("right", "lucky")

FILLS: dict[Outcome, dict[str, Any]] = {
    "right": {"facecolor": to_rgba(INK, 0.12)},
    "lucky": {"facecolor": "none", "hatch": "/////"},
    "perception": {"facecolor": VERMILLION},
    "reasoning": {"facecolor": GREEN},
    "both": {"facecolor": PURPLE},
    "format": {"facecolor": YELLOW},
}
"""For matplotlib's patches."""
BORDER: dict[str, Any] = {"edgecolor": to_rgba(INK, 0.35), "linewidth": 0.5}
ON_FILL: dict[Outcome, str] = {
    "right": INK,
    "lucky": INK,
    "perception": "white",
    "reasoning": "white",
    "both": "black",
    "format": "black",
}
"""The colour of a number upon a fill."""
