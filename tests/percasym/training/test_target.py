"""A training that ends when a_r has reached a target: when it measures, when it stops, how it goes on."""

import json
from pathlib import Path
from typing import Any

import pytest

from percasym.sft.config import SFTConfig
from percasym.sft.trainer import Run, train
from percasym.training import target
from percasym.training.distributed import Ranks
from percasym.training.target import CLOSE, FAR, GLANCE, NEAR, Target


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """(items, a_r) of each measurement to come: a stand-in for a model that learns, which takes minutes."""
    plan: list[tuple[int, float]] = []

    def reasoning(config: Any, model: Any, processor: Any, items: int, ranks: Ranks) -> tuple[float, int]:
        wanted, a_r = plan.pop(0)
        assert items == wanted
        return a_r, items

    monkeypatch.setattr(target, "reasoning", reasoning)
    return plan


def lines(config: SFTConfig, kind: str) -> list[dict[str, Any]]:
    text = (config.out / "metrics.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def test_it_looks_closer_the_nearer_it_is(config: SFTConfig, measured: list[tuple[int, float]]) -> None:
    config = config.model_copy(update={"target": 0.5, "validation_items": 200})
    found = Target(config)
    assert [step for step in range(1, 50) if found.due(step)] == [FAR, 2 * FAR]
    measured += [(GLANCE, 0.1), (GLANCE, 0.3), (200, 0.25), (200, 0.49), (200, 0.5)]
    assert found.measure(None, None, Ranks()) == {"a_r": 0.1, "n": GLANCE}  # type: ignore[arg-type]
    assert found.measure(None, None, Ranks()) == {"a_r": 0.25, "n": 200}  # type: ignore[arg-type]
    assert [step for step in range(1, 12) if found.due(step)] == [NEAR, 2 * NEAR]
    assert not found.reached
    found.measure(None, None, Ranks())  # type: ignore[arg-type]
    assert [step for step in range(1, 4) if found.due(step)] == [CLOSE, 2 * CLOSE, 3 * CLOSE]
    assert not found.reached
    found.measure(None, None, Ranks())  # type: ignore[arg-type]
    assert found.reached


def test_without_a_target_nothing_is_measured(config: SFTConfig) -> None:
    found = Target(config)
    assert not any(map(found.due, range(100)))
    assert not found.reached


def test_a_training_ends_at_its_target_and_a_killed_one_too(
    config: SFTConfig, measured: list[tuple[int, float]], tmp_path: Path
) -> None:
    changes = {"steps": 60, "target": 0.5, "validate_every": 60, "validation_items": 3}
    config = config.model_copy(update={**changes, "checkpoint_every": 22, "warmup_steps": 0})
    measured += [(3, 0.3), (3, 0.3), (3, 0.6)]
    train(config)
    assert [line["step"] for line in lines(config, "target")] == [FAR, FAR + NEAR]
    assert [line["step"] for line in lines(config, "validation")] == [FAR + NEAR]
    assert (config.out / "model" / "model.safetensors").exists()

    killed = config.model_copy(update={"out": tmp_path / "killed"})
    killed.out.mkdir()
    run = Run(killed, Ranks())
    run.step, run.target.a_r = 22, 0.3
    run._save()
    again = Run(killed, Ranks())
    again._resume()
    assert again.target.near
    assert [step for step in range(23, 31) if again.target.due(step)] == [25, 30]
