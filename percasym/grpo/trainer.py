"""GRPO with the embedded engine: sample groups, judge them, follow what was better than its group."""

import time
from collections.abc import Mapping, Sequence
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
from percasym.grpo.rollouts import Aids, Group, Rollout, micro_batch, roll_out
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


class Lesson(NamedTuple):
    """Rollouts that go through the model at once; the last four are of each of their tokens."""

    batch: MicroBatch
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
        self.aids = Aids(read_captions(config.captions) if config.captions else None, self._gains)
        self.engine = TransformersEngine(
            self.model, self.processor, min(config.validation_batch_size, config.prompts * config.group_size)
        )
        self.reference = TokenLogProbabilities(self._start()) if config.kl else None
        self.window: list[dict[str, float]] = []

    def step_gradient(self, logged: bool) -> Sequence[Tensor] | None:
        config = self.config
        began = time.perf_counter()
        numbers = rows_of_step(len(self.rows), config.seed, self.step, config.prompts)
        groups = self._roll_out([self.rows[int(number)] for number in numbers])
        sampled = time.perf_counter()
        lessons = self._lessons(groups)
        gradient, figures = self._updates(lessons) if lessons else (None, [NOTHING_LEARNT])
        ended = time.perf_counter()
        records = [[rollout.record(self.step + 1) for rollout in group] for group in groups]
        for record in (record for group in records for record in group):
            self.rollouts.write(record)
        self.window.append(
            {
                **step_figures(records),
                **mean_figures(figures),
                "generation_seconds": sampled - began,
                "update_seconds": ended - sampled,
                "tokens_per_s": sum(len(r.ids) for g in groups for r in g) / (sampled - began),
            }
        )
        return gradient

    def _updates(self, lessons: Sequence[Lesson]) -> tuple[Sequence[Tensor], list[dict[str, float]]]:
        """Follows all gradients of a step but the last, and returns that one, with the figures of each."""
        gradient, found = self._gradient(lessons)
        figures = [found]
        for _ in range(1, self.config.updates):
            self.update(gradient, run.learning_rate(self.config, self.step))
            gradient, found = self._gradient(lessons)
            figures.append(found)
        return gradient, figures

    @cached_property
    def rollouts(self) -> StepLog:
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

    def _roll_out(self, rows: Sequence[Mapping[str, Any]]) -> list[Group]:
        config = self.config
        sampling = Sampling(
            temperature=config.temperature,
            max_tokens=config.max_new_tokens,
            seed=int(digest("rollouts", config.seed, self.step)[:15], 16),
        )
        return roll_out(self.engine, rows, config.group_size, sampling, self.reward, self.aids)

    def _gains(self, rollouts: Sequence[Rollout]) -> list[float]:
        with self.autocast():
            return image_gains(self.module, self.processor, rollouts, self.config.micro_batch_size)

    def _lessons(self, groups: Sequence[Group]) -> list[Lesson]:
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
        lessons = []
        for start in range(0, len(order), config.micro_batch_size):
            numbers = order[start : start + config.micro_batch_size]
            batch = micro_batch(self.processor, [rollouts[number] for number in numbers])
            response = batch.perception | batch.reasoning
            of_token = torch.where(batch.perception, of_captions[numbers, None], advantages[numbers, None])
            lesson = Lesson(
                batch.to(self.ranks.device),
                of_token[response].to(self.ranks.device),
                weights[numbers, None].expand_as(response)[response].to(self.ranks.device),
            )
            lessons.append(self._with_probabilities(lesson))
        return lessons

    @torch.no_grad()
    def _with_probabilities(self, lesson: Lesson) -> Lesson:
        temperature = self.config.temperature
        with self.autocast():
            if self.config.updates > 1:
                lesson = lesson._replace(old=self.module(lesson.batch, temperature))
            if self.reference:
                lesson = lesson._replace(reference=self.reference(lesson.batch, temperature))
        return lesson

    def _gradient(self, lessons: Sequence[Lesson]) -> tuple[list[Tensor], dict[str, float]]:
        """The gradient over all rollouts, and what was found out on the way."""
        config = self.config
        total = loss_sum = clipped = apart = 0.0
        for lesson in lessons:
            with self.autocast():
                new = self.module(lesson.batch, config.temperature)
            old = new.detach() if lesson.old is None else lesson.old
            found = policy_loss(new, old, lesson.advantages, config.clip_low, config.clip_high)
            losses = found.loss
            if lesson.reference is not None:
                gaps = divergence(new, lesson.reference)
                losses = losses + config.kl * gaps
                apart += float(gaps.detach().sum())
            loss = (losses * lesson.weights).sum()
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
