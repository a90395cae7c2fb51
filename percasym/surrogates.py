"""What can stand in for a_p where nobody knows p*: rewards for perception without labels.

A surrogate is a function from the sampled responses to one item to a number for each, in [0, 1]; a user's own
is named path/to/file.py:function, with what else it takes after colons: path/to/file.py:function:scale=2.

    agreement     the caption's mean agreement with the other captions of its group (self-consistency)
    well_formed   the caption describes a puzzle that could have been drawn
    agreed        ... and the response's own answer solves it
    teacher       the caption's partial credit by the puzzle that a teacher's caption describes (pseudo-label)
    blinding      how much more probable the caption is with the image than with a blank one

The first three look at nothing but the responses; the last two want what a `Group` may hold besides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite
from typing import Any

from percasym.errors import PercasymError
from percasym.extensions import load_function, parse_call
from percasym.puzzles import Task
from percasym.response import Response


@dataclass(frozen=True)
class Group:
    """The responses to one item, as a surrogate may see them.

    Attributes:
        puzzle: reads captions and judges answers.
        item: the instance, for what the query says of it (its size) and for nothing else: what the image
            shows is what a surrogate has to do without.
        teacher: the caption that a teacher gave the same image, "" if it gave none; None without a teacher.
        gains: finds out for each response what the image adds to its caption's mean log-probability by token,
            in nats (`percasym.grpo.blinding`); None where there is no model at hand. It takes two forward
            passes, so only a surrogate that wants it pays for it.
    """

    puzzle: Task[Any]
    item: Any
    responses: Sequence[Response]
    teacher: str | None = None
    gains: Callable[[], Sequence[float]] | None = None

    def described(self) -> list[Any | None]:
        """The puzzle that each caption describes; None for one that describes none."""
        return [
            None if response.caption is None else self.puzzle.read_perception(response.caption, self.item)
            for response in self.responses
        ]


Surrogate = Callable[[Group], Sequence[float]]


def agreement(group: Group) -> list[float]:
    """The mean partial credit that a caption has by the puzzles that the others describe."""
    described = group.described()
    values = []
    for number, response in enumerate(group.responses):
        others = [puzzle for place, puzzle in enumerate(described) if place != number]
        credits = [
            0.0
            if other is None or response.caption is None
            else group.puzzle.score_perception(other, response.caption).partial
            for other in others
        ]
        values.append(sum(credits) / max(1, len(credits)))
    return values


def well_formed(group: Group) -> list[float]:
    """1 for a caption that describes a possible puzzle."""
    return [float(puzzle is not None and group.puzzle.is_possible(puzzle)) for puzzle in group.described()]


def agreed(group: Group) -> list[float]:
    """1 for a caption that describes a possible puzzle which the response's own answer solves."""
    return [
        float(
            possible > 0
            and response.caption is not None
            and response.answer is not None
            and group.puzzle.answers_caption(group.item, response.caption, response.answer)
        )
        for possible, response in zip(well_formed(group), group.responses, strict=True)
    ]


def teacher(group: Group) -> list[float]:
    """The partial credit of a caption by the puzzle that the teacher's describes; 0 if that describes none.

    Raises:
        PercasymError: the group has no teacher.
    """
    if group.teacher is None:
        raise PercasymError("the surrogate teacher wants a teacher's captions, and there are none")
    described = group.puzzle.read_perception(group.teacher, group.item) if group.teacher else None
    return [
        0.0
        if described is None or response.caption is None
        else group.puzzle.score_perception(described, response.caption).partial
        for response in group.responses
    ]


def blinding(group: Group) -> list[float]:
    """1 - exp(-max(0, gain)) of the gain in nats: 0 for a caption that is as probable without the image.

    It rises with the gain and stays below 1; ln 2, a caption whose tokens are twice as probable (by the
    geometric mean) for seeing the image, is worth 1/2.

    Raises:
        PercasymError: the group has no model to ask.
    """
    if group.gains is None:
        raise PercasymError("the surrogate blinding wants the model that responds: here are only texts")
    return [1 - exp(-max(0.0, gain)) for gain in group.gains()]


SURROGATES: Mapping[str, Surrogate] = {
    "agreement": agreement,
    "well_formed": well_formed,
    "agreed": agreed,
    "teacher": teacher,
    "blinding": blinding,
}

PER_RESPONSE: frozenset[str] = frozenset({"well_formed", "agreed", "teacher"})
"""Surrogates that judge a response by itself, so that engines that score one at a time can have them. Others,
and whatever a user wrote, want the whole group."""


def uses_teacher(name: str) -> bool:
    """Whether a surrogate looks at the teacher's caption; a user's may."""
    return name == "teacher" or (name != "" and name not in SURROGATES)


def load_surrogate(name: str) -> Surrogate:
    """The surrogate of that name, or the function that path/to/file.py:function stands for.

    Raises:
        PercasymError: there is none.
    """
    if name in SURROGATES:
        return SURROGATES[name]
    call = parse_call(name)
    if call.path:
        function = load_function(call.name)
        call.bind(function, None)
        return lambda group: function(group, *call.values, **call.options)
    raise PercasymError(
        f"there is no surrogate {name!r}: use {', '.join(SURROGATES)}, or path/to/file.py:function"
    )


def surrogate_values(name: str, group: Group, id_: str) -> list[float]:
    """What a surrogate says of a group of responses to the item `id_`.

    Raises:
        PercasymError: it lacks what it needs, fails, or does not give one finite number for each response.
            Counted as 0 it would teach, and nobody would see why.
    """
    surrogate = load_surrogate(name)
    try:
        values = [float(value) for value in surrogate(group)]
    except PercasymError:
        raise
    except Exception as error:
        raise PercasymError(
            f"the surrogate {name} failed at item {id_}: {type(error).__name__}: {error}"
        ) from error
    if len(values) != len(group.responses) or not all(map(isfinite, values)):
        raise PercasymError(
            f"the surrogate {name} gave {values} for {len(group.responses)} responses to {id_}"
        )
    return values
