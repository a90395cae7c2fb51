import pytest
import torch

pytestmark = pytest.mark.verl


@pytest.mark.parametrize("lengths", [[5, 5, 5], [5, 3, 4], [4, 4]])
def test_positions_come_apart_into_sequences_again(lengths: list[int]) -> None:
    from tensordict import TensorDict

    from percasym.grpo.verl.plugins.positions import ragged_by_tokens

    rows = [torch.arange(4 * length).view(4, length) for length in lengths]
    nested = torch.nested.as_nested_tensor(rows, layout=torch.jagged)
    data = TensorDict({"position_ids": nested}, batch_size=[len(lengths)])
    ragged_by_tokens(data)
    for found, row in zip(data["position_ids"].unbind(), rows, strict=True):
        assert torch.equal(found, row)
