"""Responses that the policy samples, judged, and as what the policy learns from."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from PIL.Image import Image
from transformers import ProcessorMixin

from percasym.engines import Engine, Request, Sampling
from percasym.errors import PercasymError
from percasym.judgement import Score, read_response, score
from percasym.models.prompting import Sample, assistant_text, encode, thought_opening
from percasym.puzzles.registry import load_spec
from percasym.response import Span, continued
from percasym.rewards import Reward
from percasym.surrogates import Group as SurrogateGroup
from percasym.surrogates import surrogate_values
from percasym.training.batches import MicroBatch


@dataclass(frozen=True)
class Rollout:
    """One sampled response to one item."""

    id: str
    """Of the item."""
    sample: int
    """Its number in the group."""
    query: str
    image: Image | None
    prefix: str
    """What the assistant's turn began with; it was given, not sampled."""
    text: str
    ids: tuple[int, ...]
    """The sampled tokens of `text`."""
    truncated: bool
    """Whether it was cut off for its length."""
    judged: Score
    stand_in: float
    """What the reward's surrogate says of it; 0 if it has none."""
    reward: float
    caption_span: Span | None
    """Characters of `prefix + text` that are the caption which was judged, tags included."""

    def record(self, step: int) -> dict[str, Any]:
        """A line of rollouts.jsonl."""
        return {
            "step": step,
            "id": self.id,
            "sample": self.sample,
            "reward": self.reward,
            "surrogate": self.stand_in,
            **asdict(self.judged),
            "tokens": len(self.ids),
            "truncated": self.truncated,
            "response": self.prefix + self.text,
        }


Group = list[Rollout]


@dataclass(frozen=True)
class SurrogateInputs:
    """What surrogates may use beside the responses."""

    captions: Mapping[str, str] | None = None
    """A teacher's caption of each item, by its id."""
    gains: Callable[[Sequence[Rollout]], Sequence[float]] | None = None
    """What the image adds to each caption: `percasym.grpo.blinding.image_gains` of the present policy."""


def roll_out(
    engine: Engine,
    rows: Iterable[Mapping[str, Any]],
    size: int,
    sampling: Sampling,
    reward: Reward,
    inputs: SurrogateInputs = SurrogateInputs(),
) -> list[Group]:
    """A group of `size` judged responses to each row, in the order of the rows.

    Raises:
        PercasymError: a row whose puzzle cannot be read, or a surrogate that fails or lacks what it needs.
    """
    by_id = {row["id"]: row for row in rows}
    requests = [
        Request(f"{sample}/{id_}", row["query"], row["image"], row["prefix"])
        for id_, row in by_id.items()
        for sample in range(size)
    ]
    completions = {completion.id: completion for completion in engine.generate(requests, sampling)}
    groups = []
    for id_, row in by_id.items():
        puzzle = load_spec(row["puzzle"])
        instance = puzzle.read_ground_truth(row["ground_truth"])
        group = []
        for number in range(size):
            completion = completions[f"{number}/{id_}"]
            text = row["prefix"] + completion.text
            judged = score(puzzle, instance, text)
            group.append(
                Rollout(
                    id=id_,
                    sample=number,
                    query=row["query"],
                    image=row["image"],
                    prefix=row["prefix"],
                    text=completion.text,
                    ids=completion.ids,
                    truncated=completion.finish_reason == "length",
                    judged=judged,
                    stand_in=0.0,
                    reward=reward(judged),
                    caption_span=read_response(puzzle, instance, text).caption_span,
                )
            )
        if reward.surrogate:
            stand_ins = surrogate_values(reward.surrogate, surrogate_group(group, row, inputs), id_)
            group = [
                replace(rollout, stand_in=stand_in, reward=reward(rollout.judged, stand_in))
                for rollout, stand_in in zip(group, stand_ins, strict=True)
            ]
        groups.append(group)
    return groups


def surrogate_group(group: Group, row: Mapping[str, Any], inputs: SurrogateInputs) -> SurrogateGroup:
    """A group of responses to `row` as surrogates see it.

    Raises:
        PercasymError: the teacher's captions lack the item.
    """
    caption = None
    if inputs.captions is not None:
        caption = inputs.captions.get(row["id"])
        if caption is None:
            raise PercasymError(f"the teacher's captions lack the item {row['id']}: caption this split anew")
    puzzle = load_spec(row["puzzle"])
    item = puzzle.read_ground_truth(row["ground_truth"])
    return SurrogateGroup(
        puzzle=puzzle,
        item=item,
        responses=[read_response(puzzle, item, rollout.prefix + rollout.text) for rollout in group],
        teacher=caption,
        gains=partial(inputs.gains, group) if inputs.gains else None,
    )


def micro_batch(processor: ProcessorMixin, rollouts: Sequence[Rollout]) -> MicroBatch:
    """The rollouts as one batch; of its two masks, `perception` is true on the tokens of captions."""
    opening = thought_opening(processor)
    given = [assistant_text(processor, continued(opening, rollout.prefix)).ids for rollout in rollouts]
    samples = [
        Sample(rollout.query, rollout.image, [*prefix, *rollout.ids])
        for rollout, prefix in zip(rollouts, given, strict=True)
    ]
    batch = encode(processor, samples, padding="right")
    perception = torch.zeros_like(batch.inputs["input_ids"], dtype=torch.bool)
    reasoning = torch.zeros_like(perception)
    for row, (rollout, prefix, start) in enumerate(zip(rollouts, given, batch.starts, strict=True)):
        first = start + len(prefix)
        reasoning[row, first : first + len(rollout.ids)] = True
        low, high = caption_tokens(processor, prefix, rollout)
        reasoning[row, first + low : first + high] = False
        perception[row, first + low : first + high] = True
    return MicroBatch(batch.inputs, perception, reasoning, prompt=max(batch.starts))


def caption_tokens(processor: ProcessorMixin, prefix: Sequence[int], rollout: Rollout) -> tuple[int, int]:
    """The sampled tokens from `low` to before `high` that share a character with the caption or its tags.

    Sampled tokens need not be those that the tokenizer would choose for the text, so the text is not
    tokenised again: how far the first n tokens reach in the text is found by decoding them.
    """
    span = rollout.caption_span
    begun = len(rollout.prefix or thought_opening(processor))  # what of the text was not sampled
    if span is None or span[1] <= begun:
        return 0, 0

    def decoded(count: int) -> int:
        """Characters of the prefix and the first `count` sampled tokens."""
        ids = [*prefix, *rollout.ids[:count]]
        text: str = processor.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return len(text)

    start = decoded(0) - begun
    counts = range(len(rollout.ids) + 1)
    low = bisect_left(counts, max(span[0], begun) + 1 + start, key=decoded)
    return max(0, low - 1), bisect_left(counts, span[1] + start, key=decoded)
