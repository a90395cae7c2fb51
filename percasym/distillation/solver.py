"""The embedded teacher: a solver that writes its search down."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from percasym.distillation.teacher import Attempt, Request
from percasym.seeding import stream


@dataclass(frozen=True)
class SolverTeacher:
    """A solver that writes its search down, as long as asked for: the stand-in for a language model.

    Attributes:
        share: of the words of a response that are perception, tags included. The thought is made that long,
            so far as its search and the checks that it has room for allow.
        detours: probability of a wrong turn before each step.
    """

    share: float = 0.05
    detours: float = 0.3
    name: str = "solver"

    def respond(self, requests: Iterable[Request]) -> Iterator[Attempt]:
        for request in requests:
            caption = len(request.perception.split()) + 2
            answer = len(request.puzzle.answer(request.instance).split()) + 2
            words = max(0, round(caption / self.share) - caption - answer)
            rng = stream("solver", request.seed)
            thought = request.puzzle.reasoning(request.instance, rng, words, self.detours)
            yield Attempt(request.id, thought)
