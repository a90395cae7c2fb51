"""Words are single tokens, anything else has a way in and out, and tags stay whole."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from percasym.models.tiny import VISION_TOKENS
from percasym.models.tokenizer import TAGS, word_tokenizer
from percasym.response import parse

WORDS = ["a1", "a2", "b1", "-", "3", "4", ",", "0", "1", "so", "because", "solve"]
VISIBLE = "".join(character for character in string.printable if not character.isspace())


def make(words: list[str]) -> PreTrainedTokenizerFast:
    return word_tokenizer(words, VISION_TOKENS["qwen3_vl"])


TOKENIZER = make(WORDS)


def tokens(text: str) -> list[str]:
    return TOKENIZER.convert_ids_to_tokens(TOKENIZER(text)["input_ids"])


def decode(text: str) -> str:
    return TOKENIZER.decode(TOKENIZER(text)["input_ids"], skip_special_tokens=True)


def is_free_of_tags(word: str) -> bool:
    return not any(tag in word for tag in (*TAGS, *TOKENIZER.all_special_tokens))


words = st.one_of(
    st.sampled_from([*WORDS, *TAGS]),
    st.text(alphabet=VISIBLE, min_size=1, max_size=100).filter(is_free_of_tags),
)


@given(st.lists(words).map(" ".join))
def test_any_ascii_text_comes_back(text: str) -> None:
    assert decode(text) == text


@given(st.lists(st.sampled_from([*WORDS, *TAGS]), min_size=1))
def test_known_words_and_tags_are_single_tokens(chosen: list[str]) -> None:
    assert tokens(" ".join(chosen)) == chosen


@given(st.lists(words), st.data())
def test_offsets_cut_the_text_exactly(chosen: list[str], data: st.DataObject) -> None:
    spaces = [data.draw(st.sampled_from([" ", "\n", "\t  "])) for _ in chosen]
    text = "".join(word + space for word, space in zip(chosen, spaces, strict=True))
    encoded = TOKENIZER(text, return_offsets_mapping=True)
    pieces = [text[start:end] for start, end in encoded["offset_mapping"]]
    assert pieces == [token.lstrip("‿") for token in TOKENIZER.convert_ids_to_tokens(encoded["input_ids"])]
    assert "".join(pieces) == "".join(chosen)


def test_a_glued_tag_is_still_one_token_and_parses_alike() -> None:
    text = "<caption>a1 3 a2 -</caption>so\n<answer>a2 4</answer>"
    spaced = "<caption> a1 3 a2 - </caption> so <answer> a2 4 </answer>"
    assert decode(text) == spaced
    assert set(TAGS) <= set(tokens(text))
    for response in (parse(text), parse(spaced)):
        assert response.caption is not None
        assert response.caption.split() == ["a1", "3", "a2", "-"]
        assert response.answer is not None
        assert response.answer.split() == ["a2", "4"]


def test_what_is_not_ascii_or_too_long_is_unknown() -> None:
    assert tokens(f"so été {'a' * 101} because") == ["so", "<|unknown|>", "<|unknown|>", "because"]


def test_numbers_depend_on_the_set_of_words_alone() -> None:
    assert make(WORDS).get_vocab() == make([*reversed(WORDS), *WORDS]).get_vocab()
    assert sorted(TOKENIZER.get_vocab().values()) == list(range(len(TOKENIZER)))


@pytest.mark.parametrize("word", ["", "two words", " padded"])
def test_a_word_with_white_space_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="not one word"):
        make([word])
