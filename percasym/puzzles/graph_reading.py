"""Reading the edges of a graph in any usual notation: pairs, neighbours of each vertex, a matrix, lines."""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache, partial
from itertools import combinations
from typing import Any, NamedTuple

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

Edge = tuple[int, int]
LONGEST_NAME = 40  # characters of a vertex or a colour

_ENCLOSING = """adj adjacency answer caption connections data description dict e edge edges final graph json
links list lists matrix neighbors neighbours output pairs result set sorted the undirected value"""
_GLUE_WORDS = """adjacent an are between connect connected connects e edge edges exist exists from graph has
in is joined linked list node nodes of the there vertex vertices"""
ENCLOSING = frozenset(_ENCLOSING.split())  # words of a name that all edges may have
COUNTS = frozenset({"count", "n", "node", "nodes", "num", "number", "of", "order", "size", "v", "vertices"})
ENDS = (("u", "v"), ("from", "to"), ("source", "target"), ("start", "end"), ("a", "b"), ("node1", "node2"))

_VERTEX = re.compile(r"(?:(?:vertex|vertices|nodes?|v)[\s_#-]*)?(\d{1,2})(?:\.0)?", re.IGNORECASE)
_BULLET = re.compile(r"\s*(?:[-*+]\s+|(\d{1,3})[.)]\s+(?=\D*\d))?")
_LABEL = re.compile(
    r"[^\d:]*:|\s*e(?:dge)?[\s_#]*\d{1,3}\s*[:.)=]|[^:]*\bedges\b(?:\s*\(\d+\))?[^\d:]*:", re.IGNORECASE
)
_TOKEN = re.compile(
    r"(?P<number>(?:\b(?:vertex|vertices|nodes?)[\s_#]*|\bv[_#]?)?(?<!\d)\d+(?:\.0\b)?)"
    r"|(?P<join><?-+>?|--+)|(?P<word>[a-z]+)|(?P<mark>[^\s])",
    re.IGNORECASE,
)
_GLUE = frozenset(_GLUE_WORDS.split())
_JOINTS = {"and": "&", "to": "-", "with": "-"} | dict.fromkeys(
    ("neighbor", "neighbors", "neighbour", "neighbours"), ":"
)
_PAIRS = re.compile(r"(?:n-n[,;&]*)+|nn(?:[,;]+nn)*[,;]*|[,;]*n[,&]n[,;]*|n,n(?:;?n,n)+;?")
_NEIGHBOURS = re.compile(r"n:(?:n[,;&]*)*|n-n(?:[,&]+n)+")
_DASHED = re.compile(r"(?<![\d-])(\d{1,2})\s*-+>?\s*(\d{1,2})(?![\d-])")


class Edges(NamedTuple):
    """What was read of a description."""

    edges: frozenset[Edge]
    """Each as (lower, higher)."""
    bad: int
    """How many parts of the text are no edge, or keep it from being a description; 0 where it is one."""


@remembered
def read_edges(text: str, v: int) -> Edges:
    """The edges that `text` tells of a graph of `v` vertices."""
    if len(text) > LONGEST:
        return Edges(frozenset(), 1)
    value = strict_value(text)
    if value is not None:
        return _judged(settled(_of_value(value, v)))
    plainly = Reading((), False) if text.lstrip()[:1] in ("[", "{", "") else _of_words(text, v)
    if plainly.whole:
        return _judged(plainly)
    reading = read(text, partial(_of_value, v=v), partial(_of_text, v=v), _within)
    return _judged(reading if reading.whole or len(reading.parts) > len(plainly.parts) else plainly)


def vertex(value: Any, v: int) -> int:
    """The vertex that is meant: 3, "3", "v3", "vertex 3"; -1 where there is none."""
    if isinstance(value, str):
        value = _number(value) if len(value) <= LONGEST_NAME else -1
    return value if isinstance(value, int) and 0 <= value < v else -1


@lru_cache(maxsize=4096)
def _number(name: str) -> int:
    match = _VERTEX.fullmatch(unmarked(name))
    return int(match[1]) if match else -1


def _judged(reading: Reading) -> Edges:
    edges = frozenset(part for part in reading.parts if part[0] >= 0)
    return Edges(edges, len(reading.parts) - len(edges) or int(not reading.whole))


def _within(some: Collection[Any], whole: Collection[Any]) -> bool:
    return set(some) <= set(whole)


