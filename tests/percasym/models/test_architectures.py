"""Each architecture that is promised: prompts of its own family, generation, evaluation and fine-tuning."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from fixtures.architectures import ARCHITECTURES
from PIL import Image
from safetensors.torch import load_file

from percasym.datasets import read_split
from percasym.engines import Completion, Request, Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.evaluation import EvaluationConfig, run
from percasym.models import Loaded, load
from percasym.models.adopting import adopt
from percasym.models.prompting import Sample, assistant_text, encode, prompt_text
from percasym.response import oracle_prefix
from percasym.sft.config import SFTConfig
from percasym.sft.data import encode_turn
from percasym.sft.trainer import train

IMAGE = {"internvl": "<IMG_CONTEXT>\n"}
SYSTEM = {"qwen2_5_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"}
VISION = ("visual.", "vision_tower.", "multi_modal_projector.")
GREEDY = Sampling(max_tokens=16)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str, released: Callable[[str], Path]) -> Path:
    return released(name)


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Loaded:
    return load(folder, device="cpu")


def picture(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def requests() -> list[Request]:
    """With and without image and prefix; images of several sizes."""
    made = []
    for number in range(8):
        image = None if number % 4 == 3 else picture(number, 64 + 32 * (number % 2))
        prefix = oracle_prefix('[[4, "-"]]') if number % 2 else ""
        made.append(Request(f"item-{number}", "Solve the grid. " * (1 + number % 3), image, prefix))
    return made


def completions(loaded: Loaded, size: int, sampling: Sampling) -> dict[str, Completion]:
    found = TransformersEngine(*loaded, batch_size=size).generate(requests(), sampling)
    return {completion.id: completion for completion in found}


@pytest.mark.parametrize("has_image", [True, False])
def test_the_prompt_is_the_family_s_own(name: str, loaded: Loaded, has_image: bool) -> None:
    image = IMAGE.get(name, "<|vision_start|><|image_pad|><|vision_end|>") if has_image else ""
    user = f"<|im_start|>user\n{image}Solve it.<|im_end|>\n"
    expected = SYSTEM.get(name, "") + user + "<|im_start|>assistant\n"
    assert prompt_text(loaded.processor, "Solve it.", has_image) == expected


def test_a_prompt_with_an_image_is_what_the_processor_makes_of_the_chat(loaded: Loaded) -> None:
    parts = [{"type": "image", "image": picture(0)}, {"type": "text", "text": "Solve it."}]
    expected = loaded.processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    inputs, starts = encode(loaded.processor, [Sample("Solve it.", picture(0))], "left")
    assert set(inputs) == set(expected)
    for key, value in inputs.items():
        torch.testing.assert_close(value, expected[key], check_dtype=False)
    assert starts == [inputs["input_ids"].shape[1]]
    image_tokens = inputs["input_ids"] == loaded.model.config.image_token_id
    assert int(image_tokens.sum()) == 16
    bare, _ = encode(loaded.processor, [Sample("Solve it.", None)], "left")
    assert not (bare["input_ids"] == loaded.model.config.image_token_id).any()


def test_captions_are_found_in_pieces_of_words(loaded: Loaded) -> None:
    tokenizer = loaded.processor.tokenizer
    caption = oracle_prefix('[[4, "-"]]')
    turn = encode_turn(loaded.processor, "", f"{caption}so <answer> [[4, 1]] </answer>")
    assert len(assistant_text(loaded.processor, "<caption>").ids) > 1
    assert tokenizer.decode(turn.ids[turn.perception]) == caption
    assert tokenizer.decode(turn.ids[~turn.perception]) == "so <answer> [[4, 1]] </answer><|im_end|>"


@torch.no_grad()
def test_the_image_reaches_the_answer(loaded: Loaded) -> None:
    inputs, _ = encode(loaded.processor, [Sample("Solve it.", picture(seed)) for seed in (0, 1)], "left")
    first, second = loaded.model(**inputs).logits[:, -1].log_softmax(dim=-1)
    assert (first - second).abs().max() > 0.1


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.0, max_tokens=16, seed=1)])
def test_a_text_does_not_depend_on_its_batch(loaded: Loaded, sampling: Sampling) -> None:
    alone = completions(loaded, 1, sampling)
    assert len({completion.text for completion in alone.values()}) > 4
    assert completions(loaded, 8, sampling) == alone
    assert completions(loaded, 3, sampling) == alone


def test_greedy_text_is_that_of_transformers(loaded: Loaded) -> None:
    """An independent decoding loop, with the architecture's own way to positions."""
    model, processor = loaded
    found = completions(loaded, 8, GREEDY)
    names = ("image_token_id", "video_token_id")  # no completion may hold these
    suppressed = [getattr(model.config, name) for name in names if hasattr(model.config, name)]
    for request in requests():
        prefix = assistant_text(processor, request.prefix).ids
        inputs, _ = encode(processor, [Sample(request.query, request.image, prefix)], "left")
        output = model.generate(
            **inputs, max_new_tokens=GREEDY.max_tokens, do_sample=False, suppress_tokens=suppressed
        )
        assert found[request.id].ids == tuple(output[0, inputs["input_ids"].shape[1] :].tolist())


