"""Whole runs: what they leave behind, and how they go on after any interruption."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from percasym.datasets import iter_split, write_dataset
from percasym.errors import PercasymError
from percasym.models import load
from percasym.sft import trainer
from percasym.sft.__main__ import main
from percasym.sft.config import SFTConfig
from percasym.sft.trainer import train
from percasym.training.checkpoint import Checkpoints
from percasym.training.model import vision_parameters
from percasym.training.run import learning_rate

TIMES = ("seconds", "tokens_per_s")


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def assert_identical(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def lines(config: SFTConfig) -> list[dict[str, Any]]:
    """The metrics without the times."""
    text = (config.out / "metrics.jsonl").read_text()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in text.splitlines()]


def test_a_run_learns_and_leaves_an_ordinary_checkpoint(
    config: SFTConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config.model_copy(update={"steps": 30, "log_every": 10, "validate_every": 15})
    out = train(config)
    assert out == config.out / "model"
    load(out, device="cpu")
    assert sorted(path.name for path in config.out.iterdir()) == ["metrics.jsonl", "model", "training.json"]

    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in printed if line["kind"] == "train"]
    assert [line["step"] for line in training] == [1, 10, 20, 30]
    assert training[-1]["loss"] < 0.9 * training[0]["loss"]
    for line in training:
        assert line["lam"] == pytest.approx(line["token_share"], abs=0.1)
        share = line["token_share"]
        assert line["loss"] == pytest.approx(share * line["loss_p"] + (1 - share) * line["loss_r"])
        assert line["loss_share"] == pytest.approx(share * line["loss_p"] / line["loss"])
        assert -1 <= line["grad_cosine"] <= 1
        assert all(line[key] > 0 for key in ("grad_norm_p", "grad_norm_r", "tokens_per_s", "seconds"))
    validation = [line for line in printed if line["kind"] == "validation"]
    assert [(line["step"], line["n"]) for line in validation] == [(15, 3), (30, 3)]
    assert all(0 <= line[key] <= 1 for line in validation for key in ("a", "a_p", "a_r"))


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(config: SFTConfig, tmp_path: Path) -> None:
    config = config.model_copy(
        update={"steps": 24, "checkpoint_every": 5, "log_every": 1, "weighting": "dwa"}
    )
    train(config)

    killed = config.model_copy(update={"out": tmp_path / "killed"})
    file = tmp_path / "killed.json"
    file.write_text(killed.model_dump_json())
    command = [sys.executable, "-m", "percasym.sft", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["step"] >= 12:
                process.kill()
                break
    assert process.returncode == -9
    last = Checkpoints(killed.out / "checkpoints").last()
    assert last is not None
    assert 10 <= last[0] < 24

    train(killed)
    assert_identical(config.out / "model", killed.out / "model")
    assert lines(killed) == lines(config)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_neither_checkpoints_nor_validations_nor_stops_change_the_result(
    config: SFTConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """Stopped after every single step, with a line left unfinished."""
    config = config.model_copy(
        update={"weighting": "uncertainty", "optimizer": optimizer, "log_every": 4, "checkpoint_every": 100}
    )
    train(config)
    stopped = config.model_copy(
        update={"out": tmp_path / "stopped", "checkpoint_every": 1, "validate_every": 2}
    )

    class Stop(Exception):
        pass

    save = trainer.Run._save

    def save_and_stop(run: trainer.Run) -> None:
        save(run)
        raise Stop

    monkeypatch.setattr(trainer.Run, "_save", save_and_stop)
    for step in range(1, stopped.steps):
        with pytest.raises(Stop):
            train(stopped)
        assert (stopped.out / "checkpoints" / f"step_{step}").exists()
        with (stopped.out / "metrics.jsonl").open("a") as file:
            file.write('{"kind": "train", "step": 1')
    train(stopped)
    assert_identical(config.out / "model", stopped.out / "model")
    assert [line for line in lines(stopped) if line["kind"] == "train"] == lines(config)
    assert [line["step"] for line in lines(stopped) if line["kind"] == "validation"] == [2, 4, 6]


def test_a_finished_run_is_not_done_again(config: SFTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config)
    monkeypatch.setattr(trainer, "Run", None)
    assert train(config.model_copy(update={"checkpoint_every": 3, "threads": 0})) == config.out / "model"


def test_a_folder_of_another_config_is_refused(config: SFTConfig) -> None:
    train(config)
    with pytest.raises(PercasymError, match="holds another training, with another learning_rate"):
        train(config.model_copy(update={"learning_rate": 1e-4}))


def test_a_frozen_vision_tower_stays(config: SFTConfig) -> None:
    train(config.model_copy(update={"train_vision": False, "weighting": "ngdiff"}))
    model, _ = load(config.model, device="cpu")
    vision = {id(parameter) for parameter in vision_parameters(model)}
    frozen = {name for name, parameter in model.named_parameters() if id(parameter) in vision}
    before, after = weights(config.model), weights(config.out / "model")
    assert {name for name in before if torch.equal(before[name], after[name])} == frozen
    assert any("visual" in name for name in frozen)
    assert not any("language_model" in name for name in frozen)


@pytest.mark.parametrize("train_vision", [False, True])
def test_lora_moves_linear_layers_alone_and_is_merged(
    config: SFTConfig, tmp_path: Path, train_vision: bool
) -> None:
    config = config.model_copy(update={"lora_rank": 2, "train_vision": train_vision, "learning_rate": 0.01})
    train(config)
    before, after = weights(config.model), weights(config.out / "model")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(before[name].ndim == 2 and "embed" not in name for name in moved)
    assert any("visual" in name for name in moved) == train_vision
    some = next(name for name in moved if "q_proj" in name)
    assert torch.linalg.matrix_rank(after[some] - before[some], rtol=1e-3) == 2

    resumed = config.model_copy(update={"out": tmp_path / "resumed"})
    shutil.copytree(config.out, resumed.out, ignore=shutil.ignore_patterns("model", "metrics.jsonl"))
    train(resumed)
    assert_identical(config.out / "model", resumed.out / "model")


def test_the_learning_rate_warms_up_and_falls_to_a_twentieth(config: SFTConfig) -> None:
    config = config.model_copy(update={"steps": 1002, "learning_rate": 1.0})
    rates = [learning_rate(config, step) for step in (0, 1, 2, 502, 1001)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.525, 0.05], abs=1e-5)


def test_a_loss_that_is_not_finite_is_one_line(config: SFTConfig) -> None:
    with pytest.raises(PercasymError, match=r"gradient of step .* is not finite; try a lower learning_rate"):
        train(config.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "{tmp}"}, "is not a checkpoint"),
        ({"dataset": "{tmp}"}, "data set"),
        ({"split": "validation"}, "has no response"),
        ({"split": "test"}, "test"),
        ({"weighting": "fixed:2"}, "between 0 and 1"),
        ({"steps": 0}, "steps"),
        ({"warmup_steps": 6}, "warmup_steps must be less than steps"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    config: SFTConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    message: str,
) -> None:
    change = {k: str(tmp_path) if v == "{tmp}" else v for k, v in change.items()}
    file = tmp_path / "sft.json"
    file.write_text(json.dumps({**config.model_dump(mode="json"), **change}))
    assert main([str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_config_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json")]) == 2
    assert main([]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_weighting_needs_perception_to_weigh(config: SFTConfig, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    rows = ({**row, "response": "so then"} for row in iter_split(config.dataset, "train_sft"))
    write_dataset(bare, {"train_sft": rows})
    with pytest.raises(PercasymError, match=r"no response of .* has a <caption>"):
        train(config.model_copy(update={"dataset": str(bare), "weighting": "ngdiff"}))
    train(config.model_copy(update={"dataset": str(bare), "out": tmp_path / "plain"}))
