"""The clipped surrogate and the divergence, token by token."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, kl_divergence

from percasym.grpo.losses import divergence, policy_loss

LOGARITHM = st.floats(-3, 0)


@given(LOGARITHM, LOGARITHM, st.floats(-2, 2))
def test_the_surrogate_is_ppos(new: float, old: float, advantage: float) -> None:
    tensors = [torch.tensor([x], dtype=torch.float64) for x in (new, old, advantage)]
    found = policy_loss(*tensors, low=0.2, high=0.3)
    ratio = float((tensors[0] - tensors[1]).exp())
    expected = -min(ratio * advantage, max(0.8, min(1.3, ratio)) * advantage)
    assert float(found.loss) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ratio", "advantage", "learns"),
    [(1.0, 1.0, True), (1.5, 1.0, False), (1.5, -1.0, True), (0.5, 1.0, True), (0.5, -1.0, False)],
)
def test_a_clipped_token_has_no_gradient(ratio: float, advantage: float, learns: bool) -> None:
    new = torch.tensor([ratio]).log().requires_grad_()
    found = policy_loss(new, torch.zeros(1), torch.tensor([advantage]), low=0.2, high=0.2)
    found.loss.sum().backward()
    assert new.grad is not None
    assert bool(new.grad.abs() > 0) == learns == (not bool(found.clipped))


def test_the_divergence_is_unbiased_and_never_negative() -> None:
    torch.manual_seed(0)
    policy = Categorical(logits=torch.randn(20, dtype=torch.float64))
    reference = Categorical(logits=torch.randn(20, dtype=torch.float64))
    tokens = policy.sample((200_000,))
    gaps = divergence(policy.log_prob(tokens), reference.log_prob(tokens))
    assert gaps.min() >= 0
    assert float(gaps.mean()) == pytest.approx(float(kl_divergence(policy, reference)), rel=0.03)
    same = policy.log_prob(tokens[:5])
    assert divergence(same, same).tolist() == [0] * 5
