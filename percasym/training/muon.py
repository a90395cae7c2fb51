"""Muon (Jordan et al. 2024): momentum whose matrices are made orthogonal before they are followed.

As `torch.optim.Muon`, but all in float32. That one iterates in bfloat16, which a CPU without instructions for
it (AVX2 only) computes twenty times slower than float32, and to other weights than one that has them.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

# Of the quintic a X + b (X X') X + c (X X')^2 X, chosen for a steep slope at 0: after five iterations
# singular values lie between .7 and 1.2, which is near enough to 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
RMS = 0.2  # of AdamW's updates: of this size, Muon's share its learning rate (arXiv 2502.16982, eq. 4)


class Muon(Optimizer):
    """Steps matrices (rows, columns) by orthogonalised Nesterov momentum, with decoupled weight decay."""

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step along the gradients that there are."""
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                average = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
                direction = orthogonal(gradient.lerp(average, group["momentum"]))
                rate = group["lr"] * RMS * max(parameter.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """U V' of a matrix U S V', nearly: its singular values all made about 1, by Newton-Schulz iterations."""
    a, b, c = COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T).float()
    x = x / x.norm().clamp(min=1e-7)  # no singular value above 1
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if wide else x.T
