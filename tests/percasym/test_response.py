from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from percasym.response import Response, compose, oracle_prefix, parse, perception_mask

PIECES = [
    "<caption>",
    "</caption>",
    "<answer>",
    "</answer>",
    " ",
    "\n",
    "x",
    "3 -",
    "<",
    "</",
    "caption>",
    "é",
    "𝔸",
]
SOUPS = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="<>"), max_size=12).map(str.strip)


def outcome(text: str) -> tuple[str | None, str, str | None]:
    return parse(text)[:3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the form, and what little of it may be there
        ("<caption> p </caption> why <answer> a </answer>", ("p", "why", "a")),
        ("<caption></caption><answer></answer>", ("", "", "")),
        ("", (None, "", None)),
        ("no tags", (None, "no tags", None)),
        ("why <answer> a </answer>", (None, "why", "a")),
        ("<caption> p </caption> why", ("p", "why", None)),
        # unclosed and unopened
        ("<caption> p why <answer> a </answer>", (None, "<caption> p why", "a")),
        ("p </caption> why <answer> a </answer>", (None, "p </caption> why", "a")),
        ("<caption> p </caption> why <answer> a", ("p", "why <answer> a", None)),
        ("<caption> p </caption> why a </answer>", ("p", "why a </answer>", None)),
        ("<caption> p </caption> <answer> a </answer> so <answer> b", ("p", "", "a")),
        # repeated: the first caption, the last answer
        (
            "<caption> p </caption> <caption> q </caption> <answer> a </answer>",
            ("p", "<caption> q </caption>", "a"),
        ),
        (
            "<caption> p </caption> <answer> a </answer> no <answer> b </answer>",
            ("p", "<answer> a </answer> no", "b"),
        ),
        # nested: the innermost pair
        ("<caption> p <caption> q </caption> r </caption> <answer> a </answer>", ("q", "r </caption>", "a")),
        ("<caption> p </caption> <answer> a <answer> b </answer> c </answer>", ("p", "<answer> a", "b")),
        # an answer before, inside or across the border of the caption does not count
        ("<answer> a </answer> <caption> p </caption> why", ("p", "why", None)),
        ("<caption> p <answer> a </answer> </caption> why", ("p <answer> a </answer>", "why", None)),
        ("<caption> p <answer> a </caption> b </answer>", ("p <answer> a", "b </answer>", None)),
        ("<answer> a <caption> p </caption> b </answer>", ("p", "b </answer>", None)),
        # a caption inside an answer is a caption all the same
        ("<answer> <caption> p </caption> </answer> <answer> a </answer>", ("p", "</answer>", "a")),
        # what is not a tag
        (
            "<Caption> p </Caption> <answer > a </answer>",
            (None, "<Caption> p </Caption> <answer > a </answer>", None),
        ),
    ],
)
def test_each_malformation_has_its_outcome(text: str, expected: tuple[str | None, str, str | None]) -> None:
    assert outcome(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<caption> p </caption> why <answer> a </answer>", True),
        ("\n<caption></caption><answer></answer> \n", True),
        ("Sure! <caption> p </caption> why <answer> a </answer>", False),
        ("<caption> p </caption> why <answer> a </answer> Done.", False),
        ("<caption> p </caption> <answer> a </answer> <answer> a </answer>", False),
        ("<answer> a </answer> <caption> p </caption>", False),
        ("<caption> p </caption>", False),
        ("", False),
    ],
)
def test_well_formed_is_the_exact_form(text: str, expected: bool) -> None:
    assert parse(text).well_formed is expected


@given(PLAIN, PLAIN, PLAIN)
def test_parse_undoes_compose(caption: str, reasoning: str, answer: str) -> None:
    text = compose(caption, reasoning, answer)
    assert parse(text) == Response(caption, reasoning, answer, (0, len(oracle_prefix(caption))), True)


