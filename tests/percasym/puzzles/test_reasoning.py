"""A chain of thought is true word by word: an independent reader replays it against the puzzle."""

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.puzzles import graph_reasoning, load_puzzle, sudoku_reasoning
from percasym.puzzles.graph_coloring import Graph
from percasym.puzzles.sudoku import Sudoku

NOW, SO, SUPPOSE = {"now", "next", "then"}, {"so", "hence", "thus"}, {"suppose", "say", "assume"}
LATER, NONE, BACK = {"later", "open", "unclear"}, {"none", "stuck", "impossible"}, {"back", "undo", "retract"}
TRY, NO = {"try", "maybe"}, {"no", "wrong", "conflict"}
CHECK, OK = {"check", "again", "verify"}, {"ok", "fine", "good"}

FAMILIES = {
    "sudoku4": ("sudoku", {"rows": 2, "cols": 2, "text": "cells"}),
    "sudoku6": ("sudoku", {"rows": 2, "cols": 3, "text": "cells"}),
    "sudoku9": ("sudoku", {"rows": 3, "cols": 3, "text": "cells"}),
    "graph6": ("graph_coloring", {"vertices_low": 6, "vertices_high": 6, "text": "cells"}),
    "graph12": ("graph_coloring", {"vertices_low": 12, "vertices_high": 14, "text": "cells"}),
}
# Nothing in it is forced at first, and most suppositions fail.
HARD = "800000000003600000070090200050007000000045700000100030001000068008500010090000400"  # by Arto Inkala


class Reader:
    """Replays a thought; an AssertionError at the first word that is not true."""

    def __init__(self, state, neighbours, values, groups, list_blanks):
        self.state, self.neighbours, self.values = dict(state), neighbours, values
        self.groups, self.list_blanks = groups, list_blanks
        self.suppositions = []  # what was supposed: [place, values refuted before, places filled since]
        self.refuted = None  # after a way back: (place, values that led to a contradiction)
        self.contradiction = False
        self.checks_left = 0

    def legal(self, place):
        return [v for v in self.values if all(self.state[n] != v for n in self.neighbours[place])]

    def facts(self, words):
        places = words[::2]
        assert len(words) % 2 == 0
        assert [self.state[place] for place in places] == words[1::2]
        return places

    def look(self, place, words):
        expected = {n for n in self.neighbours[place] if self.list_blanks or self.state[n] != "-"}
        places = self.facts(words)
        assert len(places) == len(expected)
        assert set(places) == expected

    def fill(self, word, place, value):
        assert self.state[place] == "-"
        retried, refuted = self.refuted or (place, set())
        assert retried == place
        left = {v for v in self.legal(place) if v not in refuted}
        assert value in left
        if word in SO:
            assert len(left) == 1 or left <= self.unused()
        if word in SUPPOSE or self.refuted:
            self.suppositions.append((place, refuted, []))
        self.refuted = None
        self.state[place] = value
        if self.suppositions:
            self.suppositions[-1][2].append(place)

    def unused(self):
        """Values that nothing has yet: what holds for one holds for all."""
        return set(self.values) - set(self.state.values())

    def go_back(self, words):
        assert self.contradiction
        place, refuted, filled = self.suppositions.pop()
        assert words == [word for name in filled[::-1] for word in (name, "-")]
        value = self.state[place]
        self.state.update(dict.fromkeys(filled, "-"))
        self.refuted = place, refuted | {value} | (self.unused() if value in self.unused() else set())
        self.contradiction = set(self.legal(place)) <= self.refuted[1]

    def step(self, words):
        head, *rest = words
        assert self.checks_left == 0 or head in CHECK
        if head in CHECK:
            number, what, *rest, verdict = rest
            assert verdict in OK
            assert self.checks_left in (0, int(number))
            self.checks_left = int(number) - 1
            if what in self.state:
                value, colon, *looked = rest
                assert (self.state[what], colon) == (value, ":")
                assert value != "-"
                self.look(what, looked)
            else:
                places = self.facts(rest)
                values = rest[1::2]
                assert frozenset(places) in self.groups[what]
                assert "-" not in values
                assert len(set(values)) == len(values)
        elif head in BACK:
            self.go_back(rest)
        elif head in SO | SUPPOSE:
            place, value = rest
            assert self.refuted
            assert not self.contradiction
            self.fill(head, place, value)
        else:
            assert head in NOW
            assert not self.refuted
            assert not self.contradiction
            place, second, *rest = rest
            assert self.state[place] == "-"
            if second in TRY:
                value, colon, witness, seen, verdict = rest
                assert colon == ":"
                assert seen == value == self.state[witness]
                assert witness in self.neighbours[place]
                assert verdict in NO
                return
            assert second == ":"
            if rest[-1] in LATER | NONE:
                self.look(place, rest[:-1])
                legal = self.legal(place)
                assert len(legal) > 1 if rest[-1] in LATER else not legal
                self.contradiction = rest[-1] in NONE
            else:
                *looked, word, same, value = rest
                assert same == place
                self.look(place, looked)
                self.fill(word, place, value)

    def read(self, text):
        for segment in text.removesuffix(" ;").split(" ; "):
            self.step(segment.split(" "))
        assert self.checks_left == 0
        return self.state


