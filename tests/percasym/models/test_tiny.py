"""Miniatures are ordinary, reproducible checkpoints whose weights have the intended size."""

import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from transformers import AutoModelForImageTextToText, AutoProcessor

from percasym.miniature import TinyConfig
from percasym.models import load
from percasym.models.prompting import Sample, encode
from percasym.models.tiny import build_tiny
from percasym.puzzles import load_puzzle
from percasym.seeding import stream

WORDS = ["a1", "a2", "3", "-", "solve"]
ARCHITECTURES = ["qwen3_vl", "internvl"]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("tiny") / request.param
    return build_tiny(TinyConfig(architecture=request.param), WORDS, out)


def test_transformers_loads_it_by_its_auto_classes(folder: Path) -> None:
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    processor = AutoProcessor.from_pretrained(folder)
    assert model.config.model_type == folder.name
    assert model.config.text_config.vocab_size == len(processor.tokenizer)
    assert model.dtype == torch.float32
    assert 500_000 < sum(parameter.numel() for parameter in model.parameters()) < 1_000_000
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    generation = model.generation_config
    assert generation.eos_token_id == processor.tokenizer.eos_token_id
    assert generation.pad_token_id == processor.tokenizer.pad_token_id
    assert processor.tokenizer.eos_token_id != processor.tokenizer.pad_token_id


def test_an_image_of_its_side_is_taken_pixel_for_pixel(folder: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    image = Image.new("RGB", (64, 64), "white")
    image.putpixel((0, 0), (0, 0, 0))
    messages = [{"role": "user", "content": [{"type": "image", "image": image}]}]
    encoded = processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt")
    assert int((encoded["input_ids"] == processor.image_token_id).sum()) == 16
    values, counts = encoded["pixel_values"].unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([(0 - 0.95) / 0.25, (1 - 0.95) / 0.25]))
    assert counts[0] / counts[1] == 1 / (64 * 64 - 1)


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1234)
    again = build_tiny(TinyConfig(architecture=folder.name), WORDS, tmp_path / "again")
    other = build_tiny(TinyConfig(architecture=folder.name, seed=1), WORDS, tmp_path / "other")
    for file in folder.iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes()
    weights = "model.safetensors"
    assert (other / weights).read_bytes() != (folder / weights).read_bytes()


def test_weights_have_the_size_of_their_fan_in(folder: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folder)
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear | torch.nn.Conv2d | torch.nn.Conv3d):
            continue
        weight = module.weight.detach()
        unit = math.sqrt(weight[0].numel()) * weight.std().item()
        writes = name.endswith(("o_proj", "down_proj", "attn.proj", "projection_layer", "mlp.fc2"))
        writes |= name.endswith("linear_fc2") and "merger" not in name
        layers = 3 if "language_model" in name else 2
        assert unit == pytest.approx((2 * layers) ** -0.5 if writes else 1.0, rel=0.05), name
        assert module.bias is None or not module.bias.any(), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_it_says_has_about_the_entropy_of_a_guess(architecture: str, tmp_path: Path) -> None:
    """Logits of a fresh model are of order one, so training starts neither dead nor sure of itself."""
    folder = build_tiny(TinyConfig(architecture=architecture, layers=8, vision_layers=4), WORDS, tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    logits = model(input_ids=torch.arange(8)[None] + 20).logits
    assert 0.3 < logits.std().item() < 3


def test_a_fresh_model_tells_drawn_images_apart(folder: Path) -> None:
    """Else it hardly learns to read: 0.02 for all weights, or pixels centred on grey, give at most 0.12."""
    model, processor = load(folder, "cpu")
    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64})
    items = [puzzle.item("test", 0, index) for index in range(8)]
    images = [puzzle.render(item.instance, stream("render", item.id), "clean") for item in items]
    inputs, _ = encode(processor, [Sample("solve", image) for image in images], "left")
    with torch.no_grad():
        logits = model(**inputs).logits[:, -1]
    assert logits.std(dim=0).mean() > 0.15


@pytest.mark.parametrize(
    "change", [{"heads": 3}, {"kv_heads": 3}, {"vision_size": 60}, {"side": 60}, {"side": 1024}, {"depth": 1}]
)
def test_sizes_that_cannot_be_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        TinyConfig.model_validate(change)
