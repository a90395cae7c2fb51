"""One rank, two ranks with a copy of the model each, and two ranks with half of it each: the same run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import percasym
from percasym.sft.config import SFTConfig
from percasym.sft.trainer import Run, train


def two_ranks(config: SFTConfig, program: list[str]) -> None:
    file = config.out.with_suffix(".json")
    file.write_text(config.model_dump_json())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    package = str(Path(percasym.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": package, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([*torchrun, *program, str(file)], env=environment, check=True, timeout=240)


def metrics(config: SFTConfig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]


class Stop(Exception):
    pass


def test_the_number_of_ranks_changes_nothing(
    config: SFTConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over rows that transcribe or solve from text: a rank may have no image, or tokens of one kind only.

    The sharded run goes on from a checkpoint that a single rank wrote.
    """
    config = config.model_copy(update={"split": "pretrain", "weighting": "ngdiff", "validate_every": 6})
    runs = [config.model_copy(update={"out": tmp_path / name}) for name in ("one", "copies", "shards")]
    train(runs[0])
    two_ranks(runs[1], ["-m", "percasym.sft"])

    save = Run._save

    def save_and_stop(run: Run) -> None:
        save(run)
        raise Stop

    monkeypatch.setattr(Run, "_save", save_and_stop)
    with pytest.raises(Stop):
        train(runs[2])
    two_ranks(runs[2], [str(Path(__file__).with_name("sharded_on_cpus.py"))])

    before = load_file(Path(config.model) / "model.safetensors")
    one, *others = (load_file(run.out / "model" / "model.safetensors") for run in runs)
    for other in others:
        assert other.keys() == one.keys()
        moved = torch.cat([(one[name] - before[name]).flatten() for name in one])
        apart = torch.cat([(one[name] - other[name]).flatten() for name in one])
        assert apart.norm() < 1e-3 * moved.norm()
    for lines in zip(*map(metrics, runs), strict=True):
        for key in ("loss_p", "loss_r", "token_share", "grad_norm_p", "grad_norm_r", "lam", "a_p_partial"):
            values = [line[key] for line in lines if key in line]
            assert values == pytest.approx([values[0]] * len(values), rel=1e-3) if values else True
