"""The structured response: a caption, the reasoning, an answer, and which tokens belong to the caption.

    <caption> a1 3 a2 - ... </caption> Row a lacks a 2, so ... <answer> a1 3 a2 2 ... </answer>

One rule reads whatever a model may write. A *pair* is an opening tag and the next closing tag of its kind,
with no other opening tag of that kind between them; what stands between is its text, other tags included.
Then

- the caption is the first caption pair of the text;
- the answer is the last answer pair that stands wholly after the caption (in the whole text, if there is no
  caption).

So an unclosed or unopened tag makes no pair; of nested tags the innermost pair counts; of repeated captions
the first counts (nobody may describe several images and have the best one picked), of repeated answers the
last (a model may correct itself); an answer before the caption, inside it or across its border does not
count. A tag is written in lower case, without spaces or attributes.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

_TAG = re.compile("</?(?:caption|answer)>")
_FORM = ["<caption>", "</caption>", "<answer>", "</answer>"]


class Response(NamedTuple):
    """A response taken apart; its three texts without the white space around them."""

    caption: str | None
    """What the model says it sees; None if no caption is complete."""
    reasoning: str
    """What stands between the caption (or the start of the text) and the answer (or the end of the text)."""
    answer: str | None
    """None if no answer is complete."""
    caption_span: tuple[int, int] | None
    """Characters `text[start:end]` of the caption, both tags included."""
    well_formed: bool
    """Each of the four tags occurs once, in order, with nothing but white space before and after."""


def parse(text: str) -> Response:
    """Take any text apart, in one pass over its tags. Never raises."""
    caption_opening = caption = answer_opening = answer = None
    first_tags: list[re.Match[str]] = []
    for tag in _TAG.finditer(text):
        if len(first_tags) < len(_FORM):  # a further one is text after them
            first_tags.append(tag)
        match tag[0]:
            case "<answer>":
                answer_opening = tag
            case "</answer>" if answer_opening:
                answer, answer_opening = (answer_opening, tag), None
            case "<caption>":
                caption_opening = tag
            case "</caption>" if caption_opening and not caption:
                caption = (caption_opening, tag)
                answer_opening = answer = None  # neither ends nor begins after the caption

    reasoning_start = caption[1].end() if caption else 0
    reasoning_end = answer[0].start() if answer else len(text)
    return Response(
        caption=_between(*caption) if caption else None,
        reasoning=text[reasoning_start:reasoning_end].strip(),
        answer=_between(*answer) if answer else None,
        caption_span=(caption[0].start(), caption[1].end()) if caption else None,
        well_formed=(
            [tag[0] for tag in first_tags] == _FORM
            and not text[: first_tags[0].start()].strip()
            and not text[first_tags[-1].end() :].strip()
        ),
    )


def compose(caption: str, reasoning: str, answer: str) -> str:
    """The well-formed response of three texts, tags set apart by single spaces; `parse` undoes it."""
    return f"{oracle_prefix(caption)} {reasoning} <answer> {answer} </answer>"


def oracle_prefix(perception: str) -> str:
    """The caption that the oracle protocol gives a response to begin with; the rest is the model's own."""
    return f"<caption> {perception} </caption>"


def perception_mask(
    response: Response | str, offsets: Sequence[tuple[int, int]], start: int = 0
) -> list[bool]:
    """Which tokens are perception; every other token of the response is reasoning.

    A token is perception if it shares at least one character with the caption or one of its two tags. So a
    token that crosses a border of the caption (say `.</` or `><`) is perception, each token belongs to
    exactly one of the two, and pieces of one character (byte-level tokens) go together. A token without
    characters (special tokens, padding) is perception only strictly inside the caption.

    Args:
        response: the response, or its text; never the prompt, which may well speak of `<caption>` itself.
        offsets: the characters (start, end) of each token: a fast tokenizer's `offset_mapping`.
        start: where the response begins in the text that was tokenised, if a prompt comes before it.
    """
    span = (parse(response) if isinstance(response, str) else response).caption_span
    if span is None:
        return [False] * len(offsets)
    first, last = span[0] + start, span[1] + start
    return [token_start < last and token_end > first for token_start, token_end in offsets]


def _between(opening: re.Match[str], closing: re.Match[str]) -> str:
    """The text of a pair of tags."""
    return opening.string[opening.end() : closing.start()].strip()
