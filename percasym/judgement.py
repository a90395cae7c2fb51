"""The one scoring function: evaluation, teacher, trainers and `percasym score` all judge a response by it.

It stands apart from the rewards, so that a new reward does not repeat what was taught and measured before.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

from percasym.puzzles.base import Credit, Task
from percasym.response import Response, parse

Instance = TypeVar("Instance")

_NOTHING = Credit(exact=False, partial=0.0)


@dataclass(frozen=True, slots=True)
class Score:
    """What one response is worth. Partial credits lie in [0, 1]; an exact one implies a partial one of 1."""

    a: bool
    """The answer solves the real puzzle."""
    a_partial: float
    a_p: bool | None
    """The caption is the real puzzle; None, as all that speaks of captions, of a task without a p*."""
    a_p_partial: float | None
    a_own: bool | None
    """The answer solves the puzzle that the caption describes: reasoning that is right for what the model
    says it sees. False if no puzzle can be read from the caption."""
    format: bool
    """Well formed: each of the four tags once, in order, nothing around them but thoughts
    (`Response.well_formed`); of a task without a p* the two of the answer (`Response.answer_alone`)."""
    complete: bool
    """There are a caption, where there is a p*, and an answer to judge, whatever else there is."""
    characters: int
    """Length of the whole text."""
    caption_read: bool | None
    """Some puzzle can be read from the caption, be it the real one or not; False without a caption. One that
    cannot be read is written in no way that the reader knows, or lacks a part, or has one too many or one
    told twice: it does not say what the model saw."""
    answer_read: bool
    """Some answer can be read, be it right or not; False without one."""


def score(task: Task[Instance], instance: Instance, text: str) -> Score:
    """Judge a response to `instance` by its text alone. Never raises on any text.

    Args:
        task: what reads captions and answers: a family of puzzles, or a task without a p*.
        instance: what the image shows, or what is asked about it.
        text: the whole response; under the oracle protocol it begins with the injected caption.
    """
    response = read_response(task, instance, text)
    answer = _NOTHING if response.answer is None else task.score_answer(instance, response.answer)
    answer_read = response.answer is not None and task.read_answer(response.answer, instance) is not None
    if not task.has_perception:
        return Score(
            a=answer.exact,
            a_partial=answer.partial,
            a_p=None,
            a_p_partial=None,
            a_own=None,
            format=response.answer_alone or response.well_formed,
            complete=response.answer is not None,
            characters=len(text),
            caption_read=None,
            answer_read=answer_read,
        )
    perception = _NOTHING
    caption_read = own = False
    if response.caption is not None:
        perception = task.score_perception(instance, response.caption)
        caption_read = task.describes(response.caption, instance)
        if perception.exact:
            own = answer.exact
        elif response.answer is not None and caption_read:
            own = task.answers_caption(instance, response.caption, response.answer)
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


def read_response(task: Task[Instance], instance: Instance, text: str) -> Response:
    """A response to `instance` taken apart as it is judged: its caption is the first that can be read."""
    return parse(text, lambda caption: task.describes(caption, instance))


_FACTS = {"characters", "caption_read", "answer_read"}  # about a text, not worth anything
FIELDS = tuple(field.name for field in fields(Score) if field.name not in _FACTS)
"""What a reward can be a sum of; all of them lie in [0, 1]."""
