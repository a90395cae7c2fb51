from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from percasym.errors import PercasymError
from percasym.grpo.config import GRPOConfig
from percasym.grpo.verl import config, trainer
from percasym.grpo.verl.config import VerlConfig

Settings = Callable[..., VerlConfig]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reward": "surrogate:agreement:0.5"}, "judges each response alone"),
        ({"credit": "span"}, "span"),
        ({"lora_rank": 8}, "lora_rank"),
        ({"optimizer": "muon"}, "adamw"),
        ({"gpus": 3}, "multiple of the 3 GPUs"),
        ({"micro_batch_size": 3}, "micro_batch_size=3"),
        ({"group_size": 1}, "group_size"),
        ({"reward": "perception_aware:1.5"}, "alpha from 0 to 1"),
    ],
)
def test_what_verl_cannot_do_is_said_before_it_starts(
    rl: GRPOConfig, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises((ValidationError, PercasymError), match=words):
        VerlConfig.model_validate({**rl.model_dump(), **changes})


def test_a_missing_verl_is_one_line_that_says_what_to_install(
    rl: GRPOConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(config, "find_spec", lambda name: None)
    with pytest.raises(PercasymError, match="verl and vllm not installed: pip install") as error:
        trainer.train(VerlConfig.model_validate(rl.model_dump()))
    assert "\n" not in str(error.value)
    assert not rl.out.exists()
