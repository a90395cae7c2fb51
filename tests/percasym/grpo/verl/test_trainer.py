"""How verl is followed, by what it writes; verl itself is not there."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from percasym.datasets import read_split
from percasym.errors import PercasymError
from percasym.grpo.config import GRPOConfig
from percasym.grpo.verl.config import VerlConfig
from percasym.grpo.verl.overrides import Files
from percasym.grpo.verl.rows import write_rows
from percasym.grpo.verl.trainer import _steps
from percasym.response import compose

Process = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def config(rl: GRPOConfig) -> VerlConfig:
    return VerlConfig.model_validate({**rl.model_dump(), "reward": "perception_aware:0.25"})


@pytest.fixture
def files(config: VerlConfig) -> Files:
    files = Files(config.out)
    files.rollouts.mkdir(parents=True)
    files.log.write_text("the last words of verl\n")
    write_rows(config.dataset, config.split, files.rows)
    return files


@pytest.fixture
def process() -> Iterator[Process]:
    """Stands for verl; ends with the test."""
    started = []

    def start(code: str) -> "subprocess.Popen[str]":
        started.append(subprocess.Popen([sys.executable, "-c", code], text=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


def write_step(config: VerlConfig, files: Files, step: int, right: float = 0.25) -> None:
    """As verl writes a step of two prompts: one of each four captions is right, and no answer is."""
    rows = read_split(config.dataset, config.split).select(range(2))
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        for sample in range(config.group_size):
            text = compose(row["perception"] if sample == 0 else "a1 1", "so", "a1 1")
            score = right if sample == 0 else 0.0
            uid = f"prompt_{number}_{sample}_0"
            lines.append(
                {"output": text, "gts": row["ground_truth"], "score": score, "step": step, "uid": uid}
            )
    (files.rollouts / f"{step}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = {"timing_s/step": 2.0, "timing_s/gen": 1.5, "actor/pg_loss": 0.1, "name": "no number"}
    with files.metrics.open("a") as file:
        file.write(json.dumps({"step": step, "data": data}) + "\n")


def test_steps_are_told_as_the_embedded_engine_tells_them(
    config: VerlConfig, files: Files, process: Process
) -> None:
    for step in (3, 4):
        write_step(config, files, step)
    (line, records), (last, _) = list(_steps(config, files, process("pass")))
    assert [line["step"], last["step"]] == [3, 4]
    assert (line["a_p"], line["a"], line["reward"]) == (0.25, 0.0, 0.0625)
    assert (line["generation_seconds"], line["loss"], last["seconds"]) == (1.5, 0.1, 4.0)
    assert line["verl/actor/pg_loss"] == 0.1
    assert [record["sample"] for record in records] == [0, 1, 2, 3] * 2
    assert len({record["id"] for record in records}) == 2
    assert not list(files.rollouts.iterdir())


def test_a_reward_that_is_not_ours_stops_the_run(config: VerlConfig, files: Files, process: Process) -> None:
    write_step(config, files, 1, right=0.5)
    with pytest.raises(RuntimeError, match=r"by 0\.5, which earns 0\.25"):
        list(_steps(config, files, process("pass")))


def test_a_reward_that_failed_ends_verl_at_once(config: VerlConfig, files: Files, process: Process) -> None:
    files.failures.write_text("the reward failed at item sudoku-7")
    with pytest.raises(PercasymError, match="item sudoku-7"):
        list(_steps(config, files, process("import time; time.sleep(60)")))


def test_what_hangs_is_given_up(config: VerlConfig, files: Files, process: Process) -> None:
    impatient = config.model_copy(update={"patience": 0.5})
    with pytest.raises(RuntimeError, match=r"no step for 0\.5 s\nthe last words of verl"):
        list(_steps(impatient, files, process("import time; time.sleep(60)")))


def test_an_error_of_verl_ends_with_its_log(config: VerlConfig, files: Files, process: Process) -> None:
    with pytest.raises(RuntimeError, match="exit code 3\nthe last words of verl"):
        list(_steps(config, files, process("raise SystemExit(3)")))


def test_a_teachers_captions_come_with_the_rows(config: VerlConfig, files: Files, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    ids = read_split(config.dataset, config.split, ["id"])["id"]
    write_rows(config.dataset, config.split, files.rows, {ids[0]: "a1 1"})
    found = [row["extra_info"]["teacher"] for row in pq.read_table(files.rows).to_pylist()]
    assert found == ["a1 1", *([""] * (len(ids) - 1))]
