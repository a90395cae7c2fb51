"""What a miniature learns before it is called a base model: to transcribe, and to solve from text, apart."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from percasym.datasets import Row, generate_rows
from percasym.distillation import Report, SolverTeacher, distill
from percasym.images import encode_image
from percasym.puzzles import Puzzle
from percasym.response import oracle_prefix
from percasym.seeding import stream

ATTEMPTS = 4  # for the teacher at each puzzle
LONG_EVERY = 3  # of the thoughts this one is as long as asked for
MILD = 0.25  # strength of the style `hard` up to which images are transcribed


def pretraining_rows(
    puzzle: Puzzle[Any], teacher: SolverTeacher, seed: int, n: int, transcribe_share: float = 1 / 3
) -> Iterator[Row]:
    """Rows of the split `pretrain`, each of one ability alone: a base has some of both, and never saw them
    together.

    - To transcribe: an image from clean to a quarter of the way to the style `hard`, so that what it shows
      of harder ones is little but not nothing; the response is the caption.
    - To solve from text: the caption is given; the response is the teacher's, from there on. Half of these
      have no image, and half the image of another puzzle, drawn anywhere from clean to hard: it tells
      nothing, but a model that has only transcribed drawn puzzles reads the image where it ought to look up
      the caption, and then its reasoning is lost as soon as there is an image.
      Every third thought is as long as `teacher` writes them, the others no longer than the search takes:
      from short ones it is learnt much sooner to look a value up.

    Args:
        n: puzzles to draw, hence rows, less the few that the teacher cannot solve.
        transcribe_share: of the puzzles that are transcribed, in [0, 1]; they are spread evenly.
    """
    report = Report()
    brief = replace(teacher, share=1.0)
    solved = 0
    for index, row in enumerate(generate_rows(puzzle, "pretrain", seed, n, style="clean")):
        caption = oracle_prefix(row["perception"])
        if int((index + 1) * transcribe_share) > int(index * transcribe_share):
            yield {**row, "image": _drawn(puzzle, seed, index, MILD), "response": caption}
        else:
            author = brief if solved % LONG_EVERY else teacher
            image = _drawn(puzzle, seed, (index + 1) % n, 1.0) if solved % 2 else None
            for done in distill([row], author, seed, ATTEMPTS, report):
                yield {
                    **done,
                    "image": image,
                    "prefix": caption,
                    "response": done["response"].removeprefix(caption),
                }
            solved += 1


def _drawn(puzzle: Puzzle[Any], seed: int, index: int, strength: float) -> bytes:
    """An image of that item in the style `hard`, at any strength up to `strength`."""
    item = puzzle.item("pretrain", seed, index)
    rng = stream("pretraining image", item.id, strength)
    return encode_image(puzzle.render(item.instance, rng, f"hard:{strength * rng.random():.3f}"))