def read_sudoku(sudoku, text):
    size = sudoku.rows * sudoku.cols
    names = {(r, c): f"{'abcdefghi'[r]}{c + 1}" for r in range(size) for c in range(size)}
    groups = {"row": set(), "column": set(), "box": set()}
    for k in range(size):
        groups["row"].add(frozenset(names[k, c] for c in range(size)))
        groups["column"].add(frozenset(names[r, k] for r in range(size)))
        top, left = k // sudoku.rows * sudoku.rows, k % sudoku.rows * sudoku.cols
        box = [(top + r, left + c) for r in range(sudoku.rows) for c in range(sudoku.cols)]
        groups["box"].add(frozenset(names[cell] for cell in box))
    neighbours = {
        name: set().union(*(g for kind in groups.values() for g in kind if name in g)) - {name}
        for name in names.values()
    }
    state = {name: str(sudoku.grid[r][c] or "-") for (r, c), name in names.items()}
    reader = Reader(state, neighbours, [str(k + 1) for k in range(size)], groups, size <= 4)
    state = reader.read(text)
    return tuple(tuple(int(state[names[r, c]]) for c in range(size)) for r in range(size))


def read_graph(graph, text):
    opening, _, rest = text.partition(" ; ")
    word, number, *clique = opening.split()
    assert (word, int(number)) == ("colors", graph.c)
    if clique:
        assert clique[0] == ":"
        assert len(clique) - 1 == graph.c
        assert all(tuple(sorted(pair)) in graph.edges for pair in combinations(map(int, clique[1:]), 2))
    neighbours = {str(v): {str(a + b - v) for a, b in graph.edges if v in (a, b)} for v in range(graph.v)}
    groups = {"edge": {frozenset(map(str, edge)) for edge in graph.edges}}
    state = dict.fromkeys(neighbours, "-")
    state = Reader(state, neighbours, list("abcdefgh"[: graph.c]), groups, True).read(rest)
    return tuple(ord(state[str(v)]) - ord("a") for v in range(graph.v))


def replay(instance, text):
    return read_sudoku(instance, text) if isinstance(instance, Sudoku) else read_graph(instance, text)


def written(solution):
    """A solution in the cells format."""
    if isinstance(solution[0], int):
        return " ".join(f"{vertex} {'abcdefgh'[colour]}" for vertex, colour in enumerate(solution))
    rows = zip("abcdefghi", solution, strict=False)
    return " ".join(f"{letter}{k + 1} {digit}" for letter, row in rows for k, digit in enumerate(row))


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(index=st.integers(0, 10**6), words=st.integers(0, 2000), detours=st.floats(0, 1))
def test_every_word_is_true_and_the_answer_is_the_one_found(family, index, words, detours):
    puzzle = load_puzzle(*FAMILIES[family])
    instance = puzzle.item("train_sft", 0, index).instance
    thought = puzzle.reasoning(instance, random.Random(index), words, detours)
    solution = replay(instance, thought.text)
    assert thought.answer == written(solution)
    assert puzzle.score_answer(instance, thought.answer).exact
    assert set(thought.text.split(" ")) <= set(puzzle.vocabulary())


def test_a_lie_is_noticed():
    puzzle = load_puzzle(*FAMILIES["sudoku4"])
    instance = puzzle.item("test", 0, 0).instance
    words = puzzle.reasoning(instance, random.Random(0), 300, 0.3).text.split(" ")
    for place in [k for k, word in enumerate(words) if word in "1234-"][1::7]:
        lie = [*words[:place], "1" if words[place] != "1" else "2", *words[place + 1 :]]
        with pytest.raises((AssertionError, ValueError, KeyError)):
            replay(instance, " ".join(lie))


def test_suppositions_fail_and_are_taken_back():
    grid = tuple(tuple(int(digit) for digit in HARD[row * 9 : row * 9 + 9]) for row in range(9))
    sudoku = Sudoku(3, 3, grid)
    text, solution = sudoku_reasoning.think(sudoku, random.Random(0), 0, 0.3)
    assert read_sudoku(sudoku, text) == solution
    assert len(BACK & set(text.split())) == len(BACK)
    puzzle = load_puzzle(*FAMILIES["graph12"])
    taken_back = 0
    for index in range(60):
        graph = puzzle.item("test", 0, index).instance
        text, colours = graph_reasoning.think(graph, random.Random(index), 0, 0.3)
        assert read_graph(graph, text) == colours
        taken_back += bool(BACK & set(text.split()))
    assert taken_back


@pytest.mark.parametrize(("family", "words"), [("sudoku4", 300), ("sudoku4", 1400), ("graph6", 300)])
def test_a_thought_is_as_long_as_asked_for(family, words):
    puzzle = load_puzzle(*FAMILIES[family])
    for index in range(50):
        thought = puzzle.reasoning(puzzle.item("test", 0, index).instance, random.Random(index), words, 0.3)
        assert abs(len(thought.text.split()) - words) <= 0.1 * words


def test_the_same_seed_gives_the_same_text_and_another_another():
    for name, config in FAMILIES.values():
        puzzle = load_puzzle(name, config)
        instance = puzzle.item("test", 0, 0).instance
        texts = [puzzle.reasoning(instance, random.Random(seed), 400, 0.3).text for seed in (1, 1, 2)]
        assert texts[0] == texts[1] != texts[2]


def test_without_detours_there_is_no_wrong_turn():
    puzzle = load_puzzle(*FAMILIES["sudoku4"])
    texts = [
        puzzle.reasoning(puzzle.item("test", 0, index).instance, random.Random(index), 0, detours).text
        for detours in (0.0, 1.0)
        for index in range(30)
    ]
    turns = [bool(set(text.split()) & (TRY | LATER)) for text in texts]
    assert not any(turns[:30])
    assert all(turns[30:])


def test_what_has_no_solution_is_said():
    with pytest.raises(PercasymError, match="no solution"):
        sudoku_reasoning.think(Sudoku(1, 2, ((1, 1), (0, 0))), random.Random(0), 10, 0.0)
    triangle = Graph(3, ((0, 1), (0, 2), (1, 2)), 2)
    with pytest.raises(PercasymError, match="no solution"):
        graph_reasoning.think(triangle, random.Random(0), 10, 0.0)