def test_an_evaluation_ends_with_every_item_once(folder: Path, puzzles: Path, tmp_path: Path) -> None:
    config = EvaluationConfig(
        model=str(folder), dataset=str(puzzles), out=tmp_path, max_new_tokens=8, batch_size=3, threads=1
    )
    assert list(run(config))[-1] == {"kind": "progress", "done": 8, "total": 8}
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    given = {row["id"]: oracle_prefix(row["perception"]) for row in read_split(puzzles, "test")}
    assert Counter((row["id"], row["mode"]) for row in rows) == Counter(
        (id_, mode) for id_ in given for mode in ("end_to_end", "oracle")
    )
    assert all(row["text"].startswith(given[row["id"]]) for row in rows if row["mode"] == "oracle")
    assert json.loads((tmp_path / "summary.json").read_text())["a"]["n"] == 4


def tune(model: Path, dataset: Path, out: Path, **settings: Any) -> Path:
    return train(
        SFTConfig(
            model=str(model),
            dataset=str(dataset),
            out=out,
            weighting="ngdiff",
            steps=2,
            batch_size=4,
            micro_batch_size=2,
            learning_rate=1e-3,
            threads=1,
            **settings,
        )
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def moved(before: Path, after: Path) -> set[str]:
    old, new = weights(before), weights(after)
    assert old.keys() == new.keys()
    return {name for name in old if not torch.equal(old[name], new[name])}


def test_a_tuned_checkpoint_talks_and_sees_as_before(
    folder: Path, puzzles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adopted = adopt(
        folder, tmp_path / "adopted", system="Be brief.", min_pixels=48 * 48, max_pixels=2 * 64 * 64
    )
    tuned = tune(adopted, puzzles, tmp_path / "run")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(0 < line[key] < float("inf") for line in lines for key in ("grad_norm_p", "grad_norm_r"))

    before, after = load(adopted, device="cpu"), load(tuned, device="cpu")
    assert after.processor.chat_template == before.processor.chat_template
    assert "Be brief." in prompt_text(after.processor, "Solve it.", True)
    images = [loaded.processor.image_processor.to_dict() for loaded in (before, after)]
    assert images[0] == images[1]
    sample = [Sample("Solve it.", picture(0, 200, 300))]
    theirs, ours = (encode(loaded.processor, sample, "left").inputs for loaded in (before, after))
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
    assert after.model.generation_config.eos_token_id == before.model.generation_config.eos_token_id
    configs = [loaded.model.config.to_dict() | {"_name_or_path": ""} for loaded in (before, after)]
    assert configs[0] == configs[1]
    assert moved(adopted, tuned) == set(weights(adopted))


def test_experts_are_saved_as_released_ones_are(
    released: Callable[[str], Path], puzzles: Path, tmp_path: Path
) -> None:
    """(experts, in, out), which transformers turns round when it reads them, and would not turn back."""
    folder = released("qwen3_vl_moe")
    tuned = weights(tune(folder, puzzles, tmp_path / "run"))
    model, _ = load(folder, device="cpu")
    for file, held in [("gate_up_proj", (4, 192, 64)), ("down_proj", (4, 64, 96))]:
        name = f"model.language_model.layers.0.mlp.experts.{file}"
        parameter = model.get_parameter(name)
        assert parameter.shape == held
        assert tuned[name].shape == weights(folder)[name].shape == (held[0], held[2], held[1])
        torch.testing.assert_close(tuned[name], parameter.detach().transpose(1, 2), atol=5e-3, rtol=0)


def test_a_frozen_tower_stays(folder: Path, puzzles: Path, tmp_path: Path) -> None:
    tuned = tune(folder, puzzles, tmp_path / "run", train_vision=False)
    stayed = set(weights(folder)) - moved(folder, tuned)
    assert stayed == {name for name in weights(folder) if any(part in name for part in VISION)}
    assert stayed


def test_adapters_are_merged(folder: Path, puzzles: Path, tmp_path: Path) -> None:
    tuned = tune(folder, puzzles, tmp_path / "run", lora_rank=2, train_vision=False)
    found = moved(folder, tuned)
    assert any("self_attn.q_proj" in name for name in found)
    assert not any(part in name for name in found for part in VISION)
    load(tuned, device="cpu")
