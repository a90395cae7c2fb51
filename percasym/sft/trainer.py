"""The training loop."""

import json
import math
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from percasym.datasets import read_split
from percasym.errors import PercasymError
from percasym.seeding import digest
from percasym.sft.checkpoint import Checkpoints, write_folder, write_text
from percasym.sft.config import SFTConfig
from percasym.sft.data import TrainingRows
from percasym.sft.distributed import Ranks, connected
from percasym.sft.losses import TokenLosses
from percasym.sft.metrics import MetricsLog, Window, gradient_record
from percasym.sft.model import assemble, load_for_training, trained_parameters
from percasym.sft.optimizer import build_optimizers
from percasym.sft.step import Gradient, GradientComputer
from percasym.sft.validation import validate
from percasym.sft.weighting import TokenMean, parse_weighting

LAST_RATE = 0.05
"""The learning rate at the end of the cosine, as a share of the highest."""

# States are exchanged whole: one rank's file can be read by any number of ranks.
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, strict=False)


def train(config: SFTConfig) -> Path:
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
            _claim(config)
        ranks.wait()
        if final.exists():
            return final
        run = Run(config, ranks)
        run.finish_steps()
        weights = run.weights()
        if ranks.first:
            model, processor = assemble(config, weights, "cpu")
            write_folder(final, [model.save_pretrained, processor.save_pretrained])
            run.checkpoints.remove()
        ranks.wait()
    return final


def learning_rate(config: SFTConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to `LAST_RATE` of the highest; `step` counts from 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    return config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * progress)) / 2)


class Run:
    """A training run between two steps."""

    def __init__(self, config: SFTConfig, ranks: Ranks) -> None:
        """Prepares everything and goes to the last checkpoint, if there is one."""
        self.config = config
        self.ranks = ranks
        if config.batch_size % ranks.world:
            raise PercasymError(
                f"batch_size {config.batch_size} cannot be dealt out to {ranks.world} ranks evenly"
            )
        if config.optimizer == "muon" and ranks.sharded:
            raise PercasymError("muon needs whole matrices, and several GPUs share them out: use adamw")
        self.weighting = parse_weighting(config.weighting)
        torch.manual_seed(config.seed)  # of new adapters
        self.model, self.processor = load_for_training(config, str(ranks.device))
        self.data = TrainingRows(read_split(config.dataset, config.split), self.processor, config.seed)
        if not self.data.has_captions and not isinstance(self.weighting, TokenMean):
            raise PercasymError(
                f"no response of {config.dataset} has a <caption>: {config.weighting} has nothing to weigh"
            )
        self.losses = TokenLosses(self.model)
        ranks.shard(self.losses, self.model.base_model.language_model.layers)
        parameters = list(trained_parameters(self.losses).values())
        self.gradient = GradientComputer(self.losses, parameters, ranks, self._autocast)
        self.optimizers = build_optimizers(self.model, parameters, config)
        self.step = 0
        self.window = Window()
        self.seconds = 0.0
        self.checkpoints = Checkpoints(config.out / "checkpoints")
        self._resume()
        self.log = MetricsLog(config.out / "metrics.jsonl", self.step, writes=ranks.first)

    def finish_steps(self) -> None:
        config = self.config
        while self.step < config.steps:
            self._one_step()
            if config.validate_every and self._due(config.validate_every):
                self.log.write({"kind": "validation", "step": self.step, **self._validate()})
            if self.step % config.checkpoint_every == 0 and self.step < config.steps:
                self._save()

    def weights(self) -> dict[str, Tensor]:
        """Every trained parameter, by its name in the model, on the CPU; empty on all ranks but the first."""
        whole = cast(dict[str, Tensor], get_model_state_dict(self.losses, options=_WHOLE))
        names = trained_parameters(self.losses) if self.ranks.first else {}
        return {name.removeprefix("model."): whole[name].contiguous() for name in names}

    def _one_step(self) -> None:
        began = time.perf_counter()
        config = self.config
        # Every step draws (dropout) from a stream of its own: no restart or validation changes it.
        torch.manual_seed(int(digest("step", config.seed, self.step, self.ranks.rank)[:15], 16))
        batches = [
            batch.to(self.ranks.device)
            for batch in self.data.batch(
                self.step, config.batch_size, config.micro_batch_size, self.ranks.rank, self.ranks.world
            )
        ]
        logged = self.step == 0 or (self.step + 1) % config.log_every == 0 or self.step + 1 == config.steps
        gradient = self.gradient(self.step, batches, self.weighting, measure=logged)
        rate = self._update(gradient)
        self.step += 1
        seconds = time.perf_counter() - began
        self.seconds += seconds
        self.window.add(gradient, seconds)
        if logged:
            self.log.write(
                {
                    "kind": "train",
                    "step": self.step,
                    **self.window.record(),
                    **gradient_record(gradient),
                    "learning_rate": rate,
                    "seconds": self.seconds,
                }
            )
            self.window = Window()

    def _update(self, gradient: Gradient) -> float:
        """One step of the optimizers; returns the learning rate."""
        norm = math.sqrt(self.ranks.dot(gradient.values, gradient.values))
        if not math.isfinite(norm):
            raise PercasymError(
                f"the gradient of step {self.step + 1} is not finite; try a lower learning_rate"
            )
        shrink = min(1.0, self.config.max_grad_norm / max(norm, 1e-12))
        for parameter, value in zip(self.gradient.parameters, gradient.values, strict=True):
            parameter.grad = value.mul_(shrink)
        rate = learning_rate(self.config, self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return rate

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
        return self.step % every == 0 or self.step == self.config.steps

    def _save(self) -> None:
        weights, optimizer = (
            self.weights(),
            get_optimizer_state_dict(self.losses, self.optimizers, options=_WHOLE),
        )
        if self.ranks.first:
            progress = {
                "weighting": self.weighting.state_dict(),
                "window": self.window.as_dict(),
                "seconds": self.seconds,
            }
            self.checkpoints.save(self.step, weights, optimizer, progress)
        self.ranks.wait()

    def _resume(self) -> None:
        last = self.checkpoints.last()
        if last is None:
            return
        self.step, weights, optimizer, progress = last
        set_model_state_dict(self.losses, {f"model.{name}": x for name, x in weights.items()}, options=_WHOLE)
        set_optimizer_state_dict(self.losses, self.optimizers, optimizer, options=_WHOLE)
        self.weighting.load_state_dict(progress["weighting"])
        self.window = Window(**progress["window"])
        self.seconds = progress["seconds"]

    def _autocast(self) -> AbstractContextManager[None]:
        kind, wanted = self.ranks.device.type, self.config.precision
        bfloat16 = wanted == "bfloat16" or (
            wanted == "auto" and kind == "cuda" and torch.cuda.is_bf16_supported()
        )
        return torch.autocast(kind, torch.bfloat16, enabled=bfloat16)


def _claim(config: SFTConfig) -> None:
    """Makes OUT the folder of this config, or finds that it is already."""
    note = config.out / "config.json"
    if not note.exists():
        config.out.mkdir(parents=True, exist_ok=True)
        write_text(note, json.dumps({"digest": config.digest(), **config.model_dump(mode="json")}, indent=2))
    elif json.loads(note.read_text())["digest"] != config.digest():
        raise PercasymError(f"{config.out} holds a run of another config: delete it or choose another folder")
