from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from percasym.response import Response, choose, compose, oracle_prefix, parse, perception_mask, thinks, until

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
THOUGHTS = ["<think>", "</think>", "<thinking>", "</thinking>", "◁think▷", "◁/think▷"]
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


QUOTE = "I write it between <caption> and </caption>, then <answer> and </answer>."
FORM = "<caption> p </caption> why <answer> a </answer>"


@pytest.mark.parametrize("opening", ["<think>", "<thinking>", "◁think▷"])
@pytest.mark.parametrize(
    "thought",
    [
        "{0} QUOTE {1}",
        "{0}\nQUOTE\n{1}\n\n",
        "QUOTE {1}",  # the opening is in the prompt
        "QUOTE {0} QUOTE {1} QUOTE {1}",
        "{0} QUOTE {0} QUOTE {1}",
        "{0} QUOTE {0} QUOTE {1} QUOTE {1}",
        "{0} {1} {0} QUOTE {1}",
        "{0} QUOTE <caption> {1}",
        "{0} </caption> <answer> {1}",
        "{0}{1}",
        "{1}",
    ],
)
def test_thoughts_before_a_response_change_nothing(thought: str, opening: str) -> None:
    closing = opening.replace("t", "/t", 1) if "◁" in opening else opening.replace("<", "</")
    before = thought.format(opening, closing).replace("QUOTE", QUOTE)
    found, plain = parse(before + FORM), parse(FORM)
    assert found._replace(caption_span=None, reasoning="") == plain._replace(caption_span=None, reasoning="")
    assert found.caption_span == (len(before), len(before) + 22)
    assert found.well_formed
    assert found.reasoning.split() == [*before.split(), "why"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # between the parts, and inside of one
        ("<caption> p </caption> <think> <answer> b </answer> </think> <answer> a </answer>", ("p", "a")),
        ("<caption> p </caption> <answer> a </answer> <think> <answer> b </answer> </think>", ("p", "a")),
        ("<caption> p <think> </caption> </think> q </caption>", ("p <think> </caption> </think> q", None)),
        # nothing closes it: all that follows is thought, if it begins the turn
        (f"<think> {FORM}", (None, None)),
        (f" <think> {QUOTE} </think> <think> {FORM}", (None, None)),
        (f"<caption> p </caption>\n<think> {QUOTE}", ("p", None)),
        (f"<caption> p </caption> <think> so </think> <think> {QUOTE}", ("p", None)),
        # elsewhere it is a word
        (f"I use no <think>. {FORM}", ("p", "a")),
        ("<caption> p </caption> no <think> <answer> a </answer>", ("p", "a")),
        # the whole of a response may be a thought
        (f"{FORM} </think>", (None, None)),
        (f"<think> {FORM} </think> Done.", (None, None)),
        # the spelling
        (f"<Think> {QUOTE} </Think>", ("and", "and")),
        (f"<reasoning> {QUOTE} </reasoning>", ("and", "and")),
    ],
)
def test_what_is_thought_and_what_is_said(text: str, expected: tuple[str | None, str | None]) -> None:
    found = parse(text)
    assert (found.caption, found.answer) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<think> {QUOTE} </think> {FORM} <think> so </think>", True),
        ("<caption> p </caption> <think> <answer> </think> <answer> a </answer>", True),
        (f"<think> x </think> Sure! {FORM}", False),
        (f"Sure! <think> x </think> {FORM}", False),
        (f"{FORM} <think> x </think> Done.", False),
        (f"<think> {FORM}", False),
        (f"x </think> {FORM} {FORM}", False),
    ],
)
def test_thoughts_do_not_spoil_the_form(text: str, expected: bool) -> None:
    assert parse(text).well_formed is expected


