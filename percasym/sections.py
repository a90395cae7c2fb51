"""The sections of a study's settings: what each stage may look at.

A stage takes the sections that it needs and is repeated when one of their fields changes, so a field belongs
in the smallest section that every stage using it shares. How to train and how to generate are said by the
settings of the trainers and of the engines themselves. A field that holds text says what this names, by
which forms refuse what nobody has allowed (percasym.allowed).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from percasym.allowed import Names
from percasym.engines import LONGEST
from percasym.engines.config import EngineLayout
from percasym.grpo.config import AuditSettings, GRPOSettings
from percasym.grpo.verl.config import VerlLayout
from percasym.miniature import MiniatureSize
from percasym.puzzles import Puzzle, load_puzzle
from percasym.sft.config import SFTSettings

Knob = bool | int | float | str | list[int]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PuzzleSection(Section):
    """Which puzzles, how large, and how they are written."""

    seed: int = Field(0, ge=0, description="Everything random in the study follows from it.")
    puzzle: Annotated[str, Names.CODE] = Field(
        "sudoku", description="sudoku, graph_coloring, or path/to/file.py:Class for one of your own."
    )
    puzzle_options: Annotated[dict[str, Knob], Names.NOTHING] = Field(
        default_factory=dict,
        description="Size and difficulty of the puzzle, e.g. rows and cols of a Sudoku's boxes.",
    )
    text: Literal["json", "cells"] = Field(
        "json", description="How puzzles are written: json as in the paper, cells for miniature models."
    )
    side: int = Field(369, ge=16, le=2048, description="Width and height of the images in pixels.")

    def puzzle_settings(self, style: str) -> dict[str, Any]:
        """All settings of the puzzle, drawn in `style`."""
        return {**self.puzzle_options, "text": self.text, "side": self.side, "style": style}

    def load_puzzle(self, style: str) -> Puzzle[Any]:
        """The puzzle drawn in `style`.

        Raises:
            PercasymError: an unknown puzzle or style, or an option that it does not have or that is out of
            range.
        """
        return load_puzzle(self.puzzle, self.puzzle_settings(style))


class DataSection(PuzzleSection):
    """The data set that the model is post-trained and measured on."""

    data: Annotated[str, Names.MODEL] = Field(
        "",
        description="A data set instead of drawn puzzles: a folder, or an id of the Hub. The numbers of "
        "items below are then the most that is taken of each split. Empty: puzzles are drawn.",
    )
    style: Annotated[str, Names.NOTHING] = Field(
        "paper", description="How images are drawn: clean, paper, varied, hard; hard:0.5 is half way there."
    )
    train_items: int = Field(10_000, ge=1, le=10_000_000, description="Items to post-train on.")
    validation_items: int = Field(
        200, ge=1, le=1_000_000, description="Items for choices and training curves."
    )
    rl_items: int = Field(2000, ge=1, le=10_000_000, description="Items for reinforcement learning.")
    test_items: int = Field(500, ge=1, le=1_000_000, description="Items that the results are measured on.")


class TeacherSection(Section):
    """The chain of thought that a solver writes; also used for pre-training a miniature."""

    perception_share: float = Field(
        0.05,
        ge=0.005,
        le=0.5,
        description="Share of the response that is caption: the rest is chain of thought.",
    )
    detours: float = Field(
        0.3, ge=0, le=1, description="Rate of wrong turns and second looks in the reasoning."
    )


class DistillSection(PuzzleSection, TeacherSection):
    """Who writes responses, and which are chosen."""

    teacher: Annotated[str, Names.MODEL] = Field(
        "", description="A language model: a folder or a Hub id, e.g. Qwen/Qwen3-32B; empty: a solver."
    )
    teacher_prompt: Annotated[str, Names.FILE] = Field(
        "", description="A text file with {query} and {perception} that the model is asked with; empty: ours."
    )
    teacher_temperature: float = Field(0.6, ge=0, le=10, description="Of the model's sampling.")
    teacher_top_p: float = Field(0.95, gt=0, le=1, description="Probability that the model samples from.")
    teacher_tokens: int = Field(
        8192, ge=8, le=131_072, description="Tokens of an answer, thoughts included; longer ones are cut off."
    )
    attempts: int = Field(4, ge=1, le=64, description="Responses tried for an item before it is given up.")
    choice: Literal["first", "shortest"] = Field(
        "first", description="Of the right responses: the first, or the shortest of all attempts."
    )
    longest_response: int = Field(
        0, ge=0, le=1_000_000, description="Words of a response, at most; 0: any number."
    )


class MachineSection(Section):
    """How the work is laid out on the machine. No result depends on it, so no stage is repeated for it."""

    workers: int = Field(2, ge=1, le=64, description="Trainings and evaluations that run side by side.")
    runner: Literal["threads", "ray", "dask"] = Field(
        "threads", description="Where shards of data are worked on: here, or on a cluster of Ray or Dask."
    )
    shard_items: int = Field(10_000, ge=1, description="Items of a shard, which one process works on.")
    threads: int = Field(1, ge=1, le=256, description="CPU threads of each.")
    ranks: int = Field(1, ge=1, le=1024, description="Processes that share one training: one for each GPU.")
    nodes: int = Field(
        1,
        ge=1,
        le=1024,
        description="Machines of the Ray cluster that verl trains on, with `ranks` GPUs each.",
    )
    micro_batch_size: int = Field(16, ge=1, le=4096, description="Responses in one forward pass of one rank.")
    checkpoint_every: int = Field(100, ge=1, description="Steps between two checkpoints to resume from.")
    inference: EngineLayout = Field(
        EngineLayout(), description="What generates responses, and how it is laid out."
    )
    verl: VerlLayout = Field(VerlLayout(), description="How verl shares out the memory of its GPUs.")
    teacher_server: Annotated[str, Names.ADDRESS] = Field(
        "", description="Address of the teacher's server, as http://host:8000/v1; empty: vLLM starts one."
    )

    @property
    def engine_devices(self) -> int:
        """GPUs that a measurement takes."""
        layout = self.inference
        return 1 if layout.engine == "transformers" else layout.tensor_parallel * layout.data_parallel

    def engine_settings(self) -> dict[str, Any]:
        """What `EngineConfig` wants to know of the machine."""
        return {**self.inference.model_dump(), "threads": self.threads}


class ResponseSection(Section):
    """How long a response may be, wherever one is generated."""

    max_new_tokens: int = Field(
        LONGEST, ge=8, le=131_072, description="Tokens at which a response is cut off; thoughts take some."
    )


class EvaluationSection(ResponseSection):
    """How models are measured."""

    eval_precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Arithmetic of measurements; auto is as saved on a GPU and float32 on a CPU."
    )


class PretrainSettings(SFTSettings, frozen=True):
    """How a miniature is pre-trained, on both abilities apart."""

    options: Annotated[dict[str, Knob], Names.NOTHING] = Field(
        default_factory=dict,
        description="Puzzle options that differ in pre-training; easier puzzles are learnt from sooner",
    )
    items: int = Field(default=4000, ge=1, le=10_000_000, description="Items of pre-training")
    steps: int = Field(
        default=600, ge=0, le=10_000_000, description="Steps of pre-training, at most; 0: random weights"
    )
    target: float = Field(
        default=0.0, ge=0, le=1, description="a_r on validation items at which it ends; 0: after its steps"
    )
    optimizer: Literal["adamw", "muon"] = Field(
        default="muon", description="muon, by which a miniature learns faster from nothing; or adamw"
    )
    learning_rate: float = Field(default=2e-3, gt=0, le=1, description="Highest learning rate")


class BaseSection(PuzzleSection, TeacherSection, ResponseSection):
    """The model before post-training: a checkpoint, or a miniature that is built and pre-trained here."""

    model: Annotated[str, Names.MODEL] = Field(
        "", description="A folder or a Hub id, e.g. Qwen/Qwen3-VL-2B-Instruct; empty: a miniature."
    )
    system_prompt: Annotated[str, Names.NOTHING] = Field(
        "", max_length=20_000, description="Written into the model's chat template; empty: as it comes."
    )
    min_pixels: int = Field(
        0, ge=0, le=10**8, description="Images of fewer are enlarged; 0: as the model comes."
    )
    max_pixels: int = Field(
        0, ge=0, le=10**8, description="Images of more are shrunk; 0: as the model comes."
    )
    thinking: Literal["", "on", "off"] = Field(
        "", description="The thinking switch of the model's chat template; empty: as it comes."
    )
    miniature: MiniatureSize = Field(
        MiniatureSize(), description="Architecture and size of the model, where none is named."
    )
    pretrain: PretrainSettings = Field(PretrainSettings(), description="How a miniature is pre-trained.")

    @property
    def adapts(self) -> bool:
        """Whether something is written into the model before all else."""
        return bool(self.system_prompt or self.min_pixels or self.max_pixels or self.thinking)

    @property
    def makes_base(self) -> bool:
        """Whether the base model is made here, be it from nothing or from `model`."""
        return self.adapts or not self.model


class SFTSection(ResponseSection):
    """Supervised fine-tuning: the same for every arm."""

    seed: int = Field(0, ge=0, description="Everything random in the study follows from it.")
    sft: SFTSettings = Field(SFTSettings(), description="Fine-tuning, the same for every arm.")


class AuditSection(ResponseSection):
    """How well each surrogate stands in for a_p, found out before reinforcement learning."""

    seed: int = Field(0, ge=0, description="Everything random in the study follows from it.")
    audit: AuditSettings = Field(
        AuditSettings(), description="Responses to validation items that surrogates are audited on."
    )


class GRPOStudySettings(GRPOSettings, frozen=True):
    """How to reinforce, and with what."""

    engine: Literal["embedded", "verl"] = Field(
        default="embedded",
        description="embedded: one process, for miniatures; verl: Ray and vLLM, for clusters",
    )
    overrides: Annotated[tuple[str, ...], Names.OVERRIDE] = Field(
        default=(), max_length=64, description="Overrides of verl's own settings, each as name=value"
    )


class GRPOSection(ResponseSection):
    """Reinforcement learning: the same for every reward."""

    seed: int = Field(0, ge=0, description="Everything random in the study follows from it.")
    grpo: GRPOStudySettings = Field(
        GRPOStudySettings(), description="Reinforcement learning, the same for every reward."
    )


class NameSection(Section):
    """What is compared, and under which name."""

    name: Annotated[str, Names.NOTHING] = Field(
        "study", pattern=r"^\w[\w.-]{0,63}$", description="What the study is called in MLflow."
    )
    arms: Annotated[list[str], Names.CODE] = Field(
        default=["token_mean", "fixed:0.5", "ngdiff"],
        min_length=1,
        max_length=64,
        description="Losses to compare: token_mean, fixed:0.5 (0 to 1), ngdiff, dwa, uncertainty, pcgrad.",
    )
    rl_arms: Annotated[list[str], Names.CODE] = Field(
        default=[],
        max_length=64,
        description="Rewards to compare: outcome, perception_aware:0.5 (0 to 1), surrogate:agreement:0.5, "
        "surrogate:best:0.5 (the audit's first); none: no GRPO.",
    )
    recipes: Annotated[list[str], Names.CODE] = Field(
        default=[],
        max_length=256,
        description="Chains of trainings in place of arms and rl_arms, each as "
        "NAME: sft token_mean then grpo outcome steps=40.",
    )
    rl_from: Annotated[str, Names.NOTHING] = Field(
        "token_mean", description="The arm that GRPO starts from, or base."
    )
    rl_teacher: Annotated[str, Names.MODEL] = Field(
        "",
        description="Captions for surrogate:teacher:0.5: an arm, base, a folder or a Hub id; empty: nobody.",
    )
