"""From the columns of a released row to a row of ours, each of them looked at."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from percasym.dataset_card import IMPORTED
from percasym.datasets import Row
from percasym.errors import PercasymError
from percasym.images import open_image, plain_image
from percasym.importing.found import LARGEST_IMAGE
from percasym.importing.recognition import read_puzzle
from percasym.judgement import Score, score
from percasym.placeholders import OF_MODELS, placeholder
from percasym.puzzles import Task, spec
from percasym.seeding import digest

LONGEST_TEXT = 1 << 20  # characters
THINNEST = 200  # times as long as wide, or as wide as long, is what Qwen's processor refuses


class Verified(NamedTuple):
    """A row that is as it should be."""

    row: Row
    instance: str
    """The puzzle in canonical form: the same for the same puzzle, however its ground truth is written. Of a
    task without a p* what stands for query and image."""
    score: Score | None
    """What the response is worth, if there is one."""


def verify(values: Mapping[str, Any], split: str, number: int, told: Task[Any] | None) -> Verified:
    """The row that `values` make, with `query`, `ground_truth` and `response` as they stand there.

    A ground truth that is a JSON value, not a text, is written as one. An image that not all programs would
    see alike is replaced by a plain one.

    Args:
        values: the released columns; `image` is encoded.
        number: of the row in its split in the source, from 0.
        told: the puzzle, if it is not to be recognised.

    Raises:
        PercasymError: why the row cannot be taken.
    """
    query = _text(values, "query")
    truth = values.get("ground_truth")
    text = _json(truth) if isinstance(truth, list | dict) else _text(values, "ground_truth")
    response = "" if values.get("response") is None else _text(values, "response")
    image = values.get("image")
    if not isinstance(image, bytes):
        raise PercasymError("it has no image")
    if len(image) > LARGEST_IMAGE:
        raise PercasymError(f"its image has more than {LARGEST_IMAGE:,} bytes")
    width, height = open_image(image).size
    if max(width, height) >= THINNEST * min(width, height):
        raise PercasymError(f"its image is {width} x {height}: too thin for models")
    if place := placeholder(OF_MODELS, query, response):
        raise PercasymError(f"it has {place} in its query or response, which models take for an image")
    puzzle, instance = read_puzzle(text, told)
    row = {
        "id": f"{puzzle.name}-{split}{IMPORTED}{number}",
        "query": query,
        "image": plain_image(image),
        "ground_truth": text,
        "perception": puzzle.perception(instance),
        "puzzle": spec(puzzle),
        "prefix": "",
        "response": response,
    }
    shown = puzzle.ground_truth(instance) if puzzle.has_perception else digest(query, image.hex())
    return Verified(
        row,
        f"{puzzle.name} {shown}",
        score(puzzle, instance, response) if response else None,
    )


def _json(truth: Any) -> str:
    try:
        return json.dumps(truth)
    except (TypeError, ValueError, RecursionError):
        raise PercasymError("its ground_truth is no JSON value") from None


def _text(values: Mapping[str, Any], column: str) -> str:
    text = values.get(column)
    if not isinstance(text, str):
        raise PercasymError(f"its {column} is no text")
    if len(text) > LONGEST_TEXT:
        raise PercasymError(f"its {column} is longer than {LONGEST_TEXT:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PercasymError(f"its {column} has half a character (a lone surrogate)") from None
    return text
