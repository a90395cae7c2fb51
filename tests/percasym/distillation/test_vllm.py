"""A language model as the teacher, behind vLLM's server, killed and asked again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from percasym.datasets import generate_rows, write_dataset
from percasym.distillation.model import PROMPT, read_prompt
from percasym.engines.config import EngineConfig
from percasym.engines.serving import serving
from percasym.journal import Journal
from percasym.puzzles import Puzzle

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
ITEMS, ATTEMPTS = 150, 2
PERCASYM = str(Path(sys.executable).with_name("percasym"))


@pytest.fixture(scope="module")
def data(sudoku: Puzzle[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, {"train_sft": generate_rows(sudoku, "train_sft", 0, ITEMS)})
    return folder


@pytest.fixture(scope="module")
def server(thinker: Path) -> Iterator[str]:
    with serving(EngineConfig(model=str(thinker), engine="server", context=1024)) as address:
        yield address


def settings(thinker: Path, data: Path, server: str, folder: Path, **changes: Any) -> Path:
    engine = {"model": str(thinker), "engine": "server", "server": server, "batch_size": 4, "retries": 1}
    model = {
        "engine": engine,
        "prompt": read_prompt(PROMPT),
        "journal": str(folder / "journal.jsonl"),
        "temperature": 1.0,
        "max_tokens": 64,
    }
    config = {
        "dataset": str(data),
        "end": ITEMS,
        "out": str(folder / "out"),
        "attempts": ATTEMPTS,
        "model": model,
    }
    path = folder / "config.json"
    path.write_text(json.dumps({**config, **changes}))
    return path


def test_a_teacher_that_is_killed_goes_on(thinker: Path, data: Path, server: str, tmp_path: Path) -> None:
    """Its answers are mostly wrong, and the report says how; none is asked for twice."""
    command = [sys.executable, "-m", "percasym.distillation", str(settings(thinker, data, server, tmp_path))]
    journal = tmp_path / "journal.jsonl"
    teaching = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while not (journal.exists() and journal.read_text().count("\n") > 20):
        assert teaching.poll() is None, "it was done before it could be killed"
        time.sleep(0.05)
    os.killpg(teaching.pid, signal.SIGKILL)
    teaching.wait()
    kept = journal.read_text().splitlines()[:-1]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = journal.read_text().splitlines()
    assert lines[: len(kept)] == kept
    with Journal(journal) as read:  # without a line that the kill has torn
        answers = {key: answer for key, *answer in read.values}
    assert len(answers) == len(read.values)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["items"] == ITEMS
    assert report["accepted"] + sum(report["rejections"].values()) == report["responses"] == len(answers)
    assert report["tokens"] == sum(tokens for _, tokens, _ in answers.values())
    assert {"answer", "no answer", "unclosed thought"} <= report["rejections"].keys()
    progress = [json.loads(line) for line in done.stdout.splitlines()]
    assert progress[-1]["done"] == ITEMS


def test_all_that_is_known_needs_no_server(thinker: Path, data: Path, server: str, tmp_path: Path) -> None:
    few = settings(thinker, data, server, tmp_path, end=5)
    command = [sys.executable, "-m", "percasym.distillation"]
    subprocess.run([*command, str(few)], check=True, stdout=subprocess.DEVNULL, timeout=300)
    gone = settings(thinker, data, "http://127.0.0.1:9/v1", tmp_path, end=5)
    subprocess.run([*command, str(gone)], check=True, stdout=subprocess.DEVNULL, timeout=300)
    more = settings(thinker, data, "http://127.0.0.1:9/v1", tmp_path, end=6)
    failed = subprocess.run([*command, str(more)], capture_output=True, text=True, timeout=300)
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "cannot be reached" in failed.stderr


def test_a_study_starts_its_teacher_itself(thinker: Path, tmp_path: Path) -> None:
    """This teacher gets nothing right, and the study says so in one line."""
    tiny = ["train_items=24", "validation_items=4", "test_items=4", "attempts=1", "rl_arms="]
    tiny += [
        "pretrain.items=40",
        "pretrain.steps=0",
        "sft.warmup_steps=1",
        "sft.steps=4",
        "teacher_tokens=64",
    ]
    options = [option for setting in [f"teacher={thinker}", *tiny] for option in ("--set", setting)]
    done = subprocess.run(
        [PERCASYM, "study", "--home", str(tmp_path / "home"), *options],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 2, done.stderr[-3000:]
    assert "got none of 24 items right" in done.stderr
    kept = list((tmp_path / "home" / "teachers").rglob("*.jsonl"))
    assert sum(path.read_text().count("\n") for path in kept) == 24
