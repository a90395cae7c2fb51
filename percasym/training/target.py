"""Where a training ends that is to reach an ability, not a number of steps.

How soon a miniature finds out how to reason depends on the luck of its seed: after the same steps one solves
nine puzzles in ten, and another none. So its training ends once a_r on validation items has reached a target.
"""

from dataclasses import dataclass

from transformers import PreTrainedModel, ProcessorMixin

from percasym.training.config import TrainingConfig
from percasym.training.distributed import Ranks
from percasym.training.validation import reasoning

FAR, NEAR, CLOSE = 20, 5, 1
"""Steps between two measurements, the nearer, the fewer: in 20 a_r can rise by 30 points, in 5 by 16."""
GLANCE = 48
"""Items of a measurement that is still far off, at most."""
RISING, NEXT = 0.4, 0.75
"""Shares of the target from which on it is near, and close."""


@dataclass
class Target:
    """What has been measured on the way to `target` of a config; `a_r` is the last value."""

    config: TrainingConfig
    a_r: float = 0.0

    @property
    def reached(self) -> bool:
        return 0 < self.config.target <= self.a_r

    @property
    def near(self) -> bool:
        return self.a_r >= RISING * self.config.target

    def due(self, step: int) -> bool:
        """Whether to measure after this step."""
        close = self.a_r >= NEXT * self.config.target
        return self.config.target > 0 and step % (CLOSE if close else NEAR if self.near else FAR) == 0

    def measure(self, model: PreTrainedModel, processor: ProcessorMixin, ranks: Ranks) -> dict[str, float]:
        """a_r on all validation items, or while it is far off on the first few; and of how many, `n`."""
        items = self.config.validation_items
        if not self.near:
            self.a_r, n = reasoning(self.config, model, processor, min(items, GLANCE), ranks)
        if self.near:
            self.a_r, n = reasoning(self.config, model, processor, items, ranks)
        return {"a_r": self.a_r, "n": n}
