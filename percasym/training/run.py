"""The training loop that fine-tuning and reinforcement learning share; what a step is, is theirs."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from percasym.errors import PercasymError
from percasym.folders import claim
from percasym.seeding import digest
from percasym.training.checkpoint import Checkpoints, write_folder
from percasym.training.config import TrainingConfig
from percasym.training.distributed import Ranks, connected
from percasym.training.log import StepLog
from percasym.training.model import assemble, load_for_training, save, trained_parameters
from percasym.training.optimizer import build_optimizers
from percasym.training.target import Target
from percasym.training.validation import validate

LAST_RATE = 0.05
"""The learning rate at the end of the cosine, as a share of the highest."""

# States are exchanged whole: one rank's file can be read by any number of ranks.
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, strict=False)

Config = TypeVar("Config", bound=TrainingConfig)


class TrainingRun(ABC, Generic[Config]):
    """A training run between two steps.

    A subclass says how the model is called (`wrap`), what a step is (`take_step`), and what
    of its own it must remember (`progress`, `restore`).
    """

    wrap: ClassVar[type[nn.Module]]
    """Makes a module around the model that is kept as its attribute `model`; calls go through it."""

    def __init__(self, config: Config, ranks: Ranks) -> None:
        self.config = config
        self.ranks = ranks
        if config.optimizer == "muon" and ranks.sharded:
            raise PercasymError("muon needs whole matrices, and several GPUs share them out: use adamw")
        if config.target and ranks.sharded:
            raise PercasymError("a target wants whole models, and several GPUs share one out: leave it 0")
        torch.manual_seed(config.seed)  # of new adapters
        self.model, self.processor = load_for_training(config, str(ranks.device))
        self.module = self.wrap(self.model)
        ranks.shard(self.module, self.model.base_model.language_model.layers)
        self.parameters = list(trained_parameters(self.module).values())
        self.optimizers = build_optimizers(self.model, self.parameters, config)
        self.target = Target(config)
        self.step = 0
        self.seconds = 0.0
        self.checkpoints = Checkpoints(config.out / "checkpoints")

    @abstractmethod
    def take_step(self, rate: float, logged: bool) -> None:
        """One step: finds a gradient and descends, or, where there is nothing to learn, rests. (Even a
        gradient of zeros would have the optimizers follow their momentum.)

        Args:
            rate: the learning rate.
            logged: whether `record` will be asked for after this step.
        """

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What there is to say since the last record."""

    @abstractmethod
    def progress(self) -> dict[str, Any]:
        """What a checkpoint must hold besides weights and optimizers, as JSON."""

    @abstractmethod
    def restore(self, progress: dict[str, Any]) -> None:
        """Goes back to where `progress` was taken."""

    def finish_steps(self) -> None:
        """Goes to the last checkpoint, if there is one, and from there to the end, or to the target."""
        config = self.config
        self._resume()
        self.log = self.open_log("metrics.jsonl", echo=True)
        while self.step < config.steps and not self.target.reached:
            self._one_step()
            if self.target.due(self.step):
                found = self.target.measure(self.model, self.processor, self.ranks)
                self.log.write({"kind": "target", "step": self.step, **found})
            if config.validate_every and self._due(config.validate_every):
                self.log.write({"kind": "validation", "step": self.step, **self._validate()})
            if self.step % config.checkpoint_every == 0 and self.step < config.steps:
                self._save()

    def weights(self) -> dict[str, Tensor]:
        """Every trained parameter, by its name in the model, on the CPU; empty on all ranks but the first."""
        whole = cast(dict[str, Tensor], get_model_state_dict(self.module, options=_WHOLE))
        names = trained_parameters(self.module) if self.ranks.first else {}
        return {name.removeprefix("model."): whole[name].contiguous() for name in names}

    def autocast(self) -> AbstractContextManager[None]:
        """The arithmetic that the config asks for."""
        kind, wanted = self.ranks.device.type, self.config.precision
        bfloat16 = wanted == "bfloat16" or (
            wanted == "auto" and kind == "cuda" and torch.cuda.is_bf16_supported()
        )
        return torch.autocast(kind, torch.bfloat16, enabled=bfloat16)

    def open_log(self, name: str, echo: bool) -> StepLog:
        """The file OUT/name, for lines up to the present step and from there on."""
        return StepLog(self.config.out / name, self.step, writes=self.ranks.first, echo=echo)

    def _one_step(self) -> None:
        began = time.perf_counter()
        config = self.config
        # Every step draws (dropout) from a stream of its own: no restart or validation changes it.
        torch.manual_seed(int(digest("step", config.seed, self.step, self.ranks.rank)[:15], 16))
        logged = self.step == 0 or (self.step + 1) % config.log_every == 0 or self.step + 1 == config.steps
        rate = learning_rate(config, self.step)
        self.take_step(rate, logged)
        self.step += 1
        self.seconds += time.perf_counter() - began
        if logged:
            line = {"kind": "train", "step": self.step, **self.record()}
            self.log.write({**line, "learning_rate": rate, "seconds": self.seconds})

    def descend(self, gradient: Sequence[Tensor], rate: float) -> None:
        """One step of the optimizers.

        Args:
            gradient: of each of `parameters`, over all ranks.
            rate: the learning rate.
        """
        norm = math.sqrt(self.ranks.dot(gradient, gradient))
        if not math.isfinite(norm):
            raise PercasymError(
                f"the gradient of step {self.step + 1} is not finite; try a lower learning_rate"
            )
        shrink = min(1.0, self.config.max_grad_norm / max(norm, 1e-12))
        for parameter, value in zip(self.parameters, gradient, strict=True):
            parameter.grad = value.mul_(shrink)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _validate(self) -> dict[str, Any]:
        config, figures = self.config, {}
        if self.ranks.sharded:
            weights = self.weights()
            if self.ranks.first:
                figures = validate(config, *assemble(config, weights, str(self.ranks.device)))
        elif self.ranks.first:
            figures = validate(config, self.model, self.processor)
        self.ranks.wait()
        return figures

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps or self.target.reached

    def _save(self) -> None:
        weights, optimizer = (
            self.weights(),
            get_optimizer_state_dict(self.module, self.optimizers, options=_WHOLE),
        )
        if self.ranks.first:
            progress = {"seconds": self.seconds, "a_r": self.target.a_r, **self.progress()}
            self.checkpoints.save(self.step, weights, optimizer, progress)
        self.ranks.wait()

    def _resume(self) -> None:
        last = self.checkpoints.last()
        if last is None:
            return
        self.step, weights, optimizer, progress = last
        set_model_state_dict(self.module, {f"model.{name}": x for name, x in weights.items()}, options=_WHOLE)
        set_optimizer_state_dict(self.module, self.optimizers, optimizer, options=_WHOLE)
        self.seconds, self.target.a_r = progress["seconds"], progress["a_r"]
        self.restore(progress)


def train(config: Config, kind: type[TrainingRun[Config]]) -> Path:
    """Trains, or goes on where a killed run stopped; the result is an ordinary checkpoint, OUT/model.

    Started by torchrun it trains with all ranks. A finished run is recognised and not done again.

    Raises:
        PercasymError: the model or the data cannot be used, OUT belongs to another run, a gradient is not
            finite, or the disk is full.
    """
    final = config.out / "model"
    if config.threads:
        torch.set_num_threads(config.threads)
    with connected() as ranks:
        if ranks.first:
            claim(config.out, "training", config.decisive())
        ranks.wait()
        if final.exists():
            return final
        run = kind(config, ranks)
        run.finish_steps()
        weights = run.weights()
        if ranks.first:
            model, processor = assemble(config, weights, "cpu")
            write_folder(final, [partial(save, model), processor.save_pretrained])
            run.checkpoints.remove()
        ranks.wait()
    return final


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to `LAST_RATE` of the highest; `step` counts from 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    return config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * progress)) / 2)
