"""The one scoring function: evaluation, teacher, trainers and `percasym score` all judge a response by it.

It stands apart from the rewards, so that a new reward does not repeat what was taught and measured before.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

from percasym.puzzles.base import Credit, Puzzle
from percasym.response import Response, parse

Instance = TypeVar("Instance")

_NOTHING = Credit(exact=False, partial=0.0)


@dataclass(frozen=True, slots=True)
class Score:
    """What one response is worth. Partial credits lie in [0, 1]; an exact one implies a partial one of 1."""

    a: bool
    """The answer solves the real puzzle."""
    a_partial: float
    a_p: bool
    """The caption is the real puzzle."""
    a_p_partial: float
    a_own: bool
    """The answer solves the puzzle that the caption describes: reasoning that is right for what the model
    says it sees. False if no puzzle can be read from the caption."""
    format: bool
    """Well formed: each of the four tags once, in order, nothing around them but thoughts
    (`Response.well_formed`)."""
    complete: bool
    """There are a caption and an answer to judge, whatever else there is."""
    characters: int
    """Length of the whole text."""
    caption_read: bool
    """Some puzzle can be read from the caption, be it the real one or not; False without a caption. One that
    cannot be read is written in no way that the reader knows, or lacks a part, or has one too many or one
    told twice: it does not say what the model saw."""
    answer_read: bool
    """Some answer can be read, be it right or not; False without one."""


def score(puzzle: Puzzle[Instance], instance: Instance, text: str) -> Score:
    """Judge a response to `instance` by its text alone. Never raises on any text.

    Args:
        puzzle: the family of puzzles, which reads captions and answers.
        instance: the puzzle that the image shows.
        text: the whole response; under the oracle protocol it begins with the injected caption.
    """
    response = read_response(puzzle, instance, text)
    answer = _NOTHING if response.answer is None else puzzle.score_answer(instance, response.answer)
    answer_read = response.answer is not None and puzzle.read_answer(response.answer, instance) is not None
    perception = _NOTHING
    caption_read = own = False
    if response.caption is not None:
        perception = puzzle.score_perception(instance, response.caption)
        caption_read = puzzle.describes(response.caption, instance)
        if perception.exact:
            own = answer.exact
        elif response.answer is not None and caption_read:
            own = puzzle.answers_caption(instance, response.caption, response.answer)
    return Score(
        a=answer.exact,
        a_partial=answer.partial,
        a_p=perception.exact,
        a_p_partial=perception.partial,
        a_own=own,
        format=response.well_formed,
        complete=response.caption is not None and response.answer is not None,
        characters=len(text),
        caption_read=caption_read,
        answer_read=answer_read,
    )


def read_response(puzzle: Puzzle[Instance], instance: Instance, text: str) -> Response:
    """A response to `instance` taken apart as it is judged: its caption is the first that can be read."""
    return parse(text, lambda caption: puzzle.describes(caption, instance))


_FACTS = {"characters", "caption_read", "answer_read"}  # about a text, not worth anything
FIELDS = tuple(field.name for field in fields(Score) if field.name not in _FACTS)
"""What a reward can be a sum of; all of them lie in [0, 1]."""
