"""What is asked about an image, and what else a puzzle family can do.

A `Task` asks about an item and verifies an answer. A `Puzzle` is a task whose image has one canonical text
p*, and which draws its items itself. Instances are plain frozen data; everything that is done with one
(drawing it, describing it, scoring a description or an answer) is a method of the family, so scoring needs
nothing but an instance and a text. docs/puzzles.md shows a complete small family.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar, get_args

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator

from percasym.errors import PercasymError
from percasym.puzzles.styles import parse_style
from percasym.seeding import digest, stream

Split = Literal["test", "validation", "train_sft", "train_rl", "pretrain"]
SPLITS: tuple[Split, ...] = get_args(Split)
ATTEMPTS = 1000  # a split holds a fifth of all instances, so only a family of a handful ever runs out of them
PLAIN_REASONING = "the picture shows all that is needed so the answer follows"

InstanceT = TypeVar("InstanceT")


class Credit(NamedTuple):
    """How right a text is: `partial` is in [0, 1], and 1.0 whenever `exact` holds."""

    exact: bool
    partial: float


class Thought(NamedTuple):
    """A chain of thought, and the answer that it arrives at, as `Puzzle.answer` writes one."""

    text: str
    answer: str


Facts = dict[tuple[int, int], str]


class TaskConfig(BaseModel):
    """What a task can be asked for: nothing, if its family does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PuzzleConfig(TaskConfig):
    """What every family can be asked for; a family adds its own knobs of size and difficulty.

    `text`, `style` and `side` say how an instance is written and drawn; all other fields say which instances
    there are. Only the latter name the random stream of an item, so the same instances can be had in several
    styles.
    """

    text: Literal["json", "cells"] = Field(
        "json", description="How p*, query and answer are written: as in the paper, or word by word."
    )
    style: str = Field("clean", description="clean, paper, varied or hard; NAME:STRENGTH as in hard:0.5.")
    side: int = Field(64, ge=32, le=2048, description="Width and height of the image in pixels.")

    @field_validator("style")
    @classmethod
    def _style_exists(cls, style: str) -> str:
        try:
            parse_style(style)
        except PercasymError as error:
            raise ValueError(str(error)) from None
        return style


@dataclass(frozen=True)
class Item(Generic[InstanceT]):
    """One numbered instance of a split."""

    id: str
    split: Split
    seed: int
    index: int
    instance: InstanceT


class Task(ABC, Generic[InstanceT]):
    """A kind of question about images, set up by its config.

    Where an image has no canonical text p*, as natural ones have none, there is no a_p and no a_r: these
    figures do not exist, and a response needs no caption.

    Attributes:
        name: of the family; the first word of its items' ids.
        Config: the class of its config.
        has_perception: whether there is a p*.
        address: the name by which `load_task` finds the family again.
    """

    name: ClassVar[str]
    Config: ClassVar[type[TaskConfig]] = TaskConfig
    has_perception: ClassVar[bool] = False

    def __init__(self, config: TaskConfig) -> None:
        self.config: Any = config
        self.address = self.name

    @abstractmethod
    def ground_truth(self, instance: InstanceT) -> str:
        """The instance as one line of JSON, as a data set stores it."""

    @abstractmethod
    def read_ground_truth(self, text: str) -> InstanceT:
        """The instance that `ground_truth` wrote.

        Raises:
            PercasymError: a text that is not such a line.
        """

    def read_answer(self, text: str, instance: InstanceT) -> Any | None:
        """What `text` answers to `instance`; None for a text that does not have the shape of an answer.

        A wrong answer is read as well as a right one. Never raises, and takes time linear in the text. A
        family that does not say takes any text but an empty one for an answer.
        """
        return text.strip() or None

    @abstractmethod
    def score_answer(self, instance: InstanceT, text: str) -> Credit:
        """How well `text` answers `instance`, by verification: any right answer is as good as `answer`."""

    def difficulty(self, instance: InstanceT) -> int:
        """How much there is to do, for tables by difficulty; 0 from a family that does not say."""
        return 0

    def is_possible(self, described: InstanceT) -> bool:
        """Whether an instance can be asked about at all."""
        return True

    def perception(self, instance: InstanceT) -> str:
        """p*: the canonical description of what the image shows; "" where there is none."""
        return ""

    def read_perception(self, text: str, instance: InstanceT) -> InstanceT | None:
        """The instance that a caption describes, in either format; None for a text that describes none.

        What the query already says (the number of vertices, the size of the grid) is that of `instance`.
        Never raises, whatever the text, and takes time linear in it; so do the methods that score.
        """
        return None

    def describes(self, text: str, instance: InstanceT) -> bool:
        """Whether a puzzle can be read from a caption at all, be it `instance` or not."""
        return self.read_perception(text, instance) is not None

    def score_perception(self, instance: InstanceT, text: str) -> Credit:
        """How well `text` describes `instance`: exact where `read_perception` reads the same puzzle.

        Partial credit is for a family to give.
        """
        exact = self.read_perception(text, instance) == instance
        return Credit(exact, float(exact))

    def answers_caption(self, instance: InstanceT, caption: str, text: str) -> bool:
        """Whether `text` is a right answer to the puzzle that `caption` describes, be it `instance` or not.

        A family whose described puzzles take long to solve may know an answer's worth without solving them.
        """
        described = self.read_perception(caption, instance)
        return described is not None and self.score_answer(described, text).exact

    def facts(self, instance: InstanceT) -> Facts:
        """What the image shows, one by one: a value at each (row, column), counted from 0.

        Of them the map of misreadings is made. Empty from a family that does not say.
        """
        return {}

    def fact_rows(self, instance: InstanceT) -> list[str]:
        """What a person calls the rows of `facts`."""
        return [str(row) for row in range(1 + max((row for row, _ in self.facts(instance)), default=-1))]


