"""Reading what a model wrote, in either format, without ever raising.

`json` texts are one JSON value, alone or inside a Markdown code fence. `cells` texts are whitespace words. Texts over
`LONGEST` characters are not read at all, so the work is bounded; both readers are linear.
"""

import json
from typing import Any

LONGEST = 20_000  # characters; a 9x9 Sudoku is about 400, a graph of 26 vertices at most 3,000
FENCE = "```"


def read_json(text: str) -> Any | None:
    """The JSON value of `text`, or None where it is too long or is no JSON.

    Numbers of more than four digits, fractions and the same key twice make no JSON here: none of our texts has them.
    """
    if len(text) > LONGEST:
        return None
    try:
        return _DECODER.decode(_unfenced(text))
    except (ValueError, RecursionError):
        return None


def is_json(text: str) -> bool:
    """Whether `text` is meant to be JSON: its first character says so."""
    return text.lstrip()[:1] in ("[", "{", "`")


def read_words(text: str) -> list[str]:
    """The whitespace words of `text`; none where it is too long."""
    return text.split() if len(text) <= LONGEST else []


def _unfenced(text: str) -> str:
    text = text.strip()
    if text.startswith(FENCE) and text.endswith(FENCE):
        text = text[len(FENCE) : -len(FENCE)].removeprefix("json").strip()
    return text


def _small_int(digits: str) -> int:
    if len(digits) > 4:
        raise ValueError("a number of more than four digits")
    return int(digits)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} has no place in a puzzle")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("the same key twice")
    return read


_DECODER = json.JSONDecoder(
    parse_int=_small_int, parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_unique_keys
)
