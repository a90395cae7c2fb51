"""What a report says stands in for something else."""

import pytest

from percasym.config import Experiment
from percasym.distillation import SolverTeacher
from percasym.presets import load_preset
from tasks.report import stand_ins


@pytest.mark.parametrize(
    ("model", "teacher", "words"),
    [
        ("", SolverTeacher.name, ["The model is a miniature", "The teacher is a solver"]),
        ("some/model", SolverTeacher.name, ["The teacher is a solver"]),
        ("", "Qwen/Qwen3-32B", ["The model is a miniature"]),
        ("some/model", "Qwen/Qwen3-32B", []),
        ("some/model", "the data set's own responses", []),
    ],
)
def test_a_stand_in_is_called_one_and_nothing_else_is(model: str, teacher: str, words: list[str]) -> None:
    config = load_preset("mini", {"model": model}).section(Experiment)
    said = stand_ins(config, teacher)
    assert len(said) == len(words)
    assert all(line.startswith(begin) for line, begin in zip(said, words, strict=True))
