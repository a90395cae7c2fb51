"""The loops of docs/loops, as a reader starts them, but short."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from percasym.models import load

ROOT = Path(__file__).parents[2]
LOOPS = ROOT / "docs" / "loops"
LONGEST = 250  # lines; what is longer is not read in one go


def run(loop: str, *options: str) -> str:
    said = subprocess.run(
        [sys.executable, str(LOOPS / loop), "--test-items", "2", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


def table(said: str) -> list[list[str]]:
    """The words of the line with the names of the figures, and of the two lines below it."""
    lines = [line.split() for line in said.splitlines()]
    first = lines.index(["a", "a_p", "a_r"])
    return lines[first : first + 3]


def test_fine_tuning_prints_its_table_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "model"
    said = run("sft.py", "--weighting", "ngdiff", "--steps", "2", "--train-items", "16", "--out", str(out))
    assert "step    2  L_p " in said
    _, before, after = table(said)
    assert [before[0], after[0]] == ["untrained", "ngdiff"]
    assert load(out).model.num_parameters() > 0


def test_reinforcement_teaches_a_model_first_and_prints_its_table() -> None:
    short = ["--taught-items", "8", "--teaching-steps", "2", "--train-items", "2", "--group-size", "2"]
    said = run("grpo.py", "--reward", "perception_aware:0.5", "--steps", "1", "--prompts", "2", *short)
    assert "step   1  reward " in said
    _, before, after = table(said)
    assert [before[0], after[0]] == ["start", "perception_aware:0.5"]


@pytest.mark.parametrize("loop", sorted(LOOPS.glob("*.py")), ids=lambda loop: loop.name)
def test_a_loop_can_be_read_in_one_go(loop: Path) -> None:
    assert len(loop.read_text().splitlines()) < LONGEST
