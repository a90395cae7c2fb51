"""Every mistake with a checkpoint is one line; nothing of it is ever run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model

from percasym.engines import Completion, Request, Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.errors import PercasymError
from percasym.miniature import TinyConfig
from percasym.models import Loaded, load, load_processor
from percasym.models.tiny import build_tiny


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


def lay_an_adapter_beside(folder: Path) -> None:
    model = load(folder, "cpu").model
    get_peft_model(model, LoraConfig(r=1, target_modules="all-linear")).save_pretrained(folder)


def link_elsewhere(folder: Path) -> None:
    (folder.parent / "secret").write_text("{{ messages }}")
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.jinja").symlink_to(folder.parent / "secret")


def let_nothing_pad(folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", pad_token=None, eos_token=None)


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
    "an adapter": (lay_an_adapter_beside, "holds an adapter .*beside whole weights"),
    "nothing that pads": (let_nothing_pad, "no token that pads or ends a turn"),
    "a text that is elsewhere": (link_elsewhere, "chat_template.jinja is a link out of the folder"),
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


def test_weights_may_be_on_another_disk(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(good, folder)
    shutil.move(folder / "model.safetensors", tmp_path / "model.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "model.safetensors")
    load(folder)


def test_a_chat_template_of_the_tokenizer_alone_is_taken(good: Path, tmp_path: Path) -> None:
    """So some training scripts leave a checkpoint."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(good, folder)
    template = folder / "chat_template.jinja"
    edit_json(folder / "tokenizer_config.json", chat_template=template.read_text())
    template.unlink()
    loaded = load(folder, "cpu")
    assert said(loaded) == said(load(good, "cpu"))
    loaded.processor.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "chat_template.jinja").read_text() == loaded.processor.chat_template


def test_the_end_token_pads_where_none_does(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(good, folder)
    edit_json(folder / "tokenizer_config.json", pad_token=None)
    loaded = load(folder, "cpu")
    assert loaded.processor.tokenizer.pad_token == loaded.processor.tokenizer.eos_token == "<|im_end|>"
    assert said(loaded) == said(load(good, "cpu"))


def test_weights_that_are_not_numbers_say_nothing(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(good, folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights["model.language_model.norm.weight"].fill_(torch.nan)
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PercasymError, match=f"the logits of {folder} are not finite") as caught:
        said(load(folder, "cpu"))
    assert "\n" not in str(caught.value)


def test_a_generation_config_only_says_what_ends_a_turn(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(good, folder)
    penalties = {"repetition_penalty": 2.0, "temperature": 0.1, "top_k": 1, "top_p": 0.1, "do_sample": True}
    edit_json(folder / "generation_config.json", **penalties)
    before = said(load(good, "cpu"))
    assert said(load(folder, "cpu")) == before
    ends = [before["b"].ids[3], load_processor(good).tokenizer.eos_token_id]
    edit_json(folder / "generation_config.json", eos_token_id=ends)
    after = said(load(folder, "cpu"))["b"]
    assert after.finish_reason == "stop"
    assert after.ids[-1] == ends[0]
    assert len(after.ids) <= 4


def said(loaded: Loaded) -> dict[str, Completion]:
    """Two prompts of different lengths, so that one is padded."""
    requests = [Request("a", "solve " * 20, None), Request("b", "solve", None)]
    engine = TransformersEngine(*loaded, batch_size=2)
    return {found.id: found for found in engine.generate(requests, Sampling(1.0, max_tokens=12, seed=3))}


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
