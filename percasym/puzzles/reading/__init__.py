"""Reading what a model wrote, in whatever way it wrote it, without ever raising.

One reader serves all families. `plain` takes away what stands around the symbols, `find` finds the values in
the text, and a family says what a value, or a text without one, means to it. Then one rule decides: a text
says what all that it says agrees on. So prose, fences and a value told twice do no harm, and a text with two
different values says nothing. What is surplus, missing or contradictory stays so: nothing is repaired.

A text that is strictly JSON is one value, and `read_json` reads it without all this. A text over `LONGEST`
characters is not read; all work is linear in the length.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache, wraps
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

from percasym.puzzles.reading.markup import is_plain, plain
from percasym.puzzles.reading.parser import BAD, DEEPEST, Value, values

__all__ = [
    "BAD",
    "LONGEST",
    "Reading",
    "find",
    "is_doubtful",
    "plain",
    "read",
    "read_json",
    "read_value",
    "remembered",
    "settled",
    "strict_value",
    "unmarked",
    "words_of",
]

LONGEST = 50_000  # characters; a 9x9 Sudoku has about 400, 325 edges with a number a line 12,000
REMEMBERED = 256  # texts whose readings are kept
SHORT = 4_000  # characters of a text that is kept with its reading; of a longer one only a digest is

Meaning = TypeVar("Meaning")

_GLUE = re.compile(
    r"(?:[\s,;*+|&-]|\.(?!\.)|\band\b|\b(?:\w+\.)?(?:add_)?edge\b|\d{1,3}[.)](?=\s)|(?://|\#)[^\n]*(?:\n|\Z))*",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"[\s*+|.,;&#-]*(?:\d{1,3}[.)]\s+)?(?P<label>[^\n:=,;\s-][^\n:=,;]{0,29}?)(?:\s*(?::|=|->)|\s-)\s*"
)
_DOUBT = re.compile(
    r"\b(?:not|non|never|wrong|incorrect|example|instead|actually|wait|correction|oops|sorry|except|missing|"
    r"alternatively|no\s+edges?)\b|n't\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|might|possibly|probably|unclear|unsure|either|should|rather|mistake|but|however)\b",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"([*_'\"]{1,3})(.+)\1", re.DOTALL)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+|[^\sA-Za-z\d_-]")
_EMPHASIS = re.compile(r"\*\*([^*\n]+)\*\*|`([^`\n]+)`|\\boxed\s*\{([^{}\n]*)\}|\"([^\"\n]+)\"")


class Reading(NamedTuple):
    """What a value, or a text without one, means to a family."""

    parts: Collection[Any]
    """What it says: a set, or a sequence with a place for each part."""
    whole: bool
    """It is complete: no part is missing, surplus or none at all."""
    bare: bool = False
    """It has no brackets of its own around the parts, so it may be a mention of some of them."""
    clash: bool = False
    """It cannot stand beside any other, nor alone."""


class Run(NamedTuple):
    """Values with nothing but commas, bullets or labels between them."""

    members: list[Any]
    together: Any
    """The one member; else their list, or the dict of their labels."""


class Found(NamedTuple):
    """What a text holds."""

    runs: list[Run]
    rest: str
    """The text, `BAD` in the place of every value."""


def read_json(text: str) -> Any | None:
    """The JSON value that `text` strictly is, or None where it is too long or is none.

    Fractions, true, false and objects with a key twice are refused: no puzzle has them.
    """
    if len(text) > LONGEST or "true" in text or "false" in text:  # which Python takes for 1 and 0
        return None
    try:
        return _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return None


def strict_value(text: str) -> Any | None:
    """The list or object that `text` strictly is as JSON, strings in it as `plain` writes them; else None."""
    value = read_json(text) if text.lstrip()[:1] in ("[", "{") else None
    return value if value is None or is_plain(text) else _plain_value(value, DEEPEST)


def _plain_value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list | dict) and not depth:
        return BAD
    if isinstance(value, list):
        return [_plain_value(entry, depth - 1) for entry in value]
    if isinstance(value, dict):
        told = {plain(name): _plain_value(entry, depth - 1) for name, entry in value.items()}
        return told if len(told) == len(value) else BAD
    return value


def settled(reading: Reading) -> Reading:
    """The reading of a text that is one value: it clashes with nothing else, so only in itself."""
    return reading._replace(whole=reading.whole and not reading.clash)


def read_value(text: str, meaning: Callable[[Any], Meaning | None]) -> Meaning | None:
    """The one thing that `text` says; None where it says nothing, or two different things.

    Args:
        text: what a model wrote; over `LONGEST` characters nothing is read.
        meaning: of a value: a list, a dict, or a string, where numbers are strings as well. It is asked about
            every value in brackets, and what it holds if that is one entry, every line, and what follows a
            label such as `time:` in it, and whatever is in quotes, bold or boxed. None says that it means
            nothing.
    """
    if len(text) > LONGEST:
        return None
    found = find(plain(text))
    meanings = [meaning(value) for value in [*_contents(found.runs), *_words(text, found.rest)]]
    said = [one for one in meanings if one is not None]
    return said[0] if said and all(one == said[0] for one in said) else None


def read(
    text: str,
    of_value: Callable[[Any], Reading],
    of_text: Callable[[str], Reading],
    within: Callable[[Collection[Any], Collection[Any]], bool],
) -> Reading:
    """What the whole of `text` says: its one whole reading, or else the one that says most, not whole.

    Args:
        text: what a model wrote, of at most `LONGEST` characters.
        of_value: what a value in brackets says.
        of_text: what a text says in which every such value is replaced by `BAD`.
        within: whether the parts of a reading are among those of a whole one, as in prose that mentions some.
    """
    found = find(plain(text))
    readings = [reading for run in found.runs for reading in _of_run(run, of_value)]
    readings.append(of_text(found.rest))
    wholes = [reading for reading in readings if reading.whole]
    if not wholes:
        return max(readings, key=lambda reading: len(reading.parts))._replace(whole=False)
    firm = [reading for reading in wholes if not reading.bare]
    chosen = max(firm or wholes, key=lambda reading: len(reading.parts))
    agreed = (
        all(reading.parts == chosen.parts for reading in firm)
        and all(within(reading.parts, chosen.parts) for reading in readings)
        and not any(reading.clash for reading in readings)
        and not is_doubtful(found.rest)
    )
    return chosen._replace(whole=agreed)


def find(text: str) -> Found:
    """The values of a text that `plain` wrote, and what is left of it."""
    members = [value for value in values(text) if not isinstance(value.content, str)]  # (as prose has them)
    rest: list[str] = []
    end = 0
    for value in members:
        rest += [text[end : value.start], BAD]
        end = value.end
    return Found(list(_runs(text, members)), "".join([*rest, text[end:]]))


def is_doubtful(rest: str) -> bool:
    """Whether a line takes a number or a value back, or doubts it: "not", "example", "actually", "maybe"."""
    return any(
        (_DOUBT.search(line) and (BAD in line or _has_digit(line)))
        or (_HEDGE.search(line) and BAD not in line and _has_digit(line))
        for line in (rest.split("\n") if _DOUBT.search(rest) or _HEDGE.search(rest) else ())
    )


def unmarked(value: str) -> str:
    """`value` without spaces, quotes, asterisks or underscores around it."""
    value = value.strip()
    wrapped = _WRAPPED.fullmatch(value)
    return wrapped[2].strip() if wrapped else value


def words_of(name: str) -> frozenset[str]:
    """The words of a name: solvedGrid, solved_grid and "Solved grid" have the same two."""
    return frozenset(word.casefold() for word in _WORD.findall(name))


def remembered(read: Callable[[str, int], Meaning]) -> Callable[[str, int], Meaning]:
    """`read` with its last results kept, as scoring reads a text for more than one reason; long texts go."""
    of_short = lru_cache(maxsize=REMEMBERED)(read)
    of_long: dict[tuple[bytes, int], Meaning] = {}

    @wraps(read)
    def look_up(text: str, size: int) -> Meaning:
        if len(text) <= SHORT:
            return of_short(text, size)
        if len(text) > LONGEST:
            return read(text, size)
        key = blake2b(text.encode(errors="surrogatepass")).digest(), size
        if key not in of_long:
            found = read(text, size)
            while len(of_long) >= REMEMBERED:
                of_long.pop(next(iter(of_long), key), None)
            of_long[key] = found
            return found
        return of_long[key]

    return look_up


def _of_run(run: Run, of_value: Callable[[Any], Reading]) -> list[Reading]:
    together = of_value(run.together)
    if len(run.members) == 1:
        return [together]
    if together.whole:
        return [together._replace(bare=True)]
    each = [of_value(member) for member in run.members]
    if not any(reading.whole and not reading.bare for reading in each):
        return [together]
    stray = any(
        not reading.whole and _has_digit(str([*member.values()] if isinstance(member, dict) else member))
        for reading, member in zip(each, run.members, strict=True)
    )
    return [reading._replace(clash=reading.clash or stray) for reading in each]


def _runs(text: str, members: Sequence[Value]) -> Iterator[Run]:
    contents: list[Any] = []
    labels: list[str | None] = []
    end = 0
    for value in members:
        between = text[end : value.start]
        label, glued = _joint(between, first=not contents)
        fits = len(labels) < 2 or (labels[-1] is None) == (label is None)
        if contents and not (glued and fits and (label is None or labels[0] is not None)):
            yield _run(contents, labels)
            contents, labels = [], []
            label, _ = _joint(between, first=True)
        contents.append(value.content)
        labels.append(label)
        end = value.end
    if contents:
        yield _run(contents, labels)


def _run(contents: list[Any], labels: list[str | None]) -> Run:
    if len(contents) == 1:
        return Run(contents, contents[0])
    if labels[1] is not None:
        named = dict(zip(labels, contents, strict=True))
        return Run(contents, named if len(named) == len(contents) else [*contents, BAD])
    half = len(contents) // 2
    if contents[:half] == contents[half:]:  # all of it is told twice
        contents = contents[:half]
    return Run(contents, contents[0] if len(contents) == 1 else contents)


def _joint(between: str, first: bool) -> tuple[str | None, bool]:
    """The label before a value, and whether nothing else stands between it and the value before."""
    if first:
        between = between[-40:].rpartition("\n")[2]
    label = _LABEL.fullmatch(between) if len(between) <= 80 else None
    if label:
        return label["label"], True
    return None, bool(_GLUE.fullmatch(between))


def _contents(runs: Sequence[Run]) -> Iterator[Any]:
    for run in runs:
        for value in [run.together] if len(run.members) == 1 else [run.together, *run.members]:
            yield value
            if isinstance(value, list | dict) and len(value) == 1:
                yield from value.values() if isinstance(value, dict) else value


def _words(text: str, rest: str) -> Iterator[str]:
    """The lines of a text, what follows a label in each, and what is set apart."""
    for line in rest.split("\n"):
        yield line.strip(" \t\"'.")
        label, colon, told = line.partition(":")
        if colon and not _has_digit(label):
            yield told.strip(" \t\"'.")
    for match in _EMPHASIS.finditer(text):
        yield plain(match[match.lastindex or 0]).strip()


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} has no place in a puzzle")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a key twice")
    return read


_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_unique_keys)
