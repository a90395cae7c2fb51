"""A completion ends exactly behind the stop text, whatever tokens it is made of."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from percasym.engines import Completion, Request, Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.errors import PercasymError
from percasym.miniature import TinyConfig
from percasym.models import Loaded, load
from percasym.models.tiny import build_tiny

STOP = "</answer>"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    out: Path = tmp_path_factory.mktemp("tiny")
    return load(build_tiny(TinyConfig(layers=1, vision_layers=1), ["a1", "b2"], out), device="cpu")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and merges that cross both borders of the tag, as in the vocabularies of large models."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [
        (">", "."),
        (">", "<"),
        ("Ġ", "<"),
        ("a", "n"),
        ("an", "s"),
        ("w", "e"),
        ("we", "r"),
        ("Ġ", "a"),
    ]
    pieces = ["<end>", "<pad>", *alphabet, *(left + right for left, right in merges)]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>")


def say(
    tiny: Loaded,
    ids: list[int],
    prefix: str = "",
    seen: list[list[int]] | None = None,
    fill: float = 0.0,
    **sampling: Any,
) -> Completion:
    """What becomes of the tokens `ids` when a model says them one by one, and then the last for ever.

    Args:
        seen: gets what the model is given at each step.
        fill: logits of the other tokens.
    """
    saying = iter(ids)

    def forward(past_key_values: Any, **inputs: Any) -> SimpleNamespace:
        if seen is not None:
            seen.append(inputs["input_ids"][0].tolist())
        logits = torch.full((1, 1, len(tiny.processor.tokenizer)), fill)
        logits[..., next(saying, ids[-1])] = 1
        return SimpleNamespace(logits=logits)

    engine = TransformersEngine(*tiny, batch_size=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny.model, "forward", forward)
        (completion,) = engine.generate([Request("one", "a1", None, prefix)], Sampling(**sampling))
    return completion


@pytest.fixture(scope="module")
def bytewise(tiny: Loaded) -> Loaded:
    processor = copy.copy(tiny.processor)
    processor.tokenizer = byte_tokenizer()
    return Loaded(tiny.model, processor)


def test_a_tag_of_one_token(tiny: Loaded) -> None:
    ids = tiny.processor.tokenizer("a1 <answer> b2 </answer> a1 a1", add_special_tokens=False)["input_ids"]
    assert say(tiny, ids) == Completion("one", "a1 <answer> b2 </answer>", 4, "stop", tuple(ids[:4]))
    assert say(tiny, ids, max_tokens=3) == Completion("one", "a1 <answer> b2", 3, "length", tuple(ids[:3]))
    assert say(tiny, ids, max_tokens=4).finish_reason == "stop"
    assert say(tiny, ids, stop="b2").text == "a1 <answer> b2"
    assert say(tiny, ids, stop="", max_tokens=6).text == "a1 <answer> b2 </answer> a1 a1"


def test_a_stop_in_the_prefix_stops_nothing(tiny: Loaded) -> None:
    ids = tiny.processor.tokenizer("a1 </answer> a1", add_special_tokens=False)["input_ids"]
    prefix = "<caption> </answer> </caption>"
    assert say(tiny, ids, prefix=prefix) == Completion("one", " a1 </answer>", 2, "stop", tuple(ids[:2]))


def thinking(loaded: Loaded) -> Loaded:
    """The same with a template that begins a thought."""
    processor = copy.copy(loaded.processor)
    processor.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    return Loaded(loaded.model, processor)


@pytest.mark.parametrize("opened", [False, True])
def test_a_stop_in_a_thought_stops_nothing(bytewise: Loaded, opened: bool) -> None:
    model = thinking(bytewise) if opened else bytewise
    thought = "between <answer> and </answer>\n</think>\n\n"
    text = ("" if opened else "<think>\n") + thought + "<answer> 4 </answer>"
    ids = model.processor.tokenizer(text + " and on")["input_ids"]
    found = say(model, ids)
    assert found.text == f"<think>\n{thought}<answer> 4 </answer>"
    assert found.finish_reason == "stop"
    assert found.ids == tuple(ids[: found.tokens])
    cut = say(
        model, ids, max_tokens=len(model.processor.tokenizer(text.partition("</think>")[0])["input_ids"])
    )
    assert (cut.text, cut.finish_reason) == ("<think>\nbetween <answer> and </answer>\n", "length")


def test_what_is_opened_in_mid_turn_may_be_a_thought(bytewise: Loaded) -> None:
    """Or not, which shows at the end."""
    tokenizer = bytewise.processor.tokenizer
    text = "so <think> a </answer> b </think> c </answer>"
    assert say(bytewise, tokenizer(text + " d")["input_ids"]).text == text
    never_closed = [*tokenizer("so <think> a </answer> b")["input_ids"], tokenizer.eos_token_id]
    assert say(bytewise, never_closed).text == "so <think> a </answer>"


def test_a_prefix_is_no_thought(bytewise: Loaded) -> None:
    """The opening of the template is closed, as Qwen3-VL-Thinking's writes a turn without thoughts."""
    model = thinking(bytewise)
    seen: list[list[int]] = []
    tokenizer = model.processor.tokenizer
    ids = tokenizer(" so </answer>")["input_ids"]
    given = tokenizer("\n</think>\n\n<caption> 4 </caption>")["input_ids"]
    found = say(model, ids, prefix="<caption> 4 </caption>", seen=seen)
    assert found.text == " so </answer>"
    assert seen[0][-len(given) :] == given
    assert tokenizer.decode(seen[0]).endswith("<think>\n\n</think>\n\n<caption> 4 </caption>")


