import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from percasym.datasets import iter_split
from percasym.grpo.verl.reward import GRID, compute_score, judge
from percasym.judgement import score
from percasym.puzzles import Puzzle
from percasym.response import compose


@pytest.fixture
def row(dataset: Path) -> dict[str, Any]:
    return next(iter_split(dataset, "train_rl"))


def called(row: dict[str, Any], text: str, reward: str, failures: Path) -> dict[str, float]:
    """As verl calls it: every argument by its keyword."""
    return compute_score(
        data_source="percasym",
        solution_str=text,
        ground_truth=row["ground_truth"],
        extra_info={"index": 0, "id": row["id"], "puzzle": row["puzzle"], "num_turns": 2},
        reward=reward,
        failures=str(failures),
    )


def test_every_field_is_returned_whatever_the_reward(
    sudoku: Puzzle[Any], row: dict[str, Any], tmp_path: Path
) -> None:
    instance = sudoku.read_ground_truth(row["ground_truth"])
    text = compose(row["perception"], "so", "a1 3")
    found = called(row, text, "perception_aware:0.25", tmp_path / "failure")
    judged = asdict(score(sudoku, instance, text))
    assert found == {"score": 0.25, "surrogate": 0.0, **judged}
    assert called(row, text, "surrogate:well_formed:0.5", tmp_path / "failure")["score"] == 0.5
    assert not (tmp_path / "failure").exists()
    assert pickle.loads(pickle.dumps(compute_score)) is compute_score


def test_a_thought_that_the_template_begins_is_one(
    sudoku: Puzzle[Any], row: dict[str, Any], tmp_path: Path
) -> None:
    """verl gives what was sampled, without the opening in the prompt; nothing else tells a cut thought."""
    instance = sudoku.read_ground_truth(row["ground_truth"])
    right = compose(row["perception"], "so", sudoku.answer(instance))
    for text, a in ((right, 0), (f"<caption> and </caption> </think> {right}", 1)):
        item = {"id": row["id"], "puzzle": row["puzzle"], "opening": "<think>\n"}
        judged, surrogate, value = judge(text, row["ground_truth"], item, "surrogate:well_formed:0.5")
        assert (judged.a, judged.a_p, surrogate, value) == (a, a, a, a)
        assert judge(text, row["ground_truth"], item | {"opening": ""}, "outcome")[0].a


def test_a_reward_that_fails_leaves_a_note_with_the_item(row: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Exception, match="puzzle"):
        called({**row, "puzzle": "no puzzle"}, "x", "outcome", tmp_path / "failure")
    assert f"failed at item {row['id']}" in (tmp_path / "failure").read_text()


def test_equal_rewards_are_equal_in_verl() -> None:
    """verl averages in float32, where eight times 0.7 is not 0.7: such a reward would teach noise."""
    for tenths in range(11):
        for size in range(2, 65):
            rewards = torch.full((size,), round(tenths / 10 * GRID) / GRID, dtype=torch.float32)
            assert not (rewards - rewards.mean()).any()
