"""Named styles of drawing (a start)."""

from percasym.errors import PercasymError


def parse_style(text: str) -> tuple[str, float]:
    name, _, strength = text.partition(":")
    if name not in ("clean", "paper", "varied", "hard"):
        raise PercasymError(f"no style {name!r}: use clean, paper, varied or hard")
    try:
        value = float(strength) if strength else 1.0
    except ValueError:
        raise PercasymError(f"style {text!r}: the strength is a number from 0 to 1.5") from None
    if not 0 <= value <= 1.5:
        raise PercasymError(f"style {text!r}: the strength is a number from 0 to 1.5")
    return name, value
