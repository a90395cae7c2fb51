"""How many unique 9x9 Sudokus, and how many rendered items, one core makes in a second; beside reasoning-gym.

    python -m pip install --target build/reasoning-gym reasoning-gym==0.1.25
    python benchmarks/generate.py

The first command puts reasoning-gym into a folder of its own, since what it needs conflicts with what we
need (pip says so, and installs it all the same); without it only our own figures are taken. It runs in a
process of its own, in turns with ours, on Sudokus with the same number of empty cells. All times are
processor time. A Sudoku of ours is a whole item: drawn until it lies in its split. A rendered item is
generated, drawn and encoded as PNG.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import record

from percasym.puzzles import Puzzle, load_puzzle
from percasym.seeding import stream

BLANKS = (30, 40, 50)
ROUNDS = 5
OURS, THEIRS, RENDERED = 100, 10, 200  # items in a round
SHARED = 1000  # items of seeds 0 and 1 that are compared
SMALL_GRAPHS = {"vertices_low": 6, "vertices_high": 7, "edges_low": 6, "edges_high": 10, "side": 64}
IMAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "sudoku 4x4, 64 px, clean": ("sudoku", {"rows": 2, "cols": 2, "side": 64}),
    "sudoku 4x4, 64 px, hard": ("sudoku", {"rows": 2, "cols": 2, "side": 64, "style": "hard"}),
    "sudoku 9x9, 369 px, paper": ("sudoku", {"style": "paper"}),
    "graph of 6 to 7, 64 px, clean": ("graph_coloring", SMALL_GRAPHS),
    "graph of 6 to 7, 64 px, hard": ("graph_coloring", {**SMALL_GRAPHS, "style": "hard"}),
    "graph of 7 to 10, 450 px, paper": (
        "graph_coloring",
        {"vertices_low": 7, "vertices_high": 10, "style": "paper"},
    ),
}
PEER = """
import json, sys, time
from reasoning_gym import create_dataset

for line in sys.stdin:
    blanks, seed, first, number = json.loads(line)
    dataset = create_dataset("sudoku", min_empty=blanks, max_empty=blanks, seed=seed, size=first + number)
    start = time.process_time()
    grids = [dataset[index]["metadata"]["puzzle"] for index in range(first, first + number)]
    print(json.dumps([time.process_time() - start, grids]), flush=True)
"""

Peer = Callable[[int, int, int, int], tuple[float, list[Any]]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Our rates and, if it is installed, reasoning-gym's.")
    parser.add_argument("--peer", type=Path, default=Path("build/reasoning-gym"), help="its folder")
    folder = parser.parse_args().peer
    figures: dict[str, Any] = {"unique 9x9 sudokus per second and core": {}}
    with reasoning_gym(folder) as peer:
        for blanks in BLANKS:
            rates = sudoku_rates(blanks, peer)
            figures["unique 9x9 sudokus per second and core"][f"{blanks} empty cells"] = rates
            print(f"{blanks} empty cells: {rates}", flush=True)
        figures[f"of {SHARED} items, common to seeds 0 and 1"] = common(peer)
        print("common to seeds 0 and 1:", figures[f"of {SHARED} items, common to seeds 0 and 1"])
    figures["rendered items per second and core"] = {}
    for name, (puzzle, config) in IMAGES.items():
        rate = rendered(load_puzzle(puzzle, config))
        figures["rendered items per second and core"][name] = rate
        print(f"{name}: {rate}", flush=True)
    print(record.save("generate", figures))


@contextmanager
def reasoning_gym(folder: Path) -> Iterator[Peer | None]:
    """A function of (blanks, seed, first index, number) that gives seconds and grids; None if not
    installed."""
    if not (folder / "reasoning_gym").is_dir():
        print(f"without reasoning-gym; python -m pip install --target {folder} reasoning-gym==0.1.25 adds it")
        yield None
        return
    process = subprocess.Popen(
        [sys.executable, "-c", PEER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder.resolve())},
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(*request: int) -> tuple[float, list[Any]]:
            print(json.dumps(request), file=stdin, flush=True)
            seconds, grids = json.loads(stdout.readline())
            return seconds, grids

        yield ask


def sudoku_rates(blanks: int, peer: Peer | None) -> dict[str, float]:
    """Medians over the rounds, and of the rounds' ratios."""
    puzzle = load_puzzle("sudoku", {"blanks_low": blanks, "blanks_high": blanks})
    ours, theirs = [], []
    for number in range(ROUNDS):
        start = time.process_time()
        for index in range(number * OURS, (number + 1) * OURS):
            puzzle.item("test", 0, index)
        ours.append(OURS / (time.process_time() - start))
        if peer is not None:
            seconds, grids = peer(blanks, 0, number * THEIRS, THEIRS)
            assert all(sum(row.count(0) for row in grid) == blanks for grid in grids)
            theirs.append(THEIRS / seconds)
    rates = {"percasym": round(median(ours), 1)}
    if theirs:
        rates["reasoning-gym"] = round(median(theirs), 1)
        rates["ratio"] = round(median(a / b for a, b in zip(ours, theirs, strict=True)), 1)
    return rates


def common(peer: Peer | None) -> dict[str, int]:
    """How many of the first items of seed 0 are among those of seed 1; of reasoning-gym's, a tenth as
    many."""
    puzzle = load_puzzle("sudoku")
    zero, one = ({puzzle.item("test", seed, index).instance for index in range(SHARED)} for seed in (0, 1))
    counts = {"percasym": len(zero & one)}
    if peer is not None:
        few = SHARED // 10
        grids = [{str(grid) for grid in peer(BLANKS[0], seed, 0, few)[1]} for seed in (0, 1)]
        counts[f"reasoning-gym, of {few}"] = len(grids[0] & grids[1])
    return counts


def rendered(puzzle: Puzzle[Any]) -> float:
    """Items per second, generated, drawn and encoded; the median of the rounds."""
    rates = []
    for number in range(ROUNDS):
        start = time.process_time()
        for index in range(number * RENDERED, (number + 1) * RENDERED):
            item = puzzle.item("test", 0, index)
            puzzle.render(item.instance, stream(item.id)).save(BytesIO(), "PNG")
        rates.append(RENDERED / (time.process_time() - start))
    return round(median(rates), 1)


if __name__ == "__main__":
    main()