class Puzzle(Task[InstanceT]):
    """A puzzle family: a task with a p*, whose items are drawn, solved and reasoned about here."""

    Config: ClassVar[type[PuzzleConfig]] = PuzzleConfig
    has_perception: ClassVar[bool] = True

    @abstractmethod
    def generate(self, rng: random.Random) -> InstanceT:
        """A random instance: a function of the config and the state of `rng`, and of nothing else."""

    def vary(self, instance: InstanceT, rng: random.Random) -> InstanceT:
        """An instance as likely as `instance`, for `item` to try when that lies in another split.

        It is a new one where a family knows no cheaper way.
        """
        return self.generate(rng)

    def item(self, split: Split, seed: int, index: int) -> Item[InstanceT]:
        """Item `index` of `split`, made alone and the same in every process.

        Instances are drawn until one lies in the split. The stream of draws is named by family, generation
        knobs, split, seed and index, so that neighbouring seeds and indices share nothing.

        Raises:
            PercasymError: an unknown split, or a config with so few instances that none lies in the split.
        """
        if split not in SPLITS:
            raise PercasymError(f"no split {split!r}: use one of {', '.join(SPLITS)}")
        knobs = self.config.model_dump(mode="json", exclude={"text", "style", "side"})
        rng = stream("item", self.name, knobs, split, seed, index)
        instance = self.generate(rng)
        for _ in range(ATTEMPTS):
            if self.split_of(instance) == split:
                return Item(f"{self.name}-{split}-{seed}-{index}", split, seed, index, instance)
            instance = self.vary(instance, rng)
        raise PercasymError(f"{self.name} has too few instances for a split {split!r}: make them larger")

    def split_of(self, instance: InstanceT) -> Split:
        """The one split where `instance` can occur, whatever the config, the seed and the size of a data set.

        It is a slice of the hash of the instance's ground truth; the five slices are equal.
        """
        return SPLITS[int(digest(self.name, self.ground_truth(instance)), 16) % len(SPLITS)]

    @abstractmethod
    def render(self, instance: InstanceT, rng: random.Random, style: str | None = None) -> Image.Image:
        """`instance` as an RGB image of `config.side` pixels a side, in `style` or else in `config.style`."""

    @abstractmethod
    def query(self, instance: InstanceT) -> str:
        """The request that goes with the image."""

    @abstractmethod
    def perception(self, instance: InstanceT) -> str:
        """p*: the canonical description of what the image shows."""

    @abstractmethod
    def answer(self, instance: InstanceT) -> str:
        """A right answer: the solver's own, always the same."""

    @abstractmethod
    def solve(self, instance: InstanceT) -> Any | None:
        """A solution of `instance`, which may be one that a caption describes; None where there is none."""

    def is_possible(self, described: InstanceT) -> bool:
        """Whether a puzzle that a caption describes could be one of this family: it has a solution."""
        return self.solve(described) is not None

    @abstractmethod
    def read_perception(self, text: str, instance: InstanceT) -> InstanceT | None:
        """The puzzle that a caption describes, in either format; None for a text that describes none.

        What the query already says (the number of vertices, the size of the grid) is that of `instance`.
        Never raises, whatever the text, and takes time linear in it; so do the two methods that score.
        """

    def reasoning(self, instance: InstanceT, rng: random.Random, words: int, detours: float) -> Thought:
        """A chain of thought of about `words` words, and its answer.

        `detours` is the probability of a wrong turn before each step. A family without a written-out search
        says one plain sentence.
        """
        return Thought(PLAIN_REASONING, self.answer(instance))

    def vocabulary(self) -> Iterable[str]:
        """Every whitespace word of `query`, `perception`, `reasoning` and `answer` in the cells format.

        The miniature's tokenizer makes each of them one token, and spells any other word out.
        """
        return PLAIN_REASONING.split()
