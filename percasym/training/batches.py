"""Which rows a step learns from, and how they go through the model."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from percasym.seeding import numpy_stream, stream

# Of a model's inputs, those with one column a token.
TOKEN_INPUTS = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")


class MicroBatch(NamedTuple):
    """Rows that go through the model at once, padded on the right."""

    inputs: dict[str, Tensor]
    """The model's keyword arguments; `input_ids` is (rows, length)."""
    perception: Tensor
    """(rows, length) bool: trained tokens of the caption."""
    reasoning: Tensor
    """(rows, length) bool: every other trained token."""
    prompt: int
    """Columns that hold all prompts, and with them all images."""

    def perception_prefix(self) -> "MicroBatch":
        """The batch cut off after its last perception token, and without reasoning to train.

        Attention is causal and the caption comes first, so L_p and its gradient are the same as on the
        whole batch, at the price of prompt, image and caption.
        """
        length = max([self.prompt, *(self.perception.any(dim=0).nonzero().flatten() + 1).tolist()])
        inputs = {name: x[:, :length] if name in TOKEN_INPUTS else x for name, x in self.inputs.items()}
        perception, reasoning = self.perception[:, :length], self.reasoning[:, :length]
        return MicroBatch(inputs, perception, torch.zeros_like(reasoning), self.prompt)

    def without_perception(self) -> "MicroBatch":
        return self._replace(perception=torch.zeros_like(self.perception))

    def to(self, device: torch.device) -> "MicroBatch":
        inputs = {name: x.to(device, non_blocking=True) for name, x in self.inputs.items()}
        return MicroBatch(inputs, self.perception.to(device), self.reasoning.to(device), self.prompt)


def rows_of_step(rows: int, seed: int, step: int, batch_size: int) -> NDArray[np.int64]:
    """The row numbers of one global batch: the next `batch_size` of an endless series of shuffled epochs."""
    first = step * batch_size
    return np.fromiter(_series(rows, seed, first), np.int64, batch_size)


def _series(rows: int, seed: int, first: int) -> Iterator[int]:
    epoch, place = divmod(first, rows)
    while True:
        order = numpy_stream(stream("order of rows", seed, epoch)).permutation(rows)
        yield from order[place:].tolist()
        epoch, place = epoch + 1, 0
