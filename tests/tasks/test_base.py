"""The base stage with a model of one's own: a checkpoint with the choices of the study written into it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.architectures import THINKING
from prefect import flow

from percasym.errors import PercasymError
from percasym.models import load, load_processor
from percasym.models.prompting import prompt_text
from percasym.presets import load_preset
from percasym.tracking import Tracker
from tasks.base import base
from tasks.stage import Reference

pytestmark = pytest.mark.usefixtures("prefect_server", "home")


def made(model: Path, **choices: Any) -> Reference:
    config = load_preset("mini", {"model": str(model), **choices})

    @flow
    def study() -> Reference:
        run = Tracker.current().start("study", {}).id
        found: Reference = base.submit(config, run, model=config.model).result()
        return found

    return study()


def test_a_model_gets_the_choices_of_the_study(released: Callable[[str], Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(released("thinking"), model)
    choices = {"system_prompt": "Be brief.", "thinking": "off", "max_pixels": 128**2}
    first = made(model, **choices)
    _, processor = load(first.path / "model", device="cpu")
    prompt = prompt_text(processor, "Why?", True)
    assert prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert prompt.endswith("<think>\n\n</think>\n\n")
    assert processor.image_processor.size["longest_edge"] == 128**2
    assert sorted(path.name for path in first.path.iterdir()) == ["model", "seal.json"]
    assert made(model, **choices) == first

    (model / "chat_template.jinja").write_text("Well." + THINKING)
    second = made(model, **choices)
    assert second.digest != first.digest
    assert prompt_text(load_processor(second.path / "model"), "Why?", True).startswith("Well.")


def test_a_choice_that_the_model_does_not_have_ends_the_stage_in_one_line(
    released: Callable[[str], Path],
) -> None:
    with pytest.raises(PercasymError, match=r"does not look at enable_thinking; leave thinking empty$"):
        made(released("internvl"), thinking="off")
