"""Advantages and weights, against their definitions written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from percasym.grpo.advantages import Normalisation, group_advantages, token_weights

REWARDS = st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=5)
ALL: list[Normalisation] = ["grpo", "dr_grpo", "dapo"]


@given(REWARDS, st.sampled_from(ALL))
def test_advantages_of_a_group_cancel(rewards: list[list[float]], normalisation: Normalisation) -> None:
    advantages = group_advantages(torch.tensor(rewards, dtype=torch.float64), normalisation)
    assert advantages.sum(dim=1).abs().max() < 1e-6
    for group, row in zip(rewards, advantages.tolist(), strict=True):
        assert sorted(range(4), key=lambda i: group[i]) == sorted(range(4), key=lambda i: (row[i], group[i]))


def test_advantages_by_hand() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    assert group_advantages(rewards, "dr_grpo").tolist() == [[0.5, -0.5, -0.5, 0.5], [0, 0, 0, 0]]
    deviation = (1 / 3) ** 0.5  # of a sample of four
    expected = [[0.5 / deviation, -0.5 / deviation, -0.5 / deviation, 0.5 / deviation], [0, 0, 0, 0]]
    assert torch.allclose(group_advantages(rewards, "grpo"), torch.tensor(expected), rtol=1e-5)


@given(st.floats(0, 1, width=32), st.integers(2, 64), st.sampled_from(ALL), st.sampled_from([32, 64]))
def test_equal_rewards_are_no_advantage(
    reward: float, size: int, normalisation: Normalisation, bits: int
) -> None:
    """Exactly none: 8 times 0.7 once gave 0.056 each, and AdamW made a whole step of it."""
    rewards = torch.full((2, size), reward, dtype=torch.float32 if bits == 32 else torch.float64)
    rewards[1, 0] += 0.5
    equal, apart = group_advantages(rewards, normalisation)
    assert not equal.any()
    assert apart[0] > 0


def test_weights_by_hand() -> None:
    lengths = torch.tensor([2.0, 6.0])
    assert token_weights(lengths, "grpo", 10).tolist() == pytest.approx([1 / 4, 1 / 12])
    assert token_weights(lengths, "dr_grpo", 10).tolist() == pytest.approx([1 / 20, 1 / 20])
    assert token_weights(lengths, "dapo", 10).tolist() == pytest.approx([1 / 8, 1 / 8])
