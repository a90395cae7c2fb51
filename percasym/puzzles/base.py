"""What a puzzle family is: an image whose content has one canonical text p*, a query, and answers that can be verified.

A family is one subclass of `Puzzle`. Instances are plain frozen data; everything that is done with one (drawing it,
describing it, scoring a description or an answer) is a method of the family, so scoring needs nothing but an
instance and a text.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator

from percasym.errors import PercasymError
from percasym.puzzles.styles import parse_style
from percasym.seeding import digest, stream

Split = Literal["test", "validation", "train_sft", "train_rl", "pretrain"]
SPLITS: tuple[Split, ...] = ("test", "validation", "train_sft", "train_rl", "pretrain")
ATTEMPTS = 2000  # a split holds a fifth of all instances: 0.8 ** 2000 is no accident, but a family of too few

I = TypeVar("I")  # noqa: E741 - an instance


class Credit(NamedTuple):
    """How right a text is: `partial` is in [0, 1], and 1.0 whenever `exact` holds."""

    exact: bool
    partial: float


class PuzzleConfig(BaseModel):
    """What every family can be asked for; a family adds its own knobs of size and difficulty.

    `text`, `style` and `side` say how an instance is written and drawn. All other fields say which instances are
    generated: only these name the random stream of an item, so one instance can be drawn in several styles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Literal["json", "cells"] = Field(
        "json", description="How p*, query and answer are written; scoring reads both."
    )
    style: str = Field("clean", description="clean, paper, varied or hard; NAME:STRENGTH, e.g. hard:0.5.")
    side: int = Field(64, ge=16, le=2048, description="Width and height of the image in pixels.")

    @field_validator("style")
    @classmethod
    def _style_exists(cls, style: str) -> str:
        try:
            parse_style(style)
        except PercasymError as error:
            raise ValueError(str(error)) from None
        return style


@dataclass(frozen=True)
class Item(Generic[I]):
    """One numbered instance of a split."""

    id: str
    split: Split
    seed: int
    index: int
    instance: I


class Puzzle(ABC, Generic[I]):
    """A puzzle family with its config. See docs/puzzles.md for a complete small one."""

    name: ClassVar[str]
    Config: ClassVar[type[PuzzleConfig]] = PuzzleConfig

    def __init__(self, config: PuzzleConfig) -> None:
        self.config: Any = config
        self.address = self.name  # what load_puzzle was given; a puzzle from a file is found again by it

    # -- instances -----------------------------------------------------------------------------------------------

    @abstractmethod
    def generate(self, rng: random.Random) -> I:
        """A random instance: a function of the config and the state of `rng`, nothing else."""

    def item(self, split: Split, seed: int, index: int) -> Item[I]:
        """Item `index` of `split`, made alone and the same in every process.

        Instances are drawn until one lies in the split. Its stream is named by the family, the generation knobs,
        split, seed, index and the number of the attempt, so neighbouring seeds and indices share nothing.

        Raises:
            PercasymError: an unknown split, or a config with so few instances that none lies in the split.
        """
        if split not in SPLITS:
            raise PercasymError(f"no split {split!r}: use one of {', '.join(SPLITS)}")
        knobs = self.config.model_dump(mode="json", exclude={"text", "style", "side"})
        for attempt in range(ATTEMPTS):
            instance = self.generate(stream("item", self.name, knobs, split, seed, index, attempt))
            if self.split_of(instance) == split:
                return Item(f"{self.name}-{split}-{seed}-{index}", split, seed, index, instance)
        raise PercasymError(f"{self.name} with {knobs} has too few instances for a split {split!r}: ask for larger ones")

    def split_of(self, instance: I) -> Split:
        """The one split in which `instance` may occur, whatever the seed, the index and the size of a data set.

        It is a slice of the hash of the instance itself; the five slices are equal.
        """
        return SPLITS[int(digest(self.name, self.ground_truth(instance)), 16) % len(SPLITS)]

    # -- what the model sees -------------------------------------------------------------------------------------

    @abstractmethod
    def render(self, instance: I, rng: random.Random, style: str | None = None) -> Image.Image:
        """An RGB image of `instance`, `config.side` pixels wide and high, in `style` or else in `config.style`."""

    @abstractmethod
    def query(self, instance: I) -> str:
        """The request that goes with the image."""

    # -- what is right -------------------------------------------------------------------------------------------

    @abstractmethod
    def perception(self, instance: I) -> str:
        """p*: the canonical description of what the image shows."""

    @abstractmethod
    def answer(self, instance: I) -> str:
        """A right answer, the solver's own."""

    @abstractmethod
    def ground_truth(self, instance: I) -> str:
        """The instance as one line of JSON, as a data set stores it."""

    @abstractmethod
    def read_ground_truth(self, text: str) -> I:
        """The instance that `ground_truth` wrote.

        Raises:
            PercasymError: a text that is not such a line.
        """

    @abstractmethod
    def solve(self, instance: I) -> Any | None:
        """A solution of `instance`, which may be a described one; None where there is none."""

    # -- scoring: these never raise, whatever the text ------------------------------------------------------------

    @abstractmethod
    def read_perception(self, text: str, instance: I) -> I | None:
        """The puzzle that a caption describes, in either format; None for a text that describes none.

        What the query states (the number of vertices, the size of the grid) comes from `instance`.
        """

    @abstractmethod
    def score_perception(self, instance: I, text: str) -> Credit:
        """How right `text` describes `instance`; exact where it describes the same puzzle."""

    @abstractmethod
    def score_answer(self, instance: I, text: str) -> Credit:
        """How right `text` answers `instance`, by verification: every right answer counts, not only `answer`."""

    # -- for a teacher and a tokenizer ----------------------------------------------------------------------------

    def reasoning(self, instance: I, rng: random.Random, words: int, detours: float) -> str:
        """A chain of thought of about `words` whitespace words, with wrong turns at a rate of `detours` in [0, 1].

        A family that has none of its own says one plain sentence.
        """
        return "the picture shows all that is needed so the answer follows"

    def vocabulary(self) -> Iterable[str]:
        """Every whitespace word of `perception`, `query`, `answer` and `reasoning` in the cells format."""
        return self.reasoning_words()

    @staticmethod
    def reasoning_words() -> Iterable[str]:
        return "the picture shows all that is needed so the answer follows".split()
