"""Muon in float32, against torch's own in bfloat16 and against a singular value decomposition."""

import pytest
import torch
from torch import nn

from percasym.training.muon import Muon, orthogonal

SHAPES = [(16, 16), (8, 24), (24, 8), (1, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_become_about_1(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, before, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix)
    values = torch.diagonal(u.T @ found @ v.T)
    assert torch.allclose(u.T @ found @ v.T, torch.diag(values), atol=1e-4)  # the vectors stay
    large = before > 0.1 * before.max()
    assert values[large].min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("shape", SHAPES)
def test_it_steps_as_torchs_own_does(shape: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=draw)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    own = Muon([ours], lr=0.02, weight_decay=0.1)
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(10):
        ours.grad = torch.randn(shape, generator=draw)
        theirs.grad = ours.grad.clone()
        own.step()
        reference.step()
    moved, apart = (theirs - start).norm(), (ours - theirs).norm()
    assert apart < 0.02 * moved  # what bfloat16 rounds away


def test_no_gradient_is_no_step() -> None:
    parameter = nn.Parameter(torch.ones(2, 2))
    Muon([parameter], lr=1.0, weight_decay=0.5).step()
    assert torch.equal(parameter, torch.ones(2, 2))
