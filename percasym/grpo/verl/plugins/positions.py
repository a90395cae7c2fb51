"""Positions of a batch in which all sequences have the same length, which verl 0.9.1 takes apart wrongly.

Positions in a vision-language model are (4, tokens) for each sequence. torch makes a ragged tensor of them,
and takes the tokens for its ragged dimension only if they differ in number; verl assumes that it always did.
That happens wherever prompts are equally long and all responses are cut off.
"""

from typing import Any

import verl.utils.tensordict_utils as utils
import verl.workers.engine.base
import verl.workers.engine_workers

_assume = utils.maybe_fix_3d_position_ids


def ragged_by_tokens(data: Any) -> None:
    """Puts `position_ids` in order, in place."""
    positions = data.get("position_ids", None)
    if positions is not None and positions.is_nested and positions.dim() == 3:
        values, offsets = positions.values(), positions.offsets()
        if values.shape[-1] != offsets[-1] == values.shape[0]:  # the sequences lie below each other
            rows = values.reshape(len(offsets) - 1, -1, values.shape[-1])
            data["position_ids"] = utils.nested_tensor_from_tensor_list(list(rows), ragged_idx=2)
    _assume(data)


for _module in (utils, verl.workers.engine.base, verl.workers.engine_workers):
    _module.maybe_fix_3d_position_ids = ragged_by_tokens
