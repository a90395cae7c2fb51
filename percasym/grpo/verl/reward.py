"""The function that verl calls for each response (its `custom_reward_function`).

verl goes on if a reward raises: the group counts as if it had not been sampled. So a failure is also written
to a file, at whose sight the trainer ends the run.
"""

from collections.abc import Mapping
from dataclasses import asdict
from math import nan
from pathlib import Path
from typing import Any

from percasym.folders import write_text
from percasym.judgement import Score, read_response, score
from percasym.puzzles import load_spec
from percasym.rewards import parse_reward
from percasym.surrogates import Group, surrogate_values

GRID = 1 << 16
"""Rewards are multiples of 1 / GRID, which float32 sums and averages exactly. So equal rewards are no
advantage in verl either: the mean of eight times 0.7 is not 0.7, and the rest would be trained on."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    reward: str,
    failures: str,
    **unused: Any,
) -> dict[str, float]:
    """The reward as `score`, and every field that it could be made of.

    Args:
        data_source, solution_str, ground_truth, extra_info: verl gives them for each response.
        reward: the text that `parse_reward` reads.
        failures: path of a file for what went wrong.
    """
    try:
        judged, surrogate, value = judge(solution_str, ground_truth, extra_info, reward)
    except Exception as error:
        write_text(Path(failures), f"the reward {reward} failed at item {extra_info.get('id')}: {error}")
        raise
    fields = {name: nan if worth is None else float(worth) for name, worth in asdict(judged).items()}
    return {"score": round(value * GRID) / GRID, "surrogate": surrogate, **fields}


def judge(text: str, ground_truth: str, item: Mapping[str, Any], reward: str) -> tuple[Score, float, float]:
    """The score of one response, what the reward's surrogate says of it, and the reward.

    Args:
        text: what was sampled.
        item: has its id and puzzle, and if there is one the opening of a thought in the prompt, and a
            teacher's caption.

    Raises:
        PercasymError: a puzzle that cannot be read, or a surrogate that fails.
    """
    parsed, family = parse_reward(reward), load_spec(item["puzzle"])
    instance = family.read_ground_truth(ground_truth)
    text = item.get("opening", "") + text
    judged = score(family, instance, text)
    stand_in = 0.0
    if parsed.surrogate:
        alone = Group(family, instance, [read_response(family, instance, text)], item.get("teacher"))
        (stand_in,) = surrogate_values(parsed.surrogate, alone, item["id"])
    return judged, stand_in, parsed(judged, stand_in)
