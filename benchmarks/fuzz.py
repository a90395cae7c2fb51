"""Scores random texts of both families: does scoring ever fail, is its verdict ever wrong, is it linear?

    python benchmarks/fuzz.py --n 1000000

Of each family n texts: captions and answers in the spellings of the tests (`tests/fixtures`), right ones and
ones with cells, edges, colours, rows or vertices changed, left out or added. A checker that shares no code
with percasym says what each of them is worth. Of every tenth text some characters are changed as well: it
may be worth anything then, but what is accepted must be a solution by the checker. Then texts of up to 10 MB,
made of what readers fear, are timed: through `score`, and through the reader as if no text were too long.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import combinations
from typing import Any

import record

from percasym.judgement import score
from percasym.puzzles import Puzzle, load_puzzle
from percasym.puzzles.reading import find, plain
from percasym.response import compose

sys.path.insert(0, str(record.HERE.parent / "tests"))

from fixtures.graph_texts import COLOURINGS, EDGES
from fixtures.sudoku_texts import SPELLINGS

ITEMS = 200
SUDOKUS = [(2, 2), (2, 3), (3, 3)]
GRAPHS = [(5, 8), (9, 14), (26, 26)]  # fewest and most vertices
HEADLESS = {name: spell for name, spell in SPELLINGS.items() if name != "table"}
"""A surplus row on top of such a table, if it is 1, 2, 3, ..., is the head of its columns for anybody."""
CHARACTERS = "0123456789-,[]{}()\"' \n|.abz:>*_/\\"
FEARED = [
    "[", "[[0,1],", "{0:", "(", '["', "'", "[/*", "//", "a1 4 ", "0 1 , ", "0-1\n", "1. (0, 1)\n", "x",
    "| 1 | 2 |\n", "---\n", "**1** ", "```\n", "\\boxed{", "\\a", "<a", "<|", "&amp;", "é\u0301\u0316",
    "\u200b", "not 1\n",
]  # fmt: skip

Rows = list[list[int]]
Case = tuple[Any, str, str, bool, bool]  # instance, caption, answer, whether they are right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=1_000_000, help="texts of each family")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for name, cases in {"sudoku": sudoku_cases, "graph_coloring": graph_cases}.items():
        figures[name] = judge(cases(random.Random(f"{name} {arguments.seed}")), arguments.n)
        print(name, figures[name], flush=True)
    figures["time"] = growth()
    print(figures["time"])
    record.save("fuzz", figures)


def judge(cases: Iterator[tuple[Puzzle[Any], Case, Callable[[Any, str], bool]]], n: int) -> dict[str, Any]:
    """Score n texts, two a response, and count what came of it."""
    counts: Counter[str] = Counter(dict.fromkeys(("exceptions", "disagreements", "changed and accepted"), 0))
    rng = random.Random(0)
    examples: list[str] = []
    start = time.process_time()
    for number in range(n // 2):
        puzzle, (instance, caption, answer, a_p, a), solves = next(cases)
        changed = number % 10 == 0
        if changed:
            caption, answer = with_changes(caption, rng), with_changes(answer, rng)
        text = compose(caption, "so", answer)
        try:
            judged = score(puzzle, instance, text)
            wrong = judged.a and not solves(instance, puzzle.read_answer(answer, instance))
            if not changed:
                wrong = wrong or (judged.a, judged.a_p) != (a, a_p) or (a_p and judged.a_own != a)
        except Exception as error:
            counts["exceptions"] += 1
            examples.append(f"{error!r} {text}")
            continue
        counts["disagreements"] += wrong
        counts["changed and accepted"] += changed and judged.a
        counts["right captions"] += judged.a_p
        counts["right answers"] += judged.a
        counts["captions not read"] += not judged.caption_read
        counts["answers not read"] += not judged.answer_read
        if wrong:
            examples.append(text)
    seconds = time.process_time() - start
    return {"texts": n, **counts, "seconds": round(seconds, 1), "examples": examples[:5]}


def with_changes(text: str, rng: random.Random) -> str:
    symbols = list(text)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(symbols) + 1)
        symbols[place : place + rng.randint(0, 1)] = rng.choice(CHARACTERS) * rng.randint(0, 1)
    return "".join(symbols)


def sudoku_cases(rng: random.Random) -> Iterator[tuple[Puzzle[Any], Case, Callable[[Any, Any], bool]]]:
    puzzles = [load_puzzle("sudoku", {"rows": rows, "cols": cols}) for rows, cols in SUDOKUS]
    items = [(puzzle, puzzle.item("test", 0, index).instance) for puzzle in puzzles for index in range(ITEMS)]
    while True:
        puzzle, instance = rng.choice(items)
        given, solved = [list(row) for row in instance.grid], [list(row) for row in puzzle.solve(instance)]
        seen, said = with_slips(given, rng), with_slips(solved, rng)
        caption, answer = (
            told(HEADLESS if len(rows) > len(given) else SPELLINGS, rng, rows) for rows in (seen, said)
        )
        yield puzzle, (instance, caption, answer, seen == given, solves_sudoku(instance, said)), solves_sudoku


def told(spellings: dict[str, Callable[..., str]], rng: random.Random, *value: Any) -> str:
    """A value in a spelling that can tell it: not all know a grid with a row too few."""
    while True:
        try:
            return rng.choice(list(spellings.values()))(*value)
        except (IndexError, KeyError):
            continue


def with_slips(rows: Rows, rng: random.Random) -> Rows:
    """The grid as it is, or with a few cells changed or blanked, or a row or a column too many or too few."""
    rows = [list(row) for row in rows]
    size = len(rows)
    kind = rng.random()
    if kind < 0.5:
        for _ in range(rng.randint(1, 2)):
            rows[rng.randrange(size)][rng.randrange(size)] = rng.randint(0, size)
    elif kind < 0.55:
        rows.insert(rng.randrange(size + 1), list(rng.choice(rows)))
    elif kind < 0.6:
        del rows[rng.randrange(size)]
    elif kind < 0.65:
        column = rng.randrange(size)
        rows = [[*row[:column], rng.randint(0, size), *row[column:]] for row in rows]
    elif kind < 0.7:
        del rng.choice(rows)[-1]
    return rows


def solves_sudoku(instance: Any, rows: Sequence[Any]) -> bool:
    """Whether a grid, a list of rows or of cells, solves the instance."""
    size, (height, width) = len(instance.grid), (instance.rows, instance.cols)
    if len(rows) == size**2:
        rows = [rows[start : start + size] for start in range(0, size**2, size)]
    if len(rows) != size or any(len(row) != size for row in rows):
        return False
    cells = {(r, c): rows[r][c] for r in range(size) for c in range(size)}
    units = [[(r, c) for c in range(size)] for r in range(size)]
    units += [[(r, c) for r in range(size)] for c in range(size)]
    units += [
        [(top + r, left + c) for r in range(height) for c in range(width)]
        for top in range(0, size, height)
        for left in range(0, size, width)
    ]
    kept = all(instance.grid[r][c] in (0, digit) for (r, c), digit in cells.items())
    return kept and all(sorted(cells[cell] for cell in unit) == list(range(1, size + 1)) for unit in units)


def graph_cases(rng: random.Random) -> Iterator[tuple[Puzzle[Any], Case, Callable[[Any, Any], bool]]]:
    puzzles = [
        load_puzzle("graph_coloring", {"vertices_low": low, "vertices_high": high, "side": 900})
        for low, high in GRAPHS
    ]
    items = [(puzzle, puzzle.item("test", 0, index).instance) for puzzle in puzzles for index in range(ITEMS)]
    while True:
        puzzle, instance = rng.choice(items)
        edges, colours = set(instance.edges), list(puzzle.solve(instance))
        for _ in range(rng.randint(0, 2)):
            edges ^= {rng.choice(list(combinations(range(instance.v), 2)))}
        for _ in range(rng.randint(0, 2)):
            colours[rng.randrange(instance.v)] = rng.randrange(instance.c + 1)
        if rng.random() < 0.1:
            colours = rng.choice([colours[:-1], [*colours, 0]])
        caption, answer = told(EDGES, rng, instance.v, sorted(edges)), told(COLOURINGS, rng, colours)
        right = solves_graph(instance, dict(enumerate(colours)))
        yield puzzle, (instance, caption, answer, edges == set(instance.edges), right), solves_graph


def solves_graph(instance: Any, colours: dict[int, Any]) -> bool:
    if sorted(colours) != list(range(instance.v)) or any(colours[a] == colours[b] for a, b in instance.edges):
        return False
    return len(set(colours.values())) <= fewest(instance.v, instance.edges)


@cache
def fewest(v: int, edges: tuple[tuple[int, int], ...]) -> int:
    """The chromatic number, by CP-SAT."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    colours = [model.new_int_var(0, vertex, "") for vertex in range(v)]
    for a, b in edges:
        model.add(colours[a] != colours[b])
    most = model.new_int_var(0, v, "")
    model.add_max_equality(most, colours)
    model.minimize(most)
    solver = cp_model.CpSolver()
    solver.solve(model)
    return round(solver.objective_value) + 1


def growth() -> dict[str, dict[str, float]]:
    """Seconds for the worst text of 1 and of 10 million characters, and which it is."""
    puzzles = [load_puzzle("sudoku", {}), load_puzzle("graph_coloring", {"vertices_low": 8})]
    instances = [puzzle.item("test", 0, 0).instance for puzzle in puzzles]
    figures: dict[str, dict[str, float]] = {}
    for millions in (1, 10):
        scored, found = 0.0, 0.0
        for feared in FEARED:
            text = feared * (millions * 1_000_000 // len(feared))
            for puzzle, instance in zip(puzzles, instances, strict=True):
                response = compose(text, "", text)
                scored = max(scored, seconds_of(partial(score, puzzle, instance, response)))
            found = max(found, seconds_of(partial(found_in, text)))
        figures[f"{millions} million characters"] = {
            "score, caption and answer": round(scored, 2),
            "reader, if no text were too long": round(found, 2),
        }
    return figures


def found_in(text: str) -> None:
    find(plain(text))


def seconds_of(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
