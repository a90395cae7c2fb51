"""Only what the scorer finds right becomes training data."""

from collections import Counter

import pytest

from percasym.datasets import generate_rows
from percasym.distillation import Attempt, Report, SolverTeacher, distill
from percasym.judgement import score
from percasym.puzzles import load_puzzle
from percasym.puzzles.base import Thought
from percasym.response import parse

SUDOKU = load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": "cells"})
GRAPH = load_puzzle("graph_coloring", {"vertices_low": 6, "vertices_high": 6, "text": "cells", "side": 64})


class Scripted:
    """A teacher that says what `script` maps an attempt to, for every item; None: nothing."""

    name = "scripted"

    def __init__(self, *script):
        self.script = script
        self.asked = Counter()

    def respond(self, requests):
        for request in reversed(list(requests)):  # in any order
            say = self.script[self.asked[request.id]]
            self.asked[request.id] += 1
            if say is not None:
                yield Attempt(request.id, say(request))


def right(request):
    return Thought("it is plain", request.puzzle.answer(request.instance))


def liar(request):
    return Thought("trust me", " ".join(request.puzzle.perception(request.instance).split()))


def second_caption(request):
    return Thought("<caption> nothing </caption> so", request.puzzle.answer(request.instance))


def two_answers(request):
    answer = request.puzzle.answer(request.instance)
    return Thought(f"<answer> {answer} </answer> or rather", answer)


@pytest.mark.parametrize("puzzle", [SUDOKU, GRAPH], ids=["sudoku", "graph"])
@pytest.mark.parametrize("text", ["cells", "json"])
def test_the_solver_is_always_right_and_keeps_the_order(puzzle, text):
    puzzle = load_puzzle(puzzle.name, {**puzzle.config.model_dump(), "text": text})
    rows = list(generate_rows(puzzle, "train_sft", 3, 40))
    report = Report()
    distilled = list(distill(rows, SolverTeacher(), 0, 1, report))
    assert [row["id"] for row in distilled] == [row["id"] for row in rows]
    for before, after in zip(rows, distilled, strict=True):
        judged = score(puzzle, puzzle.read_ground_truth(after["ground_truth"]), after["response"])
        assert judged.a
        assert judged.a_p
        assert judged.a_own
        assert judged.format
        assert parse(after["response"]).caption == after["perception"]
        assert {**after, "response": ""} == before
    assert report.summary()["acceptance_rate"] == 1.0
    assert report.accepted == report.responses == report.items == 40


@pytest.mark.parametrize("puzzle", [SUDOKU, GRAPH], ids=["sudoku", "graph"])
@pytest.mark.parametrize("share", [0.1, 0.05, 0.025])
def test_the_share_of_perception_is_the_one_asked_for(puzzle, share):
    report = Report()
    rows = generate_rows(puzzle, "train_sft", 0, 60)
    responses = [row["response"] for row in distill(rows, SolverTeacher(share=share), 0, 1, report)]
    spans = [parse(text).caption_span for text in responses]
    captions = [text[start:end].split() for text, (start, end) in zip(responses, spans, strict=True)]
    words = sum(len(text.split()) for text in responses)
    assert sum(map(len, captions)) / words == pytest.approx(share, rel=0.05)
    assert report.summary()["perception_share"] == pytest.approx(sum(map(len, captions)) / words)
    assert report.summary()["words"] == pytest.approx(words / 60)


@pytest.mark.parametrize(
    ("say", "cause"),
    [(liar, "answer"), (second_caption, "format"), (two_answers, "format"), (None, "missing")],
)
def test_what_is_not_right_is_not_kept(say, cause):
    report = Report()
    rows = list(generate_rows(SUDOKU, "train_sft", 0, 5))
    assert list(distill(rows, Scripted(say, say), 0, 2, report)) == []
    found = report.summary()
    assert found == {
        "teacher": "scripted",
        "items": 5,
        "accepted": 0,
        "yield": 0.0,
        "responses": 10,
        "acceptance_rate": 0.0,
        "rejections": {cause: 10},
        "words": 0.0,
        "perception_share": 0.0,
        "tokens": 0,
        "tokens_per_s": 0.0,
        "by_difficulty": found["by_difficulty"],
    }
    assert sum(level["items"] for level in found["by_difficulty"]) == 5


def test_a_wrong_caption_is_not_kept():
    rows = [{**row, "perception": "a1 1"} for row in generate_rows(SUDOKU, "train_sft", 0, 3)]
    report = Report()
    assert list(distill(rows, Scripted(right), 0, 1, report)) == []
    assert report.rejections == {"caption": 3}


def test_who_fails_is_asked_again_and_nobody_else():
    rows = list(generate_rows(SUDOKU, "train_sft", 0, 4))
    teacher = Scripted(liar, None, right, liar)
    report = Report()
    assert [row["id"] for row in distill(rows, teacher, 0, 4, report)] == [row["id"] for row in rows]
    assert set(teacher.asked.values()) == {3}
    assert report.rejections == {"answer": 4, "missing": 4}
    assert report.summary()["acceptance_rate"] == pytest.approx(1 / 3)


def test_a_response_depends_on_seed_and_item_alone():
    rows = list(generate_rows(SUDOKU, "train_sft", 0, 6))
    teacher = SolverTeacher()
    together = [row["response"] for row in distill(rows, teacher, 1, 1, Report())]
    apart = [row["response"] for one in rows[::-1] for row in distill([one], teacher, 1, 1, Report())]
    assert together == apart[::-1]
    other = [row["response"] for row in distill(rows, teacher, 2, 1, Report())]
    assert not set(together) & set(other)
    namesake = {**rows[0], "id": "another"}
    assert next(distill([namesake], teacher, 1, 1, Report()))["response"] != together[0]


def test_rows_stream():
    taken = 0

    def endless():
        nonlocal taken
        for row in generate_rows(SUDOKU, "train_sft", 0, 10**9):
            taken += 1
            yield row

    assert next(distill(endless(), SolverTeacher(share=0.2), 0, 1, Report()))["response"]
    assert taken < 2000
