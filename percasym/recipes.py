"""Recipes: named chains of trainings, from the base.

A recipe is a name and its phases, as text:

    token_mean: sft token_mean
    outcome: sft token_mean then grpo outcome
    span: sft token_mean then grpo outcome credit=span
    twice: sft ngdiff steps=200 then sft token_mean learning_rate=1e-4 train_vision=no

A phase is a trainer, its objective (a weighting of `percasym.sft.weighting`, or a reward of
`percasym.rewards`) and settings of the trainer that differ from the study's.
Recipes share the phases that they begin with: these are trained once.
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from percasym.allowed import Names
from percasym.errors import PercasymError
from percasym.sections import GRPOStudySettings
from percasym.sft.config import SFTSettings
from percasym.training.config import TrainerSettings
from percasym.values import read_value

Trainer = Literal["sft", "grpo"]
TRAINERS: dict[Trainer, type[TrainerSettings]] = {"sft": SFTSettings, "grpo": GRPOStudySettings}
_NAME = re.compile(r"[\w./:=*+-]{1,120}")
_EXAMPLE = "write NAME: sft token_mean then grpo outcome steps=40"


@dataclass(frozen=True)
class Phase:
    """One training."""

    trainer: Trainer
    objective: str
    settings: tuple[tuple[str, Any], ...] = ()
    """Names of the trainer's settings, sorted, and their values."""


@dataclass(frozen=True)
class Recipe:
    name: str
    phases: tuple[Phase, ...]


@dataclass(frozen=True)
class Model:
    """What a phase makes."""

    name: str
    """That of the recipe if this is its last phase, else with the number of the phase: "staged@1"."""
    phase: Phase
    start: str
    """The model that the phase goes on from; "base" before the first."""


def parse_recipe(text: str) -> Recipe:
    """The recipe that a text of this module's description stands for.

    Raises:
        PercasymError: it is none, or has a setting that its trainer does not. Objectives are not looked at.
    """
    name, colon, chain = text.partition(": ")
    name = name.strip()
    if not colon or not _NAME.fullmatch(name) or name == "base":
        raise PercasymError(f"the recipe {text!r} has no name: {_EXAMPLE}")
    phases = tuple(_phase(name, words) for words in re.split(r"\s+then\s+", chain.strip()))
    return Recipe(name, phases)


def models(recipes: Iterable[Recipe]) -> list[Model]:
    """The models that recipes make, each after the one that it starts from.

    Raises:
        PercasymError: two recipes of one name, or with the same phases.
    """
    recipes = list(recipes)
    names: dict[tuple[Phase, ...], str] = {}
    for recipe in recipes:
        if recipe.name in names.values() or recipe.phases in names:
            raise PercasymError(f"the recipe {recipe.name} is there twice: each name and each chain once")
        names[recipe.phases] = recipe.name
    found: dict[tuple[Phase, ...], Model] = {}
    for recipe in recipes:
        start = "base"
        for number, phase in enumerate(recipe.phases, start=1):
            chain = recipe.phases[:number]
            name = names.setdefault(chain, f"{recipe.name}@{number}")
            found.setdefault(chain, Model(name, phase, start))
            start = name
    return list(found.values())


def settings_of(trainer: Trainer) -> list[str]:
    """The settings that a phase may change."""
    fields = TRAINERS[trainer].model_fields
    return [name for name, field in fields.items() if Names.OVERRIDE not in field.metadata]


def _phase(recipe: str, text: str) -> Phase:
    try:
        kind, objective, *settings = shlex.split(text)
    except ValueError:
        raise PercasymError(f"{recipe}: {text!r} is no phase: {_EXAMPLE}") from None
    if kind not in TRAINERS:
        raise PercasymError(f"{recipe}: there is no trainer {kind!r}: take {' or '.join(TRAINERS)}")
    trainer = kind
    known = settings_of(trainer)
    changes = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in known:
            raise PercasymError(f"{recipe}: {trainer} has no setting {name!r}; it has {', '.join(known)}")
        changes[name] = read_value(value, TRAINERS[trainer].model_fields[name].annotation)
    return Phase(trainer, objective, tuple(sorted(changes.items())))
