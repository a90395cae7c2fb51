"""Batches of any mixture give what each sample gives alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from percasym.miniature import TinyConfig
from percasym.models import Loaded, load
from percasym.models.prompting import Sample, assistant_text, encode, prompt_text
from percasym.models.tiny import build_tiny

WORDS = ["a1", "a2", "b1", "b2", "1", "2", "3", "4", "-", "solve", "so", "then"]


@pytest.fixture(scope="module", params=["qwen3_vl", "internvl"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    out: Path = tmp_path_factory.mktemp(request.param)
    return load(build_tiny(TinyConfig(architecture=request.param), WORDS, out), device="cpu")


def picture(seed: int, side: int = 64) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def samples(tiny: Loaded) -> list[Sample]:
    texts = [
        "<caption> a1 3 </caption>",
        "",
        "<caption> a1 3 a2 - </caption> so <answer> 4 </answer>",
        "so then",
    ]
    images = [picture(0), None, picture(1), None]
    queries = ["solve", "solve a1", "solve a1 a2 then", "solve"]
    ids = [assistant_text(tiny.processor, text).ids for text in texts]
    return [Sample(*parts) for parts in zip(queries, images, ids, strict=True)]


@torch.no_grad()
def assistant_logits(tiny: Loaded, chosen: list[Sample], padding: str) -> list[torch.Tensor]:
    """Logits that predict each sample's assistant tokens and the one after them."""
    inputs, starts = encode(tiny.processor, chosen, padding)
    logits = tiny.model(**inputs).logits
    return [
        logits[row, start - 1 : start + len(sample.assistant)]
        for row, (start, sample) in enumerate(zip(starts, chosen, strict=True))
    ]


@pytest.mark.parametrize("padding", ["left", "right"])
def test_a_mixed_batch_equals_each_sample_alone(tiny: Loaded, padding: str) -> None:
    chosen = samples(tiny)
    together = assistant_logits(tiny, chosen, padding)
    for sample, logits in zip(chosen, together, strict=True):
        (alone,) = assistant_logits(tiny, [sample], padding)
        torch.testing.assert_close(logits, alone, atol=2e-5, rtol=1e-4)


def test_the_image_reaches_the_answer(tiny: Loaded) -> None:
    first, second = (Sample("solve", picture(seed)) for seed in (0, 1))
    assert not torch.allclose(*assistant_logits(tiny, [first, second], "right"), atol=1e-2)


def test_images_keep_the_order_of_the_samples(tiny: Loaded) -> None:
    forth = samples(tiny)
    for logits, expected in zip(
        assistant_logits(tiny, forth[::-1], "left")[::-1], assistant_logits(tiny, forth, "left"), strict=True
    ):
        torch.testing.assert_close(logits, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("padding", ["left", "right"])
def test_starts_point_at_the_first_assistant_token(tiny: Loaded, padding: str) -> None:
    chosen = samples(tiny)
    inputs, starts = encode(tiny.processor, chosen, padding)
    for row, (start, sample) in enumerate(zip(starts, chosen, strict=True)):
        end = start + len(sample.assistant)
        assert inputs["input_ids"][row, start:end].tolist() == list(sample.assistant)
        assert inputs["attention_mask"][row, start:end].all()
        assert tiny.processor.tokenizer.decode(inputs["input_ids"][row, start - 1]) == "assistant"
        total = int(inputs["attention_mask"][row].sum())
        assert end == (inputs["input_ids"].shape[1] if padding == "left" else total)


def test_the_prompt_is_what_the_processor_makes_of_the_chat(tiny: Loaded) -> None:
    messages = [
        {
            "role": "user",
            "content": [{"type": "image", "image": picture(0)}, {"type": "text", "text": "solve"}],
        }
    ]
    expected = tiny.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    inputs, _ = encode(tiny.processor, [Sample("solve", picture(0))], "left")
    assert set(inputs) == set(expected)
    for key, value in inputs.items():
        torch.testing.assert_close(value, expected[key], check_dtype=False)


def test_a_prompt_without_image_has_no_placeholder(tiny: Loaded) -> None:
    assert (
        prompt_text(tiny.processor, "solve", False)
        == "<|im_start|>user\nsolve<|im_end|>\n<|im_start|>assistant\n"
    )
    assert len(prompt_text(tiny.processor, "solve", True)) > len(prompt_text(tiny.processor, "solve", False))


def test_generation_of_a_mixed_batch_equals_each_sample_alone(tiny: Loaded) -> None:
    def generate(chosen: list[Sample]) -> list[list[int]]:
        inputs, _ = encode(tiny.processor, chosen, "left")
        out = tiny.model.generate(**inputs, max_new_tokens=12, do_sample=False)
        return [row.tolist() for row in out[:, inputs["input_ids"].shape[1] :]]

    chosen = samples(tiny)
    pad, end = tiny.processor.tokenizer.pad_token_id, tiny.processor.tokenizer.eos_token_id
    for sample, together in zip(chosen, generate(chosen), strict=True):
        (alone,) = generate([sample])
        without_padding = together[: together.index(end) + 1] if end in together else together
        assert [token for token in without_padding if token != pad] == [
            token for token in alone if token != pad
        ]


def test_larger_images_are_taken_too(tiny: Loaded) -> None:
    chosen = [Sample("solve", picture(0, 369)), Sample("solve", picture(1))]
    together = assistant_logits(tiny, chosen, "right")
    for sample, logits in zip(chosen, together, strict=True):
        torch.testing.assert_close(logits, assistant_logits(tiny, [sample], "right")[0], atol=5e-5, rtol=1e-3)
