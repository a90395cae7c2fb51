"""Audits of surrogates on a checkpoint's own rollouts, and through the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from percasym.datasets import read_split
from percasym.errors import PercasymError
from percasym.grpo.audit import AuditConfig, run

OWN = """
def length(group):
    return [len(response.reasoning) for response in group.responses]

def broken(group):
    return [1 / 0]

def nan(group):
    return [float("nan")] * len(group.responses)
"""


@pytest.fixture
def config(talker: Path, dataset: Path, tmp_path: Path) -> AuditConfig:
    return AuditConfig(
        model=str(talker),
        dataset=str(dataset),
        group_size=3,
        max_new_tokens=40,
        batch_size=4,
        out=tmp_path / "rollouts.jsonl",
    )


def rollouts(config: AuditConfig) -> list[dict[str, Any]]:
    assert config.out is not None
    return [json.loads(line) for line in config.out.read_text().splitlines()]


def test_every_surrogate_that_is_possible_is_audited(config: AuditConfig, dataset: Path) -> None:
    *progress, found = run(config)
    assert [record["done"] for record in progress] == [1, 2, 3]
    assert set(found["surrogates"]) == {"agreement", "well_formed", "agreed", "blinding"}
    assert (found["kind"], found["groups"], found["rollouts"]) == ("audit", 3, 9)
    assert all(figures["seconds"] > 0 for figures in found["surrogates"].values())
    lines = rollouts(config)
    assert found["right"] == sum(line["a_p"] for line in lines) / 9
    assert {line["id"] for line in lines} == set(read_split(dataset, "validation")["id"])
    assert all(0 <= line["surrogates"]["blinding"] < 1 for line in lines)


def test_the_same_seed_gives_the_same_rollouts_in_any_batch(config: AuditConfig) -> None:
    list(run(config.model_copy(update={"surrogates": ("agreement",)})))
    before = rollouts(config)
    list(run(config.model_copy(update={"surrogates": ("agreement",), "batch_size": 64})))
    assert rollouts(config) == before
    list(run(config.model_copy(update={"surrogates": ("agreement",), "seed": 1})))
    assert rollouts(config) != before


def test_a_teacher_and_a_surrogate_of_ones_own(config: AuditConfig, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    own = f"{tmp_path / 'own.py'}:length"
    changes = {"surrogates": ("teacher", own, own), "teacher": config.model, "items": 2}
    found = list(run(config.model_copy(update=changes)))[-1]
    assert set(found["surrogates"]) == {"teacher", own}
    assert found["groups"] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"surrogates": ("wishes",)}, "no surrogate 'wishes'"),
        ({"surrogates": ("teacher",)}, "wants a teacher"),
        ({"surrogates": ("{own}:broken",)}, "ZeroDivisionError"),
        ({"surrogates": ("{own}:nan",)}, "nan"),
        ({"split": "tset"}, "tset"),
        ({"dataset": "nowhere"}, "nowhere"),
        ({"model": "nowhere"}, "nowhere"),
        ({"teacher": "nowhere"}, "nowhere"),
    ],
)
def test_a_mistake_is_one_line(
    config: AuditConfig, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    if "surrogates" in changes:
        changes = {"surrogates": tuple(s.format(own=tmp_path / "own.py") for s in changes["surrogates"])}
    with pytest.raises(PercasymError) as error:
        list(run(config.model_copy(update=changes)))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
