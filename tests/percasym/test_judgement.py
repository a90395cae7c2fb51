import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.judgement import Score, score
from percasym.puzzles import Puzzle, load_puzzle
from percasym.response import compose

CONFIGS = [
    ("sudoku", {"rows": 2, "cols": 2, "text": "cells"}),
    ("sudoku", {"rows": 2, "cols": 2, "text": "json"}),
    ("graph_coloring", {"text": "cells"}),
    ("graph_coloring", {"text": "json"}),
]
PUZZLES = [load_puzzle(name, config) for name, config in CONFIGS]
TAGS = ["<caption>", "</caption>", "<answer>", "</answer>"]
WORDS = [*TAGS, *["a1", "3", "-", ",", "0", "1", "2", "a", "b", "[", "]", "{}", "[[0,1]]", "```", "why"]]


@pytest.fixture(params=PUZZLES, ids=lambda puzzle: f"{puzzle.name}-{puzzle.config.text}")
def puzzle(request: pytest.FixtureRequest) -> Puzzle:
    return request.param


def two_items(puzzle: Puzzle) -> tuple[object, object]:
    """Two instances of one size, so that the caption of one describes a possible instance for the other."""
    first = puzzle.item("test", 0, 0).instance
    for index in range(1, 100):
        other = puzzle.item("test", 0, index).instance
        if other != first and getattr(other, "v", 0) == getattr(first, "v", 0):
            described = puzzle.read_perception(puzzle.perception(other), first)
            if not puzzle.score_answer(first, puzzle.answer(other)).exact and described == other:
                return first, other
    raise AssertionError("no other item")


def test_a_right_response_has_every_credit(puzzle: Puzzle) -> None:
    instance = puzzle.item("test", 0, 0).instance
    text = compose(puzzle.perception(instance), "since it must be", puzzle.answer(instance))
    assert score(puzzle, instance, text) == Score(
        True, 1.0, True, 1.0, True, True, True, len(text), True, True
    )


def test_perception_and_reasoning_are_told_apart(puzzle: Puzzle) -> None:
    instance, other = two_items(puzzle)
    own = score(puzzle, instance, compose(puzzle.perception(other), "why", puzzle.answer(other)))
    assert (own.a, own.a_p, own.a_own) == (False, False, True)
    assert 0 <= own.a_p_partial < 1
    lucky = score(puzzle, instance, compose(puzzle.perception(other), "why", puzzle.answer(instance)))
    assert (lucky.a, lucky.a_p, lucky.a_partial) == (True, False, 1.0)
    wrong = score(puzzle, instance, compose(puzzle.perception(instance), "why", puzzle.answer(other)))
    assert (wrong.a, wrong.a_p, wrong.a_own) == (False, True, False)
    assert 0 <= wrong.a_partial < 1


def test_missing_parts_earn_nothing(puzzle: Puzzle) -> None:
    instance = puzzle.item("test", 0, 0).instance
    caption = f"<caption> {puzzle.perception(instance)} </caption>"
    answer = f"<answer> {puzzle.answer(instance)} </answer>"
    assert score(puzzle, instance, caption) == Score(
        False, 0.0, True, 1.0, False, False, False, len(caption), True, False
    )
    assert score(puzzle, instance, answer) == Score(
        True, 1.0, False, 0.0, False, False, False, len(answer), False, True
    )
    assert score(puzzle, instance, answer + caption).a is False
    assert score(puzzle, instance, "") == Score(False, 0.0, False, 0.0, False, False, False, 0, False, False)


def test_an_unreadable_caption_has_no_own_answer(puzzle: Puzzle) -> None:
    instance = puzzle.item("test", 0, 0).instance
    judged = score(puzzle, instance, compose("a fine picture", "why", puzzle.answer(instance)))
    assert (judged.a, judged.a_p, judged.a_own, judged.complete) == (True, False, False, True)
    assert (judged.caption_read, judged.answer_read) == (False, True)
    judged = score(puzzle, instance, compose(puzzle.perception(instance), "why", "I do not know"))
    assert (judged.a, judged.a_p, judged.caption_read, judged.answer_read) == (False, True, True, False)


def test_format_is_strict_and_complete_is_not(puzzle: Puzzle) -> None:
    instance = puzzle.item("test", 0, 0).instance
    text = "Sure! " + compose(puzzle.perception(instance), "why", puzzle.answer(instance))
    judged = score(puzzle, instance, text)
    assert judged == Score(True, 1.0, True, 1.0, True, False, True, len(text), True, True)


@given(st.sampled_from(PUZZLES), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.text())
def test_any_text_has_a_score_in_range(puzzle: Puzzle, text: str) -> None:
    judged = score(puzzle, puzzle.item("test", 0, 0).instance, text)
    assert 0 <= judged.a_partial <= 1
    assert 0 <= judged.a_p_partial <= 1
    assert judged.a_partial == 1 or not judged.a
    assert judged.a_p_partial == 1 or not judged.a_p
    assert not judged.a_own or judged.complete
    assert judged.caption_read >= judged.a_p
    assert judged.answer_read >= max(judged.a, judged.a_own)
    assert judged.a_own == judged.a or not judged.a_p
    json.dumps(dataclasses.asdict(judged), allow_nan=False)


@given(st.sampled_from(PUZZLES), st.integers(0, 3), st.integers(0, 3), st.data())
def test_own_answers_are_judged_as_the_described_puzzle_would_judge_them(
    puzzle: Puzzle, described: int, answered: int, data: st.DataObject
) -> None:
    instance = puzzle.item("test", 0, 0).instance
    caption = puzzle.perception(puzzle.item("test", 0, described).instance)
    answer = puzzle.answer(puzzle.item("test", 0, answered).instance)
    for place in data.draw(st.lists(st.integers(0, len(caption) - 1), max_size=2)):
        caption = caption[:place] + data.draw(st.sampled_from("0123-,")) + caption[place + 1 :]
    read = puzzle.read_perception(caption, instance)
    expected = read is not None and puzzle.score_answer(read, answer).exact
    assert puzzle.answers_caption(instance, caption, answer) == expected


def test_an_own_answer_needs_as_few_colours_as_the_described_graph() -> None:
    puzzle = load_puzzle("graph_coloring", {"text": "cells"})
    triangle = puzzle.read_ground_truth('{"v": 3, "c": 3, "edges": [[0, 1], [0, 2], [1, 2]]}')
    assert score(puzzle, triangle, compose("0 1 , 1 2", "why", "0 a 1 b 2 a")).a_own
    wasteful = score(puzzle, triangle, compose("0 1 , 1 2", "why", "0 a 1 b 2 c"))
    assert (wasteful.a, wasteful.a_own) == (True, False)
