"""Every value in a text: what stands in brackets, as JSON, Python, JavaScript or a hurried hand write it.

A parser of our own, since none from PyPI reads what models write and refuses what they leave open. json5,
pyjson5, demjson3 and hjson refuse `[4, -, 1]`, tuples and integer keys; json-repair reads `[4, -, 1]` as
`[4, 1]` and closes a list that was cut off; all of them keep the last of two equal keys, and most end in a
RecursionError on 100,000 brackets. This one goes over the text once, without recursion, and invents nothing:

    [..] (..) {..}     a list; a dict where every element is `key: value` or `key = value`
    "4" '4' 4 - red    a string, quotes or not; words with only spaces between them are one
    ( [..] )           parentheses around one list are that list
    # // /* */         comments
    ,, ,]              an empty string, nothing

Whatever is not well made (a bracket that is not closed, or by another kind; a key twice, or without a value;
more than `DEEPEST` brackets in each other) leaves a `BAD` element where it is.
"""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BAD = "\ue000"  # an element, or a key, that nothing can be; `plain` leaves none in a text
DEEPEST = 8

_OPENING = re.compile(r"[\[({]")
_CLOSES = {"[": "]", "(": ")", "{": "}"}
_TOKEN = re.compile(
    r"""
      (?P<space>  \s++ | //[^\n]*+ | \#[^\n]*+ )
    | (?P<comment> /\* )
    | (?P<open>   [\[({] )
    | (?P<close>  [\])}] )
    | (?P<comma>  [,;] )
    | (?P<colon>  : | =>? )
    | (?P<string> "(?:[^"\\]|\\.)*+"? | '(?:[^'\\]|\\.)*+'? )
    | (?P<word>   [^\s,;:=\[\](){}"'][^\s,;:=\[\](){}]*+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t"}


class Value(NamedTuple):
    """One value at the top of a text: `text[start:end]`."""

    start: int
    end: int
    content: Any


@dataclass(slots=True)
class _Bracket:
    """A bracket that is not closed yet, and what was found in it so far."""

    opening: str
    start: int
    items: list[Any] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    key: str | None = None
    wants: bool = False
    """A comma or a colon stands just before: what comes next is its element."""

    def add(self, value: Any) -> None:
        self.items.append(value)
        self.keys.append(self.key)
        self.key, self.wants = None, False

    def end_words(self) -> None:
        """What words there are make one element."""
        if self.words:
            self.add(" ".join(self.words))
            self.words.clear()

    def comma(self) -> None:
        self.end_words()
        if self.key is not None:
            self.add(BAD)
        elif self.wants or not self.items:
            self.add("")
        self.wants = True

    def colon(self) -> None:
        """The element before is a key."""
        self.end_words()
        if self.key is not None or self.wants or not self.items or self.keys[-1] is not None:
            self.add(BAD)
            return
        self.keys.pop()
        self.key, self.wants = _as_key(self.items.pop()), False

    def close(self, closing: str) -> Any:
        """The value that ends here."""
        self.end_words()
        if self.key is not None:
            self.add(BAD)
        items, keys = self.items, self.keys
        good = closing == _CLOSES[self.opening]
        named = [key for key in keys if key is not None]
        if named and len(named) == len(items):
            found: dict[str, Any] = dict(zip(named, items, strict=True))
            if not good or len(found) < len(named):
                found[BAD] = BAD
            return found
        if self.opening == "(" and good and named and keys[0] is None and isinstance(items[0], list):
            return items[0] if len(named) == len(items) - 1 else [*items, BAD]  # options of a call
        if named or not good:
            items.append(BAD)
        elif self.opening == "(" and len(items) == 1 and not self.wants:
            return items[0]
        return items if items or self.opening != "{" else {}


def values(text: str) -> list[Value]:
    """All values at the top of a text that `plain` wrote, in order. What stands between them is not read."""
    found = []
    end = 0
    while opening := _OPENING.search(text, end):
        content, end = _value(text, opening.start())
        found.append(Value(opening.start(), end, content))
    return found


def _value(text: str, start: int) -> tuple[Any, int]:
    """The value that the bracket at `start` opens, and where it ends."""
    brackets: list[_Bracket] = []
    too_deep = 0
    position = start
    while match := _TOKEN.match(text, position):
        position = match.end()
        kind = match.lastgroup
        if kind == "space":
            continue
        if kind == "comment":
            end = text.find("*/", position)
            position = end + 2 if end >= 0 else len(text)
        elif too_deep:
            too_deep += (kind == "open") - (kind == "close")
        elif kind == "open":
            if len(brackets) == DEEPEST:
                too_deep = 1
                brackets[-1].end_words()
                brackets[-1].add(BAD)
                continue
            if brackets:
                _begin(brackets[-1])
            brackets.append(_Bracket(match[0], match.start()))
        elif kind == "close":
            value = brackets.pop().close(match[0])
            if not brackets:
                return value, position
            brackets[-1].add(value)
        elif kind == "comma":
            brackets[-1].comma()
        elif kind == "colon":
            brackets[-1].colon()
        elif kind == "string":
            brackets[-1].end_words()
            brackets[-1].add(_string(match[0]))
        else:
            brackets[-1].words.append(match[0])
    value = BAD
    while brackets:
        brackets[-1].words.append(BAD)
        value = brackets.pop().close("")
        if brackets:
            brackets[-1].add(value)
    return value, len(text)


def _begin(outer: _Bracket) -> None:
    """A bracket opens in another: words just before it are a name, as in `edge(0, 1)`, unless they count."""
    if any(character.isdigit() for word in outer.words for character in word):
        outer.end_words()
        outer.add(BAD)
    outer.words.clear()


def _string(quoted: str) -> str:
    if len(quoted) < 2 or quoted[-1] != quoted[0]:
        return BAD
    inner = quoted[1:-1]
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), inner) if "\\" in inner else inner


def _as_key(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    return BAD
