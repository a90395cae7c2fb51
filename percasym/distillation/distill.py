"""Asks a teacher about each item, and keeps what the scorer finds right."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, Self

from percasym.datasets import Row
from percasym.distillation.teacher import Attempt, Request, Teacher
from percasym.errors import PercasymError
from percasym.judgement import score
from percasym.puzzles import Puzzle, load_spec
from percasym.response import compose
from percasym.seeding import digest

AT_ONCE = 1024  # rows that are held back until each has a response or none

Choice = Literal["first", "shortest"]


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
    """Attempts that were not kept, by cause: see docs/distillation.md."""
    words: int = 0
    """Of all accepted responses."""
    perception_words: int = 0
    """Of these the captions, tags included."""
    tokens: int = 0
    """That the teacher has generated, for rejected attempts too; 0 from a solver."""
    seconds: float = 0.0
    """That the teacher has worked; those of shards side by side add up."""
    tried: Counter[int] = field(default_factory=Counter)
    """Rows by their difficulty."""
    passed: Counter[int] = field(default_factory=Counter)
    """Rows with a response by their difficulty."""
    settled: int = 0
    """Rows that have a response by now, or will get none."""
    changed: Callable[["Report"], None] | None = None
    """Is called after each attempt."""

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
            "tokens": self.tokens,
            "tokens_per_s": self.tokens / self.seconds if self.tokens else 0.0,
            "by_difficulty": [
                {"difficulty": level, "items": items, "accepted": self.passed[level]}
                for level, items in sorted(self.tried.items())
            ],
        }

    def add(self, other: Self) -> None:
        """Counts in what another report has counted."""
        self.teacher = other.teacher
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def dump(self) -> dict[str, Any]:
        """For JSON; `load` reads it."""
        return {name: getattr(self, name) for name in ("teacher", *COUNTED)}

    @classmethod
    def load(cls, fields: dict[str, Any]) -> Self:
        levels = {
            name: Counter({int(level): count for level, count in fields[name].items()})
            for name in ("tried", "passed")
        }
        return cls(**{**fields, **levels, "rejections": Counter(fields["rejections"])})


COUNTED = (
    *("items", "accepted", "responses", "rejections", "words", "perception_words", "tokens", "seconds"),
    *("tried", "passed", "settled"),
)


def distill(
    rows: Iterable[Row],
    teacher: Teacher,
    seed: int,
    attempts: int,
    report: Report,
    choice: Choice = "first",
    longest: int = 0,
) -> Iterator[Row]:
    """`rows` in their order, each with a right response of at most `attempts`, without those that got none.

    A response is right if the scorer finds its caption, its answer and its form right. `report` is filled
    meanwhile.

    Args:
        choice: first: an item that has a right response is not asked about again; shortest: it is asked
            `attempts` times, and keeps the right response of the fewest words.
        longest: words of a response, at most; 0: as many as there are.

    Raises:
        PercasymError: a row whose puzzle or ground truth cannot be read; the teacher fails for good.
    """
    report.teacher = teacher.name
    source = iter(rows)
    while chunk := list(islice(source, AT_ONCE)):
        report.items += len(chunk)
        found: dict[str, list[str]] = {row["id"]: [] for row in chunk}
        for attempt in range(attempts):
            left = [row for row in chunk if choice == "shortest" or not found[row["id"]]]
            for id_, response in _ask(left, teacher, seed, attempt, report, longest):
                report.settled += not found[id_]
                found[id_].append(response)
        report.settled = report.items
        for row in chunk:
            puzzle = load_spec(row["puzzle"])
            level = puzzle.difficulty(puzzle.read_ground_truth(row["ground_truth"]))
            report.tried[level] += 1
            if responses := found[row["id"]]:
                report.passed[level] += 1
                yield _accepted(row, min(responses, key=lambda text: len(text.split())), report)


def keep(rows: Iterable[Row], report: Report) -> Iterator[Row]:
    """The rows that come with a response, right or wrong; `report` is filled meanwhile, and counts what the
    scorer does not find right as rejections, though nothing is."""
    report.teacher = "the data set's own responses"
    for row in rows:
        puzzle = load_spec(row["puzzle"])
        instance = puzzle.read_ground_truth(row["ground_truth"])
        report.items += 1
        report.settled += 1
        report.tried[puzzle.difficulty(instance)] += 1
        if row["response"]:
            report.responses += 1
            report.passed[puzzle.difficulty(instance)] += 1
            judged = score(puzzle, instance, row["response"])
            if wrong := [
                name for name, right in (("caption", judged.a_p), ("answer", judged.a)) if right is False
            ]:
                report.rejections[f"kept with a wrong {wrong[0]}"] += 1
            yield _accepted(row, row["response"], report)


def _ask(
    rows: Iterable[Row], teacher: Teacher, seed: int, attempt: int, report: Report, longest: int
) -> Iterator[tuple[str, str]]:
    """The right responses to one attempt at each of `rows`, with their ids."""
    requests = {row["id"]: _request(row, seed, attempt) for row in rows}
    since = time.monotonic()
    for made in teacher.respond(list(requests.values())):
        response, cause = _checked(requests.pop(made.id), made, longest)
        report.responses += 1
        report.tokens += made.tokens
        report.seconds += time.monotonic() - since
        since = time.monotonic()
        if cause:
            report.rejections[cause] += 1
        else:
            yield made.id, response
        if report.changed:
            report.changed(report)
    if requests:
        report.responses += len(requests)
        report.rejections["missing"] += len(requests)


def _request(row: Row, seed: int, attempt: int) -> Request:
    puzzle = load_spec(row["puzzle"])
    if not isinstance(puzzle, Puzzle):
        raise PercasymError(
            f"{row['id']} is of {puzzle.name}, which has no p* to reason from: give the rows of train_sft "
            "responses of their own"
        )
    return Request(
        id=row["id"],
        query=row["query"],
        perception=row["perception"],
        attempt=attempt,
        seed=int(digest("response", seed, row["id"], attempt)[:16], 16),
        puzzle=puzzle,
        instance=puzzle.read_ground_truth(row["ground_truth"]),
    )


def _checked(request: Request, made: Attempt, longest: int) -> tuple[str, str]:
    """The response and "", or else why there is none."""
    if made.thought is None:
        return "", made.cause
    response = compose(request.perception, made.thought.text.strip(), made.thought.answer.strip())
    if longest and len(response.split()) > longest:
        return "", "too long"
    judged = score(request.puzzle, request.instance, response)
    if not judged.format:
        return "", "format"
    if not judged.a_p:
        return "", "caption"
    return (response, "") if judged.a else ("", "answer")


def _accepted(row: Row, response: str, report: Report) -> Row:
    report.accepted += 1
    report.words += len(response.split())
    report.perception_words += len(row["perception"].split()) + 2
    return {**row, "response": response}