@given(SOUPS | st.lists(st.sampled_from(PIECES + THOUGHTS), max_size=24).map("".join))
def test_no_tag_in_a_thought_counts(text: str) -> None:
    """With every tag in a thought struck out, by a slower reading of the rule, the same is found."""
    spoken, place = "", 0
    while closings := [text.find(tag, place) for tag in THOUGHTS[1::2] if tag in text[place:]]:
        end = text.index("k", min(closings)) + len("k>")
        end += text[end - 1 :].startswith("ing>") and len("ing")
        openings = [text.find(tag, place) for tag in THOUGHTS[::2] if tag in text[place : min(closings)]]
        spoken = spoken + text[place : min(openings)] if openings else ""
        spoken, place = spoken.ljust(end, "."), end
    rest = text[place:]
    begins = min([rest.find(tag) for tag in THOUGHTS[::2] if tag in rest], default=len(rest))
    before = (spoken + rest[:begins]).replace(".", " ").rstrip()
    if not before or before.endswith("</caption>"):
        rest = rest[:begins].ljust(len(rest), ".")
    spoken += rest
    found = parse(text)
    captions = reference_pairs(spoken, "caption")
    assert found.caption_span == (captions[0] if captions else None)
    end = captions[0][1] if captions else 0
    answers = reference_pairs(spoken[end:], "answer")
    expected = text[end:][answers[-1][0] + 8 : answers[-1][1] - 9].strip() if answers else None
    assert found.answer == expected


def test_the_first_caption_that_can_be_read_counts() -> None:
    first = "<caption> 1 </caption> so <answer> a </answer>"
    second = "<caption> 2 </caption> then <answer> b </answer>"
    text = f"I write it between <caption> and </caption>. {first} {second}"
    assert parse(text)[:3] == ("and", f". {first} <caption> 2 </caption> then", "b")
    found = parse(text, str.isdigit)
    assert found[:3] == ("1", "so <answer> a </answer> <caption> 2 </caption> then", "b")
    assert text[slice(*found.caption_span or ())] == "<caption> 1 </caption>"
    assert parse(text, lambda caption: False) == parse(text)
    assert parse(text.replace("1", "x"), str.isdigit)[:3] == ("2", "then", "b")
    assert parse(QUOTE, str.isdigit).caption == "and"


@given(st.lists(st.booleans(), min_size=1))
def test_which_caption_counts(readable: list[bool]) -> None:
    captions = [str(number) for number in range(len(readable))]
    found = choose(captions, lambda caption: readable[int(caption)])
    assert found == (readable.index(True) if any(readable) else 0)


@pytest.mark.parametrize(
    ("text", "ended", "expected"),
    [
        ("so STOP on", True, "so STOP"),
        ("so on", True, None),
        ("<think> STOP </think> so STOP on STOP", True, "<think> STOP </think> so STOP"),
        ("STOP </think> so STOP on", True, "STOP </think> so STOP"),
        ("<think> STOP", True, None),
        ("<think> STOP </think> so", True, None),
        ("so <think> STOP", True, "so <think> STOP"),
        ("so <think> STOP", False, None),  # a closing may come
        ("so STOP <think> STOP </think>", False, "so STOP"),
    ],
)
def test_where_a_text_ends(text: str, ended: bool, expected: str | None) -> None:
    assert until(text, "STOP", ended) == expected
    assert until(text, "", ended) is None


def test_whether_there_is_a_thought() -> None:
    assert [thinks(text) for text in ("", FORM, "so </think>", "so <think> on", "<think>")] == [
        *(False, False),
        *(True, True, True),
    ]


@given(PLAIN, PLAIN, PLAIN)
def test_parse_undoes_compose(caption: str, reasoning: str, answer: str) -> None:
    text = compose(caption, reasoning, answer)
    assert parse(text) == Response(
        caption, reasoning, answer, (0, len(oracle_prefix(caption))), well_formed=True, answer_alone=False
    )


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
        "<think>",
        "</think>",
        "<think></think>",
        "<answer><think></answer></think>",
        "◁think▷",
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