def test_logits_that_are_not_finite_are_one_line(tiny: Loaded) -> None:
    for value in (torch.nan, torch.inf):
        with pytest.raises(PercasymError, match=r"the logits of .*tiny.* are not finite") as error:
            say(tiny, [5], fill=value)
        assert "\n" not in str(error.value)


def test_the_end_of_the_turn_is_no_text(tiny: Loaded) -> None:
    tokenizer = tiny.processor.tokenizer
    ids = [*tokenizer("a1 b2", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id, 30]
    assert say(tiny, ids) == Completion("one", "a1 b2", 3, "stop", tuple(ids[:3]))


@settings(max_examples=60, deadline=None)
@given(
    before=st.text(st.sampled_from("an <>./wé🙂\n"), max_size=12),
    after=st.text(st.sampled_from("an <>./wé🙂\n"), max_size=6),
    closed=st.booleans(),
)
def test_a_tag_of_many_tokens_is_cut_within_a_token(
    bytewise: Loaded, before: str, after: str, closed: bool
) -> None:
    tokenizer = bytewise.processor.tokenizer
    text = before + (STOP if closed else "") + after
    ids = tokenizer(text)["input_ids"]
    found = say(bytewise, [*ids, tokenizer.eos_token_id])
    assert found.text == before + (STOP if closed else after)
    assert found.finish_reason == "stop"
    if closed:  # not a token too many, and not one too few
        assert STOP in tokenizer.decode(ids[: found.tokens])
        assert STOP not in tokenizer.decode(ids[: found.tokens - 1])


def test_the_tokens_of_the_stop_may_end_in_other_text(bytewise: Loaded) -> None:
    """The case that a comparison of token ids would miss: ">." is one token."""
    ids = bytewise.processor.tokenizer("<answer> 4 </answer>. And")["input_ids"]
    assert ">." in bytewise.processor.tokenizer.convert_ids_to_tokens(ids)
    assert say(bytewise, ids, prefix="<caption> 4 </caption>").text == "<answer> 4 </answer>"


def test_a_stop_without_visible_ascii(bytewise: Loaded) -> None:
    ids = bytewise.processor.tokenizer("wé\nan")["input_ids"]
    assert say(bytewise, ids, stop="é").text == "wé"
    assert say(bytewise, ids, stop="\n").text == "wé\n"
