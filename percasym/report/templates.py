"""Pages from templates: whatever comes in is escaped, and a name that is missing is an error."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from percasym.diagnostics.headline import p_value
from percasym.report.outcomes import NAMES
from percasym.report.style import METRICS


def environment() -> Environment:
    """The templates beside this file, with the filters and names that all of them use."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "symbols": symbols,
        "percent": percent,
        "signed": signed,
        "p_value": p_value,
        "json": lambda value: json.dumps(value, indent=2, default=str, ensure_ascii=False),
    }
    found.globals |= {"colors": METRICS, "outcome_names": NAMES}
    return found


def symbols(text: str) -> Markup:
    """Escaped text, with a_p and a_r as they are set in a paper, and percent signs kept at their numbers."""
    html = str(escape(text)).replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup(re.sub(r"\ba_([pr])\b", r"<var>a</var><sub>\1</sub>", html))


def percent(estimate: Mapping[str, float] | None) -> Markup:
    """A share with its interval."""
    if estimate is None:
        return Markup("–")
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return Markup(f"{value:.1f} <small>{low:.1f}–{high:.1f}</small>")


def signed(value: float) -> str:
    """Points with a sign; a true minus."""
    return f"{100 * value:+.1f}".replace("-", "−")
