"""A solver that writes its search down: the chain of thought of the embedded teacher.

Sudoku and graph colouring are one problem: give every place a value that none of its neighbours has. The
solver takes a place, looks its neighbours up, and concludes:

    now b2 : a2 3 b1 - a1 1 d2 4 b3 - c2 - b4 - so b2 2 ;   one value is left
    next c1 : ... suppose c1 3 ;                            several are left, and no place has fewer
    then d4 : ... none ; back c2 - c1 - ;                   a contradiction: what was supposed goes
    now a3 : ... later ;                                    a wrong turn: not decided yet
    now b2 try 4 : d2 4 no ;                                a wrong turn: a neighbour has that value
    check 2 b2 2 : c2 - a2 3 ... ok ;                       looking back, two checks to go
    check 1 row a1 1 a2 3 a3 2 a4 4 ok ;

Two rules make the text learnable by a very small model, and checkable word by word. A place directly
followed by a value (or by `-` for none) always says what that place holds from now on, so the last mention
is the truth. And what is drawn at random never decides by itself when to stop: every run of checks says how
many are still to come, so that greedy decoding ends. Order, wording, checks and wrong turns are drawn at
random, as a real teacher's are, so that the loss on the reasoning does not fall to nothing.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from percasym.errors import PercasymError

NOW = ("now", "next", "then")
SO = ("so", "hence", "thus")
SUPPOSE = ("suppose", "say", "assume")
LATER = ("later", "open", "unclear")
NONE = ("none", "stuck", "impossible")
BACK = ("back", "undo", "retract")
TRY = ("try", "maybe")
NO = ("no", "wrong", "conflict")
CHECK = ("check", "again", "verify")
OK = ("ok", "fine", "good")
BLANK = "-"
MOST_CHECKS = 20  # in a row

WORDS: tuple[str, ...] = (
    *NOW, *SO, *SUPPOSE, *LATER, *NONE, *BACK, *TRY, *NO, *CHECK, *OK, BLANK, ":", ";",
    *(str(n) for n in range(1, MOST_CHECKS + 1)),
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """Places 0..n-1, each of which takes one of the values 1..len(values), unlike all its neighbours.

    Attributes:
        places: the name of every place.
        values: the name of every value.
        given: the value of every place at the start, 0 for none.
        neighbours: for every place the places that must differ from it.
        groups: (word, places): what can be checked at a glance once full, such as ("row", (0, 1, 2, 3)).
        list_blanks: whether looking up lists also the neighbours without a value.
        ordered: whether a supposition starts from the first value left rather than from any.
    """

    places: Sequence[str]
    values: Sequence[str]
    given: Sequence[int]
    neighbours: Sequence[Sequence[int]]
    groups: Sequence[tuple[str, Sequence[int]]]
    list_blanks: bool
    ordered: bool


class Step(NamedTuple):
    """What was written, and what every place held afterwards."""

    text: list[str]
    state: tuple[int, ...]


def think(
    problem: Problem, rng: random.Random, words: int, detours: float, opening: Sequence[str] = ()
) -> tuple[str, tuple[int, ...]]:
    """Solve `problem` in about `words` words; returns the text and the value of every place.

    The text starts with `opening`. `detours` is the probability of a wrong turn before each step. Checks are
    added until the text is as long as asked for, at most `MOST_CHECKS` after each step; a search that needs
    more words than that stands as it is.

    Raises:
        PercasymError: the problem has no solution.
    """
    search = _Search(problem, rng, detours)
    if not search.run():
        raise PercasymError("there is no solution to reason about: check the puzzle")
    steps = search.steps or [Step([], tuple(problem.given))]
    runs = _checks(problem, rng, steps, words - len(opening) - sum(len(step.text) for step in steps))
    text = list(opening)
    for step, run in zip(steps, runs, strict=True):
        text += step.text
        for left, check in zip(range(len(run), 0, -1), run, strict=True):
            text += [rng.choice(CHECK), str(left), *check]
    return " ".join(text), tuple(search.state)


class _Search:
    """Depth-first search that fills forced places first and writes down every look, conclusion and way
    back."""

    def __init__(self, problem: Problem, rng: random.Random, detours: float) -> None:
        self.problem, self.rng, self.detours = problem, rng, detours
        self.state = list(problem.given)
        self.trail: list[int] = []
        self.steps: list[Step] = []

    def run(self) -> bool:
        """Fill every place that is left; False after a contradiction that has been written down."""
        while True:
            left = {place: self._values_left(place) for place, value in enumerate(self.state) if not value}
            if not left:
                return True
            fewest = min(map(len, left.values()))
            place = self.rng.choice([p for p, values in left.items() if len(values) == fewest])
            if not fewest:
                self._write([*self._look(place), self.rng.choice(NONE), ";"])
                return False
            if self.rng.random() < self.detours:
                self._wrong_turn(left, place)
            if fewest > 1:
                return self._suppose(place, left[place])
            self._fill(place, left[place][0], self.rng.choice(SO), self._look(place))

    def _suppose(self, place: int, values: list[int]) -> bool:
        values = self._worth_trying(values)
        text = self._look(place)
        for value in values:
            mark = len(self.trail)
            last = value == values[-1] and len(values) > 1
            self._fill(place, value, self.rng.choice(SO if last else SUPPOSE), text)
            if self.run():
                return True
            text = []
            undone = [self.trail.pop() for _ in range(len(self.trail) - mark)]
            back = [self.rng.choice(BACK)]
            for gone in undone:
                self.state[gone] = 0
                back += [self.problem.places[gone], BLANK]
            self._write([*back, ";"])
        return False

    def _worth_trying(self, values: list[int]) -> list[int]:
        """`values` in the order in which to try them; of those that no place has yet, one stands for all."""
        values = list(values)
        if not self.problem.ordered or self.rng.random() < self.detours:
            self.rng.shuffle(values)
        unused = [value for value in values if value not in self.state]
        return [value for value in values if value not in unused[1:]]

    def _fill(self, place: int, value: int, word: str, text: list[str]) -> None:
        self.state[place] = value
        self.trail.append(place)
        self._write([*text, word, self.problem.places[place], self.problem.values[value - 1], ";"])

    def _wrong_turn(self, left: dict[int, list[int]], place: int) -> None:
        undecided = [p for p, values in left.items() if len(values) > 1 and p != place]
        refuted = [p for p in self.problem.neighbours[place] if self.state[p]]
        if undecided and (not refuted or self.rng.random() < 0.5):
            self._write([*self._look(self.rng.choice(undecided)), self.rng.choice(LATER), ";"])
        elif refuted:
            witness = self.rng.choice(refuted)
            place_name, value = self.problem.places[place], self.problem.values[self.state[witness] - 1]
            self._write([
                self.rng.choice(NOW), place_name, self.rng.choice(TRY), value, ":",
                self.problem.places[witness], value, self.rng.choice(NO), ";",
            ])  # fmt: skip

    def _look(self, place: int) -> list[str]:
        text = [self.rng.choice(NOW), self.problem.places[place], ":"]
        return text + _neighbours(self.problem, self.state, self.rng, place)

    def _values_left(self, place: int) -> list[int]:
        taken = {self.state[p] for p in self.problem.neighbours[place]}
        return [value for value in range(1, len(self.problem.values) + 1) if value not in taken]

    def _write(self, text: list[str]) -> None:
        self.steps.append(Step(text, tuple(self.state)))


def _neighbours(problem: Problem, state: Sequence[int], rng: random.Random, place: int) -> list[str]:
    seen = [p for p in problem.neighbours[place] if problem.list_blanks or state[p]]
    rng.shuffle(seen)
    return list(_facts(problem, state, seen))


def _facts(problem: Problem, state: Sequence[int], places: Sequence[int]) -> Iterator[str]:
    for place in places:
        yield problem.places[place]
        yield problem.values[state[place] - 1] if state[place] else BLANK


def _checks(problem: Problem, rng: random.Random, steps: list[Step], room: int) -> list[list[list[str]]]:
    """For every step the checks that follow it, about `room` words together.

    Nothing is checked twice before everything has been.
    """
    runs: list[list[list[str]]] = [[] for _ in steps]
    left = {index: _checkable(problem, step.state) for index, step in enumerate(steps) if any(step.state)}
    while left:
        index = rng.choice(list(left))
        check = _check(problem, steps[index].state, rng, *left[index])
        if room < (len(check) + 2) / 2:
            break
        runs[index].append(check)
        room -= len(check) + 2
        if len(runs[index]) == MOST_CHECKS:
            del left[index]
        elif not any(left[index]):
            left[index] = _checkable(problem, steps[index].state)
    return runs


def _checkable(problem: Problem, state: Sequence[int]) -> tuple[list[tuple[str, Sequence[int]]], list[int]]:
    """The groups that are full, and the places that are filled."""
    full = [group for group in problem.groups if all(state[p] for p in group[1])]
    return full, [p for p, value in enumerate(state) if value]


def _check(
    problem: Problem,
    state: Sequence[int],
    rng: random.Random,
    groups: list[tuple[str, Sequence[int]]],
    places: list[int],
) -> list[str]:
    """The check of one of `groups` or `places`, which is taken from there."""
    if groups and (not places or rng.random() < 0.5):
        word, members = groups.pop(rng.randrange(len(groups)))
        shuffled = list(members)
        rng.shuffle(shuffled)
        return [word, *_facts(problem, state, shuffled), rng.choice(OK), ";"]
    place = places.pop(rng.randrange(len(places)))
    text = [*_facts(problem, state, [place]), ":", *_neighbours(problem, state, rng, place)]
    return [*text, rng.choice(OK), ";"]
