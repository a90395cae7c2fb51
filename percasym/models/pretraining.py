"""What a miniature learns before it is called a base model: to transcribe, and to solve from text, apart."""

import random
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
from PIL import Image

from percasym.datasets import Row, encode_image, generate_rows
from percasym.distillation import Report, Teacher, distill
from percasym.puzzles import Puzzle
from percasym.puzzles.styles import STYLES
from percasym.response import oracle_prefix
from percasym.seeding import numpy_stream, stream

ATTEMPTS = 4  # for the teacher at each puzzle


def pretraining_rows(
    puzzle: Puzzle[Any], teacher: Teacher, seed: int, n: int, transcribe_share: float = 1 / 3
) -> Iterator[Row]:
    """Rows of the split `pretrain`, each of one ability alone: a base has some of both, and never saw them
    together.

    - To transcribe: an image in the clean style; the response is the caption.
    - To solve from text: the caption is given; the response is the teacher's, from there on. Half of these
      have no image and half one of mere noise: it tells nothing, but without it an image in the prompt would
      be enough of a novelty to spoil the reasoning.

    Args:
        n: puzzles to draw, hence rows, less the few that the teacher cannot solve.
        transcribe_share: of the puzzles that are transcribed, in [0, 1]; they are spread evenly.
    """
    report = Report()
    with_image = cycle([False, True])
    for index, row in enumerate(generate_rows(puzzle, "pretrain", seed, n, style="clean")):
        caption = oracle_prefix(row["perception"])
        if int((index + 1) * transcribe_share) > int(index * transcribe_share):
            yield {**row, "response": caption}
        else:
            for solved in distill([row], teacher, seed, ATTEMPTS, report):
                response = solved["response"].removeprefix(caption)
                image = _noise(puzzle.config.side, stream("noise", row["id"])) if next(with_image) else None
                yield {**solved, "image": image, "prefix": caption, "response": response}


def _noise(side: int, rng: random.Random) -> bytes:
    """An image of nothing, anywhere from a white sheet to noise as strong as in the style `hard`."""
    pixels = numpy_stream(rng).normal(1.0, rng.uniform(0, STYLES["hard"].noise), (side, side, 3))
    return encode_image(Image.fromarray((255 * pixels.clip(0, 1)).astype(np.uint8)))
