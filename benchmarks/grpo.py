"""Seconds of a GRPO step of the embedded engine, and where they go; batched generation against one by one.

    make study && python benchmarks/grpo.py

Everything but the number of prompts (8) is the preset `mini`, from the token-mean checkpoint of its latest
study. A step is timed by the engine itself (generation with scoring, then the update); scoring is timed once
more alone, over the same responses. One by one, the same engine answers the first requests of the same
prompts in batches of one.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import record
import torch

from percasym.config import StudyConfig
from percasym.datasets import generate_rows, read_split, write_dataset
from percasym.engines import Request, Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.errors import PercasymError
from percasym.grpo.config import GRPOConfig
from percasym.grpo.trainer import train
from percasym.home import DEFAULT, VARIABLE
from percasym.judgement import score
from percasym.models import load
from percasym.presets import load_preset
from percasym.puzzles import load_spec
from percasym.tracking import Tracker, fetch

PROMPTS = 8
STEPS = 6
ALONE = 16  # requests that are answered one by one


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", default=DEFAULT, help="where `make study` has run")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.environ[VARIABLE] = options.home
    torch.set_num_threads(options.threads)
    preset = load_preset("mini")
    uri = Tracker.current().latest(preset.name, "sft.token_mean")
    if uri is None:
        raise PercasymError(f"there is no finished study {preset.name!r} in {options.home}: run `make study`")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(
            preset, fetch(uri, Path(folder) / "fetched") / "model", Path(folder), options.threads
        )
    print(
        "a step of {prompts} x {group_size}: {step_s:.1f} s, of these {generation_s:.1f} generation, "
        "{update_s:.1f} update, {scoring_s:.4f} scoring ({scoring_share:.2%})\n"
        "{batched:.0f} tokens/s batched, {alone:.0f} one by one: {ratio:.1f} times".format(**figures)
    )
    print(record.save("grpo", figures))


def measure(preset: StudyConfig, model: Path, folder: Path, threads: int) -> dict[str, Any]:
    """Medians over the steps but the first, which warms up."""
    puzzle = preset.load_puzzle(preset.style)
    count = STEPS * PROMPTS
    write_dataset(folder / "data", {"train_rl": generate_rows(puzzle, "train_rl", preset.seed, count)})
    config = GRPOConfig(
        model=str(model),
        dataset=str(folder / "data"),
        out=folder / "run",
        steps=STEPS,
        prompts=PROMPTS,
        group_size=preset.grpo.group_size,
        micro_batch_size=preset.micro_batch_size,
        learning_rate=preset.grpo.learning_rate,
        temperature=preset.grpo.temperature,
        max_new_tokens=preset.max_new_tokens,
        validation_batch_size=preset.inference.batch_size,
        threads=threads,
    )
    train(config)
    steps = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()][1:]
    generation, update, batched = (
        median(step[name] for step in steps)
        for name in ("generation_seconds", "update_seconds", "tokens_per_s")
    )
    scoring = _scoring(config)
    alone = _one_by_one(config)
    return {
        "prompts": config.prompts,
        "group_size": config.group_size,
        "threads": threads,
        "tokens_of_a_response": median(step["tokens"] for step in steps),
        "step_s": generation + update,
        "generation_s": generation - scoring,
        "update_s": update,
        "scoring_s": scoring,
        "scoring_share": scoring / (generation + update),
        "batched": batched,
        "alone": alone,
        "ratio": batched / alone,
    }


def _scoring(config: GRPOConfig) -> float:
    """Seconds to score the responses of a step."""
    rows = {
        row["id"]: row for row in read_split(config.dataset, config.split, ["id", "ground_truth", "puzzle"])
    }
    responses = [json.loads(line) for line in (config.out / "rollouts.jsonl").read_text().splitlines()]
    began = time.perf_counter()
    for response in responses:
        row = rows[response["id"]]
        puzzle = load_spec(row["puzzle"])
        score(puzzle, puzzle.read_ground_truth(row["ground_truth"]), response["response"])
    return (time.perf_counter() - began) / config.steps


def _one_by_one(config: GRPOConfig) -> float:
    """Tokens per second of batches of one."""
    engine = TransformersEngine(*load(config.model), batch_size=1)
    rows = read_split(config.dataset, config.split)
    requests = [Request(str(n), rows[n]["query"], rows[n]["image"]) for n in range(min(ALONE, len(rows)))]
    sampling = Sampling(temperature=config.temperature, max_tokens=config.max_new_tokens)
    began = time.perf_counter()
    tokens = sum(len(completion.ids) for completion in engine.generate(requests, sampling))
    return tokens / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
