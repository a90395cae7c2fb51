"""Reading a colour for each vertex in any usual notation: an object, a list, pairs, classes, lines.

Colours may be letters, numbers or words; all of one answer are of one kind, else what is meant is a guess.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

from percasym.puzzles.graph_reading import LONGEST_NAME, is_count, vertex
from percasym.puzzles.reading import (
    BAD,
    LONGEST,
    Reading,
    read,
    remembered,
    settled,
    strict_value,
    unmarked,
    words_of,
)

_ENCLOSING = """answer assigned assignment assignments classes color colored coloring colorings colors colour
coloured colouring colours data dict final graph json labels map mapping node nodes output proper result
solution the valid value vertex vertices"""
_NAMES = """amber aqua azure beige black blue bronze brown coral cream crimson cyan fuchsia gold gray green
grey indigo ivory khaki lavender lilac lime magenta maroon mauve mint navy ochre olive orange peach pink plum
purple red rose ruby rust salmon scarlet silver tan teal turquoise violet white yellow"""
_GLUE_WORDS = """an and are as assign assigned class color colored colors colour coloured colours gets get
given has have in is node nodes receives take takes the to vertex vertices with"""
ENCLOSING = frozenset(_ENCLOSING.split())  # words of a name that a whole colouring may have
NAMES = frozenset(_NAMES.split())
USED = frozenset({"c", "chi", "chromatic", "colors", "colours", "k", "num", "number", "of", "used"})

_COLOUR = re.compile(
    r"(?:(?:(?:colou?r|class|group|set)[\s_#:-]*){1,2}|c(?=\d))?(?P<number>\d{1,2})(?:\.0)?"
    r"|(?:(?:colou?r|class|group|set)[\s_#:-]+){0,2}(?P<letter>[a-z])"  # "colors" is not the color s
)
_TOKEN = re.compile(
    r"(?P<vertex>\b(?:vertex|vertices|nodes?)[\s_#]*\d{1,2}\b|\bv[_#]?\d{1,2}\b)"
    r"|(?P<colour>\b(?:colou?rs?|class|group|set)(?:[\s_#:-]*\d{1,2}|[\s_#:-]+[a-z])\b|\bc\d{1,2}\b)"
    r"|(?P<number>(?<![\d.])\d{1,2}(?:\.0)?(?![\d.]*\d))|(?P<word>[a-z]+)|(?P<join><?-+>?|=>?|:)|(?P<mark>\S)",
    re.IGNORECASE,
)
_CIRCLES = {
    "🔴": "red", "🟢": "green", "🔵": "blue", "🟡": "yellow", "🟠": "orange", "🟣": "purple", "🟤": "brown",
    "⚫": "black", "⚪": "white",
}  # fmt: skip
_CALL = re.compile(r"\b[a-z]+\((\d{1,2})\)", re.IGNORECASE)  # as in color(0) = a
_GLUE = frozenset(_GLUE_WORDS.split())
_MARKS = {**dict.fromkeys("|;&", ","), **dict.fromkeys("().\"'", "")}
_BULLET = re.compile(r"\s*(?:[-*+]\s+|\d{1,3}[.)]\s+(?=\D*\d))?")
_PAIRS = re.compile(r"(?:n:?[cn],*)+|n,[cn]")
_CLASS = re.compile(r"c:?n(?:,*n)*|n:n(?:,+n)+")
_TOLD_OF_SEVERAL = re.compile(r"n(?:,+n)+:?c")


_IN_ORDER = re.compile("c(?:,c)+")


class Colours(NamedTuple):
    """What was read of an answer."""

    colours: Mapping[int, str]
    """By vertex. Colours are told apart by their names, whatever those are."""
    whole: bool
    """Every vertex has one colour, and the text says nothing else."""


@remembered
def read_colours(text: str, v: int) -> Colours:
    """The colours that `text` gives to a graph of `v` vertices."""
    if len(text) > LONGEST:
        return Colours({}, False)
    value = strict_value(text)
    if value is not None:
        return _judged(settled(_of_value(value, v)))
    plainly = _of_words(text.split(), v)
    if plainly.whole:
        return _judged(plainly)
    reading = read(text, partial(_of_value, v=v), partial(_of_text, v=v), _within)
    return _judged(reading if reading.whole or len(reading.parts) > len(plainly.parts) else plainly)


def _judged(reading: Reading) -> Colours:
    return Colours({node: name for node, (_, name) in dict(reading.parts).items()}, reading.whole)


def _within(some: Collection[Any], whole: Collection[Any]) -> bool:
    return dict(some).items() <= dict(whole).items()


def _reading(pairs: Iterable[tuple[int, tuple[str, str] | None]], v: int) -> Reading:
    """Of pairs of a vertex and its colour, a kind and a name. Of several kinds only the letters are kept."""
    pairs = list(pairs)
    told = {node: colour for node, colour in pairs if node >= 0 and colour}
    kinds = {kind for kind, _ in told.values()}
    if len(kinds) > 1:
        told = {node: colour for node, colour in told.items() if colour[0] == "letter"}
    names = {name for _, name in told.values()}
    clear = len({name.casefold() for name in names}) == len(names)  # not both a and A
    said = {node: (kind, name.casefold()) for node, (kind, name) in told.items()}
    return Reading(said, clear and len(said) == len(pairs) == v)


def _of_words(words: list[str], v: int) -> Reading:
    """A colour for each vertex as the cells format has it: a number, a letter, the next number."""
    numbers = {str(number): number for number in range(v)}
    pairs = [
        (numbers.get(word, -1), _colour(colour))
        for word, colour in zip(words[::2], words[1::2], strict=False)
    ]
    reading = _reading(pairs, v)
    return reading._replace(whole=reading.whole and len(words) == 2 * v)


def _colour(value: Any) -> tuple[str, str] | None:
    """The kind and the name of a colour; None where there is none."""
    if isinstance(value, int):
        value = str(value)
    return _named(value) if isinstance(value, str) and len(value) <= LONGEST_NAME else None


@lru_cache(maxsize=4096)
def _named(value: str) -> tuple[str, str] | None:
    name = unmarked(value)
    match = _COLOUR.fullmatch(name.casefold())
    if match and match["number"]:
        return "number", str(int(match["number"]))
    if match:
        return "letter", name[-1]
    if name in _CIRCLES:
        return "name", _CIRCLES[name]
    words = [word for word in re.split(r"[\s_-]+", name.casefold()) if word not in ("color", "colour")]
    if words and words[-1] in NAMES and all(word in NAMES or word in ("light", "dark") for word in words):
        return "name", " ".join(words).replace("grey", "gray")
    return None


def _of_value(value: Any, v: int) -> Reading:
    """What a list, an object or a string says."""
    if isinstance(value, str):
        return _of_text(value, v)
    if isinstance(value, dict):
        return _of_dict(value, v)
    if not isinstance(value, list):
        return Reading({}, False)
    if len(value) == 1 and isinstance(value[0], str):
        return _of_text(value[0], v)
    if len(value) == v:
        colours = [_colour(entry) for entry in value]
        if all(colours):
            return _reading(enumerate(colours), v)
    return _reading([_pair(entry, v) for entry in value], v)


def _pair(entry: Any, v: int) -> tuple[int, tuple[str, str] | None]:
    """A vertex and its colour, of an entry of a list."""
    if isinstance(entry, dict) and len(entry) == 2:
        named = {word: told for name, told in entry.items() for word in words_of(name)}
        node = next((named[name] for name in ("vertex", "node", "v", "id", "index") if name in named), None)
        colour = next((named[name] for name in ("color", "colour", "c") if name in named), None)
        entry = [node, colour]
    elif isinstance(entry, dict) and len(entry) == 1:
        entry = list(*entry.items())
    if isinstance(entry, str):
        reading = _of_text(entry, v)
        if len(reading.parts) == 1 and not reading.clash:
            ((node, colour),) = dict(reading.parts).items()
            return node, colour
    if not isinstance(entry, list) or len(entry) != 2:
        return -1, None
    return vertex(entry[0], v), _colour(entry[1])


def _of_dict(value: Mapping[str, Any], v: int) -> Reading:
    """A colour for each vertex, the vertices of each colour, or either with a name."""
    if value and all(vertex(name, v) >= 0 and not isinstance(entry, list) for name, entry in value.items()):
        return _reading([_pair([name, _told(entry)], v) for name, entry in value.items()], v)
    members = [_class(name, entry) for name, entry in value.items()]
    if value and all(members):
        told = zip(value, members, strict=True)
        return _reading([(vertex(node, v), _colour(name)) for name, nodes in told for node in nodes], v)
    if any(vertex(name, v) >= 0 for name in value):  # other things beside vertices
        return _reading([_pair([name, entry], v) for name, entry in value.items()], v)
    named = {name: _of_value(entry, v) for name, entry in value.items() if _may_enclose(name, entry)}
    names = [name for name, reading in named.items() if reading.whole] or list(named)
    if len(names) != 1 or BAD in value:
        return Reading({}, False)
    reading = named[names[0]]
    used = {name for _, name in dict(reading.parts).values()}
    rest = {name: entry for name, entry in value.items() if name != names[0]}
    wrong = not all(_agrees(name, entry, used, v) for name, entry in rest.items())
    return reading._replace(clash=reading.clash or wrong)


def _class(name: str, entry: Any) -> list[Any]:
    """The vertices of a colour; none where `name` is no colour, or the entry does not list them."""
    colour = _colour(name)
    if isinstance(entry, str) and colour and colour[0] != "number" and any(map(str.isdigit, entry)):
        return entry.replace(",", " ").split()
    return entry if colour and isinstance(entry, list) else []


def _told(entry: Any) -> Any:
    """The colour in an object that holds nothing else."""
    if isinstance(entry, dict) and len(entry) == 1 and words_of(next(iter(entry))) <= {"color", "colour"}:
        return next(iter(entry.values()))
    return entry


def _may_enclose(name: str, entry: Any) -> bool:
    large = isinstance(entry, list | dict) or (isinstance(entry, str) and len(entry) > 2)
    return words_of(name) <= ENCLOSING and large


def _agrees(name: str, entry: Any, used: Collection[str], v: int) -> bool:
    """Whether an entry beside a colouring tells its colours or vertices right, or neither."""
    if (
        isinstance(entry, list)
        and {colour and colour[1].casefold() for colour in map(_colour, entry)} == used
    ):
        return True
    if not isinstance(entry, list | dict) and words_of(name) <= USED:
        return str(entry) == str(len(used))
    return is_count(name, entry, v)


def _of_text(text: str, v: int) -> Reading:
    """What lines say: `0: a`, `vertex 0 is red`, `a: 0, 2`, or all in one. Sentences are looked through."""
    pairs: list[tuple[int, tuple[str, str] | None]] = []
    clash = False
    for told in re.split("[\\n;]", _CALL.sub(r"\1", text)):
        line = told.rpartition(BAD)[2]  # behind a value
        bullet = _BULLET.match(line)
        line = line[bullet.end() :] if bullet else line
        label, colon, behind = line.partition(":")
        if colon and not any(map(str.isdigit, label)):
            *_, colour = ["", *_shape(label)[1]]
            line = f"{colour}: {behind}" if label.rstrip(" *").endswith(colour) and colour else behind
        shape, symbols = _shape(line)
        if "w" in shape or re.search("edge", label, re.IGNORECASE):
            continue
        if _PAIRS.fullmatch(shape):
            pairs += [
                (vertex(node, v), _colour(name))
                for node, name in zip(symbols[::2], symbols[1::2], strict=True)
            ]
        elif _CLASS.fullmatch(shape):
            pairs += [(vertex(node, v), _colour(symbols[0])) for node in symbols[1:]]
        elif _TOLD_OF_SEVERAL.fullmatch(shape):
            pairs += [(vertex(node, v), _colour(symbols[-1])) for node in symbols[:-1]]
        elif _IN_ORDER.fullmatch(shape):
            pairs += enumerate(map(_colour, symbols))
        elif shape.count("n") > 1 or ("n" in shape and not any(map(str.isalpha, told))):
            clash = True
    parts = [pairs[start : start + v] for start in range(0, len(pairs), v)]  # it may be told again
    readings = [_reading(part, v) for part in parts] or [_reading([], v)]
    if any(reading != readings[0] for reading in readings):
        readings = [_reading(pairs, v)]
        clash = True
    return readings[0]._replace(whole=readings[0].whole and not clash, clash=clash)


def _shape(line: str) -> tuple[str, list[str]]:
    """The kinds of the symbols of a line (n number, c colour, w a word that says more), and the symbols."""
    shape: list[str] = []
    symbols: list[str] = []
    for match in _TOKEN.finditer(line):
        kind, symbol = match.lastgroup, match[0]
        if kind in ("vertex", "number"):
            shape.append("n")
            symbols.append(symbol)
        elif kind == "colour" or (kind == "word" and _colour(symbol)):
            shape.append("c")
            symbols.append(symbol)
        elif kind == "word":
            folded = symbol.casefold()
            shape.append("," if folded == "and" else "" if folded in _GLUE else "w")
        elif kind == "join":
            shape.append(":")
        else:
            shape.append(_MARKS.get(symbol, symbol))
    return "".join(shape).strip(",.:"), symbols
