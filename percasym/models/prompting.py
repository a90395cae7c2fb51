"""From queries, images and texts to what a model takes: the same for training and for generation.

Some chat templates begin a thought for the model: the prompt of Qwen3-VL-Thinking ends with `<think>`. What
is written for the assistant, a caption say, is no thought, so the thought is closed before it, empty; see
`percasym.response.continued`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from PIL.Image import Image
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from percasym.response import opened_thought

# What a processor returns one value for each token of; everything else that it returns belongs to the images.
_PER_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")


class Sample(NamedTuple):
    """One conversation: the user's turn, and the beginning or all of the assistant's, as tokens."""

    query: str
    image: Image | None
    assistant: Sequence[int] = ()


class Batch(NamedTuple):
    """What a model takes.

    Attributes:
        inputs: keyword arguments of the model's `forward` and `generate`: `input_ids` and `attention_mask` of
            shape (samples, length), what the architecture wants beside them, and the tensors of the images,
            those of all samples one after the other.
        starts: for each sample the column of its first assistant token; the others follow, and with padding
            on the left they end the row.
    """

    inputs: dict[str, torch.Tensor]
    starts: list[int]


class AssistantText(NamedTuple):
    """Tokens of a text of the assistant, each with its (start, end) character offsets in that text."""

    ids: list[int]
    offsets: list[tuple[int, int]]


def prompt_text(writer: ProcessorMixin | PreTrainedTokenizerBase, query: str, has_image: bool) -> str:
    """The prompt as the chat template writes it: one user turn, and the opening of the assistant's.

    Args:
        writer: the processor of a vision-language model, or the tokenizer of a text model.
    """
    parts = [{"type": "text", "text": query}]
    if has_image:
        parts.insert(0, {"type": "image"})
    # Templates of text models know no parts.
    content = query if isinstance(writer, PreTrainedTokenizerBase) else parts
    messages = [{"role": "user", "content": content}]
    text: str = writer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text


def thought_opening(writer: ProcessorMixin | PreTrainedTokenizerBase) -> str:
    """What every prompt ends with that begins a thought for the model, say "<think>\\n"; mostly ""."""
    return opened_thought(prompt_text(writer, "", has_image=False))


def assistant_text(processor: ProcessorMixin, text: str) -> AssistantText:
    """Tokenises a text of the assistant, apart from the prompt, as generation does."""
    encoded = processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return AssistantText(encoded["input_ids"], encoded["offset_mapping"])


def written_text(tokenizer: PreTrainedTokenizerBase, given: Sequence[int], generated: Sequence[int]) -> str:
    """The text of `generated` as it goes on from `given`: with a space where the tokenizer puts one."""

    def decoded(ids: Sequence[int]) -> str:
        text: str = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    return decoded([*given, *generated])[len(decoded(given)) :]


def encode(processor: ProcessorMixin, samples: Sequence[Sample], padding: Literal["left", "right"]) -> Batch:
    """One padded batch of `samples`, of which all, some or none have an image.

    Padding goes on the right for training and on the left for generation.
    """
    prompts: dict[int, dict[str, list[int]]] = {}
    inputs: dict[str, torch.Tensor] = {}
    # With and without image apart: a processor wants an image for each text, or none at all.
    for has_image in (True, False):
        numbers = [number for number, sample in enumerate(samples) if (sample.image is not None) == has_image]
        if not numbers:
            continue
        texts = [prompt_text(processor, samples[number].query, has_image) for number in numbers]
        images = [[samples[number].image] for number in numbers] if has_image else None
        encoded = processor(text=texts, images=images, images_kwargs={"return_tensors": "pt"})
        tokens = {key: encoded.pop(key) for key in _PER_TOKEN if key in encoded}
        inputs.update(encoded)
        for row, number in enumerate(numbers):
            prompts[number] = {key: values[row] for key, values in tokens.items()}

    lengths = [len(prompts[number]["input_ids"]) for number in range(len(samples))]
    totals = [length + len(sample.assistant) for length, sample in zip(lengths, samples, strict=True)]
    firsts = [max(totals) - total if padding == "left" else 0 for total in totals]
    for key in {key: None for prompt in prompts.values() for key in prompt}:
        filling = processor.tokenizer.pad_token_id if key == "input_ids" else 0
        padded = torch.full((len(samples), max(totals)), filling, dtype=torch.long)
        for number, sample in enumerate(samples):
            # Beyond the prompt every token is text (type 0) and attended to.
            assistant = {"input_ids": sample.assistant, "attention_mask": [1] * len(sample.assistant)}
            values = [*prompts[number][key], *assistant.get(key, [0] * len(sample.assistant))]
            padded[number, firsts[number] : firsts[number] + totals[number]] = torch.tensor(values)
        inputs[key] = padded
    return Batch(inputs, [first + length for first, length in zip(firsts, lengths, strict=True)])
