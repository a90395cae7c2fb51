"""A study as the pipeline leaves it: real puzzles, scored texts, models that are mere error rates."""

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from percasym.datasets import generate_rows, write_dataset
from percasym.diagnostics import ModelRecord, SweepPoint
from percasym.metrics import Row, result_row, with_causes
from percasym.puzzles import Item, Puzzle, load_puzzle
from percasym.puzzles.graph_coloring import Graph
from percasym.puzzles.sudoku import Sudoku
from percasym.report import ReportInput
from percasym.response import compose
from percasym.rewards import score

PUZZLES: dict[str, dict[str, Any]] = {
    "sudoku": {"rows": 2, "cols": 2, "side": 64, "style": "hard:0.4", "text": "cells"},
    "graph_coloring": {"vertices_low": 5, "vertices_high": 7, "side": 64, "text": "json"},
}


@dataclass(frozen=True)
class Simulated:
    """A model as rates: of right captions, of right reasoning, of responses that break off."""

    name: str
    label: str
    kind: Literal["base", "sft"]
    perceives: float
    reasons: float
    breaks_off: float = 0.02


MODELS = (
    Simulated("base", "Base", "base", 0.10, 0.45, 0.15),
    Simulated("token_mean", "Token mean", "sft", 0.40, 0.85),
    Simulated("fixed:0.3", "Fixed λ = 0.3", "sft", 0.52, 0.80),
    Simulated("ngdiff", "NGDiff", "sft", 0.62, 0.80),
)


@pytest.fixture(scope="session")
def whole_study(tmp_path_factory: pytest.TempPathFactory) -> ReportInput:
    """A study of Sudokus with a sweep, to be read only."""
    return simulate_study(tmp_path_factory.mktemp("study"), "sudoku", MODELS, 60, sweep=(0.1, 0.5, 0.9))


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., ReportInput]:
    def make(
        puzzle: str = "sudoku",
        models: tuple[Simulated, ...] = MODELS,
        n: int = 60,
        oracle: bool = True,
        training: bool = True,
        sweep: tuple[float, ...] = (),
    ) -> ReportInput:
        return simulate_study(tmp_path, puzzle, models, n, oracle, training, sweep)

    return make


def simulate_study(
    folder: Path,
    puzzle_name: str,
    models: tuple[Simulated, ...],
    n: int,
    oracle: bool = True,
    training: bool = True,
    sweep: tuple[float, ...] = (),
) -> ReportInput:
    puzzle = load_puzzle(puzzle_name, PUZZLES[puzzle_name])
    dataset = folder / "data"
    write_dataset(dataset, {"test": generate_rows(puzzle, "test", 0, n)})
    items = [puzzle.item("test", 0, index) for index in range(n)]
    records = []
    for model in models:
        results = folder / f"{model.name}.parquet"
        write_rows(results, simulate_rows(puzzle, items, model, oracle))
        log = None
        if training and model.kind == "sft":
            log = folder / f"{model.name}.jsonl"
            log.write_text("".join(json.dumps(line) + "\n" for line in simulate_log(model)), encoding="utf-8")
        records.append(ModelRecord(model.name, model.label, model.kind, results, log))
    points = []
    for lam in sweep:
        point = Simulated(f"sweep{lam}", "", "sft", 0.35 + 0.4 * lam**0.7, 0.88 - 0.25 * lam**2)
        write_rows(folder / f"{point.name}.parquet", simulate_rows(puzzle, items, point, oracle))
        points.append(SweepPoint(lam, folder / f"{point.name}.parquet"))
    return ReportInput(
        title=f"A miniature study: {puzzle_name}",
        models=records,
        dataset=dataset,
        split="test",
        stand_ins=["The teacher is a solver that writes its search down, in place of Qwen3-32B."],
        config={"puzzle": puzzle_name, "seed": 1, "arms": [model.name for model in models]},
        facts={"Test items": n, "Seed": 1},
        sweep=points,
    )


