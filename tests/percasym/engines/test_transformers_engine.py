"""The text of a request is the model's own, cut exactly, and the same whatever it is generated with."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from percasym.engines import Completion, Request, Sampling
from percasym.engines.decoding import GROUPED
from percasym.engines.transformers import WINDOW, TransformersEngine
from percasym.miniature import TinyConfig
from percasym.models import Loaded, load
from percasym.models.prompting import Sample, assistant_text, encode
from percasym.models.tiny import build_tiny

WORDS = [f"{row}{column}" for row in "abcd" for column in "1234"]
GREEDY = Sampling(max_tokens=24)
WARM = Sampling(temperature=1.0, max_tokens=60, seed=3)


@pytest.fixture(scope="module", params=["qwen3_vl", "internvl"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    out: Path = tmp_path_factory.mktemp(request.param)
    config = TinyConfig(architecture=request.param, layers=2, vision_layers=1)
    return load(build_tiny(config, WORDS, out), device="cpu")


def requests(number: int) -> list[Request]:
    """With and without an image, with and without a prefix, with prompts of many lengths."""
    rng = random.Random(0)
    made = []
    for index in range(number):
        query = " ".join(rng.choices(WORDS, k=rng.randint(1, 9)))
        color = tuple(rng.randrange(256) for _ in range(3))
        image = None if index % 3 == 2 else Image.new("RGB", (64, 64), color)
        prefix = f"<caption> {' '.join(rng.choices(WORDS, k=1 + index % 5))} </caption>" if index % 2 else ""
        made.append(Request(f"item-{index}", query, image, prefix))
    return made


def completions(tiny: Loaded, made: list[Request], sampling: Sampling, size: int) -> dict[str, Completion]:
    found = list(TransformersEngine(*tiny, batch_size=size).generate(made, sampling))
    assert sorted(one.id for one in found) == sorted(one.id for one in made)
    return {one.id: one for one in found}


@pytest.mark.parametrize("sampling", [GREEDY, WARM, Sampling(0.7, 0.8, 60, seed=4)])
def test_a_text_does_not_depend_on_its_batch(tiny: Loaded, sampling: Sampling) -> None:
    made = requests(12)
    alone = completions(tiny, made, sampling, 1)
    assert len({one.text for one in alone.values()}) > 3
    assert completions(tiny, made, sampling, 12) == alone
    assert completions(tiny, made[::-1][:7], sampling, 5).items() <= alone.items()
    if sampling.temperature:  # rows finish at different times, so the batch has shrunk on the way
        assert {one.finish_reason for one in alone.values()} == {"stop", "length"}


def test_greedy_text_is_that_of_transformers(tiny: Loaded) -> None:
    """An independent decoding loop: `generate` of transformers, which pads and caches in its own way."""
    model, processor = tiny
    found = completions(tiny, requests(6), GREEDY, 6)
    for request in requests(6):
        prefix = assistant_text(processor, request.prefix).ids
        inputs, _ = encode(processor, [Sample(request.query, request.image, prefix)], "left")
        output = model.generate(**inputs, max_new_tokens=GREEDY.max_tokens, do_sample=False)
        generated = output[0, inputs["input_ids"].shape[1] :].tolist()
        turn = processor.tokenizer.decode([*prefix, *generated], skip_special_tokens=True)
        assert request.prefix + found[request.id].text == turn
        assert found[request.id].tokens == len(generated)


def test_the_same_item_is_drawn_anew_for_another_seed_or_id(tiny: Loaded) -> None:
    request = requests(1)[0]
    again = Request("another", request.query, request.image)
    texts = completions(tiny, [request, again], WARM, 2)
    assert texts["item-0"].text != texts["another"].text
    other_seed = Sampling(temperature=1.0, max_tokens=60, seed=5)
    assert completions(tiny, [request], other_seed, 1)["item-0"].text != texts["item-0"].text


def test_few_requests_are_taken_ahead(tiny: Loaded) -> None:
    taken = 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        for taken in range(1, 10**9):
            yield Request(str(taken), "a1", None)

    found = TransformersEngine(*tiny, batch_size=2).generate(endless(), Sampling(max_tokens=2))
    for _ in range(5):
        next(found)
    assert taken == 2 * WINDOW


def test_the_model_is_left_as_it_was(tiny: Loaded) -> None:
    tiny.model.train()
    found = TransformersEngine(*tiny, batch_size=2).generate(requests(3), Sampling(max_tokens=2))
    next(found)  # also while somebody is looking at the completions
    assert tiny.model.training
    assert tiny.model.config.text_config._attn_implementation != GROUPED
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    tiny.model.eval()
