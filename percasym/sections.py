"""The sections of a study's settings: what each stage may look at.

A stage takes the sections that it needs and is repeated when one of their fields changes, so a field belongs
in the smallest section that every stage using it shares. A field that holds text says what this names, by
which forms refuse what nobody has allowed (percasym.allowed).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from percasym.allowed import Names
from percasym.engines import LONGEST
from percasym.puzzles import Puzzle, load_puzzle

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
    eval_batch_size: int = Field(64, ge=1, le=4096, description="Responses that are generated at a time.")
    engine: Literal["transformers", "vllm", "server"] = Field(
        "transformers", description="What generates for measurements; server: one of vLLM's, started for it."
    )
    tensor_parallel: int = Field(1, ge=1, le=64, description="GPUs that share one copy of a model in vLLM.")
    data_parallel: int = Field(1, ge=1, le=1024, description="Copies of a model that vLLM runs side by side.")
    teacher_server: Annotated[str, Names.ADDRESS] = Field(
        "", description="Address of the teacher's server, as http://host:8000/v1; empty: vLLM starts one."
    )

    @property
    def engine_devices(self) -> int:
        """GPUs that a measurement takes."""
        return 1 if self.engine == "transformers" else self.tensor_parallel * self.data_parallel

    def engine_settings(self) -> dict[str, Any]:
        """What `EngineConfig` wants to know of the machine."""
        return {
            "engine": self.engine,
            "batch_size": self.eval_batch_size,
            "threads": self.threads,
            "tensor_parallel": self.tensor_parallel,
            "data_parallel": self.data_parallel,
        }


class TrainerSection(Section):
    """How the trainer works, in post-training and in the pre-training of a miniature."""

    warmup_steps: int = Field(10, ge=0, le=1_000_000, description="Steps in which the learning rate rises.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Of the arithmetic; auto is bfloat16 on a GPU and float32 on a CPU."
    )
    log_every: int = Field(10, ge=1, description="Steps between two points of the training curves.")


class EvaluationSection(Section):
    """How models are measured."""

    max_new_tokens: int = Field(
        LONGEST, ge=8, le=131_072, description="Tokens at which a response is cut off; thoughts take some."
    )


class BaseSection(PuzzleSection, TeacherSection, TrainerSection, EvaluationSection):
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
    architecture: Literal["qwen3_vl", "internvl"] = Field("qwen3_vl", description="Of the miniature.")
    hidden_size: int = Field(128, ge=16, le=4096, description="Width of the miniature's text model.")
    layers: int = Field(3, ge=1, le=64, description="Layers of the miniature's text model.")
    heads: int = Field(4, ge=1, le=64, description="Attention heads of the miniature's text model.")
    kv_heads: int = Field(
        2, ge=1, le=64, description="Heads of keys and values of the miniature's text model."
    )
    mlp_size: int = Field(256, ge=16, le=16_384, description="Inner width of the miniature's text MLP.")
    vision_size: int = Field(64, ge=16, le=4096, description="Width of the miniature's vision tower.")
    vision_layers: int = Field(2, ge=1, le=64, description="Layers of the miniature's vision tower.")
    vision_heads: int = Field(4, ge=1, le=64, description="Attention heads of the miniature's vision tower.")
    vision_mlp_size: int = Field(128, ge=16, le=16_384, description="Inner width of the vision tower's MLP.")
    pretrain_options: Annotated[dict[str, Knob], Names.NOTHING] = Field(
        default_factory=dict,
        description="Puzzle options that differ in pre-training; easier puzzles are learnt from sooner.",
    )
    pretrain_items: int = Field(
        4000, ge=1, le=10_000_000, description="Items of pre-training, both abilities apart."
    )
    pretrain_batch_size: int = Field(16, ge=1, le=65_536, description="Rows in one step of pre-training.")
    pretrain_steps: int = Field(
        600, ge=0, le=10_000_000, description="Steps of pre-training, at most; 0: random weights."
    )
    pretrain_target: float = Field(
        0.0, ge=0, le=1, description="a_r on validation items at which pre-training ends; 0: after its steps."
    )
    pretrain_learning_rate: float = Field(
        2e-3, gt=0, le=1, description="Highest learning rate of pre-training."
    )

    @property
    def adapts(self) -> bool:
        """Whether something is written into the model before all else."""
        return bool(self.system_prompt or self.min_pixels or self.max_pixels or self.thinking)

    @property
    def makes_base(self) -> bool:
        """Whether the base model is made here, be it from nothing or from `model`."""
        return self.adapts or not self.model


class PostTrainingSection(TrainerSection, EvaluationSection):
    """Post-training, whichever."""

    seed: int = Field(0, ge=0, description="Everything random in the study follows from it.")
    train_vision: bool = Field(True, description="Train the vision tower too; off: it stays as it is.")
    lora_rank: int = Field(0, ge=0, le=1024, description="Rank of LoRA adapters; 0: all weights are trained.")
    validate_every: int = Field(
        0, ge=0, description="Steps between two measurements of a, a_p, a_r; 0: none."
    )
    validation_limit: int = Field(64, ge=1, description="Validation items of each such measurement.")


class SFTSection(PostTrainingSection):
    """Supervised fine-tuning: the same for every arm."""

    batch_size: int = Field(64, ge=1, le=65_536, description="Responses in one optimizer step, of all ranks.")
    sft_steps: int = Field(300, ge=1, le=10_000_000, description="Optimizer steps of each arm.")
    learning_rate: float = Field(
        1e-5, gt=0, le=1, description="Highest learning rate; it decays as a cosine."
    )


class GroupSection(EvaluationSection):
    """Groups of responses, to learn from or to audit by."""

    seed: int = Field(0, ge=0, description="Everything random in the study follows from it.")
    rl_group_size: int = Field(8, ge=2, le=1024, description="Responses that are sampled to each item.")


class AuditSection(GroupSection):
    """How well each surrogate stands in for a_p, found out before reinforcement learning."""

    rl_audit_items: int = Field(
        64, ge=1, le=1_000_000, description="Validation items that surrogates are audited on."
    )


class RLSection(PostTrainingSection, GroupSection):
    """Reinforcement learning by GRPO: the same for every reward."""

    rl_engine: Literal["embedded", "verl"] = Field(
        "embedded", description="embedded: one process, for miniatures; verl: Ray and vLLM, for clusters."
    )
    rl_steps: int = Field(100, ge=1, le=10_000_000, description="Optimizer steps of each reward.")
    rl_prompts: int = Field(8, ge=1, le=65_536, description="Items of one step.")
    rl_learning_rate: float = Field(1e-6, gt=0, le=1, description="Learning rate, after no warm-up.")
    rl_temperature: float = Field(1.0, gt=0, le=10, description="Of the sampling.")
    rl_kl: float = Field(0.0, ge=0, le=10, description="Weight of the divergence from where it starts.")
    rl_clip_low: float = Field(0.2, ge=0, lt=1, description="How far below 1 a ratio is followed.")
    rl_clip_high: float = Field(0.2, ge=0, le=10, description="How far above 1; 0.28 is DAPO's.")
    rl_normalisation: Literal["grpo", "dr_grpo", "dapo"] = Field(
        "grpo", description="How rewards and lengths are normalised."
    )
    rl_overrides: Annotated[list[str], Names.OVERRIDE] = Field(
        default=[], max_length=64, description="Overrides of verl's own settings, each as name=value."
    )
    rl_credit: Literal["response", "span"] = Field(
        "response", description="span: captions are credited by a_p alone, the rest by the reward."
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
