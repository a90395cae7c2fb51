"""Supervised fine-tuning: each step learns from a batch of the teacher's responses."""

import time
from pathlib import Path
from typing import Any

from percasym.datasets import read_split
from percasym.errors import PercasymError
from percasym.sft.config import SFTConfig
from percasym.sft.data import TrainingRows
from percasym.sft.losses import TokenLosses
from percasym.sft.metrics import Window, gradient_record
from percasym.sft.step import GradientComputer
from percasym.sft.weighting import parse_weighting
from percasym.sft.weighting.token_mean import TokenMean
from percasym.training import run
from percasym.training.distributed import Ranks


def train(config: SFTConfig) -> Path:
    """See `percasym.training.run.train`."""
    return run.train(config, Run)


class Run(run.TrainingRun[SFTConfig]):
    """A fine-tuning between two steps."""

    wrap = TokenLosses

    def __init__(self, config: SFTConfig, ranks: Ranks) -> None:
        if config.batch_size % ranks.world:
            raise PercasymError(
                f"batch_size {config.batch_size} cannot be dealt out to {ranks.world} ranks evenly"
            )
        super().__init__(config, ranks)
        self.weighting = parse_weighting(config.weighting)
        self.data = TrainingRows(read_split(config.dataset, config.split), self.processor, config.seed)
        if not self.data.has_captions and not isinstance(self.weighting, TokenMean):
            raise PercasymError(
                f"no response of {config.dataset} has a <caption>: {config.weighting} has nothing to weigh"
            )
        assert isinstance(self.module, TokenLosses)
        self.gradient = GradientComputer(self.module, self.parameters, ranks, self.autocast)
        self.window = Window()

    def take_step(self, rate: float, logged: bool) -> None:
        began = time.perf_counter()
        config, ranks = self.config, self.ranks
        batches = self.data.batch(
            self.step, config.batch_size, config.micro_batch_size, ranks.rank, ranks.world
        )
        batches = [batch.to(ranks.device) for batch in batches]
        self.last = self.gradient(self.step, batches, self.weighting, measure=logged)
        self.window.add(self.last, time.perf_counter() - began)
        self.descend(self.last.values, rate)

    def record(self) -> dict[str, Any]:
        figures = {**self.window.record(), **gradient_record(self.last)}
        self.window = Window()
        return figures

    def progress(self) -> dict[str, Any]:
        return {"weighting": self.weighting.state_dict(), "window": self.window.as_dict()}

    def restore(self, progress: dict[str, Any]) -> None:
        self.weighting.load_state_dict(progress["weighting"])
        self.window = Window(**progress["window"])
