"""Checkpoints whose chat template begins a thought: prompts, SFT and GRPO alike."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from percasym.engines import Request, Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.grpo.rollouts import Rollout, caption_tokens, micro_batch
from percasym.judgement import score
from percasym.models import Loaded, load
from percasym.models.prompting import assistant_text, prompt_text, thought_opening
from percasym.puzzles import load_spec
from percasym.response import continued, opened_thought, oracle_prefix, parse
from percasym.sft.data import encode_turn

CAPTION = oracle_prefix("[[4, 1]]")
RESPONSE = f"{CAPTION} so <answer> [[4, 1]] </answer>"
QUOTE = "between <caption> and </caption>, then <answer> and </answer>"
EMPTY = "\n</think>\n\n"


@pytest.fixture(scope="module")
def opened(released: Callable[[str], Path]) -> Loaded:
    return load(released("opened"), device="cpu")


@pytest.mark.parametrize(("name", "opening"), [("opened", "<think>\n"), ("thinking", ""), ("internvl", "")])
def test_whether_a_template_begins_a_thought(
    name: str, opening: str, released: Callable[[str], Path]
) -> None:
    processor = load(released(name), device="cpu").processor
    assert thought_opening(processor) == opening
    prompt = prompt_text(processor, "Do not write <think>", has_image=True)
    assert prompt.endswith(f"<|im_start|>assistant\n{opening}")
    assert opened_thought(prompt) == opening


@pytest.mark.parametrize(
    ("opening", "text", "expected"),
    [
        ("", RESPONSE, RESPONSE),
        ("", f"<think> {QUOTE} </think> {RESPONSE}", f"<think> {QUOTE} </think> {RESPONSE}"),
        ("<think>\n", RESPONSE, EMPTY + RESPONSE),
        ("<think>", RESPONSE, EMPTY + RESPONSE),
        ("◁think▷", RESPONSE, "\n◁/think▷\n\n" + RESPONSE),
        ("<think>\n", f"<think>\n{QUOTE}{EMPTY}{RESPONSE}", f"{QUOTE}{EMPTY}{RESPONSE}"),
        ("<think>\n", f"{QUOTE}{EMPTY}{RESPONSE}", f"{QUOTE}{EMPTY}{RESPONSE}"),
        ("<think>\n", f"{CAPTION} <think> {QUOTE} </think>", f"{EMPTY}{CAPTION} <think> {QUOTE} </think>"),
        ("<think>\n", "", ""),
    ],
)
def test_a_turn_behind_an_opened_thought(opening: str, text: str, expected: str) -> None:
    found = continued(opening, text)
    assert found == expected
    if "<answer>" in text:  # however it begins, the whole is read as the text is
        assert parse(opening + found)[::2] == parse(text)[::2]


def test_the_template_s_own_turn_without_thoughts_is_ours(opened: Loaded) -> None:
    """As a server writes it that goes on with a turn."""
    processor = opened.processor
    messages = [{"role": "user", "content": "Solve."}, {"role": "assistant", "content": CAPTION}]
    theirs = processor.apply_chat_template(messages, tokenize=False)
    prompt = prompt_text(processor, "Solve.", has_image=False)
    assert theirs.startswith(prompt + continued(thought_opening(processor), CAPTION))


def test_a_caption_is_put_behind_the_thought(opened: Loaded) -> None:
    model, processor = opened
    seen = []
    request = Request("x", "Solve.", Image.new("RGB", (64, 64)), CAPTION)
    with pytest.MonkeyPatch.context() as patch:
        forward = model.forward

        def noted(**inputs: Any) -> Any:
            seen.append(processor.tokenizer.decode(inputs["input_ids"][0]))
            return forward(**inputs)

        patch.setattr(model, "forward", noted)
        engine = TransformersEngine(model, processor)
        (given,) = engine.generate([request], Sampling(max_tokens=4))
        (free,) = engine.generate([Request("x", "Solve.", None)], Sampling(max_tokens=4))
    assert seen[0].endswith(f"<|im_start|>assistant\n<think>\n{EMPTY}{CAPTION}")
    assert not given.text.startswith("<think>")
    assert free.text.startswith("<think>\n")
    assert len(free.ids) == 4


@pytest.mark.parametrize(
    ("response", "trained"),
    [
        (RESPONSE, EMPTY + RESPONSE),  # it learns to close the thought
        (f"<think>\n{QUOTE}{EMPTY}{RESPONSE}", f"{QUOTE}{EMPTY}{RESPONSE}"),
        (f"{QUOTE}{EMPTY}{RESPONSE}", f"{QUOTE}{EMPTY}{RESPONSE}"),
    ],
)
def test_what_is_trained_behind_an_opened_thought(opened: Loaded, response: str, trained: str) -> None:
    processor = opened.processor
    turn = encode_turn(processor, "", response)
    assert turn.given == 0
    assert processor.tokenizer.decode(turn.ids) == f"{trained}<|im_end|>"
    assert processor.tokenizer.decode(turn.ids[turn.perception]).strip() == CAPTION


def test_a_given_caption_is_behind_the_thought_in_training_as_well(opened: Loaded) -> None:
    turn = encode_turn(opened.processor, CAPTION, " so <answer> [[4, 1]] </answer>")
    given = opened.processor.tokenizer.decode(turn.ids[: turn.given])
    assert given == EMPTY + CAPTION
    assert turn.ids[: turn.given].tolist() == assistant_text(opened.processor, EMPTY + CAPTION).ids


@pytest.mark.parametrize("prefix", ["", CAPTION])
def test_credit_finds_the_caption_behind_the_thought(opened: Loaded, prefix: str) -> None:
    processor = opened.processor
    sampled = " so <answer> 1 </answer>" if prefix else f"{QUOTE}{EMPTY}{RESPONSE}"
    text = sampled if prefix else thought_opening(processor) + sampled
    ids = tuple(assistant_text(processor, sampled).ids)
    judged = score(load_spec('{"name": "sudoku", "config": {"rows": 2, "cols": 2}}'), None, "")  # type: ignore[arg-type]
    span = parse(prefix + text).caption_span
    image = Image.new("RGB", (64, 64))
    rollout = Rollout("x", 0, "solve", image, prefix, text, ids, False, judged, 0.0, 0.0, span)
    given = assistant_text(processor, continued(thought_opening(processor), prefix)).ids
    low, high = caption_tokens(processor, given, rollout)
    assert processor.tokenizer.decode(ids[low:high]).strip() == ("" if prefix else CAPTION)
    batch = micro_batch(processor, [rollout])
    row = batch.inputs["input_ids"][0]
    assert processor.tokenizer.decode(row[batch.perception[0]]).strip() == ("" if prefix else CAPTION)
    whole = processor.tokenizer.decode(row)
    assert whole.endswith(f"<think>\n{EMPTY}{CAPTION}{sampled}" if prefix else f"<think>\n{sampled}")
    assert np.count_nonzero((batch.perception | batch.reasoning)[0]) == len(ids)
