"""The structured response: a caption, the reasoning, an answer, and which tokens belong to the caption.

    <caption> a1 3 a2 - ... </caption> Row a lacks a 2, so ... <answer> a1 3 a2 2 ... </answer>

One rule reads whatever a model may write. A *thought* is

- `<think>` and all up to the next `</think>`;
- all before a `</think>` that nothing opens: the opening is in the prompt, as the chat templates of Thinking
  checkpoints write it, or stands in the thought itself;
- all behind a `<think>` that nothing closes, if it begins the response or follows its caption. Elsewhere such
  a tag is a word like others.

No tag in a thought counts: thoughts quote the query, and try things out. `<thinking>` and Kimi-VL's `◁think▷`
are other spellings. Outside thoughts a *pair* is an opening tag and the next closing tag of its kind, with no
other opening tag of that kind between them; what stands between is its text, other tags included. Then

- the caption is the first caption pair of the text, or if somebody says which captions can be read, the first
  of those;
- the answer is the last answer pair that stands wholly after the caption (in the whole text, if there is no
  caption).

So an unclosed or unopened tag makes no pair; of nested tags the innermost pair counts; of repeated captions
the first counts (nobody may describe several images and have the best one picked), of repeated answers the
last (a model may correct itself); an answer before the caption, inside it or across its border does not
count. A tag is written in lower case, without spaces or attributes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

_TAG = re.compile("</?(?:caption|answer|think(?:ing)?)>")
_TAG_OR_KIMIS = re.compile(f"{_TAG.pattern}|◁/?think▷")  # several times as slow
_OPENING = frozenset({"<think>", "<thinking>", "◁think▷"})
_CLOSING = frozenset({"</think>", "</thinking>", "◁/think▷"})
_OPENED = re.compile(r"(?:<think(?:ing)?>|◁think▷)\s*\Z")
_OPENED_BY = re.compile(r"\s*(?:<think(?:ing)?>|◁think▷)\n?")
_ANSWER = ["<answer>", "</answer>"]
_FORM = ["<caption>", "</caption>", *_ANSWER]

Span = tuple[int, int]
"""Characters `text[start:end]`."""


class Response(NamedTuple):
    """A response taken apart; its three texts without the white space around them."""

    caption: str | None
    """What the model says it sees; None if no caption is complete."""
    reasoning: str
    """What stands between the caption (or the start of the text) and the answer (or the end of the text), and
    in front of it the thoughts before the caption."""
    answer: str | None
    """None if no answer is complete."""
    caption_span: Span | None
    """Of the caption, both tags included."""
    well_formed: bool
    """Each of the four tags occurs once, in order, with nothing but white space before and after; thoughts,
    and what is in them, are left out of account."""
    answer_alone: bool
    """The two tags of the answer are the only ones outside thoughts, and what follows them is blank."""


def parse(text: str, readable: Callable[[str], bool] | None = None) -> Response:
    """Take any text apart, in one pass over its tags. Never raises, unless `readable` does.

    Args:
        readable: whether anything can be read from the text of a caption; asked where there are several.
    """
    tags, thoughts = _outside_thoughts(text)
    captions = list(_pairs(tags, "caption"))
    if readable and len(captions) > 1:
        captions = captions[choose([_between(*pair) for pair in captions], readable) :]
    caption = captions[0] if captions else None
    start = caption[1].end() if caption else 0
    answers = list(_pairs((tag for tag in tags if tag.start() >= start), "answer"))
    answer = answers[-1] if answers else None
    before = [text[low:high] for low, high in thoughts if caption and low < caption[0].start()]
    between = text[start : answer[0].start() if answer else len(text)].strip()
    return Response(
        caption=_between(*caption) if caption else None,
        reasoning="\n".join([*before, between]).strip(),
        answer=_between(*answer) if answer else None,
        caption_span=(caption[0].start(), caption[1].end()) if caption else None,
        well_formed=(
            [tag[0] for tag in tags[: len(_FORM) + 1]] == _FORM
            and _is_blank(text, thoughts, 0, tags[0].start())
            and _is_blank(text, thoughts, tags[-1].end(), len(text))
        ),
        answer_alone=(
            [tag[0] for tag in tags[: len(_ANSWER) + 1]] == _ANSWER
            and _is_blank(text, thoughts, tags[-1].end(), len(text))
        ),
    )


def choose(captions: Sequence[str], readable: Callable[[str], bool]) -> int:
    """Which of several captions counts: the first that can be read, or if none can, the first."""
    return next((number for number, caption in enumerate(captions) if readable(caption)), 0)


def until(text: str, stop: str, ended: bool = True) -> str | None:
    """`text` up to and with the first `stop` that stands outside thoughts; None if there is none.

    Args:
        stop: a text; none is ever found of "".
        ended: whether nothing more will come. If something may, whatever has been opened as a thought is one.
    """
    place = text.find(stop) if stop else -1
    if place < 0:
        return None
    _, thoughts = _outside_thoughts(text, ended)
    for low, high in thoughts:
        if place < low:
            break
        place = text.find(stop, max(place, high))
        if place < 0:
            return None
    return text[: place + len(stop)]


def thinks(text: str) -> bool:
    """Whether a text has a thought, or begins one."""
    return bool(_outside_thoughts(text, ended=False)[1])


def opened_thought(prompt: str) -> str:
    """What a prompt ends with that begins a thought for the model, say "<think>\\n"; "" if nothing does."""
    found = _OPENED.search(prompt)
    return found[0] if found else ""


def continued(opening: str, text: str) -> str:
    """The beginning of a turn, or all of it, as what follows a prompt that ends with `opening`.

    If the turn begins with a thought of its own it goes on with the one that is open, else that is closed,
    empty, as chat templates write it for a turn without thoughts.
    """
    if not opening or not text:
        return text
    if begun := _OPENED_BY.match(text):
        return text[begun.end() :]
    _, thoughts = _outside_thoughts(text)
    if thoughts and thoughts[0][0] == 0:
        return text
    return f"\n{_closing(opening.strip())}\n\n{text}"


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


def _outside_thoughts(text: str, ended: bool = True) -> tuple[list[re.Match[str]], list[Span]]:
    """The tags of captions and answers outside thoughts, and where these are; both in order."""
    tags: list[re.Match[str]] = []
    thoughts: list[Span] = []
    opening, kept = -1, 0  # where the present thought begins, and the tags before it
    for tag in (_TAG_OR_KIMIS if "◁" in text else _TAG).finditer(text):
        name = tag[0]
        if name in _OPENING:
            if opening < 0:
                opening, kept = tag.start(), len(tags)
        elif name not in _CLOSING:
            tags.append(tag)
        elif opening < 0:
            tags, thoughts = [], [(0, tag.end())]
        else:
            del tags[kept:]
            thoughts.append((opening, tag.end()))
            opening = -1
    if opening >= 0 and (not ended or _begins_a_turn(text, tags[:kept], thoughts, opening)):
        del tags[kept:]
        thoughts.append((opening, len(text)))
    return tags, thoughts


def _closing(opening: str) -> str:
    """The closing tag to an opening one."""
    return f"{opening[0]}/{opening[1:]}"


def _begins_a_turn(text: str, tags: Sequence[re.Match[str]], thoughts: Sequence[Span], place: int) -> bool:
    """Whether `place` is at the beginning of a response, or right behind its caption."""
    start = tags[-1].end() if tags and tags[-1][0] == "</caption>" else 0
    return _is_blank(text, thoughts, start, place)


def _is_blank(text: str, thoughts: Sequence[Span], start: int, end: int) -> bool:
    """Whether there are only white space and thoughts from `start` to `end`."""
    for low, high in thoughts:
        if start <= low < end:
            if text[start:low].strip():
                return False
            start = high
    return not text[start:end].strip()


def _pairs(tags: Iterable[re.Match[str]], kind: str) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    opening = None
    for tag in tags:
        if tag[0] == f"<{kind}>":
            opening = tag
        elif opening and tag[0] == f"</{kind}>":
            yield opening, tag
            opening = None


def _between(opening: re.Match[str], closing: re.Match[str]) -> str:
    """The text of a pair of tags."""
    return opening.string[opening.end() : closing.start()].strip()
