"""GRPO with the embedded engine: sample groups, judge them, follow what was better than its group."""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from percasym.captioning import read_captions
from percasym.datasets import read_split
from percasym.engines import Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.errors import PercasymError
from percasym.grpo.advantages import group_advantages, token_weights
from percasym.grpo.blinding import image_gains
from percasym.grpo.config import GRPOConfig
from percasym.grpo.figures import mean_figures, step_figures
from percasym.grpo.losses import TokenLogProbabilities, divergence, policy_loss
from percasym.grpo.rollouts import Group, Rollout, SurrogateInputs, micro_batch, roll_out
from percasym.models import load
from percasym.models.suitability import check_rows
from percasym.rewards import parse_reward
from percasym.seeding import digest
from percasym.training import run
from percasym.training.batches import MicroBatch, rows_of_step
from percasym.training.distributed import Ranks
from percasym.training.log import StepLog

ROLLOUTS = "rollouts.jsonl"
NOTHING_LEARNT = {"loss": 0.0, "clipped": 0.0}


def train(config: GRPOConfig) -> Path:
    """See `percasym.training.run.train`; OUT also gets rollouts.jsonl, every response with its scores."""
    return run.train(config, Run)


class PolicyBatch(NamedTuple):
    """Rollouts that go through the model at once; the last four are of each of their tokens."""

    tokens: MicroBatch
    advantages: Tensor
    weights: Tensor
    old: Tensor | None = None
    """Log-probabilities when they were drawn; None: as the policy has them now."""
    reference: Tensor | None = None
    """Log-probabilities of the start checkpoint, if it is to hold the policy back."""


