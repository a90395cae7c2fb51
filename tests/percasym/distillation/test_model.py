"""A language model's answers are read as thoughts, and never asked for twice."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.datasets import generate_rows
from percasym.distillation import Report, distill
from percasym.distillation.model import PROMPT, Answer, ModelTeacher, read_answer, read_prompt
from percasym.engines import Completion, Request, Sampling
from percasym.errors import PercasymError
from percasym.journal import Journal
from percasym.puzzles import load_puzzle
from percasym.response import parse

SUDOKU = load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": "cells"})
ROWS = list(generate_rows(SUDOKU, "train_sft", 0, 6))


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>\nfirst this\n</think>\n\nSo: <answer>a1 1</answer>", "first this", "a1 1"),
        ("first this</think><answer>a1 1</answer>", "first this", "a1 1"),  # the template opened the thought
        ("first this <answer>a1 1</answer>", "first this", "a1 1"),  # it does not think
        ("<think>it wants <answer>, no <caption></think><answer>a1 1</answer>", "it wants , no", "a1 1"),
        ("<think>a</think><answer>2</answer> or <answer>a1 1</answer>", "a", "a1 1"),
    ],
)
def test_a_thought(text: str, reasoning: str, answer: str) -> None:
    made = read_answer("x", Answer(text, 9, "stop"))
    assert made.thought is not None
    assert " ".join(made.thought.text.split()) == reasoning
    assert made.thought.answer == answer
    assert made.tokens == 9


@pytest.mark.parametrize(
    ("text", "finish_reason", "cause"),
    [
        ("<think>on and on <answer>1</answer>", "stop", "unclosed thought"),
        ("<think>a</think><answer>1</answer>", "length", "cut off"),
        ("<think>a</think> 1", "stop", "no answer"),
        ("", "stop", "no answer"),
        ("<think></think><answer>1</answer>", "stop", "no reasoning"),
        ("<answer>1</answer>", "stop", "no reasoning"),
        ("<think>it is <answer>1</answer></think> so", "stop", "no answer"),
    ],
)
def test_a_rejection(text: str, finish_reason: str, cause: str) -> None:
    made = read_answer("x", Answer(text, 9, finish_reason))
    assert (made.thought, made.cause, made.tokens) == (None, cause, 9)


PIECES = ["<think>", "</think>", "<answer>", "</answer>", "<caption>", "</caption>", " a1 1 "]


@given(st.lists(st.sampled_from(PIECES)))
def test_no_text_breaks_it(pieces: list[str]) -> None:
    made = read_answer("x", Answer("".join(pieces), 1, "stop"))
    assert (made.thought is None) == bool(made.cause)
    if made.thought:
        assert not parse(made.thought.text).caption
        assert "<" not in made.thought.text


class Speaker:
    """An engine that solves the puzzle it is asked about, and counts."""

    def __init__(self, says: str = "<think>so</think><answer>{answer}</answer>", until: int = 10**9) -> None:
        self.says = says
        self.until = until
        self.asked: list[Request] = []

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        assert sampling.stop == ""
        for request in requests:
            if len(self.asked) == self.until:
                raise PercasymError("the server is gone")
            self.asked.append(request)
            row = next(row for row in ROWS if row["perception"] in request.query)
            answer = SUDOKU.answer(SUDOKU.read_ground_truth(row["ground_truth"]))
            yield Completion(request.id, self.says.format(answer=answer), 11, "stop")


def run(
    path: Path,
    speaker: Speaker,
    rows: list[dict[str, Any]] = ROWS,
    report: Report | None = None,
    **options: Any,
) -> list[str]:
    with Journal(path) as journal:
        teacher = ModelTeacher("speaker", lambda: speaker, Sampling(stop=""), read_prompt(PROMPT), journal)
        attempts = options.pop("attempts", 1)
        report = report or Report()
        return [row["response"] for row in distill(rows, teacher, 0, attempts, report, **options)]


def test_the_teacher_is_told_and_never_shown(tmp_path: Path) -> None:
    speaker = Speaker()
    responses = run(tmp_path / "journal.jsonl", speaker)
    assert len(responses) == len(ROWS)
    for row, request in zip(ROWS, speaker.asked, strict=True):
        assert request.image is None
        assert row["query"] in request.query
        assert row["perception"] in request.query


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    with pytest.raises(PercasymError, match="gone"):
        run(path, Speaker(until=3), ROWS[:5])
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    path.write_text("".join(lines[:2]) + lines[2][:20])  # killed while it was writing
    speaker, report = Speaker(), Report()
    extended = run(path, speaker, ROWS, report)
    assert len(extended) == len(ROWS)
    assert len(speaker.asked) == len(ROWS) - 2
    assert report.tokens == 11 * len(ROWS)
    again = Speaker()
    assert run(path, again) == extended
    assert again.asked == []


def test_another_prompt_or_seed_is_another_question(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run(path, Speaker())
    speaker = Speaker()
    other = [{**row, "query": row["query"] + " please"} for row in ROWS]
    run(path, speaker, other)
    assert len(speaker.asked) == len(ROWS)


def test_who_is_wrong_is_asked_again_and_its_rejections_are_counted(tmp_path: Path) -> None:
    report = Report()
    assert (
        run(tmp_path / "j", Speaker("<think>so</think><answer>1</answer>"), report=report, attempts=3) == []
    )
    assert report.rejections == {"answer": 3 * len(ROWS)}
    summary = report.summary()
    assert sum(level["items"] for level in summary["by_difficulty"]) == len(ROWS)
    assert all(level["accepted"] == 0 for level in summary["by_difficulty"])
    assert summary["tokens"] == 33 * len(ROWS)
    assert json.loads(json.dumps(report.dump()))
    assert Report.load(json.loads(json.dumps(report.dump()))).summary() == summary


def test_the_shortest_of_all_and_the_longest_allowed(tmp_path: Path) -> None:
    class Shrinking(Speaker):
        def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
            self.says = (
                "<think>"
                + "so " * (9 - 3 * (len(self.asked) // len(ROWS)))
                + "</think><answer>{answer}</answer>"
            )
            yield from super().generate(requests, sampling)

    first = run(tmp_path / "a", Shrinking(), attempts=3)
    shortest = run(tmp_path / "b", Shrinking(), attempts=3, choice="shortest")
    assert [text.count("so") for text in first] == [9] * len(ROWS)
    assert [text.count("so") for text in shortest] == [3] * len(ROWS)
    report = Report()
    words = max(len(text.split()) for text in shortest)
    assert len(run(tmp_path / "c", Shrinking(), report=report, attempts=3, longest=words)) == len(ROWS)
    assert report.rejections == {"too long": 2 * len(ROWS)}


def test_prompts(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    with pytest.raises(PercasymError, match="cannot read"):
        read_prompt(path)
    path.write_text("say {query}")
    with pytest.raises(PercasymError, match=r"lacks \{perception\}"):
        read_prompt(path)
    path.write_text("x" * 70_000)
    with pytest.raises(PercasymError, match="longer"):
        read_prompt(path)
