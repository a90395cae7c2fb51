"""Reinforces a miniature vision-language model by GRPO, by a reward that asks it to see or one that does not.

    python docs/loops/grpo.py                                     # reward: the answer is right
    python docs/loops/grpo.py --reward perception_aware:0.5       # half of it: the caption is right
    python docs/loops/grpo.py --model FOLDER                      # from what sft.py --out FOLDER has saved

GRPO (arXiv 2402.03300) draws a group of G responses o_1 ... o_G to each prompt, gives each a reward R_i, and
makes those more probable that are better than their group. The advantage of all tokens of response i is

    A_i = (R_i - mean(R_1 ... R_G)) / std(R_1 ... R_G)

so nothing is learnt where all are right, or all wrong. With r the ratio of a token's probability now to that
when it was drawn, the loss (eq. 3 and 4, negated) is the mean over responses of the mean over their tokens of

    -min(r A, clip(r, 1 - eps, 1 + eps) A) + beta * (k - log k - 1),    k = p_start(token) / p(token)

The last term, an estimate of the divergence from the model that training began with, holds it back.

The rewards are of arXiv 2605.29496: R = a, the ordinary one, is 1 where the answer is right, whatever the
caption; R = alpha a_p + (1 - alpha) a also pays for a caption that equals p*, the right text for the image.

On 200 test puzzles, in %, with 95 % intervals over them (seed 0, 10 steps, each run 121 s of CPU time on one
core of a busy Intel Xeon; a is the share of right answers, a_p of right captions, a_r of right answers after
a right caption):

                                         a                 a_p                 a_r
    start                23.5 [18.2, 29.8]     6.5 [3.8, 10.8]   27.0 [21.3, 33.5]
    outcome              26.0 [20.4, 32.5]     6.5 [3.8, 10.8]   31.0 [25.0, 37.7]
    perception_aware:0.5 30.5 [24.5, 37.2]    14.0 [9.9, 19.5]   37.5 [31.1, 44.4]

These are no findings: one seed, a few steps, settings chosen on runs of this seed because something happens
in them. What holds over seeds is in docs/results.md.

Stand-ins, as all this is to run on a laptop: the model is a Qwen3-VL of half a million parameters, made from
random weights; without --model it first learns for a minute from a solver that writes its search down.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin
from transformers.utils import logging

from percasym.datasets import generate_rows, write_dataset
from percasym.distillation import Report, SolverTeacher, distill
from percasym.engines import Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.evaluation import evaluate
from percasym.grpo.advantages import group_advantages, token_weights
from percasym.grpo.losses import TokenLogProbabilities, divergence, policy_loss
from percasym.grpo.rollouts import micro_batch, roll_out
from percasym.images import open_image
from percasym.metrics import Estimate, summarise
from percasym.miniature import TinyConfig
from percasym.models import load
from percasym.models.tiny import build_tiny
from percasym.puzzles import Puzzle, load_puzzle
from percasym.rewards import parse_reward
from percasym.sft.config import SFTConfig
from percasym.sft.trainer import train

# 4x4 Sudokus with a blank or two, on images of 64 pixels that are a little hard to read.
SIZE = {"rows": 2, "cols": 2, "blanks_low": 1, "blanks_high": 2}
PUZZLE = {**SIZE, "text": "cells", "side": 64, "style": "hard:0.2"}
LONGEST = 128  # tokens at which a response is cut off
Row = dict[str, Any]


@dataclass(frozen=True)
class Config:
    """Each is an option of the command line: --reward, --model, ..., --group-size."""

    reward: str = "outcome"  # or perception_aware:ALPHA, 0.9*a+0.1*format, own.py:function
    model: str = ""  # a checkpoint to start from; "": a miniature is taught first
    taught_items: int = 2000  # that it is taught on
    teaching_steps: int = 240
    steps: int = 10
    seed: int = 0
    prompts: int = 8
    group_size: int = 8
    temperature: float = 0.6  # at 1 a miniature, unlike a large model, gets hardly a response right
    updates: int = 2  # on the same responses
    learning_rate: float = 3e-4
    max_grad_norm: float = 1.0
    clip: float = 0.2  # eps
    beta: float = 0.01
    train_items: int = 400
    test_items: int = 200


def main(config: Config) -> None:
    began = time.perf_counter()
    torch.manual_seed(config.seed)
    logging.disable_progress_bar()
    torch.set_num_threads(1)  # with matrices this small, more threads wait for each other
    puzzle = load_puzzle("sudoku", PUZZLE)
    prompts = with_images(generate_rows(puzzle, "train_rl", config.seed, config.train_items))
    test = with_images(generate_rows(puzzle, "test", config.seed, config.test_items))

    with tempfile.TemporaryDirectory() as folder:
        model, processor = load(config.model or start(config, puzzle, Path(folder)))
    before = measure(model, processor, test)

    # Each a function from a batch to the log-probabilities of the tokens of its responses.
    policy = TokenLogProbabilities(model)
    reference = TokenLogProbabilities(deepcopy(model).requires_grad_(False))
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=0.0)
    engine = TransformersEngine(model, processor, batch_size=config.prompts * config.group_size)
    reward = parse_reward(config.reward)
    order = np.random.default_rng(config.seed)
    for step in range(config.steps):
        # A group of sampled responses to each prompt. Each is judged as in an evaluation: its caption against
        # p* (a_p), its answer by the rules of the puzzle (a). The reward is a weighted sum of these.
        rows = [prompts[i] for i in order.choice(len(prompts), config.prompts, replace=False)]
        sampling = Sampling(config.temperature, max_tokens=LONGEST, seed=1000 * config.seed + step)
        groups = roll_out(engine, rows, config.group_size, sampling, reward)
        rollouts = [rollout for group in groups for rollout in group]

        # How much better than its group each response is. There is no critic: the group is the baseline.
        rewards = torch.tensor([[rollout.reward for rollout in group] for group in groups])
        advantages = group_advantages(rewards, "grpo").flatten()

        # All responses as one batch. Each token gets its response's advantage, and a weight that makes of a
        # sum over tokens the mean over responses of the mean over a response's tokens.
        batch = micro_batch(processor, rollouts)
        lengths = torch.tensor([len(rollout.ids) for rollout in rollouts])
        advantage = advantages.repeat_interleave(lengths)
        weight = token_weights(lengths, "grpo", LONGEST).repeat_interleave(lengths)
        with torch.no_grad():
            old, at_start = policy(batch, config.temperature), reference(batch, config.temperature)

        # Some updates on the same responses. In the first one every ratio is 1; the clip keeps the later ones
        # from following a token further than its probability may move.
        for _ in range(config.updates):
            new = policy(batch, config.temperature)
            clipped = policy_loss(new, old, advantage, config.clip, config.clip)
            loss = ((clipped.loss + config.beta * divergence(new, at_start)) * weight).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            optimizer.step()

        spread = sum(group.min() < group.max() for group in rewards)
        judged = [rollout.judged for rollout in rollouts]
        print(
            f"step {step + 1:3}  reward {rewards.mean():.2f}  a {fmean(j.a for j in judged):.2f}  "
            f"a_p {fmean(j.a_p for j in judged):.2f}  groups with a spread {spread}/{len(groups)}  "
            f"clipped {clipped.clipped.float().mean():.3f}  {time.perf_counter() - began:.0f} s",
            flush=True,
        )

    after = measure(model, processor, test)
    print(f"\n{config.test_items} test puzzles, in %, with 95 % intervals\n")
    print(f"{'':24}{'a':>20}{'a_p':>20}{'a_r':>20}")
    for name, figures in (("start", before), (config.reward, after)):
        print(f"{name:24}" + "".join(f"{shown(figures[figure]):>20}" for figure in ("a", "a_p", "a_r")))


def with_images(rows: Any) -> list[Row]:
    """Rows with their images decoded."""
    return [{**row, "image": open_image(row["image"])} for row in rows]


def start(config: Config, puzzle: Puzzle[Any], folder: Path) -> Path:
    """A miniature that has learnt a little from a teacher: reinforcement needs some responses that are right.

    It is taught on images that are easier to read than those on which it is then reinforced and measured, so
    that there is something left to see. The library's own trainer does what the loop of sft.py does, and
    prints its figures as lines of JSON.
    """
    drawn = generate_rows(puzzle, "train_sft", config.seed, config.taught_items, style="hard:0.1")
    taught = distill(drawn, SolverTeacher(share=0.45), config.seed, attempts=4, report=Report())
    write_dataset(folder / "data", {"train_sft": taught})
    size = TinyConfig(hidden_size=96, layers=2, kv_heads=4, seed=config.seed)
    build_tiny(size, puzzle.vocabulary(), folder / "untrained")
    return train(
        SFTConfig(
            model=str(folder / "untrained"),
            dataset=str(folder / "data"),
            out=folder / "start",
            weighting="ngdiff",
            steps=config.teaching_steps,
            optimizer="muon",  # from random weights AdamW takes far longer
            learning_rate=5e-3,
            batch_size=8,
            warmup_steps=min(20, config.teaching_steps - 1),
            seed=config.seed,
            log_every=50,
            threads=1,
        )
    )


def measure(model: PreTrainedModel, processor: ProcessorMixin, test: Sequence[Row]) -> dict[str, Estimate]:
    """a, a_p and a_r, greedily.

    Each puzzle is answered twice. End to end, the model writes everything: a is the share of right answers,
    a_p that of captions that equal p*. Under the oracle protocol <caption> p* </caption> is put into its
    mouth and it goes on from there: the share of right answers is a_r, how well it reasons if it sees.
    """
    engine = TransformersEngine(model, processor, batch_size=128)
    rows = evaluate(engine, test, Sampling(max_tokens=LONGEST), modes=("end_to_end", "oracle"))
    return summarise(rows)


def shown(share: Estimate) -> str:
    return f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for field in fields(Config):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=type(field.default), default=field.default)
    main(Config(**vars(parser.parse_args())))
