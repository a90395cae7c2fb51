"""Whole runs of GRPO: what they leave behind, what they learn, and how they go on after being killed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from percasym.datasets import read_split
from percasym.errors import PercasymError
from percasym.grpo.config import GRPOConfig
from percasym.grpo.trainer import Run, train
from percasym.judgement import FIELDS
from percasym.models import load
from percasym.training.distributed import Ranks

TIMES = ("seconds", "tokens_per_s", "generation_seconds", "update_seconds")


def lines(config: GRPOConfig, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    text = (config.out / name).read_text()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in text.splitlines()]


def weights(config: GRPOConfig) -> dict[str, torch.Tensor]:
    return load_file(config.out / "model" / "model.safetensors")


def assert_identical(one: GRPOConfig, other: GRPOConfig) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_leaves_a_checkpoint_a_log_and_every_response(rl: GRPOConfig) -> None:
    rl = rl.model_copy(update={"kl": 0.01, "updates": 2, "validate_every": 4})
    load(train(rl), device="cpu")
    assert sorted(p.name for p in rl.out.iterdir()) == [
        "metrics.jsonl",
        "model",
        "rollouts.jsonl",
        "training.json",
    ]
    training = [line for line in lines(rl) if line["kind"] == "train"]
    assert [line["step"] for line in training] == [1, 2, 3, 4]
    for line in training:
        assert {*FIELDS, "reward", "kl", "clipped", "r_a_p", "r_a_own_within", "no_spread", "lucky"} <= set(
            line
        )
    assert training[0]["kl"] >= 0
    assert training[-1]["kl"] > 0
    rollouts = lines(rl, "rollouts.jsonl")
    assert len(rollouts) == 4 * 2 * 4
    first = [r for r in rollouts if r["step"] == 1]
    assert training[0]["reward"] == pytest.approx(sum(r["reward"] for r in first) / len(first))
    assert [line["step"] for line in lines(rl) if line["kind"] == "validation"] == [4]


def test_what_is_rewarded_becomes_more_frequent(rl: GRPOConfig) -> None:
    train(rl.model_copy(update={"steps": 30, "prompts": 4, "group_size": 8}))
    rewards = [line["reward"] for line in lines(rl)]
    assert sum(rewards[-5:]) > 2 * sum(rewards[:5])


def test_neither_micro_batches_nor_kills_change_the_result(rl: GRPOConfig, tmp_path: Path) -> None:
    rl = rl.model_copy(update={"steps": 12, "log_every": 2})
    train(rl)
    killed = rl.model_copy(update={"out": tmp_path / "killed"})
    file = tmp_path / "killed.json"
    file.write_text(killed.model_dump_json())
    command = [sys.executable, "-m", "percasym.grpo", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["step"] >= 4:
                process.kill()
                break
    assert process.returncode == -9
    train(killed)
    assert_identical(rl, killed)
    assert lines(killed) == lines(rl)
    assert lines(killed, "rollouts.jsonl") == lines(rl, "rollouts.jsonl")


def test_the_gradient_does_not_depend_on_micro_batches(rl: GRPOConfig) -> None:
    gradients = []
    rl.out.mkdir()
    for size in (3, 64):
        changes = {"micro_batch_size": size, "prompts": 8, "group_size": 8}
        run = Run(rl.model_copy(update=changes), Ranks())
        gradients.append(run.gradient(run.batches(run.rollout()))[0])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)
    assert max(float(g.abs().max()) for g in gradients[0]) > 0


def test_span_credit_reaches_the_caption_by_perception_alone(rl: GRPOConfig) -> None:
    """Nobody's caption is wholly right, so under span credit captions have no advantage; the rest has."""
    rl = rl.model_copy(update={"credit": "span"})
    run = Run(rl, Ranks())
    for batch in run.batches(run.rollout()):
        response = batch.tokens.perception | batch.tokens.reasoning
        of_captions = batch.advantages[batch.tokens.perception[response]]
        assert not of_captions.any()


def test_the_vision_tower_stays_if_frozen(rl: GRPOConfig) -> None:
    frozen = rl.model_copy(
        update={"train_vision": False, "reward": "a_p_partial+characters" if False else rl.reward}
    )
    train(frozen)
    before, after = load_file(Path(rl.model) / "model.safetensors"), weights(frozen)
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert not any("visual" in name for name in moved)


@pytest.mark.parametrize("name", ["teacher", "blinding"])
def test_surrogates_that_want_more_than_texts_are_rewards(rl: GRPOConfig, name: str, tmp_path: Path) -> None:
    captions = tmp_path / "captions.jsonl"
    items = read_split(rl.dataset, "train_rl", ["id", "perception"])
    captions.write_text(
        "".join(json.dumps({"id": r["id"], "caption": r["perception"]}) + "\n" for r in items)
    )
    rl = rl.model_copy(update={"reward": f"surrogate:{name}:1", "captions": captions, "steps": 2})
    train(rl)
    values = [line["surrogate"] for line in lines(rl, "rollouts.jsonl")]
    assert max(values) > 0
    if name == "teacher":  # this one is always right
        assert values == [line["a_p_partial"] for line in lines(rl, "rollouts.jsonl")]


@pytest.mark.parametrize(
    "change",
    [
        {"reward": "perception_aware:1.5"},
        {"reward": "fun"},
        {"group_size": 1},
        {"clip_low": 1.0},
        {"reward": "surrogate:teacher:0.5"},
        {"reward": "surrogate:best:0.5"},
    ],
)
def test_a_config_out_of_range_is_refused(rl: GRPOConfig, change: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, PercasymError)):
        GRPOConfig.model_validate({**rl.model_dump(), **change})


@pytest.mark.parametrize("reward", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("normalisation", ["grpo", "dr_grpo", "dapo"])
def test_responses_of_one_worth_teach_nothing(
    rl: GRPOConfig, tmp_path: Path, reward: float, normalisation: str
) -> None:
    """No weight moves, by momentum or decay neither: every group is without spread."""
    constant = tmp_path / "constant.py"
    constant.write_text(f"def worth(group):\n    return [{reward}] * len(group.responses)\n")
    changes = {"reward": f"surrogate:{constant}:worth:1", "normalisation": normalisation, "steps": 3}
    equal = rl.model_copy(update={**changes, "weight_decay": 0.1, "updates": 2})
    train(equal)
    before, after = load_file(Path(rl.model) / "model.safetensors"), weights(equal)
    assert all(torch.equal(before[name], after[name]) for name in after)
    assert {line["no_spread"] for line in lines(equal)} == {1.0}


def test_a_step_without_spread_rests_the_momentum(rl: GRPOConfig) -> None:
    rl.out.mkdir()
    run = Run(rl, Ranks())
    run.descend([torch.ones_like(parameter) for parameter in run.parameters], 1e-3)
    before = [parameter.detach().clone() for parameter in run.parameters]
    run.batches = lambda groups: []  # type: ignore[method-assign]
    run.record = dict  # type: ignore[method-assign]
    run.log = run.open_log("metrics.jsonl", echo=False)
    run._one_step()
    assert run.step == 1
    assert all(torch.equal(a, b) for a, b in zip(before, run.parameters, strict=True))


def test_more_prompts_than_rows_are_refused(rl: GRPOConfig) -> None:
    with pytest.raises(PercasymError, match="more than the 8 rows"):
        train(rl.model_copy(update={"prompts": 9}))
