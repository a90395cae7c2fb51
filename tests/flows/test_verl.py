"""A study that goes on by GRPO with verl: on the CPU, with Ray and vLLM, killed once on the way."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import torch

from flows.study import study
from percasym.config import StudyConfig
from percasym.models import load
from percasym.presets import load_preset
from percasym.tracking import Tracker
from percasym.training.model import vision_parameters

pytestmark = [pytest.mark.verl, pytest.mark.timeout(1800)]

# The miniature at its own size, as vLLM has no kernels for smaller heads; of all the rest just enough for
# captions that differ. Responses are cut off after them, so all are equally long, which verl could not take
# by itself.
SETTINGS: dict[str, Any] = {
    "name": "verl",
    "train_items": 256,
    "validation_items": 4,
    "test_items": 6,
    "pretrain": {"items": 48, "steps": 4, "batch_size": 8, "warmup_steps": 1},
    "sft": {"steps": 80, "warmup_steps": 1, "validate_every": 0, "train_vision": False},
    "max_new_tokens": 48,
    "arms": ["fixed:0.9"],
    "rl_from": "fixed:0.9",
    "rl_arms": ["perception_aware_partial:0.5"],
    "rl_items": 8,
    "grpo": {
        "engine": "verl",
        "steps": 3,
        "prompts": 2,
        "group_size": 4,
        "learning_rate": 1e-4,
        "kl": 0.001,
        "validate_every": 0,
        "train_vision": False,
    },
    "micro_batch_size": 4,
    "checkpoint_every": 1,
}


@pytest.fixture
def home(tmp_path: Path, mlflow_tables: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(mlflow_tables, tmp_path / "mlflow.db")
    monkeypatch.setenv("PERCASYM_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def config() -> StudyConfig:
    return load_preset("mini", SETTINGS)


def of_verl() -> set[psutil.Process]:
    """What runs of verl, Ray and vLLM on this machine."""
    found = set()
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        words = ("percasym.grpo.verl", "verl.trainer", "ray::", "raylet", "gcs_server", "VLLM::", "vllm")
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(word in line for word in words):
            found.add(process)
    return found


def kill_after_step(home: Path, step: int) -> None:
    """Kills the stage's child as soon as that step is in its log."""
    while True:
        for log in home.glob("work/verl/*/scratch/*/metrics.jsonl"):
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
            if any(line["step"] >= step for line in lines):
                for process in of_verl():
                    if "-m percasym.grpo.verl " in " ".join(process.cmdline()):
                        os.kill(process.pid, signal.SIGKILL)
                        return
        time.sleep(0.1)


def test_a_killed_training_goes_on_and_its_model_is_measured(home: Path) -> None:
    others = of_verl()
    killer = threading.Thread(target=kill_after_step, args=(home, 2), daemon=True)
    killer.start()
    with pytest.raises(RuntimeError, match="ended by SIGKILL"):
        study(config())
    killer.join(10)
    deadline = time.monotonic() + 10
    while of_verl() - others and time.monotonic() < deadline:
        time.sleep(0.2)
    assert of_verl() <= others

    outcome = study(config())

    assert of_verl() <= others
    (arm,) = SETTINGS["rl_arms"]
    results = Path(outcome.summaries[arm]).with_name("results.parquet")
    assert pq.read_table(results).num_rows == 12
    client = Tracker.current().client
    tags = client.get_run(outcome.run).data.tags
    run = client.get_run(tags[f"stage.verl.{arm}"])
    artifact = Path(run.info.artifact_uri) / "rollouts.jsonl"
    lines = [json.loads(line) for line in artifact.with_name("metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "train"] == [1, 2, 3]
    rollouts = [json.loads(line) for line in artifact.read_text().splitlines()]
    assert [rollout["step"] for rollout in rollouts] == [1] * 8 + [2] * 8 + [3] * 8
    assert {rollout["sample"] for rollout in rollouts} == set(range(4))
    model, processor = load(str(artifact.with_name("model")))
    assert model.get_input_embeddings().num_embeddings == len(processor.tokenizer)
    before, _ = load(str(Path(client.get_run(tags["stage.sft.fixed:0.9"]).info.artifact_uri) / "model"))
    frozen = {id(parameter) for parameter in vision_parameters(model)}
    moved = {
        name
        for (name, new), old in zip(model.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(new, old.to(torch.bfloat16).to(old.dtype))  # the merger rounds
    }
    assert moved
    assert not moved & {name for name, parameter in model.named_parameters() if id(parameter) in frozen}
    for name in ("reward", "no_spread", "verl/critic/score/mean"):
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, name)]
        assert sorted(set(steps)) == [1, 2, 3], name
    assert run.data.tags["input.base"] == tags["stage.sft.fixed:0.9"]
    assert {version.run_id for version in client.search_model_versions("name = 'verl'")} >= {run.info.run_id}
