"""How much perception and how much reasoning count in an optimizer step.

The two objectives are L_p and L_r, the mean cross entropy of the perception and of the reasoning tokens of
the whole global batch, with gradients g_p and g_r. Every method here is a pair of coefficients (c_p, c_r);
the step follows

    c_p * g_p + c_r * g_r

Where a paper adds its weights up to the number of tasks, ours add up to 1, so that all methods mean the
same thing by a learning rate and by a largest gradient norm. Uncertainty weighting alone has a scale of its
own.

A method is a class with a `coefficients`: a file of this folder, chosen by the file's name, or in any other
file, chosen by "path/to/file.py:Class". Arguments follow after colons: "fixed:0.5", "ngdiff:floor=0.05".
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar

from percasym.errors import PercasymError
from percasym.extensions import load_class, parse_call


@dataclass(frozen=True)
class StepStatistics:
    """What is known of one optimizer step, over all micro-batches and ranks.

    `coefficients` gets the losses, norms and product only if the weighting asked for gradients; before that
    they do not exist yet and are NaN. `observe` gets the losses always.
    """

    step: int
    """Optimizer steps done before this one."""
    tokens_p: int
    """Trained perception tokens of the global batch; at least 1."""
    tokens_r: int
    """Trained reasoning tokens of the global batch; at least 1."""
    loss_p: float = math.nan
    """L_p in nats a token."""
    loss_r: float = math.nan
    norm_p: float = math.nan
    """|g_p|, Euclidean, over all trained parameters."""
    norm_r: float = math.nan
    dot: float = math.nan
    """g_p . g_r"""


class Weighting(ABC):
    """Chooses the coefficients of each step, except where a batch has tokens of one kind only."""

    needs_gradients: ClassVar[bool] = False
    """Whether `coefficients` looks at losses, norms or product: each step then computes g_p and g_r apart."""

    @abstractmethod
    def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
        """(c_p, c_r), finite and not negative, except where a method means to go against a gradient."""

    def observe(self, statistics: StepStatistics) -> None:  # noqa: B027 - most methods remember nothing
        """Learns from a step that was done. Called once a step, after `coefficients`."""

    def label(self) -> str:
        """How a reader should see a model that was trained by it; empty: as its recipe is called."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """All that must survive a restart, as JSON; `load_state_dict` takes it back."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


NAMES = tuple(sorted(module.name for module in iter_modules(__path__)))


def parse_weighting(text: str) -> Weighting:
    """A fresh weighting from its name: token_mean, fixed:0.3, ngdiff, ngdiff:0.05, path/to/file.py:Class...

    Raises:
        PercasymError: no such weighting, or arguments that it does not take.
    """
    call = parse_call(text)
    if call.path:
        return call.of(load_class(call.name, Weighting))
    if call.name not in NAMES:
        known = ", ".join("fixed:LAM" if name == "fixed" else name for name in NAMES)
        raise PercasymError(f"there is no weighting {text!r}; known: {known}, path/to/file.py:Class")
    module = import_module(f"{__name__}.{call.name}")
    defined = (found for found in vars(module).values() if isinstance(found, type))
    kind = next(c for c in defined if issubclass(c, Weighting) and c.__module__ == module.__name__)
    return call.of(kind)
