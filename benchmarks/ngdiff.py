"""What NGDiff's second gradient costs: the time of its step over a token-mean step.

    python benchmarks/ngdiff.py

The model and the 4x4 Sudokus are those of the preset `mini`, at two perception shares of the embedded
teacher's responses. A step is the gradient of one batch and AdamW; making the batch, the same for all, is
not timed. Beside NGDiff stands the naive way to its two gradients: one forward pass and two backward passes
over the whole sequences. All three take turns on one thread, and are timed in seconds of the processor,
which other programs on the machine do not stretch.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import record
import torch

from percasym.datasets import generate_rows, read_split, write_dataset
from percasym.distillation import Report, SolverTeacher, distill
from percasym.miniature import TinyConfig
from percasym.models import load
from percasym.models.tiny import build_tiny
from percasym.presets import load_preset
from percasym.puzzles import load_puzzle
from percasym.sft.data import TrainingRows
from percasym.sft.losses import TokenLosses
from percasym.sft.step import GradientComputer
from percasym.sft.weighting import Weighting
from percasym.sft.weighting.ngdiff import NGDiff
from percasym.sft.weighting.token_mean import TokenMean
from percasym.training.batches import MicroBatch
from percasym.training.distributed import Ranks

SHARES = (0.025, 0.1)
BATCH_SIZE = 16
ROUNDS = 9
TARGET = 1.3


def main() -> None:
    torch.set_num_threads(1)
    figures = {f"{share:.1%}": compare(share) for share in SHARES}
    for share, figure in figures.items():
        print(
            f"perception share {share}: NGDiff {figure['ngdiff']:.2f} (target: {TARGET}), two backward "
            f"passes {figure['naive']:.2f}, of a token-mean step of {figure['token_mean_s']:.2f} s"
        )
    print(
        record.save(
            "ngdiff", {"target": TARGET, "rounds": ROUNDS, "batch_size": BATCH_SIZE, "shares": figures}
        )
    )


def compare(share: float) -> dict[str, Any]:
    """Medians over rounds, relative to the token-mean step."""
    with tempfile.TemporaryDirectory() as folder:
        losses, batch = prepare(share, Path(folder))
    parameters = list(losses.parameters())
    compute = GradientComputer(losses, parameters, Ranks(), autocast=nullcontext)
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)

    def weighted(weighting: Weighting) -> Callable[[], list[torch.Tensor]]:
        return lambda: compute(0, [batch], weighting, measure=False).values

    def naive() -> list[torch.Tensor]:
        tokens_p, tokens_r = int(batch.perception.sum()), int(batch.reasoning.sum())
        sum_p, sum_r = losses(batch)
        g_p = torch.autograd.grad(sum_p / tokens_p, parameters, retain_graph=True)
        g_r = torch.autograd.grad(sum_r / tokens_r, parameters)
        norm_p, norm_r = (float(sum(g.pow(2).sum() for g in gradient)) ** 0.5 for gradient in (g_p, g_r))
        lam = norm_r / (norm_p + norm_r)
        return [lam * a + (1 - lam) * b for a, b in zip(g_p, g_r, strict=True)]

    steps = {"token_mean": weighted(TokenMean()), "ngdiff": weighted(NGDiff()), "naive": naive}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(1 + ROUNDS):
        for name, gradient in steps.items():
            began = time.process_time()
            for parameter, value in zip(parameters, gradient(), strict=True):
                parameter.grad = value
            optimizer.step()
            optimizer.zero_grad()
            seconds[name].append(time.process_time() - began)
    plain, ngdiff, twice = (median(seconds[name][1:]) for name in steps)  # the first round warms up
    return {
        "ngdiff": ngdiff / plain,
        "naive": twice / plain,
        "token_mean_s": plain,
        "token_share": int(batch.perception.sum()) / int((batch.perception | batch.reasoning).sum()),
        "columns": batch.perception.shape[1],
        "columns_of_the_prefix": batch.perception_prefix().perception.shape[1],
    }


def prepare(share: float, folder: Path) -> tuple[TokenLosses, MicroBatch]:
    """The untrained miniature in training mode, and one batch."""
    preset = load_preset("mini")
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": "cells", "side": preset.side})
    rows = distill(
        generate_rows(puzzle, "train_sft", 0, BATCH_SIZE),
        SolverTeacher(share),
        seed=0,
        attempts=4,
        report=Report(),
    )
    write_dataset(folder / "data", {"train_sft": rows})
    build_tiny(TinyConfig(side=preset.side), puzzle.vocabulary(), folder / "model")
    model, processor = load(folder / "model", device="cpu", dtype="float32")
    data = TrainingRows(read_split(folder / "data", "train_sft"), processor, seed=0)
    (batch,) = data.batch(0, BATCH_SIZE, BATCH_SIZE, rank=0, world=1)
    return TokenLosses(model.train()), batch


if __name__ == "__main__":
    main()
