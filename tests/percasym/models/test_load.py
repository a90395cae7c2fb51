"""Every mistake with a checkpoint is one line; nothing of it is ever run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from percasym.errors import PercasymError
from percasym.models import load, load_processor
from percasym.models.tiny import TinyConfig, build_tiny


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(TinyConfig(), ["solve"], tmp_path_factory.mktemp("good"))


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def pickle_weights(folder: Path) -> None:
    torch.save(safetensors.torch.load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def lose_a_weight(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    del weights["model.language_model.norm.weight"]
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def resize_the_text_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit_json(folder / "config.json", text_config=config["text_config"] | {"intermediate_size": 8})


def lose_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def want_own_code(folder: Path) -> None:
    (folder / "own.py").write_text("raise SystemExit('this code ran')")
    own = {"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.Model"}
    edit_json(folder / "config.json", model_type="own", auto_map=own)


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "broken config": (lambda folder: (folder / "config.json").write_text('{"a": '), "cannot load"),
    "no processor": (lambda folder: (folder / "processor_config.json").unlink(), "image processor"),
    "no tokenizer": (lose_the_tokenizer, "no tokenizer"),
    "no chat template": (lambda folder: (folder / "chat_template.jinja").unlink(), "no chat template"),
    "pickled weights": (pickle_weights, "pickled weights are not read"),
    "half a file of weights": (cut_weights, "cannot load"),
    "a missing weight": (lose_a_weight, "lacks weights, such as model.language_model.norm.weight"),
    "weights of another size": (resize_the_text_model, "cannot load"),
    "text model": (lambda f: (f / "config.json").write_text('{"model_type": "qwen3"}'), "cannot load"),
    "own code": (want_own_code, "needs code of its own"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_bad_folder_is_told_in_one_line(mistake: str, good: Path, tmp_path: Path) -> None:
    damage, message = MISTAKES[mistake]
    folder = tmp_path / "checkpoint"
    shutil.copytree(good, folder)
    damage(folder)
    with pytest.raises(PercasymError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("place", ["nowhere", "./no/where", "a/b/c", __file__])
def test_what_is_no_folder_is_told_in_one_line(place: str) -> None:
    with pytest.raises(PercasymError, match="checkpoint"):
        load(place)


def test_a_hub_id_that_cannot_be_had_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PercasymError, match="percasym-tests/nothing is no folder, and the Hub") as caught:
        load("percasym-tests/nothing")
    assert "\n" not in str(caught.value)


def test_dtype_and_mode(good: Path) -> None:
    assert load(good, "cpu").model.dtype == torch.float32
    model, processor = load(str(good), "cpu", "bfloat16")
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert load_processor(good).tokenizer.get_vocab() == processor.tokenizer.get_vocab()
