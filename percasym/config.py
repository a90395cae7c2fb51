"""The settings of a study: all sections that the stages use, at once.

`StudyConfig` is what the presets hold and `--set` changes.
"""

import ast
import math
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError, model_validator

from percasym.allowed import NotAllowed, check_settings
from percasym.errors import PercasymError
from percasym.grpo.verl.config import check_reach
from percasym.recipes import Model, Phase, Recipe, models, parse_recipe
from percasym.rewards import parse_reward
from percasym.sections import (
    AuditSection,
    BaseSection,
    DataSection,
    DistillSection,
    EvaluationSection,
    GRPOSection,
    MachineSection,
    NameSection,
    Section,
    SFTSection,
)
from percasym.sft.weighting import parse_weighting
from percasym.shorthands import SHORTHANDS, merged, place, written_out
from percasym.surrogates import uses_teacher
from percasym.values import field_type


class Experiment(
    SFTSection,
    GRPOSection,
    AuditSection,
    EvaluationSection,
    BaseSection,
    DistillSection,
    DataSection,
    NameSection,
):
    """All that decides what comes out."""


class StudyConfig(MachineSection, Experiment):
    """A study: one base model, post-trained in several ways, each measured by a, a_p and a_r."""

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, fields: Any) -> Any:
        try:
            return written_out(fields) if isinstance(fields, Mapping) else fields
        except PercasymError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if 0 < self.max_pixels < self.min_pixels:
            raise ValueError("min_pixels must be at most max_pixels")
        if self.adapts and not self.model:
            raise ValueError("system_prompt, min_pixels, max_pixels and thinking are for a model: name one")
        pretrains = self.makes_base and not self.adapts
        if pretrains and self.pretrain.warmup_steps >= (self.pretrain.steps or math.inf):
            raise ValueError("pretrain.warmup_steps must be less than pretrain.steps")
        try:
            made = self.models
            check_settings(self, known=("base", *(model.name for model in made)))
            for model in made:
                self._check_phase(model)
            self.load_puzzle(self.style)
        except NotAllowed:
            raise
        except PercasymError as error:
            raise ValueError(str(error)) from None
        return self

    @cached_property
    def models(self) -> list[Model]:
        """What its recipes make, each after the model that it starts from."""
        recipes = [parse_recipe(text) for text in self.recipes]
        return models(recipes or self._arms())

    def _arms(self) -> list[Recipe]:
        """The recipes that `arms`, `rl_arms` and what belongs to them are short for."""
        if len(set(self.arms)) < len(self.arms) or len(set(self.rl_arms)) < len(self.rl_arms):
            raise PercasymError("arms and rl_arms: each loss and each reward once")
        for arm in self.arms:
            parse_weighting(arm)
        if self.rl_arms and self.rl_from not in ("base", *self.arms):
            raise PercasymError(
                f"rl_from={self.rl_from} is no arm: take one of the arms, or base; rl_arms= is no GRPO"
            )
        before = () if self.rl_from == "base" else (Phase("sft", self.rl_from),)
        return [
            *(Recipe(arm, (Phase("sft", arm),)) for arm in self.arms),
            *(Recipe(reward, (*before, Phase("grpo", reward))) for reward in self.rl_arms),
        ]

    def of(self, phase: Phase) -> Self:
        """The study's config with what a phase sets. Of few steps fewer warm up, unless it says how many.

        Raises:
            PercasymError: a value that is out of range.
        """
        settings, changes = getattr(self, phase.trainer), dict(phase.settings)
        if isinstance(changes.get("steps"), int) and "warmup_steps" not in changes:
            changes["warmup_steps"] = max(0, min(settings.warmup_steps, changes["steps"] - 1))
        try:
            changed = type(settings).model_validate({**settings.model_dump(), **changes})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise PercasymError(f"{phase.trainer} {field}={first['input']!r}: {first['msg']}") from None
        return self.model_copy(update={phase.trainer: changed})

    def _check_phase(self, model: Model) -> None:
        phase, config = model.phase, self.of(model.phase)
        trainer = phase.trainer
        if getattr(config, trainer).warmup_steps >= getattr(config, trainer).steps:
            raise PercasymError(f"{model.name}: {trainer}.warmup_steps must be less than {trainer}.steps")
        if trainer == "sft":
            parse_weighting(phase.objective)
            if config.sft.batch_size % (config.micro_batch_size * config.ranks):
                raise PercasymError("sft.batch_size must be a multiple of micro_batch_size x ranks")
            return
        reward = parse_reward(phase.objective)
        if not self._is_model(self.rl_teacher):
            raise PercasymError(f"rl_teacher={self.rl_teacher}: take an arm, base, a folder or a Hub id")
        if config.rl_items < config.grpo.prompts:
            raise PercasymError("rl_items must be at least grpo.prompts")
        if reward.surrogate == "teacher" and not self.rl_teacher:
            raise PercasymError(
                f"{phase.objective} wants rl_teacher: the name of a model of the study, or a checkpoint"
            )
        if model.name in self._line_of(self.rl_teacher) and uses_teacher(reward.surrogate):
            raise PercasymError(
                f"rl_teacher={self.rl_teacher} cannot teach {model.name}, which it is made from"
            )
        if config.grpo.engine == "verl":
            try:
                check_reach(phase.objective, config.grpo)
            except ValueError as error:
                raise PercasymError(str(error)) from None

    def _line_of(self, name: str) -> set[str]:
        """The models that one of the study goes back to, and itself."""
        starts, line = {model.name: model.start for model in self.models}, set[str]()
        while name in starts:
            line.add(name)
            name = starts[name]
        return line

    def _is_model(self, name: str) -> bool:
        return (
            name in ("", "base", *(model.name for model in self.models))
            or Path(name).is_dir()
            or bool(re.fullmatch(r"\w[\w.-]*/[\w.-]+", name))
        )

    def check_files(self) -> None:
        """Refuses what names a file or folder that is not here, before work begins.

        Raises:
            PercasymError: a setting that does.
        """
        if self.teacher_prompt and not Path(self.teacher_prompt).is_file():
            raise PercasymError(f"teacher_prompt={self.teacher_prompt!r}: there is no such file")
        models = {"model": self.model, "teacher": "" if self.teacher_server else self.teacher}
        for field, name in models.items():
            if name and not Path(name).is_dir() and not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name):
                raise PercasymError(f"{field}={name!r}: there is no such folder, and it is no id of the Hub")

    def over(self, lams: Iterable[float] = (), alphas: Iterable[float] = ()) -> "StudyConfig":
        """The same study over a grid of weights of perception, in place of those it has.

        Args:
            lams: in the loss; if there are none the arms stay.
            alphas: in the reward; if there are none there is no reinforcement learning.
        """
        arms, rewards = self.arms, [f"perception_aware:{alpha:g}" for alpha in sorted(set(alphas))]
        if lams := sorted(set(lams)):
            arms = [arm for arm in arms if not arm.startswith("fixed:")] + [f"fixed:{lam:g}" for lam in lams]
        if rewards:
            rewards = [arm for arm in self.rl_arms if not arm.startswith("perception_aware:")] + rewards
        grid = {"arms": arms, "rl_arms": rewards, "recipes": []}
        return StudyConfig.model_validate({**self.model_dump(), **grid})

    def for_testing(self, seed: int | None = None, items: int = 0) -> "StudyConfig":
        """The same study with next to no items to learn from.

        Args:
            seed: of other test items; None: the test items stay.
            items: how many test items; 0: as many as there are.
        """
        few = {"train_items": 1, "validation_items": 1, "rl_items": 1}
        seeded = {} if seed is None else {"seed": seed}
        return self.model_copy(update={**few, **seeded, "test_items": items or self.test_items})

    @classmethod
    def read(cls, texts: Mapping[str, str], changes: Mapping[str, Any]) -> "StudyConfig":
        """The config of a study that has been, whose MLflow run has its fields as texts, with `changes`.

        Raises:
            PercasymError: it has fields that another version of percasym wrote.
        """
        fields: dict[str, Any] = {}
        for path, text in texts.items():
            group = path.partition(".")[0]
            if group in cls.model_fields or group in SHORTHANDS:
                literal = field_type(cls, path) is not str and text.startswith(("[", "{"))
                place(fields, path, ast.literal_eval(text) if literal else text)
        try:
            return cls.model_validate(merged(written_out(fields), written_out(changes)))
        except ValidationError as error:
            raise PercasymError(
                f"a study of another version cannot be read: {error.errors()[0]['msg']}"
            ) from None

    def section(self, kind: type["AnySection"]) -> "AnySection":
        """The fields of one section alone."""
        return kind.model_validate({name: getattr(self, name) for name in kind.model_fields})


AnySection = TypeVar("AnySection", bound=Section)
