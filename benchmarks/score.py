"""How many responses one core scores in a second, and how long the parser takes over a megabyte of tags.

    python benchmarks/score.py

Each item gets eight responses, as in a group of rollouts: two right ones, two wrong ones on the right
caption, three whose captions have random faults of their own, and one cut off. The reasoning is the embedded
teacher's. Every response is scored once, in random order. Reading the items is not timed; what scoring must
find out about described puzzles is. Times are those of the process, and the best of a few rounds counts: what
else a machine does only makes a round slower.
"""

import random
import time
from statistics import fmean
from typing import Any

import record

from percasym.judgement import score
from percasym.puzzles import Puzzle, load_puzzle
from percasym.response import compose, parse

ITEMS = 200
ROUNDS = 5  # with items of their own: no cache is warm
WORDS = 800
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "sudoku 4x4, cells": ("sudoku", {"rows": 2, "cols": 2, "text": "cells"}),
    "sudoku 4x4, json": ("sudoku", {"rows": 2, "cols": 2, "text": "json"}),
    "sudoku 9x9, json": ("sudoku", {"text": "json"}),
    "graph of 6 to 8, cells": ("graph_coloring", {"text": "cells"}),
    "graph of 6 to 8, json": ("graph_coloring", {"text": "json"}),
    "graph of 12 to 16, json": (
        "graph_coloring",
        {"text": "json", "vertices_low": 12, "vertices_high": 16, "side": 450},
    ),
}


def main() -> None:
    figures: dict[str, Any] = {}
    for name, (puzzle_name, config) in SETTINGS.items():
        puzzle = load_puzzle(puzzle_name, config)
        rounds = [measure(puzzle, seed) for seed in range(ROUNDS)]
        figures[name] = {
            "responses_per_second_and_core": round(max(rate for rate, _ in rounds)),
            "mean_characters": round(fmean(characters for _, characters in rounds)),
        }
        print(name, figures[name], flush=True)
    figures["parser, seconds for the worst megabyte of tags"] = seconds = parser_seconds()
    print(f"parser: {seconds} s for the worst megabyte of tags")
    record.save("score", figures)


def measure(puzzle: Puzzle[Any], seed: int) -> tuple[float, float]:
    """Responses scored per second of processor time, and their mean length."""
    rng = random.Random(seed)
    cases = []
    for index in range(ITEMS):
        instance = puzzle.item("test", seed, index).instance
        instance = puzzle.read_ground_truth(puzzle.ground_truth(instance))
        cases += [(instance, text) for text in responses(puzzle, instance, rng)]
    rng.shuffle(cases)
    start = time.process_time()
    for instance, text in cases:
        score(puzzle, instance, text)
    seconds = time.process_time() - start
    return len(cases) / seconds, fmean(len(text) for _, text in cases)


def responses(puzzle: Puzzle[Any], instance: Any, rng: random.Random) -> list[str]:
    """Eight responses: two right, two with a wrong answer, three with a wrong caption, one cut off."""
    caption = puzzle.perception(instance)
    thought = puzzle.reasoning(instance, rng, WORDS, 0.3)
    right = [compose(caption, thought.text, thought.answer)] * 2
    slips = [compose(caption, thought.text, faulty(thought.answer, rng)) for _ in range(2)]
    blind = [compose(faulty(caption, rng), thought.text, thought.answer) for _ in range(3)]
    return [*right, *slips, *blind, right[0][:-40]]


def faulty(text: str, rng: random.Random) -> str:
    """`text` with two symbols taken from other places of it."""
    symbols = list(text)
    places = [place for place, symbol in enumerate(symbols) if symbol.isalnum() or symbol == "-"]
    for place in rng.sample(places, 2):
        symbols[place] = symbols[rng.choice(places)]
    return "".join(symbols)


def parser_seconds() -> float:
    patterns = (
        "<caption>",
        "</caption>",
        "<answer>",
        "</answer>",
        "<caption></caption>",
        "<answer></answer>",
        "<",
        "</",
    )
    worst = 0.0
    for pattern in patterns:
        text = pattern * (1_000_000 // len(pattern))
        start = time.process_time()
        parse(text)
        worst = max(worst, time.process_time() - start)
    return round(worst, 3)


if __name__ == "__main__":
    main()