def _reading(pairs: Iterable[tuple[int, int]], bare: bool = False) -> Reading:
    """Of pairs of vertices; a part that is no edge is kept as one with a negative number."""
    parts: set[Edge] = set()
    for a, b in pairs:
        parts.add((min(a, b), max(a, b)) if a != b and min(a, b) >= 0 else (-1 - len(parts), 0))
    return Reading(parts, all(a >= 0 for a, _ in parts), bare)


def _of_words(text: str, v: int) -> Reading:
    """Pairs as the cells format has them: two numbers, a comma, two numbers."""
    numbers = {str(number): number for number in range(v)}
    pairs = [[numbers.get(word, -1) for word in part.split()] for part in text.split(",")]
    return _reading([(pair[0], pair[1]) if len(pair) == 2 else (-1, -1) for pair in pairs])


def _of_value(value: Any, v: int) -> Reading:
    """What a list, an object or a string says."""
    if isinstance(value, str):
        return _of_text(value, v)
    if isinstance(value, dict):
        return _of_dict(value, v)
    if not isinstance(value, list) or (value and not _counts(value)):
        return Reading((), False)
    if len(value) == 1 and isinstance(value[0], str):
        return _of_text(value[0], v)._replace(bare=True)
    if len(value) == 2 and all(_VERTEX.fullmatch(unmarked(str(end))) for end in value):
        return _reading([(vertex(value[0], v), vertex(value[1], v))], bare=True)
    if v > 2 and len(value) == v and all(isinstance(row, list) and len(row) == v for row in value):
        return _of_matrix(value, v)
    return _reading([_edge(entry, v) for entry in value])


def _counts(value: Any) -> bool:
    """Whether there is a number in it, rather than words alone."""
    return any(character.isdigit() for character in str(value))


def _edge(entry: Any, v: int) -> tuple[int, int]:
    """The ends of an edge, -1 for one that is none."""
    if isinstance(entry, dict):
        ends = next((pair for pair in ENDS if set(pair) == {name.casefold() for name in entry}), None)
        named = {name.casefold(): end for name, end in entry.items()}
        if len(entry) == 1 and words_of(next(iter(entry))) <= {"edge", "pair", "vertices", "nodes"}:
            ends, entry = None, next(iter(entry.values()))
        else:
            entry = [named[end] for end in ends] if ends else []
    if isinstance(entry, list) and len(entry) == 1 and isinstance(entry[0], str):
        entry = entry[0]
    if isinstance(entry, str):
        reading = _of_text(entry, v)
        edge = next(iter(reading.parts), (-1, -1))
        return (edge[0], edge[1]) if reading.whole and len(reading.parts) == 1 else (-1, -1)
    if not isinstance(entry, list) or len(entry) != 2:
        return -1, -1
    return vertex(entry[0], v), vertex(entry[1], v)


def _of_matrix(rows: list[list[Any]], v: int) -> Reading:
    """Of an adjacency matrix, which has to be symmetric."""
    ones = [[{"0": 0, "1": 1}.get(str(entry), -1) for entry in row] for row in rows]
    good = all(ones[a][b] == ones[b][a] != -1 for a, b in combinations(range(v), 2))
    if not good or any(ones[a][a] for a in range(v)):
        return _reading([(-1, -1)])
    return _reading([(a, b) for a, b in combinations(range(v), 2) if ones[a][b]])


def _of_dict(value: Mapping[str, Any], v: int) -> Reading:
    """One edge, numbered edges, the neighbours of each vertex, or all of that with a name."""
    if any({name.casefold() for name in value} == set(pair) for pair in ENDS):
        return _reading([_edge(dict(value), v)], bare=True)
    if value and all(re.fullmatch(r"\s*e(?:dge)?[\s_#]*\d+\s*", name, re.IGNORECASE) for name in value):
        return _reading([_edge(entry, v) for entry in value.values()])
    if value and all(_VERTEX.fullmatch(name.strip()) for name in value):
        return _of_neighbours({name: _neighbours(entry) for name, entry in value.items()}, v)
    names = [name for name, entry in value.items() if words_of(name) <= ENCLOSING and not _is_number(entry)]
    rest = {name: entry for name, entry in value.items() if name not in names}
    if len(names) != 1 or BAD in rest:
        return Reading((), False)
    wrong = not all(is_count(name, entry, v) for name, entry in rest.items())
    reading = _of_value(value[names[0]], v)
    return reading._replace(clash=reading.clash or wrong)


def _is_number(entry: Any) -> bool:
    return isinstance(entry, int) or (isinstance(entry, str) and len(entry) < 3)