class Run(run.TrainingRun[GRPOConfig]):
    """A reinforcement learning between two steps."""

    wrap = TokenLogProbabilities

    def __init__(self, config: GRPOConfig, ranks: Ranks) -> None:
        if ranks.world > 1:
            raise PercasymError("the embedded GRPO trains in one process; for several GPUs use verl")
        super().__init__(config, ranks)
        self.rows = read_split(config.dataset, config.split)
        if len(self.rows) < config.prompts:
            raise PercasymError(
                f"{config.prompts} prompts a step want more than the {len(self.rows)} rows of {config.split}"
            )
        check_rows(self.processor, self.rows)
        self.reward = parse_reward(config.reward)
        captions = read_captions(config.captions) if config.captions else None
        self.inputs = SurrogateInputs(captions, self._gains)
        self.engine = TransformersEngine(
            self.model, self.processor, min(config.validation_batch_size, config.prompts * config.group_size)
        )
        self.reference = TokenLogProbabilities(self._start()) if config.kl else None
        self.window: list[dict[str, float]] = []

    def take_step(self, rate: float, logged: bool) -> None:
        began = time.perf_counter()
        groups = self.rollout()
        sampled = time.perf_counter()
        figures = self.update(groups, rate)
        ended = time.perf_counter()
        records = [[rollout.record(self.step + 1) for rollout in group] for group in groups]
        for record in (record for group in records for record in group):
            self.rollout_log.write(record)
        self.window.append(
            {
                **step_figures(records),
                **mean_figures(figures),
                "generation_seconds": sampled - began,
                "update_seconds": ended - sampled,
                "tokens_per_s": sum(len(r.ids) for g in groups for r in g) / (sampled - began),
            }
        )

    def rollout(self) -> list[Group]:
        """The judged responses of the present policy to the items of this step."""
        config = self.config
        numbers = rows_of_step(len(self.rows), config.seed, self.step, config.prompts)
        sampling = Sampling(
            temperature=config.temperature,
            max_tokens=config.max_new_tokens,
            seed=int(digest("rollouts", config.seed, self.step)[:15], 16),
        )
        rows = [self.rows[int(number)] for number in numbers]
        return roll_out(self.engine, rows, config.group_size, sampling, self.reward, self.inputs)

    def update(self, groups: Sequence[Group], rate: float) -> list[dict[str, float]]:
        """Follows the advantages of a step's rollouts, `config.updates` times; the figures of each time."""
        batches = self.batches(groups)
        if not batches:
            return [NOTHING_LEARNT]
        figures = []
        for _ in range(self.config.updates):
            gradient, found = self.gradient(batches)
            self.descend(gradient, rate)
            figures.append(found)
        return figures

    @cached_property
    def rollout_log(self) -> StepLog:
        return self.open_log(ROLLOUTS, echo=False)

    def record(self) -> dict[str, Any]:
        figures = mean_figures(self.window)
        self.window = []
        return figures

    def progress(self) -> dict[str, Any]:
        return {"window": self.window}

    def restore(self, progress: dict[str, Any]) -> None:
        self.window = progress["window"]

    def _start(self) -> Any:
        model, _ = load(self.config.model, device=str(self.ranks.device), dtype="float32")
        return model.eval().requires_grad_(False)

    def _gains(self, rollouts: Sequence[Rollout]) -> list[float]:
        with self.autocast():
            return image_gains(self.module, self.processor, rollouts, self.config.micro_batch_size)

    def batches(self, groups: Sequence[Group]) -> list[PolicyBatch]:
        """The rollouts that there is something to learn from, in micro-batches of similar length."""
        config = self.config
        rollouts = [rollout for group in groups for rollout in group]
        rewards = torch.tensor([[rollout.reward for rollout in group] for group in groups])
        advantages = group_advantages(rewards, config.normalisation).flatten()
        of_captions = advantages
        if config.credit == "span":
            credit = parse_reward("a_p")
            seen = torch.tensor([[credit(rollout.judged) for rollout in group] for group in groups])
            of_captions = group_advantages(seen, config.normalisation).flatten()
        lengths = torch.tensor([float(len(rollout.ids)) for rollout in rollouts])
        weights = token_weights(lengths, config.normalisation, config.max_new_tokens)
        order = sorted(range(len(rollouts)), key=lambda number: len(rollouts[number].ids))
        if not config.kl:
            order = [number for number in order if advantages[number] or of_captions[number]]
        batches = []
        for start in range(0, len(order), config.micro_batch_size):
            numbers = order[start : start + config.micro_batch_size]
            batch = micro_batch(self.processor, [rollouts[number] for number in numbers])
            response = batch.perception | batch.reasoning
            of_token = torch.where(batch.perception, of_captions[numbers, None], advantages[numbers, None])
            policy_batch = PolicyBatch(
                batch.to(self.ranks.device),
                of_token[response].to(self.ranks.device),
                weights[numbers, None].expand_as(response)[response].to(self.ranks.device),
            )
            batches.append(self._with_probabilities(policy_batch))
        return batches

    @torch.no_grad()
    def _with_probabilities(self, batch: PolicyBatch) -> PolicyBatch:
        temperature = self.config.temperature
        with self.autocast():
            if self.config.updates > 1:
                batch = batch._replace(old=self.module(batch.tokens, temperature))
            if self.reference:
                batch = batch._replace(reference=self.reference(batch.tokens, temperature))
        return batch

    def gradient(self, batches: Sequence[PolicyBatch]) -> tuple[list[Tensor], dict[str, float]]:
        """The gradient over all rollouts, and what was found out on the way."""
        config = self.config
        total = loss_sum = clipped = apart = 0.0
        for batch in batches:
            with self.autocast():
                new = self.module(batch.tokens, config.temperature)
            old = new.detach() if batch.old is None else batch.old
            found = policy_loss(new, old, batch.advantages, config.clip_low, config.clip_high)
            losses = found.loss
            if batch.reference is not None:
                gaps = divergence(new, batch.reference)
                losses = losses + config.kl * gaps
                apart += float(gaps.detach().sum())
            loss = (losses * batch.weights).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            total += len(new)
            loss_sum += float(loss.detach())
            clipped += float(found.clipped.sum())
        gradient = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        for parameter in self.parameters:
            parameter.grad = None
        figures = {"loss": loss_sum, "clipped": clipped / total}
        if self.reference:
            figures["kl"] = apart / total
        return gradient, figures
