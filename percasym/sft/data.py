"""From the rows of a data set to the micro-batches of a step.

Which rows a step takes depends on the seed and the step's number alone, so a resumed run needs no state of
the data.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import ProcessorMixin

from percasym.errors import PercasymError
from percasym.models.prompting import Sample, assistant_text, encode, thought_opening
from percasym.models.suitability import check_rows
from percasym.response import Response, continued, parse, perception_mask
from percasym.training.batches import MicroBatch, rows_of_step


class EncodedTurn(NamedTuple):
    """The assistant's turn of one row as tokens: a prefix that is given and a response that is trained."""

    ids: NDArray[np.int32]
    given: int
    """Tokens of the prefix."""
    perception: NDArray[np.bool_]
    """Which tokens are trained as perception; after the prefix every other one is trained as reasoning."""


def encode_turn(
    processor: ProcessorMixin, prefix: str, response: str, perception: str | None = None
) -> EncodedTurn:
    """Tokenises prefix and response apart, as in generation, where the prefix is all there is at first.

    Where the chat template begins a thought, the turn goes on with it or closes it; so a response without
    thoughts learns to close it.

    Args:
        perception: p*; of several captions the one that says just this is trained as perception, else the
            first. (A teacher may quote the query outside thoughts.)
    """
    opening = thought_opening(processor)
    if prefix:
        prefix = continued(opening, prefix)
    else:
        response = continued(opening, response)
    found = parse(prefix + response, lambda caption: _same(caption, perception or ""))
    given = assistant_text(processor, prefix).ids
    trained = assistant_text(processor, response)
    offsets = [(start + len(prefix), end + len(prefix)) for start, end in trained.offsets]
    mask = [False] * len(given) + perception_mask(found, offsets)
    ids = given + trained.ids
    end = processor.tokenizer.eos_token_id
    if _is_whole(found, prefix + response) and ids[-1:] != [end]:
        ids = [*ids, end]
        mask = [*mask, False]
    return EncodedTurn(np.array(ids, np.int32), len(given), np.array(mask, np.bool_))


def _is_whole(found: Response, text: str) -> bool:
    """Whether a turn ends with this response, so that the end-of-turn token is trained.

    It does where the answer is complete, whatever stands behind it, and where a response has no structure.
    Others, as a caption alone, stop in mid-turn.
    """
    return found.answer is not None or not any(tag in text for tag in ("<caption>", "<answer>"))


def _same(caption: str, perception: str) -> bool:
    return "".join(caption.split()) == "".join(perception.split())


class TrainingRows:
    """The rows of a split in the order of training, each encoded when it is first needed."""

    def __init__(self, rows: Dataset, processor: ProcessorMixin, seed: int) -> None:
        """Args:
            rows: with the columns query, image (or None), prefix, response, and if they have it perception.

        Raises:
            PercasymError: there are no rows, one has no response, or the model cannot take some.
        """
        self.rows = rows
        self.processor = processor
        self.seed = seed
        self.has_captions = False
        self._turns: dict[int, EncodedTurn] = {}
        sizes = []
        for row in rows.select_columns(["id", "prefix", "response"]):
            if not row["response"]:
                raise PercasymError(
                    f"row {row['id']} has no response to learn from: distil the data set first"
                )
            self.has_captions = self.has_captions or "</caption>" in row["response"]
            sizes.append(len(row["prefix"]) + len(row["response"]))
        if not sizes:
            raise PercasymError("the data set has no rows to train on")
        check_rows(processor, rows)
        self._sizes = np.array(sizes)

    def batch(
        self, step: int, batch_size: int, micro_batch_size: int, rank: int, world: int
    ) -> list[MicroBatch]:
        """This rank's part of the global batch of a step, rows of similar length together to save padding."""
        chosen = rows_of_step(len(self.rows), self.seed, step, batch_size)
        chosen = chosen[np.argsort(self._sizes[chosen], kind="stable")]
        mine = chosen[rank::world]
        return [
            self._micro_batch(mine[i : i + micro_batch_size]) for i in range(0, len(mine), micro_batch_size)
        ]

    def _micro_batch(self, numbers: NDArray[np.int64]) -> MicroBatch:
        rows = [self.rows[int(number)] for number in numbers]
        turns = [self._turn(int(number), row) for number, row in zip(numbers, rows, strict=True)]
        samples = [
            Sample(row["query"], row["image"], turn.ids.tolist())
            for row, turn in zip(rows, turns, strict=True)
        ]
        batch = encode(self.processor, samples, padding="right")
        perception = torch.zeros_like(batch.inputs["input_ids"], dtype=torch.bool)
        reasoning = torch.zeros_like(perception)
        for row, (turn, start) in enumerate(zip(turns, batch.starts, strict=True)):
            first, end = start + turn.given, start + len(turn.ids)
            perception[row, start:end] = torch.from_numpy(turn.perception)
            reasoning[row, first:end] = ~perception[row, first:end]
        return MicroBatch(batch.inputs, perception, reasoning, prompt=max(batch.starts))

    def _turn(self, number: int, row: dict[str, Any]) -> EncodedTurn:
        if number not in self._turns:
            self._turns[number] = encode_turn(
                self.processor, row["prefix"], row["response"], row.get("perception")
            )
        return self._turns[number]