def write_rows(path: Path, rows: list[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def simulate_rows(
    puzzle: Puzzle[Any], items: Sequence[Item[Any]], model: Simulated, oracle: bool
) -> list[Row]:
    """Items differ in how hard they are to see and to solve, alike for all models, so that pairing pays."""
    rows = []
    for item in items:
        hard, noise = random.Random(item.id), random.Random(f"{model.name} {item.id}")
        blur, depth = hard.random(), hard.random()
        sees = 0.6 * blur + 0.4 * noise.random() < model.perceives
        solves = 0.6 * depth + 0.4 * noise.random() < model.reasons
        seen = item.instance if sees else misread(item.instance, noise, model.perceives)
        solution = puzzle.answer(item.instance)
        reasoning = ("row a lacks a 2 and a 3 . column 2 has a 3 , so a1 is 2 . " * 6).strip()
        answer = solution if solves and (sees or noise.random() < 0.15) else "a1 1"
        own = compose(puzzle.perception(seen), reasoning, answer)
        if noise.random() < model.breaks_off:
            own = own[: len(own) // 2]
        given = compose(puzzle.perception(item.instance), reasoning, solution if solves else "a1 1")
        rows.append(result_row(item.id, "end_to_end", own, score(puzzle, item.instance, own), 180, "stop"))
        if oracle:
            rows.append(
                result_row(item.id, "oracle", given, score(puzzle, item.instance, given), 150, "stop")
            )
    return with_causes(rows)


def misread(instance: Any, rng: random.Random, skill: float) -> Any:
    """The instance with at least one fact wrong, and more of them the less skill there is."""
    errors = 1 + int(rng.expovariate(0.3 + 2 * skill))
    if isinstance(instance, Sudoku):
        cells = instance.cells
        for place in rng.sample(range(len(cells)), min(errors, len(cells))):
            confused = {1: 4, 4: 1, 2: 3, 3: 2, 0: 1}[cells[place]]
            cells[place] = confused if rng.random() < 0.7 else (cells[place] + 1) % 5
        grid = tuple(tuple(cells[i : i + instance.size]) for i in range(0, len(cells), instance.size))
        return replace(instance, grid=grid)
    assert isinstance(instance, Graph)
    pairs = [(u, v) for v in range(instance.v) for u in range(v)]
    toggled = set(rng.sample(pairs, min(errors, len(pairs))))
    return replace(instance, edges=tuple(sorted(toggled.symmetric_difference(instance.edges))))


def simulate_log(model: Simulated, steps: int = 300) -> Iterator[Mapping[str, Any]]:
    rng = random.Random(model.name)
    fixed = {"token_mean": 0.05, "fixed:0.3": 0.3}.get(model.name)
    for step in range(0, steps + 1, 5):
        done = step / steps
        loss_p = (0.05 + 1.6 * math.exp(-5 * done * (1 + model.perceives))) * rng.lognormvariate(0, 0.12)
        loss_r = (0.45 + 1.2 * math.exp(-6 * done)) * rng.lognormvariate(0, 0.05)
        norm_p, norm_r = 1.5 * loss_p * rng.lognormvariate(0, 0.2), 0.9 * loss_r * rng.lognormvariate(0, 0.2)
        tokens = rng.uniform(0.045, 0.055)
        yield {
            "kind": "train",
            "step": step,
            "loss_p": loss_p,
            "loss_r": loss_r,
            "loss": tokens * loss_p + (1 - tokens) * loss_r,
            "token_share": tokens,
            "loss_share": tokens * loss_p / (tokens * loss_p + (1 - tokens) * loss_r),
            "grad_norm_p": norm_p,
            "grad_norm_r": norm_r,
            "grad_cosine": 0.35 * (1 - done) + rng.gauss(0, 0.03),
            "lam": fixed if fixed is not None else norm_r / (norm_p + norm_r),
            "learning_rate": 1e-3 * (1 - done),
            "tokens_per_s": 5000.0,
            "seconds": 0.4 * step,
        }
        if step % 50 == 0:
            grown = 1 - math.exp(-4 * done)
            a_p, a_r = 0.1 + (model.perceives - 0.1) * grown, 0.45 + (model.reasons - 0.45) * grown
            yield {"kind": "validation", "step": step, "a": a_p * a_r, "a_p": a_p, "a_r": a_r, "n": 64}
