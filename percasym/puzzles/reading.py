"""Reading what a model wrote, in either format, without ever raising.

`json` texts are one JSON value, bare or inside a Markdown code fence; `cells` texts are whitespace words. A
text over `LONGEST` characters is not read at all, so the work is bounded, and both readers are linear.
"""

import json
from typing import Any

LONGEST = 20_000  # characters; a 9x9 Sudoku has about 400, a graph of 26 vertices at most 3,000
FENCE = "```"


def is_json(text: str) -> bool:
    """Whether `text` is meant to be JSON: its first character says so."""
    return text.lstrip()[:1] in ("[", "{", "`")


def read_json(text: str) -> Any | None:
    """The JSON value of `text`, or None where it is too long or is none.

    Fractions, true, false and objects with a key twice are refused: no puzzle has them.
    """
    if len(text) > LONGEST or "true" in text or "false" in text:  # which Python takes for 1 and 0
        return None
    try:
        return _DECODER.decode(_unfenced(text))
    except (ValueError, RecursionError):
        return None


def read_words(text: str) -> list[str]:
    """The whitespace words of `text`; none where it is too long."""
    return text.split() if len(text) <= LONGEST else []


def _unfenced(text: str) -> str:
    text = text.strip()
    if text.startswith(FENCE) and text.endswith(FENCE):
        text = text[len(FENCE) : -len(FENCE)].removeprefix("json").strip()
    return text


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} has no place in a puzzle")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a key twice")
    return read


_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_unique_keys)