@given(SOUPS | st.text())
def test_any_text_is_read_by_the_rule(text: str) -> None:
    response = parse(text)
    pairs = reference_pairs(text, "caption")
    assert response.caption_span == (pairs[0] if pairs else None)
    end = pairs[0][1] if pairs else 0
    if pairs:
        assert response.caption == text[pairs[0][0] + 9 : pairs[0][1] - 10].strip()
    answers = reference_pairs(text[end:], "answer")
    assert (response.answer is None) == (not answers)
    stop = len(text)
    if answers:
        stop = end + answers[-1][0]
        assert response.answer == text[end:][answers[-1][0] + 8 : answers[-1][1] - 9].strip()
    assert response.reasoning == text[end:stop].strip()


def reference_pairs(text: str, kind: str) -> list[tuple[int, int]]:
    """The rule said otherwise: a closing tag and the last opening one since the closing one before it."""
    opening, closing = f"<{kind}>", f"</{kind}>"
    pairs, position = [], 0
    while (end := text.find(closing, position)) >= 0:
        if (start := text.rfind(opening, position, end)) >= 0:
            pairs.append((start, end + len(closing)))
        position = end + len(closing)
    return pairs


@given(SOUPS, SOUPS)
def test_what_comes_later_never_changes_a_caption(first: str, second: str) -> None:
    response = parse(first)
    if response.caption is not None:
        longer = parse(first + second)
        assert (longer.caption, longer.caption_span) == (response.caption, response.caption_span)


@given(SOUPS, PLAIN)
def test_a_complete_answer_at_the_end_is_the_answer(soup: str, answer: str) -> None:
    text = f"{soup} <answer> {answer} </answer>"
    assert parse(text).answer == answer


def test_a_megabyte_of_tags_is_read() -> None:
    for tag in (
        "<caption>",
        "</caption>",
        "<answer>",
        "</answer>",
        "<caption></caption>",
        "<answer></answer>",
        "<",
    ):
        parse(tag * (1_000_000 // len(tag)))


@st.composite
def tokenised(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """A text, often with a caption, and offsets that cut it anywhere, empty tokens among them."""
    text = draw(SOUPS | st.tuples(SOUPS, PLAIN.map(oracle_prefix), SOUPS).map("".join))
    places = st.integers(0, len(text)) | st.sampled_from(parse(text).caption_span or [0])
    borders = sorted([0, *draw(st.lists(places, max_size=12)), len(text)])
    return text, list(pairwise(borders))


@given(tokenised())
def test_the_mask_is_exact_to_the_character(case: tuple[str, list[tuple[int, int]]]) -> None:
    text, offsets = case
    span = parse(text).caption_span
    inside = set(range(*span)) if span else set()
    mask = perception_mask(text, offsets)
    assert len(mask) == len(offsets)
    for (start, end), perception in zip(offsets, mask, strict=True):
        if start < end:
            assert perception == (not inside.isdisjoint(range(start, end)))


@given(tokenised(), st.integers(0, 40))
@example(("<caption> p </caption>", [(0, 22)]), 7)
def test_a_prompt_before_the_response_shifts_the_mask(
    case: tuple[str, list[tuple[int, int]]], start: int
) -> None:
    text, offsets = case
    prompt = [(i, i + 1) for i in range(start)]
    shifted = prompt + [(first + start, last + start) for first, last in offsets]
    assert perception_mask(text, shifted, start) == [False] * start + perception_mask(parse(text), offsets)


def test_tokens_across_the_borders_of_a_caption_are_perception() -> None:
    text = "A<caption>3.</caption>So"
    assert perception_mask(text, [(0, 1), (1, 22), (22, 23)]) == [False, True, False]
    #          A<      caption>  3      .</       caption>S  o      end of turn, padding
    offsets = [(0, 2), (2, 10), (10, 11), (11, 14), (14, 23), (23, 24), (24, 24), (0, 0)]
    assert perception_mask(text, offsets) == [True, True, True, True, True, False, False, False]
    assert perception_mask("no caption", [(0, 2), (2, 10)]) == [False, False]