def is_count(name: str, entry: Any, v: int) -> bool:
    """Whether an entry beside a graph tells its vertices, or has nothing to do with them."""
    if isinstance(entry, list):
        ends = [vertex(next(iter(end.values()), -1) if isinstance(end, dict) else end, v) for end in entry]
        return sorted(ends) == list(range(v)) or [*ends[:1], *entry[-2:-1], *ends[-1:]] == [0, "...", v - 1]
    if words_of(name) <= COUNTS:
        return str(entry) == str(v)
    return not isinstance(entry, dict)


def _neighbours(entry: Any) -> list[Any]:
    if isinstance(entry, list):
        return entry
    if isinstance(entry, str):
        return entry.replace(",", " ").split()
    if isinstance(entry, dict):
        return list(entry)
    return [] if entry is None else [entry]


def _of_neighbours(lists: Mapping[str, Iterable[Any]], v: int) -> Reading:
    """Every edge is told at one of its ends, or every edge is told at both."""
    arcs = {(vertex(name, v), vertex(end, v)) for name, ends in lists.items() for end in ends}
    if any(vertex(name, v) < 0 for name in lists):
        arcs.add((-1, -1))
    return _told_once_or_twice(arcs)


def _told_once_or_twice(arcs: Collection[tuple[int, int]]) -> Reading:
    twice = sum((b, a) in arcs for a, b in arcs)
    reading = _reading(arcs)
    return reading._replace(whole=reading.whole and twice in (0, len(arcs)), clash=0 < twice < len(arcs))


def _of_text(text: str, v: int) -> Reading:
    """What lines say: pairs such as 0-1, or a vertex and its neighbours. Sentences are looked through."""
    pairs: list[tuple[int, int]] = []
    arcs: list[tuple[int, int]] = []
    mentions: set[Edge] = set()
    numbering: list[int] = []
    clash = False
    for told in text.split("\n"):
        line = told.rpartition(BAD)[2]  # behind a value
        bullet = _BULLET.match(line)
        if bullet and bullet[1]:
            numbering.append(int(bullet[1]))
        line = line[bullet.end() :] if bullet else line
        label = _LABEL.match(line)
        body = line[label.end() :] if label else line
        shape, numbers = _shape(body)
        ends = [vertex(number, v) for number in numbers]
        if label and re.search(r"vert|node", label[0], re.IGNORECASE) and "n" in shape:
            clash = clash or not _is_all(shape, ends, v)
        elif "w" in shape:
            mentions |= {edge for edge in _mentioned(body, v) if edge != (0, v - 1)}
        elif _PAIRS.fullmatch(shape):
            pairs += zip(ends[::2], ends[1::2], strict=True)
        elif _NEIGHBOURS.fullmatch(shape):
            arcs += [(ends[0], end) for end in ends[1:]] if ends[0] >= 0 else [(-1, -1)]
        elif len(numbers) > 1 or (numbers and not any(map(str.isalpha, told))):
            clash = True
    if numbering and numbering != list(range(numbering[0], numbering[0] + len(numbering))):
        clash = True
    reading = _told_once_or_twice({*arcs, *pairs}) if arcs else _reading(pairs)
    inside = _within(mentions, reading.parts)
    if not pairs and not arcs:
        return Reading(mentions, False, True, clash)
    return reading._replace(
        whole=reading.whole and inside and not clash, bare=True, clash=reading.clash or clash
    )


def _shape(line: str) -> tuple[str, list[str]]:
    """The kinds of the symbols of a line, n for a number and w for a word that says more, and its numbers."""
    shape: list[str] = []
    numbers: list[str] = []
    for match in _TOKEN.finditer(line):
        kind = match.lastgroup
        if kind == "number":
            numbers.append(match[0])
            shape.append("n")
        elif kind == "join":
            shape.append("-")
        elif kind == "word":
            word = match[0].casefold()
            if word not in _GLUE:
                shape.append(_JOINTS.get(word, "w"))
        else:
            shape.append({"|": ",", **dict.fromkeys("()\"'", "")}.get(match[0], match[0]))
    return "".join(shape).replace("-:", ":").replace(":-", ":").replace("::", ":").rstrip(",.;").lstrip(
        ",.;:"
    ), numbers


def _is_all(shape: str, ends: list[int], v: int) -> bool:
    """Whether a line about the vertices has them right: how many, the first and the last, or each."""
    return shape == "n" or (shape == "n-n" and ends == [0, v - 1]) or sorted(ends) == list(range(v))


def _mentioned(line: str, v: int) -> set[Edge]:
    pairs = [(int(match[1]), int(match[2])) for match in _DASHED.finditer(line)]
    return {(min(pair), max(pair)) for pair in pairs}
