"""Chains of thought from a teacher who is told what the image shows, checked before anybody learns from them.

The teacher gets the query and p*, the canonical text of the image. It reasons and answers; the response that
the student learns is `<caption>` p* `</caption>` reasoning `<answer>` answer `</answer>`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol

from percasym.datasets import Row
from percasym.judgement import score
from percasym.puzzles import Puzzle
from percasym.puzzles.base import Thought
from percasym.puzzles.registry import load_spec
from percasym.response import compose
from percasym.seeding import digest, stream

AT_ONCE = 1024  # rows that are held back until each has a response or none


class Request(NamedTuple):
    """What a teacher is asked. A language model needs `query` and `perception`, a solver `puzzle` and
    `instance`.

    `seed` decides all that is random about the response; it is another one for each attempt.
    """

    id: str
    query: str
    perception: str
    seed: int
    puzzle: Puzzle[Any]
    instance: Any


class Teacher(Protocol):
    """Whoever reasons."""

    @property
    def name(self) -> str:
        """Who that is, for reports."""
        ...

    def respond(self, requests: Iterable[Request]) -> Iterator[tuple[str, Thought]]:
        """A thought for each request, with its id, in any order; none for a request that failed.

        The thought's text is the reasoning alone, in one form whatever the model: no `<think>` tags, no
        caption, and no answer.
        """
        ...


@dataclass(frozen=True)
class SolverTeacher:
    """The embedded teacher: a solver that writes its search down, as long as asked for.

    Attributes:
        share: of the words of a response that are perception, tags included. The thought is made that long,
            so far as its search and the checks that it has room for allow.
        detours: probability of a wrong turn before each step.
    """

    share: float = 0.05
    detours: float = 0.3
    name: str = "solver"

    def respond(self, requests: Iterable[Request]) -> Iterator[tuple[str, Thought]]:
        for request in requests:
            caption = len(request.perception.split()) + 2
            answer = len(request.puzzle.answer(request.instance).split()) + 2
            words = max(0, round(caption / self.share) - caption - answer)
            rng = stream("solver", request.seed)
            yield request.id, request.puzzle.reasoning(request.instance, rng, words, self.detours)


@dataclass
class Report:
    """What became of the responses, counted while `distill` goes on."""

    teacher: str = ""
    items: int = 0
    """Rows that came in."""
    accepted: int = 0
    """Rows that have a response and went on."""
    responses: int = 0
    """Attempts made, failed ones included."""
    rejections: Counter[str] = field(default_factory=Counter)
    """Attempts that were not kept: "missing" (no response), "format", "caption" or "answer"."""
    words: int = 0
    """Of all accepted responses."""
    perception_words: int = 0
    """Of these the captions, tags included."""

    def summary(self) -> dict[str, Any]:
        """The counts and their rates, for JSON: `acceptance_rate` is of responses, `yield` of items."""
        return {
            "teacher": self.teacher,
            "items": self.items,
            "accepted": self.accepted,
            "yield": self.accepted / max(1, self.items),
            "responses": self.responses,
            "acceptance_rate": self.accepted / max(1, self.responses),
            "rejections": dict(sorted(self.rejections.items())),
            "words": self.words / max(1, self.accepted),
            "perception_share": self.perception_words / max(1, self.words),
        }


def distill(rows: Iterable[Row], teacher: Teacher, seed: int, attempts: int, report: Report) -> Iterator[Row]:
    """`rows` in their order with the first right response of at most `attempts`, without those that got none.

    A response is right if the scorer finds its caption, its answer and its form right. `report` is filled
    meanwhile.

    Raises:
        PercasymError: a row whose puzzle or ground truth cannot be read.
    """
    report.teacher = teacher.name
    source = iter(rows)
    while chunk := list(islice(source, AT_ONCE)):
        report.items += len(chunk)
        responses: dict[str, str] = {}
        left = {row["id"]: row for row in chunk}
        for attempt in range(attempts):
            responses.update(_ask(left, teacher, seed, attempt, report))
            left = {id_: row for id_, row in left.items() if id_ not in responses}
            if not left:
                break
        for row in chunk:
            if response := responses.get(row["id"]):
                _count(report, row, response)
                yield {**row, "response": response}


def _ask(rows: dict[str, Row], teacher: Teacher, seed: int, attempt: int, report: Report) -> dict[str, str]:
    """The right responses to one attempt at each of `rows`."""
    requests = {id_: _request(row, seed, attempt) for id_, row in rows.items()}
    thoughts = dict(teacher.respond(requests.values()))
    responses = {}
    for id_, request in requests.items():
        report.responses += 1
        response, cause = _checked(request, thoughts.get(id_))
        if cause:
            report.rejections[cause] += 1
        else:
            responses[id_] = response
    return responses


def _request(row: Row, seed: int, attempt: int) -> Request:
    puzzle = load_spec(row["puzzle"])
    return Request(
        id=row["id"],
        query=row["query"],
        perception=row["perception"],
        seed=int(digest("response", seed, row["id"], attempt)[:16], 16),
        puzzle=puzzle,
        instance=puzzle.read_ground_truth(row["ground_truth"]),
    )


def _checked(request: Request, thought: Thought | None) -> tuple[str, str]:
    """The response and "", or else why there is none."""
    if thought is None:
        return "", "missing"
    response = compose(request.perception, thought.text.strip(), thought.answer.strip())
    judged = score(request.puzzle, request.instance, response)
    if not judged.format:
        return "", "format"
    if not judged.a_p:
        return "", "caption"
    return (response, "") if judged.a else ("", "answer")


def _count(report: Report, row: Row, response: str) -> None:
    report.accepted += 1
    report.words += len(response.split())
    report.perception_words += len(row["perception"].split()) + 2
